#include "watcher/turns.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "watcher/steady.h"

enum {
    MEASURE_MS = 2000, /* the kernel works its averages out no more often */
    /* Slowed, a turn is followed by so many times its length of rest: a tenth of the time is used.
     * More, and a backlog takes days; fewer, and the dialer does not notice that we yield. */
    REST_TIMES = 9,
    REST_MOST_MS = 2000, /* longer, and a call that has just ended waits for it */
};

struct turns {
    uv_timer_t timer;
    struct turns_options options;
    void (*changed)(void *ctx);
    void *ctx;
    struct turn *waiting, *out;
    bool serving;
    struct pressure pressure;
    enum pressure_verdict verdict;
    int64_t measured_ms, rest_until_ms;
    char words[160];
};

static void unlink_turn(struct turn **list, struct turn *turn)
{
    while (*list != turn) {
        list = &(*list)->next;
    }
    *list = turn->next;
}

/* --- the machine --- */

static void say(struct turns *turns)
{
    const struct pressure *p = &turns->pressure;
    int limit = turns->options.max_load;
    turns->words[0] = '\0';
    if (turns->verdict == PRESSURE_SLOW) {
        snprintf(turns->words, sizeof turns->words,
                 "others wait for the disk (I/O pressure %d.%02d %%): scans and checksums take a "
                 "tenth of the time",
                 p->io / 100, p->io % 100);
    } else if (turns->verdict == PRESSURE_STOP) {
        snprintf(turns->words, sizeof turns->words,
                 "the load of %d.%02d is above max_load %d.%02d: no scan and no checksum begins; "
                 "transfers go on",
                 p->load / 100, p->load % 100, limit / 100, limit % 100);
    }
}

static void measure(struct turns *turns, int64_t at_ms, enum pressure_verdict before)
{
    enum pressure_verdict was = turns->verdict;
    turns->measured_ms = at_ms;
    pressure_read(turns->options.proc, &turns->pressure);
    turns->verdict = pressure_judge(&turns->pressure, turns->options.max_load, before);
    if (turns->verdict != PRESSURE_SLOW) {
        turns->rest_until_ms = 0;
    }
    if (turns->verdict != was) {
        say(turns); /* the figures that decided: who repeats the words repeats the same ones */
        turns->changed(turns->ctx);
    }
}

static void measure_if_due(struct turns *turns, int64_t at_ms)
{
    if (at_ms - turns->measured_ms >= MEASURE_MS) {
        measure(turns, at_ms, turns->verdict);
    }
}

/* --- turns --- */

struct census {
    int looks, bulk;
    int64_t still_at_ms; /* when the next one counts as hanging; INT64_MAX: none */
};

static struct census count_out(struct turns *turns, int64_t at_ms)
{
    struct census census = {.still_at_ms = INT64_MAX};
    for (struct turn *turn = turns->out; turn; turn = turn->next) {
        int64_t still_at_ms = atomic_load(&turn->moved_ms) + TURNS_STILL_MS;
        if (turn->state == TURN_STILL || at_ms >= still_at_ms) {
            turn->state = TURN_STILL;
            continue;
        }
        *(turn->kind == TURN_BULK ? &census.bulk : &census.looks) += 1;
        census.still_at_ms = still_at_ms < census.still_at_ms ? still_at_ms : census.still_at_ms;
    }
    return census;
}

static bool may_go(const struct turns *turns, const struct census *out, enum turn_kind kind,
                   int64_t at_ms)
{
    if (out->looks + out->bulk >= TURNS_PLACES) {
        return false;
    }
    return kind == TURN_LOOK || turns->verdict == PRESSURE_NONE ||
           (turns->verdict == PRESSURE_SLOW && out->bulk == 0 && at_ms >= turns->rest_until_ms);
}

static struct turn *first_that_may_go(struct turns *turns, int64_t at_ms)
{
    struct census out = count_out(turns, at_ms);
    struct turn *turn = turns->waiting;
    while (turn && !may_go(turns, &out, turn->kind, at_ms)) {
        turn = turn->next;
    }
    return turn;
}

static void on_timer(uv_timer_t *timer);

static void sooner(int64_t *due_ms, int64_t at_ms)
{
    *due_ms = at_ms < *due_ms ? at_ms : *due_ms;
}

