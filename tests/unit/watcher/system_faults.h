/*
 * Faults of the system: the linker puts these in the place of the calls that watcher/retire.c
 * makes. See CMakeLists.txt for which.
 */
#ifndef CHORUS_TESTS_SYSTEM_FAULTS_H
#define CHORUS_TESTS_SYSTEM_FAULTS_H

/* The n-th call from now on (1: the next) fails with `error`; 0: none. Where a call can only fail
 * for want of memory, or with EIO, it does that. */
void system_fails(long n, int error);
/* Every call of this name (the system's, "renameat2") fails with `error`; NULL: none. `where`: only
 * those in a folder whose path holds it; NULL: all. */
void system_call_fails(const char *name, const char *where, int error);
/* Calls since then; and the name of the one that failed, "": none. */
long system_calls(void);
const char *system_failed(void);

/* This folder (below it: any name that holds it) is another file system; NULL: none is. */
void system_other_disk(const char *folder);

#endif
