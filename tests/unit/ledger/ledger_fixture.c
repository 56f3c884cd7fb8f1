#include "tests/unit/ledger/ledger_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "agent/base/mem.h"

const struct said yes = {.outcome = RESOLVED,
                         .key_kind = KEY_DERIVED,
                         .owner = "team@example.com",
                         .name = "a call",
                         .meeting_id = "sha256-x"};
const struct said no_owner = {.outcome = RESOLVED_HELD, .reason = "no owner"};

static char *file_of(const struct room *room)
{
    return mem_printf("%s/ledger.db", room->dir);
}

static void open_ledger(struct room *room)
{
    char *why = NULL;
    int error = ledger_open(room->dir, LEDGER_WRITE, &room->ledger, &why);
    if (error != 0)
        print_error("%s\n", why);
    free(why);
    assert_int_equal(error, 0);
    struct ledger_watch watch;
    ledger_watch(room->ledger, "calls", ROOT, NOW, 0, &watch);
    room->watch = watch.id;
    assert_int_equal(ledger_commit(room->ledger), 0);
}

int room_open(void **state)
{
    struct room *room = mem_zalloc(sizeof *room);
    strcpy(room->dir, "/tmp/chorus-ledger-XXXXXX");
    if (mkdtemp(room->dir) == NULL)
        return -1;
    room->now_ms = NOW;
    room->digest = 100;
    *state = room;
    open_ledger(room);
    return 0;
}

int room_close(void **state)
{
    struct room *room = *state;
    check_counts(room);
    ledger_close(room->ledger);
    sqlite3_close(room->side);
    static const char *const files[] = {"ledger.db", "ledger.db-wal", "ledger.db-shm"};
    for (size_t i = 0; i < 3; i++) {
        char *file = mem_printf("%s/%s", room->dir, files[i]);
        remove(file);
        free(file);
    }
    remove(room->dir);
    free(room);
    return 0;
}

void commit(struct room *room)
{
    assert_int_equal(ledger_commit(room->ledger), 0);
}

void open_again(struct room *room)
{
    ledger_close(room->ledger);
    open_ledger(room);
}

static sqlite3 *beside(const struct room *room)
{
    sqlite3 *db;
    char *file = file_of(room);
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    free(file);
    return db;
}

