/*
 * Work on the files of watched folders that is not the watcher's own: reading what is sent, looking
 * whether a file has left. It runs on libuv's pool, never on the loop's thread, and at most
 * FILE_WORK_AT_ONCE pieces a watch at a time, so that a mount that hangs takes a few threads and
 * nothing from other watches.
 *
 * A piece that takes longer than FILE_WORK_PATIENCE_MS hangs: its watch counts as offline until it
 * comes back, and nothing more of that watch is begun.
 *
 * Thread: the loop's, but for `run`.
 */
#ifndef CHORUS_SERVICE_FILE_WORK_H
#define CHORUS_SERVICE_FILE_WORK_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum {
    /* More threads for one watch, and a mount that hangs takes more; fewer, and a slow network
     * share is read one block at a time. */
    FILE_WORK_AT_ONCE = 2,
    /* Shorter, and a disk that spins up looks dead; longer, and what waits for a dead mount takes
     * the places of others for longer. */
    FILE_WORK_PATIENCE_MS = 10000,
};

struct service;
struct file_lane;

/* Part of what the caller works on, who keeps it until `done`. */
struct file_work {
    void (*run)(struct file_work *work);  /* on the pool */
    void (*done)(struct file_work *work); /* afterwards, on the loop's thread */
    /* Once, at most: it, or one before it, hangs, or the program ends; whoever waits for it should
     * not. What was begun still comes to `done`, perhaps; what was not may be cancelled here. NULL:
     * not wanted. */
    void (*give_up)(struct file_work *work);
    /* file_work.c's own */
    struct file_lane *lane;
    struct file_work *next;
    uv_work_t request;
    int64_t begun_ms;
    bool hangs, given_up;
};

/* Runs it as soon as it may; in the order added, within a watch of the ledger. */
void file_work_add(struct service *service, int64_t watch, struct file_work *work);

/* True: it has not begun, and never will: it is the caller's again. */
bool file_work_cancel(struct file_work *work);

/* Whether some work of this watch hangs. */
bool file_work_hangs(const struct service *service, int64_t watch);

/* Nothing runs and nothing waits. */
bool file_works_are_idle(const struct service *service);

void file_works_init(struct service *service);
/* Gives up all that is there. */
void file_works_stop(struct service *service);
/* When they are idle, or never will be. */
void file_works_close(struct service *service);

/* Threads of the pool that so many watches may need at once. */
unsigned file_work_threads(unsigned watches);

#endif
