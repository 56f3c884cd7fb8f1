/* Durations, sizes, paths, URLs: what is taken, and what is not. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/config/config.h"
#include "agent/config/paths.h"
#include "agent/config/schema.h"
#include "agent/config/values.h"

static void expect_why(char *why, const char *word, const char *text)
{
    if (why == NULL || strstr(why, word) == NULL || strstr(why, "; allowed: ") == NULL)
        fail_msg("%s: \"%s\" does not hold \"%s\"", text, why != NULL ? why : "(taken)", word);
    free(why);
}

static void durations(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"1ms", 1},      {"2s", 2000},      {"5min", 300000},
                {"1h", 3600000}, {"7d", 604800000}, {"36500d", INT64_C(3153600000000)},
                {"007s", 7000}};
    static const char *const bad[] = {
        "",  "s",  "2",    "2 s", "-2s", "2m",     "2S",
        "0", "0s", "1.5s", "2ss", "+2s", "36501d", "99999999999999999d"};
    (void)state;
    int64_t ms = -1;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_null(value_duration(good[i].text, false, &ms));
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_why(value_duration(bad[i], false, &ms), bad[i], bad[i]);
    assert_null(value_duration("0", true, &ms));
    assert_int_equal(ms, 0);
    assert_null(value_duration("0s", true, &ms));
    assert_int_equal(ms, 0);
}

static void sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0}, {"44", 44}, {"10k", 10240}, {"3M", 3145728}, {"2G", UINT64_C(2147483648)}};
    static const char *const bad[] = {
        "", "k", "-1", "1K", "1m", "1kB", "1 k", "1T", "1.5k", "999999999999999G", "8589934592G"};
    (void)state;
    uint64_t bytes = 7;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_null(value_size(good[i].text, &bytes));
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_why(value_size(bad[i], &bytes), bad[i], bad[i]);
}

static void loads(void **state)
{
    static const struct {
        const char *text;
        int hundredths;
    } good[] = {{"0", 0},        {"4", 400},  {"0.9", 90},
                {"12.75", 1275}, {"0.05", 5}, {"999999", 99999900}};
    static const char *const bad[] = {"",   ".5",   "4.",  "-1",     "1.234",
                                      "4x", "4.5x", "1e3", "1000000"};
    (void)state;
    int hundredths = -1;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_null(value_load(good[i].text, &hundredths));
        assert_int_equal(hundredths, good[i].hundredths);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_why(value_load(bad[i], &hundredths), bad[i], bad[i]);
}

static void paths(void **state)
{
    static const char *const good[][2] = {{"/", "/"},
                                          {"//", "/"},
                                          {"/a", "/a"},
                                          {"/a/", "/a"},
                                          {"//a///b//", "/a/b"},
                                          {"/a/./b/.", "/a/b"},
                                          {"/a/..b/c..", "/a/..b/c.."},
                                          {"/.a", "/.a"}};
    static const char *const bad[] = {"", "a", "./a", "~/a", "/a/../b", "/..", "/a/.."};
    (void)state;
    char *path = NULL;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_null(value_path(good[i][0], &path));
        assert_string_equal(path, good[i][1]);
        free(path);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_why(value_path(bad[i], &path), bad[i], bad[i]);
}

static void urls(void **state)
{
    static const char *const good[][2] = {
        {"https://chorus.ai", "https://chorus.ai"},
        {"https://chorus.ai/", "https://chorus.ai"},
        {"https://chorus.ai:8443", "https://chorus.ai:8443"},
        {"https://10.1.2.3", "https://10.1.2.3"},
        {"https://[2001:db8::1]:443", "https://[2001:db8::1]:443"},
        {"http://localhost:8080", "http://localhost:8080"},
        {"http://127.0.0.1:1", "http://127.0.0.1:1"},
        {"http://127.9.9.9", "http://127.9.9.9"},
        {"http://[::1]:8080/", "http://[::1]:8080"},
    };
    static const char *const bad[][2] = {
        {"", "no https URL"},
        {"chorus.ai", "no https URL"},
        {"ftp://chorus.ai", "no https URL"},
        {"https://", "without a proper host"},
        {"https:///", "path"},
        {"https://user@chorus.ai", "user"},
        {"https://u:p@chorus.ai", "user"},
        {"https://chorus.ai/api", "path or a query"},
        {"https://chorus.ai?x=1", "path or a query"},
        {"https://chorus.ai#x", "path or a query"},
        {"https://chorus.ai:0", "proper port"},
        {"https://chorus.ai:65536", "proper port"},
        {"https://chorus.ai:", "proper port"},
        {"https://chorus ai", "proper host"},
        {"https://[::1", "proper host"},
        {"https://[::1]x", "proper host"},
        {"https://[1.2.3.4]", "proper host"},
        {"http://chorus.ai", "not encrypted"},
        {"http://127.0.0.1.example.com", "not encrypted"},
        {"http://128.0.0.1", "not encrypted"},
        {"http://[::2]", "not encrypted"},
        {"http://localhost.example.com", "not encrypted"},
    };
    (void)state;
    char *url = NULL;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_null(value_url(good[i][0], &url));
        assert_string_equal(url, good[i][1]);
        free(url);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_why(value_url(bad[i][0], &url), bad[i][1], bad[i][0]);
}

static void words(void **state)
{
    (void)state;
    bool truth = false;
    int index = -1;
    int64_t number = 0, ms = 0;
    enum since_kind kind = SINCE_START;
    assert_null(value_bool("true", &truth));
    assert_true(truth);
    expect_why(value_bool("True", &truth), "true or false", "True");
    assert_null(value_choice("warning", "error, warning, info", &index));
    assert_int_equal(index, 1);
    expect_why(value_choice("warn", "error, warning, info", &index), "error, warning", "warn");
    expect_why(value_choice("", "error, warning, info", &index), "error, warning", "");
    assert_null(value_number("64", 1, 64, &number));
    assert_int_equal(number, 64);
    expect_why(value_number("65", 1, 64, &number), "out of range", "65");
    expect_why(value_number("6x", 1, 64, &number), "no number", "6x");
    expect_why(value_number("", 0, 64, &number), "no number", "");
    assert_null(value_since("2026-11-23", &kind, &ms));
    assert_int_equal(kind, SINCE_DATE);
    assert_true(ms > 0);
    assert_null(value_since("all", &kind, &ms));
    assert_int_equal(kind, SINCE_ALL);
    expect_why(value_since("2026-13-01", &kind, &ms), "a date such as", "2026-13-01");
    assert_null(value_name("a-b_C9"));
    expect_why(value_name(""), "letters", "");
    expect_why(value_name("a.b"), "letters", "a.b");
    expect_why(value_name("a\nb"), "a\\x0ab", "newline");
}

static void folders(void **state)
{
    (void)state;
    assert_true(path_is_within("/a/b", "/a"));
    assert_true(path_is_within("/a", "/a"));
    assert_true(path_is_within("/a", "/"));
    assert_false(path_is_within("/ab", "/a"));
    assert_false(path_is_within("/a", "/a/b"));
    assert_int_equal(path_root_length("/"), 0);
    assert_int_equal(path_root_length("/a"), 2);
}

static void every_key_has_help(void **state)
{
    (void)state;
    size_t count = config_key_count();
    assert_true(count > 40);
    for (size_t i = 0; i < count; i++) {
        struct config_key_help help = config_key_at(i);
        assert_true(strlen(help.help) > 5);
        assert_true(strlen(help.type) > 3);
        assert_non_null(help.default_text);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(config_key_at(k).key, help.key);
    }
    assert_string_equal(config_key_at(0).key, "state_dir");
    assert_string_equal(config_key_at(count).key, "");
}

static void slips(void **state)
{
    (void)state;
    assert_string_equal(schema_nearest(IN_WATCH, "setle"), "settle");
    assert_string_equal(schema_nearest(IN_WATCH, "rsecan"), "rescan");
    assert_string_equal(schema_nearest(IN_WATCH, "includes"), "include");
    assert_null(schema_nearest(IN_WATCH, "volume"));
    assert_null(schema_nearest(IN_WATCH, ""));
    assert_null(schema_nearest(IN_TOP, "a-key-that-is-longer-than-any-key-of-ours"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations), cmocka_unit_test(sizes), cmocka_unit_test(loads),
        cmocka_unit_test(paths),     cmocka_unit_test(urls),  cmocka_unit_test(words),
        cmocka_unit_test(folders),   cmocka_unit_test(slips), cmocka_unit_test(every_key_has_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
