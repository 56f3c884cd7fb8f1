/* Compiling: texts into patterns and templates, every error told. */
#include "agent/rules/rules.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/rules/email.h"
#include "agent/rules/rule_set.h"

static const char *const slot_names[SLOT_COUNT] = {"name", "meeting_id", "crm_account_id",
                                                   "crm_opportunity_id"};
/* interface.md: the name of the file, and the content decides identity. */
static const char *const slot_defaults[SLOT_COUNT] = {"{stem}", "sha256-{sha256}", "", ""};

struct name_list {
    const char **names;
    size_t count;
};

struct compiling {
    const struct rule_set_source *source;
    struct rule_set *set;
    void (*problem)(void *ctx, int line, const char *text);
    void *ctx;
    bool failed;
};

const char *rule_slot_name(enum shared_slot slot)
{
    return slot_names[slot];
}

const struct template *rule_template(const struct rule_set *set, const struct rule *rule,
                                     enum shared_slot slot)
{
    return rule->own[slot] != NULL ? rule->own[slot] : set->shared[slot];
}

static void add_name(struct name_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->names[i], name) == 0)
            return;
    }
    list->names = mem_resize(list->names, list->count + 1, sizeof list->names[0]);
    list->names[list->count++] = name;
}

static void add_groups(struct name_list *list, const struct rule *rule)
{
    for (size_t i = 0; rule->pattern != NULL && i < pattern_group_count(rule->pattern); i++)
        add_name(list, pattern_group_name(rule->pattern, i));
}

static bool is_named(const struct name_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->names[i], name) == 0)
            return true;
    }
    return false;
}

/* Takes `text` over. */
static void fail(struct compiling *compiling, int line, char *text)
{
    compiling->failed = true;
    compiling->problem(compiling->ctx, line, text);
    free(text);
}

static bool has_sidecar(const struct rule_set_source *source)
{
    return source->sidecar != NULL && *source->sidecar != '\0';
}

static struct template *compile_template(struct compiling *compiling, const char *key,
                                         const char *text, int line, const struct name_list *groups)
{
    const struct template_scope scope = {groups->names, groups->count, compiling->source->tables,
                                         compiling->source->table_count,
                                         has_sidecar(compiling->source)};
    char *why = NULL;
    struct template *compiled = template_compile(text, &scope, &why);
    if (compiled == NULL)
        fail(compiling, line, mem_printf("%s: %s", key, why));
    free(why);
    return compiled;
}

/* A constant owner is judged at once, a template when it is expanded. */
static void check_owner(struct compiling *compiling, const struct template *owner, int line)
{
    const char *constant = template_constant(owner);
    if (constant == NULL || email_is_valid(constant))
        return;
    char *shown = bytes_escape(constant);
    fail(compiling, line,
         mem_printf("owner: \"%s\" is no e-mail address; allowed: an address such as "
                    "team@example.com, or a template with a table such as \"{agent|agents}\"",
                    shown));
    free(shown);
}

/* {sha256} alone beside constant text, no {sha256} at all, or nothing: the three promises of
 * interface.md, "meeting_id". Groups hide the field. False: {sha256} in a way that is none of them.
 */
static bool judge_key(const struct template *meeting_id, const struct name_list *groups,
                      enum key_kind *kind)
{
    size_t plain = 0, filtered = 0, others = 0;
    for (size_t i = 0; i < template_field_count(meeting_id); i++) {
        bool has_filter = false;
        const char *field = template_field_at(meeting_id, i, &has_filter);
        if (strcmp(field, "sha256") != 0 || is_named(groups, field))
            others++;
        else if (has_filter)
            filtered++;
        else
            plain++;
    }
    const char *constant = template_constant(meeting_id);
    *kind = plain > 0                                       ? KEY_DERIVED
            : constant != NULL && strcmp(constant, "") == 0 ? KEY_NONE
                                                            : KEY_SCHEDULED;
    return filtered == 0 && (plain == 0 || others == 0);
}

static void fail_key(struct compiling *compiling, int line)
{
    fail(compiling, line,
         mem_string("meeting_id: {sha256} stands without filter and beside constant text only; "
                    "allowed: \"sha256-{sha256}\", a template without {sha256}, or \"\""));
}

