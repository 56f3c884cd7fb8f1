/*
 * uploader: what is on the wire. Carries one job to Chorus and says how it ended; asks Chorus
 * questions. Knows no folders and no ledger. libcurl's multi-socket interface under libuv, driven
 * so that no POST is ever repeated by libcurl itself.
 *
 * Thread: the loop's. A completion callback never runs before the call that started it has
 * returned, and the upload or question is gone after it.
 *
 * Errors: negative errno from calls; how an exchange ended is a verdict.
 */
#ifndef CHORUS_UPLOADER_H
#define CHORUS_UPLOADER_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "uploader/verdict.h"

struct uv_loop_s;
struct uploader;
struct upload;
struct question;

/* Everything is copied. */
struct uploader_options {
    const char *url;     /* scheme://host[:port], without a trailing slash */
    const char *ca_file; /* "" : the system's only; else used in addition where libcurl allows, see
                            uploader.c */
    const char *proxy;   /* "" : the usual *_proxy variables */
    bool bearer;         /* Authorization: Bearer TOKEN instead of the raw token (published: raw) */
    const char *const
        *id_fields; /* where a 2xx may carry the new id: "engagement_id", "data.id", ... */
    size_t id_field_count;
    int64_t stall_timeout_ms; /* no byte moved either way for so long: the attempt is over */
    const char *user_agent;
};

/* What `read` says where the next bytes are still being fetched. */
#define UPLOADER_NOT_YET (-EAGAIN)

/* Where the bytes come from. The uploader calls close exactly once, also when uploader_send fails.
 * None of these may block: they run on the loop's thread. */
struct body_source {
    uint64_t size; /* bytes, fixed */
    /* 1 to n bytes: how many; 0: there are no more; UPLOADER_NOT_YET: the attempt pauses until
     * uploader_resume, and the time it waits is not held against the network; or negative errno,
     * which ends the attempt with VERDICT_SOURCE_CHANGED. */
    ssize_t (*read)(void *ctx, void *buffer, size_t n);
    /* All bytes were read, the last of them have not left: 0 lets them go, negative withholds them
     * and ends the attempt with VERDICT_SOURCE_CHANGED. */
    int (*verify_before_last)(void *ctx);
    void (*close)(void *ctx);
    void *ctx;
};

/* Copied by uploader_send. Strings are UTF-8 without control characters; NULL or "": left out, save
 * name and user, which Chorus requires. */
struct upload_job {
    const char *name;
    const char *user;       /* the owner's e-mail */
    const char *meeting_id; /* if any: sent with enforce_unique_meeting_id=true */
    const char *crm_account_id;
    const char *crm_opportunity_id;
    const char *file_name; /* of the data part, without folder */
    struct body_source body;
};

/* Strings live until `done` returns. `said` is bounded, joins errors[] of Chorus's error document
 * as "title: detail (source); ...", and never holds the token. */
struct upload_answer {
    enum verdict verdict;
    int status;             /* final HTTP status, 0: none */
    bool request_left;      /* a header block may have reached Chorus: counts as a POST */
    const char *id;         /* the new engagement's id, "" if the answer carried none */
    const char *said;       /* Chorus's own words or the transport's error, one line, "" if none */
    int64_t retry_after_ms; /* from Retry-After in seconds or as a date, unclamped; -1: none or
                               unreadable */
    bool timed_out;         /* stalled */
    uint64_t bytes_sent;    /* of the file */
};

typedef void (*upload_done)(void *ctx, const struct upload_answer *answer);

/* 0, -ENOMEM, -EINVAL (a URL libcurl cannot use, or one with a user, query or fragment; a stall
 * timeout below 1, a ca_file without PEM), -ENOSYS (a libcurl without what we need), or the error
 * of reading ca_file. */
int uploader_new(struct uv_loop_s *loop, const struct uploader_options *options,
                 struct uploader **out);

/* Takes over all options but the url, for exchanges that start from now on, and reads ca_file
 * again. 0 or an error as above, and then nothing has changed. */
