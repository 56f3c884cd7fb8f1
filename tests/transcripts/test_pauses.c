/* A refused token, a 403, a dead network: what stops everything, and what starts it again. */
#include "tests/transcripts/play.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

/* --- 401 */

static void a_401_pauses_everything_and_uses_up_no_attempt(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 2);
    int64_t first = calls_are_there(&play, 10, KEY_DERIVED);
    play_start(&play);
    int64_t refused = first_in_flight(&play);
    play.token = TOKEN_BAD;
    ends(&play, refused, answer(401, "expired"));
    expect_state(&play, refused, STATE_QUEUED);
    assert_int_equal(call_of(&play, refused)->attempts, 0);
    assert_int_equal(call_of(&play, refused)->first_attempt_ms, 0);
    assert_true(plan_token_is_refused(play.plan));
    assert_non_null(strstr(plan_paused_because(play.plan), "Chorus refused the token: expired"));
    size_t started = play.start_count;
    ends(&play, first_in_flight(&play), answer(401, "expired"));
    call_comes(&play, KEY_DERIVED);
    time_passes(&play, 500);
    assert_int_equal(play.start_count, started);
    assert_int_equal(play.told[NEWS_TOKEN_PAUSE], 1);
    assert_int_equal(count_of(&play, STATE_QUEUED), 11);
    (void)first;
    play_end(&play);
}

static void the_token_is_read_again_more_and_more_rarely(void **state)
{
    const int64_t waits[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};
    struct play play;
    (void)state;
    play_begin(&play, 1);
    calls_are_there(&play, 3, KEY_DERIVED);
    play_start(&play);
    play.token = TOKEN_BAD;
    ends(&play, first_in_flight(&play), answer(401, "expired"));
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        int64_t before = play.now.steady_ms;
        while (!play.probe_open)
            until_the_alarm(&play);
        assert_int_equal(play.now.steady_ms - before, waits[i] * S);
        assert_int_equal(play.token_reads, i + 1);
        probe_answers(&play, i % 2 == 0 ? 401 : 0);
    }
    assert_int_equal(in_flight(&play), 0);
    play_end(&play);
}

static void a_new_token_is_proved_by_a_probe_and_then_all_goes_on(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 4);
    calls_are_there(&play, 10, KEY_DERIVED);
    play_start(&play);
    while (in_flight(&play) > 0)
        ends(&play, first_in_flight(&play), answer(401, "expired"));
    time_passes(&play, 300);
    token_becomes(&play, TOKEN_GOOD);
    assert_true(play.probe_open); /* at once, not at the next interval */
    assert_int_equal(in_flight(&play), 0);
    probe_answers(&play, 200);
    assert_int_equal(in_flight(&play), 4);
    assert_false(plan_token_is_refused(play.plan));
    assert_int_equal(play.told[NEWS_TOKEN_RESUMED], 1);
    assert_string_equal(plan_paused_because(play.plan), "");
    play_end(&play);
}

static void a_new_token_that_is_bad_too_does_not_resume(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 4);
    calls_are_there(&play, 10, KEY_DERIVED);
    play_start(&play);
    while (in_flight(&play) > 0)
        ends(&play, first_in_flight(&play), answer(401, "expired"));
    token_becomes(&play, TOKEN_BAD);
    probe_answers(&play, 401);
    assert_int_equal(in_flight(&play), 0);
    assert_int_equal(play.told[NEWS_TOKEN_RESUMED], 0);
    until_the_alarm(&play);
    assert_true(play.probe_open);
    probe_answers(&play, 403); /* a 403 to the question about myself is the token's, too */
    assert_int_equal(in_flight(&play), 0);
    play_end(&play);
}

static void the_same_token_may_become_good_again(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 4);
    calls_are_there(&play, 10, KEY_DERIVED);
    play_start(&play);
    ends(&play, first_in_flight(&play), answer(401, "expired"));
    until_the_alarm(&play);
    probe_answers(&play, 200);
    assert_int_equal(in_flight(&play), 4);
    play_end(&play);
}

static void without_a_token_everything_waits(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 4);
    calls_are_there(&play, 10, KEY_DERIVED);
    token_becomes(&play, TOKEN_MISSING);
    play_start(&play);
    assert_int_equal(in_flight(&play), 0);
    assert_non_null(strstr(plan_paused_because(play.plan), "there is no token"));
    time_passes(&play, 10 * MIN);
    assert_int_equal(in_flight(&play), 0);
    assert_in_range(play.token_reads, 10, 20);
    token_becomes(&play, TOKEN_GOOD);
    probe_answers(&play, 200);
    assert_int_equal(in_flight(&play), 4);
    assert_int_equal(count_of(&play, STATE_UPLOADING), 4);
    play_end(&play);
}

