#include "script.h"

#include <fnmatch.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"

struct script {
    pthread_mutex_t lock; /* guards the counters of the rules, and users */
    unsigned users;
    struct script_rule **rules;
    size_t count;
};

struct script *script_new(void)
{
    struct script *script = base_need(sizeof *script);
    pthread_mutex_init(&script->lock, NULL);
    script->users = 1;
    return script;
}

struct script_rule *script_add(struct script *script)
{
    struct script_rule *rule = base_need(sizeof *rule);
    rule->action.does_after_ms = -1;
    rule->action.retry_after_date_s = -1;
    script->rules = base_grow(script->rules, script->count + 1, sizeof(struct script_rule *));
    script->rules[script->count++] = rule;
    return rule;
}

size_t script_size(const struct script *script)
{
    return script->count;
}

struct script *script_hold(struct script *script)
{
    if (script != NULL) {
        pthread_mutex_lock(&script->lock);
        script->users++;
        pthread_mutex_unlock(&script->lock);
    }
    return script;
}

static void free_rule(struct script_rule *rule)
{
    for (size_t i = 0; i < rule->action.header_count; i++) {
        free(rule->action.headers[i].name);
        free(rule->action.headers[i].value);
    }
    free(rule->action.type);
    free(rule->action.body);
    free(rule->method);
    free(rule->path);
    free(rule->name);
    free(rule->user);
    free(rule->meeting);
    free(rule->sha);
    free(rule);
}

void script_release(struct script *script)
{
    if (script == NULL) {
        return;
    }
    pthread_mutex_lock(&script->lock);
    bool last = --script->users == 0;
    pthread_mutex_unlock(&script->lock);
    if (!last) {
        return;
    }
    for (size_t i = 0; i < script->count; i++) {
        free_rule(script->rules[i]);
    }
    free(script->rules);
    pthread_mutex_destroy(&script->lock);
    free(script);
}

/* splitmix64: small, and the same on every machine for the same seed. */
static double draw(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15U;
    uint64_t mixed = *state;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
    mixed ^= mixed >> 31;
    return (double)(mixed >> 11) / 9007199254740992.0; /* 2^53 */
}

static bool looks_at_form(const struct script_rule *rule)
{
    return rule->name != NULL || rule->user != NULL || rule->meeting != NULL || rule->sha != NULL;
}

static bool subject_fits(const struct script_rule *rule, const char *method, const char *path)
{
    bool method_fits = strcmp(rule->method, "ANY") == 0 || strcmp(rule->method, method) == 0;
    return method_fits && fnmatch(rule->path, path, 0) == 0;
}

static bool glob_fits(const char *glob, const char *value)
{
    return glob == NULL || (value != NULL && fnmatch(glob, value, 0) == 0);
}

static bool form_fits(const struct script_rule *rule, const struct script_form *form)
{
    return glob_fits(rule->name, form->name) && glob_fits(rule->user, form->user) &&
           glob_fits(rule->meeting, form->meeting) && glob_fits(rule->sha, form->sha256);
}

/* Counts this request, and says whether it is the rule's turn. */
static bool take_turn(struct script_rule *rule)
{
    uint64_t number = ++rule->seen;
    switch (rule->when) {
    case WHEN_ALWAYS:
        return true;
    case WHEN_RANGE:
        return number >= rule->first && number <= rule->last;
    case WHEN_EVERY:
        return number % rule->first == 0;
    case WHEN_RANDOM:
        return draw(&rule->random) < rule->chance;
    }
    return false;
}

static bool may_fire(const struct script_rule *rule)
{
    return rule->limit == 0 || rule->fired < rule->limit;
}

const struct script_rule *script_at_headers(struct script *script, const char *method,
                                            const char *path)
{
    struct script_rule *found = NULL;
    pthread_mutex_lock(&script->lock);
    for (size_t i = 0; i < script->count; i++) {
        struct script_rule *rule = script->rules[i];
        if (looks_at_form(rule) || !subject_fits(rule, method, path)) {
            continue;
        }
        if (take_turn(rule) && found == NULL && may_fire(rule)) {
            found = rule;
            rule->fired++;
        }
    }
    pthread_mutex_unlock(&script->lock);
    return found;
}

const struct script_rule *script_at_body(struct script *script, const char *method,
                                         const char *path, const struct script_form *form,
                                         const struct script_rule *early)
{
    const struct script_rule *found = NULL;
    pthread_mutex_lock(&script->lock);
    for (size_t i = 0; i < script->count; i++) {
        struct script_rule *rule = script->rules[i];
        if (rule == early && found == NULL) {
            found = rule;
        }
        if (!looks_at_form(rule) || !subject_fits(rule, method, path) || !form_fits(rule, form)) {
            continue;
        }
        if (take_turn(rule) && found == NULL && may_fire(rule)) {
            found = rule;
            rule->fired++;
        }
    }
    pthread_mutex_unlock(&script->lock);
    return found;
}