int uploader_configure(struct uploader *uploader, const struct uploader_options *options);

/* The token for exchanges that start from now on; copied into memory that stays out of core dumps
 * and is wiped. NULL or "": none is sent, and every exchange ends with VERDICT_TOKEN_REFUSED,
 * status 0. 0, -ENOMEM, or -EINVAL for anything but visible ASCII; after an error the old token
 * stays. */
int uploader_set_token(struct uploader *uploader, const char *token);

#define UPLOADER_UNLIMITED UINT64_MAX

/* The most that all uploads together send from now on, those in flight included: bytes a second on
 * the wire, headers, TLS and what is sent again counted; at first UPLOADER_UNLIMITED. 0: no body
 * goes on until the rate is another; those in flight are held, which is no stall. Questions are not
 * held. */
void uploader_set_rate(struct uploader *uploader, uint64_t bytes_per_s);

/* What TCP told of the way since the last call, of all uploads whose bodies are going out together.
 * All zero where nothing was acknowledged, or the system does not tell. */
struct uploader_path {
    int64_t rtt_us;       /* round trip of late, of the connection that has the shortest */
    uint64_t acked_bytes; /* on the wire: headers are estimated */
    uint64_t sent_segments, resent_segments;
};
void uploader_read_path(struct uploader *uploader, struct uploader_path *out);

/* The class of service that packets are marked with from now on, 0 .. 63; at first 0. */
void uploader_set_dscp(struct uploader *uploader, int dscp);

/* `trouble` is called once for each thing that the system refuses: uploads go on without marks, or
 * paced from user space. `what` is for people, `error` an errno. May run within any call. */
void uploader_on_trouble(struct uploader *uploader,
                         void (*trouble)(void *ctx, const char *what, int error), void *ctx);

/* Starts one POST of /v3/upload. On 0 `done` runs exactly once, after body.close; on error it never
 * does: -ENOMEM, -EINVAL (a required string is missing, one has control characters, an empty body),
 * -ECANCELED (after uploader_close). The body's functions may call uploader_abort. */
int uploader_send(struct uploader *uploader, const struct upload_job *job, upload_done done,
                  void *ctx, struct upload **out);

/* The body has bytes again, or an error: `read` is asked anew if it said UPLOADER_NOT_YET. Not from
 * within the body's functions. */
void uploader_resume(struct upload *upload);

/* Bytes of the file handed to libcurl so far. */
uint64_t upload_bytes_sent(const struct upload *upload);

/* Ends it at once; `done` runs later with VERDICT_ABORTED or, once the last part was handed out,
 * VERDICT_UNCERTAIN; or with what was certain before, for a final status that had come in decides.
 */
void uploader_abort(struct upload *upload);

/* A GET or DELETE without body, for everything but uploads. Neither is repeated by libcurl: one
 * that met a dying connection ends with status 0. */
struct question_answer {
    int status;        /* 0: no answer */
    bool request_left; /* it may have reached Chorus */
    const char *body;  /* at most `limit` bytes, ended by NUL */
    size_t body_size;
    bool truncated;   /* larger than `limit`, or it broke off: `said` tells */
    const char *said; /* as in upload_answer */
    int64_t retry_after_ms;
    const char *date; /* the Date header, "" if none */
};
typedef void (*question_done)(void *ctx, const struct question_answer *answer);

/* `method` "GET" or "DELETE"; `target` begins with '/', already encoded; the answer's body is kept
 * up to `limit` bytes. On 0 `done` runs exactly once; else -ENOMEM, -EINVAL or -ECANCELED. */
int uploader_ask(struct uploader *uploader, const char *method, const char *target, size_t limit,
                 question_done done, void *ctx, struct question **out);

/* `done` runs later with status 0. */
void uploader_ask_abort(struct question *question);

/* Aborts what is left, waits for their callbacks, frees, then calls `done`; needs the loop to run.
 * Once. */
void uploader_close(struct uploader *uploader, void (*done)(void *ctx), void *ctx);

#endif
