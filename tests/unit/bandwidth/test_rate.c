/* Rates and classes of service in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/bandwidth/bandwidth.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void rates_are_read(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes_per_s;
    } good[] = {
        {"0", 0},
        {"0 Mbit/s", 0},
        {"8 bit/s", 1},
        {"512 kbit/s", 64000},
        {"8 Mbit/s", 1000000},
        {"8Mbit/s", 1000000},
        {"1.5 Mbit/s", 187500},
        {"0.064 Mbit/s", 8000},
        {"1 Gbit/s", 125000000},
        {"1 B/s", 1},
        {"64 kB/s", 64000},
        {"1.25 MB/s", 1250000},
        {"125 GB/s", UINT64_C(125000000000)},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        struct rate rate;
        assert_true(rate_parse(good[i].text, &rate));
        assert_int_equal(rate.kind, RATE_FIXED);
        assert_int_equal(rate.bytes_per_s, good[i].bytes_per_s);
        assert_int_equal(rate_is_none(&rate), good[i].bytes_per_s == 0);
    }
}

static void what_is_no_rate_is_refused(void **state)
{
    static const char *const bad[] = {
        "",          "8",          "8 ",        "Mbit/s",
        "8 mbit/s",  "8 Mb/s",     "8 Mbps",    "-8 Mbit/s",
        "+8 Mbit/s", "8  Mbit/s",  "8 Mbit/s ", "8. Mbit/s",
        ".5 B/s",    "1.2345 B/s", "7 bit/s",   "0.001 kbit/s",
        "1e3 B/s",   "126 GB/s",   "Unlimited", "99999999999999999999 B/s"};
    struct rate rate = {.kind = RATE_FIXED, .bytes_per_s = 7};
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(rate_parse(bad[i], &rate));
    assert_int_equal(rate.bytes_per_s, 7);
}

/* What is said of a rate is read again as the same. */
static void rates_in_words(void **state)
{
    static const char *const pairs[][2] = {
        {"0", "0"},
        {"unlimited", "unlimited"},
        {"auto", "auto"},
        {"1000 kbit/s", "1 Mbit/s"},
        {"1.5 Mbit/s", "1500 kbit/s"},
        {"64 kB/s", "512 kbit/s"},
        {"125 B/s", "1 kbit/s"},
        {"1 B/s", "8 bit/s"},
        {"125 GB/s", "1000 Gbit/s"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(pairs); i++) {
        struct rate rate, again;
        char words[RATE_TEXT];
        assert_true(rate_parse(pairs[i][0], &rate));
        rate_words(&rate, words);
        assert_string_equal(words, pairs[i][1]);
        assert_true(rate_parse(words, &again));
        assert_int_equal(again.kind, rate.kind);
        assert_int_equal(again.bytes_per_s, rate.bytes_per_s);
    }
}

static void classes_of_service(void **state)
{
    static const char *const for_calls[] = {"ef",  "EF",   "va",   "cs3",  "cs4",  "cs5", "cs6",
                                            "cs7", "af31", "af33", "af41", "af42", "af43"};
    static const char *const unknown[] = {"", "cs8", "cs", "8", "0x20", "best", "af14", "af51"};
    int dscp = -1;
    (void)state;
    assert_int_equal(dscp_parse("cs1", &dscp), DSCP_KNOWN);
    assert_int_equal(dscp, 8);
    assert_int_equal(dscp_parse("LE", &dscp), DSCP_KNOWN);
    assert_int_equal(dscp, 1);
    assert_int_equal(dscp_parse("af23", &dscp), DSCP_KNOWN);
    assert_int_equal(dscp, 22);
    assert_int_equal(dscp_parse("none", &dscp), DSCP_KNOWN);
    assert_int_equal(dscp, 0);
    for (size_t i = 0; i < COUNT(for_calls); i++)
        assert_int_equal(dscp_parse(for_calls[i], &dscp), DSCP_FOR_CALLS);
    for (size_t i = 0; i < COUNT(unknown); i++)
        assert_int_equal(dscp_parse(unknown[i], &dscp), DSCP_UNKNOWN);
    assert_int_equal(dscp, 0);
}

static void every_class_that_is_named_is_allowed(void **state)
{
    char names[128], *rest = names, *name;
    size_t count = 0;
    (void)state;
    assert_true(strlen(dscp_names()) < sizeof names);
    strcpy(names, dscp_names());
    while ((name = strtok_r(rest, ", ", &rest)) != NULL) {
        int dscp = -1;
        assert_int_equal(dscp_parse(name, &dscp), DSCP_KNOWN);
        assert_in_range(dscp, 0, 22);
        count++;
    }
    assert_int_equal(count, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_read),
        cmocka_unit_test(what_is_no_rate_is_refused),
        cmocka_unit_test(rates_in_words),
        cmocka_unit_test(classes_of_service),
        cmocka_unit_test(every_class_that_is_named_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
