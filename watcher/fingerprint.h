/*
 * The SHA-256 of one file under one identity, in slices, so that a great file does not keep looks
 * at others waiting. Pool thread; one slice at a time.
 */
#ifndef CHORUS_WATCHER_FINGERPRINT_H
#define CHORUS_WATCHER_FINGERPRINT_H

#include <stdbool.h>

#include "watcher/reader.h"
#include "watcher/turns.h"
#include "watcher/watcher.h"

struct fingerprint {
    uint64_t id;              /* of the candidate; the caller's */
    struct fingerprint *next; /* in the litter */
    bool done;
    struct watch_fingerprint answer; /* once done; its path is the fingerprint's */
    /* fingerprint.c's own */
    int fd;
    struct reader reader;
    uint64_t at;
    struct digest *digest;
    char path[];
};

/* Begins nothing yet. NULL when memory is short. */
struct fingerprint *fingerprint_new(const char *path, const struct file_identity *identity);
/* One that is not done has its file open: closing may block. */
void fingerprint_free(struct fingerprint *fingerprint);

/* Whether anything of it was read. */
bool fingerprint_has_begun(const struct fingerprint *fingerprint);

/* Reads up to 16 MiB more; opens the file first, checks its identity before and after. `buffer`:
 * READER_BLOCK bytes to read into. `turn` is told that it goes on; NULL: none. */
void fingerprint_run(struct fingerprint *fingerprint, int root, unsigned char *buffer,
                     struct turn *turn);

#endif
