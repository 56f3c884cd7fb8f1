/* What the ledger's own files share. */
#ifndef CHORUS_LEDGER_INTERNAL_H
#define CHORUS_LEDGER_INTERNAL_H

#include "agent/ledger/db.h"
#include "agent/ledger/ledger.h"

struct ledger {
    struct db *db;
    bool writes;        /* LEDGER_WRITE */
    bool dirty;         /* a transaction is open */
    int64_t batch;      /* see ledger_batch */
    int64_t far_off_ms; /* see ledger_expect_waits */
    /* recordings that became queued or waiting since they were last taken */
    int64_t *ready;
    size_t ready_count, ready_room;
};

/* Every change begins here. */
struct db *ledger_write(struct ledger *ledger);

/* Moves a recording, checked against the table of legal moves, and appends to the story of its
 * path. `reason` may be NULL. */
void recording_move(struct ledger *ledger, int64_t recording, enum recording_state to,
                    int64_t next_attempt_ms, int status, const char *reason, int64_t now_ms);

enum recording_state recording_state_of(struct ledger *ledger, int64_t recording);

/* Not to be sent before (wall ms; 0: at once). Kept while it is gone: what may have arrived waits
 * as long if it appears again. */
int64_t recording_due(struct ledger *ledger, int64_t recording);

/* The plan is to hear of it: it is to be sent, perhaps from another path. */
void recording_note_ready(struct ledger *ledger, int64_t recording);

/* Gives the call key of a recording that no longer holds it to the next one that bears it. */
void recording_promote_twin(struct ledger *ledger, int64_t recording, int64_t now_ms);

/* One line of the story of a path. */
void story_add(struct ledger *ledger, int64_t path, enum recording_state state, int attempt,
               int status, const char *reason, int64_t now_ms);

/* How many POSTs left, in all. */
void posts_count(struct ledger *ledger, int by);

/* Another present path of this recording than `except` (row id), 0: none. */
int64_t recording_other_path(struct ledger *ledger, int64_t recording, int64_t except);

#endif
