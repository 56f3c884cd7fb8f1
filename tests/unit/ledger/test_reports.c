/* Reports: rows of `list`, stories, counts, bulk runs. */
#include "tests/unit/ledger/ledger_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define A ROOT "/a.wav"
#define B ROOT "/b.wav"
#define C ROOT "/sub/c.wav"

#define in_a_room(test) cmocka_unit_test_setup_teardown(test, room_open, room_close)

static void a_row_bears_its_fields(void **state)
{
    struct room *room = *state;
    struct said said = yes;
    said.call_key = "call-1";
    take_as(room, A, 'A', &said);
    struct listed row = listed(room, A);
    assert_int_equal(row.rows, 1);
    assert_string_equal(row.path, A);
    assert_string_equal(row.watch, "calls");
    assert_string_equal(row.rule, "rule 1");
    assert_int_equal(row.state, STATE_QUEUED);
    assert_int_equal(row.size, 1000 + 'A');
    assert_true(row.has_sha256);
    assert_string_equal(row.owner, "team@example.com");
    assert_string_equal(row.name, "a call");
    assert_string_equal(row.meeting_id, "sha256-x");
    assert_string_equal(row.call_key, "call-1");
    assert_string_equal(row.engagement_id, "");
    assert_int_equal(row.attempts, 0);
    assert_string_equal(row.reason, "");
    assert_string_equal(row.duplicate_of, "");
    assert_string_equal(row.fields, "{\"agent\":\"J\\\\xfcrgen\"}"); /* escaped, valid JSON */
    assert_int_equal(row.first_seen_ms, NOW);
    assert_int_equal(row.next_attempt_ms, 0);
    assert_int_equal(row.uploaded_ms, 0);
    assert_true(row.present);
}

static void count_row(void *ctx, const struct ledger_row *row)
{
    (void)row;
    ++*(size_t *)ctx;
}

static size_t rows_of(struct room *room, int state, const char *path)
{
    size_t seen = 0;
    size_t told = ledger_list(room->ledger, state, path, count_row, &seen);
    assert_int_equal(seen, told);
    return seen;
}

static void rows_by_state_and_path(void **state)
{
    struct room *room = *state;
    take(room, A, 'A');
    take(room, B, 'A');
    take(room, C, 'C');
    take(room, ROOT "/sub", 'D'); /* a file, and not the folder of C */
    take(room, ROOT "/sub.wav", 'E');
    leave_out(room, ROOT "/sub/skipped.wav", 'F', SKIP_EMPTY);
    assert_int_equal(rows_of(room, -1, NULL), 6);
    assert_int_equal(rows_of(room, STATE_QUEUED, NULL), 4);
    assert_int_equal(rows_of(room, STATE_DUPLICATE, NULL), 1);
    assert_int_equal(rows_of(room, STATE_SKIPPED, NULL), 1);
    assert_int_equal(rows_of(room, -1, A), 1);
    assert_int_equal(rows_of(room, -1, ROOT), 6);
    assert_int_equal(rows_of(room, -1, ROOT "/sub"), 3);
    assert_int_equal(rows_of(room, STATE_SKIPPED, ROOT "/sub"), 1);
    assert_int_equal(rows_of(room, -1, "/srv/rec"), 0);
    assert_int_equal(rows_of(room, -1, "/elsewhere"), 0);
}

static void recordings_by_path(void **state)
{
    struct room *room = *state;
    int64_t found[4];
    int64_t a = take(room, A, 'A').recording;
    take(room, B, 'A');
    int64_t c = take(room, C, 'C').recording;
    leave_out(room, ROOT "/skipped.wav", 'F', SKIP_EMPTY);
    assert_int_equal(ledger_recordings_below(room->ledger, ROOT, 0, found, 4), 2);
    assert_int_equal(found[0], a);
    assert_int_equal(found[1], c);
    assert_int_equal(ledger_recordings_below(room->ledger, ROOT, a, found, 4), 1);
    assert_int_equal(ledger_recordings_below(room->ledger, ROOT "/sub", 0, found, 4), 1);
    assert_int_equal(found[0], c);
    assert_int_equal(ledger_recordings_below(room->ledger, B, 0, found, 4), 1);
    assert_int_equal(found[0], a); /* a duplicate stands for its twin */
    assert_true(ledger_knows_path(room->ledger, ROOT "/skipped.wav"));
    assert_true(ledger_knows_path(room->ledger, ROOT));
    assert_false(ledger_knows_path(room->ledger, ROOT "/su"));
    assert_false(ledger_knows_path(room->ledger, "/srv/rec"));
}

static void where_a_content_was_taken_from(void **state)
{
    struct room *room = *state;
    uint8_t sha256[32];
    enum recording_state is;
    content_of('A', sha256);
    assert_null(ledger_path_of_content(room->ledger, sha256, &is));
    upload(room, take(room, A, 'A').recording);
    take(room, B, 'A');
    char *path = ledger_path_of_content(room->ledger, sha256, &is);
    assert_string_equal(path, A);
    assert_int_equal(is, STATE_UPLOADED);
    free(path);
}

