/* The timetable of `bandwidth`. */
#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/config/draft.h"
#include "agent/config/problems.h"

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
}

void read_windows(struct config_draft *draft, const struct node *node)
{
    struct bandwidth *bandwidth = &draft->config->bandwidth;
    size_t count = named_pairs(draft->problems, node, "windows");
    bandwidth->windows = mem_array(count, sizeof bandwidth->windows[0]);
    bandwidth->window_count = count;
    for (size_t i = 0; i < count; i++)
        read_window(draft, &bandwidth->windows[i], &node->pairs[i]);
}
