/* Applying: which rule decides, and what it makes of one file. */
#include "agent/rules/rules.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/chorus/users.h"
#include "agent/rules/email.h"
#include "agent/rules/fields.h"
#include "agent/rules/rule_set.h"
#include "agent/rules/sidecar.h"

/* Characters of a value as sent: more than any list shows, and short enough for every field of a
 * form. */
enum { SENT_MAX_CHARACTERS = 250 };

struct resolving {
    const struct rule_set *set;
    const struct rule *rule;
    struct template_values values;
    const char *override_owner;
    struct resolution *resolution;
};

__attribute__((format(printf, 2, 3))) static void trace(const struct resolving *resolving,
                                                        const char *format, ...)
{
    if (resolving->values.trace == NULL)
        return;
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n >= 0)
        resolving->values.trace(resolving->values.trace_ctx, text);
    free(text);
}

/* The first reason stands. Takes `reason` over. */
static void hold(struct resolving *resolving, char *reason)
{
    struct resolution *resolution = resolving->resolution;
    trace(resolving, "held: %s", reason);
    resolution->outcome = RESOLVED_HELD;
    if (resolution->reason == NULL)
        resolution->reason = reason;
    else
        free(reason);
}

static char *escaped_or_null(const char *bytes)
{
    return *bytes == '\0' ? NULL : bytes_escape(bytes);
}

static void take_fields(struct resolving *resolving, const struct pattern *pattern, char **values)
{
    struct resolution *resolution = resolving->resolution;
    size_t count = pattern_group_count(pattern);
    resolution->fields = mem_array(count, sizeof resolution->fields[0]);
    resolution->field_count = count;
    for (size_t i = 0; i < count; i++) {
        resolution->fields[i].name = mem_string(pattern_group_name(pattern, i));
        resolution->fields[i].value = values[i];
    }
    resolving->values.groups = resolution->fields;
    resolving->values.group_count = count;
}

static void trace_match(const struct resolving *resolving, const struct rule *rule)
{
    if (resolving->values.trace == NULL)
        return;
    char *text = mem_printf("%s: %s", rule->numbered,
                            rule->pattern == NULL ? "no pattern, takes everything" : "matches");
    for (size_t i = 0; i < resolving->resolution->field_count; i++) {
        const struct resolution_field *field = &resolving->resolution->fields[i];
        char *shown = bytes_escape(field->value);
        mem_replace(&text,
                    mem_printf("%s%s %s=\"%s\"", text, i == 0 ? ":" : ",", field->name, shown));
        free(shown);
    }
    trace(resolving, "%s", text);
    free(text);
}

static enum pattern_result try_rule(struct resolving *resolving, const struct rule *rule,
                                    const char *below)
{
    if (rule->pattern == NULL)
        return PATTERN_MATCH;
    char **values = mem_array(pattern_group_count(rule->pattern), sizeof values[0]);
    enum pattern_result result = pattern_search(rule->pattern, below, values);
    if (result == PATTERN_MATCH)
        take_fields(resolving, rule->pattern, values);
    free(values);
    return result;
}

/* The rule that decides, or NULL and the recording is held. */
static const struct rule *find_rule(struct resolving *resolving)
{
    const char *below = field_path_below(resolving->values.facts);
    for (size_t i = 0; i < resolving->set->count; i++) {
        const struct rule *rule = &resolving->set->rules[i];
        enum pattern_result result = try_rule(resolving, rule, below);
        if (result == PATTERN_NO_MATCH) {
            trace(resolving, "%s: pattern does not match", rule->numbered);
            continue;
        }
        mem_replace(&resolving->resolution->rule, mem_string(rule->title));
        if (result == PATTERN_MATCH) {
            trace_match(resolving, rule);
            return rule;
        }
        hold(resolving,
             mem_printf("pattern of %s is too costly for this name (match limit)", rule->called));
        return NULL;
    }
    char *shown = bytes_escape(below);
    hold(resolving, mem_printf("no rule matches %s", shown));
    free(shown);
    return NULL;
}

static void hold_missing(struct resolving *resolving, const char *missing, const char *key)
{
    hold(resolving, mem_printf("%s (%s, %s)", missing, resolving->rule->called, key));
}

/* The value of a sidecar that wins over the rules; NULL: it has none. */
static const char *from_sidecar(const struct resolving *resolving, const char *field)
{
    return sidecar_field(resolving->values.facts->sidecar, field);
}

