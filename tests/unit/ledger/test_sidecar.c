/* What the ledger knows of sidecars, and of the preferred one of several copies of a call. */
#include "tests/unit/ledger/ledger_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define A ROOT "/a.wav"
#define B ROOT "/b.mp3"
#define C ROOT "/c.ogg"
#define A_JSON ROOT "/a.json"
#define B_JSON ROOT "/b.json"
#define BODY "{\"user\":\"ann@example.com\"}"

#define in_a_room(test) cmocka_unit_test_setup_teardown(test, room_open, room_close)

static const struct file_identity first = {
    .dev = 1, .ino = 10, .size = 25, .mtime_ns = NOW, .ctime_ns = NOW};

/* --- what is expected and read --- */

static void expect_known(struct room *room, int64_t recording, const char *path, bool read,
                         const char *body, const char *problem)
{
    struct ledger_sidecar sidecar;
    assert_true(ledger_sidecar(room->ledger, recording, &sidecar));
    assert_string_equal(sidecar.path, path);
    assert_int_equal(sidecar.read, read);
    assert_string_equal(sidecar.body != NULL ? sidecar.body : "-", body != NULL ? body : "-");
    assert_string_equal(sidecar.problem != NULL ? sidecar.problem : "-",
                        problem != NULL ? problem : "-");
    ledger_sidecar_clear(&sidecar);
}

static void expect_unknown(struct room *room, int64_t recording)
{
    struct ledger_sidecar sidecar;
    assert_false(ledger_sidecar(room->ledger, recording, &sidecar));
}

/* A recording whose sidecar is expected there. */
static int64_t take_with(struct room *room, const char *path, char content, const char *sidecar)
{
    int64_t recording = take(room, path, content).recording;
    ledger_sidecar_expect(room->ledger, recording, sidecar);
    return recording;
}

static void what_is_expected_is_known_and_what_is_read_is_kept(void **state)
{
    struct room *room = *state;
    int64_t recording = take(room, A, 'A').recording;
    expect_unknown(room, recording);
    ledger_sidecar_expect(room->ledger, recording, A_JSON);
    expect_known(room, recording, A_JSON, false, NULL, NULL);
    ledger_sidecar_read(room->ledger, recording, &first, BODY, NULL);
    expect_known(room, recording, A_JSON, true, BODY, NULL);
    ledger_sidecar_expect(room->ledger, recording, A_JSON); /* as every look at it says */
    commit(room);
    open_again(room);
    expect_known(room, recording, A_JSON, true, BODY, NULL);
    ledger_sidecar_read(room->ledger, recording, &first, NULL, "it is no JSON, or cut");
    expect_known(room, recording, A_JSON, true, NULL, "it is no JSON, or cut");
}

static void expected_elsewhere_it_is_not_read_yet(void **state)
{
    struct room *room = *state;
    int64_t recording = take_with(room, A, 'A', A_JSON);
    ledger_sidecar_read(room->ledger, recording, &first, BODY, NULL);
    ledger_sidecar_expect(room->ledger, recording, B_JSON);
    expect_known(room, recording, B_JSON, false, NULL, NULL);
    assert_false(ledger_sidecar_is_wanted(room->ledger, A_JSON, &first));
    assert_true(ledger_sidecar_is_wanted(room->ledger, B_JSON, &first));
}

static void every_other_version_is_wanted(void **state)
{
    struct room *room = *state;
    int64_t recording = take_with(room, A, 'A', A_JSON);
    assert_true(ledger_sidecar_is_wanted(room->ledger, A_JSON, &first));
    assert_false(ledger_sidecar_is_wanted(room->ledger, B_JSON, &first));
    ledger_sidecar_read(room->ledger, recording, &first, BODY, NULL);
    assert_false(ledger_sidecar_is_wanted(room->ledger, A_JSON, &first));
    struct file_identity others[] = {first, first, first, first};
    others[0].ino++;
    others[1].size++;
    others[2].mtime_ns++;
    others[3].ctime_ns++;
    for (size_t i = 0; i < 4; i++)
        assert_true(ledger_sidecar_is_wanted(room->ledger, A_JSON, &others[i]));
}

