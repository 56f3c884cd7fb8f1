/*
 * Internal to uploader/: the engine (client.c) and what one exchange is to it (transfer.c).
 * libcurl's names stand in client.c, transfer.c and form.c only. How fast it all goes: pace.h.
 *
 * Life of a transfer: transfer_init, client_start, [client_stop,] `finish` from the loop, which
 * ends with transfer_deinit. libcurl's callbacks and client_stop only set flags; a handle is taken
 * out, and `finish` called, in the engine's tick alone, so no callback ever runs inside the call
 * that caused it.
 */
#ifndef CHORUS_UPLOADER_CLIENT_H
#define CHORUS_UPLOADER_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <uv.h>

#include "uploader/line.h"
#include "uploader/pace.h"
#include "uploader/path.h"
#include "uploader/secret.h"
#include "uploader/settings.h"
#include "uploader/socket.h"
#include "uploader/turns.h"

struct curl_slist;
struct upload;
struct upload_job;

enum { TRANSFER_ERROR_SIZE = 256, TRANSFER_FIELD_SIZE = 128 };

/* What shows whether anything moves. */
struct pulse {
    int64_t sent, received; /* by libcurl */
    int unacknowledged; /* of the socket: a slow uplink drains for minutes what the kernel took at
                           once */
    bool request_left;
};

struct transfer {
    TAILQ_ENTRY(transfer) link; /* in the uploader's active or ended */
    struct uploader *uploader;
    struct settings *settings;
    void (*finish)(struct transfer *transfer);
    void *easy; /* NULL: never started, for want of a token */
    struct curl_slist *headers;
    char *token_line; /* in headers */
    char error[TRANSFER_ERROR_SIZE];
    int result; /* libcurl's code, for words only: it does not tell what was delivered */
    int socket; /* -1: none */

    bool request_left;   /* passed the guard */
    bool body_out;       /* the request's last byte was handed to libcurl; a question's at once */
    bool answered_early; /* a final status came before that */
    bool paused;         /* its body has no bytes yet, or may not send them now */
    bool sends;          /* its body goes out: it has a share of the rate */
    bool by_bucket;      /* the kernel does not space what it sends */
    size_t bucket;       /* bytes that it may send then */
    struct turn turn;
    struct socket_mark mark; /* when path.h last looked */
    bool aborted, timed_out, out_of_memory;
    bool stopping, ended;

    int status; /* final, 0: none yet */
    bool in_head;
    size_t head_bytes;
    char content_type[TRANSFER_FIELD_SIZE], retry_after[TRANSFER_FIELD_SIZE],
        date[TRANSFER_FIELD_SIZE];
    char *body; /* NULL: nothing came */
    size_t body_size, body_room, body_limit;
    uint64_t body_seen;
    bool body_cut; /* not all of it is in `body` */

    struct pulse pulse;
    int64_t started_at_ms, moved_at_ms, answered_at_ms;
};

TAILQ_HEAD(transfers, transfer);

struct uploader {
    uv_loop_t *loop;
    void *multi;
    struct settings *settings;
    struct secret token;
    struct transfers active, ended;
    struct pace pace;
    struct turns turns;
    struct uploader_path path; /* since it was last read */
    uv_idle_t tick;
    uv_timer_t timeout; /* libcurl's */
    uv_timer_t stall;   /* ours */
    int64_t stall_checked_at_ms;
    bool run_at_tick; /* libcurl wants to be called at once */
    bool closing, shut;
    unsigned open_handles; /* of libuv */
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* uploader.c, for client.c: when its last handle is closed. */
void uploader_free(struct uploader *uploader);

/* client.c. Counted; 0 or -ENOMEM. */
int client_load_library(void);
void client_unload_library(void);
int client_check_url(const char *url);      /* 0, -EINVAL, -ENOMEM */
int client_check_library(bool https);       /* 0, -ENOSYS */
int client_open(struct uploader *uploader); /* 0 or -ENOMEM */
/* Aborts what runs; when all have ended, frees the uploader and calls its `closed`. */
void client_close(struct uploader *uploader);
void client_settings_changed(struct uploader *uploader);
int64_t client_now_ms(void);
/* Hands it to libcurl, or, without a handle, straight to the end. 0 or -ENOMEM. */
int client_start(struct transfer *transfer);
/* Ends it at the next tick; any number of times, also from libcurl's callbacks. */
void client_stop(struct transfer *transfer);
/* Sends nothing more until client_resume; its body is still going out. Outside libcurl's callbacks.
 */
void client_hold(struct transfer *transfer);
/* Goes on with one that is paused. Outside libcurl's callbacks. */
void client_resume(struct transfer *transfer);
/* Whether exchanges can start: 0 or -ECANCELED. */
int client_is_open(const struct uploader *uploader);

/* transfer.c: all that uploads and questions have in common. `method` NULL: the default of what is
 * sent. 0, -ENOMEM, -EINVAL, -ENOSYS; after an error transfer_deinit is still due. */
int transfer_init(struct transfer *transfer, struct uploader *uploader, const char *method,
                  const char *target, size_t body_limit);
void transfer_deinit(struct transfer *transfer);
/* At the end: whether a request left, where no guard has told (an old libcurl). */
void transfer_note_request(struct transfer *transfer);
/* The answer came to its end and is all in `body`. */
bool transfer_is_whole(const struct transfer *transfer);
/* Why the exchange broke, for people; nothing if it did not. */
void transfer_explain(const struct transfer *transfer, struct line *said);
int64_t transfer_sent(const struct transfer *transfer); /* bytes, as libcurl counts */
/* What Chorus said, else why it broke; never with the token in it. */
void transfer_say(const struct transfer *transfer, const struct line *answered, struct line *said);
/* -1: none. */
int64_t transfer_retry_after_ms(const struct transfer *transfer);
const char *transfer_system_ca(void);

/* receive.c: libcurl's callbacks. */
size_t receive_head(char *line, size_t size, size_t count, void *transfer);
size_t receive_body(char *bytes, size_t size, size_t count, void *transfer);

/* pulse.c: no byte moved for too long, or too few. Outside libcurl's callbacks. */
bool transfer_is_overdue(struct transfer *transfer, int64_t now_ms);
/* Its share of the rate is so small that few bytes are what it was asked for. */
bool transfer_is_slowed(const struct transfer *transfer);

/* form.c: the multipart body, text parts first. Sets it on the handle; 0, -ENOMEM, -EINVAL. */
struct form {
    void *mime;
    bool has_key;
};
int form_build(struct form *form, void *easy, const struct upload_job *job, struct upload *upload);
void form_free(struct form *form);

/* upload.c, for form.c: the file's next bytes, at most n. 0 at its end, UPLOADER_NOT_YET to pause,
 * other negative errno to end the attempt. */
ssize_t upload_next_bytes(struct upload *upload, char *buffer, size_t n);

#endif
