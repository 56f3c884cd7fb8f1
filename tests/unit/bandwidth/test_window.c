/* Which window is in force and until when: across midnight, the week, and both changes of the
 * clock. Times are given in UTC, windows in local time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "agent/bandwidth/bandwidth.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"
#define LORD_HOWE "LHST-10:30LHDT-11,M10.1.0,M4.1.0" /* half an hour */
#define KOLKATA "IST-5:30"

static void zone(const char *name)
{
    setenv("TZ", name, 1);
    tzset();
}

/* "2026-11-23 07:00" or with seconds, UTC. */
static int64_t utc(const char *text)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%d %H:%M", &tm);
    assert_non_null(end);
    if (*end == ':')
        tm.tm_sec = atoi(end + 1);
    return (int64_t)timegm(&tm) * 1000;
}

static struct bandwidth_window window(const char *name, const char *days, const char *from,
                                      const char *to, const char *rate)
{
    static char names[8][16];
    static size_t next;
    struct bandwidth_window made = {.name = names[next++ % 8]};
    snprintf(made.name, sizeof names[0], "%s", name);
    assert_true(days_parse(days, &made.days));
    assert_true(clock_parse(from, &made.from));
    assert_true(clock_parse(to, &made.to));
    assert_true(rate_parse(rate, &made.rate));
    return made;
}

/* Up to two windows, in force at `at`: `name` ("": none) until `until` ("": for ever). */
struct moment {
    const char *at, *name, *until;
};

static void expect(struct bandwidth_window *windows, size_t count, const struct moment *moments,
                   size_t moment_count)
{
    struct bandwidth bandwidth = {.windows = windows, .window_count = count};
    for (size_t i = 0; i < moment_count; i++) {
        const struct moment *moment = &moments[i];
        struct bandwidth_now now = bandwidth_in_force(&bandwidth, utc(moment->at) + 999);
        assert_string_equal(now.window != NULL ? now.window->name : "", moment->name);
        if (now.window != NULL)
            assert_int_equal(now.rate.bytes_per_s, now.window->rate.bytes_per_s);
        else
            assert_int_equal(now.rate.kind, RATE_UNLIMITED);
        assert_int_equal(now.until_ms, moment->until[0] != '\0' ? utc(moment->until) : 0);
    }
}

#define EXPECT_ONE(days, from, to, moments)                                                        \
    do {                                                                                           \
        struct bandwidth_window one = window("w", days, from, to, "512 kbit/s");                   \
        expect(&one, 1, moments, COUNT(moments));                                                  \
    } while (0)

/* --- ordinary days --- */

static void office_hours(void **state)
{
    static const struct moment moments[] = {
        {"2026-11-23 06:59:59", "", "2026-11-23 07:00"}, /* a Monday */
        {"2026-11-23 07:00", "w", "2026-11-23 17:30"},
        {"2026-11-23 17:29:59", "w", "2026-11-23 17:30"},
        {"2026-11-23 17:30", "", "2026-11-24 07:00"},
        {"2026-11-27 17:30", "", "2026-11-30 07:00"}, /* Friday evening */
        {"2026-11-28 12:00", "", "2026-11-30 07:00"},
    };
    (void)state;
    zone(BERLIN);
    EXPECT_ONE("mon-fri", "08:00", "18:30", moments);
}

static void a_night_belongs_to_the_day_on_which_it_begins(void **state)
{
    static const struct moment moments[] = {
        {"2026-11-27 20:59", "", "2026-11-27 21:00"}, /* Friday */
        {"2026-11-27 21:00", "w", "2026-11-28 05:00"},
        {"2026-11-27 23:30", "w", "2026-11-28 05:00"}, /* Saturday, local time */
        {"2026-11-28 05:00", "", "2026-12-04 21:00"},
        {"2026-11-27 02:00", "", "2026-11-27 21:00"}, /* Friday's morning is Thursday's night */
    };
    (void)state;
    zone(BERLIN);
    EXPECT_ONE("fri", "22:00", "06:00", moments);
}

