/*
 * Which window is in force, and until when. The local clock alone decides: nothing is computed with
 * days of 24 hours, so the days on which it is put forward or back need no rule of their own.
 */
#include <strings.h>
#include <time.h>

#include "agent/bandwidth/bandwidth.h"

/* Windows repeat by the week; the clock may be put forward or back meanwhile. */
enum { LOOK_AHEAD_S = 9 * 86400, MINUTES_A_DAY = 1440 };

/* --- the local clock --- */

static struct tm local(time_t at)
{
    struct tm tm = {0};
    localtime_r(&at, &tm);
    return tm;
}

static int minute_of(const struct tm *tm)
{
    return tm->tm_hour * 60 + tm->tm_min;
}

/* The first second after `from` and not after `to` at which the clock has been put forward or back;
 * between them that happens once. */
static time_t clock_change(time_t from, time_t to)
{
    long before = local(from).tm_gmtoff;
    while (to - from > 1) {
        time_t middle = from + (to - from) / 2;
        if (local(middle).tm_gmtoff == before)
            from = middle;
        else
            to = middle;
    }
    return to;
}

/* --- windows --- */

static bool is_in(const struct bandwidth_window *window, const struct tm *tm)
{
    int minute = minute_of(tm);
    bool today = (window->days >> tm->tm_wday & 1) != 0;
    bool yesterday = (window->days >> (tm->tm_wday + 6) % 7 & 1) != 0;
    if (window->from < window->to)
        return today && minute >= window->from && minute < window->to;
    return (today && minute >= window->from) || (yesterday && minute < window->to);
}

static bool is_lower(const struct rate *rate, const struct rate *than)
{
    static const int order[] = {[RATE_FIXED] = 0, [RATE_AUTO] = 1, [RATE_UNLIMITED] = 2};
    if (rate->kind != than->kind)
        return order[rate->kind] < order[than->kind];
    return rate->bytes_per_s < than->bytes_per_s;
}

static const struct bandwidth_window *window_at(const struct bandwidth *bandwidth, time_t at)
{
    const struct bandwidth_window *lowest = NULL;
    struct tm tm = local(at);
    for (size_t i = 0; i < bandwidth->window_count; i++) {
        const struct bandwidth_window *window = &bandwidth->windows[i];
        if (is_in(window, &tm) && (lowest == NULL || is_lower(&window->rate, &lowest->rate)))
            lowest = window;
    }
    return lowest;
}

static void take_sooner(int *wait, int minute, int edge)
{
    if (edge > minute && edge - minute < *wait)
        *wait = edge - minute;
}

/* When something may begin or end next: at an edge, at midnight, or where the clock is changed. */
static time_t next_moment(const struct bandwidth *bandwidth, time_t at)
{
    struct tm tm = local(at);
    int minute = minute_of(&tm), wait = MINUTES_A_DAY - minute;
    for (size_t i = 0; i < bandwidth->window_count; i++) {
        take_sooner(&wait, minute, bandwidth->windows[i].from);
        take_sooner(&wait, minute, bandwidth->windows[i].to);
    }
    time_t next = at - tm.tm_sec + (time_t)wait * 60;
    return local(next).tm_gmtoff == tm.tm_gmtoff ? next : clock_change(at, next);
}

struct bandwidth_now bandwidth_in_force(const struct bandwidth *bandwidth, int64_t now_ms)
{
    tzset(); /* somebody may have set another time zone */
    time_t now = (time_t)(now_ms / 1000), at = now;
    const struct bandwidth_window *window = window_at(bandwidth, now);
    struct bandwidth_now in_force = {
        .rate = window != NULL ? window->rate : bandwidth->rate,
        .window = window,
    };
    while (bandwidth->window_count > 0 && at < now + LOOK_AHEAD_S) {
        at = next_moment(bandwidth, at);
        if (window_at(bandwidth, at) != window) {
            in_force.until_ms = (int64_t)at * 1000;
            break;
        }
    }
    return in_force;
}

void bandwidth_when_busy(const struct bandwidth *bandwidth, const char *words,
                         struct bandwidth_now *now)
{
    if (!is_lower(&bandwidth->busy_rate, &now->rate))
        return;
    now->rate = bandwidth->busy_rate;
    now->busy = words;
}

/* --- texts --- */

static bool day_parse(const char **at, int *day)
{
    static const char *const names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
    for (int i = 0; i < 7; i++) {
        if (strncasecmp(*at, names[i], 3) != 0)
            continue;
        *day = i;
        *at += 3;
        return true;
    }
    return false;
}

bool days_parse(const char *text, unsigned *days)
{
    unsigned read = 0;
    for (const char *at = text;; at++) {
        int first, last;
        while (*at == ' ')
            at++;
        if (!day_parse(&at, &first))
            return false;
        last = first;
        if (*at == '-' && (at++, !day_parse(&at, &last)))
            return false;
        read |= 1u << last;
        for (int day = first; day != last; day = (day + 1) % 7)
            read |= 1u << day;
        if (*at == '\0') {
            *days = read;
            return true;
        }
        if (*at != ',')
            return false;
    }
}

static bool is_digit(char letter)
{
    return letter >= '0' && letter <= '9';
}

bool clock_parse(const char *text, int *minutes)
{
    int hour = 0, digits = 0;
    for (; digits < 2 && is_digit(text[digits]); digits++)
        hour = hour * 10 + text[digits] - '0';
    const char *rest = text + digits;
    if (digits == 0 || rest[0] != ':' || !is_digit(rest[1]) || !is_digit(rest[2]) ||
        rest[3] != '\0' || rest[1] > '5')
        return false;
    int read = hour * 60 + (rest[1] - '0') * 10 + rest[2] - '0';
    if (read > MINUTES_A_DAY)
        return false;
    *minutes = read;
    return true;
}
