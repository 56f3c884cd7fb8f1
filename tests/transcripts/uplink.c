#include "tests/transcripts/uplink.h"

#include <math.h>
#include <stdlib.h>

#include "agent/base/mem.h"

enum { START_MS = UPLINK_HISTORY, BBR_CYCLE = 8, BBR_REST_EVERY_MS = 10000, BBR_REST_MS = 200 };
static const double PACKET = 1514;

double uplink_mbit(double mbit)
{
    return mbit * 125000;
}

double uplink_calls(int calls)
{
    return calls * 50.0 * 200;
}

struct uplink *uplink_new(void)
{
    struct uplink *uplink = mem_zalloc(sizeof(*uplink));
    uplink->rate = uplink_mbit(10);
    uplink->calls = uplink_calls(5);
    uplink->queue_bytes = 256 << 10;
    uplink->rtt_ms = 20;
    uplink->noise_ms = 0.5;
    uplink->random = 1;
    delay_init(&uplink->law, UINT64_MAX);
    return uplink;
}

static double draw(struct uplink *uplink)
{
    uplink->random = uplink->random * 1664525 + 1013904223;
    return (double)(uplink->random >> 8) / (1 << 24);
}

static double *at(double *curve, int ms)
{
    return &curve[(unsigned)(ms + START_MS) % UPLINK_HISTORY];
}

/* bbr: what it saw at most in ten round trips, in turn a quarter more and less, and a rest. */
static double bbr_allows(struct uplink *uplink)
{
    static const double gains[BBR_CYCLE] = {1.25, 0.75, 1, 1, 1, 1, 1, 1};
    int trip = uplink->now_ms / (uplink->rtt_ms > 0 ? uplink->rtt_ms : 1);
    double most = 10 * PACKET / uplink->rtt_ms * 1000;
    double now = *at(uplink->acked_curve, uplink->now_ms - 1) -
                 *at(uplink->acked_curve, uplink->now_ms - 1 - uplink->rtt_ms);
    uplink->bandwidth_seen[trip % 10] = now * 1000 / uplink->rtt_ms;
    for (int i = 0; i < 10; i++)
        most = fmax(most, uplink->bandwidth_seen[i]);
    if (uplink->now_ms % BBR_REST_EVERY_MS < BBR_REST_MS)
        return 4 * PACKET / uplink->rtt_ms * 1000;
    return gains[trip % BBR_CYCLE] * most;
}

static double offered(struct uplink *uplink)
{
    double rate = (double)delay_rate(&uplink->law);
    if (uplink->silent)
        return 0;
    if (uplink->server > 0)
        rate = fmin(rate, uplink->server);
    if (uplink->bbr)
        rate = fmin(rate, bbr_allows(uplink));
    return rate / 1000;
}

/* What arrives in this ms; what finds no room is lost, everybody's alike. */
static void arrive(struct uplink *uplink)
{
    int now = uplink->now_ms;
    double before = *at(uplink->came, now - 1), ours = offered(uplink);
    double all = ours + (uplink->calls + uplink->others) / 1000;
    double room = uplink->queue_bytes + uplink->rate / 1000 - (before - uplink->left);
    double kept = all > room ? fmax(room, 0) / all : 1;
    double ours_kept = ours * kept * (1 - uplink->bad_cable);
    uplink->sent += ours;
    uplink->lost += ours - ours_kept;
    *at(uplink->came, now) = before + all * kept;
    *at(uplink->came_ours, now) = *at(uplink->came_ours, now - 1) + ours_kept;
    uplink->dropped[now] = (float)((1 - kept) * all);
    uplink->offered[now] = (float)all;
}

