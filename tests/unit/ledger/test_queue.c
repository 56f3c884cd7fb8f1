/* The queue: what is fetched, what an attempt costs, what is recovered and put back. */
#include "tests/unit/ledger/ledger_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define A ROOT "/a.wav"
#define B ROOT "/b.wav"

#define in_a_room(test) cmocka_unit_test_setup_teardown(test, room_open, room_close)

/* Three recordings: 'A' is the oldest and smallest, 'C' the newest and largest. */
static void take_three(struct room *room, int64_t ids[3])
{
    for (int i = 0; i < 3; i++) {
        char path[64];
        snprintf(path, sizeof path, ROOT "/%d.wav", i);
        ids[i] = take(room, path, (char)('A' + i)).recording;
    }
}

static size_t fetch(struct room *room, enum plan_lane lane, enum upload_order order,
                    struct plan_item *items, size_t most, int64_t *next_due_ms)
{
    return ledger_fetch(room->ledger, lane, order, room->now_ms, items, most, next_due_ms);
}

static void expect_order(struct room *room, enum plan_lane lane, enum upload_order order,
                         int64_t first, int64_t second, int64_t third)
{
    struct plan_item items[4];
    int64_t next;
    assert_int_equal(fetch(room, lane, order, items, 4, &next), 3);
    assert_int_equal(next, 0);
    assert_int_equal(items[0].recording, first);
    assert_int_equal(items[1].recording, second);
    assert_int_equal(items[2].recording, third);
    assert_true(items[0].rank < items[1].rank && items[1].rank < items[2].rank);
    assert_int_equal(fetch(room, lane, order, items, 2, &next), 2);
    assert_int_equal(items[1].recording, second);
}

static void fetched_in_the_order_asked_for(void **state)
{
    struct room *room = *state;
    int64_t id[3];
    take_three(room, id);
    expect_order(room, LANE_ORDER, ORDER_NEWEST, id[2], id[1], id[0]);
    expect_order(room, LANE_ORDER, ORDER_OLDEST, id[0], id[1], id[2]);
    expect_order(room, LANE_ORDER, ORDER_SMALLEST, id[0], id[1], id[2]);
    expect_order(room, LANE_BACK, ORDER_NEWEST, id[0], id[1], id[2]);
    commit(room);
    meddle(room, "UPDATE recording SET size = 5 WHERE id = 3");
    expect_order(room, LANE_ORDER, ORDER_SMALLEST, id[2], id[0], id[1]);
    expect_order(room, LANE_BACK, ORDER_SMALLEST, id[0], id[1], id[2]);
}

static void an_item_says_what_the_plan_must_know(void **state)
{
    struct room *room = *state;
    struct plan_item item;
    int64_t id = take(room, A, 'A').recording;
    assert_true(ledger_plan_item(room->ledger, id, ORDER_NEWEST, &item));
    assert_int_equal(item.state, STATE_QUEUED);
    assert_int_equal(item.key_kind, KEY_DERIVED);
    assert_int_equal(item.attempts + item.uncertain, 0);
    assert_int_equal(item.first_attempt_ms, 0);
    assert_int_equal(item.due_ms, 0);
    assert_int_equal(item.rank, -(NOW + 'A'));
    intend(room, id);
    assert_false(ledger_plan_item(room->ledger, id, ORDER_NEWEST, &item));
    move_to(room, id, STATE_UNCERTAIN, ATTEMPT_COUNTS);
    assert_true(ledger_plan_item(room->ledger, id, ORDER_SMALLEST, &item));
    assert_int_equal(item.state, STATE_UNCERTAIN);
    assert_int_equal(item.attempts, 1);
    assert_int_equal(item.uncertain, 1);
    assert_int_equal(item.first_attempt_ms, NOW);
    assert_int_equal(item.due_ms, NOW + 60 * S);
    assert_int_equal(item.rank, 1000 + 'A');
    assert_false(ledger_plan_item(room->ledger, 4711, ORDER_NEWEST, &item));
    int64_t other = take(room, B, 'B').recording;
    intend(room, other);
    move_to(room, other, STATE_WAITING, ATTEMPT_COUNTS);
    assert_true(ledger_plan_item(room->ledger, other, ORDER_NEWEST, &item));
    assert_int_equal(item.state, STATE_WAITING);
}

