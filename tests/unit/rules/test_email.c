/* What is taken for an e-mail address: an owner that is none holds a recording. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/rules/email.h"

static void addresses(void **state)
{
    static const char *const good[] = {
        "ann@example.com",
        "a@b.de",
        "Ann.Lee@Example.COM",
        "ann+calls@sub.example.co.uk",
        "o'neil@example.com",
        "a_b-c=d@example.com",
        "1@2.example",
        "x@xn--bcher-kva.example",
        "a@b-c.d1",
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (!email_is_valid(good[i]))
            fail_msg("not taken: %s", good[i]);
    }
}

static void no_addresses(void **state)
{
    static const char *const bad[] = {
        "",
        "ann",
        "@example.com",
        "ann@",
        "ann@example",
        "ann@@example.com",
        "ann@b@example.com",
        ".ann@example.com",
        "ann.@example.com",
        "a..n@example.com",
        "an n@example.com",
        " ann@example.com",
        "ann@example.com ",
        "ann@example.com\n",
        "ann@example.com\r\nX: y",
        "ann@.example.com",
        "ann@example.com.",
        "ann@example..com",
        "ann@-example.com",
        "ann@example-.com",
        "ann@exa_mple.com",
        "ann@192.168.0.1",
        "ann@[192.168.0.1]",
        "\"ann\"@example.com",
        "ann(x)@example.com",
        "ann,bob@example.com",
        "Ann <ann@example.com>",
        "\xc3\xa4nn@example.com",
        "ann@ex\xc3\xa4mple.com",
        "ann@example.com,bob@example.com",
        "ann\\x20@example.com",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (email_is_valid(bad[i]))
            fail_msg("taken: %s", bad[i]);
    }
}

/* `local` letters, @, a label of `label` letters, and ".de". */
static bool sized(size_t local, size_t label)
{
    char text[512];
    memset(text, 'a', sizeof text);
    text[local] = '@';
    memcpy(text + local + 1 + label, ".de", 4);
    return email_is_valid(text);
}

static void lengths(void **state)
{
    (void)state;
    assert_true(sized(64, 63));
    assert_false(sized(65, 63));
    assert_false(sized(64, 64));
    char text[512] = "a@";
    while (strlen(text) < 250)
        strcat(text, "bbbbbbb.");
    strcat(text, "de");
    assert_int_equal(strlen(text), 252);
    assert_true(email_is_valid(text));
    strcat(text, "de");
    assert_true(email_is_valid(text));
    strcat(text, "d");
    assert_false(email_is_valid(text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(no_addresses),
        cmocka_unit_test(lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
