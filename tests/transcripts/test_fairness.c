/* Who goes next? The order that was asked for, and nobody waits for ever. */
#include "tests/transcripts/play.h"

#include <setjmp.h>

#include <cmocka.h>

static void newest_first(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    int64_t first = calls_are_there(&play, 30, KEY_DERIVED);
    play_start(&play);
    assert_true(is_in_flight(&play, first + 29));
    int64_t newest = call_comes(&play, KEY_DERIVED);
    ends(&play, first + 29, accepted("e"));
    assert_true(is_in_flight(&play, newest));
    ends(&play, newest, accepted("e"));
    assert_true(is_in_flight(&play, first + 28));
    play_end(&play);
}

static void oldest_first_where_asked_for(void **state)
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
    for (int64_t i = 0; i < 30; i++) {
        call_comes(&play, KEY_DERIVED);
        assert_true(is_in_flight(&play, first + i));
        ends(&play, first + i, accepted("e"));
    }
    play_end(&play);
}

/* As after a SIGHUP with another upload.order. */
static void another_order_holds_from_the_next_start(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    int64_t first = calls_are_there(&play, 30, KEY_DERIVED);
    play_start(&play);
    struct plan_options options = play.options;
    options.back_lane = false;
    play_configure(&play, &options);
    ends(&play, first + 29, accepted("e"));
    for (int64_t i = 0; i < 29; i++) {
        assert_true(is_in_flight(&play, first + i));
        ends(&play, first + i, accepted("e"));
    }
    play_end(&play);
}

/* Its news overtakes the ledger's answer. */
static void a_call_that_comes_while_the_ledger_is_asked_has_its_turn(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    int64_t first = calls_are_there(&play, 3, KEY_DERIVED);
    play.lazy = true;
    play_start(&play);
    int64_t next = calls_come(&play, 2, KEY_DERIVED);
    play_settle(&play);
    while (in_flight(&play) > 0) {
        ends(&play, first_in_flight(&play), accepted("e"));
        play_settle(&play);
    }
    for (int64_t id = first; id < next + 2; id++)
        expect_state(&play, id, STATE_UPLOADED);
    play_end(&play);
}

/* Two new calls come for each that is sent: after how many starts does the oldest of a backlog go?
 */
static size_t starts_until_the_oldest(int concurrency, size_t backlog, bool from_before)
{
    struct play play;
    size_t starts = SIZE_MAX;
    play_begin(&play, concurrency);
    if (from_before) {
        calls_are_there(&play, backlog, KEY_DERIVED);
        play_start(&play);
    } else { /* the ledger was empty, all are busy, then it comes */
        play_start(&play);
        calls_come(&play, (size_t)concurrency, KEY_DERIVED);
        calls_come(&play, backlog, KEY_DERIVED);
    }
    int64_t oldest = from_before ? 1 : 1 + concurrency;
    size_t before = play.start_count;
    for (size_t i = 0; i < 2000 && starts == SIZE_MAX; i++) {
        if (is_in_flight(&play, oldest))
            starts = play.start_count - (from_before ? 0 : before);
        calls_come(&play, 2, KEY_DERIVED);
        ends(&play, first_in_flight(&play), accepted("e"));
    }
    play_end(&play);
    return starts;
}

static void an_endless_stream_of_new_calls_does_not_starve_the_oldest(void **state)
{
    const int concurrencies[] = {1, 2, 8, 64};
    const size_t backlogs[] = {2, 9, 65, 150, 2000};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < 5; k++) {
            for (int before = 0; before < 2; before++) {
                int concurrency = concurrencies[i];
                size_t starts = starts_until_the_oldest(concurrency, backlogs[k], before == 1);
                size_t bound = (size_t)concurrency + 8;
                if (starts > bound)
                    print_error("concurrency %d, backlog of %zu (%s): the oldest went as number "
                                "%zu since\n",
                                concurrency, backlogs[k],
                                before == 1 ? "there at the start" : "came while running", starts);
                assert_true(starts <= bound);
            }
        }
    }
}

/* And so the whole backlog goes, one of eight, oldest first. */
static void the_backlog_is_worked_off_from_its_far_end(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 2);
    int64_t oldest = calls_are_there(&play, 50, KEY_DERIVED);
    play_start(&play);
    for (int i = 0; i < 400; i++) {
        calls_come(&play, 2, KEY_DERIVED);
        ends(&play, first_in_flight(&play), accepted("e"));
    }
    for (int64_t i = 0; i < 48; i++)
        expect_state(&play, oldest + i, STATE_UPLOADED);
    play_end(&play);
}

/* A thousand recordings fail again and again; how many starts until a new call goes? */
static void retries_do_not_starve_new_calls(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 4);
    struct plan_options options = play.options;
    options.retry_first_ms = options.retry_max_ms = 1; /* due at once */
    play_end(&play);
    play_begin_with(&play, &options, 5);
    int64_t last = calls_are_there(&play, 1000, KEY_DERIVED) + 999;
    play_start(&play);
    for (int i = 0; i < 1500; i++) {
        ends(&play, first_in_flight(&play), cut_off());
        time_passes(&play, 2);
    }
    for (int i = 0; i < 200; i++) {
        int64_t call = call_comes(&play, KEY_DERIVED);
        size_t before = play.start_count;
        while (!is_in_flight(&play, call)) {
            ends(&play, first_in_flight(&play), cut_off());
            time_passes(&play, 2);
        }
        assert_true(play.start_count - before <= 4);
        ends(&play, call, accepted("e"));
    }
    (void)last;
    play_end(&play);
}

static void new_calls_do_not_starve_retries(void **state)
{
    struct play play;
    (void)state;
    play_begin(&play, 1);
    int64_t id = calls_are_there(&play, 200, KEY_DERIVED) + 199;
    play_start(&play);
    ends(&play, id, cut_off());
    time_passes(&play, S); /* due from now on */
    size_t before = play.start_count;
    while (!is_in_flight(&play, id)) {
        calls_come(&play, 3, KEY_DERIVED);
        ends(&play, first_in_flight(&play), accepted("e"));
        assert_true(play.start_count - before <= 4);
    }
    play_end(&play);
}

/* What waits longest goes first, whatever its age: no retry starves another. */
static void retries_do_not_starve_each_other(void **state)
{
    enum { CALLS = 300 };
    struct play play;
    (void)state;
    play_begin(&play, 4);
    struct plan_options options = play.options;
    options.retry_first_ms = options.retry_max_ms = 1;
    play_end(&play);
    play_begin_with(&play, &options, 5);
    int64_t first = calls_are_there(&play, CALLS, KEY_DERIVED);
    play_start(&play);
    for (int i = 0; i < 10 * CALLS; i++) {
        ends(&play, first_in_flight(&play), cut_off());
        time_passes(&play, 2);
    }
    for (int64_t i = 0; i < CALLS; i++)
        assert_true(call_of(&play, first + i)->posts >= 5);
    play_end(&play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newest_first),
        cmocka_unit_test(oldest_first_where_asked_for),
        cmocka_unit_test(an_endless_stream_of_new_calls_does_not_starve_the_oldest),
        cmocka_unit_test(the_backlog_is_worked_off_from_its_far_end),
        cmocka_unit_test(retries_do_not_starve_new_calls),
        cmocka_unit_test(new_calls_do_not_starve_retries),
        cmocka_unit_test(retries_do_not_starve_each_other),
        cmocka_unit_test(another_order_holds_from_the_next_start),
        cmocka_unit_test(a_call_that_comes_while_the_ledger_is_asked_has_its_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
