#include "agent/service/heartbeat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/base/systemd.h"
#include "agent/base/when.h"
#include "agent/service/internal.h"
#include "watcher/turns.h"

enum {
    /* An exchange is given up after ten stall timeouts at the latest (uploader/pulse.c). Fewer, and
     * a slow answer restarts the service; more, and a stall hides longer. */
    PATIENCE_STALLS = 12,
    PATIENCE_AT_LEAST_MS = 5000,
    FEEDS_A_PERIOD = 2, /* as sd_watchdog_enabled(3) recommends */
};

/* What is looked at, one moment of it. */
struct view {
    int64_t now_ms; /* steady */
    bool due;       /* something can go on now, and nothing says that it must wait */
    uint64_t moved; /* changes whenever anything went on */
};

struct heartbeat {
    struct service *service;
    uv_timer_t timer;
    uint64_t moved;
    int64_t moved_at_ms;
    bool standing; /* and that has been said */
    char *told;    /* the last STATUS */
};

/* --- alive or not --- */

/* For how long what is due has stood still. */
static int64_t still_for(struct heartbeat *heartbeat, const struct view *view)
{
    if (!view->due || view->moved != heartbeat->moved || heartbeat->moved_at_ms == 0) {
        heartbeat->moved = view->moved;
        heartbeat->moved_at_ms = view->now_ms;
    }
    return view->now_ms - heartbeat->moved_at_ms;
}

static void add_sent(void *ctx, const char *path, uint64_t sent, uint64_t size)
{
    (void)path;
    (void)size;
    *(uint64_t *)ctx += sent;
}

/* Transfers that the timetable holds stand still as they should. */
static bool transfers_are_due(const struct service *service)
{
    return service->transfer_count > 0 && !pausing_is_on(service->pausing) &&
           uplink_held_because(service->uplink)[0] == '\0';
}

/* A ledger in trouble is told, and tried again by its own timer. */
static bool is_due(struct service *service, struct ledger *ledger)
{
    if (service->stopping || ledger == NULL || journal_in_trouble(service->journal))
        return false;
    if (transfers_are_due(service) || service->lookups != NULL ||
        !journal_is_idle(service->journal))
        return true;
    struct ledger_counts counts;
    ledger_count(ledger, &counts);
    return counts.state[STATE_QUEUED] > 0 && plan_paused_because(service->plan)[0] == '\0';
}

static void look(struct service *service, struct view *view)
{
    struct ledger *ledger = journal_ledger(service->journal);
    *view = (struct view){.now_ms = when_steady_ms(), .due = is_due(service, ledger)};
    view->moved = service->bytes_sent;
    service_each_transfer(service, add_sent, &view->moved);
    /* bytes of an attempt that is over count in bytes_sent: a commit tells that one is over */
    if (ledger != NULL)
        view->moved += (uint64_t)ledger_batch(ledger) << 40;
}

static void on_timer(uv_timer_t *timer)
{
    struct heartbeat *heartbeat = timer->data;
    struct service *service = heartbeat->service;
    struct view view;
    char age[WHEN_TEXT];
    look(service, &view);
    int64_t patience_ms =
        PATIENCE_STALLS * service->config->upload.stall_timeout_ms + PATIENCE_AT_LEAST_MS;
    int64_t still_ms = still_for(heartbeat, &view);
    if (still_ms < patience_ms) {
        heartbeat->standing = false;
        systemd_notify("WATCHDOG=1");
        return;
    }
    if (heartbeat->standing)
        return;
    heartbeat->standing = true;
    when_about(still_ms, age);
    log_event(LOG_ERROR, "standing-still", "for", age, "reason",
              "recordings are due, and nothing went on: the watchdog is no longer fed, so that the "
              "service manager starts the service anew",
              NULL);
}

/* --- words --- */

