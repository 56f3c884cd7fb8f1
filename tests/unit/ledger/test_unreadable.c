/* A ledger that cannot be read gives nothing away: every read says "none", and none of it is taken
 * for the truth, since the next commit fails. */
#include "tests/unit/ledger/ledger_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/ledger/internal.h"

#define A ROOT "/a.wav"
#define B ROOT "/b.wav"

#define in_a_room(test) cmocka_unit_test_setup_teardown(test, room_open, room_close)

/* One recording that is queued; from then on a read has failed. */
static int64_t break_reads(struct room *room)
{
    int64_t id = take(room, A, 'A').recording;
    commit(room);
    db_exec(room->ledger->db, "SELECT * FROM a_table_that_cannot_be_read");
    assert_true(ledger_has_failed(room->ledger));
    return id;
}

static void expect_failed_commit(struct room *room)
{
    ledger_write(room->ledger);
    assert_int_equal(ledger_commit(room->ledger), -EIO);
    assert_int_equal(count_of(room, STATE_QUEUED), 1);
}

static void nothing_is_due_after_the_upload(void **state)
{
    struct room *room = *state;
    struct ledger_check checks[1];
    struct ledger_path_ref paths[1];
    struct ledger_retirement due;
    struct ledger_sidecar sidecar;
    bool processed = false;
    int64_t next, ids[1], a = break_reads(room);
    assert_int_equal(ledger_due_checks(room->ledger, NOW + DAY, checks, 1), 0);
    assert_int_equal(ledger_next_check(room->ledger), 0);
    assert_int_equal(ledger_unprocessed(room->ledger, NOW + DAY), 0);
    assert_int_equal(ledger_paths_to_retire(room->ledger, a, paths, 1), 0);
    assert_false(ledger_may_retire(room->ledger, a, &processed));
    assert_false(processed);
    assert_false(ledger_next_retirement(room->ledger, NOW + DAY, &due, &next));
    assert_int_equal(next, 0);
    assert_false(ledger_sidecar(room->ledger, a, &sidecar));
    assert_int_equal(ledger_sidecar_recordings(room->ledger, A, 0, ids, 1), 0);
    assert_null(ledger_sidecar_to_move(room->ledger, 1));
    expect_failed_commit(room);
}

static void nothing_is_next_in_the_queue(void **state)
{
    struct room *room = *state;
    struct plan_item items[1];
    char *name = NULL, *path = NULL;
    int64_t next = -1, a = break_reads(room);
    assert_int_equal(ledger_fetch(room->ledger, LANE_DUE, ORDER_NEWEST, NOW, items, 1, &next), 0);
    assert_int_equal(next, 0);
    assert_int_equal(recording_due(room->ledger, a), 0);
    assert_int_equal(recording_state_of(room->ledger, a), STATE_GONE);
    assert_false(ledger_watch_by_id(room->ledger, room->watch, &name, &path));
    assert_null(name);
    assert_null(path);
    ledger_try_other_path(room->ledger, a);
    ledger_absent(room->ledger, A, NOW);
    assert_int_equal(ledger_recover(room->ledger, S, NOW), 0);
    expect_failed_commit(room);
}

static void of_a_pause_nothing_is_known(void **state)
{
    struct room *room = *state;
    struct ledger_pause pause = {.until_ms = NOW};
    break_reads(room);
    assert_false(ledger_get_pause(room->ledger, &pause));
    assert_int_equal(pause.until_ms, 0);
    expect_failed_commit(room);
}

static void it_is_not_called_sound_nor_thinned_nor_scrubbed(void **state)
{
    struct room *room = *state;
    char *why = NULL;
    break_reads(room);
    assert_false(ledger_is_sound(room->ledger, &why));
    assert_non_null(why);
    free(why);
    assert_int_equal(ledger_thin_stories(room->ledger, NOW + DAY, 0, 10), 0);
    assert_int_equal(ledger_commit(room->ledger), -EIO); /* it was begun, and is undone */
    db_exec(room->ledger->db, "SELECT * FROM a_table_that_cannot_be_read");
    assert_int_equal(ledger_scrub(room->ledger), -EIO);
    expect_failed_commit(room);
}

/* The first error is the one that is told. */
static void a_second_error_does_not_hide_the_first(void **state)
{
    struct room *room = *state;
    break_reads(room);
    db_begin_reads(room->ledger->db);
    db_end_reads(room->ledger->db);
    assert_int_equal(db_error(room->ledger->db), -EIO);
    db_exec(room->ledger->db, "PRAGMA user_version = 'x");
    assert_int_equal(ledger_error(room->ledger), -EIO);
    expect_failed_commit(room);
}

static void what_cannot_be_found_is_no_job(void **state)
{
    struct room *room = *state;
    struct ledger_job job;
    char *name = NULL, *path = NULL;
    assert_int_equal(ledger_job(room->ledger, 4711, &job), -ENOENT);
    assert_false(ledger_watch_by_id(room->ledger, 4711, &name, &path));
    assert_int_equal(recording_due(room->ledger, 4711), 0);
    ledger_try_other_path(room->ledger, 4711);
    assert_int_equal(ledger_list_engagement(room->ledger, "e-none", NULL, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_a_room(nothing_is_due_after_the_upload),
        in_a_room(nothing_is_next_in_the_queue),
        in_a_room(it_is_not_called_sound_nor_thinned_nor_scrubbed),
        in_a_room(a_second_error_does_not_hide_the_first),
        in_a_room(what_cannot_be_found_is_no_job),
        in_a_room(of_a_pause_nothing_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
