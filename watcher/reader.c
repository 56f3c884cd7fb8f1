#include "watcher/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PAGE_LEAST = 4096, PAGES_MOST = READER_BLOCK / PAGE_LEAST + 2 };

static uint64_t page_bytes(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

void reader_begin(struct reader *reader, int fd, uint64_t size)
{
    *reader = (struct reader){.fd = fd, .size = size};
    posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    if (size > 0 && size <= SIZE_MAX / 2) {
        void *map = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0);
        reader->map = map != MAP_FAILED ? map : NULL;
    }
}

void reader_end(struct reader *reader)
{
    if (reader->map) {
        munmap(reader->map, (size_t)reader->size);
    }
    reader->map = NULL;
}

/* The pages of a block: which of them were there before it was read. */
struct pages {
    uint64_t first; /* number */
    size_t count;   /* 0: not known */
    unsigned char there[PAGES_MOST];
};

static bool is_there(const struct pages *pages, size_t i)
{
    return pages->there[i] & 1;
}

static void look(const struct reader *reader, uint64_t at, size_t n, struct pages *pages)
{
    uint64_t page = page_bytes(), end = at + n < reader->size ? at + n : reader->size;
    pages->first = at / page;
    pages->count = 0;
    if (!reader->map || reader->sight == READER_BLIND || at >= end) {
        return;
    }
    char *from = (char *)reader->map + pages->first * page;
    if (mincore(from, (size_t)(end - pages->first * page), pages->there) == 0) {
        pages->count = (size_t)((end - 1) / page - pages->first) + 1;
    }
}

static bool all_there(const struct pages *pages)
{
    size_t i = 0;
    while (i < pages->count && is_there(pages, i)) {
        i++;
    }
    return i == pages->count;
}

/* Whole pages: the kernel keeps one that is named in part only. */
static void drop(const struct reader *reader, uint64_t first, uint64_t count)
{
    uint64_t page = page_bytes();
    posix_fadvise(reader->fd, (off_t)(first * page), (off_t)(count * page), POSIX_FADV_DONTNEED);
}

static void drop_what_came_in(const struct reader *reader, const struct pages *pages)
{
    for (size_t i = 0; i < pages->count;) {
        size_t from = i;
        while (i < pages->count && !is_there(pages, i)) {
            i++;
        }
        if (i > from) {
            drop(reader, pages->first + from, i - from);
        }
        i += i == from;
    }
}

/* Bytes that are there; 0: the first is not; -1: it cannot be asked. */
static ssize_t read_what_is_there(const struct reader *reader, void *buffer, size_t n, uint64_t at)
{
    struct iovec part = {buffer, n};
    ssize_t got = preadv2(reader->fd, &part, 1, (off_t)at, RWF_NOWAIT);
    return got >= 0 ? got : errno == EAGAIN ? 0 : -1;
}

static ssize_t read_on(const struct reader *reader, char *buffer, size_t had, size_t n, uint64_t at)
{
    ssize_t got;
    do {
        got = pread(reader->fd, buffer + had, n - had, (off_t)(at + had));
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return had > 0 ? (ssize_t)had : -errno;
    }
    return (ssize_t)had + got;
}

ssize_t reader_read(struct reader *reader, void *buffer, size_t n, uint64_t at)
{
    struct pages pages;
    size_t most = reader->sight == READER_SEES ? READER_BLOCK : READER_UNIT;
    n = n < most ? n : most;
    look(reader, at, n, &pages);
    ssize_t there = read_what_is_there(reader, buffer, n, at);
    size_t had = there > 0 ? (size_t)there : 0;
    if (had == n || (had > 0 && at + had >= reader->size)) {
        return there;
    }
    ssize_t got = read_on(reader, buffer, had, n, at);
    if (!all_there(&pages)) {
        reader->sight = READER_SEES;
    } else if (there >= 0 && reader->sight == READER_UNPROVEN) {
        /* not what the read met: the kernel says so of every page */
        reader->sight = READER_BLIND;
    }
    if (reader->sight != READER_BLIND) {
        drop_what_came_in(reader, &pages);
    } else if (there == 0 && got > 0) { /* one that was there in part is left as it is */
        uint64_t page = page_bytes();
        drop(reader, at / page, (at + (uint64_t)got - 1) / page - at / page + 1);
    }
    return got;
}
