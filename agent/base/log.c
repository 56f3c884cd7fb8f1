#include "agent/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/base/systemd.h"
#include "agent/base/when.h"

enum {
    MOST_TROUBLES = 64,
    REDACTED_RUN = 7,
    TROUBLE_EVERY_MS = 60000,
    /* Not met for so long, it is over: the next is a new one. Longer than the longest delay between
     * two attempts (upload.retry_max, 15 min by default). */
    TROUBLE_OVER_MS = 3600000,
    /* The longest path, each of its bytes escaped; a longer value is cut. */
    MOST_VALUE = 4 * 4096,
    /* Room for that, quoted, and all that stands beside it; a pair that does not fit is left out,
     * so that the line is whole whatever is in it. */
    LINE = 4 * MOST_VALUE,
};

static enum log_level threshold = LOG_INFO;
static bool as_json, redacted;

static struct trouble {
    uint64_t key;
    int64_t told_ms;  /* steady */
    int64_t met_ms;   /* steady: the last time */
    int64_t began_ms; /* wall: the first time, since it was last over */
    unsigned long untold;
} troubles[MOST_TROUBLES];

void log_configure(enum log_level level, bool json)
{
    threshold = level;
    as_json = json;
}

void log_redact(bool redact)
{
    redacted = redact;
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

/* As it may be shown. */
static char *show(const char *value)
{
    char *escaped = bytes_escape(value);
    for (char *at = escaped; redacted && *at != '\0';) {
        size_t digits = strspn(at, "0123456789");
        if (digits >= REDACTED_RUN)
            memset(at, '*', digits);
        at += digits > 0 ? digits : 1;
    }
    return escaped;
}

static void put_pair(struct line *line, const char *key, const char *value)
{
    char *escaped = show(value);
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

/* --- one entry --- */

static const char *const level_names[] = {"error", "warning", "info", "debug"};

enum { MOST_FIELDS = 32 };

/* What is written, and where it goes: a line on stderr, or fields of the journal. */
struct entry {
    struct line line;
    bool fields_wanted;
    struct iovec fields[MOST_FIELDS];
    int field_count;
};

static void add_field(struct entry *entry, const char *key, const char *value)
{
    if (entry->field_count == MOST_FIELDS)
        return;
    char *field = mem_printf("%s=%s", key, value);
    entry->fields[entry->field_count++] = (struct iovec){field, strlen(field)};
}

/* "to-do" is the field CHORUS_TO_DO: names in the journal are upper case letters, digits and _. */
static void add_pair_field(struct entry *entry, const char *key, const char *value)
{
    char name[64];
    int length = snprintf(name, sizeof name, "CHORUS_%s", key);
    for (int i = 0; i < length && i < (int)sizeof name - 1; i++) {
        if (name[i] >= 'a' && name[i] <= 'z')
            name[i] = (char)(name[i] - 'a' + 'A');
        else if (name[i] == '-')
            name[i] = '_';
    }
    char *escaped = show(value);
    add_field(entry, name, escaped);
    free(escaped);
}

static void add_pair(struct entry *entry, const char *key, const char *value)
{
    if (value == NULL)
        return;
    put_pair(&entry->line, key, value);
    if (entry->fields_wanted)
        add_pair_field(entry, key, value);
}

/* The journal knows time and level by itself. */
static void begin_entry(struct entry *entry, enum log_level level, const char *event)
{
    char time[WHEN_TEXT];
    entry->line.length = 0;
    entry->field_count = 0;
    entry->fields_wanted = systemd_takes_fields();
    if (!entry->fields_wanted) {
        when_rfc3339(when_now_ms(), time);
        put_pair(&entry->line, "time", time);
        put_pair(&entry->line, "level", level_names[level]);
    }
    add_pair(entry, "event", event);
}

static bool send_to_journal(struct entry *entry, enum log_level level)
{
    static const char *const priorities[] = {"3", "4", "6", "7"}; /* of syslog(3) */
    entry->line.text[entry->line.length] = '\0';
    add_field(entry, "PRIORITY", priorities[level]);
    add_field(entry, "SYSLOG_IDENTIFIER", "chorus-agent");
    add_field(entry, "MESSAGE", entry->line.text);
    return systemd_send_fields(entry->fields, entry->field_count);
}

static void end_entry(struct entry *entry, enum log_level level)
{
    struct line *line = &entry->line;
    if (as_json) {
        memmove(line->text + 1, line->text, line->length);
        line->text[0] = '{';
        line->text[line->length + 1] = '}';
        line->length += 2;
    }
    if (!entry->fields_wanted || !send_to_journal(entry, level)) {
        line->text[line->length++] = '\n';
        while (write(STDERR_FILENO, line->text, line->length) < 0 && errno == EINTR)
            ; /* else: a log that cannot be written must not stop the service */
    }
    for (int i = 0; i < entry->field_count; i++)
        free(entry->fields[i].iov_base);
}

static void write_entry(enum log_level level, const char *event, const struct trouble *trouble,
                        va_list args)
{
    struct entry entry;
    char text[WHEN_TEXT];
    begin_entry(&entry, level, event);
    for (const char *key = va_arg(args, const char *); key != NULL;
         key = va_arg(args, const char *))
        add_pair(&entry, key, va_arg(args, const char *));
    if (trouble != NULL && trouble->untold > 0) {
        snprintf(text, sizeof text, "%lu", trouble->untold);
        add_pair(&entry, "repeated", text);
        when_rfc3339(trouble->began_ms, text);
        add_pair(&entry, "began", text);
    }
    end_entry(&entry, level);
}

void log_event(enum log_level level, const char *event, ...)
{
    if (level > threshold)
        return;
    va_list args;
    va_start(args, event);
    write_entry(level, event, NULL, args);
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
    if (trouble->met_ms == 0 || now_ms - trouble->met_ms >= TROUBLE_OVER_MS) {
        trouble->began_ms = when_now_ms();
        trouble->untold = 0;
    }
    trouble->met_ms = now_ms;
    if (trouble->told_ms != 0 && now_ms - trouble->told_ms < TROUBLE_EVERY_MS) {
        trouble->untold++;
        return;
    }
    va_start(args, event);
    write_entry(level, event, trouble, args);
    va_end(args);
    trouble->told_ms = now_ms;
    trouble->untold = 0;
}
