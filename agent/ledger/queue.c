/* The queue: what the rules made of a recording, what goes next, and what became of each attempt.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/base/mutant.h"
#include "agent/ledger/internal.h"

/* --- resolved --- */

static char *fields_as_json(const struct resolution *resolution)
{
    if (resolution->field_count == 0)
        return NULL;
    cJSON *object = cJSON_CreateObject();
    for (size_t i = 0; i < resolution->field_count; i++) {
        char *value = bytes_escape(resolution->fields[i].value);
        cJSON_AddStringToObject(object, resolution->fields[i].name, value);
        free(value);
    }
    char *json = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    return json;
}

static int64_t holder_of_call_key(struct ledger *ledger, const char *call_key, int64_t except)
{
    if (call_key == NULL || mutant("call-key-ignored"))
        return 0;
    struct query *query = db_query(
        ledger->db, "SELECT id FROM recording WHERE call_key = ? AND id <> ? AND"
                    " (state NOT IN (8, 9, 10, 11) OR known_by_409 = 1) ORDER BY id LIMIT 1");
    query_bind_text(query, 1, call_key);
    query_bind_int(query, 2, except);
    return query_number(query);
}

static enum held_kind held_kind_of(const struct resolution *r)
{
    if (r->outcome != RESOLVED_HELD)
        return HELD_NOT;
    return r->doubt ? HELD_DOUBT : HELD_OWNER;
}

/* Whether it gives up the call key that it bore. */
static bool call_key_changes(struct ledger *ledger, int64_t recording, const char *call_key)
{
    struct query *query =
        db_query(ledger->db, "SELECT 1 FROM recording WHERE id = ? AND call_key IS NOT NULL AND"
                             " call_key IS NOT ?");
    query_bind_int(query, 1, recording);
    query_bind_text(query, 2, call_key);
    bool changes = query_step(query);
    query_end(query);
    return changes;
}

static void set_form(struct ledger *ledger, int64_t recording, int64_t path,
                     const struct resolution *r, uint64_t digest, int64_t twin)
{
    char *fields = fields_as_json(r);
    fields_index(ledger, recording, fields);
    struct query *query = db_query(
        ledger_write(ledger),
        "UPDATE recording SET path = ?, rule = ?, owner = ?, name = ?, meeting_id = ?,"
        " crm_account_id = ?, crm_opportunity_id = ?, call_key = ?, key_kind = ?, fields = ?,"
        " digest = ?, twin_of = ?, held = ?, preferred = ? WHERE id = ?");
    query_bind_int(query, 1, path);
    query_bind_text(query, 2, r->rule);
    query_bind_text(query, 3, r->owner);
    query_bind_text(query, 4, r->name);
    query_bind_text(query, 5, r->meeting_id);
    query_bind_text(query, 6, r->crm_account_id);
    query_bind_text(query, 7, r->crm_opportunity_id);
    query_bind_text(query, 8, r->call_key);
    query_bind_int(query, 9, r->key_kind);
    query_bind_text(query, 10, fields);
    query_bind_int(query, 11, (int64_t)digest);
    query_bind_int_or_null(query, 12, twin);
    query_bind_int(query, 13, held_kind_of(r));
    query_bind_int(query, 14, r->preferred);
    query_bind_int(query, 15, recording);
    query_run(query);
    free(fields);
}

