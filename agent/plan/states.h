/*
 * The states of a recording, as users see them (interface.md), and the one table of legal moves.
 * Numbers are stored in the ledger: never renumber. Pure.
 */
#ifndef CHORUS_PLAN_STATES_H
#define CHORUS_PLAN_STATES_H

#include <stdbool.h>

enum recording_state {
    STATE_SETTLING = 0, /* lives in the watcher's memory only */
    STATE_HASHING = 1,  /* likewise */
    STATE_HELD = 2,
    STATE_QUEUED = 3,
    STATE_UPLOADING = 4,
    STATE_WAITING = 5,
    STATE_UNCERTAIN = 6,
    STATE_UPLOADED = 7,
    STATE_DUPLICATE = 8,
    STATE_FAILED = 9,
    STATE_SKIPPED = 10,
    STATE_GONE = 11,
    STATE_DELETING = 12,
    STATE_DELETED = 13,
    STATE_COUNT = 14,
};

/* What releases a held recording. */
enum held_kind {
    HELD_NOT = 0,
    HELD_OWNER = 1,     /* rules and tables found no owner: released when they change */
    HELD_FORBIDDEN = 2, /* Chorus refused it for this owner: likewise */
    HELD_DOUBT = 3,     /* a copy may exist: only a person's `retry` */
};

/* "settling", ...; static. */
const char *state_name(enum recording_state state);

/* The state of that name, or -1. */
int state_from_name(const char *name);

/* Whether a recording may go from one state to the other. */
bool state_may_move(enum recording_state from, enum recording_state to);

/* Whether `once` need not wait for it any longer. */
bool state_is_settled_for_once(enum recording_state state);

/* Whether it is known to be, or may be, or will be at Chorus by this recording: its call key
 * counts. */
bool state_holds_call_key(enum recording_state state);

#endif