/* --- stories */

struct story {
    size_t count;
    struct {
        enum recording_state state;
        int attempt, status;
        char reason[100];
    } lines[20];
};

static void on_event(void *ctx, const struct ledger_event *event)
{
    struct story *story = ctx;
    assert_true(story->count < 20);
    story->lines[story->count].state = event->state;
    story->lines[story->count].attempt = event->attempt;
    story->lines[story->count].status = event->status;
    snprintf(story->lines[story->count].reason, 100, "%.99s",
             event->reason != NULL ? event->reason : "");
    story->count++;
}

static void a_story_tells_every_move(void **state)
{
    static const enum recording_state told[] = {STATE_QUEUED, STATE_WAITING, STATE_UPLOADED};
    struct room *room = *state;
    struct story story = {0};
    int64_t id = take(room, A, 'A').recording;
    intend(room, id);
    move_to(room, id, STATE_WAITING, ATTEMPT_COUNTS);
    upload(room, id);
    assert_int_equal(ledger_story(room->ledger, A, on_event, &story), 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(story.lines[i].state, told[i]);
    assert_int_equal(story.lines[1].attempt, 1);
    assert_int_equal(story.lines[2].attempt, 2);
    assert_int_equal(story.lines[2].status, 200);
    assert_string_equal(story.lines[1].reason, "as the test says");
    assert_int_equal(ledger_story(room->ledger, B, on_event, &story), 0);
}

static void the_last_line_of_a_story_is_told(void **state)
{
    struct room *room = *state;
    enum recording_state told;
    char *reason;
    struct ledger_admission admission = take_as(room, A, 'A', &no_owner);
    assert_true(ledger_told_last(room->ledger, admission.path, &told, &reason));
    assert_int_equal(told, STATE_HELD);
    assert_string_equal(reason, "no owner");
    free(reason);
    assert_false(ledger_told_last(room->ledger, 4711, &told, &reason));
}

static void a_story_goes_on_over_a_change_of_content(void **state)
{
    struct room *room = *state;
    struct story story = {0};
    upload(room, take(room, A, 'A').recording);
    take(room, A, 'B');
    ledger_story(room->ledger, A, on_event, &story);
    assert_int_equal(story.count, 4);
    assert_int_equal(story.lines[2].state, STATE_SETTLING);
    assert_string_equal(story.lines[2].reason, "its content changed: 1065 to 1066 bytes");
    assert_int_equal(story.lines[3].state, STATE_QUEUED);
}

static void a_first_start_tells_no_stories(void **state)
{
    struct room *room = *state;
    leave_out(room, A, 'A', SKIP_BEFORE_START);
    leave_out(room, B, 'B', SKIP_EMPTY);
    commit(room);
    assert_int_equal(number(room, "SELECT count(*) FROM story"), 1);
}

static void the_last_trouble(void **state)
{
    struct room *room = *state;
    int64_t at = 0;
    assert_null(ledger_last_error(room->ledger, &at));
    int64_t id = take(room, A, 'A').recording;
    intend(room, id);
    room->now_ms += 5 * S;
    move_to(room, id, STATE_WAITING, ATTEMPT_COUNTS);
    upload(room, id);
    char *words = ledger_last_error(room->ledger, &at);
    assert_string_equal(words, "as the test says");
    assert_int_equal(at, NOW + 5 * S);
    free(words);
}

/* --- counts */

static void counts_and_bytes(void **state)
{
    struct room *room = *state;
    struct ledger_counts counts;
    int64_t a = take(room, A, 'A').recording;
    room->now_ms += S;
    take(room, B, 'B');
    room->now_ms += S;
    take_as(room, C, 'C', &no_owner);
    ledger_count(room->ledger, &counts);
    assert_int_equal(counts.state[STATE_QUEUED], 2);
    assert_int_equal(counts.state[STATE_HELD], 1);
    assert_int_equal(counts.oldest_waiting_ms, NOW);
    assert_int_equal(counts.oldest_held_ms, NOW + 2 * S);
    assert_int_equal(counts.bytes_uploaded, 0);
    upload(room, a);
    ledger_count(room->ledger, &counts);
    assert_int_equal(counts.state[STATE_UPLOADED], 1);
    assert_int_equal(counts.oldest_waiting_ms, NOW + S);
    assert_int_equal(counts.bytes_uploaded, 1000 + 'A');
    ledger_absent(room->ledger, B, room->now_ms);
    ledger_count(room->ledger, &counts);
    assert_int_equal(counts.oldest_waiting_ms, 0);
}

/* Counted by a later program, or by one that went wrong: passed over, and what is known stays. */
static void what_is_counted_under_another_kind_is_passed_over(void **state)
{
    struct room *room = *state;
    struct ledger_counts before, after;
    room->bulk = ledger_next_bulk(room->ledger);
    int64_t a = take(room, A, 'A').recording;
    commit(room);
    ledger_count(room->ledger, &before);
    meddle(room, "INSERT INTO tally VALUES(-1, 5), (50, 6), (4711, 7)");
    ledger_count(room->ledger, &after);
    assert_memory_equal(&before, &after, sizeof before);
    meddle(room, "UPDATE recording SET state = -3");
    ledger_count_bulk(room->ledger, room->bulk, &after);
    assert_int_equal(after.state[STATE_QUEUED], 0);
    meddle(room, "UPDATE recording SET state = 77");
    ledger_count_bulk(room->ledger, room->bulk, &after);
    assert_int_equal(after.state[STATE_QUEUED], 0);
    meddle(room, "UPDATE recording SET state = 3; DELETE FROM tally WHERE kind IN (-1, 50, 4711)");
    assert_int_equal(state_of(room, a), STATE_QUEUED);
}

static void a_recording_is_found_by_its_engagement(void **state)
{
    struct room *room = *state;
    size_t rows = 0;
    upload(room, take(room, A, 'A').recording);
    take(room, B, 'A'); /* a copy is not the one that was sent */
    assert_int_equal(ledger_list_engagement(room->ledger, "e-1", count_row, &rows), 1);
    assert_int_equal(rows, 1);
    assert_int_equal(ledger_list_engagement(room->ledger, "e-2", count_row, &rows), 0);
}

/* --- bulk */

static void a_bulk_run_is_open_until_all_of_it_is_settled(void **state)
{
    struct room *room = *state;
    struct ledger_counts counts;
    int64_t bulk = ledger_next_bulk(room->ledger);
    assert_int_equal(ledger_next_bulk(room->ledger), bulk + 1);
    int64_t other = take(room, ROOT "/other.wav", 'Z').recording; /* of no bulk run */
    room->bulk = bulk;
    int64_t a = take(room, A, 'A').recording;
    struct ledger_admission b = take_as(room, B, 'B', &no_owner);
    leave_out(room, C, 'C', SKIP_EMPTY);
    assert_true(ledger_bulk_is_open(room->ledger, bulk));
    assert_false(ledger_bulk_is_open(room->ledger, bulk + 1));
    intend(room, a);
    assert_true(ledger_bulk_is_open(room->ledger, bulk));
    move_to(room, a, STATE_WAITING, ATTEMPT_COUNTS);
    assert_true(ledger_bulk_is_open(room->ledger, bulk));
    upload(room, a);
    assert_false(ledger_bulk_is_open(room->ledger, bulk)); /* held ones are not waited for */
    ledger_count_bulk(room->ledger, bulk, &counts);
    assert_int_equal(counts.state[STATE_UPLOADED], 1);
    assert_int_equal(counts.state[STATE_HELD], 1);
    assert_int_equal(counts.state[STATE_SKIPPED], 1);
    assert_int_equal(counts.state[STATE_QUEUED], 0);
    assert_int_equal(counts.bytes_uploaded, 1000 + 'A');
    ledger_want(room->ledger, job_of(room, other).path_id, bulk); /* known already, wanted now */
    assert_true(ledger_bulk_is_open(room->ledger, bulk));
    resolve(room, b.recording, b.path, &yes);
    upload(room, other);
    assert_true(ledger_bulk_is_open(room->ledger, bulk));
    upload(room, b.recording);
    assert_false(ledger_bulk_is_open(room->ledger, bulk));
}

static void a_copy_in_a_bulk_run_waits_for_its_twin(void **state)
{
    struct room *room = *state;
    int64_t id = take(room, A, 'A').recording;
    room->bulk = ledger_next_bulk(room->ledger);
    take(room, B, 'A');
    assert_true(ledger_bulk_is_open(room->ledger, room->bulk));
    upload(room, id);
    assert_false(ledger_bulk_is_open(room->ledger, room->bulk));
    struct ledger_counts counts;
    ledger_count_bulk(room->ledger, room->bulk, &counts);
    assert_int_equal(counts.state[STATE_DUPLICATE], 1);
    assert_int_equal(counts.bytes_uploaded, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_a_room(a_row_bears_its_fields),
        in_a_room(rows_by_state_and_path),
        in_a_room(recordings_by_path),
        in_a_room(where_a_content_was_taken_from),
        in_a_room(a_story_tells_every_move),
        in_a_room(a_story_goes_on_over_a_change_of_content),
        in_a_room(a_first_start_tells_no_stories),
        in_a_room(the_last_trouble),
        in_a_room(counts_and_bytes),
        in_a_room(a_bulk_run_is_open_until_all_of_it_is_settled),
        in_a_room(a_copy_in_a_bulk_run_waits_for_its_twin),
        in_a_room(what_is_counted_under_another_kind_is_passed_over),
        in_a_room(a_recording_is_found_by_its_engagement),
        in_a_room(the_last_line_of_a_story_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