/* One that reads and one that does not yet share a file. */
static void it_is_wanted_while_one_of_several_has_not_read_it(void **state)
{
    struct room *room = *state;
    int64_t a = take_with(room, A, 'A', A_JSON);
    int64_t b = take_with(room, B, 'B', A_JSON);
    ledger_sidecar_read(room->ledger, a, &first, BODY, NULL);
    assert_true(ledger_sidecar_is_wanted(room->ledger, A_JSON, &first));
    ledger_sidecar_read(room->ledger, b, &first, BODY, NULL);
    assert_false(ledger_sidecar_is_wanted(room->ledger, A_JSON, &first));
}

static void those_that_expect_it_come_in_order_and_in_parts(void **state)
{
    struct room *room = *state;
    int64_t found[4], a = take_with(room, A, 'A', A_JSON), b = take_with(room, B, 'B', A_JSON);
    take_with(room, C, 'C', B_JSON);
    assert_int_equal(ledger_sidecar_recordings(room->ledger, A_JSON, 0, found, 4), 2);
    assert_int_equal(found[0], a);
    assert_int_equal(found[1], b);
    assert_int_equal(ledger_sidecar_recordings(room->ledger, A_JSON, 0, found, 1), 1);
    assert_int_equal(found[0], a);
    assert_int_equal(ledger_sidecar_recordings(room->ledger, A_JSON, a, found, 4), 1);
    assert_int_equal(found[0], b);
    assert_int_equal(ledger_sidecar_recordings(room->ledger, A_JSON, b, found, 4), 0);
}

/* --- whose form may still change --- */

static bool asks_for_it(struct room *room)
{
    int64_t found;
    bool wanted = ledger_sidecar_is_wanted(room->ledger, A_JSON, &first);
    bool listed_too = ledger_sidecar_recordings(room->ledger, A_JSON, 0, &found, 1) == 1;
    assert_int_equal(wanted, listed_too);
    return wanted;
}

static void what_has_left_or_may_have_asks_no_more(void **state)
{
    struct room *room = *state;
    int64_t recording = take_with(room, A, 'A', A_JSON);
    assert_true(asks_for_it(room));
    intend(room, recording);
    assert_false(asks_for_it(room));
    move_to(room, recording, STATE_UNCERTAIN, ATTEMPT_COUNTS);
    assert_false(asks_for_it(room));
    move_to(room, recording, STATE_UPLOADED, ATTEMPT_NONE);
    assert_false(asks_for_it(room));
}

static void what_surely_did_not_arrive_asks_again(void **state)
{
    struct room *room = *state;
    int64_t recording = take_with(room, A, 'A', A_JSON);
    intend(room, recording);
    move_to(room, recording, STATE_WAITING, ATTEMPT_COUNTS);
    assert_true(asks_for_it(room));
}

static void held_for_want_of_an_owner_it_asks_held_in_doubt_it_does_not(void **state)
{
    struct room *room = *state;
    int64_t recording = take_as(room, A, 'A', &no_owner).recording;
    ledger_sidecar_expect(room->ledger, recording, A_JSON);
    assert_int_equal(state_of(room, recording), STATE_HELD);
    assert_true(asks_for_it(room));
    int64_t doubted = take_with(room, B, 'B', B_JSON);
    intend(room, doubted);
    move_to(room, doubted, STATE_HELD, ATTEMPT_COUNTS);
    assert_false(ledger_sidecar_is_wanted(room->ledger, B_JSON, &first));
}

static void an_owner_given_by_hand_is_not_asked_for(void **state)
{
    struct room *room = *state;
    room->digest = LEDGER_OWNER_GIVEN;
    take_with(room, A, 'A', A_JSON);
    assert_false(asks_for_it(room));
}

/* --- how long it is kept --- */

static void what_stood_in_it_goes_once_the_recording_is_sent(void **state)
{
    struct room *room = *state;
    int64_t a = take_with(room, A, 'A', A_JSON), b = take_with(room, B, 'B', B_JSON);
    ledger_sidecar_read(room->ledger, a, &first, BODY, NULL);
    ledger_sidecar_read(room->ledger, b, &first, NULL, "it is no JSON object");
    upload(room, a);
    upload(room, b);
    expect_known(room, a, A_JSON, true, NULL, NULL);
    expect_known(room, b, B_JSON, true, NULL, NULL);
    commit(room);
    assert_int_equal(number(room, "SELECT count(*) FROM sidecar WHERE body IS NOT NULL"), 0);
}