/* --- what is due */

static void what_waits_is_due_in_its_time(void **state)
{
    struct room *room = *state;
    struct plan_item items[4];
    int64_t id[3], next;
    take_three(room, id);
    intend(room, id[2]);
    move_to(room, id[2], STATE_WAITING, ATTEMPT_COUNTS); /* due at 60 s */
    room->now_ms = NOW + 10 * S;
    intend(room, id[0]);
    move_to(room, id[0], STATE_UNCERTAIN, ATTEMPT_COUNTS); /* due at 70 s */
    assert_int_equal(fetch(room, LANE_DUE, ORDER_NEWEST, items, 4, &next), 0);
    assert_int_equal(next, NOW + 60 * S);
    room->now_ms = NOW + 60 * S;
    assert_int_equal(fetch(room, LANE_DUE, ORDER_NEWEST, items, 4, &next), 1);
    assert_int_equal(items[0].recording, id[2]);
    assert_int_equal(next, NOW + 70 * S);
    room->now_ms = NOW + 100 * S;
    assert_int_equal(fetch(room, LANE_DUE, ORDER_NEWEST, items, 4, &next), 2);
    /* what has waited longest is first, whatever its age */
    assert_int_equal(items[0].recording, id[2]);
    assert_int_equal(items[1].recording, id[0]);
    assert_true(items[0].rank < items[1].rank);
    assert_int_equal(next, 0);
}

static void due_at_once_is_due(void **state)
{
    struct room *room = *state;
    struct plan_item items[4];
    int64_t next, id = take(room, A, 'A').recording;
    struct plan_move move = {.to = STATE_UNCERTAIN, .attempt = ATTEMPT_FREE, .reason = "401"};
    intend(room, id);
    ledger_move(room->ledger, id, &move, room->now_ms);
    assert_int_equal(fetch(room, LANE_DUE, ORDER_NEWEST, items, 4, &next), 1);
    assert_int_equal(next, 0);
}

/* Written under a clock that was ahead: due now, and no alarm for a far year. */
static void a_time_that_is_far_off_is_due(void **state)
{
    struct room *room = *state;
    struct plan_item items[4];
    int64_t next, id = take(room, A, 'A').recording;
    room->now_ms = NOW + 365 * DAY;
    intend(room, id);
    move_to(room, id, STATE_WAITING, ATTEMPT_COUNTS);
    room->now_ms = NOW;
    assert_int_equal(fetch(room, LANE_DUE, ORDER_NEWEST, items, 4, &next), 1);
    assert_int_equal(items[0].recording, id);
    assert_int_equal(next, 0);
}

static void seven_days_are_not_far_off(void **state)
{
    struct room *room = *state;
    struct plan_item items[4];
    int64_t next;
    struct said later = yes;
    later.not_before_ms = NOW + 7 * DAY;
    take_as(room, A, 'A', &later);
    assert_int_equal(fetch(room, LANE_DUE, ORDER_NEWEST, items, 4, &next), 0);
    assert_int_equal(next, NOW + 7 * DAY);
}

/* --- attempts */

static void expect_cost(struct room *room, int64_t id, int attempts, int uncertain, int64_t posts)
{
    assert_int_equal(job_of(room, id).attempts, attempts);
    assert_int_equal(job_of(room, id).uncertain, uncertain);
    assert_int_equal(ledger_posts(room->ledger), posts);
}

