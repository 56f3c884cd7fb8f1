/* `retry`: recordings go back into the queue, for the command itself or for the service it was
 * handed to. */
#ifndef CHORUS_SERVICE_RETRY_H
#define CHORUS_SERVICE_RETRY_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/ledger/ledger.h"

struct retry_request {
    char **paths; /* each stands for itself and all below it */
    size_t path_count;
    bool failed, held; /* all of that state */
    bool undelete;     /* lifts the blocks of deletions, of `paths` only, and does nothing else */
};
struct retry_outcome {
    size_t queued, untouched; /* `untouched`: in a state that `retry` has nothing to do with */
    size_t unknown;           /* paths that the ledger does not know */
    int error; /* negative errno: `state_dir`/tombstones could not be written, and nothing more was
                  lifted */
};

/* In the ledger's open transaction. What is lifted stands in `state_dir`/tombstones before. */
void retry_apply(struct ledger *ledger, const char *state_dir, const struct retry_request *request,
                 struct retry_outcome *outcome);
/* Why not all was done, in words, new; NULL: it was. */
char *retry_problem(const struct retry_outcome *outcome);

#endif
