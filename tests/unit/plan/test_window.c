/* The window of transfers: halved once a burst, opened by full windows of successes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/plan/window.h"

static struct window of(int most)
{
    struct window window;
    window_init(&window, most);
    return window;
}

static void begins_open(void **state)
{
    struct window window = of(8);
    (void)state;
    assert_int_equal(window.now, 8);
    assert_int_equal(window_start(&window), 1);
    assert_int_equal(window_start(&window), 2);
}

static void halved_down_to_one(void **state)
{
    const int expected[] = {4, 2, 1, 1};
    struct window window = of(9);
    (void)state;
    for (int i = 0; i < 4; i++) {
        window_congested(&window, window_start(&window));
        assert_int_equal(window.now, expected[i]);
    }
}

static void a_burst_counts_once(void **state)
{
    struct window window = of(8);
    uint64_t first = window_start(&window), second = window_start(&window);
    (void)state;
    window_congested(&window, second);
    window_congested(&window, first);
    window_congested(&window, second);
    assert_int_equal(window.now, 4);
    window_congested(&window, window_start(&window));
    assert_int_equal(window.now, 2);
}

static void opened_by_a_full_window_of_successes(void **state)
{
    struct window window = of(4);
    (void)state;
    window_congested(&window, window_start(&window));
    assert_int_equal(window.now, 2);
    window_succeeded(&window);
    assert_int_equal(window.now, 2);
    window_succeeded(&window);
    assert_int_equal(window.now, 3);
    for (int i = 0; i < 2; i++)
        window_succeeded(&window);
    assert_int_equal(window.now, 3);
    window_succeeded(&window);
    assert_int_equal(window.now, 4);
    for (int i = 0; i < 100; i++)
        window_succeeded(&window);
    assert_int_equal(window.now, 4);
}

static void trouble_forgets_successes(void **state)
{
    struct window window = of(8);
    (void)state;
    window_congested(&window, window_start(&window)); /* 4 */
    for (int i = 0; i < 3; i++)
        window_succeeded(&window);
    window_congested(&window, window_start(&window)); /* 2 */
    window_succeeded(&window);
    assert_int_equal(window.now, 2);
    window_succeeded(&window);
    assert_int_equal(window.now, 3);
}

static void another_limit(void **state)
{
    struct window window = of(8);
    (void)state;
    window_limit(&window, 12); /* open stays open */
    assert_int_equal(window.now, 12);
    window_limit(&window, 5);
    assert_int_equal(window.now, 5);
    window_congested(&window, window_start(&window));
    window_limit(&window, 10); /* what trouble closed, success opens */
    assert_int_equal(window.now, 2);
    window_limit(&window, 1);
    assert_int_equal(window.now, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_open),
        cmocka_unit_test(halved_down_to_one),
        cmocka_unit_test(a_burst_counts_once),
        cmocka_unit_test(opened_by_a_full_window_of_successes),
        cmocka_unit_test(trouble_forgets_successes),
        cmocka_unit_test(another_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
