/* Opening, committing, and the moves that everything else is made of. */
#include "agent/ledger/ledger.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/base/mutant.h"
#include "agent/base/when.h"
#include "agent/ledger/internal.h"
#include "agent/ledger/place.h"
#include "agent/ledger/schema.h"

static char *explain_open(int error, const char *file, const struct db *db)
{
    switch (error) {
    case -EPROTO:
        return mem_printf("%s was made by another version of this program; it is left untouched",
                          file);
    case -EUCLEAN:
        return mem_printf("%s is not a ledger, or is broken", file);
    default:
        return mem_printf("%s: %s", file, db_error_words(db));
    }
}

/* Looks through it where the last run did not close it in order. From now on it counts as open,
 * until ledger_close says otherwise. */
static int enter(struct db *db, int64_t *batch)
{
    bool clean = query_number(db_query(db, "SELECT n FROM counter WHERE name = 'clean'")) != 0;
    *batch = query_number(db_query(db, "SELECT n FROM counter WHERE name = 'batch'"));
    if (db_error(db) != 0)
        return db_error(db);
    int error = clean ? 0 : db_check(db);
    if (error != 0)
        return error;
    db_begin(db);
    query_run(db_query(db, "UPDATE counter SET n = 0 WHERE name = 'clean'"));
    return db_commit(db);
}

int ledger_set_aside(const char *state_dir, int64_t now_ms, char **name)
{
    static const char *const parts[] = {"", "-wal", "-shm"};
    char stamp[WHEN_TEXT];
    int error = 0;
    when_compact(now_ms, stamp);
    *name = mem_printf("%s/ledger.corrupt-%s", state_dir, stamp);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        char *from = mem_printf("%s/ledger.db%s", state_dir, parts[i]);
        char *to = mem_printf("%s%s", *name, parts[i]);
        if (rename(from, to) != 0 && errno != ENOENT)
            error = -errno;
        free(from);
        free(to);
    }
    return error;
}

static int open_once(const char *state_dir, enum ledger_mode mode, struct ledger **out, char **why)
{
    char *problem = mode == LEDGER_WRITE ? place_problem(state_dir) : NULL;
    if (problem != NULL) {
        *why = problem;
        return -ENOTSUP;
    }
    char *file = mem_printf("%s/ledger.db", state_dir);
    struct db *db = NULL;
    int64_t batch = 0;
    int error = db_open(file, mode == LEDGER_WRITE ? DB_WRITE : DB_READ, &db, why);
    if (error == 0) {
        error = mode == LEDGER_WRITE ? schema_prepare(db) : schema_check(db);
        if (error == 0 && mode == LEDGER_WRITE)
            error = enter(db, &batch);
        if (error != 0)
            *why = explain_open(error, file, db);
    }
    free(file);
    if (error != 0) {
        db_close(db);
        return error;
    }
    struct ledger *ledger = mem_zalloc(sizeof *ledger);
    ledger->db = db;
    ledger->writes = mode == LEDGER_WRITE;
    ledger->batch = batch;
    ledger->far_off_ms = PLAN_FAR_OFF_MS;
    *out = ledger;
    return 0;
}

int ledger_open(const char *state_dir, enum ledger_mode mode, struct ledger **out, char **why)
{
    char *words = NULL;
    int error = open_once(state_dir, mode, out, &words);
    if (error == -EUCLEAN) {
        /* a read that fails at a bad moment makes SQLite take a sound file for a broken one: that
         * is believed only when it is found twice */
        mem_replace(&words, NULL);
        error = open_once(state_dir, mode, out, &words);
    }
    if (why != NULL)
        *why = words;
    else
        free(words);
    return error;
}

void ledger_close(struct ledger *ledger)
{
    if (ledger == NULL)
        return;
    if (ledger->dirty)
        db_rollback(ledger->db);
    if (ledger->writes) {
        db_begin(ledger->db);
        query_run(db_query(ledger->db, "UPDATE counter SET n = 1 WHERE name = 'clean'"));
        db_commit(ledger->db);
    }
    db_close(ledger->db);
    free(ledger->ready);
    free(ledger);
}

struct db *ledger_write(struct ledger *ledger)
{
    if (!ledger->dirty)
        db_begin(ledger->db);
    ledger->dirty = true;
    return ledger->db;
}

int ledger_commit(struct ledger *ledger)
{
    if (!ledger->dirty) {
        int failed_read = db_error(ledger->db);
        db_clear_error(ledger->db);
        return failed_read;
    }
    ledger->dirty = false;
    query_run(db_query(ledger->db, "UPDATE counter SET n = n + 1 WHERE name = 'batch'"));
    int error = db_commit(ledger->db);
    if (error != 0)
        ledger->ready_count = 0;
    else
        ledger->batch++;
    return error;
}

int64_t ledger_batch(const struct ledger *ledger)
{
    return ledger->batch;
}

bool ledger_has_failed(const struct ledger *ledger)
{
    return db_error(ledger->db) != 0;
}

void ledger_begin_reads(struct ledger *ledger)
{
    db_begin_reads(ledger->db);
}

