#include "agent/service/auto_rate.h"

#include <stdlib.h>

#include "agent/bandwidth/delay.h"
#include "agent/base/mem.h"
#include "agent/service/internal.h"
#include "uploader/uploader.h"

struct auto_rate {
    struct service *service;
    struct delay_law law;
    uv_timer_t timer;
    bool on;
};

struct auto_rate *auto_rate_new(struct service *service)
{
    struct auto_rate *rate = mem_zalloc(sizeof *rate);
    rate->service = service;
    delay_init(&rate->law, UPLOADER_UNLIMITED);
    uv_timer_init(&service->loop, &rate->timer);
    rate->timer.data = rate;
    return rate;
}

static void step(struct auto_rate *rate)
{
    struct uploader_path path;
    uploader_read_path(rate->service->uploader, &path);
    struct delay_reading reading = {
        .now_us = (int64_t)(uv_hrtime() / 1000),
        .rtt_us = path.rtt_us,
        .acked_bytes = path.acked_bytes,
        .sent_segments = path.sent_segments,
        .lost_segments = path.resent_segments,
    };
    uploader_set_rate(rate->service->uploader, delay_step(&rate->law, &reading));
}

static void on_timer(uv_timer_t *timer)
{
    struct auto_rate *rate = timer->data;
    if (rate->service->transfer_count == 0)
        uv_timer_stop(timer);
    else
        step(rate);
}

void auto_rate_wake(struct auto_rate *rate)
{
    if (!rate->on || uv_is_active((uv_handle_t *)&rate->timer))
        return;
    step(rate);
    uv_timer_start(&rate->timer, on_timer, DELAY_STEP_MS, DELAY_STEP_MS);
}

void auto_rate_on(struct auto_rate *rate, uint64_t ceiling)
{
    rate->on = true;
    delay_limit(&rate->law, ceiling);
    uploader_set_rate(rate->service->uploader, delay_rate(&rate->law));
    if (rate->service->transfer_count > 0)
        auto_rate_wake(rate);
}

void auto_rate_off(struct auto_rate *rate)
{
    rate->on = false;
    uv_timer_stop(&rate->timer);
}

uint64_t auto_rate_now(const struct auto_rate *rate)
{
    return rate->on ? delay_rate(&rate->law) : 0;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void auto_rate_close(struct auto_rate *rate)
{
    uv_close((uv_handle_t *)&rate->timer, on_closed);
}
