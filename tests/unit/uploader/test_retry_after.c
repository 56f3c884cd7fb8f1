#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "uploader/retry_after.h"

/* Sun, 06 Nov 1994 08:49:37 GMT */
#define NOW INT64_C(784111777)

static void seconds(void **state)
{
    (void)state;
    assert_int_equal(retry_after_ms("0", NOW), 0);
    assert_int_equal(retry_after_ms("120", NOW), 120000);
    assert_int_equal(retry_after_ms(" \t7 ", NOW), 7000);
    assert_int_equal(retry_after_ms("007", NOW), 7000);
}

static void enormous_seconds(void **state)
{
    (void)state;
    assert_int_equal(retry_after_ms("1000000000000", NOW), INT64_C(1000000000000000));
    assert_true(retry_after_ms("9223372036854775807", NOW) == INT64_MAX);
    assert_true(retry_after_ms("99999999999999999999999999999999999999", NOW) == INT64_MAX);
}

static void dates_in_all_three_forms(void **state)
{
    (void)state;
    assert_int_equal(retry_after_ms("Sun, 06 Nov 1994 08:50:37 GMT", NOW), 60000);
    assert_int_equal(retry_after_ms("Sunday, 06-Nov-94 08:50:37 GMT", NOW), 60000);
    assert_int_equal(retry_after_ms("Sun Nov  6 08:50:37 1994", NOW), 60000);
    assert_int_equal(retry_after_ms("Wed Nov 16 08:49:37 1994", NOW), INT64_C(864000000));
    assert_int_equal(retry_after_ms("Sun, 06 Nov 1994 08:49:36 GMT", NOW), 0);
    assert_int_equal(retry_after_ms("Tue, 29 Feb 2000 00:00:00 GMT", 951782399), 1000);
    assert_true(retry_after_ms("Fri, 31 Dec 9999 23:59:59 GMT", NOW) > 0);
}

static void two_digit_years(void **state)
{
    int64_t s = 0;
    (void)state;
    assert_true(http_date_read("Friday, 01-Jan-70 00:00:01 GMT", &s));
    assert_int_equal(s, 1);
    assert_true(http_date_read("Tuesday, 01-Jan-69 00:00:00 GMT", &s));
    assert_int_equal(s, INT64_C(3124224000));
}

static void garbage(void **state)
{
    static const char *const values[] = {
        "",
        " ",
        "-1",
        "+1",
        "1.5",
        "12 s",
        "1e3",
        "0x10",
        "soon",
        "1 2",
        "Sun",
        "Sun,",
        "Sun, 06 Nov 1994",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 06 Nov 1994 08:49:37 GMT x",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 06-Nov 94 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 94",
        "\xff\xfe",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        int64_t s = 42;
        if (retry_after_ms(values[i], NOW) != -1)
            fail_msg("taken: %s", values[i]);
        assert_false(http_date_read(values[i], &s));
        assert_int_equal(s, 42);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seconds),
        cmocka_unit_test(enormous_seconds),
        cmocka_unit_test(dates_in_all_three_forms),
        cmocka_unit_test(two_digit_years),
        cmocka_unit_test(garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