static void what_an_attempt_costs(void **state)
{
    struct room *room = *state;
    struct plan_item item;
    int64_t id = take(room, A, 'A').recording;
    intend(room, id);
    expect_cost(room, id, 1, 0, 1);
    move_to(room, id, STATE_QUEUED, ATTEMPT_NEVER_LEFT); /* no network */
    expect_cost(room, id, 0, 0, 0);
    ledger_plan_item(room->ledger, id, ORDER_NEWEST, &item);
    assert_int_equal(item.first_attempt_ms, 0); /* its time has not begun */
    intend(room, id);
    move_to(room, id, STATE_QUEUED, ATTEMPT_FREE); /* 401: a POST, but no attempt */
    expect_cost(room, id, 0, 0, 1);
    ledger_plan_item(room->ledger, id, ORDER_NEWEST, &item);
    assert_int_equal(item.first_attempt_ms, 0);
    room->now_ms += 5 * S;
    intend(room, id);
    move_to(room, id, STATE_WAITING, ATTEMPT_COUNTS); /* 429 */
    expect_cost(room, id, 1, 0, 2);
    room->now_ms += 5 * S;
    intend(room, id);
    move_to(room, id, STATE_UNCERTAIN, ATTEMPT_COUNTS);
    expect_cost(room, id, 2, 1, 3);
    intend(room, id);
    move_to(room, id, STATE_UNCERTAIN, ATTEMPT_NEVER_LEFT);
    expect_cost(room, id, 2, 1, 3);
    ledger_plan_item(room->ledger, id, ORDER_NEWEST, &item);
    assert_int_equal(item.first_attempt_ms, NOW + 5 * S);
    intend(room, id);
    move_to(room, id, STATE_UPLOADED, ATTEMPT_COUNTS);
    expect_cost(room, id, 3, 1, 4);
    assert_int_equal(listed(room, A).attempts, 3);
    assert_int_equal(listed(room, A).uploaded_ms, room->now_ms);
}

static void what_is_held_and_what_is_known_is_kept(void **state)
{
    struct room *room = *state;
    struct plan_move move = {.to = STATE_HELD, .held = HELD_FORBIDDEN, .reason = "403"};
    int64_t id = take(room, A, 'A').recording;
    ledger_move(room->ledger, id, &move, room->now_ms); /* from the queue: no attempt ends */
    expect_cost(room, id, 0, 0, 0);
    commit(room);
    assert_int_equal(number(room, "SELECT held FROM recording"), HELD_FORBIDDEN);
    resolve(room, id, job_of(room, id).path_id, &yes);
    commit(room);
    assert_int_equal(number(room, "SELECT held FROM recording"), HELD_NOT);
}

static void an_empty_id_does_not_wipe_one_that_is_known(void **state)
{
    struct room *room = *state;
    struct plan_move move = {.to = STATE_UPLOADED, .attempt = ATTEMPT_COUNTS, .reason = "409"};
    int64_t id = take(room, A, 'A').recording;
    meddle(room, "SELECT 1");
    intend(room, id);
    move.engagement_id = "first";
    ledger_move(room->ledger, id, &move, room->now_ms);
    move.engagement_id = "";
    move.attempt = ATTEMPT_NONE;
    ledger_move(room->ledger, id, &move, room->now_ms);
    assert_string_equal(listed(room, A).engagement_id, "first");
}

/* --- crash */

static void what_was_in_flight_is_uncertain_after_a_crash(void **state)
{
    enum { CALLS = 150 }; /* more than it takes in one go */
    struct room *room = *state;
    int64_t ids[CALLS];
    for (int i = 0; i < CALLS; i++) {
        char path[64];
        snprintf(path, sizeof path, ROOT "/%d.wav", i);
        ids[i] = take(room, path, (char)(i + 1)).recording;
        if (i > 0)
            intend(room, ids[i]);
    }
    commit(room);
    open_again(room);
    assert_int_equal(ledger_recover(room->ledger, 60 * S, room->now_ms), CALLS - 1);
    assert_int_equal(ledger_recover(room->ledger, 60 * S, room->now_ms), 0);
    assert_int_equal(state_of(room, ids[0]), STATE_QUEUED);
    for (int i = 1; i < CALLS; i++) {
        struct plan_item item;
        assert_true(ledger_plan_item(room->ledger, ids[i], ORDER_NEWEST, &item));
        assert_int_equal(item.state, STATE_UNCERTAIN);
        assert_int_equal(item.attempts, 1);
        assert_int_equal(item.uncertain, 1);
        assert_int_equal(item.due_ms, NOW + 60 * S);
    }
    assert_int_equal(ledger_posts(room->ledger), CALLS - 1);
    assert_true(job_of(room, ids[1]).frozen);
}

