/* Delays between tries: doubling, with full jitter, so that many recordings do not come back at
 * once. Pure. */
#ifndef CHORUS_PLAN_BACKOFF_H
#define CHORUS_PLAN_BACKOFF_H

#include <stdint.h>

/* The next number of a small generator (splitmix64); the whole state is *state. */
uint64_t backoff_random(uint64_t *state);

/* Milliseconds before try number `tries` + 1 (tries >= 1): uniform between 1 and
 * min(most, first * 2^(tries-1)). */
int64_t backoff_delay(uint64_t *state, int64_t first_ms, int64_t most_ms, int tries);

/* Retry-After as Chorus said it (-1: nothing), clamped to 1 s .. 1 h; `otherwise` where it said
 * nothing. */
int64_t backoff_retry_after(int64_t said_ms, int64_t otherwise_ms);

#endif
