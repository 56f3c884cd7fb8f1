/* What becomes of a recording: accepted, refused, known already, or in doubt. */
#include "tests/transcripts/play.h"

#include <setjmp.h>

#include <cmocka.h>

static int64_t one(struct play *play, enum key_kind key)
{
    play_begin(play, 2);
    int64_t id = calls_are_there(play, 1, key);
    play_start(play);
    assert_true(is_in_flight(play, id));
    return id;
}

static void accepted_is_uploaded_with_its_id(void **state)
{
    struct play play;
    (void)state;
    int64_t id = one(&play, KEY_DERIVED);
    ends(&play, id, accepted("5f3a"));
    expect_state(&play, id, STATE_UPLOADED);
    assert_string_equal(call_of(&play, id)->engagement_id, "5f3a");
    assert_int_equal(call_of(&play, id)->attempts, 1);
    play_end(&play);
}

static void a_refusal_fails_it_with_the_words_of_chorus(void **state)
{
    const int refusals[] = {400, 404, 413, 415, 422};
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct play play;
        int64_t id = one(&play, KEY_DERIVED);
        ends(&play, id, answer(refusals[i], "user: no such user"));
        expect_state(&play, id, STATE_FAILED);
        expect_reason(&play, id, "user: no such user");
        assert_int_equal(call_of(&play, id)->status, refusals[i]);
        time_passes(&play, 30 * DAY);
        assert_int_equal(play.start_count, 1);
        play_end(&play);
    }
}

static void an_odd_refusal_is_tried_again(void **state)
{
    const int odd[] = {402, 405, 410, 418, 451};
    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        struct play play;
        int64_t id = one(&play, KEY_DERIVED);
        ends(&play, id, answer(odd[i], "odd"));
        expect_state(&play, id, STATE_WAITING);
        expect_reason(&play, id, "odd");
        time_passes(&play, S);
        assert_true(is_in_flight(&play, id));
        play_end(&play);
    }
}

/* --- 409 */

static void known_at_the_first_attempt_is_a_duplicate(void **state)
{
    struct play play;
    (void)state;
    int64_t id = one(&play, KEY_DERIVED);
    ends(&play, id, answer(409, "meeting_id exists"));
    expect_state(&play, id, STATE_DUPLICATE);
    assert_true(call_of(&play, id)->known_by_409);
    play_end(&play);
}

static void known_after_an_attempt_that_proved_no_arrival_is_a_duplicate(void **state)
{
    struct play play;
    (void)state;
    int64_t id = one(&play, KEY_DERIVED);
    ends(&play, id, cut_off()); /* its end was never sent: it cannot have been ours */
    time_passes(&play, S);
    ends(&play, id, answer(409, "meeting_id exists"));
    expect_state(&play, id, STATE_DUPLICATE);
    play_end(&play);
}

static void known_after_a_lost_answer_was_ours(void **state)
{
    struct play play;
    (void)state;
    int64_t id = one(&play, KEY_DERIVED);
    ends(&play, id, lost());
    time_passes(&play, 61 * S);
    ends(&play, id, answer(409, "meeting_id exists"));
    expect_state(&play, id, STATE_UPLOADED);
    assert_false(call_of(&play, id)->known_by_409);
    play_end(&play);
}

static void known_after_a_crash_was_ours(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    int64_t id = call_was_interrupted(&play, KEY_DERIVED);
    play_start(&play);
    time_passes(&play, 60 * S);
    ends(&play, id, answer(409, "meeting_id exists"));
    expect_state(&play, id, STATE_UPLOADED);
    play_end(&play);
}

/* A calendar's key may be known from the calendar: no proof (reliability.md, F3). Look first. */
static void known_under_a_scheduled_key_is_looked_for(void **state)
{
    struct play play;
    (void)state;
    int64_t id = one(&play, KEY_SCHEDULED);
    ends(&play, id, answer(409, "meeting_id exists"));
    expect_state(&play, id, STATE_UNCERTAIN);
    assert_true(call_of(&play, id)->conflict);
    time_passes(&play, 10 * S);
    assert_true(is_looked_for(&play, id));
    look_up_answers(&play, id, EVIDENCE_FOUND);
    expect_state(&play, id, STATE_UPLOADED);
    assert_string_equal(call_of(&play, id)->engagement_id, "found");
    play_end(&play);
}