static const char *given_by(const struct resolving *resolving)
{
    if (resolving->override_owner != NULL)
        return "given on the command line";
    return from_sidecar(resolving, "user") != NULL ? "the sidecar's user" : resolving->rule->called;
}

static void expand_owner(const struct resolving *resolving, struct expansion *expansion,
                         const char **source)
{
    const char *given = from_sidecar(resolving, "user");
    if (resolving->override_owner != NULL) {
        expansion->text = mem_string(resolving->override_owner);
        *source = " (given on the command line)";
    } else if (given != NULL) {
        expansion->text = mem_string(given);
        *source = " (the sidecar's user)";
    } else {
        template_expand(resolving->rule->owner, &resolving->values, expansion);
    }
}

static void verify_owner(struct resolving *resolving)
{
    const struct recording_facts *facts = resolving->values.facts;
    const char *owner = resolving->resolution->owner;
    if (!facts->verify_owner)
        return;
    if (facts->users == NULL)
        hold(resolving, mem_string("the list of Chorus users is not read yet "
                                   "(chorus.verify_owners)"));
    else if (!users_has(facts->users, owner))
        hold(resolving, mem_printf("%s is no Chorus user (chorus.verify_owners; %s, owner)", owner,
                                   given_by(resolving)));
}

static void resolve_owner(struct resolving *resolving)
{
    struct expansion expansion = {0};
    const char *source = "";
    expand_owner(resolving, &expansion, &source);
    if (expansion.missing != NULL) {
        hold_missing(resolving, expansion.missing, "owner");
    } else if (!email_is_valid(expansion.text)) {
        char *shown = bytes_escape(expansion.text);
        hold(resolving, mem_printf("owner \"%.200s\" is no e-mail address (%s, owner)", shown,
                                   given_by(resolving)));
        free(shown);
    } else {
        resolving->resolution->owner = mem_string(expansion.text);
        trace(resolving, "owner: %s%s", expansion.text, source);
        verify_owner(resolving);
    }
    expansion_clear(&expansion);
}

/* Ends an escaped text behind so many characters; \xHH is not cut in two. Whether there was more.
 */
static bool cut_escaped(char *text, size_t max)
{
    size_t characters = 0;
    while (*text != '\0') {
        bool escape = *text == '\\';
        size_t length = escape ? 4 : bytes_utf8_length(text);
        characters += escape ? 4 : 1;
        if (characters > max) {
            *text = '\0';
            return true;
        }
        text += length;
    }
    return false;
}

/* Whether an escaped text is longer than what is sent. */
static bool is_too_long(const char *escaped)
{
    char *copy = mem_string(escaped);
    bool longer = copy != NULL && cut_escaped(copy, SENT_MAX_CHARACTERS);
    free(copy);
    return longer;
}

/* What the sidecar says, or else the template. */
static void expand_slot(const struct resolving *resolving, enum shared_slot slot,
                        const struct template_values *values, struct expansion *expansion)
{
    const char *given = from_sidecar(resolving, rule_slot_name(slot));
    if (given != NULL)
        *expansion = (struct expansion){.text = mem_string(given)};
    else
        template_expand(rule_template(resolving->set, resolving->rule, slot), values, expansion);
}

static void resolve_name(struct resolving *resolving)
{
    struct expansion expansion;
    expand_slot(resolving, SLOT_NAME, &resolving->values, &expansion);
    if (expansion.missing != NULL) {
        hold_missing(resolving, expansion.missing, "name");
    } else if (strspn(expansion.text, " ") == strlen(expansion.text)) {
        hold(resolving, mem_printf("the name came out empty (%s, name)", resolving->rule->called));
    } else {
        resolving->resolution->name = bytes_escape(expansion.text);
        resolving->resolution->name_cut =
            cut_escaped(resolving->resolution->name, SENT_MAX_CHARACTERS);
        trace(resolving, "name: %s%s", resolving->resolution->name,
              resolving->resolution->name_cut ? " (cut: it was longer than 250 characters)" : "");
    }
    expansion_clear(&expansion);
}

static const char *kind_in_words(enum key_kind kind)
{
    switch (kind) {
    case KEY_NONE:
        return "no key";
    case KEY_SCHEDULED:
        return "scheduled meeting";
    case KEY_DERIVED:
        return "derived from the content";
    }
    return "";
}

