/* The timetable of `bandwidth`. */
#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/config/draft.h"
#include "agent/config/problems.h"

/* Two minutes for a recording of 1 MB: on such a line a backlog only grows. */
static const uint64_t UNWISE_BYTES_PER_S = 8000;

static void warn_of_rate(const struct config_draft *draft, int line, const struct rate *rate)
{
    if (line > 0 && rate->kind == RATE_FIXED && rate->bytes_per_s > 0 &&
        rate->bytes_per_s < UNWISE_BYTES_PER_S)
        problems_warn(draft->problems, line,
                      "rate is under 64 kbit/s: a recording of 1 MB takes over two minutes");
}

static void read_window(struct config_draft *draft, struct bandwidth_window *window,
                        const struct node_pair *pair)
{
    struct filled filled = {0};
    size_t before = draft->problems->errors;
    window->name = bytes_escape(pair->key);
    check_pair_name(draft->problems, pair);
    fill_defaults(IN_WINDOW, window);
    fill_section(draft->problems, IN_WINDOW, pair->value, pair->line, window, &filled);
    if (filled_line(&filled, IN_WINDOW, "rate") == 0 && draft->problems->errors == before)
        problems_error(draft->problems, pair->line,
                       "window %s has no rate; allowed: rate: 512 kbit/s, 0 (nothing leaves) or "
                       "unlimited",
                       window->name);
    warn_of_rate(draft, filled_line(&filled, IN_WINDOW, "rate"), &window->rate);
}

void read_windows(struct config_draft *draft, const struct node *node)
{
    struct bandwidth *bandwidth = &draft->config->bandwidth;
    size_t count = named_pairs(draft->problems, node, "windows");
    bandwidth->windows = mem_array(count, sizeof bandwidth->windows[0]);
    bandwidth->window_count = count;
    for (size_t i = 0; i < count; i++)
        read_window(draft, &bandwidth->windows[i], &node->pairs[i]);
    int line = filled_line(&draft->bandwidth, IN_BANDWIDTH, "rate");
    warn_of_rate(draft, line, &bandwidth->rate);
    if (line > 0 && rate_is_none(&bandwidth->rate) && count == 0)
        problems_warn(draft->problems, line, "rate is 0, and there are no windows: nothing leaves");
}