static void known_and_not_found_is_held_in_doubt(void **state)
{
    struct play play;
    (void)state;
    int64_t id = one(&play, KEY_SCHEDULED);
    ends(&play, id, answer(409, "meeting_id exists"));
    time_passes(&play, 10 * S);
    look_up_answers(&play, id, EVIDENCE_NOT_FOUND);
    expect_state(&play, id, STATE_HELD);
    assert_int_equal(call_of(&play, id)->held, HELD_DOUBT);
    time_passes(&play, 30 * DAY);
    assert_int_equal(play.start_count, 1);
    play_end(&play);
}

static void a_look_without_an_answer_is_taken_again(void **state)
{
    struct play play;
    (void)state;
    int64_t id = one(&play, KEY_SCHEDULED);
    ends(&play, id, answer(409, "meeting_id exists"));
    time_passes(&play, 10 * S);
    for (int i = 0; i < 5; i++) {
        look_up_answers(&play, id, EVIDENCE_NO_ANSWER);
        expect_state(&play, id, STATE_UNCERTAIN);
        assert_true(call_of(&play, id)->conflict);
        time_passes(&play, 60 * S);
        assert_true(is_looked_for(&play, id));
    }
    look_up_answers(&play, id, EVIDENCE_NOT_FOUND);
    expect_state(&play, id, STATE_HELD);
    play_end(&play);
}

/* The answer was lost: look, and only where nothing is found send it again. */
static void in_doubt_a_scheduled_one_is_looked_for_before_it_is_sent_again(void **state)
{
    struct play play;
    (void)state;
    int64_t id = one(&play, KEY_SCHEDULED);
    ends(&play, id, lost());
    time_passes(&play, 60 * S);
    assert_true(is_looked_for(&play, id));
    assert_int_equal(play.start_count, 1);
    look_up_answers(&play, id, EVIDENCE_NOT_FOUND);
    assert_true(is_in_flight(&play, id));
    ends(&play, id, lost()); /* and again, each time */
    time_passes(&play, 60 * S);
    look_up_answers(&play, id, EVIDENCE_FOUND);
    expect_state(&play, id, STATE_UPLOADED);
    assert_int_equal(play.start_count, 2);
    play_end(&play);
}

static void looks_count_as_transfers(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 2);
    for (int i = 0; i < 5; i++)
        call_was_interrupted(&play, KEY_SCHEDULED);
    play_start(&play);
    time_passes(&play, 60 * S);
    assert_int_equal(play.looking_count, 2);
    int64_t id = call_comes(&play, KEY_DERIVED);
    assert_false(is_in_flight(&play, id));
    play_end(&play);
}

/* Without a key nothing can be a twin of it: a 409 all the same is for a person. */
static void known_without_a_key_is_held_in_doubt(void **state)
{
    struct play play;
    (void)state;
    int64_t id = one(&play, KEY_NONE);
    ends(&play, id, answer(409, ""));
    expect_state(&play, id, STATE_HELD);
    expect_reason(&play, id, "no further words");
    assert_int_equal(call_of(&play, id)->held, HELD_DOUBT);
    time_passes(&play, 30 * DAY);
    assert_int_equal(play.start_count, 1);
    play_end(&play);
}

static void looks_are_answered_in_any_order(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 2);
    int64_t first = call_was_interrupted(&play, KEY_SCHEDULED);
    int64_t second = call_was_interrupted(&play, KEY_SCHEDULED);
    play_start(&play);
    time_passes(&play, 60 * S);
    look_up_answers(&play, second, EVIDENCE_FOUND);
    look_up_answers(&play, first, EVIDENCE_NOT_FOUND);
    expect_state(&play, second, STATE_UPLOADED);
    assert_true(is_in_flight(&play, first));
    play_end(&play);
}

/* --- doubt */

