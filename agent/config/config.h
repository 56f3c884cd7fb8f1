/*
 * The configuration: one YAML file, read and checked as a whole. One schema table (schema.c) says
 * each key's name, type, range, default and help; this is what it fills. Every error of meaning is
 * collected as FILE:LINE, what is wrong, what is allowed. Reading touches the disk only to check
 * the token file's mode and that tables are there.
 */
#ifndef CHORUS_CONFIG_H
#define CHORUS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/bandwidth/bandwidth.h"
#include "agent/base/log.h"
#include "agent/plan/order.h"
#include "agent/rules/rules.h"
#include "agent/rules/sidecar.h"

struct string_list {
    char **items;
    size_t count;
};

enum since_kind { SINCE_START, SINCE_ALL, SINCE_DATE };
enum after_upload { AFTER_KEEP, AFTER_DELETE, AFTER_MOVE };

struct table_config {
    char *name, *path;
};

/* Texts are never NULL; one that may be absent is "" then. Paths are absolute, without // and
 * without a slash at their end. */
struct watch_config {
    char *name;
    int line; /* where it stands in the file */
    char *path;
    bool recursive;
    bool include_is_default; /* `include` is then empty: the watcher has the list */
    struct string_list include, exclude;
    enum since_kind since;
    int64_t since_ms; /* local midnight, for SINCE_DATE */
    int64_t settle_ms, quiet_ms, open_quiet_ms, delay_ms, rescan_ms, keep_for_ms;
    uint64_t min_size;
    int64_t min_duration_ms;
    enum after_upload after_upload;
    char *move_to;
    char *prefer; /* a glob */
    int64_t prefer_wait_ms;
    int64_t sidecar_wait_ms;
    bool sidecar_required;
    struct sidecar_pick *sidecar_picks;
    size_t sidecar_pick_count;
    struct rule_set *
        rules; /* `owner` without rules is one rule without a pattern; call_key, sidecar included */
};

struct config {
    char *file;
    char *state_dir, *control_dir, *control_group;
    enum log_level log_level;
    bool log_json, log_redact;
    int64_t history_ms;
    int max_load; /* hundredths; 0: off */
    struct {
        char *url, *token_file, *ca_file, *proxy;
        bool bearer, verify_owners;
        struct string_list id_fields;
    } chorus;
    struct {
        int concurrency;
        int64_t retry_first_ms, retry_max_ms, retry_for_ms, resend_after_ms, stall_timeout_ms;
        enum upload_order order;
    } upload;
    struct {
        int64_t confirm_for_ms, keep_details_ms;
        uint64_t max;
    } delete_;
    struct bandwidth bandwidth;
    struct {
        struct string_list command; /* empty: none */
        int64_t every_ms;
    } busy;
    struct table_config *tables;
    size_t table_count;
    struct watch_config *watches;
    size_t watch_count;
    uint8_t digest[32]; /* of everything that decides owner, name and key: the file's bytes */
};

/* One finding, in the order of its line. */
struct config_problem {
    int line;     /* 0: the file as a whole */
    bool warning; /* unwise, not wrong */
    char *text;   /* what is wrong, and what is allowed */
};
struct config_problems {
    char *file;
    struct config_problem *items;
    size_t count;
    size_t errors; /* how many are no warnings */
    bool to_look;  /* what is wrong with the files that the configuration names is a warning */
};

/* Reads `file`. `problems` is filled anew, whatever it held (clear it before, and after with
 * config_problems_clear). On success *out is the configuration (free with config_free) and
 * `problems` may hold warnings; returns 0. Else *out is NULL and `problems` has at least one error;
 * returns 78 (EX_CONFIG). */
int config_load(const char *file, struct config **out, struct config_problems *problems);
/* The same for a command that only looks: a token file or a table that the service could not start
 * with is a warning, so that `status` still answers. */
int config_load_to_look(const char *file, struct config **out, struct config_problems *problems);
void config_free(struct config *config);

/* "FILE:LINE: text" of one problem, "FILE: text" where it is the file as a whole, "warning: "
 * before the text of a warning; new string. */
char *config_problem_line(const struct config_problems *problems,
                          const struct config_problem *problem);
void config_problems_clear(struct config_problems *problems);

/* For each key that has no effect in this version yet and is set to other than its default, one
 * warning is among the problems: told at start. */

/* The tables that it names, none read yet; free with table_set_free. */
struct table_set *config_new_tables(const struct config *config);

/* The watch of that name, or NULL. */
const struct watch_config *config_watch(const struct config *config, const char *name);

/* The watch whose folder this absolute path is below, and where the rest of the path begins; or
 * NULL. */
const struct watch_config *config_watch_of_path(const struct config *config, const char *path,
                                                size_t *root_length);

/* Every key with type, default and help, for --help and the manual. */
struct config_key_help {
    const char *key; /* "upload.concurrency", "watches.NAME.settle" */
    const char *type, *default_text, *help;
};
size_t config_key_count(void);
struct config_key_help config_key_at(size_t i);

#endif