static void an_upload_without_a_token_is_no_attempt(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    int64_t id = calls_are_there(&play, 1, KEY_DERIVED);
    play_start(&play);
    play.token = TOKEN_MISSING;
    ends(&play, id, no_token());
    expect_state(&play, id, STATE_QUEUED);
    assert_int_equal(call_of(&play, id)->attempts, 0);
    assert_non_null(strstr(plan_paused_because(play.plan), "there is no token"));
    play_end(&play);
}

static void a_busy_chorus_says_nothing_of_the_token(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    calls_are_there(&play, 2, KEY_DERIVED);
    play_start(&play);
    ends(&play, first_in_flight(&play), answer(401, "expired"));
    until_the_alarm(&play);
    probe_answers(&play, 429);
    assert_true(plan_token_is_refused(play.plan));
    until_the_alarm(&play);
    probe_answers(&play, 200);
    assert_int_equal(in_flight(&play), 1);
    play_end(&play);
}

static void a_token_renewed_in_time_disturbs_nobody(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 2);
    calls_are_there(&play, 10, KEY_DERIVED);
    play_start(&play);
    token_becomes(&play, TOKEN_GOOD);
    assert_int_equal(play.probes, 0);
    ends(&play, first_in_flight(&play), accepted("e"));
    assert_int_equal(in_flight(&play), 2);
    play_end(&play);
}

/* The answer that is awaited is that to the old token; the new one has its own question. */
static void a_token_renewed_during_the_question_is_asked_about_next(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 2);
    calls_are_there(&play, 10, KEY_DERIVED);
    play_start(&play);
    while (in_flight(&play) > 0)
        ends(&play, first_in_flight(&play), answer(401, "expired"));
    until_the_alarm(&play);
    token_becomes(&play, TOKEN_GOOD);
    assert_int_equal(play.probes, 1);
    probe_answers(&play, 401);
    assert_int_equal(until_the_alarm(&play), S); /* soon, not at the end of a long interval */
    probe_answers(&play, 200);
    assert_int_equal(in_flight(&play), 2);
    play_end(&play);
}

/* The alarm of the question is not put off by a longer wait, nor does it put off a shorter one. */
static void the_question_is_asked_in_its_time_whatever_else_waits(void **state)
{
    const int64_t waits[] = {300, 40 * S};
    (void)state;
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        struct play play;
        play_begin(&play, 2);
        int64_t first = calls_are_there(&play, 2, KEY_DERIVED);
        play_start(&play);
        ends(&play, first + 1, answer_retry_after(503, waits[i]));
        ends(&play, first, answer(401, "expired"));
        assert_int_equal(play.probes, 0);
        time_passes(&play, S);
        assert_int_equal(play.probes, 1);
        probe_answers(&play, 200);
        time_passes(&play, 60 * S);
        assert_true(in_flight(&play) > 0);
        play_end(&play);
    }
}

/* --- 403 */

static void a_403_with_a_good_token_holds_that_one_only(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 3);
    int64_t first = calls_are_there(&play, 10, KEY_DERIVED);
    play_start(&play);
    int64_t refused = first + 9;
    ends(&play, refused, answer(403, "not your user"));
    expect_state(&play, refused, STATE_QUEUED);
    assert_true(play.probe_open);
    ends(&play, first + 8, accepted("e")); /* others go on while the question is open */
    assert_int_equal(in_flight(&play), 2);
    assert_false(is_in_flight(&play, refused));
    probe_answers(&play, 200);
    expect_state(&play, refused, STATE_HELD);
    expect_reason(&play, refused, "not your user");
    assert_int_equal(call_of(&play, refused)->held, HELD_FORBIDDEN);
    assert_int_equal(call_of(&play, refused)->status, 403);
    assert_int_equal(in_flight(&play), 3);
    play_end(&play);
}

static void a_403_with_a_bad_token_pauses_and_holds_none(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 3);
    calls_are_there(&play, 3, KEY_DERIVED);
    play_start(&play);
    while (in_flight(&play) > 0)
        ends(&play, first_in_flight(&play), answer(403, "forbidden"));
    assert_int_equal(play.probes, 1); /* a flood of 403 asks one question */
    probe_answers(&play, 401);
    assert_int_equal(count_of(&play, STATE_QUEUED), 3);
    assert_int_equal(count_of(&play, STATE_HELD), 0);
    assert_true(plan_token_is_refused(play.plan));
    token_becomes(&play, TOKEN_GOOD);
    probe_answers(&play, 200);
    assert_int_equal(in_flight(&play), 3);
    play_end(&play);
}

