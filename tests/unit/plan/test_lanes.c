/* The lanes: order, room, turns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/plan/backoff.h"
#include "agent/plan/lanes.h"

static struct plan_item item(int64_t recording, int64_t rank)
{
    return (struct plan_item){.recording = recording, .rank = rank, .state = STATE_QUEUED};
}

static void put(struct lanes *lanes, enum plan_lane lane, int64_t recording, int64_t rank)
{
    struct plan_item what = item(recording, rank);
    lanes_put(lanes, lane, &what);
}

static int64_t take(struct lanes *lanes)
{
    struct plan_item what;
    return lanes_take(lanes, &what) ? what.recording : 0;
}

/* Room for a test's lanes: they are too large for a stack with a sanitizer. */
static int make(void **state)
{
    *state = calloc(1, sizeof(struct lanes));
    if (*state != NULL)
        lanes_init(*state, true);
    return *state == NULL;
}

static int unmake(void **state)
{
    free(*state);
    return 0;
}

static void lowest_rank_first(void **state)
{
    struct lanes *lanes = *state;
    uint64_t random = 3;
    int64_t last = 0;
    for (int64_t i = 1; i <= 100; i++)
        put(lanes, LANE_ORDER, i, (int64_t)(backoff_random(&random) % 1000));
    for (size_t i = 0; i < 100; i++) {
        assert_true(lanes->lane[LANE_ORDER].items[0].rank >= last);
        last = lanes->lane[LANE_ORDER].items[0].rank;
        assert_true(take(lanes) != 0);
    }
    assert_int_equal(take(lanes), 0);
}

static void equal_ranks_keep_their_order(void **state)
{
    struct lanes *lanes = *state;
    for (int64_t i = 1; i <= 5; i++)
        put(lanes, LANE_ORDER, i, 7);
    for (int64_t i = 1; i <= 5; i++)
        assert_int_equal(take(lanes), i);
}

static void one_recording_once(void **state)
{
    struct lanes *lanes = *state;
    put(lanes, LANE_ORDER, 1, 5);
    put(lanes, LANE_ORDER, 1, 4);
    put(lanes, LANE_BACK, 1, 5); /* in both ends' lanes, and taken out of both */
    put(lanes, LANE_DUE, 1, 5);
    assert_int_equal(lanes->lane[LANE_ORDER].count, 1);
    assert_int_equal(take(lanes), 1);
    assert_int_equal(take(lanes), 0);
}

static void a_full_lane_forgets_its_last(void **state)
{
    struct lanes *lanes = *state;
    lanes->lane[LANE_ORDER].more = false;
    for (int64_t i = 1; i <= LANE_ROOM; i++)
        put(lanes, LANE_ORDER, i, 100 + i);
    assert_false(lanes->lane[LANE_ORDER].more);
    put(lanes, LANE_ORDER, 9999, 1); /* a better one */
    assert_int_equal(lanes->lane[LANE_ORDER].count, LANE_ROOM);
    assert_int_equal(lanes->lane[LANE_ORDER].items[0].recording, 9999);
    assert_int_equal(lanes->lane[LANE_ORDER].items[LANE_ROOM - 1].recording, LANE_ROOM - 1);
    assert_true(lanes->lane[LANE_ORDER].more); /* the ledger still has it */
    lanes->lane[LANE_ORDER].more = false;
    put(lanes, LANE_ORDER, 8888, 5000); /* a worse one */
    assert_int_equal(lanes->lane[LANE_ORDER].items[LANE_ROOM - 1].recording, LANE_ROOM - 1);
    assert_true(lanes->lane[LANE_ORDER].more);
}

static void a_million_leave_the_best(void **state)
{
    struct lanes *lanes = *state;
    for (int64_t i = 1; i <= 1000000; i++)
        put(lanes, LANE_ORDER, i, -i);
    assert_int_equal(lanes->lane[LANE_ORDER].count, LANE_ROOM);
    for (int64_t i = 0; i < LANE_ROOM; i++)
        assert_int_equal(take(lanes), 1000000 - i);
}

