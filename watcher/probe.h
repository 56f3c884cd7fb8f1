/* One look at one file: may it be read, who has it open, what does its header say. Pool thread (or
 * any): calls block. */
#ifndef CHORUS_WATCHER_PROBE_H
#define CHORUS_WATCHER_PROBE_H

#include "watcher/media.h"
#include "watcher/settle.h"

struct probe {
    int error; /* 0, or negative errno: -ENOENT, -ELOOP, -EINVAL: no file of ours stands there */
    struct settle_sample sample;
    struct media media;
};

/* Looks at `path` below `root`; sample.folder_open is left false. Asks for a lease and gives it
 * back at once, as the next writer's open waits for it. SIGIO must be ignored. */
void probe_look(int root, const char *path, struct probe *out);

/* Signs of an unfinished folder (names_sign) that stand in `folder` below `root` and have changed
 * since `believed_since_ns` (wall): bits 1 << enum names_sign. 0 also when it cannot be read. */
unsigned probe_signs(int root, const char *folder, int64_t believed_since_ns);

#endif
