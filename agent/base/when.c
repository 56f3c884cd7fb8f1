#include "agent/base/when.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t clock_ms(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t when_now_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

int64_t when_steady_ms(void)
{
    return clock_ms(CLOCK_BOOTTIME);
}

static struct tm utc(int64_t ms)
{
    time_t seconds = (time_t)(ms >= 0 ? ms / 1000 : (ms - 999) / 1000);
    struct tm tm = {0};
    gmtime_r(&seconds, &tm);
    return tm;
}

void when_rfc3339(int64_t ms, char text[WHEN_TEXT])
{
    struct tm tm = utc(ms);
    strftime(text, WHEN_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void when_local(int64_t ms, char text[WHEN_TEXT])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm = {0};
    localtime_r(&seconds, &tm);
    strftime(text, WHEN_TEXT, "%Y-%m-%d %H:%M", &tm);
}

void when_compact(int64_t ms, char text[WHEN_TEXT])
{
    struct tm tm = utc(ms);
    strftime(text, WHEN_TEXT, "%Y%m%dT%H%M%SZ", &tm);
}

static const struct {
    const char *name;
    int64_t ms;
} units[] = {{"d", 86400000}, {"h", 3600000}, {"min", 60000}, {"s", 1000}, {"ms", 1}};
enum { UNIT_COUNT = sizeof units / sizeof units[0] };

void when_duration(int64_t ms, char text[WHEN_TEXT])
{
    size_t i = 0;
    while (i + 1 < UNIT_COUNT && (ms == 0 ? i < 3 : ms % units[i].ms != 0))
        i++;
    snprintf(text, WHEN_TEXT, "%" PRId64 "%s", ms / units[i].ms, units[i].name);
}

void when_about(int64_t ms, char text[WHEN_TEXT])
{
    if (ms < 0)
        ms = 0;
    if (ms < 60000)
        snprintf(text, WHEN_TEXT, "%" PRId64 "s", (ms + 500) / 1000);
    else if (ms < 3600000)
        snprintf(text, WHEN_TEXT, "%" PRId64 "min", (ms + 30000) / 60000);
    else if (ms < 86400000)
        snprintf(text, WHEN_TEXT, "%" PRId64 "h %" PRId64 "min", ms / 3600000,
                 ms % 3600000 / 60000);
    else
        snprintf(text, WHEN_TEXT, "%" PRId64 "d", ms / 86400000);
}

bool when_parse_duration(const char *text, bool bare_zero, int64_t *ms)
{
    if (bare_zero && strcmp(text, "0") == 0) {
        *ms = 0;
        return true;
    }
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 15)
        return false;
    int64_t count = strtoll(text, NULL, 10);
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        if (strcmp(text + digits, units[i].name) != 0)
            continue;
        return !__builtin_mul_overflow(count, units[i].ms, ms);
    }
    return false;
}

bool when_parse_date(const char *text, int64_t *ms)
{
    struct tm tm = {.tm_isdst = -1};
    if (strlen(text) != 10)
        return false;
    for (size_t i = 0; i < 10; i++) {
        bool dash = i == 4 || i == 7;
        if (dash ? text[i] != '-' : !isdigit((unsigned char)text[i]))
            return false;
    }
    int year = atoi(text), month = atoi(text + 5), day = atoi(text + 8);
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    tm.tm_mday = day;
    time_t midnight = mktime(&tm);
    /* mktime mends 30 February into 2 March: then it was no date */
    if (midnight == (time_t)-1 || tm.tm_mon != month - 1 || tm.tm_mday != day)
        return false;
    *ms = (int64_t)midnight * 1000;
    return true;
}
