#include "agent/service/retry.h"

#include <string.h>

#include "agent/base/when.h"

enum { BATCH = 256 };

static void retry_some(struct ledger *ledger, const int64_t *recordings, size_t count,
                       struct retry_outcome *outcome)
{
    for (size_t i = 0; i < count; i++) {
        if (ledger_retry(ledger, recordings[i], when_now_ms()) == 0)
            outcome->queued++;
        else
            outcome->untouched++;
    }
}

static void retry_state(struct ledger *ledger, enum recording_state state,
                        struct retry_outcome *outcome)
{
    int64_t recordings[BATCH], after = 0;
    size_t n;
    while ((n = ledger_in_state(ledger, state, after, recordings, BATCH)) > 0) {
        after = recordings[n - 1];
        retry_some(ledger, recordings, n, outcome);
    }
}

static void retry_path(struct ledger *ledger, const char *path, struct retry_outcome *outcome)
{
    int64_t recordings[BATCH], after = 0;
    size_t n;
    if (!ledger_knows_path(ledger, path))
        outcome->unknown++;
    while ((n = ledger_recordings_below(ledger, path, after, recordings, BATCH)) > 0) {
        after = recordings[n - 1];
        retry_some(ledger, recordings, n, outcome);
    }
}

void retry_apply(struct ledger *ledger, const struct retry_request *request,
                 struct retry_outcome *outcome)
{
    memset(outcome, 0, sizeof *outcome);
    for (size_t i = 0; i < request->path_count; i++)
        retry_path(ledger, request->paths[i], outcome);
    if (request->failed)
        retry_state(ledger, STATE_FAILED, outcome);
    if (request->held)
        retry_state(ledger, STATE_HELD, outcome);
}
