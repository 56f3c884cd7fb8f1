/* What is filled while a file is read: texts before they are compiled, and the line of each key.
 * Inside this room only. */
#ifndef CHORUS_CONFIG_DRAFT_H
#define CHORUS_CONFIG_DRAFT_H

#include "agent/config/config.h"
#include "agent/config/node.h"
#include "agent/config/schema.h"

/* Where the keys of one section stand. */
struct filled {
    int section_line;
    int lines[SCHEMA_KEYS_MAX]; /* by schema_index; 0: absent */
};

/* Absent texts are NULL. */
struct rule_draft {
    char *title, *pattern, *skip;
    char *owner, *name, *meeting_id, *crm_account_id, *crm_opportunity_id;
    struct filled filled;
};

struct watch_draft {
    struct watch_config watch;
    char *owner, *name, *meeting_id, *crm_account_id, *crm_opportunity_id, *call_key, *sidecar;
    struct filled filled;
    struct rule_draft *rules;
    size_t rule_count;
};

struct config_draft {
    struct config *config;
    struct config_problems *problems;
    struct filled top, chorus, upload, delete_, bandwidth;
    int *table_lines; /* as many as config->table_count */
    struct watch_draft *watches;
    size_t watch_count;
};

/* fill.c */

/* Puts the defaults of a section into its struct. */
void fill_defaults(enum schema_section section, void *base);
/* Takes over what stands below `node`, which may be NULL (absent) or bare (nothing below it); every
 * fault is told. */
void fill_section(struct config_problems *problems, enum schema_section section,
                  const struct node *node, int line, void *base, struct filled *filled);
/* The line of that key where it is set, else 0. */
int filled_line(const struct filled *filled, enum schema_section section, const char *name);

/* watches.c */

/* How many pairs stand below `node`, whose keys are names of the administrator's choice; none, and
 * told, where the node is something else. */
size_t named_pairs(struct config_problems *problems, const struct node *node, const char *what);
void check_pair_name(struct config_problems *problems, const struct node_pair *pair);

/* Tables first, as rules name them. */
void read_tables(struct config_draft *draft, const struct node *node);
void read_watches(struct config_draft *draft, const struct node *node, int line);
void watch_draft_clear(struct watch_draft *watch);

/* windows.c */
void read_windows(struct config_draft *draft, const struct node *node);

/* check.c: what no key alone can say, and what needs a look at the disk. */
void check_all(struct config_draft *draft);

#endif