static void an_unanswered_question_is_asked_again(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    int64_t id = calls_are_there(&play, 2, KEY_DERIVED) + 1;
    play_start(&play);
    ends(&play, id, answer(403, "forbidden"));
    for (size_t asked = 1; asked < 5; asked++) {
        assert_int_equal(play.probes, asked);
        expect_state(&play, id, STATE_QUEUED);
        probe_answers(&play, asked % 2 == 0 ? 0 : 503);
        until_the_alarm(&play);
    }
    probe_answers(&play, 200);
    expect_state(&play, id, STATE_HELD);
    assert_int_equal(in_flight(&play), 1);
    play_end(&play);
}

static void a_403_keeps_the_doubt_of_an_earlier_attempt(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    int64_t id = calls_are_there(&play, 1, KEY_DERIVED);
    play_start(&play);
    ends(&play, id, lost());
    time_passes(&play, 61 * S);
    ends(&play, id, answer(403, "forbidden"));
    expect_state(&play, id, STATE_UNCERTAIN);
    probe_answers(&play, 200);
    expect_state(&play, id, STATE_HELD);
    play_end(&play);
}

static void what_vanishes_while_the_question_is_open_is_not_held(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    int64_t id = calls_are_there(&play, 1, KEY_DERIVED);
    play_start(&play);
    ends(&play, id, answer(403, "forbidden"));
    call_vanishes(&play, id, true);
    probe_answers(&play, 200);
    expect_state(&play, id, STATE_GONE);
    play_end(&play);
}

static void what_vanishes_meanwhile_takes_no_other_along(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 2);
    int64_t first = calls_are_there(&play, 4, KEY_DERIVED);
    play_start(&play);
    ends(&play, first + 3, answer(403, "forbidden"));
    ends(&play, first + 2, answer(403, "forbidden"));
    call_vanishes(&play, first + 2, true);
    call_vanishes(&play, first, true);
    probe_answers(&play, 200);
    expect_state(&play, first + 3, STATE_HELD);
    expect_state(&play, first + 2, STATE_GONE);
    expect_state(&play, first, STATE_GONE);
    assert_true(is_in_flight(&play, first + 1));
    assert_int_equal(play.start_count, 3);
    play_end(&play);
}

/* Nobody is left whom the answer would concern. */
static void a_question_that_no_longer_matters_is_not_asked_again(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    int64_t id = calls_are_there(&play, 1, KEY_DERIVED);
    play_start(&play);
    ends(&play, id, answer(403, "forbidden"));
    call_vanishes(&play, id, true);
    probe_answers(&play, 503);
    time_passes(&play, DAY);
    assert_int_equal(play.probes, 1);
    int64_t other = call_comes(&play, KEY_DERIVED);
    ends(&play, other, answer(403, "forbidden"));
    assert_int_equal(play.probes, 2);
    play_end(&play);
}

/* What the ledger was asked for before the verdict on a 403 was read too early: it is read again.
 */
static void what_is_held_meanwhile_is_not_sent_from_an_older_answer_of_the_ledger(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    int64_t id = calls_are_there(&play, 1, KEY_DERIVED);
    play_start(&play);
    play.lazy = true;
    ends(&play, id, answer(403, "forbidden"));
    assert_true(play.fetching[LANE_ORDER]);
    probe_answers(&play, 200); /* and only now the ledger answers: it was queued */
    play_settle(&play);
    expect_state(&play, id, STATE_HELD);
    assert_int_equal(play.start_count, 1);
    play_end(&play);
}

/* Oldest first: the verdict makes nobody ask for the other end of the queue. */
static void a_403_keeps_the_order(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    struct plan_options options = play.options;
    options.back_lane = false;
    play_end(&play);
    play_begin_with(&play, &options, 7);
    int64_t first = calls_are_there(&play, 30, KEY_DERIVED);
    play_start(&play);
    ends(&play, first, answer(403, "not your user"));
    probe_answers(&play, 200);
    for (int64_t i = 1; i < 30; i++) {
        assert_true(is_in_flight(&play, first + i));
        ends(&play, first + i, accepted("e"));
    }
    play_end(&play);
}

/* --- a dead network */

