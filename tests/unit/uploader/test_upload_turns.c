/* Few send at a time, all have their turn: transfers of a made-up uploader, in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "uploader/client.h"
#include "uploader/turns.h"
#include "uploader/uploader.h"

enum { MOST = 8, TICK_MS = 10, SLOW = 1000000, FAST = 4000000 };

static struct uploader uploader;
static struct transfer transfers[MOST];
static uint64_t sent[MOST];
static bool stuck[MOST]; /* what was given to it does not leave */
static int64_t now_ms;

/* ---- what turns.c asks of others ---- */

int64_t client_now_ms(void)
{
    return now_ms;
}

void client_resume(struct transfer *transfer)
{
    transfer->paused = false;
}

uint64_t pace_share(uint64_t bytes_per_s, size_t senders)
{
    return bytes_per_s / (senders > 0 ? senders : 1);
}

int64_t pace_patience_ms(uint64_t share)
{
    (void)share;
    return 500;
}

bool socket_is_drained(int socket)
{
    return !stuck[socket];
}

/* ---- */

static void begin(uint64_t bytes_per_s, size_t count)
{
    memset(&uploader, 0, sizeof uploader);
    memset(transfers, 0, sizeof transfers);
    memset(sent, 0, sizeof sent);
    memset(stuck, 0, sizeof stuck);
    now_ms = 1000000;
    TAILQ_INIT(&uploader.active);
    uploader.pace.bytes_per_s = uploader.pace.share = bytes_per_s;
    for (size_t i = 0; i < count; i++) {
        transfers[i].uploader = &uploader;
        transfers[i].socket = (int)i;
        transfers[i].sends = true;
        TAILQ_INSERT_TAIL(&uploader.active, &transfers[i], link);
    }
}

static size_t holders(void)
{
    size_t count = 0;
    for (size_t i = 0; i < MOST; i++)
        count += transfers[i].turn.has;
    assert_int_equal(count, uploader.turns.held);
    return count;
}

/* `use`: how much of its share each can send, in percent. */
static void pass(int64_t ms, unsigned use)
{
    for (int64_t end_ms = now_ms + ms; now_ms < end_ms; now_ms += TICK_MS) {
        struct transfer *at = NULL;
        TAILQ_FOREACH(at, &uploader.active, link)
        {
            if (at->paused || !turns_may_send(at)) {
                at->paused = true;
                continue;
            }
            uint64_t share = pace_share(uploader.pace.bytes_per_s, uploader.turns.held);
            uint64_t bytes = share * TICK_MS / 1000 * use / 100;
            sent[at - transfers] += bytes;
            turns_note_given(at, bytes);
        }
        (void)turns_change(&uploader, now_ms);
    }
}

static void leave(size_t i)
{
    turns_leave(&transfers[i]);
    transfers[i].sends = false;
    TAILQ_REMOVE(&uploader.active, &transfers[i], link);
}

static void more_for_a_higher_rate_all_without_one(void **state)
{
    (void)state;
    assert_int_equal(turns_most(1), 1);
    assert_int_equal(turns_most(SLOW), 1);
    assert_int_equal(turns_most(12500000), 11);
    assert_true(turns_most(UPLOADER_UNLIMITED) == SIZE_MAX);
    begin(UPLOADER_UNLIMITED, MOST);
    for (size_t i = 0; i < MOST; i++)
        assert_true(turns_may_send(&transfers[i]));
    assert_false(turns_change(&uploader, now_ms));
    assert_int_equal(holders(), MOST);
}

static void one_at_a_time_and_all_in_turn(void **state)
{
    (void)state;
    begin(SLOW, MOST);
    for (int i = 0; i < 2000; i++) {
        pass(TICK_MS, 100);
        assert_true(holders() <= 2); /* one that ends, one that begins */
    }
    for (size_t i = 0; i < MOST; i++)
        assert_true(sent[i] > (uint64_t)20 * SLOW / MOST / 2);
}

static void a_turn_that_is_left_is_taken_at_once(void **state)
{
    (void)state;
    begin(SLOW, 2);
    pass(100, 100);
    assert_true(transfers[0].turn.has);
    leave(0);
    pass(2 * TICK_MS, 100);
    assert_true(transfers[1].turn.has);
    assert_true(sent[1] > 0);
}

static void who_is_alone_keeps_its_turn(void **state)
{
    (void)state;
    begin(SLOW, 1);
    pass(60000, 100);
    assert_true(transfers[0].turn.has && !transfers[0].turn.over);
    assert_false(turns_change(&uploader, now_ms));
}

/* Whom the others waited for has ended: who was to make room goes on. */
static void a_turn_that_ends_for_nobody_ends_all_the_same(void **state)
{
    (void)state;
    begin(SLOW, 2);
    stuck[0] = true;
    pass(2010, 100);
    assert_true(transfers[0].turn.over);
    leave(1);
    assert_true(turns_change(&uploader, now_ms));
    stuck[0] = false;
    pass(100, 100);
    assert_true(transfers[0].turn.has && !transfers[0].turn.over);
}

/* On the loopback the kernel sends tens of kilobytes at once. */
static void what_left_at_once_is_waited_for(void **state)
{
    (void)state;
    begin(SLOW, 1);
    assert_true(turns_may_send(&transfers[0]));
    turns_note_given(&transfers[0], SLOW / 10);
    assert_false(turns_is_paid(&transfers[0], now_ms + 99));
    assert_true(turns_is_paid(&transfers[0], now_ms + 100));
}

static void a_lower_rate_takes_turns_back(void **state)
{
    (void)state;
    begin(FAST, MOST);
    pass(100, 100);
    assert_int_equal(holders(), turns_most(FAST));
    uploader.pace.bytes_per_s = SLOW;
    pass(100, 100);
    assert_int_equal(holders(), 1);
}

static void what_does_not_leave_is_waited_for_only_so_long(void **state)
{
    (void)state;
    begin(SLOW, 2);
    stuck[0] = true;
    pass(4000, 100);
    assert_true(sent[1] > 0);
}

/* A server that takes little of each connection, a window too small for the way. */
static void what_few_do_not_use_goes_to_more(void **state)
{
    (void)state;
    begin(SLOW, MOST);
    pass(60000, 30);
    assert_true(holders() > 2);
    pass(60000, 100);
    assert_int_equal(holders(), 1);
}

static void nothing_changes_while_nothing_leaves(void **state)
{
    (void)state;
    begin(SLOW, 2);
    pass(100, 100);
    uploader.pace.bytes_per_s = 0;
    assert_false(turns_change(&uploader, now_ms + 10000));
    assert_true(transfers[0].turn.has);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_for_a_higher_rate_all_without_one),
        cmocka_unit_test(one_at_a_time_and_all_in_turn),
        cmocka_unit_test(a_turn_that_is_left_is_taken_at_once),
        cmocka_unit_test(who_is_alone_keeps_its_turn),
        cmocka_unit_test(a_turn_that_ends_for_nobody_ends_all_the_same),
        cmocka_unit_test(what_left_at_once_is_waited_for),
        cmocka_unit_test(a_lower_rate_takes_turns_back),
        cmocka_unit_test(what_does_not_leave_is_waited_for_only_so_long),
        cmocka_unit_test(what_few_do_not_use_goes_to_more),
        cmocka_unit_test(nothing_changes_while_nothing_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
