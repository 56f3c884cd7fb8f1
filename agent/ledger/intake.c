/*
 * Intake: what a finished file becomes. Either its content is new (a recording), or it is a further
 * path of one, or it is skipped.
 *
 * A path row is one version of one file. While nothing of the old version can have reached Chorus,
 * a new version takes the row over and the old content is forgotten; else the old row stays, no
 * longer `current`, as the path of what was sent.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/base/mutant.h"
#include "agent/ledger/internal.h"
#include "agent/ledger/schema.h"

/* Binds the path, under its own bytes or as it was wiped. */
static void know(struct ledger *ledger, const void *path, size_t n,
                 const struct file_identity *identity, struct ledger_known *known)
{
    struct query *query = db_query(
        ledger->db, "SELECT p.id, p.present = 1 AND p.ino = ?2 AND p.size = ?3 AND"
                    " p.mtime_ns = ?4 AND (p.ctime_ns = ?5 OR p.skip = 1) AND"
                    " (p.recording IS NOT NULL OR p.skip <> 0),"
                    " p.recording, r.state, p.skip FROM path AS p LEFT JOIN recording AS r ON r.id "
                    "= p.recording"
                    " WHERE p.path = ?1 AND p.current = 1");
    query_bind_blob(query, 1, path, n);
    query_bind_int(query, 2, (int64_t)identity->ino);
    query_bind_int(query, 3, (int64_t)identity->size);
    query_bind_int(query, 4, identity->mtime_ns);
    query_bind_int(query, 5, identity->ctime_ns);
    if (query_step(query)) {
        known->path = query_int(query, 0);
        known->same = query_int(query, 1) != 0 || mutant("identity-by-path");
        known->recording = query_int(query, 2);
        known->state = (enum recording_state)query_int(query, 3);
        known->skip = (enum skip_kind)query_int(query, 4);
    }
    query_end(query);
}

static bool has_wiped_paths(struct ledger *ledger)
{
    struct query *query =
        db_query(ledger->db, "SELECT 1 FROM path WHERE path >= X'00' AND path < X'01' LIMIT 1");
    bool has = query_step(query);
    query_end(query);
    return has;
}

void ledger_know(struct ledger *ledger, const char *path, const struct file_identity *identity,
                 struct ledger_known *known)
{
    uint8_t key[WIPED_PATH];
    *known = (struct ledger_known){0};
    know(ledger, path, strlen(path), identity, known);
    if (known->path == 0 && has_wiped_paths(ledger)) {
        wiped_path(path, key);
        know(ledger, key, sizeof key, identity, known);
        if (!known->same)
            *known = (struct ledger_known){0}; /* another file: nothing is known of it */
    }
}

bool ledger_is_renamed_skip(struct ledger *ledger, const struct file_identity *identity)
{
    struct query *query = db_query(ledger->db, "SELECT 1 FROM path WHERE ino = ? AND dev = ? AND"
                                               " skip = 1 AND size = ? AND mtime_ns = ?");
    query_bind_int(query, 1, (int64_t)identity->ino);
    query_bind_int(query, 2, (int64_t)identity->dev);
    query_bind_int(query, 3, (int64_t)identity->size);
    query_bind_int(query, 4, identity->mtime_ns);
    bool found = query_step(query);
    query_end(query);
    return found;
}

struct path_row {
    int64_t id, recording, ino;
    uint64_t size;
};

static struct path_row current_row(struct ledger *ledger, const char *path)
{
    struct path_row row = {0};
    struct query *query =
        db_query(ledger->db, "SELECT id, recording, ino, size FROM path WHERE path = ?"
                             " AND current = 1");
    query_bind_blob(query, 1, path, strlen(path));
    if (query_step(query)) {
        row.id = query_int(query, 0);
        row.recording = query_int(query, 1);
        row.ino = query_int(query, 2);
        row.size = (uint64_t)query_int(query, 3);
    }
    query_end(query);
    return row;
}

