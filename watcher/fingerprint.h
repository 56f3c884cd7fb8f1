/*
 * The SHA-256 of one file under one identity, in slices, so that a great file does not keep looks
 * at others waiting. Pool thread; one slice at a time.
 */
#ifndef CHORUS_WATCHER_FINGERPRINT_H
#define CHORUS_WATCHER_FINGERPRINT_H

#include <stdbool.h>

#include "watcher/watcher.h"

struct fingerprint {
    uint64_t id; /* of the candidate; the caller's */
    bool done;
    struct watch_fingerprint answer; /* once done; its path is the fingerprint's */
    /* fingerprint.c's own */
    int fd;
    uint64_t at;
    struct digest *digest;
    unsigned char *buffer;
    char path[];
};

/* Begins nothing yet. NULL when memory is short. */
struct fingerprint *fingerprint_new(const char *path, const struct file_identity *identity);
void fingerprint_free(struct fingerprint *fingerprint);

/* Reads up to 16 MiB more; opens the file first, checks its identity before and after. */
void fingerprint_run(struct fingerprint *fingerprint, int root);

#endif
