/*
 * A sidecar: a JSON file beside a recording that says whose call it is. What stands in it comes
 * from outside and is hostile until proven otherwise: it is bounded in size, depth and number of
 * fields, and what is not surely meant is a problem in words, which holds the recording. Pure.
 */
#ifndef CHORUS_RULES_SIDECAR_H
#define CHORUS_RULES_SIDECAR_H

#include <stddef.h>

#include "agent/rules/rules.h"

enum {
    SIDECAR_MAX_BYTES = 256 * 1024, /* the largest seen of any dialer has some 20 KiB */
    SIDECAR_MAX_DEPTH = 32,
    SIDECAR_MAX_FIELDS = 200,
    SIDECAR_MAX_VALUE = 4096, /* bytes */
};

/* A field that is taken from a place in the JSON: "participants.0.email". */
struct sidecar_pick {
    char *field, *path;
};

struct sidecar {
    char *problem; /* why it cannot be used, in words; NULL: it can */
    /* Texts, numbers and truths at the top level, and what was picked; none is empty, no name
     * twice. Lists, objects and nulls are no fields. */
    struct resolution_field *fields;
    size_t field_count;
};

/* Reads it. Fill-only: clear with sidecar_clear. */
void sidecar_read(const char *bytes, size_t n, const struct sidecar_pick *picks, size_t pick_count,
                  struct sidecar *out);
/* One that could not be read at all, for this reason. */
void sidecar_fail(const char *problem, struct sidecar *out);
void sidecar_clear(struct sidecar *sidecar);

/* The value, or NULL; valid as long as the sidecar. `sidecar` may be NULL. */
const char *sidecar_field(const struct sidecar *sidecar, const char *name);

/* Whether a template may name such a field: letters, digits, '_', '-' and '.', at most 64. */
bool sidecar_is_field_name(const char *name);

/* Whether a sidecar field of this name wins over the rules: user, name, meeting_id, crm_account_id,
 * crm_opportunity_id. */
bool sidecar_wins(const char *name);

#endif