static void compile_own(struct compiling *compiling, struct rule *rule,
                        const struct rule_source *source, const struct name_list *groups)
{
    const char *texts[SLOT_COUNT] = {source->name, source->meeting_id, source->crm_account_id,
                                     source->crm_opportunity_id};
    const int lines[SLOT_COUNT] = {source->name_line, source->meeting_id_line,
                                   source->crm_account_id_line, source->crm_opportunity_id_line};
    for (size_t i = 0; i < SLOT_COUNT; i++) {
        if (texts[i] != NULL)
            rule->own[i] = compile_template(compiling, slot_names[i], texts[i], lines[i], groups);
    }
    const struct template *meeting_id = rule->own[SLOT_MEETING_ID];
    if (meeting_id != NULL && !judge_key(meeting_id, groups, &rule->key_kind))
        fail_key(compiling, source->meeting_id_line);
}

/* Each rule skips or names an owner; what a rule does not say is never guessed. */
static void compile_owner(struct compiling *compiling, struct rule *rule,
                          const struct rule_source *source, const struct name_list *groups)
{
    if (source->skip != NULL && source->owner != NULL) {
        fail(compiling, source->owner_line,
             mem_printf("%s names an owner and skips; allowed: one of the two", rule->called));
    } else if (source->skip != NULL && *source->skip == '\0') {
        fail(compiling, source->skip_line, mem_string("skip: empty; allowed: the reason in words"));
    } else if (source->skip == NULL && source->owner == NULL) {
        fail(compiling, source->line,
             mem_printf("%s neither names an owner nor skips; allowed: owner: EMAIL or a template, "
                        "or skip: REASON",
                        rule->called));
    }
    if (source->owner == NULL)
        return;
    rule->owner = compile_template(compiling, "owner", source->owner, source->owner_line, groups);
    if (rule->owner != NULL)
        check_owner(compiling, rule->owner, source->owner_line);
}

static void compile_rule(struct compiling *compiling, size_t i)
{
    const struct rule_source *source = &compiling->source->rules[i];
    struct rule *rule = &compiling->set->rules[i];
    bool has_title = source->title != NULL && *source->title != '\0';
    rule->title = has_title ? bytes_escape(source->title) : mem_printf("rule %zu", i + 1);
    rule->called = mem_printf("%s%s", has_title ? "rule " : "", rule->title);
    rule->numbered =
        has_title ? mem_printf("rule %zu %s", i + 1, rule->title) : mem_string(rule->title);
    rule->skip = mem_string(source->skip);
    if (source->pattern != NULL) {
        char *why = NULL;
        rule->pattern = pattern_compile(source->pattern, &why);
        if (rule->pattern == NULL) {
            fail(compiling, source->pattern_line,
                 mem_printf("pattern: %s; allowed: a PCRE2 pattern", why));
            free(why);
            return; /* its templates cannot be judged without its groups */
        }
    }
    struct name_list groups = {0};
    add_groups(&groups, rule);
    compile_owner(compiling, rule, source, &groups);
    compile_own(compiling, rule, source, &groups);
    free(groups.names);
}

/* The kind of key of each rule that takes the watch's meeting_id; told once if any cannot be. */
static void judge_shared_key(struct compiling *compiling, int line)
{
    struct rule_set *set = compiling->set;
    const struct name_list none = {0};
    bool good = judge_key(set->shared[SLOT_MEETING_ID], &none, &set->shared_key_kind);
    for (size_t i = 0; i < set->count; i++) {
        struct rule *rule = &set->rules[i];
        if (rule->own[SLOT_MEETING_ID] != NULL || rule->skip != NULL)
            continue;
        struct name_list groups = {0};
        if (!set->default_meeting_id)
            add_groups(&groups, rule);
        good = judge_key(set->shared[SLOT_MEETING_ID], &groups, &rule->key_kind) && good;
        free(groups.names);
    }
    if (!good)
        fail_key(compiling, line);
}

