/* How fast with `rate: auto`? Calls wait for a few ms, and what they leave free is used; nothing
 * that was once believed of the link is believed for long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/transcripts/uplink.h"

#define assert_at_most(value, most) assert_true((value) <= (most))
#define assert_at_least(value, least) assert_true((value) >= (least))

static void an_unknown_link_is_filled_but_for_the_calls(void **state)
{
    const double links[] = {2, 10, 50, 200};
    (void)state;
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        struct uplink *uplink = uplink_new();
        uplink->rate = uplink_mbit(links[i]);
        uplink_run(uplink, 40);
        /* at 2 Mbit/s a packet alone takes 6 ms: three of them are no full link */
        assert_at_most(uplink_p99_ms(uplink, 20, 40), links[i] > 2 ? 15 : 30);
        assert_at_least(uplink_used(uplink, 0, 20), 0.85);
        assert_at_least(uplink_used(uplink, 20, 40), 0.9);
        free(uplink);
    }
}

static void the_start_overshoots_only_shortly(void **state)
{
    struct uplink *uplink = uplink_new();
    (void)state;
    uplink_run(uplink, 20);
    assert_at_most(uplink_most_ms(uplink, 0, 20), 60);
    assert_at_most(uplink_p99_ms(uplink, 0, 20), 20);
    free(uplink);
}

/* Where a drain drains too little it is no other way. */
static void on_a_slow_link_the_start_is_bounded(void **state)
{
    struct uplink *uplink = uplink_new();
    (void)state;
    uplink->rate = uplink_mbit(1);
    uplink_run(uplink, 20);
    assert_at_most(uplink_most_ms(uplink, 0, 20), 150);
    assert_at_least(uplink_used(uplink, 0, 20), 0.85);
    free(uplink);
}

static void sixty_calls_have_their_place_within_a_second(void **state)
{
    struct uplink *uplink = uplink_new();
    (void)state;
    uplink_run(uplink, 20);
    uplink->calls = uplink_calls(60);
    uplink_run(uplink, 20);
    assert_at_most(uplink_p99_ms(uplink, 21, 40), 15);
    assert_at_least(uplink_used(uplink, 21, 40), 0.9);
    free(uplink);
}

static void the_place_of_calls_that_ended_is_taken_within_ten_seconds(void **state)
{
    struct uplink *uplink = uplink_new();
    (void)state;
    uplink->calls = uplink_calls(60);
    uplink_run(uplink, 20);
    uplink->calls = uplink_calls(5);
    uplink_run(uplink, 20);
    assert_at_least(uplink_used(uplink, 30, 40), 0.9);
    assert_at_most(uplink_most_ms(uplink, 20, 40), 25);
    free(uplink);
}

static void the_link_may_become_slower_and_faster(void **state)
{
    struct uplink *uplink = uplink_new();
    (void)state;
    uplink_run(uplink, 20);
    uplink->rate = uplink_mbit(4);
    uplink_run(uplink, 20);
    assert_at_most(uplink_p99_ms(uplink, 22, 40), 15);
    assert_at_least(uplink_used(uplink, 22, 40), 0.9);
    uplink->rate = uplink_mbit(10);
    uplink_run(uplink, 20);
    assert_at_least(uplink_used(uplink, 50, 60), 0.9);
    free(uplink);
}

static void a_small_queue_is_heard_by_what_it_loses(void **state)
{
    struct uplink *uplink = uplink_new();
    (void)state;
    uplink->rate = uplink_mbit(50);
    uplink->queue_bytes = 30000; /* 4.8 ms: it never gets as long as the target */
    uplink_run(uplink, 40);
    assert_at_least(uplink_used(uplink, 20, 40), 0.9);
    assert_at_most(uplink_lost(uplink, 20, 40), 0.005);
    free(uplink);
}

static void a_longer_way_is_no_queue(void **state)
{
    struct uplink *uplink = uplink_new();
    (void)state;
    uplink_run(uplink, 20);
    uplink->rtt_ms = 60;
    uplink_run(uplink, 30);
    assert_at_least(uplink_used(uplink, 20, 30), 0.6);
    assert_at_least(uplink_used(uplink, 30, 50), 0.9);
    assert_at_most(uplink_p99_ms(uplink, 20, 50), 15);
    free(uplink);
}

