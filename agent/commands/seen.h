/* Which ids were met, in flat memory: those of the first page, by which a list that goes round is
 * known, and the last 65536, for rows that come again on a later page. Pure. */
#ifndef CHORUS_COMMANDS_SEEN_H
#define CHORUS_COMMANDS_SEEN_H

#include <stdbool.h>

struct seen;

struct seen *seen_new(void);
void seen_free(struct seen *seen);
/* Whether it is new. */
bool seen_add(struct seen *seen, const char *id);

#endif