static void whole_days_are_one_window(void **state)
{
    static const struct moment weekdays[] = {
        {"2026-11-25 12:00", "w", "2026-11-27 23:00"},
        {"2026-11-27 23:00", "", "2026-11-29 23:00"},
    };
    static const struct moment always[] = {{"2026-11-25 12:00", "w", ""}};
    static const struct moment turned[] = {
        {"2026-11-25 05:00", "w", "2026-11-26 05:00"}, /* Wednesday from six to six */
        {"2026-11-26 05:00", "", "2026-12-02 05:00"},
    };
    (void)state;
    zone(BERLIN);
    EXPECT_ONE("mon-fri", "00:00", "24:00", weekdays);
    EXPECT_ONE("mon-fri", "00:00", "00:00", weekdays);
    EXPECT_ONE("mon-sun", "00:00", "24:00", always);
    EXPECT_ONE("wed", "06:00", "06:00", turned);
}

static void without_windows_nothing_changes(void **state)
{
    static const struct moment moments[] = {{"2026-11-25 12:00", "", ""}};
    (void)state;
    expect(NULL, 0, moments, 1);
}

static void the_lowest_of_several_is_in_force(void **state)
{
    static const struct moment moments[] = {
        {"2026-11-23 07:00", "day", "2026-11-23 11:00"},
        {"2026-11-23 11:00", "noon", "2026-11-23 12:00"},
        {"2026-11-23 12:00", "day", "2026-11-23 17:00"},
    };
    struct bandwidth_window both[] = {window("day", "mon-sun", "08:00", "18:00", "8 Mbit/s"),
                                      window("noon", "mon-sun", "12:00", "13:00", "0")};
    struct bandwidth_window free_day[] = {both[0], both[1]};
    (void)state;
    zone(BERLIN);
    expect(both, 2, moments, COUNT(moments));
    assert_true(rate_parse("unlimited", &free_day[0].rate));
    expect(free_day, 1, moments, 0);
    struct bandwidth bandwidth = {.windows = free_day, .window_count = 2};
    assert_string_equal(bandwidth_in_force(&bandwidth, utc("2026-11-23 11:30")).window->name,
                        "noon");
    assert_string_equal(bandwidth_in_force(&bandwidth, utc("2026-11-23 12:30")).window->name,
                        "day");
}

static void auto_is_lower_than_unlimited_only(void **state)
{
    struct bandwidth_window three[] = {window("free", "mon-sun", "08:00", "18:00", "unlimited"),
                                       window("follows", "mon-sun", "10:00", "16:00", "auto"),
                                       window("fixed", "mon-sun", "12:00", "13:00", "8 Gbit/s")};
    static const struct moment moments[] = {{"2026-11-23 07:00", "free", "2026-11-23 09:00"},
                                            {"2026-11-23 09:00", "follows", "2026-11-23 11:00"},
                                            {"2026-11-23 11:00", "fixed", "2026-11-23 12:00"},
                                            {"2026-11-23 12:00", "follows", "2026-11-23 15:00"}};
    (void)state;
    zone(BERLIN);
    expect(three, 3, moments, COUNT(moments));
}

static void the_first_of_equals_is_in_force(void **state)
{
    struct bandwidth_window both[] = {window("a", "mon-sun", "08:00", "18:00", "8 Mbit/s"),
                                      window("b", "mon-sun", "07:00", "18:00", "1 MB/s")};
    static const struct moment moments[] = {{"2026-11-23 06:30", "b", "2026-11-23 07:00"},
                                            {"2026-11-23 08:00", "a", "2026-11-23 17:00"}};
    (void)state;
    zone(BERLIN);
    expect(both, 2, moments, COUNT(moments));
}

/* --- when the clock is changed: 2026-03-29 and 2026-10-25, both at 01:00 UTC --- */

static void the_clock_is_put_forward(void **state)
{
    static const struct moment across[] = {
        {"2026-03-29 00:30", "w", "2026-03-29 01:30"}, /* 01:30 to 03:30 is one hour */
        {"2026-03-29 01:30", "", "2026-04-04 23:30"},
    };
    static const struct moment begins_in_the_gap[] = {
        {"2026-03-29 00:59:59", "", "2026-03-29 01:00"},
        {"2026-03-29 01:00", "w", "2026-03-29 02:00"},
    };
    static const struct moment is_the_gap[] = {
        {"2026-03-29 00:30", "", "2026-04-05 00:00"},
        {"2026-03-29 01:00", "", "2026-04-05 00:00"},
    };
    static const struct moment whole_day[] = {
        {"2026-03-29 12:00", "w", "2026-03-29 22:00"},
        {"2026-03-28 12:00", "", "2026-03-28 23:00"},
    };
    (void)state;
    zone(BERLIN);
    EXPECT_ONE("sun", "01:30", "03:30", across);
    EXPECT_ONE("sun", "02:30", "04:00", begins_in_the_gap);
    EXPECT_ONE("sun", "02:00", "03:00", is_the_gap);
    EXPECT_ONE("sun", "00:00", "24:00", whole_day);
}

