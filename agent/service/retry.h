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
};

/* In the ledger's open transaction. */
void retry_apply(struct ledger *ledger, const struct retry_request *request,
                 struct retry_outcome *outcome);

#endif
