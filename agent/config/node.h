/*
 * YAML as a tree with lines; with yaml_error.c the only place that names libyaml. Every scalar is
 * text. Anchors, aliases, tags, repeated keys and keys that are no text are told as problems and
 * left out, so that the rest is still judged. Any thread.
 */
#ifndef CHORUS_CONFIG_NODE_H
#define CHORUS_CONFIG_NODE_H

#include <stdbool.h>
#include <stddef.h>

struct config_problems;

enum node_kind {
    NODE_TEXT,
    NODE_LIST,
    NODE_MAP,
    NODE_BROKEN, /* its fault is told already */
};

struct node_pair {
    char *key;
    int line;
    struct node *value;
};

struct node {
    enum node_kind kind;
    int line;
    bool bare; /* TEXT: unquoted and nothing: no value was written. LIST, MAP: written with brackets
                */
    char *text;
    struct node **items;
    struct node_pair *pairs; /* no key twice */
    size_t count;            /* of items or pairs */
};

/* Reads a whole file. NULL if its syntax is broken (told, with a hint where a value lacks its
 * quotes), else the root; an empty file is a bare text. Free with node_free. */
struct node *node_read(const char *bytes, size_t n, struct config_problems *problems);
void node_free(struct node *node);

/* The value of that key in a map, or NULL; *line (may be NULL) gets that of the key. */
const struct node *node_get(const struct node *map, const char *key, int *line);

#endif
