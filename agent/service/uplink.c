/*
 * What the timetable says now, carried out: the uploader's rate, a fixed one or one that follows
 * the link, and a pause where nothing may leave. Looked at again when something else comes into
 * force, and once a minute while there are windows, for the wall clock may be set and the time zone
 * changed.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/service/auto_rate.h"
#include "agent/service/busy.h"
#include "agent/service/internal.h"

enum { LONGEST_SLEEP_MS = 60000 };

struct uplink {
    struct service *service;
    uv_timer_t timer;
    struct busy *busy;
    struct bandwidth_now now; /* its window is the present configuration's */
    struct auto_rate *auto_rate;
    char *words;        /* what is in force */
    char *held_because; /* "": something may leave */
};

static void on_trouble(void *ctx, const char *what, int error)
{
    (void)ctx;
    log_event(LOG_WARNING, "bandwidth", "reason", what, "error", strerror(error), "to-do",
              "nothing: uploads go on, less smoothly or unmarked", NULL);
}

static uint64_t bytes_of(const struct rate *rate)
{
    return rate->kind == RATE_FIXED ? rate->bytes_per_s : UPLOADER_UNLIMITED;
}

static void set_rate(struct uplink *uplink)
{
    struct service *service = uplink->service;
    const struct rate *rate = &uplink->now.rate;
    bool paused = pausing_is_on(service->pausing); /* the uplink is free at once */
    if (rate->kind == RATE_AUTO && !paused) {
        auto_rate_on(uplink->auto_rate, bytes_of(&service->config->bandwidth.ceiling));
        return;
    }
    auto_rate_off(uplink->auto_rate);
    uploader_set_rate(service->uploader, paused ? 0 : bytes_of(rate));
}

static void tell_plan(struct uplink *uplink)
{
    char *held_because = bandwidth_held_words(&uplink->now);
    bool same = strcmp(held_because, uplink->held_because) == 0;
    mem_replace(&uplink->held_because, held_because);
    if (same)
        return;
    pausing_tell_plan(uplink->service->pausing);
}

/* What is in force by default is no news at the start. */
static void tell_log(struct uplink *uplink)
{
    char *words = bandwidth_words(&uplink->now);
    bool same = strcmp(words, uplink->words) == 0;
    mem_replace(&uplink->words, words);
    if (same)
        return;
    log_event(LOG_INFO, "bandwidth", "in-force", words, "reason",
              uplink->held_because[0] != '\0' ? uplink->held_because : NULL, NULL);
    service_moved(uplink->service);
}

static void on_timer(uv_timer_t *timer)
{
    uplink_look(timer->data);
}

static void on_busy_changed(void *ctx)
{
    uplink_look(ctx);
}

void uplink_look(struct uplink *uplink)
{
    struct service *service = uplink->service;
    const struct bandwidth *bandwidth = &service->config->bandwidth;
    int64_t now_ms = when_now_ms();
    uplink->now = bandwidth_in_force(bandwidth, now_ms);
    if (busy_is_so(uplink->busy))
        bandwidth_when_busy(bandwidth, busy_words(uplink->busy), &uplink->now);
    set_rate(uplink);
    tell_plan(uplink);
    tell_log(uplink);
    if (bandwidth->window_count == 0)
        return;
    int64_t wait_ms = uplink->now.until_ms != 0 ? uplink->now.until_ms - now_ms : LONGEST_SLEEP_MS;
    uv_timer_start(&uplink->timer, on_timer,
                   (uint64_t)(wait_ms < LONGEST_SLEEP_MS ? wait_ms : LONGEST_SLEEP_MS), 0);
}

void uplink_configure(struct uplink *uplink)
{
    uv_timer_stop(&uplink->timer);
    const struct config *config = uplink->service->config;
    uploader_set_dscp(uplink->service->uploader, config->bandwidth.dscp);
    busy_configure(uplink->busy, config->busy.command.items, config->busy.command.count,
                   config->busy.every_ms);
    uplink_look(uplink);
}

struct bandwidth_now uplink_in_force(const struct uplink *uplink)
{
    struct bandwidth_now now = uplink->now;
    now.present = auto_rate_now(uplink->auto_rate);
    return now;
}

const char *uplink_held_because(const struct uplink *uplink)
{
    return uplink->held_because;
}

bool uplink_is_held_for_a_time(const struct uplink *uplink)
{
    const struct bandwidth_now *now = &uplink->now;
    return rate_is_none(&now->rate) && now->busy == NULL && now->window != NULL &&
           now->until_ms != 0;
}

struct uplink *uplink_new(struct service *service)
{
    struct uplink *uplink = mem_zalloc(sizeof *uplink);
    uplink->service = service;
    uplink->words = mem_string("unlimited");
    uplink->held_because = mem_string("");
    uplink->auto_rate = auto_rate_new(service);
    uv_timer_init(&service->loop, &uplink->timer);
    uplink->timer.data = uplink;
    uplink->busy = busy_new(&service->loop, on_busy_changed, uplink);
    uploader_on_trouble(service->uploader, on_trouble, service);
    return uplink;
}

static void on_closed(uv_handle_t *handle)
{
    struct uplink *uplink = handle->data;
    free(uplink->words);
    free(uplink->held_because);
    free(uplink);
}

void uplink_upload_began(struct uplink *uplink)
{
    auto_rate_wake(uplink->auto_rate);
}

void uplink_stop(struct uplink *uplink)
{
    busy_stop(uplink->busy);
}

bool uplink_is_idle(const struct uplink *uplink)
{
    return busy_is_idle(uplink->busy);
}

void uplink_close(struct uplink *uplink)
{
    auto_rate_close(uplink->auto_rate);
    busy_close(uplink->busy);
    uv_close((uv_handle_t *)&uplink->timer, on_closed);
}
