/* Times and durations in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "agent/base/when.h"

#define S INT64_C(1000)
#define MIN (60 * S)
#define HOUR (60 * MIN)
#define DAY (24 * HOUR)

static int in_berlin(void **state)
{
    (void)state;
    setenv("TZ", "Europe/Berlin", 1);
    tzset();
    return 0;
}

static int in_greenwich(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    return 0;
}

static void stamps_are_utc(void **state)
{
    char text[WHEN_TEXT];
    (void)state;
    when_rfc3339(INT64_C(1795442701999), text);
    assert_string_equal(text, "2026-11-23T14:05:01Z");
    when_compact(INT64_C(1795442701000), text);
    assert_string_equal(text, "20261123T140501Z");
    when_rfc3339(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00Z");
    when_rfc3339(-1, text); /* rounded down, also before the epoch */
    assert_string_equal(text, "1969-12-31T23:59:59Z");
    when_rfc3339(INT64_C(951782400000), text);
    assert_string_equal(text, "2000-02-29T00:00:00Z");
}

static void expect_duration(const char *text, bool bare_zero, int64_t expected)
{
    int64_t ms = -1;
    bool is = when_parse_duration(text, bare_zero, &ms);
    if (is != (expected >= 0) || (is && ms != expected))
        print_error("'%s'\n", text);
    assert_int_equal(is, expected >= 0);
    if (is)
        assert_int_equal(ms, expected);
}

static void durations_are_read(void **state)
{
    static const char *const bad[] = {"",
                                      "s",
                                      "5",
                                      "-1s",
                                      "+1s",
                                      "1.5s",
                                      " 1s",
                                      "1s ",
                                      "1 s",
                                      "1S",
                                      "1m",
                                      "1sec",
                                      "1w",
                                      "0x1s",
                                      "00",
                                      "1h5min",
                                      "9223372036854775807s",
                                      "999999999999999d",
                                      "1ms\n"};
    (void)state;
    expect_duration("250ms", false, 250);
    expect_duration("2s", false, 2 * S);
    expect_duration("90s", false, 90 * S);
    expect_duration("5min", false, 5 * MIN);
    expect_duration("1h", false, HOUR);
    expect_duration("7d", false, 7 * DAY);
    expect_duration("0s", false, 0);
    expect_duration("007d", false, 7 * DAY);
    expect_duration("100000000000d", false, INT64_C(100000000000) * DAY);
    expect_duration("0", true, 0);
    expect_duration("0", false, -1);
    expect_duration("1", true, -1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_duration(bad[i], true, -1);
}

static void durations_are_written(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{0, "0s"},          {1, "1ms"},      {250, "250ms"},         {1000, "1s"},
                 {1500, "1500ms"},   {90 * S, "90s"}, {2 * MIN, "2min"},      {HOUR, "1h"},
                 {25 * HOUR, "25h"}, {7 * DAY, "7d"}, {DAY + 1, "86400001ms"}};
    char text[WHEN_TEXT];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        when_duration(cases[i].ms, text);
        assert_string_equal(text, cases[i].text);
        expect_duration(text, false, cases[i].ms); /* and read back */
    }
}

static void about_for_people(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{-5, "0s"},        {0, "0s"},
                 {2600, "3s"},      {45 * S, "45s"},
                 {MIN, "1min"},     {12 * MIN, "12min"},
                 {HOUR, "1h 0min"}, {2 * HOUR + 5 * MIN, "2h 5min"},
                 {DAY, "1d"},       {4 * DAY + HOUR, "4d"}};
    char text[WHEN_TEXT];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        when_about(cases[i].ms, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void expect_date(const char *text, const char *utc)
{
    char is[WHEN_TEXT];
    int64_t ms = 0;
    bool read = when_parse_date(text, &ms);
    if (read != (utc != NULL))
        print_error("'%s'\n", text);
    assert_int_equal(read, utc != NULL);
    if (utc != NULL) {
        when_rfc3339(ms, is);
        assert_string_equal(is, utc);
    }
}

static void dates_are_local_midnight(void **state)
{
    (void)state;
    expect_date("2026-11-23", "2026-11-22T23:00:00Z");
    expect_date("2026-07-01", "2026-06-30T22:00:00Z");
    expect_date("2026-03-29", "2026-03-28T23:00:00Z"); /* the clock changes on that day */
    expect_date("2026-03-30", "2026-03-29T22:00:00Z");
    expect_date("1970-01-01", "1969-12-31T23:00:00Z");
}

static void dates_that_there_are(void **state)
{
    (void)state;
    expect_date("2026-11-23", "2026-11-23T00:00:00Z");
    expect_date("2024-02-29", "2024-02-29T00:00:00Z");
    expect_date("2000-02-29", "2000-02-29T00:00:00Z");
    expect_date("9999-12-31", "9999-12-31T00:00:00Z");
}

static void dates_that_there_are_not(void **state)
{
    static const char *const bad[] = {"2026-02-30", "2026-02-29", "1900-02-29", "2026-04-31",
                                      "2026-13-01", "2026-00-10", "2026-01-00", "2026-01-32",
                                      "2026-1-1",   "2026/11/23", "20261123",   "2026-11-23T",
                                      "",           "2026-11-2x", "-026-11-23", " 026-11-23"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_date(bad[i], NULL);
}

static void clocks_go(void **state)
{
    (void)state;
    assert_true(when_now_ms() > INT64_C(1700000000000));
    int64_t before = when_steady_ms();
    assert_true(before > 0);
    assert_true(when_steady_ms() >= before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(stamps_are_utc, in_berlin),
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(durations_are_written),
        cmocka_unit_test(about_for_people),
        cmocka_unit_test_setup(dates_are_local_midnight, in_berlin),
        cmocka_unit_test_setup(dates_that_there_are, in_greenwich),
        cmocka_unit_test_setup(dates_that_there_are_not, in_greenwich),
        cmocka_unit_test(clocks_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
