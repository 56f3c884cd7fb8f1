/*
 * The one table of keys: section, name, type, range, default, place in the structs, help, and
 * whether the key has an effect yet. Static data; any thread.
 */
#ifndef CHORUS_CONFIG_SCHEMA_H
#define CHORUS_CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum schema_section {
    IN_TOP,
    IN_CHORUS,
    IN_UPLOAD,
    IN_DELETE,
    IN_BANDWIDTH,
    IN_WINDOW,
    IN_TABLES, /* its keys are names of the administrator's choice */
    IN_WATCH,
    IN_RULE
};

enum schema_type {
    IS_SECTION, /* keys below it; no value, and none in the help */
    IS_TEXT,
    IS_TEMPLATE, /* the default stands in the rules: absent is NULL */
    IS_PATTERN,
    IS_PATH,
    IS_PATH_OR_NONE, /* "" is none */
    IS_URL,
    IS_DURATION,      /* int64_t, milliseconds, at least 1 */
    IS_DURATION_OR_0, /* int64_t, milliseconds */
    IS_SIZE,          /* uint64_t, bytes */
    IS_NUMBER,        /* int */
    IS_COUNT,         /* uint64_t */
    IS_LOAD,          /* int, hundredths */
    IS_BOOL,
    IS_CHOICE, /* enum, in the order of `allowed` */
    IS_SWITCH, /* bool: the second of two choices */
    IS_SINCE,
    IS_LIST,    /* struct string_list; a default is separated by ", " */
    IS_RATE,    /* struct rate */
    IS_CEILING, /* struct rate */
    IS_DSCP,    /* int */
    IS_DAYS,    /* unsigned */
    IS_CLOCK,   /* int, minutes */
    IS_RULES,
    IS_FIELDS /* names of fields and paths in a sidecar */
};

struct schema_key {
    const char *key; /* whole: "watches.NAME.settle" */
    enum schema_section section;
    enum schema_type type;
    const char *default_text; /* NULL: none */
    const char *allowed;      /* choices, or the range in words; NULL: the type says it */
    int64_t min, max;
    size_t offset; /* of the value in the struct that its section fills */
    const char *help;
};

/* More than there are keys; checked where the table stands. */
enum { SCHEMA_KEYS_MAX = 80 };

size_t schema_count(void);
const struct schema_key *schema_at(size_t i);
size_t schema_index(const struct schema_key *key);
/* "settle" of "watches.NAME.settle". */
const char *schema_name(const struct schema_key *key);
/* "watches.NAME"; "the top level". */
const char *schema_place(enum schema_section section);
/* "duration", "one of: raw, bearer", ...; static. */
const char *schema_type_name(const struct schema_key *key);

/* The key of that name in that section, or NULL. */
const struct schema_key *schema_find(enum schema_section section, const char *name);

/* The name in that section which this one seems to be a slip of, or NULL. */
const char *schema_nearest(enum schema_section section, const char *name);

#endif