static void a_way_over_a_satellite_is_no_queue(void **state)
{
    struct uplink *uplink = uplink_new();
    (void)state;
    uplink_run(uplink, 20);
    uplink->rtt_ms = 500;
    uplink_run(uplink, 60);
    assert_at_least(uplink_used(uplink, 60, 80), 0.75);
    free(uplink);
}

static void a_shorter_way_hides_no_queue(void **state)
{
    struct uplink *uplink = uplink_new();
    (void)state;
    uplink->rtt_ms = 60;
    uplink_run(uplink, 20);
    uplink->rtt_ms = 20;
    uplink_run(uplink, 20);
    assert_at_most(uplink_p99_ms(uplink, 21, 40), 15);
    assert_at_least(uplink_used(uplink, 21, 40), 0.9);
    free(uplink);
}

/* A clock of coarse steps, or a packet that took a lucky way once. */
static void one_round_trip_too_short_is_forgotten(void **state)
{
    struct uplink *uplink = uplink_new();
    (void)state;
    uplink_run(uplink, 10);
    uplink->law.spans[0] = 4000;
    uplink_run(uplink, 50);
    assert_at_least(uplink_used(uplink, 40, 60), 0.9);
    free(uplink);
}

static void a_slow_server_neither_drives_it_up_nor_down(void **state)
{
    struct uplink *uplink = uplink_new();
    (void)state;
    uplink->server = uplink_mbit(2);
    uplink_run(uplink, 30);
    assert_at_most(uplink_asked_mbit(uplink, 20, 30), 7);
    assert_at_least(uplink_asked_mbit(uplink, 20, 30), 2);
    uplink->server = 0;
    uplink_run(uplink, 20);
    assert_at_most(uplink_p99_ms(uplink, 30, 50), 15);
    assert_at_least(uplink_used(uplink, 40, 50), 0.9);
    free(uplink);
}

static void what_was_learnt_outlives_a_slow_server(void **state)
{
    struct uplink *uplink = uplink_new();
    (void)state;
    uplink_run(uplink, 20);
    uplink->server = uplink_mbit(1);
    uplink_run(uplink, 60);
    assert_at_most(uplink_asked_mbit(uplink, 20, 80), 12);
    uplink->server = 0;
    uplink_run(uplink, 10);
    assert_at_least(uplink_used(uplink, 80, 90), 0.9);
    free(uplink);
}

static void bbr_below_it_does_not_collapse(void **state)
{
    struct uplink *uplink = uplink_new();
    (void)state;
    uplink->bbr = true;
    uplink_run(uplink, 20);
    assert_at_least(uplink_used(uplink, 0, 20), 0.85);
    uplink->calls = uplink_calls(60);
    uplink_run(uplink, 20);
    assert_at_most(uplink_p99_ms(uplink, 21, 40), 15);
    assert_at_least(uplink_used(uplink, 21, 40), 0.85);
    uplink->calls = uplink_calls(5);
    uplink_run(uplink, 20);
    assert_at_least(uplink_used(uplink, 50, 60), 0.85);
    free(uplink);
}

static void a_bad_cable_is_no_full_link(void **state)
{
    struct uplink *uplink = uplink_new();
    (void)state;
    uplink->bad_cable = 0.01;
    uplink_run(uplink, 40);
    assert_at_least(uplink_used(uplink, 10, 40), 0.85);
    free(uplink);
}

/* Somebody's bulk fills the queue for good: its delay does not answer to us, and still is a queue.
 */
static void it_yields_to_others_for_as_long_as_they_are_there(void **state)
{
    struct uplink *uplink = uplink_new();
    (void)state;
    uplink_run(uplink, 20);
    uplink->others = uplink_mbit(12);
    uplink_run(uplink, 60);
    assert_at_most(uplink_asked_mbit(uplink, 22, 40), 0.3);
    assert_at_most(uplink_asked_mbit(uplink, 40, 80), 1);
    uplink->others = 0;
    uplink_run(uplink, 20);
    assert_at_least(uplink_used(uplink, 90, 100), 0.85);
    free(uplink);
}

