/* The priority of this program: below whatever else the machine does. */
#ifndef CHORUS_BASE_PRIORITY_H
#define CHORUS_BASE_PRIORITY_H

/* Lowers CPU and I/O priority of the calling thread, and so of every thread and program that it
 * starts from now on; nothing is ever raised, here or later. What cannot be lowered stays.
 *
 * Not the idle classes: under a load that never ends these get nothing at all, the watchdog starves
 * with them, and a lock of the kernel that they hold (a folder's, the file system's journal) keeps
 * the dialer itself waiting. Where an administrator has set one of them, it stays. */
void priority_lower(void);

#endif
