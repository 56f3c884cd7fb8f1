/* What the ledger's own files share. */
#ifndef CHORUS_LEDGER_INTERNAL_H
#define CHORUS_LEDGER_INTERNAL_H

#include "agent/ledger/db.h"
#include "agent/ledger/deletions.h"
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

/* A file that is to leave its path, after the upload or on request. */
#define RETIREMENT_COLUMNS                                                                         \
    "SELECT p.id, p.watch, p.path, p.root_length, p.dev, p.ino, p.size, p.mtime_ns, p.ctime_ns,"   \
    " r.sha256 FROM path AS p JOIN recording AS r ON r.id = p.recording"
void retirement_read(const struct query *query, struct ledger_retirement *retirement);

/* --- deletion --- */

/* SHA-256. */
void ledger_digest(const void *bytes, size_t n, uint8_t sha256[32]);

/* Brings field_value in line with these fields (a JSON object; NULL: none); before they are written
 * down. */
void fields_index(struct ledger *ledger, int64_t recording, const char *json);
/* The digits of a phone number, backwards, new; NULL: fewer than it takes to tell one. */
enum { FIELDS_PHONE_LEAST = 7 };
char *fields_phone_key(const char *value);

void request_stage(struct ledger *ledger, int64_t request, enum request_stage stage);
/* Case is obeyed, `*` and `?` do not cross '/'. */
bool target_glob_fits(const char *pattern, const char *path);

/* One row of the audit. Strings may be NULL; details are JSON. */
struct audit_entry {
    const char *event;
    const char *sha256, *call_hash, *engagement_id;
    int status;
    int64_t recording, request; /* whose details they are; 0 */
    const char *details;        /* never NULL */
};
void audit_add(struct ledger *ledger, const struct audit_entry *entry, int64_t now_ms);
/* The same of a recording: its digests and details are filled in; `details` is a reason in words.
 */
void audit_add_for(struct ledger *ledger, struct audit_entry *entry, int64_t recording,
                   int64_t now_ms);
/* Wipes the details of a recording, or (recording 0) of a request. */
void audit_wipe(struct ledger *ledger, int64_t recording, int64_t request);

#define MAYBE_SENT                                                                                 \
    "the ledger was lost, or an older one put back, so it may have been sent before, and without " \
    "a meeting_id a resend could double it; look in Chorus, then `retry` or leave it"
#define BLOCKED_REASON "an earlier deletion blocks it; `retry --undelete` lifts that"
bool tombstone_blocks(struct ledger *ledger, const struct ledger_tombstone *tombstone);
bool tombstone_of_call(const char *call_key, struct ledger_tombstone *tombstone);
void tombstone_set(struct ledger *ledger, const struct ledger_tombstone *tombstone, bool filed);
/* Those of a recording: how many. */
size_t recording_tombstones(struct ledger *ledger, int64_t recording,
                            struct ledger_tombstone tombstones[2]);
/* Sets them; `filed`: they stand in the file already. */
void recording_block(struct ledger *ledger, int64_t recording, bool filed, int64_t now_ms);

/* A transfer of this recording has ended, as its row says by now; if a deletion waited for that it
 * goes on, and true is returned. */
bool erasure_consume(struct ledger *ledger, int64_t recording, int64_t now_ms);
/* A deletion was asked for by this path (row id) before its content was known: whether it was;
 * asked once. */
bool path_block_take(struct ledger *ledger, int64_t path);
/* Ids, gathered before they are looked at, since that asks the ledger again. The caller frees
 * `items`. */
struct ids {
    int64_t *items;
    size_t count, room;
};
void ids_add(struct ids *ids, int64_t id);
/* The recordings of its call, this one too. */
void recording_call(struct ledger *ledger, int64_t recording, struct ids *call);
/* To be deleted, with its call, outside of any request's slice. */
void recording_delete(struct ledger *ledger, int64_t recording, int64_t now_ms);
/* Another one may take its place. */
void erasure_supersede(struct ledger *ledger, int64_t recording);

/* The path under which a path row stands after its details were wiped: 33 bytes. */
enum { WIPED_PATH = 33 };
void wiped_path(const char *path, uint8_t key[WIPED_PATH]);

#endif
