#include "agent/service/retry.h"

#include <string.h>

#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/ledger/deletions.h"
#include "agent/service/tombstones.h"

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

/* The lift is durable before the ledger knows of it: a ledger that is lost later does not block
 * again what is at Chorus again. */
static void lift(struct ledger *ledger, const char *state_dir, int64_t recording,
                 struct retry_outcome *outcome)
{
    struct ledger_tombstone lifts[2];
    int generation;
    size_t count = ledger_undelete_lifts(ledger, recording, lifts, &generation);
    if (count == 0) {
        outcome->untouched++;
        return;
    }
    outcome->error = tombstones_append(state_dir, lifts, count, generation);
    if (outcome->error == 0 && ledger_undelete(ledger, recording, when_now_ms()) == 0)
        outcome->queued++;
    else
        outcome->untouched++;
}

static void undelete_path(struct ledger *ledger, const char *state_dir, const char *path,
                          struct retry_outcome *outcome)
{
    int64_t recordings[BATCH], after = 0;
    size_t n;
    ledger_unwipe_path(ledger, path);
    if (!ledger_knows_path(ledger, path))
        outcome->unknown++;
    while (outcome->error == 0 &&
           (n = ledger_recordings_below(ledger, path, after, recordings, BATCH)) > 0) {
        after = recordings[n - 1];
        for (size_t i = 0; i < n && outcome->error == 0; i++)
            lift(ledger, state_dir, recordings[i], outcome);
    }
}

void retry_apply(struct ledger *ledger, const char *state_dir, const struct retry_request *request,
                 struct retry_outcome *outcome)
{
    memset(outcome, 0, sizeof *outcome);
    for (size_t i = 0; i < request->path_count; i++) {
        if (request->undelete)
            undelete_path(ledger, state_dir, request->paths[i], outcome);
        else
            retry_path(ledger, request->paths[i], outcome);
    }
    if (request->failed)
        retry_state(ledger, STATE_FAILED, outcome);
    if (request->held)
        retry_state(ledger, STATE_HELD, outcome);
}

char *retry_problem(const struct retry_outcome *outcome)
{
    if (outcome->error == 0)
        return NULL;
    return mem_printf("state_dir/tombstones cannot be written: %s; %zu were put back in the queue, "
                      "no more",
                      strerror(-outcome->error), outcome->queued);
}
