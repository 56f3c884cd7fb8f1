/*
 * The folders: paths, what stands at them, and every content there ever was. A content is a number;
 * its fingerprint is a function of it that no two share. Files outlive every crash.
 */
#ifndef CHORUS_SIM_FILES_H
#define CHORUS_SIM_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "watcher/identity.h"

enum { MOST_ROOTS = 3, MOST_PATHS = 256, MOST_CONTENTS = 512, PATH_ROOM = 64, FORM_ROOM = 96 };

enum root_state { ROOT_THERE, ROOT_MISSING, ROOT_EMPTY_MOUNT };

/* What the world knows of one content: the truth that the program is measured by. */
struct content {
    int requests;       /* POSTs of it that left the program */
    int stored_by_us;   /* copies that Chorus keeps, sent by us */
    bool stored_at_all; /* by us or by somebody else, whole */
    bool answered_409, refused, forbidden;
    bool in_doubt;    /* a whole body arrived or may have, and no proof came of it */
    int64_t doubt_ms; /* steady: since when */
    int64_t tried_ms; /* steady: since when it is being tried, 0: it is not */
    int on_its_way;   /* whole bodies that have left, and may be stored yet */
    bool live;        /* a POST of it is under way, as the program sees it */
    bool left_whole;  /* ... and its last part has left */
    bool removed;     /* its file was retired */
    char key[FORM_ROOM], owner[FORM_ROOM], name[FORM_ROOM]; /* of the last one in doubt */
    unsigned first_life;
    int paths; /* that ever had it, as numbers of paths; for the checks */
    int path[16];
};

struct inode {
    bool used;
    uint64_t ino;
    int content;
    uint64_t size;
    int64_t mtime_ns, ctime_ns;
    int64_t open_until_ms; /* steady: its writer has it open */
    bool silent;           /* changed without a change of its time stamps */
};

struct path {
    char name[PATH_ROOM]; /* below the root */
    int root;
    int inode; /* -1: nothing stands there */
};

struct root {
    char name[16], path[32];
    enum root_state state;
    uint64_t dev;
};

struct files {
    struct root roots[MOST_ROOTS];
    int root_count;
    struct inode inodes[MOST_PATHS];
    struct path paths[MOST_PATHS];
    int path_count;
    struct content contents[MOST_CONTENTS];
    int content_count;
    uint64_t next_ino;
    uint64_t free_inos[MOST_PATHS];
    int free_ino_count;
    struct {
        int inode, path;
        char name[24];
    } aside[MOST_PATHS]; /* in the private folder, on its way out */
    int aside_count;
};

extern struct files files;

void files_begin(int roots);

void content_fingerprint(int content, uint8_t sha256[32]);
/* The number of the content, -1: no such. */
int content_of(const uint8_t sha256[32]);

/* What stands at the path of a root that is not missing. */
struct root_identity files_root_identity(int root);

/* Number of a path (made where it is new), and of what stands there. */
int path_number(int root, const char *name);
/* -1: it is not one of ours, or not in sight (its root is away). */
int path_find(const char *absolute);
void path_absolute(int path, char out[PATH_ROOM + 16]);

/* Each returns the number of the path it was about, -1: it could not be done. */
int file_create(int root, const char *name, int content, int64_t open_for_ms);
void file_append(int path, int64_t open_for_ms);
void file_write_silently(int path);
void file_remove(int path);
void file_rename(int from, int to);
void file_copy(int from, int to);
void file_replace(int path);

bool file_is_there(int path);
void file_identity(int path, struct file_identity *identity);
struct inode *file_inode(int path);

/* The machine was started anew: devices may have other numbers. */
void files_boot(void);

#endif
