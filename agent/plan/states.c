#include "agent/plan/states.h"

#include <string.h>

#define TO(state) (1u << (state))

static const struct {
    const char *name;
    unsigned moves; /* the states it may go to */
} states[STATE_COUNT] = {
    [STATE_SETTLING] = {"settling", TO(STATE_HASHING) | TO(STATE_SKIPPED) | TO(STATE_GONE)},
    [STATE_HASHING] = {"hashing", TO(STATE_SETTLING) | TO(STATE_QUEUED) | TO(STATE_HELD) |
                                      TO(STATE_WAITING) | TO(STATE_DUPLICATE) | TO(STATE_SKIPPED) |
                                      TO(STATE_GONE) | TO(STATE_DELETED)},
    [STATE_HELD] = {"held", TO(STATE_HELD) | TO(STATE_QUEUED) | TO(STATE_WAITING) |
                                TO(STATE_DUPLICATE) | TO(STATE_SKIPPED) | TO(STATE_GONE) |
                                TO(STATE_UPLOADED) | TO(STATE_DELETING) | TO(STATE_DELETED)},
    [STATE_QUEUED] = {"queued", TO(STATE_QUEUED) | TO(STATE_UPLOADING) | TO(STATE_HELD) |
                                    TO(STATE_WAITING) | TO(STATE_DUPLICATE) | TO(STATE_SKIPPED) |
                                    TO(STATE_GONE) | TO(STATE_FAILED) | TO(STATE_DELETING) |
                                    TO(STATE_DELETED)},
    [STATE_UPLOADING] = {"uploading", TO(STATE_UPLOADED) | TO(STATE_DUPLICATE) | TO(STATE_FAILED) |
                                          TO(STATE_WAITING) | TO(STATE_UNCERTAIN) |
                                          TO(STATE_QUEUED) | TO(STATE_HELD) | TO(STATE_GONE) |
                                          TO(STATE_DELETING) | TO(STATE_DELETED)},
    [STATE_WAITING] = {"waiting", TO(STATE_UPLOADING) | TO(STATE_QUEUED) | TO(STATE_WAITING) |
                                      TO(STATE_HELD) | TO(STATE_DUPLICATE) | TO(STATE_SKIPPED) |
                                      TO(STATE_GONE) | TO(STATE_FAILED) | TO(STATE_DELETING) |
                                      TO(STATE_DELETED)},
    [STATE_UNCERTAIN] = {"uncertain", TO(STATE_UPLOADING) | TO(STATE_UPLOADED) | TO(STATE_HELD) |
                                          TO(STATE_UNCERTAIN) | TO(STATE_FAILED) | TO(STATE_GONE) |
                                          TO(STATE_DELETING)},
    [STATE_UPLOADED] = {"uploaded", TO(STATE_DELETING) | TO(STATE_UPLOADED)},
    [STATE_DUPLICATE] = {"duplicate", TO(STATE_QUEUED) | TO(STATE_HELD) | TO(STATE_WAITING) |
                                          TO(STATE_DUPLICATE) | TO(STATE_SKIPPED) | TO(STATE_GONE) |
                                          TO(STATE_DELETING) | TO(STATE_DELETED)},
    [STATE_FAILED] = {"failed", TO(STATE_QUEUED) | TO(STATE_HELD) | TO(STATE_WAITING) |
                                    TO(STATE_DUPLICATE) | TO(STATE_SKIPPED) | TO(STATE_DELETING) |
                                    TO(STATE_DELETED)},
    [STATE_SKIPPED] = {"skipped", TO(STATE_QUEUED) | TO(STATE_HELD) | TO(STATE_WAITING) |
                                      TO(STATE_DUPLICATE) | TO(STATE_SKIPPED) | TO(STATE_DELETED)},
    [STATE_GONE] = {"gone", TO(STATE_QUEUED) | TO(STATE_HELD) | TO(STATE_WAITING) |
                                TO(STATE_UNCERTAIN) | TO(STATE_DUPLICATE) | TO(STATE_SKIPPED) |
                                TO(STATE_DELETING) | TO(STATE_DELETED)},
    /* refused: back to what it was, or to a person */
    [STATE_DELETING] = {"deleting", TO(STATE_DELETED) | TO(STATE_DELETING) | TO(STATE_UPLOADED) |
                                        TO(STATE_HELD)},
    /* `retry --undelete` */
    [STATE_DELETED] = {"deleted", TO(STATE_QUEUED) | TO(STATE_DELETED)},
};

const char *state_name(enum recording_state state)
{
    return states[state].name;
}

int state_from_name(const char *name)
{
    for (int i = 0; i < STATE_COUNT; i++) {
        if (strcmp(states[i].name, name) == 0)
            return i;
    }
    return -1;
}

bool state_may_move(enum recording_state from, enum recording_state to)
{
    return (states[from].moves & TO(to)) != 0;
}

bool state_is_settled_for_once(enum recording_state state)
{
    return (TO(state) &
            (TO(STATE_UPLOADED) | TO(STATE_DUPLICATE) | TO(STATE_SKIPPED) | TO(STATE_HELD) |
             TO(STATE_FAILED) | TO(STATE_GONE) | TO(STATE_DELETING) | TO(STATE_DELETED))) != 0;
}

bool state_holds_call_key(enum recording_state state)
{
    return (TO(state) &
            (TO(STATE_FAILED) | TO(STATE_SKIPPED) | TO(STATE_GONE) | TO(STATE_DUPLICATE))) == 0;
}
