/* Templates. The input's first line is a file's path, the second a group's value, the rest the
 * template. */
#include <string.h>

#include "agent/base/mem.h"
#include "agent/rules/template.h"
#include "fuzz.h"

static const char *const groups[] = {"agent", "stem"};
static const char *const table_names[] = {"agents"};

static void trace(void *ctx, const char *text)
{
    (void)ctx;
    MUST(fuzz_is_showable(text));
}

static const struct table_set *the_tables(void)
{
    static struct table_set *tables;
    static const char rows[] = "7,a@example.com\n8,b@example.com\n8,c@example.com\n";
    if (tables == NULL) {
        const char *path = fuzz_file(0, rows, sizeof rows - 1);
        tables = table_set_new(table_names, &path, 1);
        MUST(table_set_load(tables, 0, NULL, NULL) == 0);
    }
    return tables;
}

static void look_at_fields(const struct template *compiled)
{
    bool filtered;
    size_t count = template_field_count(compiled);
    for (size_t i = 0; i < count; i++)
        MUST(template_field_at(compiled, i, &filtered) != NULL);
    MUST(template_field_at(compiled, count, &filtered) == NULL);
    MUST((template_constant(compiled) != NULL) == (count == 0));
}

static void expand(const struct template *compiled, const char *path, char *group)
{
    const struct resolution_field fields[] = {{"agent", group}};
    struct recording_facts facts = {.path = path,
                                    .root_length = 1,
                                    .size = 4096,
                                    .mtime_ms = 1700000000000,
                                    .watch = "calls",
                                    .host = "host"};
    struct template_values values = {.facts = &facts,
                                     .groups = fields,
                                     .group_count = 1,
                                     .tables = the_tables(),
                                     .trace = trace};
    struct expansion expansion;
    template_expand(compiled, &values, &expansion);
    const char *constant = template_constant(compiled);
    MUST(expansion.text != NULL);
    MUST(constant == NULL || strcmp(constant, expansion.text) == 0);
    MUST(expansion.missing == NULL || fuzz_is_showable(expansion.missing));
    expansion_clear(&expansion);
}

/* Any text can be written as a template: its braces are doubled. */
static void write_as_template(const char *text, const struct template_scope *scope)
{
    char *why = NULL, *doubled = mem_zalloc(2 * strlen(text) + 1), *to = doubled;
    for (const char *at = text; *at != '\0'; at++) {
        *to++ = *at;
        if (*at == '{' || *at == '}')
            *to++ = *at;
    }
    struct template *compiled = template_compile(doubled, scope, &why);
    MUST(compiled != NULL && strcmp(template_constant(compiled), text) == 0);
    template_free(compiled);
    free(doubled);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct template_scope scope = {groups, 2, table_names, 1};
    struct fuzz_input input = {data, n};
    char *below = fuzz_line(&input), *group = fuzz_line(&input), *text = fuzz_text(&input);
    char *path = mem_printf("/w/%s", below), *why = NULL;
    struct template *compiled = template_compile(text, &scope, &why);
    MUST((compiled == NULL) == (why != NULL));
    if (compiled != NULL) {
        look_at_fields(compiled);
        expand(compiled, path, group);
    } else {
        MUST(fuzz_is_showable(why));
    }
    write_as_template(text, &scope);
    template_free(compiled);
    free(why);
    free(path);
    free(below);
    free(group);
    free(text);
    return 0;
}