static void resolve_meeting_id(struct resolving *resolving)
{
    struct expansion expansion;
    struct template_values values = resolving->values;
    const struct rule *rule = resolving->rule;
    if (rule->own[SLOT_MEETING_ID] == NULL && resolving->set->default_meeting_id)
        values.group_count = 0;
    enum key_kind kind =
        from_sidecar(resolving, "meeting_id") != NULL ? KEY_SCHEDULED : rule->key_kind;
    resolving->resolution->key_kind = kind;
    expand_slot(resolving, SLOT_MEETING_ID, &values, &expansion);
    if (expansion.missing != NULL) {
        hold_missing(resolving, expansion.missing, "meeting_id");
    } else if (expansion.empty != NULL) {
        hold(resolving,
             mem_printf("{%s} is empty (%s, meeting_id)", expansion.empty, rule->called));
    } else {
        char *meeting_id = escaped_or_null(expansion.text);
        resolving->resolution->meeting_id = meeting_id;
        if (is_too_long(meeting_id)) /* cut, two of them could be one */
            hold(resolving,
                 mem_printf("it is longer than 250 characters (%s, meeting_id)", rule->called));
        trace(resolving, "meeting_id: %s (%s)", meeting_id != NULL ? meeting_id : "none",
              kind_in_words(kind));
    }
    expansion_clear(&expansion);
}

/* A field that is empty makes no key at all, also where a look-up beside it found nothing. */
static void resolve_call_key(struct resolving *resolving)
{
    struct expansion expansion;
    template_expand(resolving->set->call_key, &resolving->values, &expansion);
    if (expansion.empty != NULL) {
        trace(resolving, "call_key: none, {%s} is empty", expansion.empty);
    } else if (expansion.missing != NULL) {
        hold_missing(resolving, expansion.missing, "call_key");
    } else {
        char *call_key = escaped_or_null(expansion.text);
        resolving->resolution->call_key = call_key;
        trace(resolving, "call_key: %s", call_key != NULL ? call_key : "none");
    }
    expansion_clear(&expansion);
}

static void resolve_crm(struct resolving *resolving, enum shared_slot slot, char **value)
{
    struct expansion expansion;
    expand_slot(resolving, slot, &resolving->values, &expansion);
    if (expansion.missing != NULL)
        trace(resolving, "%s: left out, %s", rule_slot_name(slot), expansion.missing);
    else
        *value = escaped_or_null(expansion.text);
    if (is_too_long(*value)) { /* the first part of an id is another id */
        trace(resolving, "%s: left out, it is longer than 250 characters", rule_slot_name(slot));
        mem_replace(value, NULL);
    }
    if (*value != NULL)
        trace(resolving, "%s: %s", rule_slot_name(slot), *value);
    expansion_clear(&expansion);
}

/* Fields of the sidecar join those of the pattern, which hide them; a field that every file has
 * keeps its meaning. */
static void take_sidecar_fields(struct resolving *resolving)
{
    const struct sidecar *sidecar = resolving->values.facts->sidecar;
    struct resolution *resolution = resolving->resolution;
    size_t groups = resolution->field_count;
    if (sidecar == NULL || sidecar->field_count == 0)
        return;
    resolution->fields =
        mem_resize(resolution->fields, groups + sidecar->field_count, sizeof resolution->fields[0]);
    for (size_t i = 0; i < sidecar->field_count; i++) {
        const struct resolution_field *field = &sidecar->fields[i];
        bool hidden = field_exists(field->name);
        for (size_t k = 0; k < groups; k++)
            hidden = hidden || strcmp(resolution->fields[k].name, field->name) == 0;
        if (hidden)
            continue;
        resolution->fields[resolution->field_count++] = (struct resolution_field){
            .name = mem_string(field->name), .value = mem_string(field->value)};
        if (resolving->values.trace != NULL) {
            char *shown = bytes_escape(field->value);
            trace(resolving, "sidecar: %s = %.200s", field->name, shown);
            free(shown);
        }
    }
    resolving->values.groups = resolution->fields;
    resolving->values.group_count = resolution->field_count;
}