static void a_dead_network_holds_all_and_uses_up_no_attempt(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 4);
    int64_t first = calls_are_there(&play, 12, KEY_DERIVED);
    play_start(&play);
    while (in_flight(&play) > 0)
        ends(&play, first_in_flight(&play), unreachable());
    assert_int_equal(play.start_count, 4); /* one hold for all four */
    assert_int_equal(play.told[NEWS_NETWORK_DOWN], 1);
    assert_string_equal(plan_paused_because(play.plan), "Chorus cannot be reached");
    for (int64_t i = 0; i < 12; i++) {
        expect_state(&play, first + i, STATE_QUEUED);
        assert_int_equal(call_of(&play, first + i)->attempts, 0);
    }
    play_end(&play);
}

/* The delays of one outage, in ms. */
static void outage(uint64_t seed, int64_t *delays, size_t n)
{
    struct play play;
    play_begin(&play, 8);
    struct plan_options options = play.options;
    play_end(&play);
    play_begin_with(&play, &options, seed);
    calls_are_there(&play, 20, KEY_DERIVED);
    play_start(&play);
    while (in_flight(&play) > 0)
        ends(&play, first_in_flight(&play), unreachable());
    for (size_t i = 0; i < n; i++) {
        int64_t since = play.now.steady_ms;
        while (in_flight(&play) == 0)
            until_the_alarm(&play);
        delays[i] = play.now.steady_ms - since;
        assert_int_equal(in_flight(&play), 1); /* one at a time until it answers */
        ends(&play, first_in_flight(&play), unreachable());
    }
    play_end(&play);
}

static void an_outage_is_felt_for_more_and_more_rarely(void **state)
{
    enum { TRIES = 9, PLAYS = 200 };
    int64_t delays[TRIES], longest[TRIES] = {0}, shortest[TRIES], ceiling = S;
    (void)state;
    for (size_t i = 0; i < TRIES; i++)
        shortest[i] = INT64_MAX;
    for (uint64_t seed = 1; seed <= PLAYS; seed++) {
        outage(seed, delays, TRIES);
        for (size_t i = 0; i < TRIES; i++) {
            longest[i] = delays[i] > longest[i] ? delays[i] : longest[i];
            shortest[i] = delays[i] < shortest[i] ? delays[i] : shortest[i];
        }
    }
    for (size_t i = 0; i < TRIES; i++, ceiling *= 2) {
        int64_t most = ceiling < 30 * S ? ceiling : 30 * S;
        assert_in_range(longest[i], most * 9 / 10, most);
        assert_in_range(shortest[i], 1, most / 10);
    }
}

static void once_it_answers_all_go_on(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 8);
    calls_are_there(&play, 20, KEY_DERIVED);
    play_start(&play);
    while (in_flight(&play) > 0)
        ends(&play, first_in_flight(&play), unreachable());
    time_passes(&play, S);
    assert_int_equal(in_flight(&play), 1);
    /* any answer will do: it is there */
    ends(&play, first_in_flight(&play), answer(400, "no such user"));
    assert_int_equal(in_flight(&play), 8);
    assert_int_equal(play.told[NEWS_NETWORK_UP], 1);
    play_end(&play);
}

static void stragglers_of_an_outage_do_not_lengthen_it(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 8);
    calls_are_there(&play, 20, KEY_DERIVED);
    play_start(&play);
    ends(&play, first_in_flight(&play), unreachable());
    int64_t alarm = play.wake_at_ms;
    for (int i = 0; i < 7; i++)
        ends(&play, first_in_flight(&play), unreachable());
    assert_int_equal(play.wake_at_ms, alarm);
    time_passes(&play, S);
    assert_int_equal(in_flight(&play), 1);
    play_end(&play);
}

static void a_week_without_network_fails_nothing(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 2);
    calls_are_there(&play, 5, KEY_DERIVED);
    play_start(&play);
    int64_t begun = play.now.steady_ms;
    while (play.now.steady_ms - begun < 8 * DAY) {
        while (in_flight(&play) > 0)
            ends(&play, first_in_flight(&play), unreachable());
        until_the_alarm(&play);
    }
    while (in_flight(&play) > 0)
        ends(&play, first_in_flight(&play), accepted("e"));
    assert_int_equal(count_of(&play, STATE_UPLOADED), 5);
    play_end(&play);
}

/* --- a pause that somebody wants */

static void nothing_starts_during_a_pause_and_what_is_in_flight_ends(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 2);
    calls_are_there(&play, 6, KEY_DERIVED);
    play_start(&play);
    play_pause(&play, "paused by ann until resumed");
    assert_string_equal(plan_paused_because(play.plan), "paused by ann until resumed");
    assert_int_equal(in_flight(&play), 2);
    ends(&play, first_in_flight(&play), accepted("e"));
    ends(&play, first_in_flight(&play), cut_off());
    call_comes(&play, KEY_DERIVED);
    time_passes(&play, DAY);
    assert_int_equal(in_flight(&play), 0);
    play_pause(&play, "");
    assert_string_equal(plan_paused_because(play.plan), "");
    assert_int_equal(in_flight(&play), 2);
    while (in_flight(&play) > 0)
        ends(&play, first_in_flight(&play), accepted("e"));
    assert_int_equal(count_of(&play, STATE_UPLOADED), 7);
    play_end(&play);
}

