#include "uploader/line.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char cut_mark[] = "...";

void line_init(struct line *line)
{
    line->text[0] = '\0';
    line->used = 0;
    line->full = false;
}

static void put(struct line *line, const char *bytes, size_t n)
{
    if (line->full)
        return;
    if (line->used + n + sizeof(cut_mark) > sizeof(line->text)) {
        bytes = cut_mark;
        n = sizeof(cut_mark) - 1;
        line->full = true;
    }
    memcpy(line->text + line->used, bytes, n);
    line->used += n;
    line->text[line->used] = '\0';
}

/* Length of the character at `s`, 0 if it is not well-formed UTF-8 (RFC 3629). */
static size_t character(const unsigned char *s, size_t n, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (length == 0 || s[0] > 0xf4 || length > n)
        return 0;
    *code = length == 1 ? s[0] : s[0] & (0xffU >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (s[i] & 0x3f);
    }
    if (*code < least[length] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff))
        return 0;
    return length;
}

/* Shown as it is? Direction marks would let an answer write over its own log line. */
static bool harmless(uint32_t code)
{
    return code >= 0x20 && !(code >= 0x7f && code <= 0x9f) && code != 0x2028 && code != 0x2029 &&
           !(code >= 0x202a && code <= 0x202e) && !(code >= 0x2066 && code <= 0x2069);
}

void line_add_bytes(struct line *line, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n && !line->full;) {
        uint32_t code = 0;
        const unsigned char *at = (const unsigned char *)bytes + i;
        size_t length = character(at, n - i, &code);
        if (length > 0 && harmless(code)) {
            put(line, bytes + i, length);
            i += length;
            continue;
        }
        for (size_t end = i + (length > 0 ? length : 1); i < end; i++) {
            char escape[5];
            snprintf(escape, sizeof(escape), "\\x%02X", (unsigned)(unsigned char)bytes[i]);
            put(line, escape, 4);
        }
    }
}

void line_add(struct line *line, const char *text)
{
    line_add_bytes(line, text, strlen(text));
}

/* Writes the mask over `length` bytes at `at`, which are no fewer than its own. */
static char *mask(char *at, size_t length)
{
    static const char stars[] = "***";
    const char *rest = at + length;
    memcpy(at, stars, sizeof(stars) - 1);
    at += sizeof(stars) - 1;
    memmove(at, rest, strlen(rest) + 1);
    return at;
}

/* The line was cut inside the secret: its beginning stands before the mark. */
static void hide_cut(struct line *line, const char *secret, size_t length)
{
    size_t end = line->used - (sizeof(cut_mark) - 1);
    for (size_t n = length < end ? length : end; n >= LINE_SECRET_MIN; n--) {
        if (memcmp(line->text + end - n, secret, n) == 0) {
            mask(line->text + end - n, n);
            break;
        }
    }
}

void line_hide(struct line *line, const char *secret)
{
    size_t length = strlen(secret);
    char *at = line->text;
    if (length < LINE_SECRET_MIN)
        return;
    while ((at = strstr(at, secret)) != NULL)
        at = mask(at, length);
    line->used = strlen(line->text);
    if (line->used >= sizeof(cut_mark) &&
        strcmp(line->text + line->used - (sizeof(cut_mark) - 1), cut_mark) == 0)
        hide_cut(line, secret, length);
    line->used = strlen(line->text);
}
