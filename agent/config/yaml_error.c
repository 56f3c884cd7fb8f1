#include "agent/config/yaml_error.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/config/problems.h"

/* Line number `line` (from 0) as a new string, without its end. */
static char *source_line(const char *bytes, size_t n, size_t line)
{
    const char *end = bytes + n;
    for (; line > 0 && bytes < end; line--) {
        const char *next = memchr(bytes, '\n', (size_t)(end - bytes));
        bytes = next == NULL ? end : next + 1;
    }
    const char *stop = memchr(bytes, '\n', (size_t)(end - bytes));
    return mem_bytes_string(bytes, (size_t)((stop == NULL ? end : stop) - bytes));
}

static int line_of_offset(const char *bytes, size_t offset)
{
    int line = 1;
    for (size_t i = 0; i < offset; i++)
        line += bytes[i] == '\n';
    return line;
}

/* Where the value begins in "  - key: value", or what stands in place of it. */
static const char *value_in(const char *line)
{
    const char *at = line + strspn(line, " ");
    while (*at == '-' && at[1] == ' ')
        at += 1 + strspn(at + 1, " ");
    if (strchr("\"'{[", *at) != NULL)
        return at;
    const char *colon = strstr(at, ": ");
    return colon == NULL ? at : colon + 1 + strspn(colon + 1, " ");
}

static bool needs_quotes(char c)
{
    return c != '\0' && strchr("*{[@%&!|>`", c) != NULL;
}

/* "" or what to do about this line. */
static char *hint_for_line(const char *line)
{
    const char *value = value_in(line);
    if (line[strspn(line, " ")] == '\t')
        return mem_string("; indent with spaces, not with tabs");
    if (needs_quotes(*value))
        return mem_printf("; put the value in quotes: it begins with %c", *value);
    if (*value != '"' && *value != '\'' && *value != '#' && strstr(value, ": ") != NULL)
        return mem_string("; put the value in quotes: it holds \": \"");
    if (*value == '"' && strchr(value, '\\') != NULL)
        return mem_string("; write the value in single quotes, where a backslash is a backslash");
    return mem_string("");
}

/* What stands at the mark itself: an item of a list in brackets. */
static char *hint_at(const char *line, size_t column)
{
    for (; column > 0 && *line != '\0'; column--) {
        size_t length = bytes_utf8_length(line);
        line += length > 0 ? length : 1;
    }
    if (!needs_quotes(*line) || *line == '[' || *line == '{')
        return mem_string("");
    return mem_printf("; put the value in quotes: it begins with %c", *line);
}

/* Where no value looks wrong. */
static const char *last_hint(const char *words)
{
    if (strstr(words, "end of stream") != NULL)
        return "; is a quote or a bracket not closed?";
    return strstr(words, "expected key") != NULL ? "; is the indentation right?" : "";
}

/* Scanner errors and brackets name where the faulty piece begins, which is nearer to the fault than
 * where reading stopped; the context of other errors is the mapping around it. */
static const yaml_mark_t *mark_of(const yaml_parser_t *parser)
{
    const char *context = parser->context != NULL ? parser->context : "";
    bool tab = parser->problem != NULL && strstr(parser->problem, "tab character") != NULL;
    bool near = strncmp(context, "while scanning", 14) == 0 || strstr(context, "flow") != NULL;
    return near && !tab ? &parser->context_mark : &parser->problem_mark;
}

void yaml_error_tell(const yaml_parser_t *parser, const char *bytes, size_t n,
                     struct config_problems *problems)
{
    const char *words = parser->problem != NULL ? parser->problem : "memory is short";
    if (parser->error == YAML_READER_ERROR) {
        size_t offset = parser->problem_offset < n ? parser->problem_offset : n;
        problems_error(problems, line_of_offset(bytes, offset),
                       "%s; allowed: UTF-8 text without control characters", words);
        return;
    }
    const yaml_mark_t *mark = mark_of(parser);
    char *line = source_line(bytes, n, mark->line);
    char *hint = *value_in(line) == '{' ? mem_string("") : hint_at(line, mark->column);
    if (*hint == '\0')
        mem_replace(&hint, hint_for_line(line));
    if (*hint == '\0') {
        char *stopped = source_line(bytes, n, parser->problem_mark.line);
        mem_replace(&hint, hint_for_line(stopped));
        free(stopped);
    }
    if (*hint == '\0')
        mem_replace(&hint, mem_string(last_hint(words)));
    problems_error(problems, (int)mark->line + 1, "this is no YAML: %s%s%s%s",
                   parser->context != NULL ? parser->context : "",
                   parser->context != NULL ? ", " : "", words, hint);
    free(hint);
    free(line);
}