static void the_clock_is_put_back(void **state)
{
    static const struct moment both_hours[] = {
        {"2026-10-24 23:59:59", "", "2026-10-25 00:00"},
        {"2026-10-25 00:00", "w", "2026-10-25 02:00"},
        {"2026-10-25 01:30", "w", "2026-10-25 02:00"},
    };
    /* the clock shows the half hour from 02:00 to 02:30 twice */
    static const struct moment comes_again[] = {
        {"2026-10-24 23:00", "w", "2026-10-25 00:30"},
        {"2026-10-25 00:30", "", "2026-10-25 01:00"},
        {"2026-10-25 01:00", "w", "2026-10-25 01:30"},
        {"2026-10-25 01:30", "", "2026-11-01 00:00"},
    };
    static const struct moment night[] = {{"2026-10-24 20:00", "w", "2026-10-25 05:00"}};
    (void)state;
    zone(BERLIN);
    EXPECT_ONE("sun", "02:00", "03:00", both_hours);
    EXPECT_ONE("sun", "01:00", "02:30", comes_again);
    EXPECT_ONE("mon-sun", "22:00", "06:00", night);
}

static unsigned draw(unsigned below)
{
    return (unsigned)rand() % below;
}

/* Against a look at every minute, also where the clock is changed by half an hour. */
static void until_is_the_first_minute_with_another_answer(void **state)
{
    static const char *const zones[] = {BERLIN, LORD_HOWE, KOLKATA, "UTC"};
    static const char *const around[] = {"2026-03-26 00:00", "2026-04-01 00:00", "2026-10-01 00:00",
                                         "2026-10-22 00:00"};
    (void)state;
    srand(7);
    for (int i = 0; i < 400; i++) {
        struct bandwidth_window windows[3];
        struct bandwidth bandwidth = {.windows = windows, .window_count = 1 + draw(3)};
        zone(zones[draw(COUNT(zones))]);
        for (size_t k = 0; k < bandwidth.window_count; k++)
            windows[k] = (struct bandwidth_window){.name = "w",
                                                   .days = 1 + draw(127),
                                                   .from = (int)draw(96) * 15,
                                                   .to = (int)draw(97) * 15,
                                                   .rate = {RATE_FIXED, draw(3)}};
        int64_t now_ms = utc(around[draw(COUNT(around))]) + draw(7 * 1440) * INT64_C(60000);
        struct bandwidth_now now = bandwidth_in_force(&bandwidth, now_ms);
        int64_t at_ms = now_ms, end_ms = now_ms + INT64_C(8) * 86400000;
        while (at_ms < end_ms && bandwidth_in_force(&bandwidth, at_ms).window == now.window)
            at_ms += 900000; /* all edges and changes lie on quarters of an hour */
        at_ms -= at_ms % 900000;
        if (at_ms < end_ms - 900000)
            assert_int_equal(now.until_ms, at_ms);
        else
            assert_true(now.until_ms == 0 || now.until_ms >= at_ms);
    }
}

/* --- texts --- */

static void days_are_read(void **state)
{
    static const struct {
        const char *text;
        unsigned days;
    } good[] = {{"mon", 2},          {"mon-fri", 62},     {"sat,sun", 65},  {"Sat, Sun", 65},
                {"fri-mon", 99},     {"mon-sun", 127},    {"sun-sat", 127}, {"mon,mon", 2},
                {"mon-wed,fri", 46}, {"TUE, thu-thu", 20}};
    static const char *const bad[] = {"",     "mo",      "monday", "mon-",     "-fri",       "mon,",
                                      ",mon", "mon fri", "1-5",    "mon--fri", "mon-fri-sun"};
    unsigned days = 0;
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(days_parse(good[i].text, &days));
        assert_int_equal(days, good[i].days);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(days_parse(bad[i], &days));
}

