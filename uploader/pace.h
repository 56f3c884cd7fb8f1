/*
 * How fast uploads may send: one rate, divided among those whose bodies are going out. The kernel
 * paces each socket (SO_MAX_PACING_RATE): it spaces packets, where waiting in user space makes
 * bursts. A socket is given little ahead, so that a change takes effect at once. What the kernel
 * does not pace (a new connection's first segments; all, on an old kernel or in a sandbox) comes
 * out of a bucket that is filled in small portions.
 *
 * Questions are a few hundred bytes, and do not count. What a kernel or a sandbox refuses is told
 * once, and fails no upload. Thread: the loop's.
 */
#ifndef CHORUS_UPLOADER_PACE_H
#define CHORUS_UPLOADER_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct transfer;
struct uploader;

/* Of an uploader. */
struct pace {
    uint64_t bytes_per_s; /* on the wire, of all together; UPLOADER_UNLIMITED; 0: nothing leaves */
    uint64_t share;       /* of payload, of each whose turn it is; UPLOADER_UNLIMITED */
    int dscp;
    bool by_bucket; /* the kernel does not pace */
    bool told_pace, told_dscp;
    int64_t filled_at_ms;
    uv_timer_t tick; /* runs while an end is on its way out, or buckets are filled */
    void (*trouble)(void *ctx, const char *what, int error);
    void *trouble_ctx;
};

/* ---- pure ---- */

/* Bytes of TCP payload a second for each of `senders`, at least 1; or UPLOADER_UNLIMITED. */
uint64_t pace_share(uint64_t bytes_per_s, size_t senders);
/* What so many bytes of payload are on the wire. */
uint64_t pace_on_wire(uint64_t payload);
/* How much a socket may hold that is not sent yet, and how much it is given at once, in bytes. */
size_t pace_backlog(uint64_t share);
size_t pace_quantum(uint64_t share);
/* So long it may take at that pace until anything moves. */
int64_t pace_patience_ms(uint64_t share);

/* ---- effects ---- */

void pace_init(struct uploader *uploader);
/* A socket was just made. */
void pace_new_socket(struct uploader *uploader, int socket);
/* The transfer goes on with this one, perhaps of a kept connection. */
void pace_take_socket(struct transfer *transfer, int socket);
/* How many of `n` bytes of its body may be handed out now; 0: none until client_resume. The first
 * call lets it have its share. */
size_t pace_room(struct transfer *transfer, size_t n);
/* So many were. */
void pace_spend(struct transfer *transfer, size_t n);
/* It is over. */
void pace_leave(struct transfer *transfer);

#endif
