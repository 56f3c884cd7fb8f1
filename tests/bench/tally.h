/*
 * What the sink has seen, over all connections, and what it is to compare with.
 *
 * Thread: any; the manifest is read before the first thread begins.
 */
#ifndef BENCH_TALLY_H
#define BENCH_TALLY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { TALLY_NAME = 96 }; /* of a file's name that is kept; longer ones are cut */

struct tally_counts {
    uint64_t uploads;     /* whole ones */
    uint64_t body_bytes;  /* of their bodies, form and all */
    uint64_t data_bytes;  /* of their files */
    uint64_t checked;     /* whose file was hashed */
    uint64_t wrong;       /* hashed, and not what the manifest says; or with a torn form */
    uint64_t connections; /* accepted */
    uint64_t broken;      /* requests that ended before their end, or could not be read */
};

/* Reads lines `sha256 name`. 0 or negative errno. */
int tally_read_manifest(const char *path);
/* Keep when each upload began (by name). */
void tally_keep_arrivals(void);

/* Of every so many uploads one is to be hashed; drawn by its name, so that it is the same for every
 * sender. 0: none. */
void tally_check_every(unsigned every);
bool tally_wants_check(const char *name);

void tally_connection(void);
void tally_broken(void);
/* A whole upload. `sha256`: of its file, NULL where it was not hashed. `began_ns`: CLOCK_MONOTONIC,
 * when its first byte was here. Returns its number. */
uint64_t tally_upload(const char *name, uint64_t body_bytes, uint64_t data_bytes,
                      const unsigned char *sha256, bool torn, int64_t began_ns);

void tally_get(struct tally_counts *counts);
/* Lines `ns name`, in order of arrival. */
void tally_write_arrivals(FILE *to);
void tally_reset(void);

#endif
