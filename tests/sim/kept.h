/*
 * A connection of SQLite that outlives its lives. Half the time of a world went into reading the
 * schema and compiling the same statements anew after every start and every failure of the disk.
 * What the program closes is therefore kept, at rest, and what it opens next is that: with its
 * schema and its statements, and nothing else.
 *
 * Nothing of what reaches the disk differs. Closing is SQLite's own way to leave the log (as
 * closing: it copies the log into the database, if it still can, and removes it), cut off before
 * the mark in the database that comes after it. Opened again, SQLite finds the log by itself and
 * recovers it, and the first look at that drops every page that was held in memory. As long as the
 * schema is not in the database itself, all is opened and closed for good. A world has the same
 * trace with it and without it: --twice.
 */
#ifndef CHORUS_SIM_KEPT_H
#define CHORUS_SIM_KEPT_H

#include <stdbool.h>

/* Whether what is closed from now on may be kept: in a world whose ledger is there from the start.
 */
void kept_allow(bool allowed);

#endif
