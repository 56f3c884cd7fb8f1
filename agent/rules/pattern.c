#include "agent/rules/pattern.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "agent/base/mem.h"

/* Too low: an honest pattern with several open repeats fails on a long path. Too high: one name
 * holds the thread for long; this many steps take some 20 ms. */
enum { MATCH_LIMIT = 1000000 };
/* Too low: `(?:ab|c)*` fails on a long name. Too high: memory, which HEAP_LIMIT_KIB bounds as well.
 */
enum { DEPTH_LIMIT = 50000, HEAP_LIMIT_KIB = 16 * 1024 };

struct group {
    char *name;
    uint32_t number; /* the lowest, where a name stands twice */
};

struct pattern {
    pcre2_code *code;
    pcre2_match_context *limits;
    struct group *groups;
    size_t group_count;
};

static char *explain_error(int code, size_t offset, const char *text)
{
    PCRE2_UCHAR words[256];
    if (pcre2_get_error_message(code, words, sizeof words) == PCRE2_ERROR_BADDATA)
        words[0] = '\0';
    if (offset >= strlen(text))
        return mem_printf("%s, at its end (offset %zu)", (const char *)words, offset);
    return mem_printf("%s, at offset %zu", (const char *)words, offset);
}

static void remember_group(struct pattern *pattern, const char *name, uint32_t number)
{
    for (size_t i = 0; i < pattern->group_count; i++) {
        struct group *group = &pattern->groups[i];
        if (strcmp(group->name, name) == 0) {
            if (number < group->number)
                group->number = number;
            return;
        }
    }
    struct group *group = &pattern->groups[pattern->group_count++];
    group->name = mem_string(name);
    group->number = number;
}

static int by_number(const void *a, const void *b)
{
    const struct group *left = a, *right = b;
    return left->number < right->number ? -1 : left->number > right->number;
}

static void read_groups(struct pattern *pattern)
{
    uint32_t count = 0, entry_size = 0;
    PCRE2_SPTR table = NULL;
    pcre2_pattern_info(pattern->code, PCRE2_INFO_NAMECOUNT, &count);
    pcre2_pattern_info(pattern->code, PCRE2_INFO_NAMEENTRYSIZE, &entry_size);
    pcre2_pattern_info(pattern->code, PCRE2_INFO_NAMETABLE, &table);
    pattern->groups = mem_array(count, sizeof pattern->groups[0]);
    for (uint32_t i = 0; i < count; i++, table += entry_size)
        remember_group(pattern, (const char *)table + 2, (uint32_t)(table[0] << 8 | table[1]));
    if (pattern->group_count > 1)
        qsort(pattern->groups, pattern->group_count, sizeof pattern->groups[0], by_number);
}

struct pattern *pattern_compile(const char *text, char **why)
{
    /* \C would cut characters in two. */
    const uint32_t options =
        PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C;
    int code = 0;
    size_t offset = 0;
    pcre2_code *compiled =
        pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, options, &code, &offset, NULL);
    if (compiled == NULL) {
        *why = explain_error(code, offset, text);
        return NULL;
    }
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    if (limits == NULL) {
        pcre2_code_free(compiled);
        *why = mem_string("memory is short");
        return NULL;
    }
    pcre2_set_match_limit(limits, MATCH_LIMIT);
    pcre2_set_depth_limit(limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(limits, HEAP_LIMIT_KIB);
    struct pattern *pattern = mem_zalloc(sizeof *pattern);
    pattern->code = compiled;
    pattern->limits = limits;
    read_groups(pattern);
    return pattern;
}

void pattern_free(struct pattern *pattern)
{
    if (pattern == NULL)
        return;
    for (size_t i = 0; i < pattern->group_count; i++)
        free(pattern->groups[i].name);
    free(pattern->groups);
    pcre2_match_context_free(pattern->limits);
    pcre2_code_free(pattern->code);
    free(pattern);
}

size_t pattern_group_count(const struct pattern *pattern)
{
    return pattern->group_count;
}

const char *pattern_group_name(const struct pattern *pattern, size_t i)
{
    return pattern->groups[i].name;
}

static char *group_value(pcre2_match_data *match, const char *name)
{
    PCRE2_UCHAR *bytes = NULL;
    size_t length = 0;
    if (pcre2_substring_get_byname(match, (PCRE2_SPTR)name, &bytes, &length) != 0)
        return mem_string("");
    char *value = mem_bytes_string((const char *)bytes, length);
    pcre2_substring_free(bytes);
    return value;
}

enum pattern_result pattern_search(const struct pattern *pattern, const char *subject,
                                   char **values)
{
    pcre2_match_data *match = pcre2_match_data_create_from_pattern(pattern->code, NULL);
    if (match == NULL)
        return PATTERN_TOO_COSTLY;
    int found = pcre2_match(pattern->code, (PCRE2_SPTR)subject, strlen(subject), 0, 0, match,
                            pattern->limits);
    enum pattern_result result = PATTERN_TOO_COSTLY; /* a limit was met, or memory is short */
    if (found == PCRE2_ERROR_NOMATCH)
        result = PATTERN_NO_MATCH;
    else if (found >= 0)
        result = PATTERN_MATCH;
    for (size_t i = 0; result == PATTERN_MATCH && i < pattern->group_count; i++)
        values[i] = group_value(match, pattern->groups[i].name);
    pcre2_match_data_free(match);
    return result;
}
