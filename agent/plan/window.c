#include "agent/plan/window.h"

void window_init(struct window *window, int most)
{
    *window = (struct window){.most = most, .now = most};
}

void window_limit(struct window *window, int most)
{
    if (window->now == window->most || window->now > most)
        window->now = most;
    window->most = most;
}

uint64_t window_start(struct window *window)
{
    return ++window->started;
}

void window_succeeded(struct window *window)
{
    if (window->now >= window->most)
        return;
    if (++window->successes >= window->now) {
        window->now++;
        window->successes = 0;
    }
}

void window_congested(struct window *window, uint64_t number)
{
    if (number <= window->halved_at)
        return;
    window->now = window->now > 1 ? window->now / 2 : 1;
    window->successes = 0;
    window->halved_at = window->started;
}