/* A file that no rule takes is held, unless its sidecar says whose it is. */
static bool choose_rule(struct resolving *resolving, struct rule *stand_in)
{
    resolving->rule = find_rule(resolving);
    if (resolving->rule != NULL)
        return true;
    struct resolution *resolution = resolving->resolution;
    if (resolution->rule != NULL || from_sidecar(resolving, "user") == NULL)
        return false;
    *stand_in =
        (struct rule){.called = stand_in->called, .key_kind = resolving->set->shared_key_kind};
    resolving->rule = stand_in;
    resolution->outcome = RESOLVED;
    mem_replace(&resolution->reason, NULL);
    trace(resolving, "no rule matches, the sidecar decides");
    return true;
}

static void resolve_all(struct resolving *resolving)
{
    struct resolution *resolution = resolving->resolution;
    resolve_owner(resolving);
    resolve_name(resolving);
    resolve_meeting_id(resolving);
    resolve_call_key(resolving);
    resolve_crm(resolving, SLOT_CRM_ACCOUNT_ID, &resolution->crm_account_id);
    resolve_crm(resolving, SLOT_CRM_OPPORTUNITY_ID, &resolution->crm_opportunity_id);
}

void rules_resolve(const struct rule_set *rules, const struct table_set *tables,
                   const struct recording_facts *facts, const char *override_owner,
                   resolve_trace trace_it, void *trace_ctx, struct resolution *resolution)
{
    char called[] = "the sidecar";
    struct rule stand_in = {.called = called};
    *resolution = (struct resolution){.outcome = RESOLVED};
    struct resolving resolving = {
        .set = rules,
        .values = {.facts = facts, .tables = tables, .trace = trace_it, .trace_ctx = trace_ctx},
        .override_owner = override_owner,
        .resolution = resolution};
    if (!choose_rule(&resolving, &stand_in))
        return;
    if (resolving.rule->skip != NULL) {
        resolution->outcome = RESOLVED_SKIP;
        resolution->reason = bytes_escape(resolving.rule->skip);
        trace(&resolving, "skipped: %s", resolution->reason);
        return;
    }
    if (facts->sidecar != NULL && facts->sidecar->problem != NULL) {
        hold(&resolving, mem_printf("its sidecar cannot be used: %s", facts->sidecar->problem));
        return;
    }
    take_sidecar_fields(&resolving);
    resolve_all(&resolving);
}

void resolution_clear(struct resolution *resolution)
{
    free(resolution->rule);
    free(resolution->reason);
    free(resolution->owner);
    free(resolution->name);
    free(resolution->meeting_id);
    free(resolution->crm_account_id);
    free(resolution->crm_opportunity_id);
    free(resolution->call_key);
    for (size_t i = 0; i < resolution->field_count; i++) {
        free(resolution->fields[i].name);
        free(resolution->fields[i].value);
    }
    free(resolution->fields);
    *resolution = (struct resolution){0};
}

void resolution_doubt(struct resolution *resolution, char *reason)
{
    resolution->outcome = RESOLVED_HELD;
    resolution->doubt = true;
    mem_replace(&resolution->reason, reason);
}

void resolution_hold(struct resolution *resolution, char *reason)
{
    resolution->outcome = RESOLVED_HELD;
    mem_replace(&resolution->reason, reason);
}

void resolution_wait(struct resolution *resolution, char *reason)
{
    char *rule = mem_string(resolution->rule);
    enum key_kind key_kind = resolution->key_kind;
    resolution_clear(resolution);
    resolution->key_kind = key_kind;
    resolution->outcome = RESOLVED_WAIT;
    resolution->rule = rule;
    resolution->reason = reason;
}

char *rules_sidecar_path(const struct rule_set *rules, const struct recording_facts *facts)
{
    if (rules->sidecar == NULL)
        return NULL;
    struct expansion expansion;
    const struct template_values values = {.facts = facts};
    template_expand(rules->sidecar, &values, &expansion);
    const char *slash = strrchr(facts->path, '/');
    size_t folder = slash != NULL ? (size_t)(slash - facts->path) + 1 : 0;
    char *path = NULL;
    if (*expansion.text != '\0' && strchr(expansion.text, '/') == NULL &&
        strcmp(expansion.text, facts->path + folder) != 0)
        path = mem_printf("%.*s%s", (int)folder, facts->path, expansion.text);
    expansion_clear(&expansion);
    return path;
}

const char *const *rules_sidecar_globs(const struct rule_set *rules)
{
    return rules->sidecar != NULL ? (const char *const *)&rules->sidecar_glob : NULL;
}
