/* How many at once? Never more than the window; trouble halves it, success opens it again. */
#include "tests/transcripts/play.h"

#include <setjmp.h>

#include <cmocka.h>

static void succeed(struct play *play, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ends(play, first_in_flight(play), accepted("e"));
}

static void never_more_than_concurrency(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 4);
    calls_are_there(&play, 20, KEY_DERIVED);
    play_start(&play);
    assert_int_equal(in_flight(&play), 4);
    call_comes(&play, KEY_DERIVED);
    assert_int_equal(in_flight(&play), 4);
    ends(&play, first_in_flight(&play), accepted("e"));
    assert_int_equal(in_flight(&play), 4);
    succeed(&play, 20);
    assert_int_equal(count_of(&play, STATE_UPLOADED), 21);
    assert_int_equal(in_flight(&play), 0);
    play_end(&play);
}

static void halves(struct plan_ending trouble)
{
    struct play play;
    play_begin(&play, 8);
    calls_are_there(&play, 40, KEY_DERIVED);
    play_start(&play);
    ends(&play, first_in_flight(&play), trouble);
    assert_int_equal(plan_window(play.plan), 4);
    assert_int_equal(in_flight(&play), 7); /* what runs is not broken off, nothing is added */
    play_end(&play);
}

static void halved_by_429(void **state)
{
    (void)state;
    halves(answer(429, "too many requests"));
}

static void halved_by_503(void **state)
{
    (void)state;
    halves(answer(503, "busy"));
}

static void halved_by_a_stall_before_the_last_byte(void **state)
{
    (void)state;
    halves(stalled());
}

static void halved_by_a_stall_after_the_last_byte(void **state)
{
    (void)state;
    halves(lost_after_a_stall());
}

static void not_halved_by_anything_else(void **state)
{
    const struct plan_ending others[] = {answer(500, "oops"), answer(400, "no"), lost(),
                                         cut_off(),           unreachable(),     answer(401, "")};
    struct play play;
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        play_begin(&play, 8);
        calls_are_there(&play, 40, KEY_DERIVED);
        play_start(&play);
        ends(&play, first_in_flight(&play), others[i]);
        assert_int_equal(plan_window(play.plan), 8);
        play_end(&play);
    }
}

static void a_burst_halves_once(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 8);
    calls_are_there(&play, 40, KEY_DERIVED);
    play_start(&play);
    for (int i = 0; i < 8; i++) /* all eight were under way when the trouble began */
        ends(&play, first_in_flight(&play), answer(503, "busy"));
    assert_int_equal(plan_window(play.plan), 4);
    assert_int_equal(in_flight(&play), 4);
    ends(&play, first_in_flight(&play), answer(503, "busy")); /* started since */
    assert_int_equal(plan_window(play.plan), 2);
    play_end(&play);
}

static void the_window_never_closes(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 8);
    calls_are_there(&play, 100, KEY_DERIVED);
    play_start(&play);
    for (int i = 0; i < 60; i++)
        ends(&play, first_in_flight(&play), answer(429, "too many requests"));
    assert_int_equal(plan_window(play.plan), 1);
    assert_int_equal(in_flight(&play), 1);
    play_end(&play);
}

static void one_more_after_each_full_window_of_successes(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 8);
    calls_are_there(&play, 200, KEY_DERIVED);
    play_start(&play);
    ends(&play, first_in_flight(&play), answer(503, "busy"));
    while (in_flight(&play) > 4)
        ends(&play, first_in_flight(&play), cut_off());
    assert_int_equal(plan_window(play.plan), 4);
    succeed(&play, 3);
    assert_int_equal(plan_window(play.plan), 4);
    succeed(&play, 1);
    assert_int_equal(plan_window(play.plan), 5);
    succeed(&play, 4);
    assert_int_equal(plan_window(play.plan), 5);
    succeed(&play, 1);
    assert_int_equal(plan_window(play.plan), 6);
    succeed(&play, 6 + 7);
    assert_int_equal(plan_window(play.plan), 8);
    succeed(&play, 30);
    assert_int_equal(plan_window(play.plan), 8); /* and not one above the limit */
    play_end(&play);
}

