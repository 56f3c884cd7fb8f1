#include "agent/bandwidth/bandwidth.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    uint64_t bits;
} units[] = {
    {"Gbit/s", 1000000000}, {"Mbit/s", 1000000}, {"kbit/s", 1000}, {"bit/s", 1},
    {"GB/s", 8000000000},   {"MB/s", 8000000},   {"kB/s", 8000},   {"B/s", 8},
};
enum { UNIT_COUNT = sizeof units / sizeof units[0], BIT_UNITS = 4 };

/* A terabit: more is a slip, and would not fit where thousandths are counted. */
static const uint64_t MOST_BITS = UINT64_C(1000000000000);

/* "8", "1.5", "0.125" as thousandths; *end is what follows. */
static bool parse_thousandths(const char *text, uint64_t *thousandths, const char **end)
{
    static const char digit[] = "0123456789";
    size_t whole = strspn(text, digit);
    if (whole == 0 || whole > 12)
        return false;
    *thousandths = strtoull(text, NULL, 10) * 1000;
    *end = text + whole;
    if (**end != '.')
        return true;
    size_t part = strspn(*end + 1, digit);
    if (part == 0 || part > 3)
        return false;
    uint64_t fraction = strtoull(*end + 1, NULL, 10);
    for (size_t i = part; i < 3; i++)
        fraction *= 10;
    *thousandths += fraction;
    *end += 1 + part;
    return true;
}

static bool parse_amount(const char *text, uint64_t *bytes_per_s)
{
    uint64_t thousandths, bits_1000;
    const char *unit;
    if (!parse_thousandths(text, &thousandths, &unit))
        return false;
    unit += *unit == ' ';
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        if (strcmp(unit, units[i].name) != 0)
            continue;
        if (__builtin_mul_overflow(thousandths, units[i].bits, &bits_1000) ||
            bits_1000 / 1000 > MOST_BITS)
            return false;
        *bytes_per_s = bits_1000 / 8000;
        return *bytes_per_s > 0 || bits_1000 == 0;
    }
    return false;
}

bool rate_parse(const char *text, struct rate *rate)
{
    uint64_t bytes_per_s = 0;
    if (strcmp(text, "unlimited") == 0) {
        *rate = (struct rate){.kind = RATE_UNLIMITED};
        return true;
    }
    if (strcmp(text, "auto") == 0) {
        *rate = (struct rate){.kind = RATE_AUTO};
        return true;
    }
    if (strcmp(text, "0") != 0 && !parse_amount(text, &bytes_per_s))
        return false;
    *rate = (struct rate){.kind = RATE_FIXED, .bytes_per_s = bytes_per_s};
    return true;
}

void rate_words(const struct rate *rate, char text[RATE_TEXT])
{
    uint64_t bits = rate->bytes_per_s * 8;
    size_t i = 0;
    if (rate->kind == RATE_AUTO) {
        snprintf(text, RATE_TEXT, "auto");
        return;
    }
    if (rate->kind == RATE_UNLIMITED || bits == 0) {
        snprintf(text, RATE_TEXT, "%s", rate->kind == RATE_UNLIMITED ? "unlimited" : "0");
        return;
    }
    while (i + 1 < BIT_UNITS && bits % units[i].bits != 0)
        i++;
    snprintf(text, RATE_TEXT, "%" PRIu64 " %s", bits / units[i].bits, units[i].name);
}

bool rate_is_none(const struct rate *rate)
{
    return rate->kind == RATE_FIXED && rate->bytes_per_s == 0;
}