/* Nobody waits and all is calm: no timer, and an idle program is not woken. */
static void sleep_until_due(struct turns *turns, int64_t at_ms)
{
    int64_t due_ms = INT64_MAX;
    if (turns->waiting || turns->verdict != PRESSURE_NONE) {
        sooner(&due_ms, turns->measured_ms + MEASURE_MS);
    }
    if (turns->waiting) {
        sooner(&due_ms, count_out(turns, at_ms).still_at_ms);
        sooner(&due_ms, turns->rest_until_ms > at_ms ? turns->rest_until_ms : INT64_MAX);
    }
    if (due_ms == INT64_MAX) {
        uv_timer_stop(&turns->timer);
        return;
    }
    uv_update_time(turns->timer.loop);
    uv_timer_start(&turns->timer, on_timer, due_ms > at_ms ? (uint64_t)(due_ms - at_ms) : 1, 0);
}

/* All who may go, in the order in which they asked; `asker` is told by its own call. */
static void serve(struct turns *turns, const struct turn *asker)
{
    struct turn *turn;
    if (turns->serving) {
        return;
    }
    turns->serving = true;
    measure_if_due(turns, steady_ms());
    while ((turn = first_that_may_go(turns, steady_ms()))) {
        unlink_turn(&turns->waiting, turn);
        turn->next = turns->out;
        turns->out = turn;
        turn->state = TURN_OUT;
        turn->begun_ms = steady_ms();
        atomic_store(&turn->moved_ms, turn->begun_ms);
        if (turn != asker) {
            turn->go(turn);
        }
    }
    turns->serving = false;
    sleep_until_due(turns, steady_ms());
}

static void on_timer(uv_timer_t *timer)
{
    serve(timer->data, NULL);
}

static void queue(struct turns *turns, struct turn *turn)
{
    struct turn **end = &turns->waiting;
    while (*end) {
        end = &(*end)->next;
    }
    turn->next = NULL;
    *end = turn;
    turn->state = TURN_WAITS;
}

bool turns_ask(struct turns *turns, struct turn *turn, enum turn_kind kind)
{
    if (!turns) {
        return true;
    }
    bool wants_more = turn->kind == TURN_LOOK && kind == TURN_BULK;
    if (turn->state == TURN_OUT && wants_more && turns->verdict != PRESSURE_NONE) {
        unlink_turn(&turns->out, turn);
        turn->state = TURN_NONE;
    }
    turn->kind = kind;
    if (turn->state == TURN_NONE) {
        queue(turns, turn);
    }
    if (turn->state == TURN_WAITS) {
        serve(turns, turn);
    }
    return turn->state != TURN_WAITS;
}

/* What hung and came back has rested enough. */
static void rest(struct turns *turns, const struct turn *turn)
{
    int64_t at_ms = steady_ms(), rest_ms = REST_TIMES * (at_ms - turn->begun_ms);
    if (turns->verdict != PRESSURE_SLOW || turn->kind != TURN_BULK || turn->state != TURN_OUT) {
        return;
    }
    turns->rest_until_ms = at_ms + (rest_ms < REST_MOST_MS ? rest_ms : REST_MOST_MS);
}

void turns_give_back(struct turns *turns, struct turn *turn)
{
    if (!turns || turn->state == TURN_NONE) {
        return;
    }
    if (turn->state == TURN_WAITS) {
        unlink_turn(&turns->waiting, turn);
    } else {
        rest(turns, turn);
        unlink_turn(&turns->out, turn);
    }
    turn->state = TURN_NONE;
    serve(turns, NULL);
}

void turn_moved(struct turn *turn)
{
    if (turn) {
        atomic_store(&turn->moved_ms, steady_ms());
    }
}

bool turns_bulk_is_open(const struct turns *turns)
{
    return !turns || turns->verdict == PRESSURE_NONE ||
           (turns->verdict == PRESSURE_SLOW && steady_ms() >= turns->rest_until_ms);
}

enum pressure_verdict turns_verdict(const struct turns *turns)
{
    return turns ? turns->verdict : PRESSURE_NONE;
}

const char *turns_words(const struct turns *turns)
{
    return turns ? turns->words : "";
}

/* --- life --- */

int turns_new(struct uv_loop_s *loop, const struct turns_options *options,
              void (*changed)(void *ctx), void *ctx, struct turns **out)
{
    struct turns *turns = calloc(1, sizeof *turns);
    if (!turns) {
        return -ENOMEM;
    }
    turns->options = *options;
    turns->changed = changed;
    turns->ctx = ctx;
    turns->measured_ms = steady_ms() - MEASURE_MS;
    uv_timer_init(loop, &turns->timer);
    turns->timer.data = turns;
    *out = turns;
    return 0;
}

void turns_configure(struct turns *turns, const struct turns_options *options)
{
    turns->options = *options;
    measure(turns, steady_ms(), PRESSURE_NONE); /* judged anew, not by the old limit */
    serve(turns, NULL);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void turns_close(struct turns *turns)
{
    assert(!turns->waiting && !turns->out);
    uv_close((uv_handle_t *)&turns->timer, on_closed);
}
