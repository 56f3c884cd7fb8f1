/* Tables and watches: names of the administrator's choice, and the rules of a watch. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/config/draft.h"
#include "agent/config/problems.h"
#include "agent/config/values.h"
#include "agent/rules/fields.h"
#include "agent/rules/filters.h"

/* The pairs of a map; none, and told, where the node is something else. */
size_t named_pairs(struct config_problems *problems, const struct node *node, const char *what)
{
    if (node == NULL || node->kind == NODE_BROKEN || (node->kind == NODE_TEXT && node->bare))
        return 0;
    if (node->kind == NODE_MAP)
        return node->count;
    problems_error(problems, node->line, "expected %s; allowed: NAME: and what belongs to it",
                   what);
    return 0;
}

void check_pair_name(struct config_problems *problems, const struct node_pair *pair)
{
    char *why = value_name(pair->key);
    if (why != NULL)
        problems_error(problems, pair->line, "%s", why);
    free(why);
}

/* A table whose path is wrong keeps its name, so that rules which use it are not told off as well.
 */
static void read_table(struct config_draft *draft, const struct node_pair *pair)
{
    struct table_config *table = &draft->config->tables[draft->config->table_count];
    draft->table_lines[draft->config->table_count++] = pair->value->line;
    table->name = mem_string(pair->key);
    check_pair_name(draft->problems, pair);
    if (filter_exists(pair->key))
        problems_error(draft->problems, pair->line,
                       "\"%s\" is a filter already; allowed: another name for the table",
                       pair->key);
    if (pair->value->kind == NODE_BROKEN)
        return;
    if (pair->value->kind != NODE_TEXT) {
        problems_error(draft->problems, pair->value->line,
                       "expected the path of table %s; allowed: a path that begins with /",
                       pair->key);
        return;
    }
    char *why = value_path(pair->value->text, &table->path);
    if (why != NULL)
        problems_error(draft->problems, pair->value->line, "%s", why);
    free(why);
}

void read_tables(struct config_draft *draft, const struct node *node)
{
    size_t count = named_pairs(draft->problems, node, "tables");
    draft->config->tables = mem_array(count, sizeof draft->config->tables[0]);
    draft->table_lines = mem_array(count, sizeof draft->table_lines[0]);
    for (size_t i = 0; i < count; i++)
        read_table(draft, &node->pairs[i]);
}

static void read_rules(struct config_draft *draft, struct watch_draft *watch,
                       const struct node *node)
{
    if (node == NULL || node->kind == NODE_BROKEN)
        return;
    if (node->kind != NODE_LIST || node->count == 0) {
        problems_error(draft->problems, node->line,
                       "rules: expected a list of rules; allowed: lines that begin with \"- \"");
        return;
    }
    watch->rules = mem_array(node->count, sizeof watch->rules[0]);
    watch->rule_count = node->count;
    for (size_t i = 0; i < node->count; i++) {
        struct rule_draft *rule = &watch->rules[i];
        fill_section(draft->problems, IN_RULE, node->items[i], node->items[i]->line, rule,
                     &rule->filled);
    }
}

static bool has_sidecar(const struct watch_draft *watch)
{
    return watch->sidecar != NULL && *watch->sidecar != '\0';
}

/* One "field: path.in.the.sidecar". */
static void read_pick(struct config_draft *draft, struct watch_config *watch,
                      const struct node_pair *pair)
{
    const struct node *value = pair->value;
    if (value->kind == NODE_BROKEN)
        return;
    if (value->kind != NODE_TEXT || *value->text == '\0') {
        problems_error(draft->problems, value->line,
                       "sidecar_fields: %s: expected a place in the sidecar; allowed: names and "
                       "numbers with dots between, such as participants.0.email",
                       pair->key);
        return;
    }
    if (!sidecar_is_field_name(pair->key) || field_exists(pair->key)) {
        problems_error(draft->problems, pair->line,
                       "sidecar_fields: %s cannot be the name of such a field; allowed: letters, "
                       "digits, _ - and ., and none of %s",
                       pair->key, field_names());
        return;
    }
    watch->sidecar_picks[watch->sidecar_pick_count++] =
        (struct sidecar_pick){mem_string(pair->key), mem_string(value->text)};
}

static void read_picks(struct config_draft *draft, struct watch_draft *watch,
                       const struct node *node)
{
    if (node == NULL || node->kind == NODE_BROKEN || (node->kind == NODE_TEXT && node->bare))
        return;
    if (node->kind != NODE_MAP) {
        problems_error(draft->problems, node->line,
                       "sidecar_fields: expected fields and their places; allowed: FIELD: PLACE, "
                       "such as user: participants.0.email");
        return;
    }
    if (!has_sidecar(watch))
        problems_warn(draft->problems, node->line,
                      "sidecar_fields without sidecar: there is nothing to take them from");
    watch->watch.sidecar_picks = mem_array(node->count, sizeof watch->watch.sidecar_picks[0]);
    for (size_t i = 0; i < node->count; i++)
        read_pick(draft, &watch->watch, &node->pairs[i]);
}

