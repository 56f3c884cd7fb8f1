/* Values of one section into its struct, as the schema says. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/config/draft.h"
#include "agent/config/problems.h"
#include "agent/config/values.h"

static void list_add(struct string_list *list, char *item)
{
    list->items = mem_resize(list->items, list->count + 1, sizeof list->items[0]);
    list->items[list->count++] = item;
}

static void list_from_default(struct string_list *list, const char *text)
{
    while (text != NULL) {
        size_t length = strcspn(text, ",");
        list_add(list, mem_bytes_string(text, length));
        text = text[length] == '\0' ? NULL : text + length + 2;
    }
}

static char *put_path(const char *text, char **slot)
{
    char *path = NULL;
    char *why = value_path(text, &path);
    if (why == NULL)
        mem_replace(slot, path);
    return why;
}

static char *put_url(const char *text, char **slot)
{
    char *url = NULL;
    char *why = value_url(text, &url);
    if (why == NULL)
        mem_replace(slot, url);
    return why;
}

static char *put_number(const struct schema_key *key, const char *text, void *slot)
{
    int64_t number = 0;
    char *why = value_number(text, key->min, key->max, &number);
    if (why == NULL && key->type == IS_NUMBER)
        *(int *)slot = (int)number;
    else if (why == NULL)
        *(uint64_t *)slot = (uint64_t)number;
    return why;
}

static char *put_choice(const struct schema_key *key, const char *text, void *slot)
{
    int index = 0;
    char *why = value_choice(text, key->allowed, &index);
    if (why == NULL && key->type == IS_SWITCH)
        *(bool *)slot = index == 1;
    else if (why == NULL)
        memcpy(slot, &index, sizeof index); /* an enum has the size of an int */
    return why;
}

static char *put_since(const char *text, void *base)
{
    struct watch_draft *draft = base;
    return value_since(text, &draft->watch.since, &draft->watch.since_ms);
}

/* One text into its place: NULL, or what is wrong (new string). */
static char *put(const struct schema_key *key, const char *text, void *base)
{
    void *slot = (char *)base + key->offset;
    switch (key->type) {
    case IS_TEXT:
    case IS_TEMPLATE:
    case IS_PATTERN:
        mem_replace(slot, mem_string(text));
        return NULL;
    case IS_PATH_OR_NONE:
        if (*text == '\0') {
            mem_replace(slot, mem_string(""));
            return NULL;
        }
        return put_path(text, slot);
    case IS_PATH:
        return put_path(text, slot);
    case IS_URL:
        return put_url(text, slot);
    case IS_DURATION:
    case IS_DURATION_OR_0:
        return value_duration(text, key->type == IS_DURATION_OR_0, slot);
    case IS_SIZE:
        return value_size(text, slot);
    case IS_NUMBER:
    case IS_COUNT:
        return put_number(key, text, slot);
    case IS_LOAD:
        return value_load(text, slot);
    case IS_BOOL:
        return value_bool(text, slot);
    case IS_CHOICE:
    case IS_SWITCH:
        return put_choice(key, text, slot);
    case IS_SINCE:
        return put_since(text, base);
    case IS_RATE:
        return value_rate(text, slot);
    case IS_CEILING:
        return value_ceiling(text, slot);
    case IS_DSCP:
        return value_dscp(text, slot);
    case IS_DAYS:
        return value_days(text, slot);
    case IS_CLOCK:
        return value_clock(text, (int)key->max, slot);
    case IS_SECTION:
    case IS_LIST:
    case IS_RULES:
    case IS_FIELDS:
        break;
    }
    return NULL;
}

void fill_defaults(enum schema_section section, void *base)
{
    for (size_t i = 0; i < schema_count(); i++) {
        const struct schema_key *key = schema_at(i);
        if (key->section != section || key->default_text == NULL || key->type == IS_TEMPLATE)
            continue;
        if (key->type == IS_LIST)
            list_from_default((struct string_list *)((char *)base + key->offset),
                              key->default_text);
        else
            free(put(key, key->default_text, base));
    }
}

static const char *found_kind(const struct node *node)
{
    switch (node->kind) {
    case NODE_TEXT:
        return node->bare ? "nothing" : "text";
    case NODE_LIST:
        return "a list";
    case NODE_MAP:
        return "keys";
    case NODE_BROKEN:
        break;
    }
    return "";
}

/* True if the node is a text; else it is told what to write. */
static bool expect_text(struct config_problems *problems, const char *name, const struct node *node)
{
    if (node->kind == NODE_BROKEN)
        return false;
    if (node->kind == NODE_TEXT && node->bare) {
        problems_error(problems, node->line, "%s: no value; allowed: one, or \"\" for an empty one",
                       name);
        return false;
    }
    if (node->kind == NODE_TEXT)
        return true;
    if (node->bare)
        problems_error(problems, node->line,
                       "%s: expected text; put the value in quotes: it begins with %c", name,
                       node->kind == NODE_MAP ? '{' : '[');
    else
        problems_error(problems, node->line, "%s: expected text, found %s", name, found_kind(node));
    return false;
}

