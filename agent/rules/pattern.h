/*
 * One PCRE2 pattern; the only room that names PCRE2. Subjects are bytes: a byte that is no UTF-8
 * matches nothing, and the search goes on behind it. What one search may cost is bounded, so that
 * no name can stop the agent. Any thread; a pattern may be searched by several at once.
 */
#ifndef CHORUS_RULES_PATTERN_H
#define CHORUS_RULES_PATTERN_H

#include <stddef.h>

struct pattern;

enum pattern_result { PATTERN_NO_MATCH, PATTERN_MATCH, PATTERN_TOO_COSTLY };

/* Compiles. NULL on an error: *why (new string) then says it in PCRE2's words, with the offset in
 * bytes. */
struct pattern *pattern_compile(const char *text, char **why);
void pattern_free(struct pattern *pattern);

/* Named groups, in the order in which they stand in the pattern; a name that stands twice counts
 * once. */
size_t pattern_group_count(const struct pattern *pattern);
const char *pattern_group_name(const struct pattern *pattern, size_t i);

/* Searches, not anchored. On PATTERN_MATCH values[i] is the value of group i (new string, "" for a
 * group that took no part); else values is untouched. `values` has room for pattern_group_count. */
enum pattern_result pattern_search(const struct pattern *pattern, const char *subject,
                                   char **values);

#endif