static void an_intent_that_was_not_committed_never_was(void **state)
{
    struct room *room = *state;
    int64_t id = take(room, A, 'A').recording;
    commit(room);
    intend(room, id);
    open_again(room);
    assert_int_equal(ledger_recover(room->ledger, 60 * S, room->now_ms), 0);
    assert_int_equal(state_of(room, id), STATE_QUEUED);
    assert_int_equal(ledger_posts(room->ledger), 0);
}

/* --- frozen */

static void in_doubt_its_form_does_not_change(void **state)
{
    struct room *room = *state;
    struct said other = yes;
    other.owner = "boss@example.com";
    other.meeting_id = "other";
    int64_t id = take(room, A, 'A').recording;
    intend(room, id);
    move_to(room, id, STATE_UNCERTAIN, ATTEMPT_COUNTS);
    room->digest++;
    resolve(room, id, job_of(room, id).path_id, &other);
    assert_string_equal(listed(room, A).owner, "team@example.com");
    assert_string_equal(listed(room, A).meeting_id, "sha256-x");
    assert_int_equal(state_of(room, id), STATE_UNCERTAIN);
    assert_int_equal(job_of(room, id).digest, room->digest);
}

static void without_doubt_its_form_is_the_rules(void **state)
{
    struct room *room = *state;
    struct said other = yes;
    other.owner = "boss@example.com";
    int64_t id = take(room, A, 'A').recording;
    room->digest++;
    resolve(room, id, job_of(room, id).path_id, &other);
    assert_string_equal(listed(room, A).owner, "boss@example.com");
    assert_int_equal(state_of(room, id), STATE_QUEUED);
}

/* --- put back */

static void retry_takes_what_failed_is_held_or_gone(void **state)
{
    struct room *room = *state;
    int64_t id = take(room, A, 'A').recording;
    assert_int_equal(ledger_retry(room->ledger, 4711, room->now_ms), -ENOENT);
    assert_int_equal(ledger_retry(room->ledger, id, room->now_ms), -EEXIST); /* queued */
    intend(room, id);
    assert_int_equal(ledger_retry(room->ledger, id, room->now_ms), -EEXIST);
    move_to(room, id, STATE_FAILED, ATTEMPT_COUNTS);
    assert_int_equal(ledger_retry(room->ledger, id, room->now_ms), 0);
    assert_int_equal(state_of(room, id), STATE_QUEUED);
    assert_int_equal(job_of(room, id).digest, 0); /* under the rules as they are now */
    intend(room, id);
    move_to(room, id, STATE_WAITING, ATTEMPT_COUNTS);
    assert_int_equal(ledger_retry(room->ledger, id, room->now_ms), 0);
    intend(room, id);
    move_to(room, id, STATE_HELD, ATTEMPT_COUNTS);
    assert_int_equal(ledger_retry(room->ledger, id, room->now_ms), 0);
    ledger_absent(room->ledger, A, room->now_ms);
    assert_int_equal(ledger_retry(room->ledger, id, room->now_ms), 0);
    ledger_absent(room->ledger, A, room->now_ms); /* it is still not there */
    assert_int_equal(state_of(room, id), STATE_GONE);
    take(room, A, 'A');
    upload(room, id);
    assert_int_equal(ledger_retry(room->ledger, id, room->now_ms), -EEXIST);
}

static void retry_starts_its_time_afresh(void **state)
{
    struct room *room = *state;
    struct plan_item item;
    int64_t id = take(room, A, 'A').recording;
    intend(room, id);
    move_to(room, id, STATE_FAILED, ATTEMPT_COUNTS);
    ledger_retry(room->ledger, id, room->now_ms);
    assert_true(ledger_plan_item(room->ledger, id, ORDER_NEWEST, &item));
    assert_int_equal(item.first_attempt_ms, 0);
    assert_int_equal(item.due_ms, 0);
}

