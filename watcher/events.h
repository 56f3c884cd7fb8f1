/*
 * One inotify descriptor under the loop: who closed, moved, created, removed what. Hints: an
 * overflow is told, never hidden. Loop thread, but for events_watch.
 */
#ifndef CHORUS_WATCHER_EVENTS_H
#define CHORUS_WATCHER_EVENTS_H

#include <stddef.h>
#include <stdint.h>

struct uv_loop_s;
struct events;

struct events_callbacks {
    /* Something happened to `name` in the watched directory `folder` ("" is the top); mask of
     * inotify. */
    void (*event)(void *ctx, const char *folder, const char *name, uint32_t mask);
    /* Events were lost: only a look at everything helps. */
    void (*overflow)(void *ctx);
    /* A directory is no longer watched (removed, unmounted, the top moved away). */
    void (*lost)(void *ctx, const char *folder);
};

/* Opens and listens. After `drop_after` events the rest is dropped and an overflow told; 0: never.
 * 0, or negative errno (-EMFILE: fs.inotify.max_user_instances). */
int events_open(struct uv_loop_s *loop, uint64_t drop_after,
                const struct events_callbacks *callbacks, void *ctx, struct events **out);

/* A copy of the descriptor for a job on the pool, which closes it; or negative errno. */
int events_copy(const struct events *events);

/* Pool thread: watches the open directory by a descriptor of events_copy. Its wd, or negative
 * errno. Events of it are kept back until events_learn. */
int events_watch(int inotify, int directory);

/* The wd of `folder` is known now (again: it may have got another name): what happened there since
 * events_watch is told before this returns. 0 or -ENOMEM. */
int events_learn(struct events *events, int wd, const char *folder);

/* Stops watching `folder` and all below it. */
void events_forget(struct events *events, const char *folder);

size_t events_folders(const struct events *events);
/* Events read since events_open. */
uint64_t events_count(const struct events *events);

/* No callback runs after this; `closed` runs once the loop has let go of it. NULL: `closed` is not
 * called. */
void events_close(struct events *events, void (*closed)(void *ctx), void *ctx);

#endif
