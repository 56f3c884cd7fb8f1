#include "tests/sim/memory.h"

#include <sqlite3.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { STEP = 16, SMALL = 1024, BLOCK = 1 << 20, CLASSES = SMALL / STEP + 8 };

/* In front of every piece. */
union header {
    struct {
        uint32_t size, class;
    } piece;
    union header *next; /* of those that are free */
    uint64_t align[2];
};

static struct {
    union header *free[CLASSES];
    uint8_t *block;
    size_t left;
} memory;

/* Up to SMALL in steps of 16, from there on in powers of two; the last ones are the system's own.
 */
static uint32_t class_of(size_t n, size_t *size)
{
    if (n <= SMALL) {
        uint32_t class = (uint32_t)((n + STEP - 1) / STEP);
        *size = class > 0 ? (size_t) class * STEP : STEP;
        return class > 0 ? class - 1 : 0;
    }
    uint32_t class = SMALL / STEP;
    for (*size = 2 * SMALL; *size < n && class < CLASSES - 1; class ++)
        *size *= 2;
    if (*size < n)
        *size = n;
    return class;
}

static union header *carve(size_t n)
{
    if (memory.left < n) {
        memory.block = malloc(BLOCK);
        memory.left = memory.block != NULL ? BLOCK : 0;
        if (memory.block == NULL)
            return NULL;
    }
    union header *piece = (union header *)(void *)memory.block;
    memory.block += n;
    memory.left -= n;
    return piece;
}

static void *take(int n)
{
    size_t size;
    uint32_t class = class_of((size_t)n, &size);
    union header *piece = memory.free[class];
    if (class == CLASSES - 1)
        piece = malloc(sizeof *piece + size);
    else if (piece != NULL)
        memory.free[class] = piece->next;
    else
        piece = carve(sizeof *piece + size);
    if (piece == NULL)
        return NULL;
    piece->piece.size = (uint32_t)size;
    piece->piece.class = class;
    return piece + 1;
}

static void give(void *bytes)
{
    union header *piece = (union header *)bytes - 1;
    uint32_t class = piece->piece.class;
    if (class == CLASSES - 1) {
        free(piece);
        return;
    }
    piece->next = memory.free[class];
    memory.free[class] = piece;
}

static int size_of(void *bytes)
{
    return bytes != NULL ? (int)((union header *)bytes - 1)->piece.size : 0;
}

static void *resize(void *bytes, int n)
{
    if (n <= size_of(bytes))
        return bytes;
    void *moved = take(n);
    if (moved == NULL)
        return NULL;
    memcpy(moved, bytes, (size_t)size_of(bytes));
    give(bytes);
    return moved;
}

static int round_up(int n)
{
    size_t size;
    class_of((size_t)n, &size);
    return (int)size;
}

static int begin(void *ctx)
{
    (void)ctx;
    return SQLITE_OK;
}

static void end(void *ctx)
{
    (void)ctx;
}

int memory_register(void)
{
    static const sqlite3_mem_methods methods = {take,     give,  resize, size_of,
                                                round_up, begin, end,    NULL};
    return sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
}
