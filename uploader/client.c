/*
 * The engine: libcurl's multi-socket interface under libuv. One uv_poll per socket, one timer for
 * libcurl, one for stalls, and a tick in which transfers end.
 */
#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "uploader/client.h"
#include "uploader/uploader.h"

/* Connections kept for the next exchange. Fewer than transfers at once: each handshake is paid
 * again; more hold a server's sockets for nothing. */
static const long KEPT_CONNECTIONS = 16;

enum {
    STALL_CHECKS = 8, /* looks per stall timeout: how exact it is */
    STALL_CHECK_MAX_MS = 1000,
    /* A check later than this: we slept, not the network. Nobody is blamed for the gap. */
    LOOP_HELD_MS = 1000,
};

struct watch {
    uv_poll_t poll;
    struct uploader *uploader;
    curl_socket_t socket;
};

int64_t client_now_ms(void)
{
    return (int64_t)(uv_hrtime() /
                     1000000); /* not the loop's time: a slow disk may have held the loop */
}

static void on_tick(uv_idle_t *tick);

static void wake(struct uploader *uploader)
{
    if (!uploader->shut)
        uv_idle_start(&uploader->tick, on_tick);
}

/* ---- how transfers end ---- */

static void end(struct transfer *transfer)
{
    struct uploader *uploader = transfer->uploader;
    assert(!transfer->ended);
    transfer_note_request(transfer);
    curl_multi_remove_handle(uploader->multi, transfer->easy);
    transfer->ended = true;
    transfer->socket = -1;
    pace_leave(transfer);
    TAILQ_REMOVE(&uploader->active, transfer, link);
    TAILQ_INSERT_TAIL(&uploader->ended, transfer, link);
    if (TAILQ_EMPTY(&uploader->active))
        uv_timer_stop(&uploader->stall);
    wake(uploader);
}

static struct transfer *transfer_of(CURL *easy)
{
    char *transfer = NULL;
    CURLcode code = curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
    assert(code == CURLE_OK && transfer != NULL);
    (void)code;
    return (struct transfer *)(void *)transfer;
}

