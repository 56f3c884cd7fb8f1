#include "agent/control/request.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/control/target.h"

enum {
    MOST_PROBLEMS = 5, /* named; more are only counted */
    SHOWN = 200,       /* bytes that are shown of a line that is too long */
};

/* Where a character of UTF-8 stands: how many bytes it still needs, and what the next may be. */
struct utf8 {
    unsigned left;
    unsigned char from, to;
};

struct request_reader {
    request_each each;
    void *ctx;
    uint64_t bytes;
    unsigned line; /* of the bytes that come next */
    char text[REQUEST_MOST_LINE + 1];
    size_t length;        /* of the line so far; more than fits is only counted */
    bool return_seen;     /* its last byte is a carriage return */
    bool unreadable;      /* it is no text: nothing further is looked at */
    unsigned char before; /* the last byte */
    struct utf8 utf8;
    struct request_facts facts;
    unsigned seen;     /* directives, by bit */
    unsigned bad_line; /* the first bad one, 0: none */
    const char *bad_problem;
    char *problems; /* why the file is refused whole, one behind the other */
    size_t problem_count;
};

struct request_reader *request_reader_new(request_each each, void *ctx)
{
    struct request_reader *reader = mem_zalloc(sizeof *reader);
    reader->each = each;
    reader->ctx = ctx;
    reader->line = 1;
    reader->facts.expect = -1;
    return reader;
}

void request_facts_clear(struct request_facts *facts)
{
    free(facts->reason);
    free(facts->requested_by);
    *facts = (struct request_facts){.expect = -1};
}

void request_reader_free(struct request_reader *reader)
{
    if (reader == NULL)
        return;
    request_facts_clear(&reader->facts);
    free(reader->problems);
    free(reader);
}

/* Refuses the whole file. `problem` is taken over. */
static void refuse(struct request_reader *reader, unsigned line, char *problem)
{
    char where[32] = "";
    if (line > 0)
        snprintf(where, sizeof where, "line %u: ", line);
    if (++reader->problem_count <= MOST_PROBLEMS) {
        bool first = reader->problems == NULL;
        mem_replace(&reader->problems, mem_printf("%s%s%s%s", first ? "" : reader->problems,
                                                  first ? "" : "; ", where, problem));
    }
    free(problem);
}

/* ---- directives ---- */

/* Each reads what stands behind the directive's name, without blanks around it; false: malformed.
 */

static bool take_text(char **slot, const char *text)
{
    if (*text == '\0')
        return false;
    mem_replace(slot, mem_string(text));
    return true;
}

static bool take_reason(struct request_facts *facts, const char *text)
{
    return take_text(&facts->reason, text);
}

static bool take_requested_by(struct request_facts *facts, const char *text)
{
    return take_text(&facts->requested_by, text);
}

/* A year before 1971 is a slip; 0 stands for none. */
static bool take_date(int64_t *ms, const char *text)
{
    return when_parse_date(text, ms) && *ms > INT64_C(365) * 86400000;
}

static bool take_from(struct request_facts *facts, const char *text)
{
    return take_date(&facts->from_ms, text);
}

/* Local midnight of the day after, which need not be 24 hours later. */
static bool take_to(struct request_facts *facts, const char *text)
{
    int64_t ms;
    struct tm day;
    if (!take_date(&ms, text))
        return false;
    time_t seconds = (time_t)(ms / 1000);
    localtime_r(&seconds, &day);
    day.tm_mday++;
    day.tm_hour = day.tm_min = day.tm_sec = 0;
    day.tm_isdst = -1;
    facts->to_ms = (int64_t)mktime(&day) * 1000;
    return facts->to_ms > ms;
}

static bool take_local(struct request_facts *facts, const char *text)
{
    facts->local = true;
    return strcmp(text, "delete") == 0;
}

static bool take_force(struct request_facts *facts, const char *text)
{
    facts->force = true;
    return *text == '\0';
}

static bool take_dry_run(struct request_facts *facts, const char *text)
{
    facts->dry_run = true;
    return *text == '\0';
}

static bool take_expect(struct request_facts *facts, const char *text)
{
    size_t n = strlen(text);
    if (n == 0 || n > 9 || strspn(text, "0123456789") != n)
        return false;
    facts->expect = atol(text);
    return true;
}

