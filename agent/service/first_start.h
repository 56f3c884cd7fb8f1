/*
 * `state_dir`/first-start: when each watch (name and path) was first started, one line a watch,
 * append-only. It survives the loss of the ledger, so that nothing of before is then taken for new.
 * Blocks shortly.
 */
#ifndef CHORUS_SERVICE_FIRST_START_H
#define CHORUS_SERVICE_FIRST_START_H

#include <stdbool.h>
#include <stdint.h>

/* The recorded time of this watch, or `now_ms`, which is recorded (durably) if it had none;
 * *recorded tells which. 0 or negative errno. */
int first_start_of(const char *state_dir, const char *name, const char *path, int64_t now_ms,
                   int64_t *first_start_ms, bool *recorded);

#endif
