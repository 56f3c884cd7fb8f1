/* When is it sent again? Doubling delays with full jitter, Retry-After, and an end after retry_for.
 */
#include "tests/transcripts/play.h"

#include <setjmp.h>

#include <cmocka.h>

/* One recording, cut off again and again. Fills the delay after each attempt. */
static void delays_of(uint64_t seed, int64_t *delays, size_t n)
{
    struct play play;
    play_begin(&play, 1);
    struct plan_options options = play.options;
    options.retry_for_ms = 365 * DAY;
    play_end(&play);
    play_begin_with(&play, &options, seed);
    int64_t id = calls_are_there(&play, 1, KEY_DERIVED);
    play_start(&play);
    for (size_t i = 0; i < n; i++) {
        ends(&play, id, cut_off());
        expect_state(&play, id, STATE_WAITING);
        delays[i] = waits_for(&play, id);
        time_passes(&play, delays[i] - 1);
        assert_false(is_in_flight(&play, id));
        time_passes(&play, 1);
        assert_true(is_in_flight(&play, id));
    }
    play_end(&play);
}

static void delays_double_up_to_retry_max(void **state)
{
    enum { TRIES = 14, PLAYS = 300 };
    int64_t delays[TRIES], longest[TRIES] = {0}, shortest[TRIES], ceiling = S;
    (void)state;
    for (size_t i = 0; i < TRIES; i++)
        shortest[i] = INT64_MAX;
    for (uint64_t seed = 1; seed <= PLAYS; seed++) {
        delays_of(seed, delays, TRIES);
        for (size_t i = 0; i < TRIES; i++) {
            longest[i] = delays[i] > longest[i] ? delays[i] : longest[i];
            shortest[i] = delays[i] < shortest[i] ? delays[i] : shortest[i];
        }
    }
    for (size_t i = 0; i < TRIES; i++, ceiling *= 2) {
        int64_t most = ceiling < 15 * MIN ? ceiling : 15 * MIN;
        assert_in_range(longest[i], most * 9 / 10, most); /* the whole range is used */
        assert_in_range(shortest[i], 1, most / 10);
    }
}

static void everybody_waits_for_another_time(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 64);
    int64_t first = calls_are_there(&play, 64, KEY_DERIVED);
    play_start(&play);
    for (int64_t i = 0; i < 64; i++)
        ends(&play, first + i, answer(500, "oops"));
    /* resend_after is the floor here, so look at those that were cut off instead */
    int64_t second = calls_come(&play, 32, KEY_DERIVED);
    size_t equal = 0;
    for (int64_t i = 0; i < 32; i++)
        ends(&play, second + i, cut_off());
    for (int64_t i = 1; i < 32; i++)
        equal += waits_for(&play, second + i) == waits_for(&play, second + i - 1);
    assert_true(equal < 4);
    play_end(&play);
}

/* 429 or 503 with Retry-After: nothing at all starts before. */
static void all_wait(int64_t asked_ms, int64_t expected_ms)
{
    struct play play;
    play_begin(&play, 4);
    calls_are_there(&play, 20, KEY_DERIVED);
    play_start(&play);
    size_t started = play.start_count;
    ends(&play, first_in_flight(&play), answer_retry_after(429, asked_ms));
    ends(&play, first_in_flight(&play), accepted("e"));
    call_comes(&play, KEY_DERIVED);
    assert_string_equal(plan_paused_because(play.plan), "Chorus asked to wait");
    time_passes(&play, expected_ms - 1);
    assert_int_equal(play.start_count, started);
    time_passes(&play, 1);
    /* two of four are still in flight, and the window was halved: as soon as one ends */
    ends(&play, first_in_flight(&play), accepted("e"));
    assert_true(play.start_count > started);
    assert_string_equal(plan_paused_because(play.plan), "");
    play_end(&play);
}

static void retry_after_holds_all(void **state)
{
    (void)state;
    all_wait(30 * S, 30 * S);
}

/* Whatever it answered: it asked for rest. */
static void retry_after_holds_all_with_any_answer(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 2);
    calls_are_there(&play, 10, KEY_DERIVED);
    play_start(&play);
    ends(&play, first_in_flight(&play), answer_retry_after(500, 30 * S));
    ends(&play, first_in_flight(&play), accepted("e"));
    time_passes(&play, 30 * S - 1);
    assert_int_equal(in_flight(&play), 0);
    time_passes(&play, 1);
    assert_int_equal(in_flight(&play), 2); /* and the window is as wide as it was */
    play_end(&play);
}

