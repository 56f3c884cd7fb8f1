#include "agent/commands/seen.h"

#include <stdint.h>
#include <stdlib.h>

#include "agent/base/mem.h"

/* Ids are remembered as 64 bits of them: that two of some millions share these is not to be
 * expected (1 in 10^6). */
enum { FIRST = 128, LAST = 65536, BUCKETS = 131072 };

struct seen {
    uint64_t first[FIRST]; /* never forgotten */
    size_t first_count;
    uint64_t ring[LAST]; /* in the order in which they came */
    size_t next, count;
    int32_t bucket[BUCKETS], chain[LAST]; /* place in the ring + 1; 0: none */
};

struct seen *seen_new(void)
{
    return mem_zalloc(sizeof(struct seen));
}

void seen_free(struct seen *seen)
{
    free(seen);
}

static uint64_t hash_of(const char *id)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a, then mixed */
    for (; *id != '\0'; id++)
        hash = (hash ^ (unsigned char)*id) * UINT64_C(0x100000001b3);
    hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
    return hash ^ hash >> 33;
}

static bool is_in_ring(const struct seen *seen, uint64_t hash)
{
    int32_t at = seen->bucket[hash % BUCKETS];
    while (at != 0 && seen->ring[at - 1] != hash)
        at = seen->chain[at - 1];
    return at != 0;
}

/* The oldest leaves its chain, at whose end it stands. */
static void forget(struct seen *seen, size_t place)
{
    int32_t *link = &seen->bucket[seen->ring[place] % BUCKETS];
    while (*link != (int32_t)place + 1)
        link = &seen->chain[*link - 1];
    *link = seen->chain[place];
}

bool seen_add(struct seen *seen, const char *id)
{
    uint64_t hash = hash_of(id);
    for (size_t i = 0; i < seen->first_count; i++) {
        if (seen->first[i] == hash)
            return false;
    }
    if (is_in_ring(seen, hash))
        return false;
    if (seen->first_count < FIRST)
        seen->first[seen->first_count++] = hash;
    size_t place = seen->next;
    if (seen->count == LAST)
        forget(seen, place);
    else
        seen->count++;
    seen->ring[place] = hash;
    seen->chain[place] = seen->bucket[hash % BUCKETS];
    seen->bucket[hash % BUCKETS] = (int32_t)place + 1;
    seen->next = (place + 1) % LAST;
    return true;
}
