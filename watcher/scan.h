/*
 * A look through a folder and all below it, in slices, so that other work on the same pool thread
 * gets its turn and memory does not grow with the number of files: what is kept between two slices
 * is one open directory and the names of those still to be entered.
 *
 * Each directory gets its inotify watch before it is read: what appears in between is seen twice,
 * never missed. Pool thread; one slice at a time.
 */
#ifndef CHORUS_WATCHER_SCAN_H
#define CHORUS_WATCHER_SCAN_H

#include <dirent.h>
#include <stddef.h>

#include "watcher/names.h"
#include "watcher/turns.h"
#include "watcher/watcher.h"

enum {
    SCAN_ENTRIES = 1024, /* most files a slice hands out, and names it reads */
    SCAN_FOLDERS = 64,   /* most directories a slice enters */
};

struct scan_folder {
    int wd; /* of inotify */
    char *path;
};

/* What one slice found. */
struct scan_slice {
    struct watch_entry entries[SCAN_ENTRIES]; /* `path` is the slice's */
    size_t entry_count;
    struct scan_folder folders[SCAN_FOLDERS]; /* watched now */
    size_t folder_count;
    char *signs[SCAN_FOLDERS + 1]; /* folders in which a sign of unfinished work stands */
    size_t sign_count;
    int watch_error; /* errno of the first inotify watch that failed, 0: none */
    bool done;       /* nothing is left */
};

struct scan {
    struct scan *next; /* in the litter */
    /* results so far */
    size_t unreadable; /* directories */
    char *first_unreadable;
    int first_error;    /* errno */
    size_t passed_over; /* files whose names the options do not take */
    size_t too_deep;    /* directories below NAMES_DEPTH, or that contain themselves */
    bool incomplete;    /* something was not looked at */
    /* scan.c's own */
    char **stack; /* directories to enter; the last one first */
    size_t stack_count, stack_room;
    DIR *dir; /* being read */
    char *path;
    int depth;
    bool signed_already;     /* a sign in `dir` was told */
    bool unreadable_already; /* ... and that something in it cannot be looked at */
    struct {
        uint64_t dev, ino;
    } above[NAMES_DEPTH + 1]; /* the directories that lead to `dir`, by depth */
};

/* A scan of `folder` ("" is the watched folder) and what is below. NULL when memory is short. */
struct scan *scan_new(const char *folder);
/* Amid a scan a directory is open: closing may block. */
void scan_free(struct scan *scan);

/* The next slice: at most SCAN_ENTRIES names, SCAN_FOLDERS directories or about 50 ms. `inotify` is
 * a descriptor or -1. The caller empties the slice afterwards. */
void scan_run(struct scan *scan, int root, const struct watch_options *options, int inotify,
              struct scan_slice *slice, struct turn *turn);

/* Frees what the slice holds, and makes it ready for the next. */
void scan_slice_clear(struct scan_slice *slice);

#endif