/* What libcurl says is over. */
static void collect(struct uploader *uploader)
{
    int left = 0;
    CURLMsg *message = NULL;
    while ((message = curl_multi_info_read(uploader->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        struct transfer *transfer = transfer_of(message->easy_handle);
        transfer->result = (int)message->data.result;
        if (transfer->result == CURLE_OPERATION_TIMEDOUT)
            transfer->timed_out = true;
        end(transfer);
    }
}

static void run(struct uploader *uploader, curl_socket_t socket, int events)
{
    int running = 0;
    (void)curl_multi_socket_action(uploader->multi, socket, events, &running);
    collect(uploader);
}

static void end_stopped(struct uploader *uploader)
{
    struct transfer *next = NULL;
    for (struct transfer *at = TAILQ_FIRST(&uploader->active); at != NULL; at = next) {
        next = TAILQ_NEXT(at, link);
        if (at->stopping)
            end(at);
    }
}

void client_stop(struct transfer *transfer)
{
    if (transfer->ended)
        return;
    transfer->stopping = true;
    wake(transfer->uploader);
}

void client_hold(struct transfer *transfer)
{
    if (transfer->paused || transfer->ended || transfer->stopping)
        return;
    transfer->paused = curl_easy_pause(transfer->easy, CURLPAUSE_SEND) == CURLE_OK;
}

/* CONT alone is lost where libcurl has noted the pause in the form but not yet for the transfer: it
 * would never ask again (96 of 800 measured). */
void client_resume(struct transfer *transfer)
{
    struct uploader *uploader = transfer->uploader;
    if (!transfer->paused || transfer->ended || transfer->stopping)
        return;
    transfer->paused = false;
    CURLcode code = curl_easy_pause(transfer->easy, CURLPAUSE_SEND);
    if (code == CURLE_OK)
        code = curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
    if (code != CURLE_OK) {
        transfer->out_of_memory = true;
        client_stop(transfer);
    }
    uploader->run_at_tick = true;
    wake(uploader);
}

/* ---- sockets ---- */

static void on_handle_closed(struct uploader *uploader)
{
    assert(uploader->open_handles > 0);
    if (--uploader->open_handles > 0 || !uploader->shut)
        return;
    void (*closed)(void *ctx) = uploader->closed;
    void *ctx = uploader->closed_ctx;
    uploader_free(uploader);
    if (closed != NULL)
        closed(ctx);
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct watch *watch = handle->data;
    struct uploader *uploader = watch->uploader;
    free(watch);
    on_handle_closed(uploader);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    const struct watch *watch = poll->data;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    run(watch->uploader, watch->socket, flags);
}

static struct watch *new_watch(struct uploader *uploader, curl_socket_t socket)
{
    struct watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL)
        return NULL;
    watch->uploader = uploader;
    watch->socket = socket;
    if (uv_poll_init_socket(uploader->loop, &watch->poll, socket) != 0) {
        free(watch);
        return NULL;
    }
    watch->poll.data = watch;
    uploader->open_handles++;
    return watch;
}

/* libcurl closes the descriptor right after this; libuv lets go of it here, before its close
 * callback. */
static void drop_watch(struct uploader *uploader, curl_socket_t socket, struct watch *watch)
{
    struct transfer *at = NULL;
    TAILQ_FOREACH(at, &uploader->active, link)
    {
        if (at->socket == socket)
            at->socket = -1;
    }
    if (watch == NULL)
        return;
    curl_multi_assign(uploader->multi, socket, NULL);
    uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
}

/* An error returned to libcurl would make the whole multi handle useless: only this transfer ends.
 */
static void set_watch(struct uploader *uploader, struct transfer *transfer, curl_socket_t socket,
                      int what, struct watch *watch)
{
    pace_take_socket(transfer, socket);
    if (watch == NULL) {
        watch = new_watch(uploader, socket);
        if (watch != NULL && curl_multi_assign(uploader->multi, socket, watch) != CURLM_OK) {
            uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
            watch = NULL;
        }
    }
    int events =
        ((what & CURL_POLL_IN) ? UV_READABLE : 0) | ((what & CURL_POLL_OUT) ? UV_WRITABLE : 0);
    if (watch == NULL || uv_poll_start(&watch->poll, events, on_poll) != 0) {
        transfer->out_of_memory = true;
        client_stop(transfer);
    }
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *ctx, void *watch)
{
    struct uploader *uploader = ctx;
    if (what == CURL_POLL_REMOVE)
        drop_watch(uploader, socket, watch);
    else
        set_watch(uploader, transfer_of(easy), socket, what, watch);
    return 0;
}

/* ---- timers ---- */

static void on_timeout(uv_timer_t *timer)
{
    run(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

/* "At once" goes through the tick: a timer of 0 that sets itself again would starve the loop. */
static int on_timeout_wanted(CURLM *multi, long timeout_ms, void *ctx)
{
    struct uploader *uploader = ctx;
    (void)multi;
    uploader->run_at_tick = timeout_ms == 0;
    if (timeout_ms <= 0)
        uv_timer_stop(&uploader->timeout);
    else
        uv_timer_start(&uploader->timeout, on_timeout, (uint64_t)timeout_ms, 0);
    if (timeout_ms == 0)
        wake(uploader);
    return 0;
}

static void on_stall_check(uv_timer_t *timer)
{
    struct uploader *uploader = timer->data;
    struct transfer *at = NULL;
    int64_t now_ms = client_now_ms();
    int64_t gap_ms = now_ms - uploader->stall_checked_at_ms;
    bool held = gap_ms > (int64_t)uv_timer_get_repeat(timer) + LOOP_HELD_MS;
    uploader->stall_checked_at_ms = now_ms;
    TAILQ_FOREACH(at, &uploader->active, link)
    {
        bool waits = held || at->paused; /* for its file or its turn: not the network's fault */
        if (waits || transfer_is_slowed(at))
            at->started_at_ms += gap_ms;
        if (waits) {
            at->moved_at_ms += gap_ms;
            at->answered_at_ms += at->answered_at_ms > 0 ? gap_ms : 0;
        } else if (!at->stopping && transfer_is_overdue(at, now_ms)) {
            at->timed_out = true;
            client_stop(at);
        }
    }
}

static void watch_for_stalls(struct uploader *uploader)
{
    int64_t every_ms = uploader->settings->stall_timeout_ms / STALL_CHECKS + 1;
    if (every_ms > STALL_CHECK_MAX_MS)
        every_ms = STALL_CHECK_MAX_MS;
    if (!uv_is_active((uv_handle_t *)&uploader->stall))
        uploader->stall_checked_at_ms = client_now_ms();
    uv_timer_start(&uploader->stall, on_stall_check, (uint64_t)every_ms, (uint64_t)every_ms);
}

int client_start(struct transfer *transfer)
{
    struct uploader *uploader = transfer->uploader;
    transfer->started_at_ms = transfer->moved_at_ms = client_now_ms();
    if (transfer->easy == NULL) {
        transfer->ended = true;
        TAILQ_INSERT_TAIL(&uploader->ended, transfer, link);
        wake(uploader);
        return 0;
    }
    if (curl_multi_add_handle(uploader->multi, transfer->easy) != CURLM_OK)
        return -ENOMEM;
    TAILQ_INSERT_TAIL(&uploader->active, transfer, link);
    if (!uv_is_active((uv_handle_t *)&uploader->stall))
        watch_for_stalls(uploader);
    return 0;
}

int client_is_open(const struct uploader *uploader)
{
    return uploader->closing ? -ECANCELED : 0;
}

/* ---- life ---- */

static void on_own_handle_closed(uv_handle_t *handle)
{
    on_handle_closed(handle->data);
}

/* Nothing is left that could call back: libcurl first, for it still speaks of sockets. */
static void shut_down(struct uploader *uploader)
{
    curl_multi_cleanup(uploader->multi);
    uploader->shut = true;
    uv_close((uv_handle_t *)&uploader->tick, on_own_handle_closed);
    uv_close((uv_handle_t *)&uploader->timeout, on_own_handle_closed);
    uv_close((uv_handle_t *)&uploader->stall, on_own_handle_closed);
    uv_close((uv_handle_t *)&uploader->pace.tick, on_own_handle_closed);
}

static void on_tick(uv_idle_t *tick)
{
    struct uploader *uploader = tick->data;
    struct transfers over = TAILQ_HEAD_INITIALIZER(over);
    struct transfer *transfer = NULL;
    uv_idle_stop(tick);
    end_stopped(uploader);
    if (uploader->run_at_tick) {
        uploader->run_at_tick = false;
        run(uploader, CURL_SOCKET_TIMEOUT, 0);
    }
    /* What a callback starts and what ends with it waits for the next tick. */
    TAILQ_CONCAT(&over, &uploader->ended, link);
    while ((transfer = TAILQ_FIRST(&over)) != NULL) {
        TAILQ_REMOVE(&over, transfer, link);
        transfer->finish(transfer);
    }
    if (uploader->closing && TAILQ_EMPTY(&uploader->active) && TAILQ_EMPTY(&uploader->ended))
        shut_down(uploader);
}

static CURLMcode set_multi(struct uploader *uploader)
{
    CURLM *multi = uploader->multi;
    CURLMcode code = curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    if (code == CURLM_OK)
        code = curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, uploader);
    if (code == CURLM_OK)
        code = curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timeout_wanted);
    if (code == CURLM_OK)
        code = curl_multi_setopt(multi, CURLMOPT_TIMERDATA, uploader);
    if (code == CURLM_OK)
        code = curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, KEPT_CONNECTIONS);
    return code;
}