static int64_t insert_row(struct ledger *ledger, const struct ledger_file *file, int64_t now_ms)
{
    struct query *query =
        db_query(ledger_write(ledger),
                 "INSERT INTO path(path, root_length, watch, dev, ino, size, mtime_ns, ctime_ns,"
                 " first_seen_ms, bulk, file) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    query_bind_blob(query, 1, file->path, strlen(file->path));
    query_bind_int(query, 2, (int64_t)file->root_length);
    query_bind_int(query, 3, file->watch);
    query_bind_int(query, 4, (int64_t)file->identity.dev);
    query_bind_int(query, 5, (int64_t)file->identity.ino);
    query_bind_int(query, 6, (int64_t)file->identity.size);
    query_bind_int(query, 7, file->identity.mtime_ns);
    query_bind_int(query, 8, file->identity.ctime_ns);
    query_bind_int(query, 9, now_ms);
    query_bind_int_or_null(query, 10, file->bulk);
    const char *name = strrchr(file->path, '/') + 1; /* it is absolute */
    query_bind_blob(query, 11, name, strlen(name));
    query_run(query);
    return db_last_id(ledger->db);
}

static void refresh_row(struct ledger *ledger, int64_t row, const struct ledger_file *file)
{
    struct query *query = db_query(ledger_write(ledger),
                                   "UPDATE path SET root_length = ?, watch = ?, dev = ?, ino = ?,"
                                   " size = ?, mtime_ns = ?, ctime_ns = ?, present = 1, skip = 0,"
                                   " bulk = coalesce(?, bulk),"
                                   " retire = CASE WHEN retire IN (3, 4) THEN 0 ELSE retire END,"
                                   " remove = 0"
                                   " WHERE id = ?");
    query_bind_int(query, 1, (int64_t)file->root_length);
    query_bind_int(query, 2, file->watch);
    query_bind_int(query, 3, (int64_t)file->identity.dev);
    query_bind_int(query, 4, (int64_t)file->identity.ino);
    query_bind_int(query, 5, (int64_t)file->identity.size);
    query_bind_int(query, 6, file->identity.mtime_ns);
    query_bind_int(query, 7, file->identity.ctime_ns);
    query_bind_int_or_null(query, 8, file->bulk);
    query_bind_int(query, 9, row);
    query_run(query);
}

/* --- the old version of a path --- */

struct old_recording {
    enum recording_state state;
    int64_t path, size;
    int uncertain;
    bool known_by_409;
};

static struct old_recording old_recording(struct ledger *ledger, int64_t recording)
{
    struct old_recording old = {0};
    struct query *query =
        db_query(ledger->db, "SELECT state, path, size, uncertain, known_by_409 FROM recording"
                             " WHERE id = ?");
    query_bind_int(query, 1, recording);
    if (query_step(query)) {
        old.state = (enum recording_state)query_int(query, 0);
        old.path = query_int(query, 1);
        old.size = query_int(query, 2);
        old.uncertain = (int)query_int(query, 3);
        old.known_by_409 = query_int(query, 4) != 0;
    }
    query_end(query);
    return old;
}

/* Whether something of it is, or may be, or is just being sent to Chorus. */
static bool may_be_there(const struct old_recording *old)
{
    return old->uncertain > 0 || old->known_by_409 || old->state == STATE_UPLOADED ||
           old->state == STATE_UPLOADING || old->state == STATE_UNCERTAIN ||
           old->state == STATE_DELETING || old->state == STATE_DELETED;
}

static void set_row_recording(struct ledger *ledger, int64_t row, int64_t recording)
{
    struct query *query =
        db_query(ledger_write(ledger), "UPDATE path SET recording = ? WHERE id = ?");
    query_bind_int_or_null(query, 1, recording);
    query_bind_int(query, 2, row);
    query_run(query);
}

static void set_chosen_path(struct ledger *ledger, int64_t recording, int64_t row)
{
    /* digest 0: the rules are applied again before it leaves, for they look at the path */
    struct query *query = db_query(ledger_write(ledger),
                                   "UPDATE recording SET path = ?, digest = CASE WHEN digest = 1"
                                   " THEN 1 ELSE 0 END WHERE id = ?");
    query_bind_int(query, 1, row);
    query_bind_int(query, 2, recording);
    query_run(query);
    enum recording_state state = recording_state_of(ledger, recording);
    if (state == STATE_QUEUED || state == STATE_WAITING || state == STATE_UNCERTAIN)
        recording_note_ready(ledger, recording);
}

static void run_for(struct ledger *ledger, const char *sql, int64_t recording)
{
    struct query *query = db_query(ledger_write(ledger), sql);
    query_bind_int(query, 1, recording);
    query_run(query);
}

static void delete_recording(struct ledger *ledger, int64_t recording, int64_t now_ms)
{
    if (state_holds_call_key(recording_state_of(ledger, recording)))
        recording_promote_twin(ledger, recording, now_ms);
    run_for(ledger, "UPDATE recording SET twin_of = NULL WHERE twin_of = ?", recording);
    /* copies that have left */
    run_for(ledger, "UPDATE path SET recording = NULL WHERE recording = ?", recording);
    run_for(ledger, "DELETE FROM recording WHERE id = ?", recording);
}

/* The row no longer has this content, of which nothing can have left. */
static void forget_content(struct ledger *ledger, int64_t row, int64_t recording,
                           const struct old_recording *old, int64_t now_ms)
{
    set_row_recording(ledger, row, 0);
    if (old->path != row)
        return;
    int64_t other = recording_other_path(ledger, recording, row);
    if (other != 0)
        set_chosen_path(ledger, recording, other);
    else
        delete_recording(ledger, recording, now_ms);
}

/* The path has new content. Returns the row that takes it, 0: a new one is needed. */
static int64_t leave_old_content(struct ledger *ledger, const struct path_row *row,
                                 uint64_t new_size, int64_t now_ms)
{
    if (row->recording == 0)
        return row->id;
    struct old_recording old = old_recording(ledger, row->recording);
    char *reason = mem_printf("its content changed: %lld to %llu bytes", (long long)old.size,
                              (unsigned long long)new_size);
    story_add(ledger, row->id, STATE_SETTLING, 0, 0, reason, now_ms);
    free(reason);
    if (!may_be_there(&old)) {
        forget_content(ledger, row->id, row->recording, &old, now_ms);
        return row->id;
    }
    struct query *query =
        db_query(ledger_write(ledger), "UPDATE path SET current = -id, present = 0 WHERE id = ?");
    query_bind_int(query, 1, row->id);
    query_run(query);
    return 0;
}

/* --- skipped --- */

void ledger_skip(struct ledger *ledger, const struct ledger_file *file, enum skip_kind kind,
                 const char *rule, const char *reason, uint64_t digest, int64_t now_ms)
{
    struct path_row row = current_row(ledger, file->path);
    int64_t id = row.id != 0 ? leave_old_content(ledger, &row, file->identity.size, now_ms) : 0;
    if (id == 0)
        id = insert_row(ledger, file, now_ms);
    else
        refresh_row(ledger, id, file);
    struct query *query =
        db_query(ledger_write(ledger),
                 "UPDATE path SET skip = ?, rule = ?, reason = ?, digest = ? WHERE id = ?");
    query_bind_int(query, 1, kind);
    query_bind_text(query, 2, rule);
    query_bind_text(query, 3, reason);
    query_bind_int(query, 4, (int64_t)digest);
    query_bind_int(query, 5, id);
    query_run(query);
    /* a first start in front of a million files tells its story once, in the log */
    if (kind != SKIP_BEFORE_START)
        story_add(ledger, id, STATE_SKIPPED, 0, 0, reason, now_ms);
}

size_t ledger_forget_skips(struct ledger *ledger, uint64_t digest, size_t most)
{
    struct query *query =
        db_query(ledger_write(ledger),
                 "UPDATE path SET skip = 0, present = 0 WHERE id IN (SELECT id FROM path"
                 " WHERE skip IN (2, 4) AND digest <> ?1 LIMIT ?2)");
    query_bind_int(query, 1, (int64_t)digest);
    query_bind_int(query, 2, (int64_t)most);
    query_run(query);
    return db_error(ledger->db) == 0 ? (size_t)db_changes(ledger->db) : 0;
}

/* --- admitted --- */

static int64_t find_content(struct ledger *ledger, const uint8_t sha256[32])
{
    struct query *query = db_query(ledger->db, "SELECT id FROM recording WHERE sha256 = ?");
    query_bind_blob(query, 1, sha256, 32);
    return query_number(query);
}

static int64_t insert_recording(struct ledger *ledger, const struct ledger_file *file,
                                const uint8_t sha256[32], int64_t path, int64_t now_ms)
{
    struct query *query =
        db_query(ledger_write(ledger), "INSERT INTO recording(sha256, size, state, path, mtime_ms,"
                                       " first_seen_ms, duration_ms) VALUES(?, ?, 1, ?, ?, ?, ?)");
    query_bind_blob(query, 1, sha256, 32);
    query_bind_int(query, 2, (int64_t)file->identity.size);
    query_bind_int(query, 3, path);
    query_bind_int(query, 4, file->identity.mtime_ns / 1000000);
    query_bind_int(query, 5, now_ms);
    query_bind_int_or_null(query, 6, file->duration_ms);
    query_run(query);
    return db_last_id(ledger->db);
}

/* Whether a recording has no path left to be sent from: it is gone, or the second of a call, kept
 * for the case that the first is not uploaded; or a deleted one, whose copies show what blocks
 * them.
 */
static bool lacks_path(struct ledger *ledger, int64_t recording)
{
    struct query *query =
        db_query(ledger->db, "SELECT 1 FROM recording AS r JOIN path AS p ON p.id = r.path WHERE"
                             " r.id = ? AND (r.state = 11 OR (p.present = 0 AND"
                             " ((r.state = 8 AND r.known_by_409 = 0) OR r.state = 13)))");
    query_bind_int(query, 1, recording);
    bool lacks = query_step(query);
    query_end(query);
    return lacks;
}

/* A further path of a known content: it may be the one that is needed. */
static enum admission_kind join_content(struct ledger *ledger, int64_t recording, int64_t path,
                                        int64_t now_ms)
{
    enum recording_state state = recording_state_of(ledger, recording);
    if (lacks_path(ledger, recording)) {
        set_chosen_path(ledger, recording, path);
        return ADMIT_RESOLVE;
    }
    if (state == STATE_FAILED || state == STATE_SKIPPED)
        return ADMIT_RESOLVE;
    story_add(ledger, path, STATE_DUPLICATE, 0, 0,
              state == STATE_DELETED || state == STATE_DELETING
                  ? "the same content as a recording that was deleted: it is blocked"
                  : "the same content as another recording",
              now_ms);
    return ADMIT_DUPLICATE;
}

void ledger_admit(struct ledger *ledger, const struct ledger_file *file, const uint8_t sha256[32],
                  int64_t now_ms, struct ledger_admission *admission)
{
    ledger_write(ledger);
    struct path_row row = current_row(ledger, file->path);
    int64_t recording = find_content(ledger, sha256);
    *admission = (struct ledger_admission){.recording = recording, .path = row.id};
    if (row.id != 0 && recording != 0 && row.recording == recording) {
        bool needed = lacks_path(ledger, recording);
        refresh_row(ledger, row.id, file);
        if (needed)
            set_chosen_path(ledger, recording, row.id);
        admission->kind = needed ? ADMIT_RESOLVE : ADMIT_KNOWN;
        return;
    }
    bool shrank = row.recording != 0 && row.ino == (int64_t)file->identity.ino &&
                  row.size > file->identity.size;
    admission->shrank_from = shrank ? row.size : 0;
    int64_t id = row.id != 0 ? leave_old_content(ledger, &row, file->identity.size, now_ms) : 0;
    if (id == 0)
        id = insert_row(ledger, file, now_ms);
    else
        refresh_row(ledger, id, file);
    admission->path = id;
    if (recording == 0) {
        admission->recording = insert_recording(ledger, file, sha256, id, now_ms);
        admission->kind = ADMIT_RESOLVE;
        set_row_recording(ledger, id, admission->recording);
        return;
    }
    set_row_recording(ledger, id, recording);
    admission->kind = join_content(ledger, recording, id, now_ms);
    if (admission->kind == ADMIT_DUPLICATE && path_block_take(ledger, id))
        recording_delete(ledger, recording, now_ms);
}

/* --- left its path --- */

/* Whether the recording is gone by it. */
static bool lose_chosen_path(struct ledger *ledger, int64_t recording, int64_t row, int64_t now_ms)
{
    enum recording_state state = recording_state_of(ledger, recording);
    int64_t other = recording_other_path(ledger, recording, row);
    if (other != 0) {
        story_add(ledger, row, STATE_DUPLICATE, 0, 0,
                  "left its path; the same content is taken "
                  "from another",
                  now_ms);
        set_chosen_path(ledger, recording, other);
        return false;
    }
    int64_t due_ms = state == STATE_UNCERTAIN ? recording_due(ledger, recording) : 0;
    recording_move(ledger, recording, STATE_GONE, due_ms, 0,
                   state == STATE_UNCERTAIN
                       ? "vanished after an upload whose answer was lost: Chorus may have it"
                       : "vanished before it was uploaded",
                   now_ms);
    return true;
}

/* A recording that is to be sent from this path, whichever version of the file it was: the file may
 * have changed or left while it was in flight. */
static struct path_row row_to_be_sent(struct ledger *ledger, const char *path)
{
    struct path_row row = {0};
    struct query *query =
        db_query(ledger->db, "SELECT p.id, r.id FROM path AS p JOIN recording AS r ON r.path = p.id"
                             " WHERE p.path = ? AND " LEDGER_IS_OPEN("r.") " LIMIT 1");
    query_bind_blob(query, 1, path, strlen(path));
    if (query_step(query)) {
        row.id = query_int(query, 0);
        row.recording = query_int(query, 1);
    }
    query_end(query);
    return row;
}

bool ledger_absent(struct ledger *ledger, const char *path, int64_t now_ms)
{
    struct path_row row = current_row(ledger, path);
    if (row.id != 0) {
        struct query *query = db_query(ledger_write(ledger),
                                       "UPDATE path SET present = 0 WHERE id = ? AND present = 1");
        query_bind_int(query, 1, row.id);
        query_run(query);
    }
    for (bool gone = false;;) {
        row = row_to_be_sent(ledger, path);
        if (row.id == 0) /* also after an error */
            return gone;
        gone = lose_chosen_path(ledger, row.recording, row.id, now_ms) || gone;
    }
}

void ledger_try_other_path(struct ledger *ledger, int64_t recording)
{
    struct query *query = db_query(
        ledger->db, "SELECT p.id FROM recording AS r JOIN path AS p ON p.recording = r.id AND"
                    " p.present = 1 AND p.current = 1 AND p.id <> r.path WHERE r.id = ?"
                    " ORDER BY p.id < r.path, p.id LIMIT 1");
    query_bind_int(query, 1, recording);
    int64_t other = query_number(query);
    if (other != 0)
        set_chosen_path(ledger, recording, other);
}

void ledger_source_changed(struct ledger *ledger, int64_t recording, bool request_left,
                           const char *reason, int64_t now_ms)
{
    struct old_recording old = old_recording(ledger, recording);
    if (old.state == STATE_UPLOADING && !request_left)
        posts_count(ledger, -1);
    if (erasure_consume(ledger, recording, now_ms))
        return; /* its end was withheld: none of this attempt arrived */
    int64_t other = recording_other_path(ledger, recording, old.path);
    story_add(ledger, old.path, STATE_SETTLING, 0, 0, reason, now_ms);
    if (other == 0 && old.uncertain > 0 && !mutant("doubtful-content-forgotten")) {
        struct query *query = db_query(ledger_write(ledger),
                                       "UPDATE path SET current = -id, present = 0 WHERE id = ?");
        query_bind_int(query, 1, old.path);
        query_run(query);
        recording_move(ledger, recording, STATE_GONE, 0, 0,
                       "its file changed after an upload whose answer was lost: Chorus may have "
                       "the old content",
                       now_ms);
        return;
    }
    forget_content(ledger, old.path, recording, &old, now_ms);
    if (other != 0 && old.state == STATE_UPLOADING)
        recording_move(ledger, recording, STATE_QUEUED, 0, 0, "taken from another path", now_ms);
}

size_t ledger_pending_paths(struct ledger *ledger, int64_t watch, int64_t after,
                            struct ledger_pending_path *paths, size_t most)
{
    size_t count = 0;
    struct query *query = db_query(
        ledger->db, "SELECT r.id, p.id, p.path FROM recording AS r JOIN path AS p ON p.id = r.path"
                    " WHERE " LEDGER_IS_OPEN("r.") " AND r.id > ? AND p.watch = ?"
                                                   " ORDER BY r.id LIMIT ?");
    query_bind_int(query, 1, after);
    query_bind_int(query, 2, watch);
    query_bind_int(query, 3, (int64_t)most);
    while (count < most && query_step(query)) {
        paths[count].recording = query_int(query, 0);
        paths[count].id = query_int(query, 1);
        paths[count++].path = query_string(query, 2);
    }
    query_end(query);
    return count;
}

/* --- bulk --- */

void ledger_want(struct ledger *ledger, int64_t path, int64_t bulk)
{
    struct query *query = db_query(ledger_write(ledger), "UPDATE path SET bulk = ? WHERE id = ?");
    query_bind_int(query, 1, bulk);
    query_bind_int(query, 2, path);
    query_run(query);
}

int64_t ledger_next_bulk(struct ledger *ledger)
{
    struct db *db = ledger_write(ledger);
    query_run(db_query(db, "UPDATE counter SET n = n + 1 WHERE name = 'bulk'"));
    struct query *query = db_query(db, "SELECT n FROM counter WHERE name = 'bulk'");
    return query_number(query);
}

bool ledger_bulk_is_open(struct ledger *ledger, int64_t bulk)
{
    struct query *query = db_query(
        ledger->db,
        "SELECT 1 FROM recording AS r JOIN path AS p ON p.recording = r.id AND"
        " p.bulk = ?1 WHERE " LEDGER_IS_OPEN(
            "r.") " AND r.state <> 2"
                  " UNION ALL SELECT 1 FROM recording AS r JOIN path AS p ON p.recording = r.id"
                  " AND p.bulk = ?1 WHERE r.state = 4 LIMIT 1");
    query_bind_int(query, 1, bulk);
    bool open = query_step(query);
    query_end(query);
    return open;
}