/* Its name is made of the recording's own, and it lies in the same folder. */
static void compile_sidecar(struct compiling *compiling)
{
    static const char *const allowed[] = {"stem", "file", "ext", "parent", "watch", "host"};
    const struct rule_set_source *source = compiling->source;
    const struct template_scope scope = {0};
    char *why = NULL;
    /* its end tells it from recordings */
    size_t length = strlen(source->sidecar);
    bool good = strchr(source->sidecar, '/') == NULL && source->sidecar[length - 1] != '}';
    struct template *compiled = template_compile(source->sidecar, &scope, &why);
    if (compiled == NULL) {
        fail(compiling, source->sidecar_line, mem_printf("sidecar: %s", why));
        free(why);
        return;
    }
    for (size_t i = 0; i < template_field_count(compiled); i++) {
        bool filtered, known = false;
        const char *field = template_field_at(compiled, i, &filtered);
        for (size_t k = 0; k < sizeof allowed / sizeof allowed[0]; k++)
            known = known || strcmp(field, allowed[k]) == 0;
        good = good && known;
    }
    if (!good)
        fail(compiling, source->sidecar_line,
             mem_string("sidecar: it lies beside its recording; allowed: a name without /, of the "
                        "fields stem file "
                        "ext parent watch host, with an end of its own, such as \"{stem}.json\""));
    compiling->set->sidecar = compiled;
    compiling->set->sidecar_glob = template_glob(compiled);
}

/* False: a pattern did not compile, so that a group which seems to lack may stand in it. */
static bool collect_groups(const struct compiling *compiling, struct name_list *groups)
{
    bool all = true;
    for (size_t i = 0; i < compiling->set->count; i++) {
        add_groups(groups, &compiling->set->rules[i]);
        all = all && (compiling->set->rules[i].pattern != NULL ||
                      compiling->source->rules[i].pattern == NULL);
    }
    return all;
}

/* Those of the watch: a group is good if any rule has it. */
static void compile_shared(struct compiling *compiling)
{
    const struct rule_set_source *source = compiling->source;
    const char *texts[SLOT_COUNT] = {source->name, source->meeting_id, source->crm_account_id,
                                     source->crm_opportunity_id};
    const int lines[SLOT_COUNT] = {source->name_line, source->meeting_id_line,
                                   source->crm_account_id_line, source->crm_opportunity_id_line};
    struct name_list groups = {0};
    if (collect_groups(compiling, &groups)) {
        for (size_t i = 0; i < SLOT_COUNT; i++) {
            const char *text = texts[i] != NULL ? texts[i] : slot_defaults[i];
            compiling->set->shared[i] =
                compile_template(compiling, slot_names[i], text, lines[i], &groups);
        }
        compiling->set->default_meeting_id = source->meeting_id == NULL;
        if (compiling->set->shared[SLOT_MEETING_ID] != NULL)
            judge_shared_key(compiling, source->meeting_id_line);
        const char *call_key = source->call_key != NULL ? source->call_key : "";
        compiling->set->call_key =
            compile_template(compiling, "call_key", call_key, source->call_key_line, &groups);
    }
    free(groups.names);
}

struct rule_set *rules_compile(const struct rule_set_source *source,
                               void (*problem)(void *ctx, int line, const char *text), void *ctx)
{
    struct rule_set *set = mem_zalloc(sizeof *set);
    set->rules = mem_array(source->rule_count, sizeof set->rules[0]);
    set->count = source->rule_count;
    struct compiling compiling = {.source = source, .set = set, .problem = problem, .ctx = ctx};
    if (has_sidecar(source))
        compile_sidecar(&compiling);
    for (size_t i = 0; i < source->rule_count; i++)
        compile_rule(&compiling, i);
    compile_shared(&compiling);
    if (!compiling.failed)
        return set;
    rules_free(set);
    return NULL;
}

void rules_free(struct rule_set *rules)
{
    if (rules == NULL)
        return;
    for (size_t i = 0; i < rules->count; i++) {
        struct rule *rule = &rules->rules[i];
        free(rule->title);
        free(rule->called);
        free(rule->numbered);
        free(rule->skip);
        pattern_free(rule->pattern);
        template_free(rule->owner);
        for (size_t k = 0; k < SLOT_COUNT; k++)
            template_free(rule->own[k]);
    }
    for (size_t k = 0; k < SLOT_COUNT; k++)
        template_free(rules->shared[k]);
    template_free(rules->call_key);
    template_free(rules->sidecar);
    free(rules->sidecar_glob);
    free(rules->rules);
    free(rules);
}

size_t rules_count(const struct rule_set *rules)
{
    return rules->count;
}

const char *rules_constant_owner(const struct rule_set *rules, size_t rule)
{
    const struct template *owner = rules->rules[rule].owner;
    return owner != NULL ? template_constant(owner) : NULL;
}
