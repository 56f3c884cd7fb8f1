#include "uploader/pace.h"

#include "uploader/client.h"
#include "uploader/socket.h"
#include "uploader/uploader.h"

/* Of 100 bytes on the wire so many are payload: 1428 of 1514 with IPv6, time stamps and Ethernet.
 * The kernel's pacing counts payload only (measured: exactly), retransmissions included. Higher,
 * and the headers push the whole over the rate. */
static const uint64_t PAYLOAD_PERCENT = 94;

/* Fractions of a second that a socket holds unsent, and is given at once. More: a stop takes
 * longer; less: it runs dry between two acknowledgements. */
static const uint64_t BACKLOGS_PER_S = 5, QUANTA_PER_S = 20;
enum { BACKLOG_MIN = 4 << 10, QUANTUM_MIN = 2 << 10, UNPACED_MAX = 256 << 10 };

enum {
    TICK_MS = 10,
    BUCKET_MIN = 1400, /* a packet: less would be all headers */
    BUCKET_TICKS = 3,  /* a bucket holds what so many bring: a late tick is made up for */
    PATIENCE = 4,      /* backlogs */
    /* The kernel lets the first ten segments of a connection go unpaced: 8 new connections would
       put a tenth of a second of a 10 Mbit/s link in front of the calls. */
    UNPACED_SEGMENTS = 10,
};

/* ---- pure ---- */

static uint64_t clamp(uint64_t n, uint64_t least, uint64_t most)
{
    return n < least ? least : n > most ? most : n;
}

uint64_t pace_share(uint64_t bytes_per_s, size_t senders)
{
    if (bytes_per_s == UPLOADER_UNLIMITED)
        return UPLOADER_UNLIMITED;
    uint64_t payload =
        bytes_per_s / 100 * PAYLOAD_PERCENT + bytes_per_s % 100 * PAYLOAD_PERCENT / 100;
    return clamp(payload / (senders > 0 ? senders : 1), 1, UPLOADER_UNLIMITED);
}

uint64_t pace_on_wire(uint64_t payload)
{
    return payload * 100 / PAYLOAD_PERCENT;
}

size_t pace_backlog(uint64_t share)
{
    return (size_t)clamp(share / BACKLOGS_PER_S, BACKLOG_MIN, UNPACED_MAX);
}

size_t pace_quantum(uint64_t share)
{
    return (size_t)clamp(share / QUANTA_PER_S, QUANTUM_MIN, UNPACED_MAX);
}

int64_t pace_patience_ms(uint64_t share)
{
    return (int64_t)(PATIENCE * 1000 * (pace_backlog(share) + pace_quantum(share)) / share);
}

/* ---- sockets ---- */

static void tell(struct pace *pace, bool *told, const char *what, int error)
{
    if (!*told && pace->trouble != NULL)
        pace->trouble(pace->trouble_ctx, what, -error);
    *told = true;
}

static void set_pace(struct uploader *uploader, int socket)
{
    struct pace *pace = &uploader->pace;
    int error = socket_set_pace(socket, pace->share);
    socket_set_backlog(socket, pace_backlog(pace->share));
    if (error == 0 || pace->share == UPLOADER_UNLIMITED)
        return;
    tell(pace, &pace->told_pace, "the kernel does not pace", error);
    pace->by_bucket = true;
}

static void set_dscp(struct uploader *uploader, int socket)
{
    struct pace *pace = &uploader->pace;
    int error = socket_set_dscp(socket, pace->dscp);
    if (error != 0)
        tell(pace, &pace->told_dscp, "packets cannot be marked", error);
}

void pace_new_socket(struct uploader *uploader, int socket)
{
    set_dscp(uploader, socket);
    set_pace(uploader, socket);
}

void pace_take_socket(struct transfer *transfer, int socket)
{
    if (transfer->socket == socket)
        return;
    transfer->socket = socket;
    pace_new_socket(transfer->uploader, socket);
}

/* ---- division ---- */

static void divide(struct uploader *uploader)
{
    struct pace *pace = &uploader->pace;
    struct transfer *at = NULL;
    uint64_t share = pace_share(pace->bytes_per_s, uploader->turns.held);
    if (share == pace->share || pace->bytes_per_s == 0)
        return;
    pace->share = share;
    TAILQ_FOREACH(at, &uploader->active, link)
    {
        if (at->socket >= 0)
            set_pace(uploader, at->socket);
    }
}

static void leave(struct transfer *transfer)
{
    transfer->sends = false;
    path_end(transfer);
    turns_leave(transfer);
}

void pace_leave(struct transfer *transfer)
{
    if (!transfer->sends)
        return;
    leave(transfer);
    divide(transfer->uploader);
}

/* ---- ends and buckets ---- */

