/*
 * How many transfers may be in flight: halved by 429, 503 and timeouts, one more after each full
 * window of successes. A burst of failures that began before the last halving halves only once.
 * Pure.
 */
#ifndef CHORUS_PLAN_WINDOW_H
#define CHORUS_PLAN_WINDOW_H

#include <stdint.h>

struct window {
    int most;
    int now;
    int successes;      /* since the window last changed */
    uint64_t started;   /* transfers started so far: each gets its number */
    uint64_t halved_at; /* `started` when it was last halved */
};

void window_init(struct window *window, int most);
void window_limit(struct window *window, int most);
/* The number of the transfer that starts. */
uint64_t window_start(struct window *window);
void window_succeeded(struct window *window);
void window_congested(struct window *window, uint64_t number);

#endif