int64_t number(struct room *room, const char *sql)
{
    sqlite3_stmt *statement;
    if (room->side == NULL)
        room->side = beside(room);
    sqlite3 *db = room->side;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        print_error("%s: %s\n", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

void meddle(const struct room *room, const char *sql)
{
    sqlite3 *db = beside(room);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* --- the recount ---------------------------------------------------------------------------------
 */

/* States as `list` prints them, a row a path. */
static void recount(struct room *room, struct ledger_counts *counts)
{
    sqlite3 *db = beside(room);
    sqlite3_stmt *statement;
    memset(counts, 0, sizeof *counts);
    assert_int_equal(
        sqlite3_prepare_v2(db,
                           "SELECT CASE WHEN r.id IS NULL THEN 10 WHEN r.path = p.id THEN r.state"
                           " ELSE 8 END, count(*) FROM path AS p LEFT JOIN recording AS r ON"
                           " r.id = p.recording WHERE p.skip <> 0 OR p.recording IS NOT NULL"
                           " GROUP BY 1",
                           -1, &statement, NULL),
        SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW)
        counts->state[sqlite3_column_int(statement, 0)] = sqlite3_column_int64(statement, 1);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    counts->bytes_uploaded =
        number(room, "SELECT coalesce(sum(size), 0) FROM recording WHERE state = 7 OR"
                     " (state IN (12, 13) AND uploaded_ms IS NOT NULL)");
    counts->oldest_waiting_ms =
        number(room, "SELECT coalesce((SELECT first_seen_ms FROM recording WHERE state IN"
                     " (3, 5, 6) ORDER BY id LIMIT 1), 0)");
    counts->oldest_held_ms = number(room, "SELECT coalesce((SELECT first_seen_ms FROM recording"
                                          " WHERE state = 2 ORDER BY id LIMIT 1), 0)");
}

static void check_rows(struct room *room)
{
    static const char *const wrong[] = {
        "SELECT count(*) FROM path WHERE recording > 0 AND recording NOT IN (SELECT id FROM "
        "recording)",
        "SELECT count(*) FROM recording AS r WHERE NOT EXISTS (SELECT 1 FROM path AS p WHERE"
        " p.id = r.path AND p.recording = r.id)",
        "SELECT count(*) FROM recording WHERE twin_of NOT IN (SELECT id FROM recording)",
        "SELECT count(*) FROM path WHERE skip <> 0 AND recording IS NOT NULL",
        "SELECT count(*) FROM recording WHERE attempts < 0 OR uncertain < 0",
        "SELECT count(*) FROM counter WHERE n < 0",
        "SELECT count(*) FROM recording WHERE state = 1", /* hashing: never at rest here */
        "SELECT count(*) FROM recording WHERE held <> 0 AND state <> 2",
        "SELECT count(*) FROM (SELECT path FROM path WHERE current = 1 GROUP BY path"
        " HAVING count(*) > 1)",
        /* one call, one that goes (what may have arrived once keeps its form, and goes all the
           same) */
        "SELECT count(*) FROM (SELECT call_key FROM recording WHERE call_key IS NOT NULL AND"
        " state IN (3, 4, 5, 6, 7) AND digest <> 0 AND uncertain = 0 GROUP BY call_key HAVING "
        "count(*) > 1)",
        /* what is blocked is not sent, and what is in flight all the same is waited for */
        "SELECT count(*) FROM recording AS r JOIN tombstone AS t ON t.is_call = 0 AND t.hash ="
        " r.sha256 AND t.blocks = 1 WHERE r.state IN (3, 5, 6) OR (r.state = 4 AND NOT EXISTS"
        " (SELECT 1 FROM erasure AS e WHERE e.recording = r.id AND e.phase = 0))",
        /* what is being deleted is at work, by itself or with its call */
        "SELECT count(*) FROM recording AS r WHERE r.state = 12 AND NOT EXISTS (SELECT 1 FROM"
        " erasure AS e WHERE e.recording IN (r.id, r.twin_of) AND e.superseded = 0 AND"
        " e.phase <> 5)",
        "SELECT count(*) FROM erasure AS e WHERE e.phase <> 5 AND e.superseded = 0 AND"
        " e.recording IS NOT NULL AND NOT EXISTS (SELECT 1 FROM recording AS r WHERE"
        " r.id = e.recording AND r.state IN (4, 12, 13))",
        "SELECT count(*) FROM recording WHERE (state = 13) <> (deleted_ms IS NOT NULL)",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        int64_t n = number(room, wrong[i]);
        if (n != 0)
            print_error("%lld: %s\n", (long long)n, wrong[i]);
        assert_int_equal(n, 0);
    }
}

void check_counts(struct room *room)
{
    struct ledger_counts is, must;
    commit(room);
    ledger_count(room->ledger, &is);
    recount(room, &must);
    for (int i = 0; i < STATE_COUNT; i++) {
        if (is.state[i] != must.state[i])
            print_error("%s: %lld, and a recount finds %lld\n", state_name((enum recording_state)i),
                        (long long)is.state[i], (long long)must.state[i]);
        assert_int_equal(is.state[i], must.state[i]);
    }
    assert_int_equal(is.bytes_uploaded, must.bytes_uploaded);
    assert_int_equal(is.oldest_waiting_ms, must.oldest_waiting_ms);
    assert_int_equal(is.oldest_held_ms, must.oldest_held_ms);
    check_rows(room);
}

/* --- taking in
 * ------------------------------------------------------------------------------------- */

void content_of(char letter, uint8_t sha256[32])
{
    memset(sha256, letter, 32);
}

struct ledger_file file_at(const struct room *room, const char *path, char content)
{
    struct ledger_file file = {
        .path = path, .root_length = strlen(ROOT), .watch = room->watch, .bulk = room->bulk};
    file.identity = (struct file_identity){.dev = 1,
                                           .ino = (uint64_t)content * 1000 + strlen(path),
                                           .size = 1000 + (uint64_t)content,
                                           .mtime_ns = (NOW + content) * 1000000,
                                           .ctime_ns = (NOW + content) * 1000000};
    return file;
}

static struct resolution resolution_of(const struct said *said)
{
    return (struct resolution){.outcome = said->outcome,
                               .rule = mem_string("rule 1"),
                               .reason = mem_string(said->reason),
                               .key_kind = said->key_kind,
                               .owner = mem_string(said->owner),
                               .name = mem_string(said->name),
                               .meeting_id = mem_string(said->meeting_id),
                               .call_key = mem_string(said->call_key),
                               .preferred = said->preferred};
}

void resolve(struct room *room, int64_t recording, int64_t path, const struct said *said)
{
    struct resolution resolution = resolution_of(said);
    resolution.fields = mem_array(2, sizeof *resolution.fields);
    resolution.fields[0] = (struct resolution_field){mem_string("agent"), mem_string("J\xfcrgen")};
    resolution.field_count = 1;
    if (said->phone != NULL)
        resolution.fields[resolution.field_count++] =
            (struct resolution_field){mem_string("phone_a"), mem_string(said->phone)};
    ledger_resolve(room->ledger, recording, path, &resolution, room->digest, said->not_before_ms,
                   room->now_ms);
    resolution_clear(&resolution);
}

struct ledger_admission take_as(struct room *room, const char *path, char content,
                                const struct said *said)
{
    struct ledger_admission admission;
    struct ledger_file file = file_at(room, path, content);
    uint8_t sha256[32];
    content_of(content, sha256);
    ledger_admit(room->ledger, &file, sha256, room->now_ms, &admission);
    if (admission.kind == ADMIT_RESOLVE)
        resolve(room, admission.recording, admission.path, said);
    return admission;
}

struct ledger_admission take(struct room *room, const char *path, char content)
{
    return take_as(room, path, content, &yes);
}

void leave_out(struct room *room, const char *path, char content, enum skip_kind kind)
{
    struct ledger_file file = file_at(room, path, content);
    ledger_skip(room->ledger, &file, kind, kind == SKIP_RULE ? "tests" : NULL, "not wanted",
                room->digest, room->now_ms);
}

/* --- looking
 * ---------------------------------------------------------------------------------------- */

struct ledger_job job_of(struct room *room, int64_t recording)
{
    struct ledger_job job, copy;
    assert_int_equal(ledger_job(room->ledger, recording, &job), 0);
    copy = job;
    copy.path = copy.owner = copy.name = copy.meeting_id = NULL;
    copy.crm_account_id = copy.crm_opportunity_id = NULL;
    ledger_job_clear(&job);
    return copy;
}

enum recording_state state_of(struct room *room, int64_t recording)
{
    return job_of(room, recording).state;
}

int64_t count_of(struct room *room, enum recording_state state)
{
    struct ledger_counts counts;
    ledger_count(room->ledger, &counts);
    return counts.state[state];
}

int64_t recording_of(struct room *room, char content)
{
    char *sql = mem_printf("SELECT coalesce((SELECT id FROM recording WHERE hex(sha256) LIKE"
                           " '%02X%02X%%'), 0)",
                           (unsigned)content, (unsigned)content);
    commit(room);
    int64_t id = number(room, sql);
    free(sql);
    return id;
}

void expect_chosen(struct room *room, int64_t recording, const char *path)
{
    struct ledger_job job;
    assert_int_equal(ledger_job(room->ledger, recording, &job), 0);
    assert_string_equal(job.path, path);
    ledger_job_clear(&job);
}

/* --- attempts
 * ---------------------------------------------------------------------------------------- */

void intend(struct room *room, int64_t recording)
{
    ledger_intend(room->ledger, recording, room->now_ms);
    assert_int_equal(state_of(room, recording), STATE_UPLOADING);
}

void move_to(struct room *room, int64_t recording, enum recording_state to,
             enum plan_attempt attempt)
{
    struct plan_move move = {.to = to, .attempt = attempt, .reason = "as the test says"};
    move.was_uncertain = to == STATE_UNCERTAIN && attempt == ATTEMPT_COUNTS;
    move.held = to == STATE_HELD ? HELD_DOUBT : HELD_NOT;
    if (to == STATE_WAITING || to == STATE_UNCERTAIN)
        move.next_attempt_ms = room->now_ms + 60 * S;
    if (to == STATE_UPLOADED) {
        move.status = 200;
        move.engagement_id = "e-1";
    }
    ledger_move(room->ledger, recording, &move, room->now_ms);
}

void upload(struct room *room, int64_t recording)
{
    intend(room, recording);
    move_to(room, recording, STATE_UPLOADED, ATTEMPT_COUNTS);
}

/* --- list
 * --------------------------------------------------------------------------------------------- */

struct looking {
    const char *path;
    struct listed *found;
};

static void copy(char *to, size_t room, const char *text)
{
    snprintf(to, room, "%s", text != NULL ? text : "");
}

static void on_row(void *ctx, const struct ledger_row *row)
{
    const struct looking *looking = ctx;
    struct listed *found = looking->found;
    if (strcmp(row->path, looking->path) != 0)
        return;
    found->rows++;
    found->state = row->state;
    copy(found->path, sizeof found->path, row->path);
    copy(found->watch, sizeof found->watch, row->watch);
    copy(found->rule, sizeof found->rule, row->rule);
    copy(found->owner, sizeof found->owner, row->owner);
    copy(found->name, sizeof found->name, row->name);
    copy(found->meeting_id, sizeof found->meeting_id, row->meeting_id);
    copy(found->call_key, sizeof found->call_key, row->call_key);
    copy(found->engagement_id, sizeof found->engagement_id, row->engagement_id);
    copy(found->reason, sizeof found->reason, row->reason);
    copy(found->duplicate_of, sizeof found->duplicate_of, row->duplicate_of);
    copy(found->fields, sizeof found->fields, row->fields);
    found->size = row->size;
    found->attempts = row->attempts;
    found->first_seen_ms = row->first_seen_ms;
    found->next_attempt_ms = row->next_attempt_ms;
    found->uploaded_ms = row->uploaded_ms;
    found->has_sha256 = row->sha256 != NULL;
    found->present = row->present;
}

struct listed listed(struct room *room, const char *path)
{
    struct listed found = {0};
    struct looking looking = {path, &found};
    ledger_list(room->ledger, -1, NULL, on_row, &looking);
    return found;
}
