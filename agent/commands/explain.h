/* What explain.c and explain_many.c share. */
#ifndef CHORUS_COMMANDS_EXPLAIN_H
#define CHORUS_COMMANDS_EXPLAIN_H

#include "agent/commands/command.h"

struct watch_finding;

struct explaining {
    const struct config *config;
    const struct table_set *tables;
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

/* One line a name or file, then the counts by outcome. Returns an exit code. */
int explain_many(const struct explaining *explaining, const struct explain_many *what);

#endif
