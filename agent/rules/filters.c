#include "agent/rules/filters.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/rules/fold.h"
#include "watcher/digest.h"

static char *digits_only(const char *value)
{
    char *digits = mem_zalloc(strlen(value) + 1);
    char *to = digits;
    for (; *value != '\0'; value++) {
        if (*value >= '0' && *value <= '9')
            *to++ = *value;
    }
    return digits;
}

/* Characters, not bytes; a byte that is no UTF-8 counts as one. */
static char *last_four(const char *value)
{
    const char *last[4] = {value, value, value, value};
    size_t seen = 0;
    for (const char *at = value; *at != '\0'; seen++) {
        last[seen % 4] = at;
        size_t length = bytes_utf8_length(at);
        at += length > 0 ? length : 1;
    }
    return mem_string(seen < 4 ? value : last[seen % 4]);
}

static char *sha8_of(const char *value)
{
    uint8_t sha256[32];
    char hex[65];
    int status = digest_of(value, strlen(value), sha256);
    assert(status == 0);
    (void)status;
    bytes_to_hex(sha256, sizeof sha256, hex);
    return mem_bytes_string(hex, 8);
}

static const struct {
    const char *name;
    char *(*apply)(const char *value);
} filters[] = {{"lower", fold_lower},
               {"upper", fold_upper},
               {"digits", digits_only},
               {"last4", last_four},
               {"sha8", sha8_of}};
enum { FILTER_COUNT = sizeof filters / sizeof filters[0] };

bool filter_exists(const char *name)
{
    for (size_t i = 0; i < FILTER_COUNT; i++) {
        if (strcmp(filters[i].name, name) == 0)
            return true;
    }
    return false;
}

char *filter_apply(const char *name, const char *value)
{
    for (size_t i = 0; i < FILTER_COUNT; i++) {
        if (strcmp(filters[i].name, name) == 0)
            return filters[i].apply(value);
    }
    assert(!"filter exists");
    return mem_string("");
}

const char *filter_names(void)
{
    return "lower upper digits last4 sha8";
}