/* The last bytes of a body take their time to leave: so long it keeps its share. */
static bool is_out(const struct transfer *transfer, int64_t now_ms)
{
    return transfer->body_out && (transfer->socket < 0 || socket_is_drained(transfer->socket)) &&
           turns_is_paid(transfer, now_ms);
}

static void fill(struct transfer *transfer, int64_t ms)
{
    uint64_t share = transfer->uploader->pace.share;
    uint64_t room = clamp(share * TICK_MS * BUCKET_TICKS / 1000, BUCKET_MIN, UNPACED_MAX);
    uint64_t bytes = share * (uint64_t)(ms < 1000 ? ms : 1000) / 1000;
    transfer->bucket = (size_t)clamp(transfer->bucket + bytes, 0, room);
    if (transfer->bucket >= BUCKET_MIN)
        client_resume(transfer);
}

static void on_tick(uv_timer_t *tick)
{
    struct uploader *uploader = tick->data;
    struct pace *pace = &uploader->pace;
    struct transfer *at = NULL;
    int64_t now_ms = client_now_ms(), ms = now_ms - pace->filled_at_ms;
    bool wanted = turns_change(uploader, now_ms);
    pace->filled_at_ms = now_ms;
    TAILQ_FOREACH(at, &uploader->active, link)
    {
        if (at->sends && is_out(at, now_ms))
            leave(at);
        if (at->turn.has && at->by_bucket && pace->bytes_per_s != 0)
            fill(at, ms);
        wanted = wanted || (at->turn.has && (at->body_out || at->by_bucket));
    }
    divide(uploader);
    if (!wanted || pace->share == UPLOADER_UNLIMITED || pace->bytes_per_s == 0)
        uv_timer_stop(tick); /* another rate starts it again */
}

static void keep_ticking(struct uploader *uploader)
{
    struct pace *pace = &uploader->pace;
    if (pace->share == UPLOADER_UNLIMITED || uv_is_active((uv_handle_t *)&pace->tick))
        return;
    pace->filled_at_ms = client_now_ms();
    uv_timer_start(&pace->tick, on_tick, TICK_MS, TICK_MS);
}

/* Whether the kernel spaces what this one sends next. */
static bool is_paced(const struct transfer *transfer)
{
    return !transfer->uploader->pace.by_bucket && transfer->socket >= 0 &&
           socket_segments_out(transfer->socket) >= UNPACED_SEGMENTS;
}

size_t pace_room(struct transfer *transfer, size_t n)
{
    struct uploader *uploader = transfer->uploader;
    struct pace *pace = &uploader->pace;
    if (!transfer->sends) {
        transfer->sends = true;
        path_begin(transfer);
    }
    bool may_send = turns_may_send(transfer);
    divide(uploader);
    if (!may_send) {
        keep_ticking(uploader);
        return 0;
    }
    if (pace->bytes_per_s == 0)
        return 0;
    if (pace->share == UPLOADER_UNLIMITED)
        return n;
    size_t most = pace_quantum(pace->share);
    transfer->by_bucket = !is_paced(transfer);
    if (transfer->by_bucket) {
        keep_ticking(uploader);
        most = transfer->bucket >= BUCKET_MIN || transfer->bucket >= n ? transfer->bucket : 0;
    }
    return n < most ? n : most;
}

void pace_spend(struct transfer *transfer, size_t n)
{
    turns_note_given(transfer, n);
    transfer->bucket -= n < transfer->bucket ? n : transfer->bucket;
    if (transfer->body_out)
        keep_ticking(transfer->uploader);
}

/* ---- the rate ---- */

void pace_init(struct uploader *uploader)
{
    uploader->pace.bytes_per_s = uploader->pace.share = UPLOADER_UNLIMITED;
}

void uploader_set_rate(struct uploader *uploader, uint64_t bytes_per_s)
{
    struct pace *pace = &uploader->pace;
    struct transfer *at = NULL;
    if (bytes_per_s == pace->bytes_per_s)
        return;
    pace->bytes_per_s = bytes_per_s;
    divide(uploader);
    keep_ticking(uploader);
    TAILQ_FOREACH(at, &uploader->active, link)
    {
        if (bytes_per_s == 0 && at->sends && !at->body_out)
            client_hold(at);
        else if (bytes_per_s != 0)
            client_resume(at);
    }
}

void uploader_set_dscp(struct uploader *uploader, int dscp)
{
    struct transfer *at = NULL;
    uploader->pace.dscp = dscp;
    TAILQ_FOREACH(at, &uploader->active, link)
    {
        if (at->socket >= 0)
            set_dscp(uploader, at->socket);
    }
}

void uploader_on_trouble(struct uploader *uploader,
                         void (*trouble)(void *ctx, const char *what, int error), void *ctx)
{
    uploader->pace.trouble = trouble;
    uploader->pace.trouble_ctx = ctx;
}