static void turns(void **state)
{
    /* of eight two are due's, one is the far end's */
    const int64_t expected[] = {100, 300, 101, 102, 301, 103, 104, 200};
    struct lanes *lanes = *state;
    for (int64_t i = 0; i < 20; i++) {
        put(lanes, LANE_ORDER, 100 + i, i);
        put(lanes, LANE_BACK, 200 + i, i);
        put(lanes, LANE_DUE, 300 + i, i);
    }
    for (int i = 0; i < 8; i++)
        assert_int_equal(take(lanes), expected[i]);
    assert_int_equal(take(lanes), 105);
    assert_int_equal(take(lanes), 302);
}

static void an_empty_lane_passes_its_turn_on(void **state)
{
    struct lanes *lanes = *state;
    for (int64_t i = 0; i < 8; i++)
        put(lanes, LANE_DUE, 300 + i, i);
    for (int64_t i = 0; i < 8; i++)
        assert_int_equal(take(lanes), 300 + i);
    for (int64_t i = 0; i < 8; i++)
        put(lanes, LANE_BACK, 200 + i, i);
    for (int64_t i = 0; i < 8; i++)
        assert_int_equal(take(lanes), 200 + i);
}

static void dropped_everywhere(void **state)
{
    struct lanes *lanes = *state;
    put(lanes, LANE_ORDER, 1, 1);
    put(lanes, LANE_BACK, 1, 1);
    put(lanes, LANE_ORDER, 2, 2);
    lanes_drop(lanes, 1);
    lanes_drop(lanes, 77);
    assert_int_equal(take(lanes), 2);
    assert_int_equal(take(lanes), 0);
}

static void what_is_wanted(void **state)
{
    struct lanes *lanes = *state;
    struct lane *lane = &lanes->lane[LANE_ORDER];
    assert_int_equal(lanes_wants(lanes, LANE_ORDER, 8), 8);
    lane->fetching = true;
    assert_int_equal(lanes_wants(lanes, LANE_ORDER, 8), 0);
    lane->fetching = lane->more = false;
    assert_int_equal(lanes_wants(lanes, LANE_ORDER, 8), 0);
    lane->more = true;
    for (int64_t i = 1; i <= 7; i++)
        put(lanes, LANE_ORDER, i, i);
    assert_int_equal(lanes_wants(lanes, LANE_ORDER, 8), 8);
    put(lanes, LANE_ORDER, 8, 8);
    assert_int_equal(lanes_wants(lanes, LANE_ORDER, 8), 0);
}

static void without_a_back_lane_nothing_is_wanted_there(void **state)
{
    struct lanes *lanes = *state;
    lanes_init(lanes, false);
    assert_int_equal(lanes_wants(lanes, LANE_BACK, 8), 0);
    assert_int_equal(lanes_wants(lanes, LANE_ORDER, 8), 8);
    assert_int_equal(lanes_wants(lanes, LANE_DUE, 8), 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lowest_rank_first, make, unmake),
        cmocka_unit_test_setup_teardown(equal_ranks_keep_their_order, make, unmake),
        cmocka_unit_test_setup_teardown(one_recording_once, make, unmake),
        cmocka_unit_test_setup_teardown(a_full_lane_forgets_its_last, make, unmake),
        cmocka_unit_test_setup_teardown(a_million_leave_the_best, make, unmake),
        cmocka_unit_test_setup_teardown(turns, make, unmake),
        cmocka_unit_test_setup_teardown(an_empty_lane_passes_its_turn_on, make, unmake),
        cmocka_unit_test_setup_teardown(dropped_everywhere, make, unmake),
        cmocka_unit_test_setup_teardown(what_is_wanted, make, unmake),
        cmocka_unit_test_setup_teardown(without_a_back_lane_nothing_is_wanted_there, make, unmake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
