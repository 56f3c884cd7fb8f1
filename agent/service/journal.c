#include "agent/service/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <uv.h>

#include "agent/base/mem.h"
#include "agent/base/mutant.h"

enum {
    /* Fewer, and a burst pays an fsync for too few; more, and the loop stands still while they are
       applied. */
    MOST_STEPS_A_COMMIT = 512,
    RETRY_FIRST_MS = 500,
    RETRY_MOST_MS = 15000,
};

struct journal {
    struct ledger *ledger; /* NULL while it cannot be opened */
    char *state_dir;
    struct journal_hooks hooks;
    struct journal_step *steps;
    size_t first, count,
        room;             /* a ring would save nothing: the front is moved down when it is empty */
    uv_prepare_t prepare; /* flushes before the loop sleeps */
    uv_idle_t awake;      /* keeps it from sleeping while steps are left */
    uv_timer_t retry;
    bool trouble;
    int64_t tried_batch; /* the commit that failed last, and how many steps it held */
    size_t tried_count;
    uint64_t retry_ms;
    int open_handles;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static void apply_all(struct journal *journal, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct journal_step *step = &journal->steps[journal->first + i];
        if (step->apply != NULL)
            step->apply(step->ctx, journal->ledger);
    }
}

/* `done` may add steps, and so move the array: each is copied first. */
static void act_on(struct journal *journal, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct journal_step step = journal->steps[journal->first];
        journal->first++;
        journal->count--;
        if (step.done != NULL)
            step.done(step.ctx);
    }
    if (journal->count == 0)
        journal->first = 0;
    if (journal->hooks.committed != NULL)
        journal->hooks.committed(journal->hooks.ctx);
}

static void on_awake(uv_idle_t *handle)
{
    (void)handle;
}

static void on_retry(uv_timer_t *timer);

/* A failed fsync is never tried again on the same file: the ledger is closed, opened anew and read.
 */
static void enter_trouble(struct journal *journal)
{
    if (journal->ledger != NULL) {
        if (!journal->trouble && journal->hooks.trouble != NULL)
            journal->hooks.trouble(journal->hooks.ctx, ledger_error_words(journal->ledger));
        ledger_close(journal->ledger);
        journal->ledger = NULL;
    }
    journal->trouble = true;
    journal->retry_ms = journal->retry_ms == 0 ? RETRY_FIRST_MS : 2 * journal->retry_ms;
    if (journal->retry_ms > RETRY_MOST_MS)
        journal->retry_ms = RETRY_MOST_MS;
    uv_idle_stop(&journal->awake);
    uv_timer_start(&journal->retry, on_retry, journal->retry_ms, 0);
}

static void leave_trouble(struct journal *journal)
{
    if (!journal->trouble)
        return;
    journal->trouble = false;
    journal->retry_ms = 0;
    if (journal->hooks.recovered != NULL)
        journal->hooks.recovered(journal->hooks.ctx);
}

static bool flush(struct journal *journal)
{
    size_t count = journal->count < MOST_STEPS_A_COMMIT ? journal->count : MOST_STEPS_A_COMMIT;
    apply_all(journal, count);
    if (ledger_commit(journal->ledger) != 0 && !mutant("commit-unchecked")) {
        journal->tried_batch = ledger_batch(journal->ledger) + 1;
        journal->tried_count = count;
        enter_trouble(journal);
        return false;
    }
    leave_trouble(journal);
    act_on(journal, count);
    return true;
}

static void on_prepare(uv_prepare_t *handle)
{
    struct journal *journal = handle->data;
    if (journal->ledger == NULL || journal->trouble)
        return;
    if (journal->count > 0)
        flush(journal);
    if (journal->count > 0 && !journal->trouble)
        uv_idle_start(&journal->awake, on_awake);
    else
        uv_idle_stop(&journal->awake);
}

static void on_retry(uv_timer_t *timer)
{
    struct journal *journal = timer->data;
    int error = ledger_open(journal->state_dir, LEDGER_WRITE, &journal->ledger, NULL);
    if (error != 0) {
        journal->ledger = NULL;
        enter_trouble(journal);
        if (error == -EUCLEAN && journal->hooks.broken != NULL)
            journal->hooks.broken(journal->hooks.ctx);
        return;
    }
    if (ledger_batch(journal->ledger) == journal->tried_batch) {
        /* it was committed after all: the steps are applied, and only have to be acted on */
        leave_trouble(journal);
        act_on(journal, journal->tried_count);
        return;
    }
    flush(journal);
}

struct journal *journal_new(uv_loop_t *loop, struct ledger *ledger, const char *state_dir,
                            const struct journal_hooks *hooks)
{
    struct journal *journal = mem_zalloc(sizeof *journal);
    journal->ledger = ledger;
    journal->state_dir = mem_string(state_dir);
    journal->hooks = *hooks;
    uv_prepare_init(loop, &journal->prepare);
    uv_idle_init(loop, &journal->awake);
    uv_timer_init(loop, &journal->retry);
    journal->prepare.data = journal->awake.data = journal->retry.data = journal;
    journal->open_handles = 3;
    uv_prepare_start(&journal->prepare, on_prepare);
    return journal;
}

void journal_add(struct journal *journal, const struct journal_step *step)
{
    if (journal->first > 0 && journal->first + journal->count == journal->room) {
        for (size_t i = 0; i < journal->count; i++)
            journal->steps[i] = journal->steps[journal->first + i];
        journal->first = 0;
    }
    if (journal->count == journal->room) {
        journal->room = journal->room > 0 ? 2 * journal->room : 256;
        journal->steps = mem_resize(journal->steps, journal->room, sizeof *journal->steps);
    }
    journal->steps[journal->first + journal->count++] = *step;
}

struct ledger *journal_ledger(struct journal *journal)
{
    return journal->ledger;
}

bool journal_is_idle(const struct journal *journal)
{
    return journal->count == 0;
}

bool journal_in_trouble(const struct journal *journal)
{
    return journal->trouble;
}

static void on_closed(uv_handle_t *handle)
{
    struct journal *journal = handle->data;
    if (--journal->open_handles > 0)
        return;
    void (*closed)(void *) = journal->closed;
    void *ctx = journal->closed_ctx;
    free(journal->steps);
    free(journal->state_dir);
    free(journal);
    closed(ctx);
}

void journal_close(struct journal *journal, void (*closed)(void *ctx), void *ctx)
{
    while (journal->count > 0 && journal->ledger != NULL && flush(journal))
        ;
    for (size_t i = 0; i < journal->count; i++) {
        const struct journal_step *step = &journal->steps[journal->first + i];
        if (step->drop != NULL)
            step->drop(step->ctx);
    }
    journal->count = 0;
    ledger_close(journal->ledger);
    journal->ledger = NULL;
    journal->closed = closed;
    journal->closed_ctx = ctx;
    uv_close((uv_handle_t *)&journal->prepare, on_closed);
    uv_close((uv_handle_t *)&journal->awake, on_closed);
    uv_close((uv_handle_t *)&journal->retry, on_closed);
}
