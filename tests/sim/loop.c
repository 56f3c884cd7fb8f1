/*
 * Virtual time: a queue of what is to happen, and the few functions of libuv that the service's
 * code calls, over it. An iteration runs as libuv's does: timers, prepare, then what has come in.
 */
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "agent/base/when.h"
#include "tests/sim/sim.h"

enum { MOST_HAPPENINGS = 1 << 15, MOST_TIMERS = 32, SAME_MOMENT_MS = 2, MOST_TURNS = 20000 };

struct happening {
    int64_t at_ms;
    uint64_t order;
    unsigned life; /* 0: of the world */
    sim_happening run;
    void *ctx;
    int64_t number;
};

struct timer {
    uv_timer_t *handle;
    uv_timer_cb run;
    int64_t at_ms, repeat_ms;
    uint64_t order;
};

struct sim sim;

static struct {
    struct happening heap[MOST_HAPPENINGS];
    size_t count;
    uint64_t order;
    struct timer timers[MOST_TIMERS];
    size_t timer_count;
    uv_prepare_t *prepare;
    uv_prepare_cb on_prepare;
    bool awake; /* an idle handle keeps the loop from sleeping */
} loop;

/* --- the clocks of the program --- */

int64_t __wrap_when_now_ms(void);
int64_t __wrap_when_steady_ms(void);

int64_t sim_wall_ms(void)
{
    return INT64_C(1800000000000) + sim.steady_ms + sim.wall_offset_ms;
}

int64_t __wrap_when_now_ms(void)
{
    return sim_wall_ms();
}

int64_t __wrap_when_steady_ms(void)
{
    return sim.steady_ms;
}

/* --- death --- */

void sim_die(void)
{
    if (sim.dead || sim.life == 0)
        return;
    sim.dead = true;
    sim.dies_in = 0;
    sim.crashes++;
    trace(sim.dies_by_power ? "*** the power is cut" : "*** killed", (int64_t)sim.life, 0, 0);
}

void sim_point(void)
{
    if (!sim.dead && sim.dies_in > 0 && --sim.dies_in == 0)
        sim_die();
}

/* --- what is to happen --- */