void ledger_end_reads(struct ledger *ledger)
{
    db_end_reads(ledger->db);
}

bool ledger_is_dirty(const struct ledger *ledger)
{
    return ledger->dirty;
}

int ledger_error(const struct ledger *ledger)
{
    return db_error(ledger->db);
}

const char *ledger_error_words(const struct ledger *ledger)
{
    return db_error_words(ledger->db);
}

void ledger_watch(struct ledger *ledger, const char *name, const char *path, int64_t first_start_ms,
                  int64_t lost_ms, struct ledger_watch *watch)
{
    struct db *db = ledger_write(ledger);
    struct query *query =
        db_query(db, "INSERT OR IGNORE INTO watch(name, path, first_start_ms, lost_ms)"
                     " VALUES(?, ?, ?, ?)");
    query_bind_text(query, 1, name);
    query_bind_text(query, 2, path);
    query_bind_int(query, 3, first_start_ms);
    query_bind_int_or_null(query, 4, lost_ms);
    query_run(query);
    query = db_query(db, "SELECT id, first_start_ms, first_scan_done, root_dev, root_ino, lost_ms"
                         " FROM watch"
                         " WHERE name = ? AND path = ?");
    query_bind_text(query, 1, name);
    query_bind_text(query, 2, path);
    *watch = (struct ledger_watch){0};
    if (query_step(query)) {
        watch->id = query_int(query, 0);
        watch->first_start_ms = query_int(query, 1);
        watch->first_scan_done = query_int(query, 2) != 0;
        watch->root_dev = (uint64_t)query_int(query, 3);
        watch->root_ino = (uint64_t)query_int(query, 4);
        watch->lost_ms = query_int(query, 5);
    }
    query_end(query);
}

void ledger_trust_root(struct ledger *ledger, int64_t watch, uint64_t dev, uint64_t ino)
{
    struct query *query =
        db_query(ledger_write(ledger), "UPDATE watch SET root_dev = ?, root_ino = ? WHERE id = ?");
    query_bind_int(query, 1, (int64_t)dev);
    query_bind_int(query, 2, (int64_t)ino);
    query_bind_int(query, 3, watch);
    query_run(query);
}

bool ledger_watch_by_id(struct ledger *ledger, int64_t watch, char **name, char **path)
{
    struct query *query = db_query(ledger->db, "SELECT name, path FROM watch WHERE id = ?");
    query_bind_int(query, 1, watch);
    bool found = query_step(query);
    if (found) {
        *name = query_string(query, 0);
        *path = query_string(query, 1);
    }
    query_end(query);
    return found;
}

void ledger_first_scan_done(struct ledger *ledger, int64_t watch)
{
    struct query *query =
        db_query(ledger_write(ledger), "UPDATE watch SET first_scan_done = 1 WHERE id = ?");
    query_bind_int(query, 1, watch);
    query_run(query);
}

void story_add(struct ledger *ledger, int64_t path, enum recording_state state, int attempt,
               int status, const char *reason, int64_t now_ms)
{
    struct query *query =
        db_query(ledger_write(ledger), "INSERT INTO story(path, at_ms, state, attempt, status,"
                                       " reason) VALUES(?, ?, ?, ?, ?, ?)");
    query_bind_int(query, 1, path);
    query_bind_int(query, 2, now_ms);
    query_bind_int(query, 3, state);
    query_bind_int_or_null(query, 4, attempt);
    query_bind_int_or_null(query, 5, status);
    query_bind_text(query, 6, reason);
    query_run(query);
}

bool ledger_told_last(struct ledger *ledger, int64_t path, enum recording_state *state,
                      char **reason)
{
    struct query *query = db_query(
        ledger->db, "SELECT state, reason FROM story WHERE path = ? ORDER BY id DESC LIMIT 1");
    query_bind_int(query, 1, path);
    bool told = query_step(query);
    if (told) {
        *state = (enum recording_state)query_int(query, 0);
        *reason = query_string(query, 1);
    }
    query_end(query);
    return told;
}

struct now_of {
    enum recording_state state;
    int64_t path;
    int attempts;
    bool same_reason;
};

static struct now_of look(struct ledger *ledger, int64_t recording, const char *reason)
{
    struct now_of now = {.state = STATE_GONE};
    struct query *query = db_query(
        ledger->db, "SELECT state, path, attempts, reason IS ?2 FROM recording WHERE id = ?1");
    query_bind_int(query, 1, recording);
    query_bind_text(query, 2, reason);
    if (query_step(query)) {
        now.state = (enum recording_state)query_int(query, 0);
        now.path = query_int(query, 1);
        now.attempts = (int)query_int(query, 2);
        now.same_reason = query_int(query, 3) != 0;
    }
    query_end(query);
    return now;
}

enum recording_state recording_state_of(struct ledger *ledger, int64_t recording)
{
    return look(ledger, recording, NULL).state;
}

