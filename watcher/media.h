/*
 * What a file is, by its first bytes and then by its name: whether Chorus takes it, whether there
 * is anything in it, and whether its header says that it is still being written. Reads only through
 * the function handed in; any thread.
 */
#ifndef CHORUS_WATCHER_MEDIA_H
#define CHORUS_WATCHER_MEDIA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "watcher/watcher.h"

struct media {
    enum watch_media kind;
    const char *name;    /* for WATCH_UNSUPPORTED, else ""; static storage */
    int64_t duration_ms; /* where the header says it exactly (WAV, AU, MP4); -1: not known */
    bool says_open;      /* the header says "still being written", and there is something in it */
};

/* Up to n bytes at `offset`: how many (fewer at the end only), or negative errno. */
typedef ssize_t (*media_read)(void *ctx, uint64_t offset, void *buffer, size_t n);

/* A file of this name and size. 0, or the reader's negative errno. */
int media_look(const char *name, uint64_t size, media_read read, void *ctx, struct media *out);

#endif
