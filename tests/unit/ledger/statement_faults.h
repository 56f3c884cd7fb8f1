/*
 * Faults of single statements: the linker puts these in the place of SQLite's calls where the
 * ledger makes them (sqlite3_step, sqlite3_exec, sqlite3_prepare_v3). Link with STATEMENT_FAULTS of
 * CMakeLists.txt.
 */
#ifndef CHORUS_TESTS_STATEMENT_FAULTS_H
#define CHORUS_TESTS_STATEMENT_FAULTS_H

/* The n-th call from now on (1: the next) fails with SQLite's `code`; 0: none. */
void statement_fails(long n, int code);
/* Calls since then. */
long statements_made(void);

#endif