/* What leaves in this ms, and what of it is ours: that which came first. */
static void leave(struct uplink *uplink)
{
    int now = uplink->now_ms;
    double was = uplink->left_ours;
    uplink->left = fmin(uplink->left + uplink->rate / 1000, *at(uplink->came, now));
    while (uplink->oldest_ms < now && *at(uplink->came, uplink->oldest_ms) <= uplink->left)
        uplink->oldest_ms++;
    double a = *at(uplink->came, uplink->oldest_ms - 1), b = *at(uplink->came, uplink->oldest_ms);
    double part = b > a ? fmin(1, (uplink->left - a) / (b - a)) : 1;
    double ours = *at(uplink->came_ours, uplink->oldest_ms - 1);
    ours += part * (*at(uplink->came_ours, uplink->oldest_ms) - ours);
    uplink->left_ours = fmax(was, ours);
    uplink->carried[now] = (float)(uplink->left_ours - was);
    uplink->wait_ms[now] = (float)((*at(uplink->came, now) - uplink->left) * 1000 / uplink->rate);
    uplink->waited_ms[now] = (float)(now - uplink->oldest_ms);
    uplink->room[now] = (float)fmax(0, (uplink->rate - uplink->calls - uplink->others) / 1000);
    *at(uplink->acked_curve, now + uplink->rtt_ms) = uplink->left_ours;
}

/* Of what was acknowledged since the last reading, on average: it left half of that ago and a round
 * trip before. */
static double wait_of_acknowledged(const struct uplink *uplink)
{
    int left = uplink->now_ms - uplink->rtt_ms - DELAY_STEP_MS / 2;
    return left >= 0 ? uplink->waited_ms[left] : 0;
}

static void read_law(struct uplink *uplink)
{
    int now = uplink->now_ms;
    double acked = *at(uplink->acked_curve, now), wait = wait_of_acknowledged(uplink);
    double trip_ms = uplink->rtt_ms + wait + uplink->noise_ms * draw(uplink);
    struct delay_reading reading = {
        .now_us = (int64_t)now * 1000 + 1,
        .rtt_us = acked > uplink->acked_at_read ? (int64_t)(trip_ms * 1000) : 0,
        .acked_bytes = (uint64_t)fmax(0, acked - uplink->acked_at_read),
        .sent_segments = (uint64_t)((uplink->sent - uplink->sent_at_read) / PACKET),
        .lost_segments = (uint64_t)((uplink->lost - uplink->lost_at_read) / PACKET + 0.5),
    };
    uplink->acked_at_read = fmax(acked, uplink->acked_at_read);
    uplink->sent_at_read = uplink->sent;
    uplink->lost_at_read = uplink->lost;
    (void)delay_step(&uplink->law, &reading);
}

void uplink_run(struct uplink *uplink, double seconds)
{
    for (int left = (int)(seconds * 1000); left > 0; left--) {
        arrive(uplink);
        leave(uplink);
        if (uplink->now_ms % DELAY_STEP_MS == 0 && !uplink->silent)
            read_law(uplink);
        uplink->asked[uplink->now_ms] = (float)delay_rate(&uplink->law);
        uplink->now_ms++;
    }
}

/* ---- judging ---- */

static int compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double percentile(const struct uplink *uplink, double from, double to, double part)
{
    int n = (int)((to - from) * 1000);
    float *sorted = mem_zalloc((size_t)n * sizeof(*sorted));
    for (int i = 0; i < n; i++)
        sorted[i] = uplink->wait_ms[(int)(from * 1000) + i];
    qsort(sorted, (size_t)n, sizeof(*sorted), compare);
    double found = sorted[(int)(part * (n - 1))];
    free(sorted);
    return found;
}

double uplink_p99_ms(const struct uplink *uplink, double from, double to)
{
    return percentile(uplink, from, to, 0.99);
}

double uplink_most_ms(const struct uplink *uplink, double from, double to)
{
    return percentile(uplink, from, to, 1);
}

static double sum(const float *values, double from, double to)
{
    double all = 0;
    for (int i = (int)(from * 1000); i < (int)(to * 1000); i++)
        all += values[i];
    return all;
}

double uplink_used(const struct uplink *uplink, double from, double to)
{
    return sum(uplink->carried, from, to) / sum(uplink->room, from, to);
}

double uplink_lost(const struct uplink *uplink, double from, double to)
{
    return sum(uplink->dropped, from, to) / sum(uplink->offered, from, to);
}

double uplink_asked_mbit(const struct uplink *uplink, double from, double to)
{
    return sum(uplink->asked, from, to) / (to - from) / 1000 / 125000;
}