static void a_smaller_concurrency_holds_from_the_next_start(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 8);
    calls_are_there(&play, 40, KEY_DERIVED);
    play_start(&play);
    struct plan_options options = play.options;
    options.concurrency = 2;
    play_configure(&play, &options);
    assert_int_equal(in_flight(&play), 8);
    succeed(&play, 6);
    assert_int_equal(in_flight(&play), 2);
    succeed(&play, 1);
    assert_int_equal(in_flight(&play), 2);
    options.concurrency = 5;
    play_configure(&play, &options);
    assert_int_equal(in_flight(&play), 5);
    play_end(&play);
}

static void nothing_starts_after_the_stop(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 4);
    calls_are_there(&play, 20, KEY_DERIVED);
    play_start(&play);
    size_t started = play.start_count;
    play_stop(&play);
    call_comes(&play, KEY_DERIVED);
    ends(&play, first_in_flight(&play), accepted("e"));
    ends(&play, first_in_flight(&play), answer(503, "busy"));
    ends(&play, first_in_flight(&play), answer(403, "no"));
    ends(&play, first_in_flight(&play), lost());
    time_passes(&play, DAY);
    assert_int_equal(play.start_count, started);
    assert_int_equal(play.probes, 0);
    assert_int_equal(in_flight(&play), 0);
    play_end(&play);
}

/* More falls due and is decided at one moment than one step may do: nothing of it is forgotten. */
static void a_step_that_is_full_leaves_the_rest_to_the_next(void **state)
{
    enum { MANY = 64, KEYLESS = 128, QUEUED = 63 };
    struct play play;
    (void)state;
    play_begin(&play, MANY);
    int64_t refused = calls_are_there(&play, MANY, KEY_DERIVED);
    for (int i = 0; i < KEYLESS; i++)
        call_was_interrupted(&play, KEY_NONE);
    play_start(&play);
    int64_t queued = calls_come(&play, QUEUED, KEY_DERIVED);
    time_passes(&play, 61 * S);
    for (int64_t i = 0; i < MANY; i++)
        ends(&play, refused + i, answer(403, "not your user"));
    probe_answers(&play, 200);
    assert_int_equal(count_of(&play, STATE_HELD), MANY + KEYLESS);
    for (int64_t i = 0; i < QUEUED; i++)
        ends(&play, queued + i, accepted("e"));
    assert_int_equal(count_of(&play, STATE_UPLOADED), QUEUED);
    play_end(&play);
}

static void a_million_recordings_are_fetched_by_the_handful(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 64);
    calls_are_there(&play, 1000000, KEY_DERIVED);
    play_start(&play);
    for (int i = 0; i < 2000; i++) {
        call_comes(&play, KEY_DERIVED);
        ends(&play, first_in_flight(&play), i % 7 == 0 ? answer(500, "oops") : accepted("e"));
        if (i % 100 == 0)
            time_passes(&play, 10 * S);
    }
    assert_true(play.most_fetched <= 512);
    assert_int_equal(in_flight(&play), 64);
    play_end(&play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_more_than_concurrency),
        cmocka_unit_test(halved_by_429),
        cmocka_unit_test(halved_by_503),
        cmocka_unit_test(halved_by_a_stall_before_the_last_byte),
        cmocka_unit_test(halved_by_a_stall_after_the_last_byte),
        cmocka_unit_test(not_halved_by_anything_else),
        cmocka_unit_test(a_burst_halves_once),
        cmocka_unit_test(the_window_never_closes),
        cmocka_unit_test(one_more_after_each_full_window_of_successes),
        cmocka_unit_test(a_smaller_concurrency_holds_from_the_next_start),
        cmocka_unit_test(nothing_starts_after_the_stop),
        cmocka_unit_test(a_million_recordings_are_fetched_by_the_handful),
        cmocka_unit_test(a_step_that_is_full_leaves_the_rest_to_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