static bool goes_before(const struct happening *a, const struct happening *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void swap(size_t i, size_t j)
{
    struct happening one = loop.heap[i];
    loop.heap[i] = loop.heap[j];
    loop.heap[j] = one;
}

static void put(int64_t delay_ms, unsigned life, sim_happening run, void *ctx, int64_t number)
{
    if (loop.count == MOST_HAPPENINGS) {
        violated("the simulation itself: too much is to happen at once");
        return;
    }
    size_t i = loop.count++;
    loop.heap[i] = (struct happening){
        sim.steady_ms + (delay_ms > 0 ? delay_ms : 0), loop.order++, life, run, ctx, number};
    for (; i > 0 && goes_before(&loop.heap[i], &loop.heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(i, (i - 1) / 2);
}

static struct happening take_first(void)
{
    struct happening first = loop.heap[0];
    loop.heap[0] = loop.heap[--loop.count];
    for (size_t i = 0;;) {
        size_t least = i, left = 2 * i + 1, right = 2 * i + 2;
        if (left < loop.count && goes_before(&loop.heap[left], &loop.heap[least]))
            least = left;
        if (right < loop.count && goes_before(&loop.heap[right], &loop.heap[least]))
            least = right;
        if (least == i)
            return first;
        swap(i, least);
        i = least;
    }
}

void sim_at(int64_t delay_ms, sim_happening happening, void *ctx, int64_t number)
{
    put(delay_ms, 0, happening, ctx, number);
}

void sim_in_life(int64_t delay_ms, sim_happening happening, void *ctx, int64_t number)
{
    if (!sim.dead && sim.life != 0)
        put(delay_ms, sim.life, happening, ctx, number);
}

/* --- the loop --- */

void loop_begin(void)
{
    loop.count = 0;
    loop.order = 0;
    loop_end_life();
}

void loop_end_life(void)
{
    loop.timer_count = 0;
    loop.prepare = NULL;
    loop.awake = false;
}

static int first_timer(void)
{
    int first = -1;
    for (size_t i = 0; i < loop.timer_count; i++) {
        const struct timer *best = first >= 0 ? &loop.timers[first] : NULL, *t = &loop.timers[i];
        if (best == NULL || t->at_ms < best->at_ms ||
            (t->at_ms == best->at_ms && t->order < best->order))
            first = (int)i;
    }
    return first;
}

static void run_timers(void)
{
    int i;
    uint64_t until = loop.order; /* one that is set anew waits for the next iteration */
    while (!sim.dead && (i = first_timer()) >= 0 && loop.timers[i].at_ms <= sim.steady_ms &&
           loop.timers[i].order < until) {
        struct timer timer = loop.timers[i];
        if (timer.repeat_ms > 0) {
            loop.timers[i].at_ms = sim.steady_ms + timer.repeat_ms;
            loop.timers[i].order = loop.order++;
        } else {
            loop.timers[i] = loop.timers[--loop.timer_count];
        }
        sim_point();
        timer.run(timer.handle);
    }
}

static int64_t next_moment(void)
{
    int timer = first_timer();
    int64_t at = loop.count > 0 ? loop.heap[0].at_ms : INT64_MAX;
    return timer >= 0 && loop.timers[timer].at_ms < at ? loop.timers[timer].at_ms : at;
}

static void run_what_came_in(void)
{
    /* what comes in together is handled in one iteration, and shares a commit */
    int64_t moment = sim.steady_ms;
    while (!sim.dead && !sim.failed && !sim.ended && loop.count > 0 &&
           loop.heap[0].at_ms <= moment) {
        struct happening now = take_first();
        if (now.life != 0 && now.life != sim.life)
            continue;
        if (now.life != 0)
            sim_point();
        if (!sim.dead || now.life == 0)
            now.run(now.ctx, now.number);
    }
}

bool loop_run(int64_t until_ms)
{
    int64_t moment_ms = sim.steady_ms;
    for (int turns = 0; !sim.dead && !sim.failed && !sim.ended; turns++) {
        if (sim.steady_ms != moment_ms)
            turns = 0;
        moment_ms = sim.steady_ms;
        if (turns > MOST_TURNS)
            violated("the loop spins: time does not pass");
        run_timers();
        if (loop.prepare != NULL && !sim.dead)
            loop.on_prepare(loop.prepare);
        if (sim.dead)
            break;
        if (!loop.awake) {
            int64_t at = next_moment();
            if (at > until_ms) {
                sim.steady_ms = until_ms > sim.steady_ms ? until_ms : sim.steady_ms;
                return true;
            }
            if (at > sim.steady_ms)
                sim.steady_ms = at + (sim.life != 0 ? dice_between(0, SAME_MOMENT_MS) : 0);
        }
        run_what_came_in();
    }
    return false;
}

/* --- libuv --- */

int uv_timer_init(uv_loop_t *in, uv_timer_t *handle)
{
    (void)in;
    memset(handle, 0, sizeof *handle);
    return 0;
}

int uv_timer_stop(uv_timer_t *handle)
{
    for (size_t i = 0; i < loop.timer_count; i++) {
        if (loop.timers[i].handle == handle) {
            loop.timers[i] = loop.timers[--loop.timer_count];
            return 0;
        }
    }
    return 0;
}

int uv_timer_start(uv_timer_t *handle, uv_timer_cb run, uint64_t wait, uint64_t repeat)
{
    uv_timer_stop(handle);
    sim_point();
    if (sim.dead)
        return 0;
    if (loop.timer_count == MOST_TIMERS) {
        violated("the simulation itself: too many timers");
        return 0;
    }
    loop.timers[loop.timer_count++] =
        (struct timer){handle, run, sim.steady_ms + (int64_t)wait, (int64_t)repeat, loop.order++};
    return 0;
}

int uv_prepare_init(uv_loop_t *in, uv_prepare_t *handle)
{
    (void)in;
    memset(handle, 0, sizeof *handle);
    return 0;
}

int uv_prepare_start(uv_prepare_t *handle, uv_prepare_cb run)
{
    loop.prepare = handle;
    loop.on_prepare = run;
    return 0;
}

int uv_idle_init(uv_loop_t *in, uv_idle_t *handle)
{
    (void)in;
    memset(handle, 0, sizeof *handle);
    return 0;
}

int uv_idle_start(uv_idle_t *handle, uv_idle_cb run)
{
    (void)handle, (void)run;
    loop.awake = true;
    return 0;
}

int uv_idle_stop(uv_idle_t *handle)
{
    (void)handle;
    loop.awake = false;
    return 0;
}

struct pool_work {
    uv_work_t *work;
    uv_work_cb run;
    uv_after_work_cb after;
};

static void after_pool(void *ctx, int64_t number)
{
    struct pool_work *job = ctx;
    (void)number;
    job->after(job->work, 0);
    free(job);
}

static void on_pool(void *ctx, int64_t number)
{
    struct pool_work *job = ctx;
    (void)number;
    job->run(job->work);
    bool hangs = sim.faults.hangs && !sim.faults_are_over && dice_one_in(20);
    sim_in_life(hangs ? dice_between(0, 90 * S) : dice_between(0, 20), after_pool, job, 0);
}

int uv_queue_work(uv_loop_t *in, uv_work_t *work, uv_work_cb run, uv_after_work_cb after)
{
    (void)in;
    struct pool_work *job = malloc(sizeof *job);
    if (job == NULL)
        abort();
    *job = (struct pool_work){work, run, after};
    /* a mount that hangs, before the work is done or after */
    bool hangs = sim.faults.hangs && !sim.faults_are_over && dice_one_in(20);
    sim_in_life(hangs ? dice_between(0, 90 * S) : dice_between(0, 50), on_pool, job, 0);
    return 0;
}

struct closing {
    uv_handle_t *handle;
    uv_close_cb closed;
};

static void on_close(void *ctx, int64_t number)
{
    struct closing *closing = ctx;
    (void)number;
    if (closing->closed != NULL)
        closing->closed(closing->handle);
    free(closing);
}

void uv_close(uv_handle_t *handle, uv_close_cb closed)
{
    uv_timer_stop((uv_timer_t *)handle);
    if ((uv_handle_t *)loop.prepare == handle)
        loop.prepare = NULL;
    struct closing *closing = malloc(sizeof *closing);
    if (closing == NULL)
        abort();
    *closing = (struct closing){handle, closed};
    sim_in_life(0, on_close, closing, 0);
}

uint64_t uv_now(const uv_loop_t *in)
{
    (void)in;
    return (uint64_t)sim.steady_ms;
}