/* --- what is moved along --- */

static void expect_to_move(struct room *room, int64_t path, const char *sidecar)
{
    char *found = ledger_sidecar_to_move(room->ledger, path);
    assert_string_equal(found != NULL ? found : "-", sidecar != NULL ? sidecar : "-");
    free(found);
}

static void the_sidecar_of_the_path_that_was_sent_goes_along(void **state)
{
    struct room *room = *state;
    struct ledger_admission sent = take(room, A, 'A'), copy = take(room, B, 'A');
    struct ledger_admission other = take(room, C, 'C');
    ledger_sidecar_expect(room->ledger, sent.recording, A_JSON);
    upload(room, sent.recording);
    expect_to_move(room, sent.path, A_JSON);
    expect_to_move(room, copy.path, NULL);  /* the same content, at another place */
    expect_to_move(room, other.path, NULL); /* it has none */
    expect_to_move(room, 12345, NULL);
}

static void it_stays_while_another_recording_needs_it(void **state)
{
    struct room *room = *state;
    struct ledger_admission a = take(room, A, 'A'), b = take(room, B, 'B');
    ledger_sidecar_expect(room->ledger, a.recording, A_JSON);
    ledger_sidecar_expect(room->ledger, b.recording, A_JSON);
    upload(room, a.recording);
    expect_to_move(room, a.path, NULL);
    intend(room, b.recording);
    expect_to_move(room, a.path, NULL);
    move_to(room, b.recording, STATE_UNCERTAIN, ATTEMPT_COUNTS);
    expect_to_move(room, a.path, NULL);
    move_to(room, b.recording, STATE_UPLOADED, ATTEMPT_NONE);
    expect_to_move(room, a.path, A_JSON);
    expect_to_move(room, b.path, A_JSON);
}

static void one_that_failed_needs_it_no_more(void **state)
{
    struct room *room = *state;
    struct ledger_admission a = take(room, A, 'A'), b = take(room, B, 'B');
    ledger_sidecar_expect(room->ledger, a.recording, A_JSON);
    ledger_sidecar_expect(room->ledger, b.recording, A_JSON);
    upload(room, a.recording);
    intend(room, b.recording);
    move_to(room, b.recording, STATE_FAILED, ATTEMPT_COUNTS);
    expect_to_move(room, a.path, A_JSON);
}

/* --- the preferred copy of a call --- */

static int64_t take_copy(struct room *room, const char *path, char content, bool preferred)
{
    struct said said = yes;
    said.call_key = "call-1";
    said.preferred = preferred;
    return take_as(room, path, content, &said).recording;
}

static bool met(struct room *room, int64_t except)
{
    return ledger_met_preferred(room->ledger, "call-1", except);
}

static void a_preferred_copy_takes_the_place_of_one_that_has_not_left(void **state)
{
    struct room *room = *state;
    int64_t mono = take_copy(room, A, 'A', false), leg = take_copy(room, B, 'B', false);
    assert_false(met(room, mono));
    int64_t stereo = take_copy(room, C, 'C', true);
    assert_int_equal(state_of(room, stereo), STATE_QUEUED);
    assert_int_equal(state_of(room, mono), STATE_DUPLICATE);
    assert_int_equal(state_of(room, leg), STATE_DUPLICATE);
    assert_string_equal(listed(room, A).duplicate_of, C);
    assert_string_equal(listed(room, B).duplicate_of, C);
    assert_true(met(room, mono));
    assert_false(met(room, stereo)); /* by another one than itself */
    assert_false(ledger_met_preferred(room->ledger, "call-2", 0));
}

static void it_does_not_take_the_place_of_one_that_left(void **state)
{
    struct room *room = *state;
    int64_t mono = take_copy(room, A, 'A', false);
    intend(room, mono);
    int64_t stereo = take_copy(room, B, 'B', true);
    assert_int_equal(state_of(room, mono), STATE_UPLOADING);
    assert_int_equal(state_of(room, stereo), STATE_DUPLICATE);
    move_to(room, mono, STATE_UNCERTAIN, ATTEMPT_COUNTS);
    int64_t other = take_copy(room, C, 'C', true);
    assert_int_equal(state_of(room, other), STATE_DUPLICATE);
}

