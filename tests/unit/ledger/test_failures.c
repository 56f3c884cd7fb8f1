/* A commit that fails undoes everything, and says so; what was durable before stays. */
#include "tests/unit/ledger/ledger_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "agent/base/mem.h"
#include "agent/ledger/internal.h"

#define A ROOT "/a.wav"
#define B ROOT "/b.wav"

#define in_a_room(test) cmocka_unit_test_setup_teardown(test, room_open, room_close)

static void expect_only_a(struct room *room, int64_t a)
{
    int64_t ready[4];
    assert_int_equal(ledger_take_ready(room->ledger, ready, 4), 0);
    assert_false(ledger_is_dirty(room->ledger));
    assert_int_equal(count_of(room, STATE_QUEUED), 1);
    assert_int_equal(state_of(room, a), STATE_QUEUED);
    assert_int_equal(listed(room, B).rows, 0);
    assert_int_equal(ledger_posts(room->ledger), 0);
}

static int64_t take_a(struct room *room)
{
    int64_t ready[4], id = take(room, A, 'A').recording;
    commit(room);
    ledger_take_ready(room->ledger, ready, 4);
    return id;
}

static void nothing_to_commit_is_no_error(void **state)
{
    struct room *room = *state;
    assert_int_equal(ledger_commit(room->ledger), 0);
    assert_int_equal(ledger_commit(room->ledger), 0);
}

static void a_read_that_failed_fails_its_commit(void **state)
{
    struct room *room = *state;
    struct plan_item item;
    int64_t a = take_a(room);
    db_exec(room->ledger->db, "SELECT * FROM a_table_that_cannot_be_read");
    assert_true(ledger_has_failed(room->ledger));
    assert_false(ledger_plan_item(room->ledger, a, ORDER_NEWEST, &item));
    assert_int_equal(ledger_commit(room->ledger), -EIO);
    assert_false(ledger_has_failed(room->ledger));
    db_exec(room->ledger->db, "SELECT * FROM a_table_that_cannot_be_read");
    take(room, B, 'B'); /* what is written after it is undone with it */
    assert_int_equal(ledger_commit(room->ledger), -EIO);
    expect_only_a(room, a);
}

static void read_only_undoes_everything(void **state)
{
    struct room *room = *state;
    int64_t a = take_a(room);
    db_exec(room->ledger->db, "PRAGMA query_only = 1");
    take(room, B, 'B');
    ledger_intend(room->ledger, a, room->now_ms);
    assert_int_equal(ledger_commit(room->ledger), -EROFS);
    assert_true(strlen(ledger_error_words(room->ledger)) > 0);
    expect_only_a(room, a);
    db_exec(room->ledger->db, "PRAGMA query_only = 0");
    take(room, B, 'B');
    commit(room);
    assert_int_equal(count_of(room, STATE_QUEUED), 2);
}

static void a_full_disk_undoes_everything(void **state)
{
    struct room *room = *state;
    int64_t a = take_a(room);
    db_exec(room->ledger->db, "PRAGMA max_page_count = 1"); /* no page more than there are */
    for (int i = 0; i < 200; i++) {
        char path[64];
        snprintf(path, sizeof path, ROOT "/full-%d.wav", i);
        take(room, path, (char)(i + 1));
    }
    ledger_intend(room->ledger, a, room->now_ms);
    assert_int_equal(ledger_commit(room->ledger), -ENOSPC);
    expect_only_a(room, a);
    db_exec(room->ledger->db, "PRAGMA max_page_count = 1000000");
    take(room, B, 'B');
    commit(room);
    assert_int_equal(count_of(room, STATE_QUEUED), 2);
}

static void a_broken_ledger_is_told(void **state)
{
    struct room *room = *state;
    take_a(room);
    ledger_close(room->ledger);
    sqlite3_close(room->side);
    room->side = NULL;
    meddle(room, "PRAGMA writable_schema = 1; UPDATE sqlite_master SET sql = 'CREATE nonsense'"
                 " WHERE name = 'recording'");
    char *why = NULL;
    assert_int_equal(ledger_open(room->dir, LEDGER_WRITE, &room->ledger, &why), -EUCLEAN);
    assert_non_null(why);
    free(why);
    char *file = mem_printf("%s/ledger.db", room->dir);
    remove(file);
    free(file);
    assert_int_equal(ledger_open(room->dir, LEDGER_WRITE, &room->ledger, &why), 0);
}

/* Another process has it: busy, after a while; here the wait is cut short. */
static void held_by_another_writer_is_told(void **state)
{
    struct room *room = *state;
    sqlite3 *other;
    int64_t a = take_a(room);
    char *file = mem_printf("%s/ledger.db", room->dir);
    assert_int_equal(sqlite3_open(file, &other), SQLITE_OK);
    free(file);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    db_exec(room->ledger->db, "PRAGMA busy_timeout = 1");
    take(room, B, 'B');
    assert_int_equal(ledger_commit(room->ledger), -EBUSY);
    expect_only_a(room, a);
    sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_close(other);
}

/* After an error every function still returns, and none of it is kept. */
static void after_an_error_nothing_crashes(void **state)
{
    struct room *room = *state;
    struct ledger_admission admission;
    struct ledger_watch watch;
    struct plan_item items[4];
    struct ledger_counts counts;
    int64_t next, a = take_a(room);
    uint8_t sha256[32];
    struct ledger_file file = file_at(room, B, 'B');
    struct resolution resolution = {.outcome = RESOLVED};
    struct plan_move move = {.to = STATE_UPLOADED};
    content_of('B', sha256);
    db_exec(room->ledger->db, "PRAGMA query_only = 1");
    ledger_admit(room->ledger, &file, sha256, room->now_ms, &admission);
    ledger_resolve(room->ledger, admission.recording, admission.path, &resolution, 5, 0,
                   room->now_ms);
    ledger_skip(room->ledger, &file, SKIP_EMPTY, NULL, "empty", 5, room->now_ms);
    ledger_absent(room->ledger, A, room->now_ms);
    ledger_source_changed(room->ledger, a, true, "changed", room->now_ms);
    ledger_intend(room->ledger, a, room->now_ms);
    ledger_move(room->ledger, a, &move, room->now_ms);
    ledger_recover(room->ledger, S, room->now_ms);
    ledger_retry(room->ledger, a, room->now_ms);
    ledger_forget_skips(room->ledger, 9, 4);
    ledger_want(room->ledger, 1, 1);
    ledger_next_bulk(room->ledger);
    ledger_watch(room->ledger, "other", "/other", NOW, 0, &watch);
    ledger_fetch(room->ledger, LANE_ORDER, ORDER_NEWEST, room->now_ms, items, 4, &next);
    ledger_count(room->ledger, &counts);
    assert_int_equal(ledger_commit(room->ledger), -EROFS);
    expect_only_a(room, a);
    db_exec(room->ledger->db, "PRAGMA query_only = 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_a_room(nothing_to_commit_is_no_error),  in_a_room(a_read_that_failed_fails_its_commit),
        in_a_room(read_only_undoes_everything),    in_a_room(a_full_disk_undoes_everything),
        in_a_room(a_broken_ledger_is_told),        in_a_room(held_by_another_writer_is_told),
        in_a_room(after_an_error_nothing_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
