/*
 * The inbox: takes control files from control_dir like recordings, only when they have settled, by
 * event and by scan, also those that stood there before. Each is judged by what is open, never by
 * its name; read once on libuv's pool, so that a file of 64 MiB stalls nothing; and handed over,
 * one at a time: the next is read once the one before is freed.
 *
 * Thread: the loop's.
 */
#ifndef CHORUS_CONTROL_INBOX_H
#define CHORUS_CONTROL_INBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/control/request.h"
#include "watcher/identity.h"

struct uv_loop_s;
struct inbox;

/* A control file that has settled. It still stands in control_dir, until it is moved away. */
struct control_file {
    char *name;                    /* in control_dir, bytes */
    struct file_identity identity; /* what stood there under this name */
    uint8_t digest[32];            /* SHA-256 of it; of its identity, where it was not read */
    struct request_facts facts;
    char *refusal; /* why it is refused whole; NULL: it may be carried out */
    int fd;        /* open, at its beginning, to read its lines; -1 where there is a refusal */
    struct inbox *inbox;
};

/* Whether what `fd` reads is still what was judged: asked after the lines were read, for its owner
 * may have written on. Then the lines mean nothing, and the inbox finds the file again by itself.
 */
bool control_file_is_unchanged(const struct control_file *file);

/* The receiver is done with it (its lines are read); closes `fd`. */
void control_file_free(struct control_file *file);

struct inbox_hooks {
    /* The receiver frees the file, now or later, and moves what stands in control_dir. */
    void (*take)(void *ctx, struct control_file *file);
    /* control_dir can be used, or not (why, in words; "": all is well). */
    void (*state)(void *ctx, bool usable, const char *reason);
    void *ctx;
};

/* Begins to look. `control_group` as in the configuration; "" for none. Never NULL. */
struct inbox *inbox_new(struct uv_loop_s *loop, const char *control_dir, const char *control_group,
                        const struct inbox_hooks *hooks);
void inbox_configure(struct inbox *inbox, const char *control_group);
/* Takes nothing further; frees itself once its watch and its job on the pool are done, then calls
 * `closed`. Files that were handed over may be freed before or after. */
void inbox_close(struct inbox *inbox, void (*closed)(void *ctx), void *ctx);

#endif