static void the_ceiling_is_never_passed(void **state)
{
    struct uplink *uplink = uplink_new();
    (void)state;
    delay_limit(&uplink->law, (uint64_t)uplink_mbit(8));
    uplink_run(uplink, 30);
    assert_at_most(uplink_asked_mbit(uplink, 0, 30), 8);
    assert_at_least(uplink_asked_mbit(uplink, 10, 30), 7.9);
    assert_at_most(uplink_most_ms(uplink, 0, 30), 1);
    delay_limit(&uplink->law, (uint64_t)uplink_mbit(3));
    assert_at_most(delay_rate(&uplink->law), uplink_mbit(3));
    free(uplink);
}

static void calls_have_their_place_below_a_ceiling_too(void **state)
{
    struct uplink *uplink = uplink_new();
    (void)state;
    delay_limit(&uplink->law, (uint64_t)uplink_mbit(9));
    uplink_run(uplink, 20);
    uplink->calls = uplink_calls(60);
    uplink_run(uplink, 20);
    assert_at_most(uplink_p99_ms(uplink, 21, 40), 15);
    assert_at_least(uplink_used(uplink, 21, 40), 0.9);
    free(uplink);
}

static void a_ceiling_that_is_raised_is_climbed_to(void **state)
{
    struct uplink *uplink = uplink_new();
    (void)state;
    delay_limit(&uplink->law, (uint64_t)uplink_mbit(3));
    uplink_run(uplink, 60);
    delay_limit(&uplink->law, UINT64_MAX);
    uplink_run(uplink, 20);
    assert_at_most(uplink_most_ms(uplink, 60, 80), 25);
    assert_at_least(uplink_used(uplink, 70, 80), 0.9);
    free(uplink);
}

static void after_hours_the_way_may_be_another(void **state)
{
    struct uplink *uplink = uplink_new();
    (void)state;
    uplink_run(uplink, 20);
    uplink->silent = true;
    uplink_run(uplink, 60);
    uplink->silent = false;
    uplink->rtt_ms = 60;
    uplink_run(uplink, 20);
    assert_at_least(uplink_used(uplink, 82, 100), 0.9);
    free(uplink);
}

static void after_a_silence_it_looks_again(void **state)
{
    struct uplink *uplink = uplink_new();
    (void)state;
    uplink_run(uplink, 20);
    uplink->silent = true;
    uplink->calls = uplink_calls(60);
    uplink_run(uplink, 60);
    uplink->silent = false;
    uplink_run(uplink, 20);
    assert_at_most(uplink_most_ms(uplink, 80, 100), 50);
    assert_at_least(uplink_used(uplink, 81, 100), 0.9);
    free(uplink);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_link_is_filled_but_for_the_calls),
        cmocka_unit_test(the_start_overshoots_only_shortly),
        cmocka_unit_test(on_a_slow_link_the_start_is_bounded),
        cmocka_unit_test(sixty_calls_have_their_place_within_a_second),
        cmocka_unit_test(the_place_of_calls_that_ended_is_taken_within_ten_seconds),
        cmocka_unit_test(the_link_may_become_slower_and_faster),
        cmocka_unit_test(a_small_queue_is_heard_by_what_it_loses),
        cmocka_unit_test(a_longer_way_is_no_queue),
        cmocka_unit_test(a_way_over_a_satellite_is_no_queue),
        cmocka_unit_test(a_shorter_way_hides_no_queue),
        cmocka_unit_test(one_round_trip_too_short_is_forgotten),
        cmocka_unit_test(a_slow_server_neither_drives_it_up_nor_down),
        cmocka_unit_test(what_was_learnt_outlives_a_slow_server),
        cmocka_unit_test(bbr_below_it_does_not_collapse),
        cmocka_unit_test(a_bad_cable_is_no_full_link),
        cmocka_unit_test(it_yields_to_others_for_as_long_as_they_are_there),
        cmocka_unit_test(the_ceiling_is_never_passed),
        cmocka_unit_test(calls_have_their_place_below_a_ceiling_too),
        cmocka_unit_test(a_ceiling_that_is_raised_is_climbed_to),
        cmocka_unit_test(after_hours_the_way_may_be_another),
        cmocka_unit_test(after_a_silence_it_looks_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
