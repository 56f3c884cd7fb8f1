#include "agent/config/values.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/base/when.h"

#define DIGITS "0123456789"
#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS

/* 100 years: more would not fit where nanoseconds are counted. */
static const int64_t DURATION_MAX_MS = (int64_t)36500 * 24 * 3600 * 1000;
enum { NAME_MAX_LENGTH = 64 };

/* "\"TEXT\" is WHAT; allowed: ALLOWED", the text escaped and not endless. */
static char *complain(const char *text, const char *what, const char *allowed)
{
    char *shown = bytes_escape(text);
    char *words = strlen(shown) > 200
                      ? mem_printf("\"%.200s...\" is %s; allowed: %s", shown, what, allowed)
                      : mem_printf("\"%s\" is %s; allowed: %s", shown, what, allowed);
    free(shown);
    return words;
}

char *value_duration(const char *text, bool zero_allowed, int64_t *ms)
{
    int64_t read;
    if (!when_parse_duration(text, zero_allowed, &read))
        return complain(text, "no duration",
                        zero_allowed ? "0, or a number with ms, s, min, h or d, such as 2s"
                                     : "a number with ms, s, min, h or d, such as 2s");
    if (read == 0 && !zero_allowed)
        return complain(text, "too short", "at least 1ms");
    if (read > DURATION_MAX_MS)
        return complain(text, "too long", "at most 36500d");
    *ms = read;
    return NULL;
}

char *value_size(const char *text, uint64_t *bytes)
{
    static const char units[] = "kMG";
    static const char allowed[] = "bytes, or a number with k, M or G, such as 10k";
    size_t digits = strspn(text, DIGITS);
    const char *unit = text[digits] != '\0' ? strchr(units, text[digits]) : NULL;
    if (digits == 0 || digits > 15 || (text[digits] != '\0' && (unit == NULL || text[digits + 1])))
        return complain(text, "no size", allowed);
    uint64_t count = strtoull(text, NULL, 10);
    uint64_t factor = unit == NULL ? 1 : (uint64_t)1024 << (10 * (unit - units));
    uint64_t product;
    if (__builtin_mul_overflow(count, factor, &product) || product > INT64_MAX)
        return complain(text, "too large", allowed);
    *bytes = product;
    return NULL;
}

char *value_number(const char *text, int64_t min, int64_t max, int64_t *number)
{
    size_t digits = strspn(text, DIGITS);
    int64_t read = digits > 0 && digits <= 18 ? strtoll(text, NULL, 10) : -1;
    if (text[digits] == '\0' && read >= min && read <= max) {
        *number = read;
        return NULL;
    }
    char *allowed = mem_printf("%" PRId64 " to %" PRId64, min, max);
    bool is_number = digits > 0 && text[digits] == '\0';
    char *words = complain(text, is_number ? "out of range" : "no number", allowed);
    free(allowed);
    return words;
}

char *value_load(const char *text, int *hundredths)
{
    size_t whole = strspn(text, DIGITS), part = 0;
    const char *point = text + whole;
    if (*point == '.')
        part = strspn(point + 1, DIGITS);
    bool ends = point[part > 0 ? part + 1 : 0] == '\0';
    if (whole == 0 || whole > 6 || part > 2 || !ends)
        return complain(text, "no load", "0 (off), or a load average such as 4 or 0.9");
    int tenths = part > 0 ? point[1] - '0' : 0, rest = part > 1 ? point[2] - '0' : 0;
    *hundredths = (int)strtol(text, NULL, 10) * 100 + tenths * 10 + rest;
    return NULL;
}

char *value_bool(const char *text, bool *truth)
{
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return complain(text, "neither true nor false", "true or false");
    *truth = strcmp(text, "true") == 0;
    return NULL;
}

char *value_choice(const char *text, const char *choices, int *index)
{
    size_t length = strlen(text);
    int i = 0;
    for (const char *choice = choices; choice != NULL; i++) {
        const char *comma = strchr(choice, ',');
        size_t n = comma == NULL ? strlen(choice) : (size_t)(comma - choice);
        if (n == length && memcmp(choice, text, n) == 0) {
            *index = i;
            return NULL;
        }
        choice = comma == NULL ? NULL : comma + 2;
    }
    return complain(text, "no choice", choices);
}

char *value_since(const char *text, enum since_kind *kind, int64_t *ms)
{
    int64_t midnight = 0;
    if (strcmp(text, "start") == 0)
        *kind = SINCE_START;
    else if (strcmp(text, "all") == 0)
        *kind = SINCE_ALL;
    else if (when_parse_date(text, &midnight))
        *kind = SINCE_DATE;
    else
        return complain(text, "neither a word nor a date",
                        "start, all, or a date such as 2026-11-23");
    *ms = midnight;
    return NULL;
}

/* Whether a part of the path is "..": where it leads depends on links. */
static bool goes_up(const char *path)
{
    for (const char *at = path; (at = strstr(at, "/..")) != NULL; at += 3) {
        if (at[3] == '/' || at[3] == '\0')
            return true;
    }
    return false;
}

