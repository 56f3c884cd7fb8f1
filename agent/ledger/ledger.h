/*
 * The ledger: what we remember of every recording, durably. The only door to it.
 *
 * One content (SHA-256) is one recording with any number of paths. The path that is sent bears the
 * recording's state; every further one is `duplicate`. One function here is one transition.
 *
 * Transactions: the first change begins one; nothing that a function returned is to be believed,
 * and no effect may follow, before ledger_commit returned 0. After a failed commit everything since
 * the last one is undone and has to be done again.
 *
 * Strings handed out in structs are new and freed by the matching _clear. Times are wall-clock ms.
 * Thread: one. Another process may read at the same time (LEDGER_READ).
 */
#ifndef CHORUS_LEDGER_H
#define CHORUS_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/ledger/deletions.h"
#include "agent/plan/order.h"
#include "agent/plan/plan.h"
#include "agent/plan/states.h"
#include "agent/rules/rules.h"
#include "watcher/identity.h"

struct ledger;

enum ledger_mode { LEDGER_WRITE, LEDGER_READ };

/* Opens `state_dir`/ledger.db; LEDGER_WRITE makes it and brings an older schema forward, in one
 * transaction. 0; -ENOENT (LEDGER_READ: none yet, or one just being made); -EPROTO (made by a newer
 * version: untouched); -ENOTSUP (LEDGER_WRITE: it cannot lie there, see place.h); -EUCLEAN (not a
 * ledger, or broken); else negative errno. `why` (may be NULL) gets words, new string; NULL: it did
 * not fail. */
int ledger_open(const char *state_dir, enum ledger_mode mode, struct ledger **out, char **why);
void ledger_close(struct ledger *ledger);

/* A broken ledger is moved aside, never deleted: `state_dir`/ledger.corrupt-TIME; *name (new) tells
 * which. 0 or negative errno. */
int ledger_set_aside(const char *state_dir, int64_t now_ms, char **name);

/* Makes everything since the last commit durable. 0 (also when there was nothing), or negative
 * errno: all undone. */
int ledger_commit(struct ledger *ledger);
/* Many reads between these two cost less. Nothing is written in between. */
void ledger_begin_reads(struct ledger *ledger);
void ledger_end_reads(struct ledger *ledger);
/* A read failed: the next commit fails. */
bool ledger_has_failed(const struct ledger *ledger);
bool ledger_is_dirty(const struct ledger *ledger);
/* The number of the last commit. A commit that failed may be found done when the ledger is opened
 * anew (its fsync failed, and yet the bytes arrived): then this is one more than it was, and
 * nothing of it must be done again. */
int64_t ledger_batch(const struct ledger *ledger);
/* The error that sticks, as for a read that was cut short by it; 0: none. */
int ledger_error(const struct ledger *ledger);
/* Words of the last error. */
const char *ledger_error_words(const struct ledger *ledger);

/* --- a pause that a person asked for --- */

#define LEDGER_PAUSE_OPEN INT64_MAX                      /* until it is resumed */
#define LEDGER_PAUSE_MOST_MS (INT64_C(36500) * 86400000) /* a century is as good as open */
struct ledger_pause {
    int64_t until_ms; /* wall */
    char by[64];      /* who asked for it */
};
/* In the place of any before; NULL: none. */
void ledger_set_pause(struct ledger *ledger, const struct ledger_pause *pause);
/* False: there is none. One that is over counts until it is taken away. A read. */
bool ledger_get_pause(struct ledger *ledger, struct ledger_pause *pause);

/* --- watches --- */

struct ledger_watch {
    int64_t id;
    int64_t first_start_ms; /* when this watch (name and path) was first started */
    bool first_scan_done;   /* what stood there then has been judged */
    int64_t lost_ms; /* when an earlier ledger of this watch was found to be lost; 0: never */
    /* The folder that was last known to be the right one; 0: none yet. */
    uint64_t root_dev, root_ino;
};

/* The watch of this name and path, made if new with `first_start_ms`; `lost_ms` is kept if it is
 * made now: the watch was known before this ledger was. */
void ledger_watch(struct ledger *ledger, const char *name, const char *path, int64_t first_start_ms,
                  int64_t lost_ms, struct ledger_watch *watch);
/* This folder is the right one: absence in it means something. */
void ledger_trust_root(struct ledger *ledger, int64_t watch, uint64_t dev, uint64_t ino);
/* Name and path of a watch, new strings; false: there is none. A read. */
bool ledger_watch_by_id(struct ledger *ledger, int64_t watch, char **name, char **path);
void ledger_first_scan_done(struct ledger *ledger, int64_t watch);

