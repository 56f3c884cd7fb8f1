/*
 * Whose turn it is to read the disk, among all watches, and how fast: the calls come first.
 *
 * Whatever reads takes turns. At most TURNS_PLACES are out at a time; one that has not moved for
 * TURNS_STILL_MS hangs: it no longer counts, so that it keeps nobody else waiting. Under I/O
 * pressure scans and checksums go one at a time and rest after each turn; above the limit of the
 * load none of them begins. Looks at settling files are short and go on all the same.
 *
 * Thread: the loop's, but for turn_moved. No turns (NULL) is no limit.
 */
#ifndef CHORUS_WATCHER_TURNS_H
#define CHORUS_WATCHER_TURNS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "watcher/pressure.h"

struct uv_loop_s;
struct turns;

enum {
    /* More, and the dialer's disk and cores are shared with more readers; fewer, and one slow
     * folder sets the pace of all. */
    TURNS_PLACES = 2,
    /* Longer, and two dead mounts keep the others waiting for so long, once; shorter, and a disk
     * that is merely slow lets a third one in. */
    TURNS_STILL_MS = 2000,
};

enum turn_kind {
    TURN_LOOK, /* a few headers */
    TURN_BULK, /* scans and checksums */
};

/* Part of what takes turns, which keeps it until it has been given back. Zeroed, but for these: */
struct turn {
    void (*go)(struct turn *turn); /* its turn has come */
    void *ctx;
    /* turns.c's own */
    struct turn *next;
    enum turn_kind kind;
    enum { TURN_NONE, TURN_WAITS, TURN_OUT, TURN_STILL } state;
    int64_t begun_ms;
    _Atomic int64_t moved_ms;
};

struct turns_options {
    int max_load;     /* hundredths, 0: off */
    const char *proc; /* "/proc" but in tests; static */
};

/* `changed` is called when the verdict changes; not within turns_new. 0 or -ENOMEM. */
int turns_new(struct uv_loop_s *loop, const struct turns_options *options,
              void (*changed)(void *ctx), void *ctx, struct turns **out);
void turns_configure(struct turns *turns, const struct turns_options *options);

/* True: it is its turn now. False: `go` is called when it is; what it asked for before is
 * replaced. One that is out stays out for what it asks for now, where that may go. */
bool turns_ask(struct turns *turns, struct turn *turn, enum turn_kind kind);
/* It is over, or not wanted any more; nothing if it was neither. */
void turns_give_back(struct turns *turns, struct turn *turn);
/* Any thread: it goes on. NULL: nothing. */
void turn_moved(struct turn *turn);
/* Whether scans and checksums may begin at all. */
bool turns_bulk_is_open(const struct turns *turns);

enum pressure_verdict turns_verdict(const struct turns *turns);
/* Why it is slow or stopped, in words; "" if it is neither. Valid until the next call. */
const char *turns_words(const struct turns *turns);

/* No turn is out or waits. */
void turns_close(struct turns *turns);

#endif
