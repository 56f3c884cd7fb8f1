#include "agent/base/bytes.h"

#include <string.h>

#include "agent/base/mem.h"

size_t bytes_utf8_length(const char *s)
{
    const unsigned char *u = (const unsigned char *)s;
    static const struct {
        unsigned char lead_from, lead_to, second_from, second_to;
        size_t length;
    } forms[] = {
        /* Unicode 15, table 3-7: well-formed byte sequences */
        {0x01, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (u[0] < forms[i].lead_from || u[0] > forms[i].lead_to)
            continue;
        if (forms[i].length > 1 && (u[1] < forms[i].second_from || u[1] > forms[i].second_to))
            return 0;
        for (size_t k = 2; k < forms[i].length; k++) {
            if (u[k] < 0x80 || u[k] > 0xbf)
                return 0;
        }
        return forms[i].length;
    }
    return 0;
}

/* C0, DEL and C1: a terminal may obey them. */
static bool is_control(const char *s, size_t length)
{
    const unsigned char *u = (const unsigned char *)s;
    return (length == 1 && (u[0] < 0x20 || u[0] == 0x7f)) ||
           (length == 2 && u[0] == 0xc2 && u[1] < 0xa0);
}

char *bytes_escape(const char *bytes)
{
    static const char digits[] = "0123456789abcdef";
    char *escaped = mem_zalloc(4 * strlen(bytes) + 1);
    char *to = escaped;
    while (*bytes != '\0') {
        size_t length = bytes_utf8_length(bytes);
        bool plain = length > 0 && *bytes != '\\' && !is_control(bytes, length);
        size_t take = length > 0 ? length : 1;
        for (size_t i = 0; i < take; i++, bytes++) {
            unsigned char byte = (unsigned char)*bytes;
            if (plain) {
                *to++ = *bytes;
                continue;
            }
            *to++ = '\\';
            *to++ = 'x';
            *to++ = digits[byte >> 4];
            *to++ = digits[byte & 15];
        }
    }
    return escaped;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

char *bytes_unescape(const char *escaped)
{
    char *bytes = mem_zalloc(strlen(escaped) + 1);
    char *to = bytes;
    while (*escaped != '\0') {
        if (*escaped != '\\') {
            *to++ = *escaped++;
            continue;
        }
        int high = escaped[1] == 'x' ? digit_value(escaped[2]) : -1;
        int low = high >= 0 ? digit_value(escaped[3]) : -1;
        if (low < 0 || (high == 0 && low == 0)) {
            mem_replace(&bytes, NULL);
            return NULL;
        }
        *to++ = (char)(high * 16 + low);
        escaped += 4;
    }
    return bytes;
}

void bytes_to_hex(const uint8_t *bytes, size_t n, char *hex)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * n] = '\0';
}

bool bytes_from_hex(const char *hex, uint8_t *bytes, size_t n)
{
    if (strlen(hex) != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int high = digit_value(hex[2 * i]);
        int low = digit_value(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}
