#include "agent/plan/lanes.h"

#include <string.h>

void lanes_init(struct lanes *lanes, bool back_lane)
{
    memset(lanes, 0, sizeof *lanes);
    lanes->back_lane = back_lane;
    for (int i = 0; i < LANE_COUNT; i++)
        lanes->lane[i].more = true;
    lanes->lane[LANE_BACK].more = back_lane;
}

static bool holds(const struct lane *lane, int64_t recording)
{
    for (size_t k = 0; k < lane->count; k++) {
        if (lane->items[k].recording == recording)
            return true;
    }
    return false;
}

void lanes_put(struct lanes *lanes, enum plan_lane which, const struct plan_item *item)
{
    struct lane *lane = &lanes->lane[which];
    if (holds(lane, item->recording))
        return;
    size_t at = lane->count;
    while (at > 0 && lane->items[at - 1].rank > item->rank)
        at--;
    if (lane->count == LANE_ROOM) {
        lane->more = true;
        if (at == LANE_ROOM)
            return;
        lane->count--;
    }
    memmove(&lane->items[at + 1], &lane->items[at], (lane->count - at) * sizeof lane->items[0]);
    lane->items[at] = *item;
    lane->count++;
}

void lanes_overtake(struct lanes *lanes)
{
    for (int i = 0; i < LANE_COUNT; i++)
        lanes->lane[i].stale = lanes->lane[i].fetching;
}

static void remove_at(struct lane *lane, size_t at)
{
    lane->count--;
    memmove(&lane->items[at], &lane->items[at + 1], (lane->count - at) * sizeof lane->items[0]);
}

void lanes_drop(struct lanes *lanes, int64_t recording)
{
    for (int i = 0; i < LANE_COUNT; i++) {
        struct lane *lane = &lanes->lane[i];
        for (size_t k = lane->count; k-- > 0;) {
            if (lane->items[k].recording == recording)
                remove_at(lane, k);
        }
    }
}

bool lanes_hold_doubts(const struct lanes *lanes)
{
    for (int i = 0; i < LANE_COUNT; i++) {
        for (size_t k = 0; k < lanes->lane[i].count; k++) {
            if (lanes->lane[i].items[k].uncertain > 0)
                return true;
        }
    }
    return false;
}

/* The first that may be taken now; `count`: none. */
static size_t first_of(const struct lanes *lanes, const struct lane *lane)
{
    size_t k = 0;
    while (k < lane->count && lanes->doubts_wait && lane->items[k].uncertain > 0)
        k++;
    return k;
}

bool lanes_take(struct lanes *lanes, struct plan_item *item)
{
    static const enum plan_lane turns[8] = {LANE_ORDER, LANE_DUE,   LANE_ORDER, LANE_ORDER,
                                            LANE_DUE,   LANE_ORDER, LANE_ORDER, LANE_BACK};
    static const enum plan_lane instead[LANE_COUNT] = {LANE_ORDER, LANE_DUE, LANE_BACK};
    struct lane *lane = &lanes->lane[turns[lanes->turn % 8]];
    for (int i = 0; first_of(lanes, lane) == lane->count && i < LANE_COUNT; i++)
        lane = &lanes->lane[instead[i]];
    size_t first = first_of(lanes, lane);
    if (first == lane->count)
        return false;
    lanes->turn++;
    *item = lane->items[first];
    lanes_drop(lanes, item->recording);
    return true;
}

size_t lanes_wants(const struct lanes *lanes, enum plan_lane which, size_t wanted)
{
    const struct lane *lane = &lanes->lane[which];
    if (lane->fetching || !lane->more || lane->count >= wanted)
        return 0;
    return wanted;
}