static const struct {
    const char *name, *form;
    bool (*take)(struct request_facts *facts, const char *text);
} directives[] = {
    {"@reason", "@reason TEXT", take_reason},
    {"@requested-by", "@requested-by TEXT", take_requested_by},
    {"@from", "@from YYYY-MM-DD", take_from},
    {"@to", "@to YYYY-MM-DD", take_to},
    {"@local", "@local delete", take_local},
    {"@force", "@force", take_force},
    {"@dry-run", "@dry-run", take_dry_run},
    {"@expect", "@expect NUMBER", take_expect},
};
enum { DIRECTIVE_COUNT = sizeof directives / sizeof directives[0] };

/* The beginning of the line: enough to know it again. */
static char *beginning_of(const char *text)
{
    size_t n = 0, next;
    while ((next = bytes_utf8_length(text + n)) > 0 && n + next <= SHOWN)
        n += next;
    return mem_bytes_string(text, n);
}

static void refuse_line(struct request_reader *reader, const char *problem)
{
    char *text = beginning_of(reader->text);
    char *shown = bytes_escape(text);
    refuse(reader, reader->line, mem_printf("%s: %s", shown, problem));
    free(shown);
    free(text);
}

/* The text behind the name, cut out of the line: without blanks before and behind it. */
static char *rest_of(const char *line, size_t name)
{
    const char *from = line + name + strspn(line + name, " \t");
    size_t n = strlen(from);
    while (n > 0 && (from[n - 1] == ' ' || from[n - 1] == '\t'))
        n--;
    return mem_bytes_string(from, n);
}

static void take_directive(struct request_reader *reader)
{
    size_t name = strcspn(reader->text, " \t"), i = 0;
    while (i < DIRECTIVE_COUNT && (strlen(directives[i].name) != name ||
                                   strncmp(reader->text, directives[i].name, name) != 0))
        i++;
    if (i == DIRECTIVE_COUNT) {
        refuse_line(reader, "unknown directive; allowed: @reason @requested-by @from @to @local "
                            "@force @dry-run @expect");
        return;
    }
    char *rest = rest_of(reader->text, name);
    if (reader->seen & 1U << i) {
        refuse_line(reader, "this directive stands here for the second time");
    } else if (!directives[i].take(&reader->facts, rest)) {
        char *problem = mem_printf("malformed; it is written: %s", directives[i].form);
        refuse_line(reader, problem);
        free(problem);
    }
    reader->seen |= 1U << i;
    free(rest);
}

/* ---- lines ---- */

static void tell(struct request_reader *reader, const struct request_line *line)
{
    if (line->kind == TARGET_BAD)
        reader->facts.bad++;
    else
        reader->facts.targets++;
    if (line->kind == TARGET_BAD && reader->bad_line == 0) {
        reader->bad_line = line->line;
        reader->bad_problem = line->problem;
    }
    if (reader->facts.bad + reader->facts.targets == (size_t)REQUEST_MOST_TARGETS + 1) {
        refuse(reader, line->line, mem_string("more than 1000000 targets; split the file"));
        reader->unreadable = true;
    }
    if (reader->each != NULL && !reader->unreadable)
        reader->each(reader->ctx, line);
}

static void tell_bad(struct request_reader *reader, const char *problem)
{
    char *text = beginning_of(reader->text);
    bool is_long = reader->length > REQUEST_MOST_LINE;
    tell(reader, &(struct request_line){.line = reader->line,
                                        .text = is_long ? text : reader->text,
                                        .problem = problem});
    free(text);
}

static void take_target(struct request_reader *reader)
{
    char *value;
    struct request_line line = {.line = reader->line, .text = reader->text};
    line.kind = target_read(reader->text, &value, &line.problem);
    line.value = value;
    if (line.kind == TARGET_BAD && target_is_like_directive(reader->text))
        refuse_line(reader,
                    "is this meant to be a directive? It begins with @ in the first column");
    tell(reader, &line);
    free(value);
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t")] == '\0';
}

/* The line is whole, or the file ended in it. */
static void end_line(struct request_reader *reader, bool cut)
{
    static const char too_long[] = "longer than 4 KiB";
    static const char no_end[] = "the last line has no line end: was the file cut?";
    reader->length -= reader->return_seen;
    size_t kept = reader->length < REQUEST_MOST_LINE ? reader->length : REQUEST_MOST_LINE;
    reader->text[kept] = '\0';
    bool is_long = reader->length > REQUEST_MOST_LINE;
    if (reader->text[0] == '@' && (is_long || cut))
        refuse_line(reader, is_long ? too_long : no_end);
    else if (cut && reader->length > 0)
        tell_bad(reader, no_end);
    else if (is_long && reader->text[0] != '#')
        tell_bad(reader, too_long);
    else if (reader->text[0] == '@')
        take_directive(reader);
    else if (reader->text[0] != '#' && !is_blank(reader->text))
        take_target(reader);
    reader->length = 0;
    reader->return_seen = false;
    reader->line++;
}

