/*
 * Forgetting: so long after the last proof (delete.keep_details), the ledger loses what told of a
 * deleted recording; a few recordings a step, and then also its WAL and its free pages. Once a day
 * the head of the audit's chain goes into the log, where whoever changes the ledger does not reach
 * it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/ledger/deletions.h"
#include "agent/service/internal.h"

#define HOUR_MS (INT64_C(60) * 60000)
#define DAY_MS (24 * HOUR_MS)
enum {
    SLICE = 64, /* more, and the loop stands still while their stories are wiped */
    FIRST_LOOK_MS = 1000,
    SHORTEST_SLEEP_MS = 100,
};

struct forgetting {
    struct service *service;
    uv_timer_t timer;
    size_t wiped;
    int64_t next_ms;
    bool unscrubbed; /* something was wiped, and may still be read in free pages */
    bool busy, closing;

    /* the head, on the pool: following the chain takes time */
    uv_work_t work;
    bool running;
    int64_t told_ms; /* steady: when the head was told; 0: not yet in this life */
    char *state_dir;
    int64_t rows, broken_at;
    char head[65];
    char *why;
};

static void on_timer(uv_timer_t *timer);

static void sleep_for(struct forgetting *forgetting, int64_t ms)
{
    if (forgetting->closing)
        return;
    ms = ms < SHORTEST_SLEEP_MS ? SHORTEST_SLEEP_MS : ms > HOUR_MS ? HOUR_MS : ms;
    uv_timer_start(&forgetting->timer, on_timer, (uint64_t)ms, 0);
}

/* --- the head of the chain --- */

static void on_verify(uv_work_t *work)
{
    struct forgetting *forgetting = work->data;
    struct ledger *ledger;
    forgetting->broken_at = forgetting->rows = 0;
    if (ledger_open(forgetting->state_dir, LEDGER_READ, &ledger, NULL) != 0)
        return;
    forgetting->broken_at =
        ledger_audit_verify(ledger, &forgetting->rows, forgetting->head, &forgetting->why);
    ledger_close(ledger);
}

static void after_verify(uv_work_t *work, int status)
{
    struct forgetting *forgetting = work->data;
    char number[24];
    (void)status;
    forgetting->running = false;
    if (forgetting->broken_at != 0) {
        snprintf(number, sizeof number, "%" PRId64, forgetting->broken_at);
        log_event(LOG_ERROR, "audit-broken", "row", number, "reason", forgetting->why, "to-do",
                  "the audit was changed: compare it with a copy, and with the heads in the log",
                  NULL);
        service_note_error(forgetting->service, NULL, "the audit of deletions was changed");
    } else if (forgetting->rows > 0) {
        snprintf(number, sizeof number, "%" PRId64, forgetting->rows);
        log_event(LOG_INFO, "audit-head", "rows", number, "head", forgetting->head, NULL);
    }
    mem_replace(&forgetting->why, NULL);
    mem_replace(&forgetting->state_dir, NULL);
}

static void tell_head_once_a_day(struct forgetting *forgetting)
{
    bool told = forgetting->told_ms != 0 && when_steady_ms() - forgetting->told_ms < DAY_MS;
    if (told || forgetting->running || forgetting->closing)
        return;
    forgetting->told_ms = when_steady_ms();
    forgetting->state_dir = mem_string(forgetting->service->config->state_dir);
    forgetting->work.data = forgetting;
    forgetting->running =
        uv_queue_work(&forgetting->service->loop, &forgetting->work, on_verify, after_verify) == 0;
}

/* --- wiping --- */

static void apply_wipe(void *ctx, struct ledger *ledger)
{
    struct forgetting *forgetting = ctx;
    int64_t before_ms = when_now_ms() - forgetting->service->config->delete_.keep_details_ms;
    forgetting->wiped = ledger_wipe_details(ledger, before_ms, SLICE, &forgetting->next_ms);
}

static void scrub(struct forgetting *forgetting)
{
    struct ledger *ledger = journal_ledger(forgetting->service->journal);
    int error = ledger != NULL ? ledger_scrub(ledger) : -1;
    forgetting->unscrubbed = error != 0; /* somebody reads it just now: again at the next look */
}

static void wipe_done(void *ctx)
{
    struct forgetting *forgetting = ctx;
    forgetting->busy = false;
    if (forgetting->wiped > 0) {
        forgetting->unscrubbed = true;
        sleep_for(forgetting, 0);
        return;
    }
    if (forgetting->unscrubbed)
        scrub(forgetting);
    tell_head_once_a_day(forgetting);
    int64_t wait_ms = HOUR_MS;
    if (forgetting->unscrubbed)
        wait_ms = FIRST_LOOK_MS;
    else if (forgetting->next_ms != 0)
        wait_ms = forgetting->next_ms + forgetting->service->config->delete_.keep_details_ms -
                  when_now_ms();
    sleep_for(forgetting, wait_ms > FIRST_LOOK_MS ? wait_ms : FIRST_LOOK_MS);
}

static void wipe_dropped(void *ctx)
{
    struct forgetting *forgetting = ctx;
    forgetting->busy = false;
}

static void on_timer(uv_timer_t *timer)
{
    struct forgetting *forgetting = timer->data;
    if (forgetting->busy || forgetting->closing)
        return;
    forgetting->busy = true;
    journal_add(forgetting->service->journal,
                &(struct journal_step){apply_wipe, wipe_done, wipe_dropped, forgetting});
}

/* --- its life --- */

void forgetting_look_soon(struct service *service)
{
    struct forgetting *forgetting = service->forgetting;
    if (forgetting != NULL && !forgetting->busy)
        sleep_for(forgetting, FIRST_LOOK_MS);
}

struct forgetting *forgetting_new(struct service *service)
{
    struct forgetting *forgetting = mem_zalloc(sizeof *forgetting);
    forgetting->service = service;
    forgetting->unscrubbed = true; /* the last life may have ended in between */
    uv_timer_init(&service->loop, &forgetting->timer);
    forgetting->timer.data = forgetting;
    sleep_for(forgetting, FIRST_LOOK_MS);
    return forgetting;
}

void forgetting_stop(struct forgetting *forgetting)
{
    forgetting->closing = true;
    uv_timer_stop(&forgetting->timer);
}

bool forgetting_is_idle(const struct forgetting *forgetting)
{
    return !forgetting->running;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void forgetting_close(struct forgetting *forgetting)
{
    uv_close((uv_handle_t *)&forgetting->timer, on_closed);
}