/* --- intake --- */

/* One file as the watcher reported it. */
struct ledger_file {
    const char *path; /* absolute */
    size_t root_length;
    int64_t watch;
    struct file_identity identity;
    int64_t bulk;        /* number of the `once` that takes it, 0: none */
    int64_t duration_ms; /* 0: not known */
};

enum skip_kind {
    SKIP_NOT = 0,
    SKIP_BEFORE_START = 1, /* `since`; lifted by `once` */
    SKIP_RULE = 2,         /* lifted by a change of the configuration, like SMALL */
    SKIP_EMPTY = 3,
    SKIP_SMALL = 4,
    SKIP_UNSUPPORTED = 5,
};

struct ledger_known {
    int64_t path;      /* row id, 0: never seen */
    bool same;         /* with this identity, and still there: nothing is to be done */
    int64_t recording; /* 0: skipped or forgotten */
    enum recording_state state;
    enum skip_kind skip;
};

/* What the ledger knows of the file at this path. A read. */
void ledger_know(struct ledger *ledger, const char *path, const struct file_identity *identity,
                 struct ledger_known *known);

/* Whether a skipped "before the first start" file (device, inode, size, mtime) now bears another
 * name. A read. */
bool ledger_is_renamed_skip(struct ledger *ledger, const struct file_identity *identity);

/* The file is skipped, with the reason in words. */
void ledger_skip(struct ledger *ledger, const struct ledger_file *file, enum skip_kind kind,
                 const char *rule, const char *reason, uint64_t digest, int64_t now_ms);

enum admission_kind {
    ADMIT_RESOLVE,   /* rules are to be applied to `recording` for this path: ledger_resolve */
    ADMIT_DUPLICATE, /* a further path of a content that is known */
    ADMIT_KNOWN,     /* this very path and content were known */
};
struct ledger_admission {
    enum admission_kind kind;
    int64_t recording, path;
    uint64_t shrank_from; /* the very file (inode) had so many bytes before, more than now; 0: no */
};

/* A fingerprinted file: the path now has this content. */
void ledger_admit(struct ledger *ledger, const struct ledger_file *file, const uint8_t sha256[32],
                  int64_t now_ms, struct ledger_admission *admission);

/* The digest of a recording whose owner `once --owner` gave: no change of the configuration touches
 * it. */
#define LEDGER_OWNER_GIVEN UINT64_C(1)

/* The outcome of the rules for `recording` as it is found at `path` (row id): queued, waiting
 * (until not_before_ms), held, skipped, or duplicate by call key. `digest` says under which
 * configuration and tables. A recording whose path bore its uploaded twin before is held, and
 * `resolution` then says so. For a recording whose earlier attempt may have arrived, nothing of its
 * form changes. */
void ledger_resolve(struct ledger *ledger, int64_t recording, int64_t path,
                    struct resolution *resolution, uint64_t digest, int64_t not_before_ms,
                    int64_t now_ms);

/* The file left its path. Another path takes over, or the recording is gone: whether it is that. */
bool ledger_absent(struct ledger *ledger, const char *path, int64_t now_ms);

/* What the story of a path (row id) told last: its state, and the reason (new string, may be NULL).
 * False: nothing yet. A read. */
bool ledger_told_last(struct ledger *ledger, int64_t path, enum recording_state *state,
                      char **reason);

/* Its path cannot be reached now: the next of its paths, in turn, is taken next time. */
void ledger_try_other_path(struct ledger *ledger, int64_t recording);

/* What was to be sent from its path is no longer there in this form: the path is forgotten until it
 * has settled again; if no other path holds the content and none of it may have arrived, so is the
 * recording. */
void ledger_source_changed(struct ledger *ledger, int64_t recording, bool request_left,
                           const char *reason, int64_t now_ms);

/* The chosen paths of recordings of this watch that are still to be uploaded, in batches: of
 * recordings above `after`, at most `most`; `path` is new. A read. Returns how many. */
struct ledger_pending_path {
    int64_t recording;
    int64_t id; /* row id of the path */
    char *path;
};
size_t ledger_pending_paths(struct ledger *ledger, int64_t watch, int64_t after,
                            struct ledger_pending_path *paths, size_t most);

/* --- queue --- */