/* A person looked: only where a 409 is proof does an earlier doubt still count. */
static void retry_keeps_the_doubt_only_under_a_derived_key(void **state)
{
    static const enum key_kind keys[] = {KEY_DERIVED, KEY_SCHEDULED, KEY_NONE};
    struct room *room = *state;
    for (int i = 0; i < 3; i++) {
        struct said said = yes;
        char path[64];
        snprintf(path, sizeof path, ROOT "/%d.wav", i);
        said.key_kind = keys[i];
        int64_t id = take_as(room, path, (char)('A' + i), &said).recording;
        intend(room, id);
        move_to(room, id, STATE_UNCERTAIN, ATTEMPT_COUNTS);
        move_to(room, id, STATE_HELD, ATTEMPT_NONE);
        assert_int_equal(ledger_retry(room->ledger, id, room->now_ms), 0);
        assert_int_equal(job_of(room, id).uncertain, keys[i] == KEY_DERIVED);
    }
}

static void retry_of_one_whose_path_has_left_takes_its_copy(void **state)
{
    struct room *room = *state;
    int64_t id = take(room, A, 'A').recording;
    intend(room, id);
    move_to(room, id, STATE_FAILED, ATTEMPT_COUNTS);
    take(room, B, 'A');
    ledger_absent(room->ledger, A, room->now_ms);
    assert_int_equal(state_of(room, id), STATE_FAILED);
    ledger_retry(room->ledger, id, room->now_ms);
    ledger_absent(room->ledger, A, room->now_ms); /* as when it cannot be opened */
    expect_chosen(room, id, B);
    assert_int_equal(state_of(room, id), STATE_QUEUED);
}

/* --- the plan is told */

static void what_became_ready_is_told_once(void **state)
{
    struct room *room = *state;
    int64_t id[3], ready[8];
    take_three(room, id);
    assert_int_equal(ledger_take_ready(room->ledger, ready, 2), 2);
    assert_int_equal(ledger_take_ready(room->ledger, ready, 8), 1);
    assert_int_equal(ledger_take_ready(room->ledger, ready, 8), 0);
    intend(room, id[0]);
    assert_int_equal(ledger_take_ready(room->ledger, ready, 8), 0);
    move_to(room, id[0], STATE_WAITING, ATTEMPT_COUNTS);
    assert_int_equal(ledger_take_ready(room->ledger, ready, 8), 1);
    assert_int_equal(ready[0], id[0]);
    take_as(room, A, 'X', &no_owner);
    assert_int_equal(ledger_take_ready(room->ledger, ready, 8), 0);
}

static void ids_in_a_state_come_in_batches(void **state)
{
    struct room *room = *state;
    int64_t id[3], found[2];
    take_three(room, id);
    assert_int_equal(ledger_in_state(room->ledger, STATE_QUEUED, 0, found, 2), 2);
    assert_int_equal(found[1], id[1]);
    assert_int_equal(ledger_in_state(room->ledger, STATE_QUEUED, id[1], found, 2), 1);
    for (int i = 0; i < 3; i++)
        intend(room, id[i]);
    assert_int_equal(ledger_in_state(room->ledger, STATE_UPLOADING, 0, found, 2), 2);
    move_to(room, id[0], STATE_HELD, ATTEMPT_COUNTS);
    move_to(room, id[1], STATE_FAILED, ATTEMPT_COUNTS);
    assert_int_equal(ledger_in_state(room->ledger, STATE_HELD, 0, found, 2), 1);
    assert_int_equal(found[0], id[0]);
    assert_int_equal(ledger_in_state(room->ledger, STATE_FAILED, 0, found, 2), 1);
    assert_int_equal(found[0], id[1]);
}

static void wait_for_folder(struct room *room, int64_t recording, const char *reason)
{
    struct plan_move move = {.to = STATE_WAITING, .next_attempt_ms = room->now_ms + 300 * S};
    snprintf(move.reason, sizeof move.reason, "%s", reason);
    ledger_move(room->ledger, recording, &move, room->now_ms);
}

