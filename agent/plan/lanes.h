/*
 * The small window of recordings that go next, by lane. The ledger holds the queue; a lane holds
 * the few of it that go first, so that memory does not grow with the queue. Pure.
 */
#ifndef CHORUS_PLAN_LANES_H
#define CHORUS_PLAN_LANES_H

#include "agent/plan/plan.h"

enum { LANE_ROOM = 2 * PLAN_MOST_TRANSFERS };

struct lane {
    struct plan_item items[LANE_ROOM]; /* sorted by rank, lowest first */
    size_t count;
    bool more; /* the ledger may have others of this lane */
    bool fetching;
    bool stale; /* what is being fetched has been overtaken: it is fetched again */
};

struct lanes {
    struct lane lane[LANE_COUNT];
    unsigned turn;
    bool back_lane;
    bool doubts_wait; /* what may have arrived already is not taken now */
};

void lanes_init(struct lanes *lanes, bool back_lane);

/* Puts one in, in its place; one that is in this lane already is left alone. It may be in the
 * others too: the oldest of a short queue is in both ends' lanes, or it would never have its turn.
 * A full lane forgets its last one: the ledger still has it. */
void lanes_put(struct lanes *lanes, enum plan_lane lane, const struct plan_item *item);

/* Something that the ledger held back as still to be sent was decided, or the order is another:
 * what is being fetched may have been read before. */
void lanes_overtake(struct lanes *lanes);

/* Forgets a recording in every lane. */
void lanes_drop(struct lanes *lanes, int64_t recording);

/* Takes out of every lane the one whose turn it is: of eight starts two go to what is due, one to
 * the far end of the queue, the others to its near end; an empty lane passes its turn on. False:
 * nothing is there. */
bool lanes_take(struct lanes *lanes, struct plan_item *item);

/* Whether one is there that may have arrived already. */
bool lanes_hold_doubts(const struct lanes *lanes);

/* How many to fetch into this lane so that `wanted` are there; 0 when there are enough, none is
 * left in the ledger, or a fetch is under way. */
size_t lanes_wants(const struct lanes *lanes, enum plan_lane lane, size_t wanted);

#endif