/* All that is needed to send one recording. */
struct ledger_job {
    int64_t recording, path_id, watch;
    enum recording_state state;
    char *path;
    size_t root_length;
    struct file_identity identity;
    uint8_t sha256[32];
    enum key_kind key_kind;
    char *owner, *name, *meeting_id, *crm_account_id, *crm_opportunity_id;
    uint64_t digest; /* of the configuration under which it was resolved */
    int attempts, uncertain;
    int64_t first_attempt_ms; /* 0: none yet */
    bool frozen;              /* an earlier attempt may have arrived: its form must not change */
    int64_t first_seen_ms;
    int64_t duration_ms; /* 0: not known */
};

/* 0, or -ENOENT. A read. */
int ledger_job(struct ledger *ledger, int64_t recording, struct ledger_job *job);
void ledger_job_clear(struct ledger_job *job);

/* The reason of a recording that waits for its folder. */
#define LEDGER_OFFLINE "its folder is offline"

/* The folder of this watch is there again: what waits for it is due. */
void ledger_folder_is_back(struct ledger *ledger, int64_t watch, int64_t now_ms);

/* upload.retry_for counts from now (wall) on at the earliest, kept for the plan's next start. */
void ledger_retry_anew(struct ledger *ledger, int64_t now_ms);
int64_t ledger_retry_since(struct ledger *ledger); /* 0: no matter. A read. */
/* At the start, before anything is written: after a leap of the wall clock that the last run did
 * not live to tell, or a long pause, it counts anew. */
void ledger_mind_leaps(struct ledger *ledger, int64_t retry_for_ms, int64_t now_ms);

/* The longest wait that the configuration sets: only a due time further off than that (and than
 * PLAN_FAR_OFF_MS) was written under another clock, and is due. */
void ledger_expect_waits(struct ledger *ledger, int64_t longest_wait_ms);

/* At most `most` recordings of a lane, best first. Returns how many; *next_due_ms as in plan.h. A
 * read. */
size_t ledger_fetch(struct ledger *ledger, enum plan_lane lane, enum upload_order order,
                    int64_t now_ms, struct plan_item *items, size_t most, int64_t *next_due_ms);

/* One recording as the plan wants it; false: not one to be sent. A read. */
bool ledger_plan_item(struct ledger *ledger, int64_t recording, enum upload_order order,
                      struct plan_item *item);

/* Why a recording to be resolved is doubtful, whatever the rules say of it, now or later: it is
 * held once it could be sent, until a person's `retry`. `content` in words (NULL: nothing): it may
 * not be what was recorded. `maybe_sent`: a ledger that was lost may have known it, so without a
 * key it is not sent. */
void ledger_doubt(struct ledger *ledger, int64_t recording, const char *content, bool maybe_sent);

/* Before it is sent: whether a deletion blocks it; it is then deleted, as never uploaded. */
bool ledger_block(struct ledger *ledger, int64_t recording, int64_t now_ms);

/* The intent: uploading, one attempt more. Durable before a byte leaves. */
void ledger_intend(struct ledger *ledger, int64_t recording, int64_t now_ms);

/* A move of the plan. */
void ledger_move(struct ledger *ledger, int64_t recording, const struct plan_move *move,
                 int64_t now_ms);

/* At start: what was in flight when the last run ended may have arrived. Returns how many there
 * were. */
size_t ledger_recover(struct ledger *ledger, int64_t resend_after_ms, int64_t now_ms);

/* Recordings that became queued or waiting since the last call, for the plan. Returns how many. */
size_t ledger_take_ready(struct ledger *ledger, int64_t *recordings, size_t most);

/* Recordings held or skipped by the rules under another digest: ids above `after`, at most `most`.
 * A read. */
size_t ledger_held_otherwise(struct ledger *ledger, uint64_t digest, int64_t after,
                             int64_t *recordings, size_t most);

/* Paths skipped by a rule or for their size under another digest are forgotten, so that the next
 * scan judges them again. Returns how many, at most `most`. */
size_t ledger_forget_skips(struct ledger *ledger, uint64_t digest, size_t most);

/* Back in the queue, on request: failed, held, gone. 0; -ENOENT: no recording; -EEXIST: in a state
 * that `retry` does not touch. */
int ledger_retry(struct ledger *ledger, int64_t recording, int64_t now_ms);
/* Ids of recordings in a state, above `after`. A read. */
size_t ledger_in_state(struct ledger *ledger, enum recording_state state, int64_t after,
                       int64_t *recordings, size_t most);
/* Recordings that are sent from this path or from one below it, above `after`, at most `most`, in
 * order. A read. */
size_t ledger_recordings_below(struct ledger *ledger, const char *path, int64_t after,
                               int64_t *recordings, size_t most);
/* Whether the ledger knows this path, or one below it. A read. */
bool ledger_knows_path(struct ledger *ledger, const char *path);

