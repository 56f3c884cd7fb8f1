/*
 * A watch's own copy of its options. A job on the pool holds one while it runs, so that a change of
 * options never pulls them from under it. Loop thread for hold and drop; reading: any thread.
 */
#ifndef CHORUS_WATCHER_OPTIONS_H
#define CHORUS_WATCHER_OPTIONS_H

#include "watcher/settle.h"
#include "watcher/watcher.h"

struct shared_options {
    unsigned references;
    struct watch_options options; /* deep copy */
    struct settle_limits limits;
};

/* A copy with one reference. 0, -ENOMEM, or -EINVAL (path not absolute, a negative duration). */
int shared_options_new(const struct watch_options *options, struct shared_options **out);
struct shared_options *shared_options_hold(struct shared_options *shared);
/* Frees it with the last reference; NULL is allowed. */
void shared_options_drop(struct shared_options *shared);

#endif
