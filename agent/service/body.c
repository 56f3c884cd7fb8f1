#include "agent/service/body.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/base/mutant.h"
#include "agent/service/file_work.h"
#include "agent/service/internal.h"
#include "watcher/file_body.h"

/* Of one block, two a transfer: libcurl asks for so much at once. */
#ifndef BODY_BLOCK_BYTES
#define BODY_BLOCK_BYTES (256 << 10)
#endif

enum { BLOCKS = 2 };

struct body {
    struct file_work work; /* first: it comes back as this */
    struct service *service;
    int64_t watch;
    struct body_hooks hooks;
    bool out;                      /* on the pool, or waiting for it */
    bool told, wanted, closed;     /* opened; a read waits; whoever had it has let go */
    int error;                     /* for the reader, once the blocks are empty */
    unsigned char *blocks[BLOCKS]; /* the pool writes into those it fills */
    size_t sizes[BLOCKS];          /* 0: empty */
    unsigned reading;
    size_t at;     /* in that block */
    uint64_t left; /* to be handed out */

    /* ---- the pool's while it is out ---- */
    char *root, *path;
    struct file_identity identity;
    uint8_t sha256[32];
    struct root_identity found;
    struct file_body *file;
    bool opened, closing;
    int failed;
    unsigned first, empty; /* blocks to fill, from which on and how many */
    size_t filled[BLOCKS];
    size_t room;      /* of a block */
    uint64_t to_read; /* from the file */
};

static void free_body(struct body *body)
{
    for (int i = 0; i < BLOCKS; i++)
        free(body->blocks[i]);
    free(body->root);
    free(body->path);
    free(body);
}

/* --- on the pool --- */

static void close_file(struct body *body)
{
    file_body_close(body->file);
    body->file = NULL;
}

/* The last block only if all that was read is what was fingerprinted. */
static int fill(struct body *body, unsigned block)
{
    size_t size = 0;
    while (size < body->room && body->to_read > 0) {
        ssize_t got = file_body_read(body->file, body->blocks[block] + size, body->room - size);
        if (got <= 0)
            return got < 0 ? (int)got : -ESTALE;
        size += (size_t)got;
        body->to_read -= (uint64_t)got;
    }
    int error = body->to_read == 0 ? file_body_verify(body->file) : 0;
    if (error == 0 || mutant("no-rehash"))
        body->filled[block] = size;
    return mutant("no-rehash") ? 0 : error;
}

static void run(struct file_work *work)
{
    struct body *body = (struct body *)work;
    int error = 0;
    if (!body->opened) {
        body->opened = true;
        error = file_body_open(body->root, body->path, &body->identity, body->sha256, &body->found,
                               &body->file);
    }
    for (unsigned i = 0; !body->closing && error == 0 && i < body->empty && body->to_read > 0; i++)
        error = fill(body, (body->first + i) % BLOCKS);
    body->failed = error;
    if (body->closing || error != 0 || body->to_read == 0)
        close_file(body);
}

/* --- on the loop --- */

static void send_out(struct body *body)
{
    body->out = true;
    body->empty = 0;
    for (unsigned i = 0; i < BLOCKS; i++) {
        body->filled[i] = 0;
        body->empty += body->sizes[i] == 0;
    }
    /* those that are full come before those that are empty */
    body->first = (body->reading + BLOCKS - body->empty) % BLOCKS;
    file_work_add(body->service, body->watch, &body->work);
}

/* Nobody has it any more, and it is not out. */
static void end(struct body *body)
{
    if (body->file == NULL) {
        free_body(body);
        return;
    }
    body->closing = true;
    send_out(body);
}

/* The body may be gone on return. */
static void tell(struct body *body)
{
    if (!body->told) {
        body->told = true;
        body->hooks.opened(body->hooks.ctx, body->error, &body->found);
    } else if (body->wanted) {
        body->wanted = false;
        body->hooks.more(body->hooks.ctx);
    }
}

static void read_on(struct body *body)
{
    bool room = body->sizes[0] == 0 || body->sizes[1] == 0;
    if (body->out || body->error != 0 || body->file == NULL || !room)
        return;
    if (file_work_hangs(body->service, body->watch))
        body->error = -ETIMEDOUT;
    else
        send_out(body);
}

static void done(struct file_work *work)
{
    struct body *body = (struct body *)work;
    body->out = false;
    if (body->closed) {
        end(body);
        return;
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (body->filled[i] > 0)
            body->sizes[i] = body->filled[i];
    }
    if (body->error == 0)
        body->error = body->failed;
    read_on(body); /* a block may have been emptied meanwhile */
    tell(body);
}

/* Whoever waits for it is told now; what is out comes back when it does. */
static void give_up(struct file_work *work)
{
    struct body *body = (struct body *)work;
    if (body->closed)
        return;
    if (file_work_cancel(work)) {
        body->out = false;
        body->error = -ETIMEDOUT;
    }
    if (body->told && !body->wanted)
        return;
    body->error = -ETIMEDOUT;
    tell(body);
}

struct body *body_open(struct service *service, int64_t watch, const char *root, const char *path,
                       const struct file_identity *identity, const uint8_t sha256[32],
                       const struct body_hooks *hooks)
{
    struct body *body = mem_zalloc(sizeof *body);
    body->work = (struct file_work){.run = run, .done = done, .give_up = give_up};
    body->service = service;
    body->watch = watch;
    body->hooks = *hooks;
    body->root = mem_string(root);
    body->path = mem_string(path);
    body->identity = *identity;
    memcpy(body->sha256, sha256, sizeof body->sha256);
    body->left = body->to_read = identity->size;
    body->room = identity->size < BODY_BLOCK_BYTES ? (size_t)identity->size : BODY_BLOCK_BYTES;
    for (unsigned i = 0; i < BLOCKS && i * body->room < identity->size; i++)
        body->blocks[i] = mem_zalloc(body->room);
    send_out(body);
    return body;
}

ssize_t body_read(struct body *body, void *buffer, size_t n)
{
    size_t available = body->sizes[body->reading] - body->at;
    if (body->left == 0)
        return 0;
    if (available == 0) {
        if (body->error == 0 && body->out && body->work.given_up)
            body->error = -ETIMEDOUT;
        if (body->error != 0)
            return body->error;
        body->wanted = true;
        return UPLOADER_NOT_YET;
    }
    if (n > available)
        n = available;
    memcpy(buffer, body->blocks[body->reading] + body->at, n);
    body->at += n;
    body->left -= n;
    if (n == available) {
        body->sizes[body->reading] = 0;
        body->reading = (body->reading + 1) % BLOCKS;
        body->at = 0;
        read_on(body);
    }
    return (ssize_t)n;
}

void body_close(struct body *body)
{
    body->closed = true;
    if (body->out && file_work_cancel(&body->work))
        body->out = false;
    if (!body->out)
        end(body);
}