/* TLS for https, and names looked up without holding the loop. */
int client_check_library(bool https)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    if ((info->features & CURL_VERSION_ASYNCHDNS) == 0)
        return -ENOSYS;
    if (https && (info->features & CURL_VERSION_SSL) == 0)
        return -ENOSYS;
#if LIBCURL_VERSION_NUM >= 0x075000
    if (info->version_num < 0x075000) /* built with the guard, run without it */
        return -ENOSYS;
#endif
    return 0;
}

int client_check_url(const char *url)
{
    CURLU *parser = curl_url();
    if (parser == NULL)
        return -ENOMEM;
    CURLUcode code = curl_url_set(parser, CURLUPART_URL, url, 0);
    curl_url_cleanup(parser);
    return code == CURLUE_OK ? 0 : code == CURLUE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
}

int client_open(struct uploader *uploader)
{
    uploader->multi = curl_multi_init();
    if (uploader->multi == NULL)
        return -ENOMEM;
    if (set_multi(uploader) != CURLM_OK) {
        curl_multi_cleanup(uploader->multi);
        return -ENOMEM;
    }
    uv_idle_init(uploader->loop, &uploader->tick);
    uv_timer_init(uploader->loop, &uploader->timeout);
    uv_timer_init(uploader->loop, &uploader->stall);
    uv_timer_init(uploader->loop, &uploader->pace.tick);
    uploader->tick.data = uploader->timeout.data = uploader->stall.data = uploader;
    uploader->pace.tick.data = uploader;
    uploader->open_handles = 4;
    return 0;
}

int client_load_library(void)
{
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : -ENOMEM;
}

void client_unload_library(void)
{
    curl_global_cleanup();
}

void client_close(struct uploader *uploader)
{
    struct transfer *at = NULL;
    uploader->closing = true;
    TAILQ_FOREACH(at, &uploader->active, link)
    {
        at->aborted = true;
        client_stop(at);
    }
    wake(uploader);
}

void client_settings_changed(struct uploader *uploader)
{
    if (!TAILQ_EMPTY(&uploader->active))
        watch_for_stalls(uploader);
}
