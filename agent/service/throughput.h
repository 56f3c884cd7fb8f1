/* Bytes and recordings of the last minute, for status. Times are steady milliseconds. Pure. */
#ifndef CHORUS_SERVICE_THROUGHPUT_H
#define CHORUS_SERVICE_THROUGHPUT_H

#include <stddef.h>
#include <stdint.h>

enum { THROUGHPUT_MARKS = 64 };

struct throughput {
    struct throughput_mark {
        int64_t at_ms;
        uint64_t bytes, recordings; /* in all, so far */
    } marks[THROUGHPUT_MARKS];      /* a ring, one a second */
    size_t count, next;
};

/* Notes how much was sent in all by now. */
void throughput_note(struct throughput *throughput, int64_t now_ms, uint64_t bytes,
                     uint64_t recordings);

/* Bytes a second over the last minute, and how many recordings that were; what was not noted counts
 * for nothing. */
void throughput_of(const struct throughput *throughput, int64_t now_ms, double *bytes_per_s,
                   uint64_t *recordings);

#endif
