/* The service's part of a pause that a person asked for: what the ledger says is in force, from the
 * start on, and its end comes by itself. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/service/internal.h"
#include "agent/service/pause.h"

/* The end is a wall-clock time, and that clock may be set: looked at so often. */
enum { LONGEST_SLEEP_MS = 60000 };

struct pausing {
    struct service *service;
    uv_timer_t timer;
    char *words; /* of the pause in force; NULL: none */
};

static void on_timer(uv_timer_t *timer);

static void sleep_until_over(struct pausing *pausing, const struct ledger_pause *pause)
{
    int64_t wait_ms = pause->until_ms - when_now_ms();
    wait_ms = wait_ms < 0 ? 0 : wait_ms > LONGEST_SLEEP_MS ? LONGEST_SLEEP_MS : wait_ms;
    uv_timer_start(&pausing->timer, on_timer, (uint64_t)wait_ms, 0);
}

static void tell(const struct pausing *pausing)
{
    if (pausing->words != NULL)
        log_event(LOG_WARNING, "paused", "reason", pausing->words, "to-do",
                  "nothing is sent until then; `chorus-agent resume` ends it at once", NULL);
    else
        log_event(LOG_INFO, "resumed", "reason", "the pause is over", NULL);
}

void pausing_look(struct pausing *pausing)
{
    struct service *service = pausing->service;
    struct ledger *ledger = journal_ledger(service->journal);
    struct ledger_pause pause;
    if (ledger == NULL || service->stopping)
        return;
    char *words = pause_words(ledger, when_now_ms());
    bool same = words == NULL ? pausing->words == NULL
                              : pausing->words != NULL && strcmp(words, pausing->words) == 0;
    mem_replace(&pausing->words, words);
    uv_timer_stop(&pausing->timer);
    if (ledger_get_pause(ledger, &pause) && pause.until_ms != LEDGER_PAUSE_OPEN)
        sleep_until_over(pausing, &pause);
    if (same)
        return;
    tell(pausing);
    pausing_tell_plan(pausing);
    uplink_look(service->uplink);
    service_moved(service);
}

void pausing_tell_plan(struct pausing *pausing)
{
    struct service *service = pausing->service;
    struct plan_event event = {.kind = PLAN_PAUSE, .said = pausing->words};
    if (event.said == NULL)
        event.said = uplink_held_because(service->uplink);
    service_plan(service, &event);
}

/* Over: the ledger forgets it, if no other one has taken its place meanwhile. */
static void apply_end(void *ctx, struct ledger *ledger)
{
    struct ledger_pause pause;
    (void)ctx;
    if (ledger_get_pause(ledger, &pause) && pause.until_ms <= when_now_ms())
        ledger_set_pause(ledger, NULL);
}

static void end_done(void *ctx)
{
    const struct service *service = ctx;
    pausing_look(service->pausing);
}

static void on_timer(uv_timer_t *timer)
{
    const struct pausing *pausing = timer->data;
    journal_add(pausing->service->journal,
                &(struct journal_step){apply_end, end_done, NULL, pausing->service});
}

bool pausing_is_on(const struct pausing *pausing)
{
    return pausing->words != NULL;
}

struct pausing *pausing_new(struct service *service)
{
    struct pausing *pausing = mem_zalloc(sizeof *pausing);
    pausing->service = service;
    uv_timer_init(&service->loop, &pausing->timer);
    pausing->timer.data = pausing;
    return pausing;
}

static void on_closed(uv_handle_t *handle)
{
    struct pausing *pausing = handle->data;
    free(pausing->words);
    free(pausing);
}

void pausing_close(struct pausing *pausing)
{
    uv_close((uv_handle_t *)&pausing->timer, on_closed);
}