/* Whether a preferred copy of this call was met, whatever became of it. A read. */
bool ledger_met_preferred(struct ledger *ledger, const char *call_key, int64_t except);

/* --- sidecars (sidecar.c) --- */

/* Of a recording that is not sent yet. */
struct ledger_sidecar {
    char *path;    /* where it is expected */
    bool read;     /* it was there and has been read */
    char *body;    /* what stood in it; NULL: it could not be used, or is not kept any more */
    char *problem; /* why it could not be read, in words; NULL: it could */
};

/* The sidecar of this recording is at `path`; what was known of another place is forgotten. */
void ledger_sidecar_expect(struct ledger *ledger, int64_t recording, const char *path);
/* False: none is expected. Clear on true. A read. */
bool ledger_sidecar(struct ledger *ledger, int64_t recording, struct ledger_sidecar *sidecar);
void ledger_sidecar_clear(struct ledger_sidecar *sidecar);
/* Recordings that expect theirs at this path and whose form may still change, above `after`. A
 * read. */
size_t ledger_sidecar_recordings(struct ledger *ledger, const char *path, int64_t after,
                                 int64_t *recordings, size_t most);
/* Whether one of them has not read this version of the file. A read. */
bool ledger_sidecar_is_wanted(struct ledger *ledger, const char *path,
                              const struct file_identity *identity);
/* What this version of the file holds: a body, or a problem. */
void ledger_sidecar_read(struct ledger *ledger, int64_t recording,
                         const struct file_identity *identity, const char *body,
                         const char *problem);
/* The sidecar of the recording that was sent from this path (row id) and that no other recording
 * still needs; new string, NULL: none. A read. */
char *ledger_sidecar_to_move(struct ledger *ledger, int64_t path);

/* --- after the upload (after.c) --- */

/* Uploaded recordings with an id whose processing is to be asked for by now, at most `most`; `id`
 * is new. A read. */
struct ledger_check {
    int64_t recording, uploaded_ms;
    char *engagement_id;
};
size_t ledger_due_checks(struct ledger *ledger, int64_t now_ms, struct ledger_check *checks,
                         size_t most);
/* When the next one is due, 0: none. A read. */
int64_t ledger_next_check(struct ledger *ledger);
/* Chorus shows it as processed; its paths that wait for that proof may be retired from now on. */
void ledger_processed(struct ledger *ledger, int64_t recording, int64_t now_ms);
/* Not yet: ask again at that time (0: never). */
void ledger_check_again(struct ledger *ledger, int64_t recording, int64_t at_ms);
/* How many were accepted before `before_ms` and are still asked for. A read. */
int64_t ledger_unprocessed(struct ledger *ledger, int64_t before_ms);

/* How a path of an uploaded content is retired. */
enum retire_state {
    RETIREMENT_NONE = 0,
    RETIREMENT_DUE = 1,      /* from retire_ms on */
    RETIREMENT_BEGUN = 2,    /* the file may be on its way: begin again after a crash */
    RETIREMENT_OVER = 3,     /* moved or deleted, or nothing was there any more */
    RETIREMENT_REFUSED = 4,  /* another file stands there: left alone */
    RETIREMENT_UNPROVEN = 5, /* waits until Chorus shows the recording as processed */
};

/* The present paths of an uploaded recording that nothing was decided for, at most `most`: row id
 * and watch. A read. */
struct ledger_path_ref {
    int64_t id, watch;
};
size_t ledger_paths_to_retire(struct ledger *ledger, int64_t recording,
                              struct ledger_path_ref *paths, size_t most);
/* `recording` is uploaded with proof (never only a 409 on a first attempt). A read. */
bool ledger_may_retire(struct ledger *ledger, int64_t recording, bool *processed);
void ledger_set_retirement(struct ledger *ledger, int64_t path, enum retire_state state,
                           int64_t retire_ms);
/* The end of one, for the story. */
void ledger_end_retirement(struct ledger *ledger, int64_t path, enum retire_state state,
                           const char *reason, int64_t now_ms);

struct ledger_retirement {
    int64_t path_id, watch;
    char *path;
    size_t root_length;
    struct file_identity identity;
    uint8_t sha256[32];
};
/* The next path that is due; false: none, *next_ms is when the next one is (0: none). Clear on
 * true. A read. */
bool ledger_next_retirement(struct ledger *ledger, int64_t now_ms,
                            struct ledger_retirement *retirement, int64_t *next_ms);
void ledger_retirement_clear(struct ledger_retirement *retirement);