static void the_token_is_looked_after_during_a_pause(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    calls_are_there(&play, 2, KEY_DERIVED);
    play_start(&play);
    play.token = TOKEN_BAD;
    play_pause(&play, "paused");
    ends(&play, first_in_flight(&play), answer(401, "expired"));
    token_becomes(&play, TOKEN_GOOD);
    probe_answers(&play, 200);
    assert_int_equal(in_flight(&play), 0);
    play_pause(&play, "");
    assert_int_equal(in_flight(&play), 1);
    play_end(&play);
}

/* retry_for is time in which it was tried. */
static void a_pause_longer_than_retry_for_fails_nothing(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    int64_t id = call_comes(&play, KEY_DERIVED);
    play_start(&play);
    ends(&play, id, answer(500, "trouble"));
    play_pause(&play, "paused");
    time_passes(&play, 8 * DAY);
    play_pause(&play, "");
    assert_true(is_in_flight(&play, id));
    ends(&play, id, cut_off());
    expect_state(&play, id, STATE_UNCERTAIN);
    play_end(&play);
}

/* Prolonged it is one pause: neither half would do it alone. */
static void a_pause_that_is_prolonged_fails_nothing(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    int64_t id = call_comes(&play, KEY_DERIVED);
    play_start(&play);
    time_passes(&play, 5 * DAY);
    ends(&play, id, answer(500, "trouble"));
    play_pause(&play, "paused by ann");
    time_passes(&play, 3 * DAY);
    play_pause(&play, "paused by bob");
    assert_string_equal(plan_paused_because(play.plan), "paused by bob");
    time_passes(&play, 3 * DAY);
    play_pause(&play, "");
    ends(&play, id, cut_off());
    expect_state(&play, id, STATE_UNCERTAIN);
    play_end(&play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_401_pauses_everything_and_uses_up_no_attempt),
        cmocka_unit_test(the_token_is_read_again_more_and_more_rarely),
        cmocka_unit_test(a_new_token_is_proved_by_a_probe_and_then_all_goes_on),
        cmocka_unit_test(a_new_token_that_is_bad_too_does_not_resume),
        cmocka_unit_test(the_same_token_may_become_good_again),
        cmocka_unit_test(without_a_token_everything_waits),
        cmocka_unit_test(an_upload_without_a_token_is_no_attempt),
        cmocka_unit_test(a_403_with_a_good_token_holds_that_one_only),
        cmocka_unit_test(a_403_with_a_bad_token_pauses_and_holds_none),
        cmocka_unit_test(an_unanswered_question_is_asked_again),
        cmocka_unit_test(a_403_keeps_the_doubt_of_an_earlier_attempt),
        cmocka_unit_test(what_vanishes_while_the_question_is_open_is_not_held),
        cmocka_unit_test(a_dead_network_holds_all_and_uses_up_no_attempt),
        cmocka_unit_test(an_outage_is_felt_for_more_and_more_rarely),
        cmocka_unit_test(once_it_answers_all_go_on),
        cmocka_unit_test(stragglers_of_an_outage_do_not_lengthen_it),
        cmocka_unit_test(a_week_without_network_fails_nothing),
        cmocka_unit_test(what_vanishes_meanwhile_takes_no_other_along),
        cmocka_unit_test(a_question_that_no_longer_matters_is_not_asked_again),
        cmocka_unit_test(what_is_held_meanwhile_is_not_sent_from_an_older_answer_of_the_ledger),
        cmocka_unit_test(a_403_keeps_the_order),
        cmocka_unit_test(a_busy_chorus_says_nothing_of_the_token),
        cmocka_unit_test(a_token_renewed_in_time_disturbs_nobody),
        cmocka_unit_test(a_token_renewed_during_the_question_is_asked_about_next),
        cmocka_unit_test(the_question_is_asked_in_its_time_whatever_else_waits),
        cmocka_unit_test(nothing_starts_during_a_pause_and_what_is_in_flight_ends),
        cmocka_unit_test(the_token_is_looked_after_during_a_pause),
        cmocka_unit_test(a_pause_longer_than_retry_for_fails_nothing),
        cmocka_unit_test(a_pause_that_is_prolonged_fails_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
