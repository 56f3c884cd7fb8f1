#include "watcher/table.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS_FIRST = 256 };
#define NOT_DUE SIZE_MAX

void table_init(struct table *table)
{
    memset(table, 0, sizeof *table);
}

void table_deinit(struct table *table)
{
    for (size_t i = 0; i < table->bucket_count; i++) {
        for (struct candidate *c = table->buckets[i], *next; c; c = next) {
            next = c->chain;
            free(c);
        }
    }
    free(table->buckets);
    free(table->heap);
    uint64_t last_id = table->last_id; /* ids of before stay unknown */
    memset(table, 0, sizeof *table);
    table->last_id = last_id;
}

static size_t hash_of(const char *path)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (const char *p = path; *p; p++) {
        hash = (hash ^ (unsigned char)*p) * UINT64_C(1099511628211);
    }
    return (size_t)(hash ^ hash >> 32);
}

static struct candidate **bucket_of(const struct table *table, const char *path)
{
    return &table->buckets[hash_of(path) & (table->bucket_count - 1)];
}

struct candidate *table_find(const struct table *table, const char *path)
{
    if (table->bucket_count == 0) {
        return NULL;
    }
    struct candidate *c = *bucket_of(table, path);
    while (c && strcmp(c->path, path) != 0) {
        c = c->chain;
    }
    return c;
}

struct candidate *table_find_id(const struct table *table, const char *path, uint64_t id)
{
    struct candidate *c = table_find(table, path);
    return c && c->id == id ? c : NULL;
}

static bool grow_buckets(struct table *table)
{
    size_t count = table->bucket_count ? table->bucket_count * 2 : BUCKETS_FIRST;
    struct candidate **buckets = calloc(count, sizeof *buckets);
    if (!buckets) {
        return table->bucket_count > 0; /* longer chains serve too */
    }
    struct candidate **old = table->buckets;
    size_t old_count = table->bucket_count;
    table->buckets = buckets;
    table->bucket_count = count;
    for (size_t i = 0; i < old_count; i++) {
        for (struct candidate *c = old[i], *next; c; c = next) {
            next = c->chain;
            struct candidate **bucket = bucket_of(table, c->path);
            c->chain = *bucket;
            *bucket = c;
        }
    }
    free(old);
    return true;
}

/* Room in the heap for every candidate, so that becoming due never fails. */
static bool grow_heap(struct table *table)
{
    if (table->count < table->heap_room) {
        return true;
    }
    size_t room = table->heap_room ? table->heap_room * 2 : BUCKETS_FIRST;
    struct candidate **heap = realloc(table->heap, room * sizeof(struct candidate *));
    if (!heap) {
        return false;
    }
    table->heap = heap;
    table->heap_room = room;
    return true;
}

struct candidate *table_add(struct table *table, const char *path)
{
    if ((table->count >= table->bucket_count && !grow_buckets(table)) || !grow_heap(table)) {
        return NULL;
    }
    size_t n = strlen(path) + 1;
    struct candidate *c = calloc(1, sizeof *c + n);
    if (!c) {
        return NULL;
    }
    memcpy(c->path, path, n);
    c->id = ++table->last_id;
    c->heap_at = NOT_DUE;
    struct candidate **bucket = bucket_of(table, path);
    c->chain = *bucket;
    *bucket = c;
    table->count++;
    return c;
}

void table_detach(struct table *table, struct candidate *candidate)
{
    struct candidate **link = bucket_of(table, candidate->path);
    while (*link != candidate) {
        link = &(*link)->chain;
    }
    *link = candidate->chain;
    table_not_due(table, candidate);
    table->count--;
}

static void place(struct table *table, size_t at, struct candidate *candidate)
{
    table->heap[at] = candidate;
    candidate->heap_at = at;
}

static void sift_up(struct table *table, size_t at)
{
    struct candidate *c = table->heap[at];
    while (at > 0 && table->heap[(at - 1) / 2]->due_ns > c->due_ns) {
        place(table, at, table->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(table, at, c);
}

static void sift_down(struct table *table, size_t at)
{
    struct candidate *c = table->heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= table->heap_count) {
            break;
        }
        if (child + 1 < table->heap_count &&
            table->heap[child + 1]->due_ns < table->heap[child]->due_ns) {
            child++;
        }
        if (table->heap[child]->due_ns >= c->due_ns) {
            break;
        }
        place(table, at, table->heap[child]);
        at = child;
    }
    place(table, at, c);
}

void table_due(struct table *table, struct candidate *candidate, int64_t due_ns)
{
    table_not_due(table, candidate);
    candidate->due_ns = due_ns;
    place(table, table->heap_count++, candidate);
    sift_up(table, candidate->heap_at);
}

void table_not_due(struct table *table, struct candidate *candidate)
{
    size_t at = candidate->heap_at;
    if (at == NOT_DUE) {
        return;
    }
    candidate->heap_at = NOT_DUE;
    struct candidate *last = table->heap[--table->heap_count];
    if (last != candidate) {
        place(table, at, last);
        sift_up(table, at);
        sift_down(table, last->heap_at);
    }
}

struct candidate *table_first_due(const struct table *table)
{
    return table->heap_count ? table->heap[0] : NULL;
}

void table_each(struct table *table, void (*each)(void *ctx, struct candidate *candidate),
                void *ctx)
{
    for (size_t i = 0; i < table->bucket_count; i++) {
        for (struct candidate *c = table->buckets[i], *next; c; c = next) {
            next = c->chain;
            each(ctx, c);
        }
    }
}
