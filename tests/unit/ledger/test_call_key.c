/* Two recordings with one call key are one call: the second is a duplicate, until its twin fails.
 */
#include "tests/unit/ledger/ledger_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define A ROOT "/a.wav"
#define B ROOT "/b.mp3"
#define C ROOT "/c.ogg"

#define in_a_room(test) cmocka_unit_test_setup_teardown(test, room_open, room_close)

static struct said call(const char *key)
{
    struct said said = yes;
    said.call_key = key;
    return said;
}

static int64_t take_call(struct room *room, const char *path, char content, const char *key)
{
    struct said said = call(key);
    return take_as(room, path, content, &said).recording;
}

static void resolve_anew(struct room *room, int64_t recording, const char *key)
{
    struct said said = call(key);
    resolve(room, recording, job_of(room, recording).path_id, &said);
}

static void the_second_of_a_call_is_a_duplicate(void **state)
{
    struct room *room = *state;
    int64_t first = take_call(room, A, 'A', "call-1");
    int64_t second = take_call(room, B, 'B', "call-1");
    int64_t other = take_call(room, C, 'C', "call-2");
    assert_int_equal(state_of(room, first), STATE_QUEUED);
    assert_int_equal(state_of(room, second), STATE_DUPLICATE);
    assert_int_equal(state_of(room, other), STATE_QUEUED);
    assert_string_equal(listed(room, B).duplicate_of, A);
    upload(room, first);
    assert_string_equal(listed(room, B).engagement_id, "e-1");
    assert_int_equal(state_of(room, second), STATE_DUPLICATE);
}

static void without_a_call_key_there_is_no_twin(void **state)
{
    struct room *room = *state;
    take_call(room, A, 'A', NULL);
    assert_int_equal(state_of(room, take_call(room, B, 'B', NULL)), STATE_QUEUED);
}

static void expect_promotion(struct room *room, int64_t twin)
{
    int64_t ready[8];
    assert_int_equal(state_of(room, twin), STATE_QUEUED);
    assert_int_equal(job_of(room, twin).digest, 0); /* rules are applied before it leaves */
    size_t n = ledger_take_ready(room->ledger, ready, 8);
    bool told = false;
    for (size_t i = 0; i < n; i++)
        told = told || ready[i] == twin;
    assert_true(told);
    resolve_anew(room, twin, "call-1");
    assert_int_equal(state_of(room, twin), STATE_QUEUED);
}

static void the_twin_of_a_failed_one_goes(void **state)
{
    struct room *room = *state;
    int64_t first = take_call(room, A, 'A', "call-1");
    int64_t second = take_call(room, B, 'B', "call-1");
    int64_t third = take_call(room, C, 'C', "call-1");
    intend(room, first);
    move_to(room, first, STATE_FAILED, ATTEMPT_COUNTS);
    expect_promotion(room, second);
    assert_int_equal(state_of(room, third), STATE_DUPLICATE);
    assert_string_equal(listed(room, C).duplicate_of, B);
    /* and the first, put back, is the duplicate now */
    assert_int_equal(ledger_retry(room->ledger, first, room->now_ms), 0);
    resolve_anew(room, first, "call-1");
    assert_int_equal(state_of(room, first), STATE_DUPLICATE);
}

static void the_twin_of_one_that_vanished_goes(void **state)
{
    struct room *room = *state;
    take_call(room, A, 'A', "call-1");
    int64_t second = take_call(room, B, 'B', "call-1");
    ledger_absent(room->ledger, A, room->now_ms);
    expect_promotion(room, second);
}

static void the_twin_of_a_skipped_one_goes(void **state)
{
    struct room *room = *state;
    struct said never = {.outcome = RESOLVED_SKIP, .reason = "test campaign"};
    int64_t first = take_call(room, A, 'A', "call-1");
    int64_t second = take_call(room, B, 'B', "call-1");
    resolve(room, first, job_of(room, first).path_id, &never);
    /* what is skipped has no call key: the rules say so; the twin must go all the same */
    assert_int_equal(state_of(room, first), STATE_SKIPPED);
    assert_int_equal(state_of(room, second), STATE_QUEUED);
}

static void the_twin_of_one_whose_content_changed_goes(void **state)
{
    struct room *room = *state;
    take_call(room, A, 'A', "call-1");
    int64_t second = take_call(room, B, 'B', "call-1");
    take_call(room, A, 'D', "call-9");
    expect_promotion(room, second);
}

static void a_duplicate_that_changes_promotes_nobody(void **state)
{
    struct room *room = *state;
    int64_t first = take_call(room, A, 'A', "call-1");
    take_call(room, B, 'B', "call-1");
    int64_t third = take_call(room, C, 'C', "call-1");
    upload(room, first);
    take_call(room, B, 'D', "call-9");
    assert_int_equal(state_of(room, third), STATE_DUPLICATE);
}