static char *waiting_words(const struct ledger_counts *counts)
{
    int64_t waiting =
        counts->state[STATE_QUEUED] + counts->state[STATE_WAITING] + counts->state[STATE_UNCERTAIN];
    int64_t held = counts->state[STATE_HELD], failed = counts->state[STATE_FAILED];
    char *held_words = held > 0 ? mem_printf(", %" PRId64 " held", held) : mem_string("");
    char *failed_words = failed > 0 ? mem_printf(", %" PRId64 " failed", failed) : mem_string("");
    char *words = mem_printf("%" PRId64 " uploaded, %" PRId64 " waiting%s%s",
                             counts->state[STATE_UPLOADED], waiting, held_words, failed_words);
    free(held_words);
    free(failed_words);
    return words;
}

static char *offline_words(const struct service *service)
{
    char *words = mem_string("");
    for (const struct folder *f = service->folders; f != NULL; f = f->next) {
        /* without a reason it has not been looked at yet */
        if (f->bulk == NULL && !f->closing && !f->online && f->reason[0] != '\0')
            mem_replace(&words, mem_printf("%s; watch %s is offline", words, f->watch_name));
    }
    return words;
}

static char *status_words(struct service *service)
{
    struct ledger_counts counts;
    struct ledger *ledger = journal_ledger(service->journal);
    const char *paused = plan_paused_because(service->plan);
    if (ledger == NULL || journal_in_trouble(service->journal))
        return mem_string("STATUS=paused: the ledger cannot be written");
    ledger_count(ledger, &counts);
    char *waiting = waiting_words(&counts), *offline = offline_words(service);
    /* what Chorus said may hold line ends: each would begin another assignment */
    char *escaped = bytes_escape(paused);
    const char *slowed = turns_words(service->turns);
    char *words =
        mem_printf("STATUS=%s%s%s%zu sending, %s%s%s%s", paused[0] != '\0' ? "paused: " : "",
                   escaped, paused[0] != '\0' ? "; " : "", service->transfer_count, waiting,
                   offline, slowed[0] != '\0' ? "; " : "", slowed);
    free(escaped);
    free(waiting);
    free(offline);
    return words;
}

void heartbeat_tell(struct heartbeat *heartbeat)
{
    if (heartbeat == NULL || heartbeat->service->stopping)
        return;
    char *words = status_words(heartbeat->service);
    if (heartbeat->told != NULL && strcmp(words, heartbeat->told) == 0) {
        free(words);
        return;
    }
    systemd_notify(words);
    mem_replace(&heartbeat->told, words);
}

/* --- life --- */

void heartbeat_ready(struct heartbeat *heartbeat)
{
    if (heartbeat != NULL)
        systemd_notify("READY=1");
}

void heartbeat_reloading(struct heartbeat *heartbeat)
{
    char text[64];
    struct timespec now;
    if (heartbeat == NULL)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
             (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    systemd_notify(text);
}

void heartbeat_stopping(struct heartbeat *heartbeat)
{
    if (heartbeat != NULL)
        systemd_notify("STOPPING=1\nSTATUS=stopping");
}

struct heartbeat *heartbeat_new(struct service *service)
{
    struct heartbeat *heartbeat = mem_zalloc(sizeof *heartbeat);
    int64_t period_ms = systemd_watchdog_ms();
    heartbeat->service = service;
    uv_timer_init(&service->loop, &heartbeat->timer);
    heartbeat->timer.data = heartbeat;
    if (period_ms > 0) {
        uint64_t every_ms = (uint64_t)(period_ms / FEEDS_A_PERIOD + 1);
        uv_timer_start(&heartbeat->timer, on_timer, 0, every_ms);
    }
    heartbeat_ready(heartbeat);
    heartbeat_tell(heartbeat);
    return heartbeat;
}

static void on_closed(uv_handle_t *handle)
{
    struct heartbeat *heartbeat = handle->data;
    free(heartbeat->told);
    free(heartbeat);
}

void heartbeat_close(struct heartbeat *heartbeat)
{
    if (heartbeat != NULL)
        uv_close((uv_handle_t *)&heartbeat->timer, on_closed);
}