static void fill_text(struct config_problems *problems, const struct schema_key *key,
                      const struct node *node, void *base)
{
    const char *name = schema_name(key);
    if (!expect_text(problems, name, node))
        return;
    char *why = put(key, node->text, base);
    if (why != NULL)
        problems_error(problems, node->line, "%s: %s", name, why);
    free(why);
}

/* A list of days is what its items are with commas between. */
static void fill_days(struct config_problems *problems, const struct schema_key *key,
                      const struct node *node, void *base)
{
    char *days = mem_string("");
    for (size_t i = 0; i < node->count; i++) {
        if (!expect_text(problems, schema_name(key), node->items[i])) {
            free(days);
            return;
        }
        mem_replace(&days, mem_printf("%s%s%s", days, i > 0 ? "," : "", node->items[i]->text));
    }
    char *why = put(key, days, base);
    if (why != NULL)
        problems_error(problems, node->line, "%s: %s", schema_name(key), why);
    free(why);
    free(days);
}

static void list_clear(struct string_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct string_list){0};
}

static void fill_list(struct config_problems *problems, const struct schema_key *key,
                      const struct node *node, struct string_list *list)
{
    const char *name = schema_name(key);
    if (node->kind == NODE_BROKEN)
        return;
    if (node->kind != NODE_LIST) {
        problems_error(problems, node->line,
                       "%s: expected a list, found %s; allowed: [\"one\", \"two\"]", name,
                       found_kind(node));
        return;
    }
    list_clear(list);
    for (size_t i = 0; i < node->count; i++) {
        const struct node *item = node->items[i];
        if (!expect_text(problems, name, item))
            continue;
        if (*item->text == '\0')
            problems_error(problems, item->line, "%s: an empty item; allowed: text", name);
        list_add(list, mem_string(item->text));
    }
    if (node->count == 0 && strcmp(name, "exclude") != 0)
        problems_error(problems, node->line, "%s: an empty list; allowed: one item or more", name);
}

/* ", " before all but the first. */
static void say(char **list, const char *word)
{
    mem_replace(list, *list == NULL ? mem_string(word) : mem_printf("%s, %s", *list, word));
}

static char *names_of(enum schema_section section)
{
    char *names = NULL;
    for (size_t i = 0; i < schema_count(); i++) {
        if (schema_at(i)->section == section)
            say(&names, schema_name(schema_at(i)));
    }
    return names;
}

/* The places where a key of this name belongs, or NULL. */
static char *places_of(const char *name)
{
    char *places = NULL;
    for (size_t i = 0; i < schema_count(); i++) {
        const struct schema_key *key = schema_at(i);
        if (key->section != IN_TABLES && strcmp(schema_name(key), name) == 0)
            say(&places, schema_place(key->section));
    }
    return places;
}

static void tell_unknown(struct config_problems *problems, enum schema_section section,
                         const char *name, int line)
{
    char *places = places_of(name);
    const char *nearest = schema_nearest(section, name);
    char *shown = bytes_escape(name);
    char *allowed = names_of(section);
    unsigned days;
    if (section == IN_WINDOW && days_parse(name, &days))
        problems_error(problems, line,
                       "unknown key \"%s\": days with a comma between stand in quotes, "
                       "days: \"sat,sun\"",
                       shown);
    else if (places != NULL)
        problems_error(problems, line, "misplaced key \"%s\": it belongs to %s", shown, places);
    else if (nearest != NULL)
        problems_error(problems, line, "unknown key \"%s\" in %s; did you mean \"%s\"?", shown,
                       schema_place(section), nearest);
    else
        problems_error(problems, line, "unknown key \"%.200s\" in %s; allowed: %s", shown,
                       schema_place(section), allowed);
    free(allowed);
    free(shown);
    free(places);
}

static void fill_pair(struct config_problems *problems, enum schema_section section,
                      const struct node_pair *pair, void *base, struct filled *filled)
{
    const struct schema_key *key = schema_find(section, pair->key);
    if (key == NULL) {
        tell_unknown(problems, section, pair->key, pair->line);
        return;
    }
    filled->lines[schema_index(key)] = pair->value->line;
    if (key->type == IS_LIST)
        fill_list(problems, key, pair->value, (struct string_list *)((char *)base + key->offset));
    else if (key->type == IS_DAYS && pair->value->kind == NODE_LIST)
        fill_days(problems, key, pair->value, base);
    else if (key->type != IS_SECTION && key->type != IS_RULES && key->type != IS_FIELDS)
        fill_text(problems, key, pair->value, base);
}

void fill_section(struct config_problems *problems, enum schema_section section,
                  const struct node *node, int line, void *base, struct filled *filled)
{
    filled->section_line = line;
    if (node == NULL || node->kind == NODE_BROKEN || (node->kind == NODE_TEXT && node->bare))
        return;
    if (node->kind != NODE_MAP) {
        problems_error(problems, node->line, "expected keys of %s, found %s; allowed: KEY: VALUE",
                       schema_place(section), found_kind(node));
        return;
    }
    for (size_t i = 0; i < node->count; i++)
        fill_pair(problems, section, &node->pairs[i], base, filled);
}

int filled_line(const struct filled *filled, enum schema_section section, const char *name)
{
    const struct schema_key *key = schema_find(section, name);
    return key == NULL ? 0 : filled->lines[schema_index(key)];
}
