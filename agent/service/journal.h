/*
 * The journal: every change of the ledger goes through it, and every effect follows its commit.
 *
 * A step has up to two halves: `apply` changes the ledger, `done` acts. Steps that are ready
 * together share one transaction: all `apply` in order, one commit, then all `done` in order. If
 * the commit fails nothing happened: the same steps are applied again later, from the first (so
 * `apply` must be able to run again), and until then nothing is done and no transfer starts. A
 * step's `done` may add steps.
 *
 * Thread: the loop's.
 */
#ifndef CHORUS_SERVICE_JOURNAL_H
#define CHORUS_SERVICE_JOURNAL_H

#include <stdbool.h>

#include "agent/ledger/ledger.h"

struct uv_loop_s;
struct journal;

/* `ctx` belongs to the step: freed by `done`, or by `drop` if the journal ends first. Any of them
 * may be NULL. */
struct journal_step {
    void (*apply)(void *ctx, struct ledger *ledger);
    void (*done)(void *ctx);
    void (*drop)(void *ctx);
    void *ctx;
};

struct journal_hooks {
    void (*committed)(void *ctx); /* after the `done` of a batch */
    void (*trouble)(void *ctx,
                    const char *words); /* a commit failed; the journal waits and tries again */
    void (*recovered)(void *ctx);
    void (*broken)(void *ctx); /* opened anew it is no ledger any more: only a new start helps */
    void *ctx;
};

/* The journal owns the ledger from now on: it closes and opens it anew after a failure. */
struct journal *journal_new(struct uv_loop_s *loop, struct ledger *ledger, const char *state_dir,
                            const struct journal_hooks *hooks);

void journal_add(struct journal *journal, const struct journal_step *step);

/* For reads between batches. NULL while the ledger cannot be used. */
struct ledger *journal_ledger(struct journal *journal);
bool journal_is_idle(const struct journal *journal);
bool journal_in_trouble(const struct journal *journal);

/* Tries to commit what is there, drops what cannot be committed, closes the ledger. */
void journal_close(struct journal *journal, void (*closed)(void *ctx), void *ctx);

#endif