/* --- care (care.c) --- */

/* Stories are thinned, never the facts: of the story lines above `after` (an id), at most `most`
 * are looked at, oldest first, and those from before `before_ms` forgotten, unless their recording
 * is still on its way, held, or being deleted. Returns the id to go on from, 0: that was all. */
int64_t ledger_thin_stories(struct ledger *ledger, int64_t before_ms, int64_t after, size_t most);

/* A copy of the ledger as it is now, whole and consistent, also while another process writes;
 * `file` is there and empty. 0, or negative errno and *why (new string). */
int ledger_backup(struct ledger *ledger, const char *file, char **why);

/* At start: whether this ledger is a backup that was put back. What was sent since it was made is
 * not known: from now on each watch has lost its memory of what is not in it, and what is in it and
 * was not sent may have been. */
bool ledger_restored(struct ledger *ledger, int64_t now_ms);

/* The whole of it is read and checked (integrity_check). True: sound; else *why (new string). A
 * read. */
bool ledger_is_sound(struct ledger *ledger, char **why);

/* --- bulk (`once`) --- */

/* Marks a path that is known already as wanted by a bulk run. */
void ledger_want(struct ledger *ledger, int64_t path, int64_t bulk);
int64_t ledger_next_bulk(struct ledger *ledger);
/* Whether a path of this bulk run is still on its way. A read. */
bool ledger_bulk_is_open(struct ledger *ledger, int64_t bulk);

/* --- reports --- */

struct ledger_counts {
    int64_t state[STATE_COUNT];
    int64_t bytes_uploaded;
    int64_t
        oldest_waiting_ms; /* first seen of the oldest queued, waiting or uncertain one; 0: none */
    int64_t oldest_held_ms;
};
void ledger_count(struct ledger *ledger, struct ledger_counts *counts);
/* Of one bulk run. */
void ledger_count_bulk(struct ledger *ledger, int64_t bulk, struct ledger_counts *counts);

/* The last trouble that a recording met: reason and path, new string; NULL: none. */
char *ledger_last_error(struct ledger *ledger, int64_t *at_ms);

/* One row of `list`: valid during the callback. Times 0: unknown. */
struct ledger_row {
    const char *path; /* bytes; "": its details were wiped */
    const char *watch;
    const char *rule;
    enum recording_state state;
    uint64_t size;
    const uint8_t *sha256; /* NULL: none was taken */
    const char *owner, *name, *meeting_id, *call_key;
    const char *engagement_id;
    int attempts;
    const char *reason;
    const char *duplicate_of; /* path of the recording first taken; NULL */
    int64_t first_seen_ms, next_attempt_ms, uploaded_ms, processed_ms, deleted_ms;
    const char *fields; /* JSON object, NULL: none */
    bool present;
};
typedef void (*ledger_each_row)(void *ctx, const struct ledger_row *row);

/* Every row in the order of its intake; `state` -1: all; `path` NULL: all, else that path or those
 * below it. Returns how many. */
size_t ledger_list(struct ledger *ledger, int state, const char *path, ledger_each_row each,
                   void *ctx);

/* The recording that this engagement is, as the path it is sent from; at most one row. Returns how
 * many. A read. */
size_t ledger_list_engagement(struct ledger *ledger, const char *engagement_id,
                              ledger_each_row each, void *ctx);

struct ledger_event {
    int64_t at_ms;
    enum recording_state state;
    int attempt; /* 0: none */
    int status;  /* HTTP, 0: none */
    const char *reason;
};
/* The story of a path, oldest first. Returns how many. */
size_t ledger_story(struct ledger *ledger, const char *path,
                    void (*each)(void *ctx, const struct ledger_event *event), void *ctx);

/* The path from which this content was taken, new string, and the state of its recording; NULL:
 * unknown. A read. */
char *ledger_path_of_content(struct ledger *ledger, const uint8_t sha256[32],
                             enum recording_state *state);
/* Likewise for a call key held by another recording than the one of this content. */
char *ledger_path_of_call_key(struct ledger *ledger, const char *call_key,
                              const uint8_t sha256[32]);

/* Whether an engagement that bears this recording's owner, name and meeting_id may be another
 * recording's of ours: one that has this id, or one with the same meeting_id that may be at Chorus
 * under an id we do not know. A read. */
bool ledger_engagement_may_be_anothers(struct ledger *ledger, int64_t recording,
                                       const char *engagement_id);

/* POSTs that left, as far as the ledger knows: all attempts, also those that used up none. */
int64_t ledger_posts(struct ledger *ledger);

#endif
