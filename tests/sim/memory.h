/*
 * Memory for SQLite in a process of one thread: pieces of few sizes, each kept for the next that
 * asks for its size. A quarter of the time of a world went into malloc and free.
 */
#ifndef CHORUS_SIM_MEMORY_H
#define CHORUS_SIM_MEMORY_H

/* Before SQLite is initialised. 0 or an SQLite code. */
int memory_register(void);

#endif
