/* Names are bytes: escaped and read back, every byte of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/bytes.h"
#include "agent/plan/backoff.h"

static void expect(const char *bytes, const char *escaped)
{
    char *is = bytes_escape(bytes);
    assert_string_equal(is, escaped);
    char *back = bytes_unescape(is);
    assert_string_equal(back, bytes);
    free(back);
    free(is);
}

static void shown(void **state)
{
    (void)state;
    expect("", "");
    expect("2026-11-23 call.wav", "2026-11-23 call.wav");
    expect("J\xc3\xbcrgen \xe2\x82\xac \xf0\x9f\x8e\xa7",
           "J\xc3\xbcrgen \xe2\x82\xac \xf0\x9f\x8e\xa7");
    expect("J\xfcrgen", "J\\xfcrgen");
    expect("a\\b", "a\\x5cb");
    expect("a\nb\tc\x7f", "a\\x0ab\\x09c\\x7f");
    expect("\x1b[2J", "\\x1b[2J");
    expect("\xc2\x9b", "\\xc2\\x9b"); /* C1: a terminal may obey it */
    expect("\xc2\xa0", "\xc2\xa0");
    expect("\"'", "\"'");
}

static void every_byte_comes_back(void **state)
{
    char all[256];
    (void)state;
    for (int i = 1; i < 256; i++)
        all[i - 1] = (char)i;
    all[255] = '\0';
    char *escaped = bytes_escape(all), *back = bytes_unescape(escaped);
    assert_string_equal(back, all);
    free(back);
    free(escaped);
}

static void expect_clean(const char *escaped)
{
    for (const char *at = escaped; *at != '\0'; at += bytes_utf8_length(at)) {
        assert_true(bytes_utf8_length(at) > 0);
        assert_true((unsigned char)*at >= 0x20 && *at != 0x7f);
        assert_false(at[0] == '\xc2' && (unsigned char)at[1] < 0xa0);
    }
}

static void any_bytes_come_back_and_are_shown_clean(void **state)
{
    /* what makes and breaks UTF-8 */
    static const unsigned char odd[] = {'a',  '\\', 'x',  '4',  0x01, 0x7f, 0x80, 0x9f, 0xa0, 0xbf,
                                        0xc2, 0xc3, 0xe0, 0xe2, 0xed, 0xf0, 0xf4, 0xf5, 0xff};
    uint64_t random = 9;
    (void)state;
    for (int i = 0; i < 200000; i++) {
        char bytes[9] = {0};
        size_t n = backoff_random(&random) % 9;
        for (size_t k = 0; k < n; k++)
            bytes[k] = (char)odd[backoff_random(&random) % sizeof odd];
        char *escaped = bytes_escape(bytes), *back = bytes_unescape(escaped);
        expect_clean(escaped);
        assert_string_equal(back, bytes);
        free(back);
        free(escaped);
    }
}

static void what_cannot_be_read_back(void **state)
{
    static const char *const bad[] = {"\\",  "a\\",  "\\x",   "\\x4",  "\\xg0", "\\x4g",
                                      "\\n", "\\\\", "\\X41", "\\x00", "a\\x0"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_null(bytes_unescape(bad[i]));
    char *upper = bytes_unescape("\\xFC\\xfC");
    assert_string_equal(upper, "\xfc\xfc");
    free(upper);
}

static void lengths_of_characters(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
    } cases[] = {
        {"", 0},
        {"a", 1},
        {"\x7f", 1},
        {"\x80", 0},
        {"\xbf", 0},
        {"\xc0\x80", 0}, /* overlong */
        {"\xc1\xbf", 0},
        {"\xc2\x80", 2},
        {"\xdf\xbf", 2},
        {"\xc2", 0},
        {"\xc2\x41", 0},
        {"\xe0\x80\x80", 0}, /* overlong */
        {"\xe0\x9f\xbf", 0},
        {"\xe0\xa0\x80", 3},
        {"\xed\x9f\xbf", 3},
        {"\xed\xa0\x80", 0}, /* a surrogate */
        {"\xed\xbf\xbf", 0},
        {"\xee\x80\x80", 3},
        {"\xef\xbf\xbf", 3},
        {"\xe2\x82", 0},
        {"\xf0\x8f\xbf\xbf", 0}, /* overlong */
        {"\xf0\x90\x80\x80", 4},
        {"\xf4\x8f\xbf\xbf", 4},
        {"\xf4\x90\x80\x80", 0}, /* beyond U+10FFFF */
        {"\xf5\x80\x80\x80", 0},
        {"\xf0\x9f\x8e", 0},
        {"\xff", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        /* in memory of its own: nothing is read beyond its end */
        char *bytes = strdup(cases[i].bytes);
        size_t length = bytes_utf8_length(bytes);
        if (length != cases[i].length)
            print_error("case %zu\n", i);
        assert_int_equal(length, cases[i].length);
        free(bytes);
    }
}

static void hex(void **state)
{
    uint8_t bytes[256], back[256];
    char text[513];
    (void)state;
    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    bytes_to_hex(bytes, 256, text);
    assert_int_equal(strlen(text), 512);
    assert_memory_equal(text, "000102", 6);
    assert_string_equal(text + 508, "feff");
    assert_true(bytes_from_hex(text, back, 256));
    assert_memory_equal(back, bytes, 256);
    assert_true(bytes_from_hex("aBcD", back, 2));
    assert_int_equal(back[0], 0xab);
    assert_true(bytes_from_hex("", back, 0));
    assert_false(bytes_from_hex("abc", back, 2));
    assert_false(bytes_from_hex("abcde", back, 2));
    assert_false(bytes_from_hex("abcg", back, 2));
    assert_false(bytes_from_hex("ab d", back, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shown),
        cmocka_unit_test(every_byte_comes_back),
        cmocka_unit_test(any_bytes_come_back_and_are_shown_clean),
        cmocka_unit_test(what_cannot_be_read_back),
        cmocka_unit_test(lengths_of_characters),
        cmocka_unit_test(hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