/* ---- bytes ---- */

static void refuse_bytes(struct request_reader *reader, const char *problem)
{
    refuse(reader, reader->line, mem_string(problem));
    reader->unreadable = true;
}

/* Well-formed UTF-8 (Unicode 15, table 3-7). False: this byte may not stand here. */
static bool step_utf8(struct utf8 *at, unsigned char byte)
{
    if (at->left > 0) {
        bool fits = byte >= at->from && byte <= at->to;
        *at = (struct utf8){at->left - 1, 0x80, 0xbf};
        return fits;
    }
    *at = (struct utf8){0, 0x80, 0xbf};
    if (byte < 0x80)
        return true;
    if (byte < 0xc2 || byte > 0xf4)
        return false;
    at->left = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    at->from = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
    at->to = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
    return true;
}

/* What a text file does not hold, and a careful eye would not see. */
static const char *wrong_with(struct request_reader *reader, unsigned char byte)
{
    if (!step_utf8(&reader->utf8, byte))
        return "this is no UTF-8 text; a byte of a name that is none is written \\xHH";
    if (byte == '\n')
        return NULL;
    if (reader->return_seen)
        return "a carriage return inside a line; lines end with LF or CRLF, and in a name it is "
               "written \\x0d";
    bool is_c1 = reader->before == 0xc2 && byte < 0xa0;
    if ((byte < 0x20 && byte != '\t' && byte != '\r') || byte == 0x7f || is_c1)
        return "a control character: this is no text; in a name it is written \\xHH";
    return NULL;
}

static void take_byte(struct request_reader *reader, unsigned char byte)
{
    static const char mark[] = "\xef\xbb\xbf";
    const char *wrong = wrong_with(reader, byte);
    if (wrong != NULL) {
        refuse_bytes(reader, wrong);
        return;
    }
    reader->before = byte;
    if (byte == '\n') {
        end_line(reader, false);
        return;
    }
    reader->return_seen = byte == '\r';
    if (reader->length < REQUEST_MOST_LINE)
        reader->text[reader->length] = (char)byte;
    reader->length++;
    if (reader->length == 3 && memcmp(reader->text, mark, 3) == 0) {
        if (reader->line == 1)
            reader->length = 0; /* the mark of an editor */
        else
            refuse_bytes(reader, "a byte order mark inside the file: were two files joined?");
    }
}

void request_reader_feed(struct request_reader *reader, const void *bytes, size_t n)
{
    const unsigned char *at = bytes;
    reader->bytes += n;
    for (size_t i = 0; i < n && !reader->unreadable; i++)
        take_byte(reader, at[i]);
    if (reader->bytes > REQUEST_MOST_BYTES && !reader->unreadable) {
        refuse(reader, 0, mem_string("larger than 64 MiB; split the file"));
        reader->unreadable = true;
    }
}

/* What only the end of the file tells. */
static void judge_whole(struct request_reader *reader)
{
    const struct request_facts *facts = &reader->facts;
    if (reader->length > 0 && reader->utf8.left > 0)
        refuse_bytes(reader, "the file ends inside a character: was it cut?");
    else if (reader->length > 0)
        end_line(reader, true);
    if (facts->from_ms != 0 && facts->to_ms != 0 && facts->from_ms >= facts->to_ms)
        refuse(reader, 0, mem_string("@from is later than @to"));
    if (facts->expect >= 0 && facts->bad > 0)
        refuse(reader, reader->bad_line,
               mem_printf("%s; with @expect every line has to be good", reader->bad_problem));
    if (reader->bytes == 0)
        refuse(reader, 0, mem_string("the file is empty"));
    else if (facts->targets + facts->bad == 0 && reader->problem_count == 0)
        refuse(reader, 0, mem_string("the file names no target"));
}

char *request_reader_end(struct request_reader *reader, struct request_facts *facts)
{
    if (!reader->unreadable)
        judge_whole(reader);
    if (reader->problem_count > MOST_PROBLEMS)
        mem_replace(&reader->problems, mem_printf("%s; and %zu more", reader->problems,
                                                  reader->problem_count - MOST_PROBLEMS));
    char *problems = reader->problems;
    *facts = reader->facts;
    reader->problems = NULL;
    reader->facts = (struct request_facts){.expect = -1};
    return problems;
}
