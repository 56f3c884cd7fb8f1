#include "uploader/retry_after.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* Own readers, for strptime follows the locale. */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_blanks(const char *at)
{
    while (*at == ' ' || *at == '\t')
        at++;
    return at;
}

/* Exactly `digits` digits. */
static bool read_number(const char **at, int digits, int *out)
{
    int value = 0;
    for (int i = 0; i < digits; i++) {
        if (!is_digit((*at)[i]))
            return false;
        value = value * 10 + ((*at)[i] - '0');
    }
    *at += digits;
    *out = value;
    return true;
}

static bool read_char(const char **at, char c)
{
    if (**at != c)
        return false;
    (*at)++;
    return true;
}

static bool read_month(const char **at, int *out)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int i = 0; i < 12; i++) {
        if (strncasecmp(*at, names + (ptrdiff_t)3 * i, 3) == 0) {
            *at += 3;
            *out = i;
            return true;
        }
    }
    return false;
}

static bool read_clock(const char **at, struct tm *tm)
{
    return read_number(at, 2, &tm->tm_hour) && read_char(at, ':') &&
           read_number(at, 2, &tm->tm_min) && read_char(at, ':') && read_number(at, 2, &tm->tm_sec);
}

static bool read_zone(const char **at)
{
    if (strncmp(*at, " GMT", 4) != 0 && strncmp(*at, " UTC", 4) != 0)
        return false;
    *at += 4;
    return true;
}

/* 06 Nov 1994 08:49:37 GMT, or 06-Nov-94 08:49:37 GMT */
static bool read_day_first(const char **at, struct tm *tm)
{
    if (!read_number(at, 2, &tm->tm_mday))
        return false;
    char between = **at;
    if ((between != ' ' && between != '-') || !read_char(at, between) ||
        !read_month(at, &tm->tm_mon) || !read_char(at, between))
        return false;
    int year = 0;
    if (read_number(at, 4, &year))
        tm->tm_year = year - 1900;
    else if (read_number(at, 2, &year))
        tm->tm_year = year < 70 ? year + 100 : year;
    else
        return false;
    return read_char(at, ' ') && read_clock(at, tm) && read_zone(at);
}

/* Nov  6 08:49:37 1994 */
static bool read_month_first(const char **at, struct tm *tm)
{
    int year = 0;
    if (!read_month(at, &tm->tm_mon) || !read_char(at, ' '))
        return false;
    if (!(read_char(at, ' ') ? read_number(at, 1, &tm->tm_mday) : read_number(at, 2, &tm->tm_mday)))
        return false;
    if (!read_char(at, ' ') || !read_clock(at, tm) || !read_char(at, ' ') ||
        !read_number(at, 4, &year))
        return false;
    tm->tm_year = year - 1900;
    return true;
}

static bool in_range(const struct tm *tm)
{
    return tm->tm_mday >= 1 && tm->tm_mday <= 31 && tm->tm_hour <= 23 && tm->tm_min <= 59 &&
           tm->tm_sec <= 60;
}

bool http_date_read(const char *text, int64_t *out_s)
{
    struct tm tm = {0};
    const char *at = skip_blanks(text);
    while ((*at >= 'A' && *at <= 'Z') || (*at >= 'a' && *at <= 'z'))
        at++;
    bool comma = *at == ',';
    if (comma)
        at++;
    if (!read_char(&at, ' ') || !(comma ? read_day_first(&at, &tm) : read_month_first(&at, &tm)))
        return false;
    if (*skip_blanks(at) != '\0' || !in_range(&tm))
        return false;
    *out_s = (int64_t)timegm(&tm);
    return true;
}

static int64_t ms_of(int64_t seconds)
{
    return seconds > INT64_MAX / 1000 ? INT64_MAX : seconds * 1000;
}

int64_t retry_after_ms(const char *value, int64_t now_s)
{
    int64_t seconds = 0;
    const char *at = skip_blanks(value);
    if (!is_digit(*at)) {
        if (!http_date_read(at, &seconds))
            return -1;
        return seconds > now_s ? ms_of(seconds - now_s) : 0;
    }
    for (; is_digit(*at); at++)
        seconds = seconds > INT64_MAX / 100 ? INT64_MAX / 10 : seconds * 10 + (*at - '0');
    return *skip_blanks(at) == '\0' ? ms_of(seconds) : -1;
}
