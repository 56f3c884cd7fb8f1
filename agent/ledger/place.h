/* Where a ledger may lie. Blocks; any thread. */
#ifndef CHORUS_LEDGER_PLACE_H
#define CHORUS_LEDGER_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "watcher/identity.h"

/* Why the ledger cannot lie in `state_dir`, and what to do, new string; NULL: it can. SQLite's
 * locks and its shared index hold on one machine only, and through one name (D7 of the list of
 * faults). */
char *place_problem(const char *state_dir);

/* A file system of this type (statfs) that other machines write to, by its name; NULL: none. */
const char *place_network(uint32_t type);

/* The folder and all above it, at most `most`, the folder first: how many; 0: it is not there.
 * Whoever watches one of them watches the folder. */
size_t place_lineage(const char *folder, struct root_identity *out, size_t most);

#endif