static void in_doubt_it_is_not_sent_again_before_resend_after(void **state)
{
    const struct plan_ending doubts[] = {
        lost(),          answer(500, "oops"),      answer(502, ""),
        answer(408, ""), answer(302, "elsewhere"), answer(200, "<html>")};
    (void)state;
    for (size_t i = 0; i < sizeof doubts / sizeof doubts[0]; i++) {
        struct play play;
        int64_t id = one(&play, KEY_DERIVED);
        ends(&play, id, doubts[i]);
        expect_state(&play, id, STATE_UNCERTAIN);
        assert_int_equal(waits_for(&play, id), 60 * S);
        time_passes(&play, 60 * S - 1);
        assert_false(is_in_flight(&play, id));
        time_passes(&play, 1);
        assert_true(is_in_flight(&play, id));
        play_end(&play);
    }
}

/* The time that Chorus needs passes on no wall clock. */
static void a_clock_set_forward_does_not_shorten_resend_after(void **state)
{
    struct play play;
    (void)state;
    int64_t id = one(&play, KEY_DERIVED);
    ends(&play, id, lost());
    wall_clock_jumps(&play, DAY);
    call_comes(&play, KEY_DERIVED); /* which goes at once */
    assert_int_equal(in_flight(&play), 1);
    time_passes(&play, 60 * S - 1);
    assert_false(is_in_flight(&play, id));
    time_passes(&play, 1);
    assert_true(is_in_flight(&play, id));
    play_end(&play);
}

/* Which alarm comes first then: that of what is in doubt, or that of another which waits? */
static void a_clock_set_forward_leaves_each_its_own_time(void **state)
{
    const int64_t others[] = {30 * S, 90 * S};
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct play play;
        play_begin(&play, 2);
        int64_t doubtful = calls_are_there(&play, 1, KEY_DERIVED);
        play_start(&play);
        ends(&play, doubtful, lost());
        wall_clock_jumps(&play, DAY);
        int64_t other = call_comes(&play, KEY_DERIVED);
        ends(&play, other, cut_off());
        call_of(&play, other)->due_ms = play.now.wall_ms + others[i];
        time_passes(&play, 2 * S); /* it was asked for again, and is not due */
        time_passes(&play, 60 * S - 2 * S - 1);
        assert_false(is_in_flight(&play, doubtful));
        assert_int_equal(is_in_flight(&play, other), others[i] < 60 * S);
        time_passes(&play, 1);
        assert_true(is_in_flight(&play, doubtful));
        time_passes(&play, 30 * S);
        assert_true(is_in_flight(&play, other));
        play_end(&play);
    }
}

static void a_longer_backoff_outweighs_resend_after(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    struct plan_options options = play.options;
    options.retry_first_ms = options.retry_max_ms = HOUR;
    play_end(&play);
    bool longer = false;
    for (uint64_t seed = 1; seed < 20; seed++) {
        play_begin_with(&play, &options, seed);
        int64_t id = calls_are_there(&play, 1, KEY_DERIVED);
        play_start(&play);
        ends(&play, id, lost());
        assert_in_range(waits_for(&play, id), 60 * S, HOUR);
        longer = longer || waits_for(&play, id) > 10 * MIN;
        play_end(&play);
    }
    assert_true(longer);
}

/* What follows is certain, but the first attempt is not: it stays uncertain. */
static void doubt_is_not_forgotten(void **state)
{
    struct play play;
    (void)state;
    int64_t id = one(&play, KEY_DERIVED);
    ends(&play, id, lost());
    time_passes(&play, 61 * S);
    ends(&play, id, cut_off());
    expect_state(&play, id, STATE_UNCERTAIN);
    time_passes(&play, 2 * S);
    ends(&play, id, answer(429, "slow"));
    expect_state(&play, id, STATE_UNCERTAIN);
    time_passes(&play, 4 * S);
    ends(&play, id, unreachable());
    expect_state(&play, id, STATE_UNCERTAIN);
    time_passes(&play, S);
    ends(&play, id, accepted("e"));
    expect_state(&play, id, STATE_UPLOADED);
    play_end(&play);
}