/* A value that could not be read was told; a stand-in keeps the rule from being told off for
 * lacking it. */
static const char *or_stand_in(const char *text, int line, const char *stand_in)
{
    return text == NULL && line > 0 ? stand_in : text;
}

static struct rule_source rule_source_of(const struct rule_draft *rule)
{
    const struct filled *filled = &rule->filled;
    int owner_line = filled_line(filled, IN_RULE, "owner");
    int skip_line = filled_line(filled, IN_RULE, "skip");
    return (struct rule_source){
        .title = rule->title,
        .pattern = rule->pattern,
        .skip = or_stand_in(rule->skip, skip_line, "unreadable"),
        .owner = or_stand_in(rule->owner, owner_line, "unreadable@example.com"),
        .name = rule->name,
        .meeting_id = rule->meeting_id,
        .crm_account_id = rule->crm_account_id,
        .crm_opportunity_id = rule->crm_opportunity_id,
        .line = filled->section_line,
        .pattern_line = filled_line(filled, IN_RULE, "pattern"),
        .skip_line = skip_line,
        .owner_line = owner_line,
        .name_line = filled_line(filled, IN_RULE, "name"),
        .meeting_id_line = filled_line(filled, IN_RULE, "meeting_id"),
        .crm_account_id_line = filled_line(filled, IN_RULE, "crm_account_id"),
        .crm_opportunity_id_line = filled_line(filled, IN_RULE, "crm_opportunity_id"),
    };
}

static void take_rule_problem(void *ctx, int line, const char *text)
{
    struct config_draft *draft = ctx;
    problems_error(draft->problems, line, "%s", text);
}

/* Templates cannot be judged beside a pattern whose groups are unknown. */
static bool patterns_are_read(const struct watch_draft *watch)
{
    for (size_t i = 0; i < watch->rule_count; i++) {
        const struct rule_draft *rule = &watch->rules[i];
        if (rule->pattern == NULL && filled_line(&rule->filled, IN_RULE, "pattern") > 0)
            return false;
    }
    return true;
}

static void compile_rules(struct config_draft *draft, struct watch_draft *watch,
                          const struct rule_source *rules, size_t rule_count)
{
    const struct filled *filled = &watch->filled;
    const char **tables = mem_array(draft->config->table_count, sizeof tables[0]);
    for (size_t i = 0; i < draft->config->table_count; i++)
        tables[i] = draft->config->tables[i].name;
    struct rule_set_source source = {
        .rules = rules,
        .rule_count = rule_count,
        .name = watch->name,
        .meeting_id = watch->meeting_id,
        .crm_account_id = watch->crm_account_id,
        .crm_opportunity_id = watch->crm_opportunity_id,
        .call_key = watch->call_key,
        .sidecar = watch->sidecar,
        .sidecar_line = filled_line(filled, IN_WATCH, "sidecar"),
        .name_line = filled_line(filled, IN_WATCH, "name"),
        .meeting_id_line = filled_line(filled, IN_WATCH, "meeting_id"),
        .crm_account_id_line = filled_line(filled, IN_WATCH, "crm_account_id"),
        .crm_opportunity_id_line = filled_line(filled, IN_WATCH, "crm_opportunity_id"),
        .call_key_line = filled_line(filled, IN_WATCH, "call_key"),
        .tables = tables,
        .table_count = draft->config->table_count,
    };
    watch->watch.rules = rules_compile(&source, take_rule_problem, draft);
    free(tables);
}

/* `owner` without rules is one rule that takes everything; with neither, the sidecar must name the
 * owner. */
static void compile_watch(struct config_draft *draft, struct watch_draft *watch)
{
    int owner_line = filled_line(&watch->filled, IN_WATCH, "owner");
    int sidecar_line = filled_line(&watch->filled, IN_WATCH, "sidecar");
    if (watch->rule_count == 0) {
        struct rule_source rule = {
            .title = "owner",
            .owner = or_stand_in(watch->owner, owner_line, "unreadable@example.com"),
            .line = owner_line,
            .owner_line = owner_line};
        if (owner_line == 0 && has_sidecar(watch))
            rule = (struct rule_source){.title = "sidecar",
                                        .owner = "{user}",
                                        .line = sidecar_line,
                                        .owner_line = sidecar_line};
        compile_rules(draft, watch, &rule, rule.line > 0);
        return;
    }
    struct rule_source *rules = mem_array(watch->rule_count, sizeof rules[0]);
    for (size_t i = 0; i < watch->rule_count; i++)
        rules[i] = rule_source_of(&watch->rules[i]);
    if (patterns_are_read(watch))
        compile_rules(draft, watch, rules, watch->rule_count);
    free(rules);
}

