/*
 * Opening what lies below a folder, and nothing else: no symlink, no "..", no other root is ever
 * followed below it, whoever swaps what meanwhile. Any thread; calls block.
 */
#ifndef CHORUS_WATCHER_BENEATH_H
#define CHORUS_WATCHER_BENEATH_H

struct stat;

/* The folder itself, which may be a symlink: a directory descriptor the caller closes, or negative
 * errno. */
int beneath_root(const char *path);

/* `path` below `root` ("" or "." is the root) for reading, never waiting for a writer of a FIFO and
 * never taking a terminal; `flags` adds to that (O_DIRECTORY, O_PATH). A descriptor the caller
 * closes, or negative errno: -ELOOP for a symlink on the way, -EAGAIN where another program's lease
 * stands. */
int beneath_open(int root, const char *path, int flags);

/* A regular file below `root` for reading, its status in *st. Nothing but a regular file is opened,
 * as opening alone moves a tape or wakes a FIFO's writer. A descriptor, or negative errno: -EINVAL
 * (not a regular file). */
int beneath_open_file(int root, const char *path, struct stat *st);

#endif