/* One waits for longer than all are held: the end of the hold is not slept through. */
static void the_end_of_a_hold_is_not_slept_through(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    int64_t first = calls_are_there(&play, 3, KEY_DERIVED);
    play_start(&play);
    ends(&play, first + 2, lost()); /* for 60 s */
    ends(&play, first + 1, answer_retry_after(400, 10 * S));
    time_passes(&play, 10 * S - 1);
    assert_int_equal(in_flight(&play), 0);
    time_passes(&play, 1);
    assert_true(is_in_flight(&play, first));
    play_end(&play);
}

static void retry_after_is_not_cut_by_retry_max(void **state)
{
    (void)state;
    all_wait(40 * MIN, 40 * MIN);
}

static void retry_after_is_at_least_a_second(void **state)
{
    (void)state;
    all_wait(0, S);
}

static void retry_after_is_at_most_an_hour(void **state)
{
    (void)state;
    all_wait(9 * DAY, HOUR);
}

static void a_shorter_retry_after_does_not_shorten_a_longer_one(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 2);
    calls_are_there(&play, 10, KEY_DERIVED);
    play_start(&play);
    ends(&play, first_in_flight(&play), answer_retry_after(503, 10 * MIN));
    ends(&play, first_in_flight(&play), answer_retry_after(503, 2 * S));
    time_passes(&play, 10 * MIN - 1);
    assert_int_equal(in_flight(&play), 0);
    time_passes(&play, 1);
    assert_true(in_flight(&play) > 0);
    play_end(&play);
}

static void busy_without_retry_after_holds_only_its_own(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 4);
    int64_t first = calls_are_there(&play, 4, KEY_DERIVED);
    play_start(&play);
    ends(&play, first, answer(429, "too many requests"));
    expect_state(&play, first, STATE_WAITING);
    expect_reason(&play, first, "429");
    ends(&play, first + 1, accepted("e"));
    ends(&play, first + 2, accepted("e"));
    int64_t next = call_comes(&play, KEY_DERIVED);
    assert_true(is_in_flight(&play, next));
    play_end(&play);
}

/* The loop's clock may be a little behind: the alarm that rings early must not be the last. */
static void an_early_alarm_is_set_again(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    int64_t id = calls_are_there(&play, 1, KEY_DERIVED);
    play_start(&play);
    ends(&play, id, answer_retry_after(429, 10 * S));
    alarm_rings_early(&play, 40);
    assert_false(is_in_flight(&play, id));
    assert_true(play.wake_at_ms > 0);
    time_passes(&play, 40);
    assert_true(is_in_flight(&play, id));
    play_end(&play);
}

static void after_retry_for_it_has_failed(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    int64_t id = calls_are_there(&play, 1, KEY_DERIVED);
    int64_t begun = play.now.steady_ms;
    play_start(&play);
    while (call_of(&play, id)->state != STATE_FAILED) {
        assert_true(play.now.steady_ms - begun < 8 * DAY);
        if (is_in_flight(&play, id))
            ends(&play, id, cut_off());
        else
            until_the_alarm(&play);
    }
    assert_true(play.now.steady_ms - begun >= 7 * DAY);
    expect_reason(&play, id, "upload.retry_for is over");
    expect_reason(&play, id, "connection reset");
    play_end(&play);
}

/* Time without a token or a network is not the recording's. */
static void retry_for_is_not_over_without_a_try(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    int64_t id = calls_are_there(&play, 1, KEY_DERIVED);
    play_start(&play);
    ends(&play, id, lost());
    time_passes(&play, 61 * S);
    time_passes(&play, 8 * DAY);
    ends(&play, id, unreachable());
    expect_state(&play, id, STATE_UNCERTAIN);
    time_passes(&play, MIN);
    ends(&play, id, answer(401, "expired"));
    expect_state(&play, id, STATE_UNCERTAIN);
    token_becomes(&play, TOKEN_GOOD);
    probe_answers(&play, 200);
    ends(&play, id, answer(403, "forbidden"));
    expect_state(&play, id, STATE_UNCERTAIN);
    probe_answers(&play, 401);
    expect_state(&play, id, STATE_UNCERTAIN);
    play_end(&play);
}