static void times_of_the_day_are_read(void **state)
{
    static const struct {
        const char *text;
        int minutes;
    } good[] = {{"00:00", 0}, {"8:30", 510}, {"08:30", 510}, {"23:59", 1439}, {"24:00", 1440}};
    static const char *const bad[] = {"",       "8",   "08:3",     "08:60", "24:01", "25:00",
                                      "008:30", ":30", "08:30:00", "8.30",  "8:30 ", "-1:00"};
    int minutes = 0;
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(clock_parse(good[i].text, &minutes));
        assert_int_equal(minutes, good[i].minutes);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(clock_parse(bad[i], &minutes));
}

static void what_is_in_force_in_words(void **state)
{
    struct bandwidth_window office = window("office", "mon-fri", "08:00", "18:30", "512 kbit/s");
    struct bandwidth bandwidth = {.windows = &office, .window_count = 1};
    (void)state;
    zone(BERLIN);
    struct bandwidth_now now = bandwidth_in_force(&bandwidth, utc("2026-11-23 07:00"));
    char *words = bandwidth_words(&now), *held = bandwidth_held_words(&now);
    assert_string_equal(words, "512 kbit/s, window office, until 2026-11-23 18:30");
    assert_string_equal(held, "");
    free(words);
    free(held);
    assert_true(rate_parse("0", &office.rate));
    now = bandwidth_in_force(&bandwidth, utc("2026-11-23 07:00"));
    held = bandwidth_held_words(&now);
    assert_string_equal(held, "nothing leaves until 2026-11-23 18:30 (bandwidth window office)");
    free(held);
    bandwidth = (struct bandwidth){.rate = {.kind = RATE_FIXED}};
    now = bandwidth_in_force(&bandwidth, utc("2026-11-23 07:00"));
    held = bandwidth_held_words(&now);
    assert_string_equal(held, "nothing leaves (bandwidth.rate is 0)");
    free(held);
}

static void while_calls_are_many_the_lower_rate_holds(void **state)
{
    struct bandwidth bandwidth = {.rate = {RATE_UNLIMITED, 0}};
    struct bandwidth_now now = bandwidth_in_force(&bandwidth, 0);
    (void)state;
    assert_true(rate_parse("512 kbit/s", &bandwidth.busy_rate));
    bandwidth_when_busy(&bandwidth, "calls are many", &now);
    char *words = bandwidth_words(&now), *held = bandwidth_held_words(&now);
    assert_string_equal(words, "512 kbit/s; calls are many");
    assert_string_equal(held, "");
    free(words);
    free(held);
    assert_true(rate_parse("0", &bandwidth.busy_rate));
    bandwidth_when_busy(&bandwidth, "calls are many", &now);
    held = bandwidth_held_words(&now);
    assert_string_equal(held, "nothing leaves (bandwidth.busy_rate is 0): calls are many");
    free(held);
    now = (struct bandwidth_now){.rate = {RATE_FIXED, 1000}};
    assert_true(rate_parse("8 Mbit/s", &bandwidth.busy_rate));
    bandwidth_when_busy(&bandwidth, "calls are many", &now);
    assert_int_equal(now.rate.bytes_per_s, 1000);
    assert_null(now.busy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(office_hours),
        cmocka_unit_test(a_night_belongs_to_the_day_on_which_it_begins),
        cmocka_unit_test(whole_days_are_one_window),
        cmocka_unit_test(without_windows_nothing_changes),
        cmocka_unit_test(the_lowest_of_several_is_in_force),
        cmocka_unit_test(auto_is_lower_than_unlimited_only),
        cmocka_unit_test(the_first_of_equals_is_in_force),
        cmocka_unit_test(the_clock_is_put_forward),
        cmocka_unit_test(the_clock_is_put_back),
        cmocka_unit_test(until_is_the_first_minute_with_another_answer),
        cmocka_unit_test(days_are_read),
        cmocka_unit_test(times_of_the_day_are_read),
        cmocka_unit_test(what_is_in_force_in_words),
        cmocka_unit_test(while_calls_are_many_the_lower_rate_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
