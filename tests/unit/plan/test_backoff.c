/* Delays between tries: the numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/plan/backoff.h"

static void expect_range(int64_t first, int64_t most, int tries, int64_t ceiling)
{
    uint64_t random = 1;
    int64_t longest = 0, shortest = INT64_MAX;
    for (int i = 0; i < 20000; i++) {
        int64_t delay = backoff_delay(&random, first, most, tries);
        longest = delay > longest ? delay : longest;
        shortest = delay < shortest ? delay : shortest;
    }
    assert_in_range(longest, ceiling - ceiling / 100, ceiling);
    assert_in_range(shortest, 1, 1 + ceiling / 100);
}

static void doubles_until_the_most(void **state)
{
    (void)state;
    expect_range(1000, 900000, 1, 1000);
    expect_range(1000, 900000, 2, 2000);
    expect_range(1000, 900000, 5, 16000);
    expect_range(1000, 900000, 10, 512000);
    expect_range(1000, 900000, 11, 900000);
    expect_range(1000, 900000, 1000000, 900000);
}

static void odd_settings(void **state)
{
    (void)state;
    expect_range(1, 1, 1, 1);
    expect_range(1, 1, 50, 1);
    expect_range(0, 0, 3, 1);
    expect_range(5000, 1000, 1, 1000); /* the most counts */
    expect_range(1000, 900000, 0, 1000);
    expect_range(1000, INT64_MAX, 200, INT64_MAX); /* no overflow on the way */
}

static void the_same_seed_gives_the_same_numbers(void **state)
{
    uint64_t a = 7, b = 7, c = 8;
    int equal = 0;
    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint64_t x = backoff_random(&a);
        assert_true(x == backoff_random(&b));
        equal += x == backoff_random(&c);
    }
    assert_int_equal(equal, 0);
}

static void retry_after_is_clamped(void **state)
{
    (void)state;
    assert_int_equal(backoff_retry_after(-1, 77), 77);
    assert_int_equal(backoff_retry_after(0, 77), 1000);
    assert_int_equal(backoff_retry_after(999, 77), 1000);
    assert_int_equal(backoff_retry_after(1000, 77), 1000);
    assert_int_equal(backoff_retry_after(123456, 77), 123456);
    assert_int_equal(backoff_retry_after(3600000, 77), 3600000);
    assert_int_equal(backoff_retry_after(3600001, 77), 3600000);
    assert_int_equal(backoff_retry_after(INT64_MAX, 77), 3600000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_until_the_most),
        cmocka_unit_test(odd_settings),
        cmocka_unit_test(the_same_seed_gives_the_same_numbers),
        cmocka_unit_test(retry_after_is_clamped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