static void set_digest(struct ledger *ledger, int64_t recording, uint64_t digest)
{
    struct query *query =
        db_query(ledger_write(ledger), "UPDATE recording SET digest = ? WHERE id = ?");
    query_bind_int(query, 1, (int64_t)digest);
    query_bind_int(query, 2, recording);
    query_run(query);
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

void ledger_doubt(struct ledger *ledger, int64_t recording, const char *content, bool maybe_sent)
{
    struct query *query = db_query(ledger_write(ledger),
                                   "UPDATE recording SET doubt = ?, maybe_sent = ? WHERE id = ?");
    query_bind_text(query, 1, content);
    query_bind_int(query, 2, maybe_sent);
    query_bind_int(query, 3, recording);
    query_run(query);
}

/* What could be sent is held where it is doubtful. */
static void raise_doubt(struct ledger *ledger, int64_t recording, struct resolution *resolution)
{
    if (resolution->outcome != RESOLVED && resolution->outcome != RESOLVED_WAIT)
        return;
    struct query *query =
        db_query(ledger->db, "SELECT doubt, maybe_sent FROM recording WHERE id = ?");
    query_bind_int(query, 1, recording);
    char *reason = query_step(query) ? query_string(query, 0) : NULL;
    if (reason == NULL && resolution->key_kind == KEY_NONE && query_int(query, 1) != 0)
        reason = mem_string(MAYBE_SENT);
    query_end(query);
    if (reason != NULL)
        resolution_doubt(resolution, reason);
}

/* Chorus refused this content under this form: sent again unchanged it would be refused again. */
static bool form_is_refused(const struct ledger_job *job, const struct resolution *r)
{
    return job->state == STATE_FAILED && r->outcome == RESOLVED &&
           same_text(job->owner, r->owner) && same_text(job->name, r->name) &&
           same_text(job->meeting_id, r->meeting_id) &&
           same_text(job->crm_account_id, r->crm_account_id) &&
           same_text(job->crm_opportunity_id, r->crm_opportunity_id);
}

/* The uploaded recording `twin` had this very path: the dialer went on with a file that had been
 * sent. */
static char *changed_after_upload(struct ledger *ledger, int64_t path, int64_t twin)
{
    char *reason = NULL;
    struct query *query = db_query(
        ledger->db,
        "SELECT old.size, now.size FROM path AS now JOIN path AS old ON old.path = now.path"
        " AND old.id <> now.id WHERE now.id = ? AND old.recording = ?"
        " ORDER BY old.id DESC LIMIT 1");
    query_bind_int(query, 1, path);
    query_bind_int(query, 2, twin);
    if (query_step(query))
        reason =
            mem_printf("changed after it was uploaded: %lld to %lld bytes; `retry` sends it as a "
                       "recording of its own",
                       (long long)query_int(query, 0), (long long)query_int(query, 1));
    query_end(query);
    return reason;
}

bool ledger_met_preferred(struct ledger *ledger, const char *call_key, int64_t except)
{
    struct query *query = db_query(ledger->db, "SELECT 1 FROM recording WHERE call_key = ? AND"
                                               " id <> ? AND preferred = 1 LIMIT 1");
    query_bind_text(query, 1, call_key);
    query_bind_int(query, 2, except);
    bool met = query_step(query);
    query_end(query);
    return met;
}

/* Whether `recording` takes the place of the copy that holds its call key: it is preferred, and of
 * the other one nothing can have left. */
static bool takes_place_of(struct ledger *ledger, const struct resolution *r, int64_t holder)
{
    if (holder == 0 || !r->preferred || r->outcome != RESOLVED)
        return false;
    struct query *query =
        db_query(ledger->db, "SELECT 1 FROM recording WHERE id = ? AND preferred = 0 AND state IN"
                             " (2, 3, 5) AND uncertain = 0 AND conflict = 0");
    query_bind_int(query, 1, holder);
    bool takes = query_step(query);
    query_end(query);
    return takes;
}

static void take_place_of(struct ledger *ledger, int64_t recording, int64_t holder, int64_t now_ms)
{
    struct query *query = db_query(
        ledger_write(ledger), "UPDATE recording SET twin_of = ?1 WHERE twin_of = ?2 OR id = ?2");
    query_bind_int(query, 1, recording);
    query_bind_int(query, 2, holder);
    query_run(query);
    recording_move(ledger, holder, STATE_DUPLICATE, 0, 0,
                   "a preferred copy of the same call is sent instead (prefer)", now_ms);
}

static void move_as_resolved(struct ledger *ledger, const struct ledger_job *job,
                             const struct resolution *r, int64_t twin, int64_t not_before_ms,
                             int64_t now_ms)
{
    int64_t recording = job->recording;
    enum recording_state was = job->state;
    /* it waited for what decides, and that is decided now */
    bool released = was == STATE_WAITING && job->digest == 0 && job->attempts == 0;
    if (r->outcome == RESOLVED_SKIP)
        recording_move(ledger, recording, STATE_SKIPPED, 0, 0, r->reason, now_ms);
    else if (twin != 0)
        recording_move(ledger, recording, STATE_DUPLICATE, 0, 0,
                       "the same call as another recording (call_key)", now_ms);
    else if (r->outcome == RESOLVED_HELD)
        recording_move(ledger, recording, STATE_HELD, 0, 0, r->reason, now_ms);
    else if (r->outcome == RESOLVED_WAIT)
        recording_move(ledger, recording, STATE_WAITING, not_before_ms, 0, r->reason, now_ms);
    else if (not_before_ms > now_ms)
        recording_move(ledger, recording, STATE_WAITING, not_before_ms, 0,
                       r->reason != NULL ? r->reason : "its watch has a delay", now_ms);
    else if ((was != STATE_QUEUED && was != STATE_WAITING) || released)
        recording_move(ledger, recording, STATE_QUEUED, 0, 0, NULL, now_ms);
}

/* Whether a deletion blocks it, as it stands before it is sent; then it is deleted. */
static bool is_blocked(struct ledger *ledger, const struct ledger_job *job, int64_t path,
                       const struct resolution *resolution, uint64_t digest, int64_t now_ms)
{
    bool by_path = path_block_take(ledger, path);
    if (!by_path && !ledger_is_blocked(ledger, job->sha256, resolution->call_key))
        return false;
    set_form(ledger, job->recording, path, resolution, digest, 0);
    recording_block(ledger, job->recording, !by_path, now_ms);
    recording_move(ledger, job->recording, STATE_DELETED, 0, 0,
                   by_path ? "a deletion was asked for before it was uploaded" : BLOCKED_REASON,
                   now_ms);
    return true;
}

void ledger_resolve(struct ledger *ledger, int64_t recording, int64_t path,
                    struct resolution *resolution, uint64_t digest, int64_t not_before_ms,
                    int64_t now_ms)
{
    struct ledger_job job;
    if (ledger_job(ledger, recording, &job) != 0)
        return;
    raise_doubt(ledger, recording, resolution);
    bool frozen_out = job.frozen && ledger_is_blocked(ledger, job.sha256, NULL);
    if (job.state == STATE_DELETING || job.state == STATE_DELETED) {
        set_digest(ledger, recording, digest);
    } else if (frozen_out) {
        /* its deletion was refused, and whether it is at Chorus nobody knows */
        set_digest(ledger, recording, digest);
        if (job.state == STATE_GONE)
            recording_move(ledger, recording, STATE_HELD, 0, 0, BLOCKED_REASON, now_ms);
    } else if (!job.frozen && is_blocked(ledger, &job, path, resolution, digest, now_ms)) {
        /* told by the move */
    } else if (job.frozen) {
        set_digest(ledger, recording, digest);
        int64_t due_ms = recording_due(ledger, recording);
        if (job.state == STATE_GONE || job.state == STATE_HELD)
            recording_move(
                ledger, recording, job.state == STATE_GONE ? STATE_UNCERTAIN : STATE_HELD,
                due_ms > now_ms && !mutant("gone-forgets-its-wait") ? due_ms : now_ms, 0,
                "an earlier attempt may have arrived: it keeps its name and key", now_ms);
    } else if (form_is_refused(&job, resolution)) {
        story_add(ledger, path, STATE_DUPLICATE, 0, 0,
                  "the same content as a recording that Chorus refused in this form", now_ms);
    } else {
        if (state_holds_call_key(job.state) &&
            call_key_changes(ledger, recording, resolution->call_key))
            recording_promote_twin(ledger, recording, now_ms);
        int64_t twin = holder_of_call_key(ledger, resolution->call_key, recording);
        char *changed = twin != 0 ? changed_after_upload(ledger, path, twin) : NULL;
        if (changed != NULL) {
            resolution_doubt(resolution, changed);
            twin = 0;
        }
        int64_t replaced = takes_place_of(ledger, resolution, twin) ? twin : 0;
        if (replaced != 0)
            twin = 0;
        set_form(ledger, recording, path, resolution, digest, twin);
        if (replaced != 0)
            take_place_of(ledger, recording, replaced, now_ms);
        move_as_resolved(ledger, &job, resolution, twin, not_before_ms, now_ms);
    }
    ledger_job_clear(&job);
}

/* --- what goes next --- */

int ledger_job(struct ledger *ledger, int64_t recording, struct ledger_job *job)
{
    memset(job, 0, sizeof *job);
    struct query *query = db_query(
        ledger->db,
        "SELECT r.state, r.path, p.watch, p.path, p.root_length, p.dev, p.ino, p.size, p.mtime_ns,"
        " p.ctime_ns, r.sha256, r.key_kind, r.owner, r.name, r.meeting_id, r.crm_account_id,"
        " r.crm_opportunity_id, r.digest, r.attempts, r.uncertain,"
        " r.first_attempt_ms, r.conflict, r.first_seen_ms, r.duration_ms"
        " FROM recording AS r LEFT JOIN path AS p ON p.id = r.path WHERE r.id = ?");
    query_bind_int(query, 1, recording);
    if (!query_step(query))
        return -ENOENT;
    job->recording = recording;
    job->state = (enum recording_state)query_int(query, 0);
    job->path_id = query_int(query, 1);
    job->watch = query_int(query, 2);
    job->path = query_string(query, 3);
    job->root_length = (size_t)query_int(query, 4);
    job->identity = (struct file_identity){
        .dev = (uint64_t)query_int(query, 5),
        .ino = (uint64_t)query_int(query, 6),
        .size = (uint64_t)query_int(query, 7),
        .mtime_ns = query_int(query, 8),
        .ctime_ns = query_int(query, 9),
    };
    (void)query_hash(query, 10, job->sha256);
    job->key_kind = (enum key_kind)query_int(query, 11);
    job->owner = query_string(query, 12);
    job->name = query_string(query, 13);
    job->meeting_id = query_string(query, 14);
    job->crm_account_id = query_string(query, 15);
    job->crm_opportunity_id = query_string(query, 16);
    job->digest = (uint64_t)query_int(query, 17);
    job->attempts = (int)query_int(query, 18);
    job->uncertain = (int)query_int(query, 19);
    job->first_attempt_ms = query_int(query, 20);
    if (mutant("fresh-key-on-resend") && job->attempts > 0 && job->meeting_id != NULL)
        mem_replace(&job->meeting_id, mem_printf("%s-%d", job->meeting_id, job->attempts));
    job->frozen = job->uncertain > 0 || query_int(query, 21) != 0;
    job->first_seen_ms = query_int(query, 22);
    job->duration_ms = query_int(query, 23);
    query_end(query);
    return 0;
}

void ledger_job_clear(struct ledger_job *job)
{
    free(job->path);
    free(job->owner);
    free(job->name);
    free(job->meeting_id);
    free(job->crm_account_id);
    free(job->crm_opportunity_id);
    memset(job, 0, sizeof *job);
}

#define ITEM_COLUMNS                                                                               \
    "id, state, key_kind, attempts, uncertain, first_attempt_ms, next_attempt_ms, mtime_ms, "      \
    "size, conflict"

static void read_item(const struct query *query, enum upload_order order, struct plan_item *item)
{
    *item = (struct plan_item){
        .recording = query_int(query, 0),
        .state = (enum recording_state)query_int(query, 1),
        .key_kind = (enum key_kind)query_int(query, 2),
        .attempts = (int)query_int(query, 3),
        .uncertain = (int)query_int(query, 4),
        .first_attempt_ms = query_int(query, 5),
        .due_ms = query_int(query, 6),
        .conflict = query_int(query, 9) != 0,
    };
    int64_t mtime_ms = query_int(query, 7);
    item->rank = order == ORDER_NEWEST   ? -mtime_ms
                 : order == ORDER_OLDEST ? mtime_ms
                                         : query_int(query, 8);
}

static size_t read_items(struct query *query, enum upload_order order, struct plan_item *items,
                         size_t most)
{
    size_t count = 0;
    query_bind_int(query, 1, (int64_t)most);
    while (count < most && query_step(query))
        read_item(query, order, &items[count++]);
    query_end(query);
    return count;
}

static struct query *queued(struct ledger *ledger, enum upload_order order)
{
    switch (order) {
    case ORDER_NEWEST:
        return db_query(ledger->db, "SELECT " ITEM_COLUMNS " FROM recording WHERE state = 3"
                                    " ORDER BY mtime_ms DESC LIMIT ?1");
    case ORDER_OLDEST:
        return db_query(ledger->db, "SELECT " ITEM_COLUMNS " FROM recording WHERE state = 3"
                                    " ORDER BY mtime_ms LIMIT ?1");
    case ORDER_SMALLEST:
        break;
    }
    return db_query(ledger->db, "SELECT " ITEM_COLUMNS " FROM recording WHERE state = 3"
                                " ORDER BY size LIMIT ?1");
}

/* Waits for the folder of watch ?2, and is due after ?1. */
#define WAITS_FOR_FOLDER                                                                           \
    "state IN (5, 6) AND next_attempt_ms > ?1 AND reason = '" LEDGER_OFFLINE                       \
    "' AND (SELECT watch FROM path WHERE path.id = recording.path) = ?2"

void ledger_folder_is_back(struct ledger *ledger, int64_t watch, int64_t now_ms)
{
    struct query *query =
        db_query(ledger->db, "SELECT id FROM recording WHERE " WAITS_FOR_FOLDER " LIMIT 1");
    query_bind_int(query, 1, now_ms);
    query_bind_int(query, 2, watch);
    int64_t one = query_number(query);
    if (one == 0)
        return;
    query = db_query(ledger_write(ledger),
                     "UPDATE recording SET next_attempt_ms = ?1 WHERE " WAITS_FOR_FOLDER);
    query_bind_int(query, 1, now_ms);
    query_bind_int(query, 2, watch);
    query_run(query);
    recording_note_ready(ledger, one); /* the plan fetches all that is due */
}

static void set_retry_since(struct ledger *ledger, int64_t at_ms)
{
    struct query *query = db_query(
        ledger_write(ledger), "INSERT OR REPLACE INTO counter(name, n) VALUES('retry_since', ?)");
    query_bind_int(query, 1, at_ms);
    query_run(query);
}

void ledger_retry_anew(struct ledger *ledger, int64_t now_ms)
{
    set_retry_since(ledger, now_ms);
    /* of no path: what ledger_mind_leaps goes by, where the clock leaps again while nothing runs */
    story_add(ledger, 0, STATE_SETTLING, 0, 0, "the clock leapt", now_ms);
}

int64_t ledger_retry_since(struct ledger *ledger)
{
    return query_number(db_query(ledger->db, "SELECT n FROM counter WHERE name = 'retry_since'"));
}

void ledger_mind_leaps(struct ledger *ledger, int64_t retry_for_ms, int64_t now_ms)
{
    int64_t later_ms = now_ms, since_ms = 0;
    struct query *query =
        db_query(ledger->db, "SELECT at_ms FROM story ORDER BY id DESC LIMIT 100");
    while (since_ms == 0 && query_step(query)) {
        if (plan_is_leap(later_ms - query_int(query, 0), retry_for_ms))
            since_ms = later_ms;
        later_ms = query_int(query, 0);
    }
    query_end(query);
    int64_t known_ms = ledger_retry_since(ledger);
    bool set_back = plan_is_leap(known_ms - now_ms, retry_for_ms);
    if (since_ms > now_ms)
        since_ms = now_ms;
    if (set_back)
        ledger_retry_anew(ledger, now_ms);
    else if (since_ms > known_ms)
        set_retry_since(ledger, since_ms);
}

void ledger_expect_waits(struct ledger *ledger, int64_t longest_wait_ms)
{
    ledger->far_off_ms = longest_wait_ms > PLAN_FAR_OFF_MS ? longest_wait_ms : PLAN_FAR_OFF_MS;
}

static size_t fetch_due(struct ledger *ledger, int64_t now_ms, struct plan_item *items, size_t most,
                        int64_t *next_due_ms)
{
    struct query *query =
        db_query(ledger->db, "SELECT " ITEM_COLUMNS " FROM recording WHERE state IN (5, 6) AND"
                             " (next_attempt_ms IS NULL OR next_attempt_ms <= ?2 OR"
                             " next_attempt_ms > ?3) ORDER BY next_attempt_ms LIMIT ?1");
    query_bind_int(query, 2, now_ms);
    query_bind_int(query, 3, now_ms + ledger->far_off_ms);
    size_t count = read_items(query, ORDER_OLDEST, items, most);
    for (size_t i = 0; i < count; i++)
        items[i].rank = items[i].due_ms; /* what waits longest goes first, whatever its age */
    query =
        db_query(ledger->db, "SELECT min(next_attempt_ms) FROM recording WHERE"
                             " state IN (5, 6) AND next_attempt_ms > ? AND next_attempt_ms <= ?");
    query_bind_int(query, 1, now_ms);
    query_bind_int(query, 2, now_ms + ledger->far_off_ms);
    *next_due_ms = query_number(query);
    return count;
}

size_t ledger_fetch(struct ledger *ledger, enum plan_lane lane, enum upload_order order,
                    int64_t now_ms, struct plan_item *items, size_t most, int64_t *next_due_ms)
{
    *next_due_ms = 0;
    if (lane == LANE_DUE)
        return fetch_due(ledger, now_ms, items, most, next_due_ms);
    if (lane == LANE_BACK)
        return read_items(queued(ledger, ORDER_OLDEST), ORDER_OLDEST, items, most);
    return read_items(queued(ledger, order), order, items, most);
}

bool ledger_plan_item(struct ledger *ledger, int64_t recording, enum upload_order order,
                      struct plan_item *item)
{
    struct query *query =
        db_query(ledger->db, "SELECT " ITEM_COLUMNS " FROM recording WHERE id = ?");
    query_bind_int(query, 1, recording);
    bool found = query_step(query);
    if (found)
        read_item(query, order, item);
    query_end(query);
    return found && (item->state == STATE_QUEUED || item->state == STATE_WAITING ||
                     item->state == STATE_UNCERTAIN);
}

/* --- attempts --- */

void posts_count(struct ledger *ledger, int by)
{
    struct query *query =
        db_query(ledger_write(ledger), "UPDATE counter SET n = n + ? WHERE name = 'posts'");
    query_bind_int(query, 1, by);
    query_run(query);
}

bool ledger_block(struct ledger *ledger, int64_t recording, int64_t now_ms)
{
    struct ledger_tombstone tombstones[2];
    size_t count = recording_tombstones(ledger, recording, tombstones);
    bool blocked = false;
    for (size_t i = 0; i < count; i++)
        blocked = blocked || tombstone_blocks(ledger, &tombstones[i]);
    if (!blocked || !state_may_move(recording_state_of(ledger, recording), STATE_DELETED))
        return blocked;
    recording_block(ledger, recording, true, now_ms);
    recording_move(ledger, recording, STATE_DELETED, 0, 0, BLOCKED_REASON, now_ms);
    return true;
}

void ledger_intend(struct ledger *ledger, int64_t recording, int64_t now_ms)
{
    struct query *query =
        db_query(ledger_write(ledger), "UPDATE recording SET state = 4, attempts = attempts + 1,"
                                       " first_attempt_ms = coalesce(first_attempt_ms, ?2),"
                                       " next_attempt_ms = NULL WHERE id = ?1 AND"
                                       " (state = 3 OR state = 5 OR state = 6)");
    if (mutant("no-intent"))
        return;
    query_bind_int(query, 1, recording);
    query_bind_int(query, 2, now_ms);
    query_run(query);
    posts_count(ledger, 1);
}

static void settle_attempt(struct ledger *ledger, int64_t recording, const struct plan_move *move)
{
    bool taken_back = move->attempt == ATTEMPT_FREE || move->attempt == ATTEMPT_NEVER_LEFT;
    if (move->attempt == ATTEMPT_NEVER_LEFT)
        posts_count(ledger, -1);
    struct query *query =
        db_query(ledger_write(ledger),
                 "UPDATE recording SET attempts = attempts - ?2,"
                 " first_attempt_ms = CASE WHEN attempts = ?2 THEN NULL ELSE first_attempt_ms END,"
                 " uncertain = uncertain + ?3, held = ?4, known_by_409 = ?5,"
                 " conflict = ?7,"
                 " engagement_id = coalesce(?6, engagement_id) WHERE id = ?1");
    query_bind_int(query, 1, recording);
    query_bind_int(query, 2, taken_back);
    query_bind_int(query, 3, move->was_uncertain && !mutant("doubt-forgotten"));
    query_bind_int(query, 4, move->held);
    query_bind_int(query, 5, move->known_by_409);
    query_bind_int(query, 7, move->conflict);
    bool has_id = move->engagement_id != NULL && move->engagement_id[0] != '\0';
    query_bind_text(query, 6, has_id ? move->engagement_id : NULL);
    query_run(query);
}

void ledger_move(struct ledger *ledger, int64_t recording, const struct plan_move *move,
                 int64_t now_ms)
{
    const char *reason = move->reason[0] != '\0' ? move->reason : NULL;
    enum recording_state state = recording_state_of(ledger, recording);
    if (state == STATE_DELETING || state == STATE_DELETED)
        return; /* a deletion came first: what becomes of it is for its erasure */
    recording_move(ledger, recording, move->to, move->next_attempt_ms, move->status, reason,
                   now_ms);
    settle_attempt(ledger, recording, move);
    if (state == STATE_UPLOADING)
        erasure_consume(ledger, recording, now_ms);
}

size_t ledger_recover(struct ledger *ledger, int64_t resend_after_ms, int64_t now_ms)
{
    size_t count = 0;
    int64_t recordings[64];
    for (;;) {
        size_t n = ledger_in_state(ledger, STATE_UPLOADING, 0, recordings, 64);
        for (size_t i = 0; i < n; i++) {
            struct plan_move move = {.to = STATE_UNCERTAIN,
                                     .was_uncertain = true,
                                     .next_attempt_ms = now_ms + resend_after_ms,
                                     .attempt = ATTEMPT_COUNTS,
                                     .reason = "the program ended while it was being sent: it may "
                                               "have arrived"};
            if (mutant("no-recover"))
                move = (struct plan_move){.to = STATE_QUEUED, .attempt = ATTEMPT_COUNTS};
            ledger_move(ledger, recordings[i], &move, now_ms);
        }
        count += n;
        if (n == 0 || db_error(ledger->db) != 0)
            return count;
    }
}

/* --- walks --- */

static size_t read_ids(struct query *query, int64_t *recordings, size_t most)
{
    size_t count = 0;
    while (count < most && query_step(query))
        recordings[count++] = query_int(query, 0);
    query_end(query);
    return count;
}

size_t ledger_held_otherwise(struct ledger *ledger, uint64_t digest, int64_t after,
                             int64_t *recordings, size_t most)
{
    struct query *query =
        db_query(ledger->db, "SELECT id FROM recording WHERE state IN (2, 10) AND id > ? AND"
                             " digest <> ? AND digest <> 1 AND (state = 10 OR held IN (1, 2))"
                             " ORDER BY id LIMIT ?");
    query_bind_int(query, 1, after);
    query_bind_int(query, 2, (int64_t)digest);
    query_bind_int(query, 3, (int64_t)most);
    return read_ids(query, recordings, most);
}

size_t ledger_in_state(struct ledger *ledger, enum recording_state state, int64_t after,
                       int64_t *recordings, size_t most)
{
    struct db *db = ledger->db;
    struct query *query;
    /* literals, for the partial indexes */
    if (state == STATE_HELD)
        query = db_query(db, "SELECT id FROM recording WHERE state = 2 AND id > ?1 ORDER BY id"
                             " LIMIT ?2");
    else if (state == STATE_UPLOADING)
        query = db_query(db, "SELECT id FROM recording WHERE state = 4 AND id > ?1 ORDER BY id"
                             " LIMIT ?2");
    else if (state == STATE_FAILED)
        query = db_query(db, "SELECT id FROM recording WHERE state = 9 AND id > ?1 ORDER BY id"
                             " LIMIT ?2");
    else
        query = db_query(db, "SELECT id FROM recording WHERE state = ?3 AND id > ?1 ORDER BY id"
                             " LIMIT ?2");
    query_bind_int(query, 1, after);
    query_bind_int(query, 2, (int64_t)most);
    if (state != STATE_HELD && state != STATE_UPLOADING && state != STATE_FAILED)
        query_bind_int(query, 3, state);
    return read_ids(query, recordings, most);
}

/* That path, and everything below it: '0' follows '/'. */
static void bind_below(struct query *query, const char *path)
{
    char *from = mem_printf("%s/", path), *to = mem_printf("%s0", path);
    query_bind_blob(query, 1, path, strlen(path));
    query_bind_blob(query, 2, from, strlen(from));
    query_bind_blob(query, 3, to, strlen(to));
    free(from);
    free(to);
}

size_t ledger_recordings_below(struct ledger *ledger, const char *path, int64_t after,
                               int64_t *recordings, size_t most)
{
    struct query *query = db_query(
        ledger->db, "SELECT DISTINCT recording FROM path WHERE current = 1 AND recording > ?4 AND"
                    " (path = ?1 OR (path >= ?2 AND path < ?3)) ORDER BY recording LIMIT ?5");
    bind_below(query, path);
    query_bind_int(query, 4, after);
    query_bind_int(query, 5, (int64_t)most);
    return read_ids(query, recordings, most);
}

bool ledger_knows_path(struct ledger *ledger, const char *path)
{
    struct query *query = db_query(ledger->db, "SELECT 1 FROM path WHERE path = ?1 OR"
                                               " (path >= ?2 AND path < ?3) LIMIT 1");
    bind_below(query, path);
    bool known = query_step(query);
    query_end(query);
    return known;
}

int ledger_retry(struct ledger *ledger, int64_t recording, int64_t now_ms)
{
    struct ledger_job job;
    if (ledger_job(ledger, recording, &job) != 0)
        return -ENOENT;
    bool again = (job.state == STATE_HELD || job.state == STATE_FAILED || job.state == STATE_GONE ||
                  job.state == STATE_WAITING) &&
                 !ledger_is_blocked(ledger, job.sha256, NULL);
    ledger_job_clear(&job);
    if (!again)
        return -EEXIST;
    /* a person has decided; a form that was held in doubt is sent as it was found: rules would only
     * raise the same doubt again. It starts afresh, under the rules as they are now; only a key
     * made of the content still remembers earlier attempts, for then a 409 is proof */
    struct query *query =
        db_query(ledger_write(ledger),
                 "UPDATE recording SET digest = CASE WHEN held = 3 OR digest = 1 THEN digest"
                 " ELSE 0 END, first_attempt_ms = NULL,"
                 " doubt = CASE WHEN held = 3 THEN NULL ELSE doubt END,"
                 " maybe_sent = CASE WHEN held = 3 THEN 0 ELSE maybe_sent END,"
                 " held = 0, conflict = 0, uncertain = CASE WHEN key_kind = 2 THEN"
                 " uncertain ELSE 0 END WHERE id = ?");
    query_bind_int(query, 1, recording);
    query_run(query);
    recording_move(ledger, recording, STATE_QUEUED, 0, 0, "put back in the queue on request",
                   now_ms);
    return 0;
}