static void a_clock_that_leaps_does_not_end_retry_for(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    int64_t id = calls_are_there(&play, 1, KEY_DERIVED);
    play_start(&play);
    wall_clock_jumps(&play, 8 * DAY);
    ends(&play, id, cut_off()); /* the first that the plan hears of the clock */
    expect_state(&play, id, STATE_WAITING);
    int64_t leapt = play.now.steady_ms;
    while (call_of(&play, id)->state != STATE_FAILED) {
        assert_true(play.now.steady_ms - leapt < 8 * DAY);
        if (is_in_flight(&play, id))
            ends(&play, id, cut_off());
        else
            until_the_alarm(&play);
    }
    assert_true(play.now.steady_ms - leapt >= 7 * DAY);
    play_end(&play);
}

/* Back by a little after that, as when the time is set by hand and then by a server: what counts
 * from the leap must not count from the future. */
static void a_clock_put_right_after_a_leap_does_not_end_retry_for(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    int64_t id = calls_are_there(&play, 1, KEY_DERIVED);
    play_start(&play);
    wall_clock_jumps(&play, 8 * DAY);
    ends(&play, id, cut_off());
    wall_clock_jumps(&play, -30 * MIN);
    time_passes(&play, 31 * MIN);
    wall_clock_jumps(&play, -30 * MIN);
    ends(&play, id, cut_off());
    expect_state(&play, id, STATE_WAITING);
    int64_t leapt = play.now.steady_ms;
    while (call_of(&play, id)->state != STATE_FAILED) {
        assert_true(play.now.steady_ms - leapt < 8 * DAY);
        if (is_in_flight(&play, id))
            ends(&play, id, cut_off());
        else
            until_the_alarm(&play);
    }
    assert_true(play.now.steady_ms - leapt >= 7 * DAY);
    play_end(&play);
}

static void what_a_leap_is(void **state)
{
    (void)state;
    assert_true(plan_is_leap(4 * DAY, 7 * DAY));
    assert_false(plan_is_leap(3 * DAY, 7 * DAY));
    assert_false(plan_is_leap(-8 * DAY, 7 * DAY));
    assert_true(plan_is_leap(61 * MIN, MIN));
    assert_false(plan_is_leap(59 * MIN, MIN));
}

static void a_clock_that_is_set_back_does_not_bury_what_waits(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    int64_t id = calls_are_there(&play, 1, KEY_DERIVED);
    play_start(&play);
    ends(&play, id, cut_off());
    wall_clock_jumps(&play, -365 * DAY);
    time_passes(&play, 2 * MIN);
    assert_true(is_in_flight(&play, id));
    play_end(&play);
}

static void a_recording_with_a_delay_goes_when_it_is_due(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    play_start(&play);
    int64_t id = call_was_interrupted(&play, KEY_DERIVED);
    play_settle(&play);
    time_passes(&play, 60 * S - 1);
    assert_false(is_in_flight(&play, id));
    time_passes(&play, 1);
    assert_true(is_in_flight(&play, id));
    play_end(&play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delays_double_up_to_retry_max),
        cmocka_unit_test(everybody_waits_for_another_time),
        cmocka_unit_test(retry_after_holds_all),
        cmocka_unit_test(retry_after_is_not_cut_by_retry_max),
        cmocka_unit_test(retry_after_is_at_least_a_second),
        cmocka_unit_test(retry_after_is_at_most_an_hour),
        cmocka_unit_test(a_shorter_retry_after_does_not_shorten_a_longer_one),
        cmocka_unit_test(busy_without_retry_after_holds_only_its_own),
        cmocka_unit_test(an_early_alarm_is_set_again),
        cmocka_unit_test(after_retry_for_it_has_failed),
        cmocka_unit_test(retry_for_is_not_over_without_a_try),
        cmocka_unit_test(a_clock_that_leaps_does_not_end_retry_for),
        cmocka_unit_test(what_a_leap_is),
        cmocka_unit_test(a_clock_that_is_set_back_does_not_bury_what_waits),
        cmocka_unit_test(a_recording_with_a_delay_goes_when_it_is_due),
        cmocka_unit_test(retry_after_holds_all_with_any_answer),
        cmocka_unit_test(the_end_of_a_hold_is_not_slept_through),
        cmocka_unit_test(a_clock_put_right_after_a_leap_does_not_end_retry_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