static void a_folder_that_is_back_makes_due_what_waited_for_it(void **state)
{
    struct room *room = *state;
    struct plan_item items[4];
    int64_t id[3], next, ready[4];
    take_three(room, id);
    wait_for_folder(room, id[0], LEDGER_OFFLINE);
    wait_for_folder(room, id[1], LEDGER_OFFLINE);
    wait_for_folder(room, id[2], "Chorus answered 429");
    commit(room);
    while (ledger_take_ready(room->ledger, ready, 4) > 0)
        ;
    ledger_folder_is_back(room->ledger, room->watch + 1, room->now_ms);
    assert_int_equal(fetch(room, LANE_DUE, ORDER_NEWEST, items, 4, &next), 0);
    ledger_folder_is_back(room->ledger, room->watch, room->now_ms);
    commit(room);
    assert_int_equal(fetch(room, LANE_DUE, ORDER_NEWEST, items, 4, &next), 2);
    assert_int_equal(next, room->now_ms + 300 * S);
    assert_int_equal(ledger_take_ready(room->ledger, ready, 4), 1);
    assert_true(ready[0] == id[0] || ready[0] == id[1]);
}

static int64_t retry_since_after(struct room *room, int64_t pause_ms)
{
    commit(room);
    room->now_ms += pause_ms;
    open_again(room);
    ledger_mind_leaps(room->ledger, 7 * DAY, room->now_ms);
    commit(room);
    return ledger_retry_since(room->ledger);
}

static void a_leap_before_the_start_counts_retry_for_anew(void **state)
{
    struct room *room = *state;
    assert_int_equal(retry_since_after(room, 8 * DAY), 0); /* nothing was ever tried */
    take(room, A, 'A');
    assert_int_equal(retry_since_after(room, 3 * DAY), 0);
    int64_t known_ms = retry_since_after(room, DAY);
    assert_int_equal(known_ms, room->now_ms);
    assert_int_equal(retry_since_after(room, -DAY), known_ms);
    /* something was written after the leap, and then it ended */
    room->now_ms += 10 * DAY;
    take(room, B, 'B');
    int64_t leapt_ms = room->now_ms;
    assert_int_equal(retry_since_after(room, S), leapt_ms);
    ledger_retry_anew(room->ledger, leapt_ms + DAY); /* as the plan saw it */
    assert_int_equal(retry_since_after(room, 2 * DAY), leapt_ms + DAY);
    int64_t back_ms = retry_since_after(room, -30 * DAY);
    assert_int_equal(back_ms, room->now_ms);
    /* a leap, and then the clock was set back a little: not from the future on */
    room->now_ms += 60 * DAY;
    take(room, ROOT "/c.wav", 'C');
    int64_t since_ms = retry_since_after(room, -600 * S);
    assert_int_equal(since_ms, room->now_ms);
    /* set back while it ran, which the plan told, and forward again while it did not */
    room->now_ms -= 10 * DAY;
    ledger_retry_anew(room->ledger, room->now_ms);
    since_ms = retry_since_after(room, 10 * DAY);
    assert_int_equal(since_ms, room->now_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_a_room(fetched_in_the_order_asked_for),
        in_a_room(an_item_says_what_the_plan_must_know),
        in_a_room(what_waits_is_due_in_its_time),
        in_a_room(due_at_once_is_due),
        in_a_room(a_time_that_is_far_off_is_due),
        in_a_room(seven_days_are_not_far_off),
        in_a_room(what_an_attempt_costs),
        in_a_room(what_is_held_and_what_is_known_is_kept),
        in_a_room(an_empty_id_does_not_wipe_one_that_is_known),
        in_a_room(what_was_in_flight_is_uncertain_after_a_crash),
        in_a_room(an_intent_that_was_not_committed_never_was),
        in_a_room(in_doubt_its_form_does_not_change),
        in_a_room(without_doubt_its_form_is_the_rules),
        in_a_room(retry_takes_what_failed_is_held_or_gone),
        in_a_room(retry_starts_its_time_afresh),
        in_a_room(retry_keeps_the_doubt_only_under_a_derived_key),
        in_a_room(retry_of_one_whose_path_has_left_takes_its_copy),
        in_a_room(what_became_ready_is_told_once),
        in_a_room(ids_in_a_state_come_in_batches),
        in_a_room(a_leap_before_the_start_counts_retry_for_anew),
        in_a_room(a_folder_that_is_back_makes_due_what_waited_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
