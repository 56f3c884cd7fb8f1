#include "uploader/turns.h"

#include "uploader/client.h"
#include "uploader/pace.h"
#include "uploader/socket.h"
#include "uploader/uploader.h"

/* One sender for each so much of the rate, and one more. */
static const uint64_t BYTES_PER_S_EACH = 1250000; /* 10 Mbit/s */

/* How long a turn is. Shorter, and on a long way each begins slowly for nothing; longer, and a
 * small file waits for large ones. All have had theirs after CIRCLE_MS, before a server loses
 * patience. */
enum { TURN_MS = 2000, CIRCLE_MS = 20000 };

/* What is not used by those that have their turn goes to one more: a window or a server that is too
 * small. Judged so often, against these parts of the rate. */
enum { LOOK_MS = 2000, UNUSED_PERCENT = 70, USED_PERCENT = 95 };

size_t turns_most(uint64_t bytes_per_s)
{
    if (bytes_per_s == UPLOADER_UNLIMITED)
        return SIZE_MAX;
    return (size_t)(1 + bytes_per_s / BYTES_PER_S_EACH);
}

static size_t most(const struct uploader *uploader)
{
    size_t by_rate = turns_most(uploader->pace.bytes_per_s);
    return by_rate == SIZE_MAX ? by_rate : by_rate + uploader->turns.more;
}

/* It gives nothing more out; what it gave has still to leave. */
static bool is_ending(const struct transfer *transfer)
{
    return transfer->turn.over || transfer->body_out;
}

/* Those that send on. */
static size_t count_sending(const struct uploader *uploader)
{
    const struct transfer *at = NULL;
    size_t count = 0;
    TAILQ_FOREACH(at, &uploader->active, link)
    {
        count += at->turn.has && !is_ending(at);
    }
    return count;
}

/* The next begins while the last bytes of the one before leave, and they share the rate: else each
 * change would leave a gap of a round trip. */
static bool has_room(const struct uploader *uploader)
{
    size_t at_once = most(uploader);
    return uploader->turns.held / 2 < at_once && count_sending(uploader) < at_once;
}

static void give(struct transfer *transfer, int64_t now_ms)
{
    transfer->turn = (struct turn){.has = true, .since_ms = now_ms};
    transfer->uploader->turns.held++;
}

static void take_back(struct transfer *transfer, int64_t now_ms)
{
    transfer->turn = (struct turn){.since_ms = now_ms};
    transfer->uploader->turns.held--;
}

bool turns_may_send(struct transfer *transfer)
{
    const struct uploader *uploader = transfer->uploader;
    if (!transfer->turn.has) {
        if (transfer->turn.since_ms == 0)
            transfer->turn.since_ms = client_now_ms();
        if (has_room(uploader))
            give(transfer, client_now_ms());
    }
    return transfer->turn.has && !transfer->turn.over;
}

void turns_note_given(struct transfer *transfer, size_t bytes)
{
    transfer->uploader->turns.given += bytes;
    transfer->turn.given = bytes;
    transfer->turn.given_at_ms = client_now_ms();
}

bool turns_is_paid(const struct transfer *transfer, int64_t now_ms)
{
    const struct turn *turn = &transfer->turn;
    uint64_t share = transfer->uploader->pace.share;
    return now_ms - turn->given_at_ms >= (int64_t)(turn->given * 1000 / share);
}

void turns_leave(struct transfer *transfer)
{
    if (transfer->turn.has)
        take_back(transfer, 0);
}

/* ---- changing ---- */

static bool waits(const struct transfer *transfer)
{
    return transfer->sends && !transfer->turn.has;
}

static size_t count_waiting(const struct uploader *uploader)
{
    const struct transfer *at = NULL;
    size_t count = 0;
    TAILQ_FOREACH(at, &uploader->active, link)
    {
        count += waits(at);
    }
    return count;
}

static struct transfer *next_in_turn(const struct uploader *uploader)
{
    struct transfer *at = NULL, *next = NULL;
    TAILQ_FOREACH(at, &uploader->active, link)
    {
        if (waits(at) && (next == NULL || at->turn.since_ms < next->turn.since_ms))
            next = at;
    }
    return next;
}

static int64_t turn_ms(const struct uploader *uploader, size_t waiting)
{
    size_t held = uploader->turns.held;
    int64_t fair_ms = (int64_t)(CIRCLE_MS * held / (held + waiting + 1));
    return fair_ms < TURN_MS ? fair_ms : TURN_MS;
}

/* What it gave out has left, or does not leave at all. */
static bool is_done(const struct transfer *transfer, int64_t now_ms)
{
    bool out = transfer->socket < 0 || socket_is_drained(transfer->socket);
    return (out && turns_is_paid(transfer, now_ms)) ||
           now_ms - transfer->turn.since_ms > pace_patience_ms(transfer->uploader->pace.share);
}

/* Whether one has still to end. */
static bool end_turns(struct uploader *uploader, int64_t now_ms, size_t waiting)
{
    struct transfer *at = NULL;
    bool ending = false;
    bool too_many = count_sending(uploader) > most(uploader);
    int64_t long_ms = turn_ms(uploader, waiting);
    TAILQ_FOREACH(at, &uploader->active, link)
    {
        if (at->turn.has && !is_ending(at) &&
            (too_many || (waiting > 0 && now_ms - at->turn.since_ms >= long_ms))) {
            at->turn.over = true;
            at->turn.since_ms = now_ms;
            too_many = false; /* one at a time */
        }
        if (at->turn.over && !at->body_out && is_done(at, now_ms))
            take_back(at, now_ms);
        ending = ending || at->turn.over;
    }
    return ending;
}

static void look_at_use(struct uploader *uploader, int64_t now_ms, size_t waiting)
{
    struct turns *turns = &uploader->turns;
    int64_t ms = now_ms - turns->looked_at_ms;
    if (turns->held + waiting <= turns_most(uploader->pace.bytes_per_s))
        turns->more = 0;
    if (ms < LOOK_MS)
        return;
    uint64_t wanted = pace_share(uploader->pace.bytes_per_s, 1) / 100 * (uint64_t)ms / 1000;
    if (ms < 2 * LOOK_MS && waiting > 0 && turns->given < wanted * UNUSED_PERCENT)
        turns->more++;
    else if (turns->more > 0 && turns->given >= wanted * USED_PERCENT)
        turns->more--;
    turns->given = 0;
    turns->looked_at_ms = now_ms;
}

bool turns_change(struct uploader *uploader, int64_t now_ms)
{
    struct transfer *next = NULL;
    size_t waiting = count_waiting(uploader);
    if (uploader->pace.bytes_per_s == 0)
        return false;
    look_at_use(uploader, now_ms, waiting);
    bool ending = end_turns(uploader, now_ms, waiting);
    while (has_room(uploader) && (next = next_in_turn(uploader)) != NULL) {
        give(next, now_ms);
        client_resume(next);
    }
    return ending || waiting > 0 || count_sending(uploader) > most(uploader);
}