static void without_a_key_doubt_is_held_and_never_resent(void **state)
{
    struct play play;
    (void)state;
    int64_t id = one(&play, KEY_NONE);
    ends(&play, id, lost());
    expect_state(&play, id, STATE_HELD);
    assert_int_equal(call_of(&play, id)->held, HELD_DOUBT);
    time_passes(&play, 30 * DAY);
    assert_int_equal(play.start_count, 1);
    play_end(&play);
}

static void without_a_key_a_crash_is_held_and_never_resent(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 2);
    int64_t id = call_was_interrupted(&play, KEY_NONE);
    play_start(&play);
    time_passes(&play, DAY);
    expect_state(&play, id, STATE_HELD);
    assert_int_equal(call_of(&play, id)->held, HELD_DOUBT);
    assert_int_equal(play.start_count, 0);
    play_end(&play);
}

static void without_a_key_certainty_is_tried_again(void **state)
{
    struct play play;
    (void)state;
    int64_t id = one(&play, KEY_NONE);
    ends(&play, id, cut_off());
    expect_state(&play, id, STATE_WAITING);
    time_passes(&play, S);
    ends(&play, id, answer(429, "slow"));
    expect_state(&play, id, STATE_WAITING);
    time_passes(&play, 2 * S);
    ends(&play, id, accepted("e"));
    expect_state(&play, id, STATE_UPLOADED);
    play_end(&play);
}

static void a_person_may_send_what_is_held_in_doubt(void **state)
{
    struct play play;
    (void)state;
    int64_t id = one(&play, KEY_NONE);
    ends(&play, id, lost());
    call_of(&play, id)->not_again_before_ms = 0;
    call_is_retried(&play, id);
    assert_true(is_in_flight(&play, id));
    play_end(&play);
}

static void a_file_that_left_before_its_turn_costs_nothing(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    int64_t id = calls_are_there(&play, 3, KEY_DERIVED) + 2;
    call_of(&play, id)->cannot_be_opened = true;
    play_start(&play);
    expect_state(&play, id, STATE_GONE);
    assert_int_equal(call_of(&play, id)->attempts, 0);
    assert_int_equal(in_flight(&play), 1); /* another one has its place */
    play_end(&play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted_is_uploaded_with_its_id),
        cmocka_unit_test(a_refusal_fails_it_with_the_words_of_chorus),
        cmocka_unit_test(an_odd_refusal_is_tried_again),
        cmocka_unit_test(known_at_the_first_attempt_is_a_duplicate),
        cmocka_unit_test(known_after_an_attempt_that_proved_no_arrival_is_a_duplicate),
        cmocka_unit_test(known_after_a_lost_answer_was_ours),
        cmocka_unit_test(known_after_a_crash_was_ours),
        cmocka_unit_test(known_under_a_scheduled_key_is_looked_for),
        cmocka_unit_test(known_and_not_found_is_held_in_doubt),
        cmocka_unit_test(a_look_without_an_answer_is_taken_again),
        cmocka_unit_test(in_doubt_a_scheduled_one_is_looked_for_before_it_is_sent_again),
        cmocka_unit_test(looks_count_as_transfers),
        cmocka_unit_test(in_doubt_it_is_not_sent_again_before_resend_after),
        cmocka_unit_test(a_clock_set_forward_does_not_shorten_resend_after),
        cmocka_unit_test(a_longer_backoff_outweighs_resend_after),
        cmocka_unit_test(doubt_is_not_forgotten),
        cmocka_unit_test(without_a_key_doubt_is_held_and_never_resent),
        cmocka_unit_test(without_a_key_a_crash_is_held_and_never_resent),
        cmocka_unit_test(without_a_key_certainty_is_tried_again),
        cmocka_unit_test(a_person_may_send_what_is_held_in_doubt),
        cmocka_unit_test(a_file_that_left_before_its_turn_costs_nothing),
        cmocka_unit_test(known_without_a_key_is_held_in_doubt),
        cmocka_unit_test(looks_are_answered_in_any_order),
        cmocka_unit_test(a_clock_set_forward_leaves_each_its_own_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
