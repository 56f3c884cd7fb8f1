/* What one ending means for the recording it was about; what it means for all others is plan.c's.
 * Pure. */
#ifndef CHORUS_PLAN_ENDINGS_H
#define CHORUS_PLAN_ENDINGS_H

#include "agent/plan/plan.h"

/* Fills `move`. `random` feeds the jitter; `hold_ms` is how long everything is held for, 0: not. */
void ending_to_move(const struct plan_options *options, const struct plan_item *item,
                    const struct plan_ending *ending, struct plan_time now, int64_t hold_ms,
                    uint64_t *random, struct plan_move *move);

/* Where a recording waits that is to be sent again, at the earliest at `due_ms` (wall; 0: at once):
 * uncertain if an earlier attempt may have arrived, else waiting or queued. */
void ending_again(const struct plan_item *item, int64_t due_ms, struct plan_move *move);

#endif
