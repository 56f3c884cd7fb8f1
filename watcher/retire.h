/*
 * Retiring an uploaded file: moving it away or deleting it, and never one that is not the file that
 * was uploaded.
 *
 * The file is first renamed into a private folder of the same file system (`ROOT/.chorus-agent`),
 * where nobody opens it by name any more; there it must have no writer (a lease is asked), the
 * uploaded file's identity and its checksum, else it is put back. Only then it is moved on or
 * deleted, with every folder fsynced. A call that was cut off by a crash is simply made again: it
 * finds the file where it was left.
 *
 * Blocks; for a pool thread.
 */
#ifndef CHORUS_WATCHER_RETIRE_H
#define CHORUS_WATCHER_RETIRE_H

#include <stdint.h>

#include "watcher/identity.h"

struct turn;

enum retire_result {
    RETIRE_DONE,
    RETIRE_GONE,     /* neither there nor in the private folder: somebody else took it */
    RETIRE_NOT_SAME, /* another file, or other content, stands there: left alone */
    RETIRE_IN_USE,   /* somebody has it open for writing: try again later */
    RETIRE_FAILED, /* `error` says why (EROFS, EACCES, ENOSPC, ...); the file is where it was, or in
                      the private folder */
    RETIRE_BESIDE_FAILED, /* as FAILED: `beside` could not be moved along, so the file stays too */
};

struct retirement {
    const char *root, *path; /* as the watcher reported it */
    struct file_identity identity;
    uint8_t sha256[32];
    const char *move_to; /* a folder; the path below root is kept in it, nothing is overwritten (-2,
                            -3, ...); NULL: delete */
    struct turn *turn;   /* told that it goes on; NULL: none */
    const char *beside;  /* a file below root that is moved along with it (just before it), into the
                            folder where it goes; NULL: none. Never deleted. */
};

/* `moved_to` (may be NULL where move_to is) gets the new path when it was moved, new string (free);
 * NULL: it was not, or memory is too short to tell. `error` gets an errno for FAILED and
 * BESIDE_FAILED. */
enum retire_result retire_file(const struct retirement *retirement, char **moved_to, int *error);

#endif
