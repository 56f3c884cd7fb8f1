/* What the program asks of its folders by system calls, or through the watcher's own functions:
 * stat, the bytes of one file, and retiring one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/sim/chorus.h"
#include "tests/sim/files.h"
#include "tests/sim/sim.h"
#include "watcher/file_body.h"
#include "watcher/retire.h"

int __wrap_stat(const char *name, struct stat *st);
int __wrap_lstat(const char *name, struct stat *st);

static int missing(void)
{
    errno = ENOENT;
    return -1;
}

int __wrap_stat(const char *name, struct stat *st)
{
    for (int i = 0; i < files.root_count; i++) {
        const struct root *root = &files.roots[i];
        if (strcmp(root->path, name) != 0)
            continue;
        if (root->state == ROOT_MISSING)
            return missing();
        bool there = root->state == ROOT_THERE;
        memset(st, 0, sizeof *st);
        st->st_mode = S_IFDIR | 0755;
        st->st_dev = there ? (dev_t)root->dev : 1;
        st->st_ino = there ? 2 : 20 + (ino_t)i;
        return 0;
    }
    return __wrap_lstat(name, st);
}

static struct timespec time_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

int __wrap_lstat(const char *name, struct stat *st)
{
    int path = path_find(name);
    struct file_identity identity;
    if (!file_is_there(path))
        return missing();
    file_identity(path, &identity);
    memset(st, 0, sizeof *st);
    st->st_mode = S_IFREG | 0644;
    st->st_dev = (dev_t)identity.dev;
    st->st_ino = (ino_t)identity.ino;
    st->st_size = (off_t)identity.size;
    st->st_mtim = time_of(identity.mtime_ns);
    st->st_ctim = time_of(identity.ctime_ns);
    return 0;
}

/* --- the bytes of one file --- */

struct file_body {
    int inode;
    struct file_identity identity;
    int content;
};

int file_body_open(const char *root, const char *name, const struct file_identity *identity,
                   const uint8_t sha256[32], struct file_body **out)
{
    char absolute[PATH_ROOM + 16];
    struct file_identity there;
    snprintf(absolute, sizeof absolute, "%s/%s", root, name);
    int path = path_find(absolute);
    if (!file_is_there(path))
        return -ENOENT;
    if (sim.faults.unreadable && !sim.faults_are_over && dice_one_in(10))
        return dice_one_in(2) ? -EACCES : -EIO;
    file_identity(path, &there);
    if (!file_identity_equal(&there, identity))
        return -ESTALE;
    struct file_body *body = calloc(1, sizeof *body);
    if (body == NULL)
        abort();
    *body = (struct file_body){files.paths[path].inode, *identity, content_of(sha256)};
    *out = body;
    return 0;
}

ssize_t file_body_read(struct file_body *body, void *buffer, size_t n)
{
    /* a file's bytes are the number of its content; the wire reads no more */
    if (n != sizeof body->content)
        return -EINVAL;
    memcpy(buffer, &body->content, n);
    return (ssize_t)n;
}

/* Open already: a rename or an unlink takes no byte away. A slot that was given to another file
 * tells itself by its inode's number and time stamps. */
int file_body_verify(struct file_body *body)
{
    const struct inode *inode = &files.inodes[body->inode];
    bool unlinked = !inode->used || inode->ino != body->identity.ino;
    if (unlinked)
        return 0;
    bool same = inode->size == body->identity.size && inode->mtime_ns == body->identity.mtime_ns;
    return same && inode->content == body->content ? 0 : -ESTALE;
}

void file_body_close(struct file_body *body)
{
    free(body);
}

/* --- retiring --- */

static int find_aside(const struct retirement *what, char name[24])
{
    snprintf(name, 24, "%02x%02x%02x-%llu", what->sha256[0], what->sha256[1], what->sha256[2],
             (unsigned long long)what->identity.ino);
    for (int i = 0; i < files.aside_count; i++) {
        if (strcmp(files.aside[i].name, name) == 0)
            return i;
    }
    return -1;
}

static void put_back(int aside, int path)
{
    char name[PATH_ROOM];
    int to = path;
    for (int n = 2; files.paths[to].inode >= 0; n++) {
        snprintf(name, sizeof name, "%.40s-%d", files.paths[path].name, n);
        to = path_number(files.paths[path].root, name);
    }
    int inode = files.aside[aside].inode;
    files.aside[aside] = files.aside[--files.aside_count];
    files.paths[to].inode = inode;
    files.inodes[inode].ctime_ns = sim_wall_ms() * 1000000 + (int64_t)dice_below(1000000);
    struct content *content = &files.contents[files.inodes[inode].content];
    if (content->paths < 16)
        content->path[content->paths++] = to;
    trace("retire: put back", path, to, 0);
}

static bool is_same_file(const struct inode *inode, const struct retirement *what, uint64_t dev)
{
    return inode->ino == what->identity.ino && inode->size == what->identity.size &&
           inode->mtime_ns == what->identity.mtime_ns && dev == what->identity.dev;
}

static enum retire_result take_away(const struct retirement *what, int aside, int path)
{
    int number = files.aside[aside].inode;
    const struct inode *inode = &files.inodes[number];
    uint8_t there[32];
    content_fingerprint(inode->content, there);
    enum retire_result result = RETIRE_DONE;
    if (!is_same_file(inode, what, files.roots[files.paths[path].root].dev) ||
        memcmp(there, what->sha256, 32) != 0)
        result = RETIRE_NOT_SAME;
    else if (inode->open_until_ms > sim.steady_ms)
        result = RETIRE_IN_USE;
    if (result != RETIRE_DONE) {
        put_back(aside, path);
        return result;
    }
    sim_point();
    if (sim.dead)
        return RETIRE_FAILED;
    chorus_check_removal(inode->content, what->move_to == NULL);
    files.contents[inode->content].removed = true;
    trace("retire: removed content", inode->content, path, what->move_to == NULL);
    files.inodes[number].used = false;
    files.free_inos[files.free_ino_count++ % MOST_PATHS] = inode->ino;
    if (files.free_ino_count > MOST_PATHS)
        files.free_ino_count = MOST_PATHS;
    files.aside[aside] = files.aside[--files.aside_count];
    sim_point();
    return RETIRE_DONE;
}

enum retire_result retire_file(const struct retirement *what, char **moved_to, int *error)
{
    char absolute[PATH_ROOM + 16], name[24];
    snprintf(absolute, sizeof absolute, "%s/%s", what->root, what->path);
    int path = path_find(absolute), aside = find_aside(what, name);
    *moved_to = NULL;
    *error = EIO;
    enum root_state root = path >= 0 ? files.roots[files.paths[path].root].state : ROOT_MISSING;
    if (root != ROOT_THERE)
        return root == ROOT_EMPTY_MOUNT ? RETIRE_GONE : RETIRE_FAILED;
    if (sim.faults.unreadable && !sim.faults_are_over && dice_one_in(8))
        return RETIRE_FAILED;
    sim_point();
    if (sim.dead)
        return RETIRE_FAILED;
    if (aside < 0) {
        if (files.paths[path].inode < 0)
            return RETIRE_GONE;
        if (!is_same_file(file_inode(path), what, files.roots[files.paths[path].root].dev))
            return RETIRE_NOT_SAME;
        aside = files.aside_count++;
        files.aside[aside].inode = files.paths[path].inode;
        files.aside[aside].path = path;
        memcpy(files.aside[aside].name, name, sizeof name);
        files.paths[path].inode = -1;
        sim_point();
        if (sim.dead)
            return RETIRE_FAILED;
    }
    return take_away(what, aside, path);
}