static void of_two_preferred_ones_the_first_goes(void **state)
{
    struct room *room = *state;
    int64_t one = take_copy(room, A, 'A', true), two = take_copy(room, B, 'B', true);
    assert_int_equal(state_of(room, one), STATE_QUEUED);
    assert_int_equal(state_of(room, two), STATE_DUPLICATE);
}

/* One that is held goes nowhere: nobody makes way for it. */
static void a_preferred_copy_that_is_held_takes_no_place(void **state)
{
    struct room *room = *state;
    int64_t mono = take_copy(room, A, 'A', false);
    struct said held = no_owner;
    held.call_key = "call-1";
    held.preferred = true;
    int64_t stereo = take_as(room, B, 'B', &held).recording;
    assert_int_equal(state_of(room, mono), STATE_QUEUED);
    assert_int_equal(state_of(room, stereo), STATE_DUPLICATE);
}

static void a_preferred_copy_is_promoted_before_an_older_one(void **state)
{
    struct room *room = *state;
    int64_t chosen = take_copy(room, A, 'A', true), mono = take_copy(room, B, 'B', false);
    int64_t other = take_copy(room, C, 'C', true);
    intend(room, chosen);
    move_to(room, chosen, STATE_FAILED, ATTEMPT_COUNTS);
    assert_int_equal(state_of(room, other), STATE_QUEUED);
    assert_int_equal(state_of(room, mono), STATE_DUPLICATE);
}

/* Rules skip the chosen one now: it has no call key any more, so it was not met; the other one is
 * queued all the same. */
static void the_next_is_promoted_when_rules_skip_the_chosen_one(void **state)
{
    struct room *room = *state;
    struct said never = {.outcome = RESOLVED_SKIP, .reason = "not this one"};
    int64_t mono = take_copy(room, A, 'A', false), stereo = take_copy(room, B, 'B', true);
    assert_int_equal(state_of(room, mono), STATE_DUPLICATE);
    resolve(room, stereo, job_of(room, stereo).path_id, &never);
    assert_int_equal(state_of(room, stereo), STATE_SKIPPED);
    assert_int_equal(state_of(room, mono), STATE_QUEUED);
    assert_false(met(room, mono));
}

static void one_that_is_gone_was_met(void **state)
{
    struct room *room = *state;
    int64_t mono = take_copy(room, A, 'A', false), stereo = take_copy(room, B, 'B', true);
    ledger_absent(room->ledger, B, room->now_ms);
    assert_int_equal(state_of(room, stereo), STATE_GONE);
    assert_int_equal(state_of(room, mono), STATE_QUEUED);
    assert_true(met(room, mono));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_a_room(what_is_expected_is_known_and_what_is_read_is_kept),
        in_a_room(expected_elsewhere_it_is_not_read_yet),
        in_a_room(every_other_version_is_wanted),
        in_a_room(it_is_wanted_while_one_of_several_has_not_read_it),
        in_a_room(those_that_expect_it_come_in_order_and_in_parts),
        in_a_room(what_has_left_or_may_have_asks_no_more),
        in_a_room(what_surely_did_not_arrive_asks_again),
        in_a_room(held_for_want_of_an_owner_it_asks_held_in_doubt_it_does_not),
        in_a_room(an_owner_given_by_hand_is_not_asked_for),
        in_a_room(what_stood_in_it_goes_once_the_recording_is_sent),
        in_a_room(the_sidecar_of_the_path_that_was_sent_goes_along),
        in_a_room(it_stays_while_another_recording_needs_it),
        in_a_room(one_that_failed_needs_it_no_more),
        in_a_room(a_preferred_copy_takes_the_place_of_one_that_has_not_left),
        in_a_room(it_does_not_take_the_place_of_one_that_left),
        in_a_room(of_two_preferred_ones_the_first_goes),
        in_a_room(a_preferred_copy_that_is_held_takes_no_place),
        in_a_room(a_preferred_copy_is_promoted_before_an_older_one),
        in_a_room(the_next_is_promoted_when_rules_skip_the_chosen_one),
        in_a_room(one_that_is_gone_was_met),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
