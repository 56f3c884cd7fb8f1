#include "agent/config/node.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/config/problems.h"
#include "agent/config/yaml_error.h"

/* Deeper than any configuration: a file of brackets must not exhaust the stack. */
enum { DEPTH_MAX = 32 };

struct building {
    yaml_parser_t parser;
    const char *bytes;
    size_t n;
    struct config_problems *problems;
    bool failed; /* told */
};

static struct node *new_node(enum node_kind kind, const yaml_event_t *event)
{
    struct node *node = mem_zalloc(sizeof *node);
    node->kind = kind;
    node->line = (int)event->start_mark.line + 1;
    return node;
}

void node_free(struct node *node)
{
    if (node == NULL)
        return;
    for (size_t i = 0; i < node->count; i++) {
        if (node->items != NULL)
            node_free(node->items[i]);
        if (node->pairs != NULL) {
            free(node->pairs[i].key);
            node_free(node->pairs[i].value);
        }
    }
    free(node->items);
    free(node->pairs);
    free(node->text);
    free(node);
}

static bool next_event(struct building *building, yaml_event_t *event)
{
    if (yaml_parser_parse(&building->parser, event))
        return true;
    yaml_error_tell(&building->parser, building->bytes, building->n, building->problems);
    building->failed = true;
    return false;
}

static const char *anchor_of(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return (const char *)event->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT:
        return (const char *)event->data.sequence_start.anchor;
    case YAML_MAPPING_START_EVENT:
        return (const char *)event->data.mapping_start.anchor;
    default:
        return NULL;
    }
}

static const char *tag_of(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return (const char *)event->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT:
        return (const char *)event->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT:
        return (const char *)event->data.mapping_start.tag;
    default:
        return NULL;
    }
}

/* True if the event bears nothing but a value. */
static bool is_plain(struct building *building, const yaml_event_t *event)
{
    int line = (int)event->start_mark.line + 1;
    const char *anchor = anchor_of(event);
    const char *tag = tag_of(event);
    if (anchor != NULL)
        problems_error(building->problems, line,
                       "anchors (&%s) are not allowed; a value that begins with & stands in quotes",
                       anchor);
    if (tag != NULL)
        problems_error(building->problems, line,
                       "tags (%s) are not allowed; a value that begins with ! stands in quotes",
                       tag);
    return anchor == NULL && tag == NULL;
}

/* Room for one more behind `count` items: twice as much whenever that is a power of two. */
static void *room_for_one(void *items, size_t count, size_t size)
{
    bool full = (count & (count - 1)) == 0;
    return full ? mem_resize(items, count > 0 ? 2 * count : 1, size) : items;
}

static struct node *build_text(struct building *building, const yaml_event_t *event)
{
    struct node *node = new_node(NODE_TEXT, event);
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    if (!is_plain(building, event)) {
        node->kind = NODE_BROKEN;
    } else if (strlen(text) != length) {
        problems_error(building->problems, node->line, "a byte 0 is not allowed in a text");
        node->kind = NODE_BROKEN;
    }
    node->text = mem_bytes_string(text, strlen(text));
    node->bare = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && length == 0;
    return node;
}

static struct node *build(struct building *building, yaml_event_t *event, int depth);

static void build_items(struct building *building, struct node *list, int depth)
{
    yaml_event_t event;
    while (!building->failed && next_event(building, &event)) {
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return;
        }
        struct node *item = build(building, &event, depth);
        list->items = room_for_one(list->items, list->count, sizeof list->items[0]);
        list->items[list->count++] = item;
    }
}

static void add_pair(struct building *building, struct node *map, struct node *key,
                     struct node *value)
{
    if (key->kind == NODE_TEXT) {
        map->pairs = room_for_one(map->pairs, map->count, sizeof map->pairs[0]);
        map->pairs[map->count++] = (struct node_pair){mem_string(key->text), key->line, value};
    } else {
        if (key->kind != NODE_BROKEN)
            problems_error(building->problems, key->line, "a key must be text");
        node_free(value);
    }
    node_free(key);
}

static void build_pairs(struct building *building, struct node *map, int depth)
{
    yaml_event_t event;
    while (!building->failed && next_event(building, &event)) {
        if (event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            return;
        }
        struct node *key = build(building, &event, depth);
        if (building->failed || !next_event(building, &event)) {
            node_free(key);
            return;
        }
        add_pair(building, map, key, build(building, &event, depth));
    }
}

static int by_key(const void *a, const void *b)
{
    const struct node_pair *const *left = a, *const *right = b;
    int order = strcmp((*left)->key, (*right)->key);
    if (order != 0)
        return order;
    return *left < *right ? -1 : *left > *right;
}

