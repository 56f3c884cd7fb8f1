/* The names that dialers give: each pattern of dialers.tsv takes its example apart, alone, in a
 * folder, and behind the rules of the cookbook's order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/mem.h"
#include "agent/rules/rules.h"

enum { DIALERS_MAX = 32 };

struct dialer {
    char *line;
    const char *title, *pattern, *example, *expected;
};

struct dialers {
    struct dialer items[DIALERS_MAX];
    size_t count;
};

static int setup(void **state)
{
    struct dialers *dialers = mem_zalloc(sizeof *dialers);
    FILE *file = fopen(TEST_FIXTURES "/dialers.tsv", "re");
    if (file == NULL)
        return -1;
    char *line = NULL;
    size_t room = 0;
    for (ssize_t n; (n = getline(&line, &room, file)) > 0;) {
        if (*line == '#')
            continue;
        line[n - 1] = '\0';
        struct dialer *dialer = &dialers->items[dialers->count++];
        dialer->line = mem_string(line);
        char *rest = dialer->line;
        dialer->title = strsep(&rest, "\t");
        dialer->pattern = strsep(&rest, "\t");
        dialer->example = strsep(&rest, "\t");
        dialer->expected = rest;
    }
    free(line);
    fclose(file);
    *state = dialers;
    return 0;
}

static int teardown(void **state)
{
    struct dialers *dialers = *state;
    for (size_t i = 0; i < dialers->count; i++)
        free(dialers->items[i].line);
    free(dialers);
    return 0;
}

static void fail_on_problem(void *ctx, int line, const char *text)
{
    (void)ctx;
    fail_msg("line %d: %s", line, text);
}

static struct rule_set *compile(const struct dialer *dialers, size_t count)
{
    struct rule_source sources[DIALERS_MAX] = {0};
    for (size_t i = 0; i < count; i++)
        sources[i] = (struct rule_source){
            .title = dialers[i].title, .pattern = dialers[i].pattern, .owner = "team@example.com"};
    struct rule_set_source source = {.rules = sources, .rule_count = count};
    struct rule_set *rules = rules_compile(&source, fail_on_problem, NULL);
    assert_non_null(rules);
    return rules;
}

static void resolve(const struct rule_set *rules, const char *below, struct resolution *resolution)
{
    char *path = mem_printf("/srv/recordings/%s", below);
    struct recording_facts facts = {
        .path = path, .root_length = strlen("/srv/recordings"), .watch = "calls", .host = "pbx"};
    rules_resolve(rules, NULL, &facts, NULL, NULL, NULL, resolution);
    free(path);
}

static char *fields_of(const struct resolution *resolution)
{
    char *text = mem_string("");
    for (size_t i = 0; i < resolution->field_count; i++)
        mem_replace(&text, mem_printf("%s%s%s=%s", text, i > 0 ? ";" : "",
                                      resolution->fields[i].name, resolution->fields[i].value));
    return text;
}

static void expect_fields(const struct rule_set *rules, const char *below, const char *expected)
{
    struct resolution resolution;
    resolve(rules, below, &resolution);
    char *fields = fields_of(&resolution);
    assert_int_equal(resolution.outcome, RESOLVED);
    assert_string_equal(fields, expected);
    free(fields);
    resolution_clear(&resolution);
}

static void each_pattern_takes_its_example_apart(void **state)
{
    const struct dialers *dialers = *state;
    assert_int_equal(dialers->count, 12);
    for (size_t i = 0; i < dialers->count; i++) {
        const struct dialer *dialer = &dialers->items[i];
        struct rule_set *rules = compile(dialer, 1);
        char *deeper = mem_printf("2026/11/%s", dialer->example);
        char *longer = mem_printf("x%s", dialer->example);
        char *unfinished = mem_printf("%s.tmp", dialer->example);
        struct resolution resolution;
        expect_fields(rules, dialer->example, dialer->expected);
        expect_fields(rules, deeper, dialer->expected);
        resolve(rules, unfinished, &resolution);
        assert_int_equal(resolution.outcome, RESOLVED_HELD);
        resolution_clear(&resolution);
        if (strncmp(dialer->expected, "campaign", 8) != 0) { /* it may begin with anything */
            resolve(rules, longer, &resolution);
            assert_int_equal(resolution.outcome, RESOLVED_HELD);
            resolution_clear(&resolution);
        }
        free(unfinished);
        free(longer);
        free(deeper);
        rules_free(rules);
    }
}

/* A phone looks like an agent: the narrow rule must stand first, and then decides. */
static void the_order_decides_where_patterns_overlap(void **state)
{
    const struct dialers *dialers = *state;
    const struct dialer narrow_first[] = {dialers->items[1], dialers->items[0]};
    const struct dialer wide_first[] = {dialers->items[0], dialers->items[1]};
    struct rule_set *rules = compile(narrow_first, 2);
    expect_fields(rules, dialers->items[1].example, dialers->items[1].expected);
    expect_fields(rules, dialers->items[0].example, dialers->items[0].expected);
    rules_free(rules);
    rules = compile(wide_first, 2);
    expect_fields(rules, dialers->items[1].example, "date=20241024;time=115453;agent=5550370652");
    rules_free(rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_pattern_takes_its_example_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(the_order_decides_where_patterns_overlap, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
