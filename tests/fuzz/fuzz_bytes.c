/* Names as bytes: escapes there and back, hex, letters' case, filters, globs, addresses. The first
 * line is a glob, the rest the name. */
#include <string.h>

#include "agent/base/bytes.h"
#include "agent/rules/email.h"
#include "agent/rules/filters.h"
#include "agent/rules/fold.h"
#include "fuzz.h"
#include "watcher/names.h"

static void escape(const char *text)
{
    char *escaped = bytes_escape(text);
    MUST(fuzz_is_showable(escaped));
    char *back = bytes_unescape(escaped);
    MUST(back != NULL && strcmp(back, text) == 0);
    free(back);
    free(escaped);
    /* and what somebody typed */
    char *typed = bytes_unescape(text);
    MUST(typed == NULL || strlen(typed) <= strlen(text));
    free(typed);
}

static void write_hex(const char *text)
{
    size_t n = strlen(text);
    char *hex = malloc(2 * n + 1);
    uint8_t *back = malloc(n + 1);
    MUST(hex != NULL && back != NULL);
    bytes_to_hex((const uint8_t *)text, n, hex);
    MUST(bytes_from_hex(hex, back, n) && memcmp(back, text, n) == 0);
    bytes_from_hex(text, back, n / 2);
    free(back);
    free(hex);
}

static void fold(const char *text)
{
    char *lower = fold_lower(text), *again = fold_lower(lower), *upper = fold_upper(text);
    MUST(strcmp(lower, again) == 0);
    free(upper);
    free(again);
    free(lower);
}

static void filter(const char *text)
{
    static const char *const filters[] = {"lower", "upper", "digits", "last4", "sha8"};
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        MUST(filter_exists(filters[i]));
        char *value = filter_apply(filters[i], text);
        MUST(value != NULL);
        free(value);
    }
}

static void look_at_address(const char *text)
{
    if (!email_is_valid(text))
        return;
    const char *at = strchr(text, '@');
    MUST(strlen(text) <= 254 && at != NULL && strchr(at + 1, '@') == NULL);
    MUST(at > text && at - text <= 64 && strchr(at, '.') != NULL);
    for (; *text != '\0'; text++)
        MUST(*text > 0x20 && *text < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input input = {data, n};
    char *glob = fuzz_line(&input), *text = fuzz_text(&input);
    escape(text);
    write_hex(text);
    fold(text);
    filter(text);
    look_at_address(text);
    names_match(glob, text);
    MUST(strchr(text, '/') != NULL || names_match("*", text));
    names_sign(names_base(text));
    names_unsupported(names_base(text));
    free(text);
    free(glob);
    return 0;
}
