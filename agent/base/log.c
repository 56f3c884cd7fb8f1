#include "agent/base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/base/when.h"

enum {
    MOST_TROUBLES = 64,
    TROUBLE_EVERY_MS = 60000,
    /* The longest path, each of its bytes escaped; a longer value is cut. */
    MOST_VALUE = 4 * 4096,
    /* Room for that, quoted, and all that stands beside it; a pair that does not fit is left out,
     * so that the line is whole whatever is in it. */
    LINE = 4 * MOST_VALUE,
};

static enum log_level threshold = LOG_INFO;
static bool as_json;

static struct trouble {
    uint64_t key;
    int64_t told_ms; /* steady */
    unsigned long untold;
} troubles[MOST_TROUBLES];

void log_configure(enum log_level level, bool json)
{
    threshold = level;
    as_json = json;
}

struct line {
    char text[LINE];
    size_t length;
};

static void put(struct line *line, const char *s)
{
    /* two bytes stay free for the end of the line */
    for (; *s != '\0' && line->length < LINE - 3; s++)
        line->text[line->length++] = *s;
}

static void put_quoted(struct line *line, const char *value)
{
    put(line, "\"");
    for (; *value != '\0'; value++) {
        char pair[3] = {'\\', *value, '\0'};
        bool mark = *value == '"' || (as_json && *value == '\\');
        put(line, mark ? pair : pair + 1);
    }
    put(line, "\"");
}

static bool is_bare(const char *value)
{
    return *value != '\0' && strpbrk(value, " \"=") == NULL;
}

/* Cuts what is too long behind a whole character. */
static void cut(char *escaped)
{
    size_t length = 0, next;
    while ((next = bytes_utf8_length(escaped + length)) > 0 && length + next <= MOST_VALUE)
        length += next;
    escaped[length] = '\0';
}

static void put_pair(struct line *line, const char *key, const char *value)
{
    char *escaped = bytes_escape(value);
    cut(escaped);
    if (line->length + strlen(key) + 2 * strlen(escaped) + 16 > LINE) {
        free(escaped);
        return;
    }
    if (line->length > 0)
        put(line, as_json ? "," : " ");
    if (as_json) {
        put_quoted(line, key);
        put(line, ":");
        put_quoted(line, escaped);
    } else {
        put(line, key);
        put(line, "=");
        if (is_bare(escaped))
            put(line, escaped);
        else
            put_quoted(line, escaped);
    }
    free(escaped);
}

static void write_line(enum log_level level, const char *event, unsigned long repeated,
                       va_list args)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    struct line line = {.length = 0};
    char time[WHEN_TEXT], count[24];
    when_rfc3339(when_now_ms(), time);
    put_pair(&line, "time", time);
    put_pair(&line, "level", names[level]);
    put_pair(&line, "event", event);
    for (const char *key = va_arg(args, const char *); key != NULL;
         key = va_arg(args, const char *)) {
        const char *value = va_arg(args, const char *);
        if (value != NULL)
            put_pair(&line, key, value);
    }
    if (repeated > 0) {
        snprintf(count, sizeof count, "%lu", repeated);
        put_pair(&line, "repeated", count);
    }
    if (as_json) {
        memmove(line.text + 1, line.text, line.length);
        line.text[0] = '{';
        line.text[line.length + 1] = '}';
        line.length += 2;
    }
    line.text[line.length++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line.text, line.length);
    (void)ignored; /* a log that cannot be written must not stop the service */
}

void log_event(enum log_level level, const char *event, ...)
{
    if (level > threshold)
        return;
    va_list args;
    va_start(args, event);
    write_line(level, event, 0, args);
    va_end(args);
}

static uint64_t hash(uint64_t h, const char *s)
{
    for (; *s != '\0'; s++)
        h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
    return h;
}

/* Its slot, or the one told longest ago. */
static struct trouble *slot_of(uint64_t key)
{
    struct trouble *oldest = &troubles[0];
    for (size_t i = 0; i < MOST_TROUBLES; i++) {
        if (troubles[i].key == key)
            return &troubles[i];
        if (troubles[i].told_ms < oldest->told_ms)
            oldest = &troubles[i];
    }
    *oldest = (struct trouble){.key = key};
    return oldest;
}

void log_trouble(enum log_level level, const char *event, ...)
{
    va_list args;
    if (level > threshold)
        return;
    va_start(args, event);
    uint64_t key = hash(UINT64_C(0xcbf29ce484222325), event);
    if (va_arg(args, const char *) != NULL) {
        const char *value = va_arg(args, const char *);
        key = hash(key, value != NULL ? value : "");
    }
    va_end(args);
    struct trouble *trouble = slot_of(key);
    int64_t now_ms = when_steady_ms();
    if (trouble->told_ms != 0 && now_ms - trouble->told_ms < TROUBLE_EVERY_MS) {
        trouble->untold++;
        return;
    }
    va_start(args, event);
    write_line(level, event, trouble->untold, args);
    va_end(args);
    trouble->told_ms = now_ms;
    trouble->untold = 0;
}
