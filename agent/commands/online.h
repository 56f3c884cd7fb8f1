/* Questions to Chorus outside of the service: for `check --online` and `users`. */
#ifndef CHORUS_COMMANDS_ONLINE_H
#define CHORUS_COMMANDS_ONLINE_H

#include "agent/chorus/users.h"
#include "agent/config/config.h"

struct online_answer {
    int status; /* HTTP, 0: no answer */
    char *body; /* never NULL */
    char *said;
    char *date; /* its Date header, "" if none */
};

/* One GET, on a loop of its own; blocks. 0, or -1 and answer->said says why it could not be asked.
 * Clear in any case. */
int online_get(const struct config *config, const char *token, const char *target,
               struct online_answer *answer);
void online_clear(struct online_answer *answer);

/* Adds all of Chorus's users, page by page; blocks. 0, or -1: `answer` is the one that ended it,
 * with a status 2xx where it is no list of users. Clear in any case. */
int online_get_users(const struct config *config, const char *token, struct users *users,
                     struct online_answer *answer);

#endif
