/*
 * Reads a file and leaves the page cache as it was: what a read had to bring in is dropped again,
 * what was there before stays, for somebody else may be about to read it. The kernel's readahead
 * is off, so that nothing comes in unnoticed.
 *
 * What is there is asked page by page (mincore). Of a file that we neither own nor may write the
 * kernel does not tell that (since Linux 5.2); then a read that does not wait (RWF_NOWAIT) tells it
 * in units of READER_UNIT. Where neither can be had (some network file systems) all stays.
 *
 * Any thread, one at a time.
 */
#ifndef CHORUS_WATCHER_READER_H
#define CHORUS_WATCHER_READER_H

#include <stdint.h>
#include <sys/types.h>

enum {
    READER_BLOCK = 512 * 1024, /* bytes a read, at most: smaller, and a disk seeks more often */
    /* Larger, and the edge between what is there and what is not is met less exactly; smaller, and
     * a disk seeks more often. */
    READER_UNIT = 128 * 1024,
};

struct reader {
    int fd;    /* the caller's */
    void *map; /* to ask by; never touched. NULL: none */
    uint64_t size;
    enum { READER_UNPROVEN, READER_SEES, READER_BLIND } sight; /* whether it is told page by page */
};

void reader_begin(struct reader *reader, int fd, uint64_t size);
/* As pread, of up to READER_BLOCK bytes: how many, 0 at the end, or negative errno. */
ssize_t reader_read(struct reader *reader, void *buffer, size_t n, uint64_t at);
/* The descriptor stays open. Again: nothing. */
void reader_end(struct reader *reader);

#endif
