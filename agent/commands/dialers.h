/*
 * Looking around: which dialers are on this machine, where their recordings lie, and which rules
 * fit the names found there. Reads folders, changes nothing. Blocks; bounded by the number of
 * entries it looks at.
 */
#ifndef CHORUS_COMMANDS_DIALERS_H
#define CHORUS_COMMANDS_DIALERS_H

#include <stdbool.h>
#include <stddef.h>

/* A rule for the names of a dialer; what is not given (NULL) is not written. */
struct dialer_rule {
    const char *title;
    const char *pattern; /* holds no single quote */
    const char *owner;
    const char *name;
    const char *skip;
};

enum { DIALER_PLACES = 6, DIALER_RULES = 8 };

/* Facts of one kind of dialer; static. */
struct dialer {
    const char *name;
    const char *watch;                /* the name of its watch */
    const char *marks[DIALER_PLACES]; /* files that tell that it is installed; NULL: ends */
    /* Where recordings lie, best first: one stage only is watched. NULL: ends. */
    const char *folders[DIALER_PLACES];
    const char *exclude; /* a YAML list, NULL: none */
    /* Lines of comment: how the tables come about. NULL: the table is not used. */
    const char *agents_hint, *recordings_hint;
    struct dialer_rule rules[DIALER_RULES]; /* in their order; a title of NULL ends them */
};

struct dialer_find {
    const struct dialer *dialer;
    const char *folder;      /* without the root */
    size_t recordings;       /* that were seen */
    bool more;               /* there are more than were looked at */
    bool fits[DIALER_RULES]; /* which rules' patterns match a name that was seen */
    bool any_fits;
    bool readable;  /* by anybody; else `group` may */
    char group[64]; /* of the folder, "" if it has no name */
};

enum { DIALERS_MOST = 8 };

/* Looks below `root` ("" for the machine itself). Returns how many were found. */
size_t dialers_look(const char *root, struct dialer_find finds[DIALERS_MOST]);

/* The group that may read this folder where not everybody may: readable false and its name. */
void dialers_look_at_rights(const char *path, bool *readable, char group[64]);

#endif
