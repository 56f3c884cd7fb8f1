/*
 * `state_dir`/tombstones: what was deleted on request and must never be uploaded again, beside the
 * ledger and outliving it. Append-only; the last line that names a hash holds for it:
 *
 *     chorus-agent tombstones 1
 *     block sha256 HEX
 *     block call HEX         SHA-256 of the call key
 *     lift 2 sha256 HEX      lifted; from now on this generation of its meeting id
 *
 * A line that was cut by a crash was never relied upon, and counts for nothing. Blocks shortly; the
 * loop's thread, or that of a command that holds the lock.
 */
#ifndef CHORUS_SERVICE_TOMBSTONES_H
#define CHORUS_SERVICE_TOMBSTONES_H

#include <stddef.h>

#include "agent/ledger/deletions.h"

enum { TOMBSTONES_AT_ONCE = 1024 };

/* Durable when it returns 0; else negative errno, and some of them may stand there all the same.
 * `generation` 0: blocks; else lifts. At most TOMBSTONES_AT_ONCE. */
int tombstones_append(const char *state_dir, const struct ledger_tombstone *tombstones,
                      size_t count, int generation);

/* Each, in order. 0 (also where there is no such file), or negative errno. *odd: lines that are
 * none (a cut one is). */
int tombstones_read(const char *state_dir,
                    void (*each)(void *ctx, const struct ledger_tombstone *tombstone,
                                 int generation),
                    void *ctx, size_t *odd);

#endif