int64_t recording_due(struct ledger *ledger, int64_t recording)
{
    struct query *query =
        db_query(ledger->db, "SELECT next_attempt_ms FROM recording WHERE id = ?");
    query_bind_int(query, 1, recording);
    return query_number(query);
}

void recording_note_ready(struct ledger *ledger, int64_t recording)
{
    if (ledger->ready_count == ledger->ready_room) {
        ledger->ready_room = ledger->ready_room > 0 ? 2 * ledger->ready_room : 64;
        ledger->ready = mem_resize(ledger->ready, ledger->ready_room, sizeof *ledger->ready);
    }
    ledger->ready[ledger->ready_count++] = recording;
}

size_t ledger_take_ready(struct ledger *ledger, int64_t *recordings, size_t most)
{
    size_t n = ledger->ready_count < most ? ledger->ready_count : most;
    for (size_t i = 0; i < n; i++)
        recordings[i] = ledger->ready[ledger->ready_count - n + i];
    ledger->ready_count -= n;
    return n;
}

void recording_move(struct ledger *ledger, int64_t recording, enum recording_state to,
                    int64_t next_attempt_ms, int status, const char *reason, int64_t now_ms)
{
    struct db *db = ledger_write(ledger);
    struct now_of now = look(ledger, recording, reason);
    assert(db_error(db) != 0 || state_may_move(now.state, to));
    struct query *query = db_query(
        db, "UPDATE recording SET state = ?2, next_attempt_ms = ?3, reason = ?4,"
            " held = CASE WHEN ?2 = 2 THEN held ELSE 0 END,"
            " uploaded_ms = CASE WHEN ?2 = 7 AND uploaded_ms IS NULL THEN ?5 ELSE uploaded_ms END,"
            " deleted_ms = CASE WHEN ?2 = 13 AND deleted_ms IS NULL THEN ?5 ELSE deleted_ms END,"
            " check_ms = CASE WHEN ?2 = 7 THEN ?5 + 60000 ELSE check_ms END"
            " WHERE id = ?1");
    query_bind_int(query, 1, recording);
    query_bind_int(query, 2, to);
    query_bind_int_or_null(query, 3, next_attempt_ms);
    query_bind_text(query, 4, reason);
    query_bind_int(query, 5, now_ms);
    query_run(query);
    bool attempt_ended = now.state == STATE_UPLOADING;
    /* what is put off again and again, as while its folder is offline, is told once */
    if (to != now.state || !now.same_reason)
        story_add(ledger, now.path, to, attempt_ended ? now.attempts : 0, status, reason, now_ms);
    if (to == STATE_QUEUED || to == STATE_WAITING || to == STATE_UNCERTAIN)
        recording_note_ready(ledger, recording);
    if (state_holds_call_key(now.state) && !state_holds_call_key(to) && to != STATE_DUPLICATE)
        recording_promote_twin(ledger, recording, now_ms);
}

int64_t recording_other_path(struct ledger *ledger, int64_t recording, int64_t except)
{
    struct query *query =
        db_query(ledger->db, "SELECT id FROM path WHERE recording = ? AND id <> ? AND present = 1"
                             " AND current = 1 ORDER BY id LIMIT 1");
    query_bind_int(query, 1, recording);
    query_bind_int(query, 2, except);
    return query_number(query);
}

void recording_promote_twin(struct ledger *ledger, int64_t recording, int64_t now_ms)
{
    struct query *query = db_query(
        ledger->db,
        "SELECT twin.id, path.id FROM recording AS old JOIN recording AS twin ON twin.call_key = "
        "old.call_key"
        " JOIN path ON path.recording = twin.id AND path.present = 1 AND path.current = 1"
        " WHERE old.id = ?1 AND old.call_key IS NOT NULL AND twin.id <> ?1 AND twin.state = 8"
        " AND twin.known_by_409 = 0 AND NOT EXISTS (SELECT 1 FROM recording AS other WHERE"
        " other.call_key = old.call_key AND other.id <> ?1 AND"
        " (other.state NOT IN (8, 9, 10, 11) OR other.known_by_409 = 1))"
        " ORDER BY twin.preferred DESC, twin.id, path.id <> twin.path, path.id LIMIT 1");
    query_bind_int(query, 1, recording);
    int64_t twin = 0, path = 0;
    if (query_step(query)) {
        twin = query_int(query, 0);
        path = query_int(query, 1);
    }
    query_end(query);
    if (twin == 0 || mutant("twin-not-promoted"))
        return;
    query = db_query(ledger->db, "UPDATE recording SET twin_of = ? WHERE twin_of = ?");
    query_bind_int(query, 1, twin);
    query_bind_int(query, 2, recording);
    query_run(query);
    /* digest 0: the rules are applied again before it leaves */
    query = db_query(ledger->db,
                     "UPDATE recording SET path = ?, digest = 0, twin_of = NULL WHERE id = ?");
    query_bind_int(query, 1, path);
    query_bind_int(query, 2, twin);
    query_run(query);
    recording_move(ledger, twin, STATE_QUEUED, 0, 0,
                   "its twin by call key was not uploaded: this one goes instead", now_ms);
}