static void require_keys(struct config_draft *draft, const struct watch_draft *watch)
{
    const struct filled *filled = &watch->filled;
    int owner_line = filled_line(filled, IN_WATCH, "owner");
    int rules_line = filled_line(filled, IN_WATCH, "rules");
    if (filled_line(filled, IN_WATCH, "path") == 0)
        problems_error(draft->problems, filled->section_line,
                       "watch %s has no path; allowed: path: /FOLDER", watch->watch.name);
    if (owner_line > 0 && rules_line > 0)
        problems_error(draft->problems, owner_line,
                       "owner stands beside rules; allowed: one of the two (a last rule without "
                       "pattern takes the rest)");
    if (owner_line == 0 && rules_line == 0 && !has_sidecar(watch))
        problems_error(draft->problems, filled->section_line,
                       "watch %s has neither owner nor rules; allowed: owner: EMAIL, or rules, or "
                       "a sidecar that names the owner",
                       watch->watch.name);
}

/* What is allowed and yet surely not meant. */
static void warn_rules(struct config_draft *draft, const struct watch_draft *watch)
{
    bool all_taken = false;
    for (size_t i = 0; i < watch->rule_count; i++) {
        const struct filled *filled = &watch->rules[i].filled;
        if (all_taken)
            problems_warn(draft->problems, filled->section_line,
                          "this rule is never reached: a rule without pattern before it takes "
                          "everything");
        all_taken = all_taken || filled_line(filled, IN_RULE, "pattern") == 0;
    }
}

static void warn_constant_key(struct config_draft *draft, const char *meeting_id, int line)
{
    if (meeting_id != NULL && *meeting_id != '\0' && strchr(meeting_id, '{') == NULL)
        problems_warn(draft->problems, line,
                      "meeting_id is the same for every recording: Chorus takes the first only");
}

static void read_watch(struct config_draft *draft, struct watch_draft *watch,
                       const struct node_pair *pair)
{
    watch->watch.name = bytes_escape(pair->key);
    watch->watch.line = pair->line;
    check_pair_name(draft->problems, pair);
    fill_defaults(IN_WATCH, watch);
    fill_section(draft->problems, IN_WATCH, pair->value, pair->line, watch, &watch->filled);
    watch->watch.include_is_default = filled_line(&watch->filled, IN_WATCH, "include") == 0;
    if (pair->value->kind != NODE_MAP && !(pair->value->kind == NODE_TEXT && pair->value->bare))
        return; /* told, and nothing is known of it */
    read_picks(draft, watch, node_get(pair->value, "sidecar_fields", NULL));
    read_rules(draft, watch, node_get(pair->value, "rules", NULL));
    require_keys(draft, watch);
    compile_watch(draft, watch);
    warn_rules(draft, watch);
    warn_constant_key(draft, watch->meeting_id,
                      filled_line(&watch->filled, IN_WATCH, "meeting_id"));
    for (size_t i = 0; i < watch->rule_count; i++)
        warn_constant_key(draft, watch->rules[i].meeting_id,
                          filled_line(&watch->rules[i].filled, IN_RULE, "meeting_id"));
}

void read_watches(struct config_draft *draft, const struct node *node, int line)
{
    size_t before = draft->problems->errors;
    size_t count = named_pairs(draft->problems, node, "watches");
    if (count == 0 && draft->problems->errors == before)
        problems_error(draft->problems, line > 0 ? line : 1,
                       "no watches; allowed: one or more below \"watches:\"");
    draft->watches = mem_array(count, sizeof draft->watches[0]);
    draft->watch_count = count;
    for (size_t i = 0; i < count; i++)
        read_watch(draft, &draft->watches[i], &node->pairs[i]);
}

static void rule_draft_clear(struct rule_draft *rule)
{
    free(rule->title);
    free(rule->pattern);
    free(rule->skip);
    free(rule->owner);
    free(rule->name);
    free(rule->meeting_id);
    free(rule->crm_account_id);
    free(rule->crm_opportunity_id);
}

void watch_draft_clear(struct watch_draft *watch)
{
    free(watch->owner);
    free(watch->name);
    free(watch->meeting_id);
    free(watch->crm_account_id);
    free(watch->crm_opportunity_id);
    free(watch->call_key);
    free(watch->sidecar);
    for (size_t i = 0; i < watch->rule_count; i++)
        rule_draft_clear(&watch->rules[i]);
    free(watch->rules);
}
