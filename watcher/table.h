/*
 * The files in work, found by path, and by the time of their next look. Loop thread.
 * Pointers to a candidate hold until table_remove; across a job on the pool its `id` is kept
 * instead.
 */
#ifndef CHORUS_WATCHER_TABLE_H
#define CHORUS_WATCHER_TABLE_H

#include <stddef.h>

#include "watcher/settle.h"
#include "watcher/watcher.h"

enum phase {
    PHASE_ENTERED, /* not looked at yet */
    PHASE_SETTLING,
    PHASE_UNREADABLE, /* looked at again when a scan or an event names it */
    PHASE_FINISHED,   /* reported; the caller has it */
    PHASE_HASHING,    /* asked for its fingerprint */
    PHASES,
};

struct candidate {
    uint64_t id;
    enum phase phase;
    struct settle settle;
    enum settle_wait wait;
    struct file_identity identity; /* of the finding, from PHASE_FINISHED on; else the last seen */
    uint64_t scan;                 /* number of the scan that found it, 0: an event */
    int64_t first_seen_ns;         /* wall */
    int64_t duration_ms;           /* of the finding */
    bool in_job;                   /* in the batch on the pool */
    bool standing;                 /* first_scan_judged waits for it */
    bool counted;                  /* the scan waits for it */
    enum settle_hint late_hint;    /* came while in_job; 0: none */
    struct settle_moment late_at;
    int64_t due_ns;
    size_t heap_at;
    struct candidate *chain;           /* same bucket */
    struct candidate *earlier, *later; /* queue of fingerprints; table does not use them */
    char path[];
};

struct table {
    struct candidate **buckets;
    size_t bucket_count, count;
    struct candidate **heap;
    size_t heap_count, heap_room;
    uint64_t last_id;
};

void table_init(struct table *table);
/* Frees every candidate. */
void table_deinit(struct table *table);

struct candidate *table_find(const struct table *table, const char *path);
/* The same candidate as when its id was noted, or NULL. */
struct candidate *table_find_id(const struct table *table, const char *path, uint64_t id);
/* A new one, zeroed, not due. The path must not be in the table. NULL when memory is short. */
struct candidate *table_add(struct table *table, const char *path);
/* Takes it out; the caller frees it with free(). */
void table_detach(struct table *table, struct candidate *candidate);

/* Due at this steady time (moved if it was due already). Needs no memory. */
void table_due(struct table *table, struct candidate *candidate, int64_t due_ns);
void table_not_due(struct table *table, struct candidate *candidate);
/* The one that is due first, or NULL. */
struct candidate *table_first_due(const struct table *table);

/* Calls `each` with every candidate; it may detach the one it is called with and no other. */
void table_each(struct table *table, void (*each)(void *ctx, struct candidate *candidate),
                void *ctx);

#endif
