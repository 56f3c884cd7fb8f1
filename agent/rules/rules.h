/*
 * Whose call is it: rules, templates, tables. Pure but for reading tables. A rule set is compiled
 * once with the configuration; `rules_resolve` then says for one file: whose, under what name and
 * key, or held, or skipped, and why in words. PCRE2 is named here only.
 */
#ifndef CHORUS_RULES_H
#define CHORUS_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/rules/tables.h"

struct rule_set;
struct sidecar;
struct users;

/* Which of the three promises holds for resending (interface.md, "meeting_id"). */
enum key_kind { KEY_NONE, KEY_SCHEDULED, KEY_DERIVED };

/* A rule as the configuration spells it; absent texts are NULL. */
struct rule_source {
    const char *title, *pattern, *skip;
    const char *owner, *name, *meeting_id, *crm_account_id, *crm_opportunity_id;
    /* lines in the file, for messages */
    int line, pattern_line, skip_line, owner_line, name_line, meeting_id_line, crm_account_id_line,
        crm_opportunity_id_line;
};
struct rule_set_source {
    const struct rule_source *rules;
    size_t rule_count;
    /* of the watch: hold for every rule that names none; NULL: the default */
    const char *name, *meeting_id, *crm_account_id, *crm_opportunity_id, *call_key;
    int name_line, meeting_id_line, crm_account_id_line, crm_opportunity_id_line, call_key_line;
    const char *sidecar; /* the name of the file beside a recording; NULL or "": none */
    int sidecar_line;
    /* names of the tables, which are filters */
    const char *const *tables;
    size_t table_count;
};

/* Compiles; every error is told (line, text) and NULL is returned if there was one. */
struct rule_set *rules_compile(const struct rule_set_source *source,
                               void (*problem)(void *ctx, int line, const char *text), void *ctx);
void rules_free(struct rule_set *rules);

/* How many rules there are, and the owner of one of them where it is the same for every file, else
 * NULL. */
size_t rules_count(const struct rule_set *rules);
const char *rules_constant_owner(const struct rule_set *rules, size_t rule);

/* What is known of a file when the rules are applied. */
struct recording_facts {
    const char *path;   /* absolute, bytes */
    size_t root_length; /* of the watch's path in it, without the slash after */
    uint64_t size;
    int64_t mtime_ms;
    int64_t duration_ms;   /* 0: not known; {duration} is then empty */
    const uint8_t *sha256; /* NULL: not known yet; {sha256} then reads as 64 zeros */
    const char *watch;
    const char *host;              /* without domain */
    bool verify_owner;             /* an owner must be one of `users` */
    const struct users *users;     /* of Chorus; NULL: not known yet */
    const struct sidecar *sidecar; /* what stands in it; NULL: none, or not known yet */
};

enum resolution_outcome {
    RESOLVED,
    RESOLVED_SKIP,
    RESOLVED_HELD,
    RESOLVED_WAIT, /* the caller's: something that decides may still come */
};

struct resolution_field {
    char *name, *value; /* bytes */
};

struct resolution {
    enum resolution_outcome outcome;
    char *rule;   /* title, or "rule 2"; NULL: none matched */
    char *reason; /* in words, for SKIP, HELD and WAIT; why it is put off, for RESOLVED */
    bool doubt;   /* HELD for the caller's own reason: only a person's `retry` releases it */
    enum key_kind key_kind;
    bool preferred; /* the caller's: of several copies of one call this one is to be sent */
    bool name_cut;  /* it was longer than what is sent */
    /* As sent: escaped, valid UTF-8. owner is a valid e-mail address and name is not empty when
     * RESOLVED. The others are NULL when empty. */
    char *owner, *name, *meeting_id, *crm_account_id, *crm_opportunity_id;
    char *call_key;                  /* NULL: none; also set on HELD where it could be made */
    struct resolution_field *fields; /* named groups of the deciding rule's pattern, then those of
                                        the sidecar that no group hides */
    size_t field_count;
};

/* One step of the way, for explain; `text` is one line. */
typedef void (*resolve_trace)(void *ctx, const char *text);

/* `override_owner`: of `once --owner`, or NULL. `trace` may be NULL. Fill-only: clear with
 * resolution_clear. */
void rules_resolve(const struct rule_set *rules, const struct table_set *tables,
                   const struct recording_facts *facts, const char *override_owner,
                   resolve_trace trace, void *trace_ctx, struct resolution *resolution);
void resolution_clear(struct resolution *resolution);

/* Turns it into HELD with doubt; takes `reason` (allocated) over. */
void resolution_doubt(struct resolution *resolution, char *reason);

/* Turns it into HELD until the configuration, a table or a sidecar changes; takes `reason` over. */
void resolution_hold(struct resolution *resolution, char *reason);

/* Turns it into WAIT: nothing that it found may be used but the kind of key. Takes `reason` over.
 */
void resolution_wait(struct resolution *resolution, char *reason);

/* The path of the sidecar of the recording at `facts->path`; new string, or NULL: it has none. */
char *rules_sidecar_path(const struct rule_set *rules, const struct recording_facts *facts);
/* A list of one glob: the names that sidecars have; NULL: the watch has none. Valid as long as the
 * rules. */
const char *const *rules_sidecar_globs(const struct rule_set *rules);

#endif
