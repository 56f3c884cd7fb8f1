#include "agent/service/history.h"

#include <stdlib.h>

#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/service/internal.h"

enum {
    FIRST_MS = 60000,   /* a start has more urgent work */
    EVERY_MS = 3600000, /* history is counted in days */
    NEXT_MS = 200,      /* between two batches: calls come first */
    BATCH = 256,        /* lines a commit: some milliseconds */
};

struct history {
    struct service *service;
    uv_timer_t timer;
    int64_t after; /* of the walk that is under way */
    bool stopped;
};

static void on_timer(uv_timer_t *timer);

static uint64_t hour_ms(void)
{
#ifdef CHORUS_MUTANTS
    const char *shorter = getenv("CHORUS_HOUR_MS"); /* as in quiet.c */
    if (shorter != NULL)
        return strtoull(shorter, NULL, 10);
#endif
    return EVERY_MS;
}

static void apply_thin(void *ctx, struct ledger *ledger)
{
    struct history *history = ctx;
    int64_t before_ms = when_now_ms() - history->service->config->history_ms;
    history->after = ledger_thin_stories(ledger, before_ms, history->after, BATCH);
}

static void thin_done(void *ctx)
{
    struct history *history = ctx;
    if (!history->stopped)
        uv_timer_start(&history->timer, on_timer, history->after != 0 ? NEXT_MS : hour_ms(), 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct history *history = timer->data;
    if (!history->stopped)
        journal_add(history->service->journal,
                    &(struct journal_step){apply_thin, thin_done, NULL, history});
}

struct history *history_new(struct service *service)
{
    struct history *history = mem_zalloc(sizeof *history);
    history->service = service;
    uv_timer_init(&service->loop, &history->timer);
    history->timer.data = history;
    uv_timer_start(&history->timer, on_timer, hour_ms() < FIRST_MS ? hour_ms() : FIRST_MS, 0);
    return history;
}

void history_stop(struct history *history)
{
    if (history != NULL)
        history->stopped = true;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void history_close(struct history *history)
{
    if (history != NULL)
        uv_close((uv_handle_t *)&history->timer, on_closed);
}