char *value_path(const char *text, char **path)
{
    if (*text != '/')
        return complain(text, "no absolute path", "a path that begins with /");
    if (goes_up(text))
        return complain(text, "a path with .. in it", "the path written out");
    char *normal = mem_zalloc(strlen(text) + 1);
    char *to = normal;
    for (const char *at = text; *at != '\0';) {
        size_t length = strcspn(at + 1, "/");
        bool nothing = length == 0 || (length == 1 && at[1] == '.');
        if (!nothing) {
            memcpy(to, at, length + 1);
            to += length + 1;
        }
        at += length + 1;
    }
    if (to == normal)
        *to = '/';
    *path = normal;
    return NULL;
}

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (strcasecmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static bool port_is_valid(const char *port)
{
    size_t digits = strspn(port, DIGITS);
    long number = digits > 0 && digits <= 5 ? strtol(port, NULL, 10) : 0;
    return port[digits] == '\0' && number >= 1 && number <= 65535;
}

/* Cuts host[:port] or [v6][:port] in two at its colon; *port is NULL where there is none. */
static bool split_authority(char *authority, char **host, char **port)
{
    *host = authority;
    char *end = authority + strcspn(authority, ":");
    if (*authority == '[') {
        struct in6_addr v6;
        *host = authority + 1;
        end = strchr(authority, ']');
        if (end == NULL)
            return false;
        *end++ = '\0';
        if (inet_pton(AF_INET6, *host, &v6) != 1)
            return false;
    } else if (end == authority || strspn(authority, ALNUM ".-_") != (size_t)(end - authority)) {
        return false;
    }
    *port = *end == ':' ? end + 1 : NULL;
    bool good = *end == ':' || *end == '\0';
    *end = '\0';
    return good;
}

/* What is wrong with scheme://authority, static, or NULL. `authority` is cut up. */
static const char *judge_url(bool https, char *authority)
{
    char *host, *port;
    if (strchr(authority, '@') != NULL)
        return "a URL with a user in it";
    if (strpbrk(authority, "/?#") != NULL)
        return "a URL with a path or a query";
    if (!split_authority(authority, &host, &port))
        return "a URL without a proper host";
    if (port != NULL && !port_is_valid(port))
        return "a URL without a proper port";
    if (!https && !is_loopback(host))
        return "not encrypted";
    return NULL;
}

char *value_url(const char *text, char **url)
{
    static const char allowed[] =
        "https://HOST or https://HOST:PORT; http:// only for localhost, 127.0.0.1 or [::1]";
    bool https = strncmp(text, "https://", 8) == 0;
    if (!https && strncmp(text, "http://", 7) != 0)
        return complain(text, "no https URL", allowed);
    char *whole = mem_string(text);
    size_t length = strlen(whole);
    if (whole[length - 1] == '/' && whole[length - 2] != '/')
        whole[length - 1] = '\0';
    char *authority = mem_string(strstr(whole, "://") + 3);
    const char *what = judge_url(https, authority);
    free(authority);
    if (what != NULL) {
        free(whole);
        return complain(text, what, allowed);
    }
    *url = whole;
    return NULL;
}

char *value_rate(const char *text, struct rate *rate)
{
    if (rate_parse(text, rate))
        return NULL;
    return complain(text, "no rate",
                    "a number with its unit (" RATE_UNITS "), such as 8 Mbit/s; 0: nothing leaves; "
                    "auto; unlimited");
}

char *value_ceiling(const char *text, struct rate *rate)
{
    if (rate_parse(text, rate) && rate->kind != RATE_AUTO && !rate_is_none(rate))
        return NULL;
    return complain(text, "no ceiling",
                    "a number with its unit (" RATE_UNITS "), such as 8 Mbit/s; unlimited");
}

char *value_days(const char *text, unsigned *days)
{
    if (days_parse(text, days))
        return NULL;
    return complain(text, "no days", "mon tue wed thu fri sat sun, mon-fri, \"sat,sun\"");
}

char *value_clock(const char *text, int most, int *minutes)
{
    int read;
    if (!clock_parse(text, &read) || read > most)
        return complain(text, "no time of the day",
                        most < 1440 ? "00:00 to 23:59" : "00:00 to 24:00");
    *minutes = read;
    return NULL;
}

char *value_dscp(const char *text, int *dscp)
{
    enum dscp_answer answer = dscp_parse(text, dscp);
    if (answer == DSCP_KNOWN)
        return NULL;
    return complain(text,
                    answer == DSCP_FOR_CALLS
                        ? "a class meant for calls, their signalling or routing: uploads must not "
                          "travel in it"
                        : "no class of service",
                    dscp_names());
}

char *value_name(const char *text)
{
    size_t length = strlen(text);
    if (length > 0 && length <= NAME_MAX_LENGTH && strspn(text, ALNUM "-_") == length)
        return NULL;
    return complain(text, "no name", "1 to 64 letters, digits, - and _");
}
