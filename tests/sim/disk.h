/*
 * A disk in memory under SQLite: the default VFS of the process. Each file has two images, what a
 * reader sees and what is safe, in sectors of 512 bytes. A power cut keeps of each sector that was
 * not synced the old or the new bytes, at random, sometimes torn in the middle; a kill keeps all
 * that was written. Every operation may be where the program dies; from then on nothing has an
 * effect until disk_restart.
 */
#ifndef CHORUS_SIM_DISK_H
#define CHORUS_SIM_DISK_H

#include <stdbool.h>
#include <stdint.h>

enum disk_trouble {
    DISK_WELL,
    DISK_FULL,    /* nothing grows */
    DISK_FAILING, /* writes and syncs fail now and then */
    DISK_BROKEN,  /* every write and sync fails */
    DISK_DEAD,    /* every read, too */
};

struct disk_counts {
    uint64_t operations, syncs, failures, power_cuts;
};

/* Registers the VFS; once a process. 0 or an SQLite code. */
int disk_register(void);

/* An empty disk, or one that holds a ledger as it is just after it was made, safe. */
void disk_format(bool with_fresh_ledger);
/* Keeps what is on the disk now as the fresh ledger of disk_format. */
void disk_keep_as_fresh(void);
bool disk_has_fresh(void);

void disk_trouble_is(enum disk_trouble trouble);
/* The next sync fails, once. */
void disk_fail_next_sync(void);
/* No faults and no death while the checks read. */
void disk_quiet(bool quiet);

/* After the program died: what the next one finds. */
void disk_restart(bool power_cut);

struct sqlite3_file;
/* Whether this is the open log of that database. */
bool disk_is_log(const struct sqlite3_file *file, const char *database);
/* Nothing can be opened, and nobody dies of it. */
void disk_no_opening(bool none);
/* Whether the database itself, whatever is in its log, has the fresh ledger's schema. */
bool disk_is_made(const char *database);
/* This file of a connection that nobody uses is the database `name` from now on, as if opened, so a
 * place to die at. False: it cannot be. */
bool disk_take_over(struct sqlite3_file *file, const char *name);

const struct disk_counts *disk_counts(void);

#endif