/* Tells of keys that stand twice and drops all but the first. */
static void drop_repeated(struct building *building, struct node *map)
{
    struct node_pair **sorted = mem_array(map->count, sizeof sorted[0]);
    for (size_t i = 0; i < map->count; i++)
        sorted[i] = &map->pairs[i];
    if (map->count > 1)
        qsort(sorted, map->count, sizeof sorted[0], by_key);
    const struct node_pair *first = NULL;
    for (size_t i = 0; i < map->count; i++) {
        if (first == NULL || strcmp(first->key, sorted[i]->key) != 0) {
            first = sorted[i];
            continue;
        }
        char *shown = bytes_escape(first->key);
        problems_error(building->problems, sorted[i]->line,
                       "repeated key \"%s\"; it stands in line %d already", shown, first->line);
        free(shown);
        node_free(sorted[i]->value);
        sorted[i]->value = NULL;
    }
    free(sorted);
    size_t kept = 0;
    for (size_t i = 0; i < map->count; i++) {
        if (map->pairs[i].value != NULL)
            map->pairs[kept++] = map->pairs[i];
        else
            free(map->pairs[i].key);
    }
    map->count = kept;
}

static struct node *build_alias(struct building *building, const yaml_event_t *event)
{
    struct node *node = new_node(NODE_BROKEN, event);
    problems_error(building->problems, node->line,
                   "aliases (*%s) are not allowed; put the value in quotes: it begins with *",
                   (const char *)event->data.alias.anchor);
    return node;
}

static struct node *build_collection(struct building *building, const yaml_event_t *event,
                                     int depth)
{
    bool is_map = event->type == YAML_MAPPING_START_EVENT;
    struct node *node = new_node(is_map ? NODE_MAP : NODE_LIST, event);
    is_plain(building, event);
    node->bare = is_map ? event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE
                        : event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
    if (depth >= DEPTH_MAX) {
        problems_error(building->problems, node->line, "nested too deeply; allowed: %d levels",
                       DEPTH_MAX);
        building->failed = true;
    } else if (is_map) {
        build_pairs(building, node, depth + 1);
        drop_repeated(building, node);
    } else {
        build_items(building, node, depth + 1);
    }
    return node;
}

/* The node that begins with this event, which is deleted. Never NULL; after a failure only good to
 * be freed. */
static struct node *build(struct building *building, yaml_event_t *event, int depth)
{
    struct node *node;
    if (event->type == YAML_SCALAR_EVENT)
        node = build_text(building, event);
    else if (event->type == YAML_ALIAS_EVENT)
        node = build_alias(building, event);
    else
        node = build_collection(building, event, depth);
    yaml_event_delete(event);
    return node;
}

/* The first document, and nothing behind it. */
static struct node *build_root(struct building *building)
{
    struct node *root = NULL;
    yaml_event_t event;
    bool ended = false;
    while (!ended && !building->failed && next_event(building, &event)) {
        ended = event.type == YAML_STREAM_END_EVENT;
        bool is_value = event.type == YAML_SCALAR_EVENT || event.type == YAML_ALIAS_EVENT ||
                        event.type == YAML_SEQUENCE_START_EVENT ||
                        event.type == YAML_MAPPING_START_EVENT;
        if (is_value && root == NULL) {
            root = build(building, &event, 0);
        } else if (is_value) {
            problems_error(building->problems, (int)event.start_mark.line + 1,
                           "a second document; allowed: one");
            building->failed = true;
            yaml_event_delete(&event);
        } else {
            yaml_event_delete(&event);
        }
    }
    return root;
}

struct node *node_read(const char *bytes, size_t n, struct config_problems *problems)
{
    struct building building = {.bytes = bytes, .n = n, .problems = problems};
    if (!yaml_parser_initialize(&building.parser)) {
        problems_error(problems, 0, "memory is short");
        return NULL;
    }
    yaml_parser_set_encoding(&building.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&building.parser, (const unsigned char *)bytes, n);
    struct node *root = build_root(&building);
    yaml_parser_delete(&building.parser);
    if (building.failed) {
        node_free(root);
        return NULL;
    }
    if (root == NULL) {
        root = mem_zalloc(sizeof *root);
        *root = (struct node){.kind = NODE_TEXT, .line = 1, .bare = true, .text = mem_string("")};
    }
    return root;
}

const struct node *node_get(const struct node *map, const char *key, int *line)
{
    for (size_t i = 0; map != NULL && map->kind == NODE_MAP && i < map->count; i++) {
        if (strcmp(map->pairs[i].key, key) != 0)
            continue;
        if (line != NULL)
            *line = map->pairs[i].line;
        return map->pairs[i].value;
    }
    return NULL;
}
