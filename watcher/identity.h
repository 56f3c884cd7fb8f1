/* What tells one version of one file from another without reading it. */
#ifndef CHORUS_WATCHER_IDENTITY_H
#define CHORUS_WATCHER_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

struct stat;

struct file_identity {
    uint64_t dev, ino, size;
    int64_t mtime_ns, ctime_ns; /* since the epoch */
};

/* A watched folder: another one may stand at its path after a mount. */
struct root_identity {
    uint64_t dev, ino;
};

/* Of an open folder: 0 or negative errno. */
int root_identity_of(int fd, struct root_identity *identity);

void file_identity_of(const struct stat *st, struct file_identity *identity);

bool file_identity_equal(const struct file_identity *a, const struct file_identity *b);

/* The same but for the device's number, which a boot or a mount gives anew: for those who know the
 * bytes as well. */
bool file_identity_equal_elsewhere(const struct file_identity *a, const struct file_identity *b);

#endif
