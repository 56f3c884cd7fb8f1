/* What explain.c and explain_many.c share. */
#ifndef CHORUS_COMMANDS_EXPLAIN_H
#define CHORUS_COMMANDS_EXPLAIN_H

#include "agent/commands/command.h"

struct users;
struct watch_finding;

struct explaining {
    const struct config *config;
    const struct table_set *tables;
    struct users *users;   /* with chorus.verify_owners; NULL: the service has kept no list yet */
    struct ledger *ledger; /* NULL: there is none yet */
    char host[64];
};

/* What was asked for beside single paths. */
struct explain_many {
    const char *names; /* a file of names, one a line; "-": stdin */
    const char *dir;   /* a tree */
    const char *watch; /* takes what is below no watch; NULL: the only one */
    bool json;
};

/* What a file itself says against being uploaded: static words, or NULL. */
const char *explain_would_skip(const struct watch_config *watch,
                               const struct watch_finding *finding);

/* The sidecar of a file, as it stands there now. */
struct explain_sidecar {
    char *path; /* NULL: the watch has none */
    bool read;  /* it is there */
    struct sidecar sidecar;
};
void explain_read_sidecar(const struct watch_config *watch, const struct recording_facts *facts,
                          struct explain_sidecar *beside);
/* What it means that the sidecar is not there. */
void explain_judge_without(const struct watch_config *watch, const struct explain_sidecar *beside,
                           struct resolution *resolution);
void explain_clear_sidecar(struct explain_sidecar *beside);

/* One line a name or file, then the counts by outcome. Returns an exit code. */
int explain_many(const struct explaining *explaining, const struct explain_many *what);

#endif
