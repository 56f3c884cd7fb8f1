/*
 * The bytes of one fingerprinted file, for whoever sends them: they are digested as they are read,
 * and the end is given out only once the digest agrees with the fingerprint. A write through a
 * mapping changes no time stamp (measured), so only the bytes themselves prove what was sent.
 *
 * Thread: any one thread at a time; everything blocks, closing too: for a pool thread.
 */
#ifndef CHORUS_WATCHER_FILE_BODY_H
#define CHORUS_WATCHER_FILE_BODY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "watcher/identity.h"

struct file_body;

/* Opens `path` below `root` (no symlink below root is followed) if it still has this identity; the
 * device's number may have changed since (a boot, a mount). 0, -ESTALE (another file stands there),
 * or negative errno (-ENOENT: gone). *found gets the folder it was looked for in, zeros: none. */
int file_body_open(const char *root, const char *path, const struct file_identity *identity,
                   const uint8_t sha256[32], struct root_identity *found, struct file_body **out);

/* The next bytes, at most n: how many, 0 at the end, or negative errno; -ESTALE when the file
 * turned out shorter, or has grown or changed since. */
ssize_t file_body_read(struct file_body *body, void *buffer, size_t n);

/* After every byte was read, before the last of them leaves: 0 if they were the fingerprinted ones
 * and the file still has its identity, else -ESTALE. Once open, its ctime does not count: a rename
 * or an unlink while it is sent moves that, and takes no byte away. */
int file_body_verify(struct file_body *body);

void file_body_close(struct file_body *body);

#endif
