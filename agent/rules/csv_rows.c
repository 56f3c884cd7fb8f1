#include "agent/rules/csv_rows.h"

#include <csv.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"

/* Line ends inside quotes are data, but a quote that stands open for longer is a slip of the pen:
 * what stands behind it would be swallowed. */
enum { ROW_LINES_MAX = 64 };

struct reading {
    struct csv_parser parser;
    char separator;
    const struct csv_rows_callbacks *callbacks;
    void *ctx;
    /* the row being read */
    char *column[2];
    size_t columns;
    bool ended;
};

static void take_column(void *bytes, size_t n, void *ctx)
{
    struct reading *reading = ctx;
    if (reading->columns < 2)
        mem_replace(&reading->column[reading->columns], mem_bytes_string(bytes, n));
    reading->columns++;
}

static void take_end(int end, void *ctx)
{
    struct reading *reading = ctx;
    (void)end;
    reading->ended = true;
}

static void *resize(void *old, size_t n)
{
    return mem_resize(old, n, 1);
}

static void begin_parser(struct reading *reading)
{
    csv_init(&reading->parser, CSV_STRICT | CSV_APPEND_NULL);
    csv_set_delim(&reading->parser, (unsigned char)reading->separator);
    csv_set_realloc_func(&reading->parser, resize);
    csv_set_blk_size(&reading->parser, 1024);
    reading->columns = 0;
    reading->ended = false;
}

static void reset_parser(struct reading *reading)
{
    csv_free(&reading->parser);
    begin_parser(reading);
}

/* The length of the line at s with its end (LF, CRLF or CR); *whole tells whether it has one. */
static size_t line_length(const char *s, size_t n, bool *whole)
{
    size_t length = 0;
    while (length < n && s[length] != '\n' && s[length] != '\r')
        length++;
    *whole = length < n;
    if (length < n && s[length] == '\r' && length + 1 < n && s[length + 1] == '\n')
        length++;
    return *whole ? length + 1 : length;
}

static bool is_blank(const char *s, size_t n)
{
    while (n > 0 && strchr(" \t\r\n", s[n - 1]) != NULL)
        n--;
    return n == 0;
}

/* How often the separators stand outside quotes in one line. */
static void count_separators(const char *s, size_t n, size_t *commas, size_t *tabs)
{
    bool quoted = false;
    *commas = *tabs = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '"')
            quoted = !quoted;
        *commas += !quoted && s[i] == ',';
        *tabs += !quoted && s[i] == '\t';
    }
}

/* The one that makes two columns of the first row that has any; a tab is more telling than a comma.
 */
static char find_separator(const char *s, size_t n)
{
    bool whole;
    for (size_t length; n > 0; s += length, n -= length) {
        size_t commas, tabs;
        length = line_length(s, n, &whole);
        if (*s == '#' || is_blank(s, length))
            continue;
        count_separators(s, length, &commas, &tabs);
        if (tabs == 1 || (tabs > 1 && commas != 1))
            return '\t';
        if (commas > 0)
            return ',';
    }
    return ',';
}

static void emit_row(struct reading *reading, int line)
{
    char why[64];
    if (reading->columns == 2 && *reading->column[0] != '\0') {
        reading->callbacks->row(reading->ctx, line, reading->column[0], reading->column[1]);
    } else if (reading->columns == 2) {
        reading->callbacks->bad(reading->ctx, line, "the key is empty");
    } else {
        snprintf(why, sizeof why, "%zu column%s instead of 2 (key%svalue)", reading->columns,
                 reading->columns == 1 ? "" : "s", reading->separator == '\t' ? "<TAB>" : ",");
        reading->callbacks->bad(reading->ctx, line, why);
    }
    reading->columns = 0;
    reading->ended = false;
}

enum fed { FED_ROW, FED_OPEN, FED_ERROR };

static enum fed feed(struct reading *reading, const char *s, size_t n)
{
    if (csv_parse(&reading->parser, s, n, take_column, take_end, reading) < n)
        return FED_ERROR;
    return reading->ended ? FED_ROW : FED_OPEN;
}

/* Reads the row at s, which is neither blank nor a comment, and tells of it. Returns how many bytes
 * are dealt with, and adds their lines to *line. */
static size_t read_row(struct reading *reading, const char *s, size_t n, int *line)
{
    bool whole;
    size_t first = line_length(s, n, &whole);
    size_t at = 0;
    const char *why = "a quote is not closed";
    for (int lines = 0; lines < ROW_LINES_MAX && at < n; lines++) {
        size_t length = line_length(s + at, n - at, &whole);
        if (!whole)
            break;
        enum fed fed = feed(reading, s + at, length);
        at += length;
        if (fed == FED_ROW) {
            emit_row(reading, *line);
            *line += lines + 1;
            return at;
        }
        if (fed == FED_ERROR) {
            why = "a quote inside a field; such a field stands in quotes, the quote is doubled";
            break;
        }
    }
    line_length(s, n, &whole);
    if (whole)
        reading->callbacks->torn(reading->ctx, *line, why);
    else
        reading->callbacks->cut(reading->ctx, *line);
    reset_parser(reading);
    *line += 1;
    return first;
}

void csv_rows_read(const char *bytes, size_t n, const struct csv_rows_callbacks *callbacks,
                   void *ctx)
{
    static const char bom[] = "\xef\xbb\xbf";
    size_t at = n >= 3 && memcmp(bytes, bom, 3) == 0 ? 3 : 0;
    struct reading reading = {
        .separator = find_separator(bytes + at, n - at), .callbacks = callbacks, .ctx = ctx};
    begin_parser(&reading);
    for (int line = 1; at < n;) {
        bool whole;
        size_t length = line_length(bytes + at, n - at, &whole);
        if (bytes[at] == '#' || is_blank(bytes + at, length)) {
            at += length;
            line++;
        } else {
            at += read_row(&reading, bytes + at, n - at, &line);
        }
    }
    csv_free(&reading.parser);
    free(reading.column[0]);
    free(reading.column[1]);
}