static void a_twin_that_has_vanished_is_not_promoted(void **state)
{
    struct room *room = *state;
    int64_t first = take_call(room, A, 'A', "call-1");
    int64_t second = take_call(room, B, 'B', "call-1");
    ledger_absent(room->ledger, B, room->now_ms);
    intend(room, first);
    move_to(room, first, STATE_FAILED, ATTEMPT_COUNTS);
    assert_int_equal(state_of(room, second), STATE_DUPLICATE);
}

static void nobody_is_the_twin_of_a_forgotten_one(void **state)
{
    struct room *room = *state;
    take_call(room, A, 'A', "call-1");
    take_call(room, B, 'B', "call-1");
    ledger_absent(room->ledger, B, room->now_ms);
    take_call(room, A, 'D', NULL);
    assert_string_equal(listed(room, B).duplicate_of, "");
    check_counts(room);
}

/* The first failed, its twin goes; the first is put back, and vanishes: the call is under way. */
static void while_one_goes_no_other_is_promoted(void **state)
{
    struct room *room = *state;
    int64_t first = take_call(room, A, 'A', "call-1");
    int64_t second = take_call(room, B, 'B', "call-1");
    int64_t third = take_call(room, C, 'C', "call-1");
    intend(room, first);
    move_to(room, first, STATE_FAILED, ATTEMPT_COUNTS);
    assert_int_equal(state_of(room, second), STATE_QUEUED);
    ledger_retry(room->ledger, first, room->now_ms);
    ledger_absent(room->ledger, A, room->now_ms);
    assert_int_equal(state_of(room, first), STATE_GONE);
    assert_int_equal(state_of(room, third), STATE_DUPLICATE);
}

static void a_key_held_only_by_failed_ones_is_not_known(void **state)
{
    struct room *room = *state;
    int64_t first = take_call(room, A, 'A', "call-1");
    intend(room, first);
    move_to(room, first, STATE_FAILED, ATTEMPT_COUNTS);
    assert_int_equal(state_of(room, take_call(room, B, 'B', "call-1")), STATE_QUEUED);
}

/* Chorus has the first already: the call is there. */
static void known_by_409_holds_the_call_key(void **state)
{
    struct room *room = *state;
    struct plan_move known = {.to = STATE_DUPLICATE,
                              .attempt = ATTEMPT_COUNTS,
                              .known_by_409 = true,
                              .status = 409,
                              .reason = "Chorus has it"};
    uint8_t sha256[32];
    int64_t first = take_call(room, A, 'A', "call-1");
    int64_t second = take_call(room, B, 'B', "call-1");
    intend(room, first);
    ledger_move(room->ledger, first, &known, room->now_ms);
    assert_int_equal(state_of(room, first), STATE_DUPLICATE);
    assert_int_equal(state_of(room, second), STATE_DUPLICATE);
    assert_int_equal(state_of(room, take_call(room, C, 'C', "call-1")), STATE_DUPLICATE);
    content_of('C', sha256);
    char *path = ledger_path_of_call_key(room->ledger, "call-1", sha256);
    assert_string_equal(path, A);
    free(path);
}

static void held_ones_hold_their_call_key(void **state)
{
    struct room *room = *state;
    struct said held = no_owner;
    held.call_key = "call-1";
    take_as(room, A, 'A', &held);
    assert_int_equal(state_of(room, take_call(room, B, 'B', "call-1")), STATE_DUPLICATE);
}

static void where_a_call_key_is_held(void **state)
{
    struct room *room = *state;
    uint8_t sha256[32];
    int64_t first = take_call(room, A, 'A', "call-1");
    content_of('A', sha256);
    assert_null(ledger_path_of_call_key(room->ledger, "call-1", sha256)); /* by itself */
    content_of('B', sha256);
    char *path = ledger_path_of_call_key(room->ledger, "call-1", sha256);
    assert_string_equal(path, A);
    free(path);
    intend(room, first);
    move_to(room, first, STATE_FAILED, ATTEMPT_COUNTS);
    assert_null(ledger_path_of_call_key(room->ledger, "call-1", sha256));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_a_room(the_second_of_a_call_is_a_duplicate),
        in_a_room(without_a_call_key_there_is_no_twin),
        in_a_room(the_twin_of_a_failed_one_goes),
        in_a_room(the_twin_of_one_that_vanished_goes),
        in_a_room(the_twin_of_a_skipped_one_goes),
        in_a_room(the_twin_of_one_whose_content_changed_goes),
        in_a_room(a_duplicate_that_changes_promotes_nobody),
        in_a_room(a_twin_that_has_vanished_is_not_promoted),
        in_a_room(nobody_is_the_twin_of_a_forgotten_one),
        in_a_room(while_one_goes_no_other_is_promoted),
        in_a_room(a_key_held_only_by_failed_ones_is_not_known),
        in_a_room(known_by_409_holds_the_call_key),
        in_a_room(held_ones_hold_their_call_key),
        in_a_room(where_a_call_key_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
