/*
 * Blocks in the two places that know them: what the file of tombstones holds is taken over into the
 * ledger at every start, before anything is looked at; and what only the ledger holds (files that
 * were blocked by their path, once their checksum is known) goes into the file.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/ledger/deletions.h"
#include "agent/service/internal.h"
#include "agent/service/tombstones.h"

enum { SLICE = 64 };

/* --- from the file --- */

static void restore(void *ctx, const struct ledger_tombstone *tombstone, int generation)
{
    ledger_tombstone_restore(ctx, tombstone, generation);
}

int blocks_restore(struct ledger *ledger, const char *state_dir)
{
    size_t odd;
    int error = tombstones_read(state_dir, restore, ledger, &odd);
    if (error != 0)
        log_event(LOG_ERROR, "tombstones", "reason", strerror(-error), "state_dir", state_dir,
                  "to-do",
                  "let the service's user read state_dir/tombstones: it says what was deleted and "
                  "must not be uploaded again",
                  NULL);
    if (error == 0 && odd > 0) {
        char count[24];
        snprintf(count, sizeof count, "%zu", odd);
        log_event(LOG_WARNING, "tombstones", "odd-lines", count, "reason",
                  "lines that a crash has cut count for nothing: nothing relied on them",
                  "state_dir", state_dir, NULL);
    }
    return error;
}

/* --- to the file --- */

struct filing {
    struct service *service;
    struct ledger_tombstone tombstones[SLICE];
    size_t count;
};

static void filing_over(void *ctx)
{
    struct filing *filing = ctx;
    struct service *service = filing->service;
    service->filing = false;
    free(filing);
    erasures_look_soon(service);
}

/* In the file first; and again where the commit fails. */
static void apply_filed(void *ctx, struct ledger *ledger)
{
    struct filing *filing = ctx;
    int error =
        tombstones_append(filing->service->config->state_dir, filing->tombstones, filing->count, 0);
    if (error != 0) {
        log_trouble(LOG_ERROR, "tombstones", "reason", strerror(-error), "state_dir",
                    filing->service->config->state_dir, "to-do",
                    "make room or mend the disk: no deletion is sent before", NULL);
        return;
    }
    for (size_t i = 0; i < filing->count; i++)
        ledger_tombstone_filed(ledger, &filing->tombstones[i]);
}

void blocks_file(struct service *service)
{
    struct ledger *ledger = journal_ledger(service->journal);
    struct ledger_tombstone tombstones[SLICE];
    if (service->filing || service->stopping || ledger == NULL)
        return;
    size_t count = ledger_tombstones_unfiled(ledger, tombstones, SLICE);
    if (count == 0)
        return;
    struct filing *filing = mem_zalloc(sizeof *filing);
    filing->service = service;
    filing->count = count;
    memcpy(filing->tombstones, tombstones, sizeof tombstones);
    service->filing = true;
    journal_add(service->journal,
                &(struct journal_step){apply_filed, filing_over, filing_over, filing});
}
