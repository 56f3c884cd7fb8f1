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

void file_identity_of(const struct stat *st, struct file_identity *identity);

bool file_identity_equal(const struct file_identity *a, const struct file_identity *b);

#endif
