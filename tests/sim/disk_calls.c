/* What the program asks of its folders through the watcher's functions: whether files have left,
 * the bytes of one, and retiring one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/chorus.h"
#include "tests/sim/files.h"
#include "tests/sim/sim.h"
#include "watcher/absence.h"
#include "watcher/file_body.h"
#include "watcher/retire.h"

/* What stands at a root now. 0 or -ENOENT. */
static int find_root(const char *name, struct root_identity *found)
{
    for (int i = 0; i < files.root_count; i++) {
        if (strcmp(files.roots[i].path, name) == 0 && files.roots[i].state != ROOT_MISSING) {
            *found = files_root_identity(i);
            return 0;
        }
    }
    return -ENOENT;
}

static int path_below(const char *root, const char *name)
{
    char absolute[PATH_ROOM + 16];
    snprintf(absolute, sizeof absolute, "%s/%s", root, name);
    return path_find(absolute);
}

int absence_look(const char *root, const char *const *paths, size_t count,
                 struct root_identity *found, bool *absent)
{
    int error = find_root(root, found);
    for (size_t i = 0; error == 0 && i < count; i++)
        absent[i] = !file_is_there(path_below(root, paths[i]));
    return error;
}

/* --- the bytes of one file --- */

struct file_body {
    int inode;
    struct file_identity identity;
    int content;   /* that was fingerprinted */
    bool mixed;    /* other content was read */
    uint64_t left; /* to be read */
};

int file_body_open(const char *root, const char *name, const struct file_identity *identity,
                   const uint8_t sha256[32], struct root_identity *found, struct file_body **out)
{
    struct file_identity there;
    int path = path_below(root, name);
    *found = (struct root_identity){0};
    find_root(root, found);
    if (!file_is_there(path))
        return -ENOENT;
    if (sim.faults.unreadable && !sim.faults_are_over && dice_one_in(10))
        return dice_one_in(2) ? -EACCES : -EIO;
    file_identity(path, &there);
    if (!file_identity_equal_elsewhere(&there, identity))
        return -ESTALE;
    struct file_body *body = calloc(1, sizeof *body);
    if (body == NULL)
        abort();
    *body = (struct file_body){files.paths[path].inode, *identity, content_of(sha256), false,
                               identity->size};
    *out = body;
    return 0;
}

/* Open already: a rename or an unlink takes no byte away. A slot that was given to another file
 * tells itself by its inode's number and time stamps. */
static bool is_unlinked(const struct file_body *body)
{
    const struct inode *inode = &files.inodes[body->inode];
    return !inode->used || inode->ino != body->identity.ino;
}

static bool has_changed(const struct file_body *body)
{
    const struct inode *inode = &files.inodes[body->inode];
    return !is_unlinked(body) &&
           (inode->size != body->identity.size || inode->mtime_ns != body->identity.mtime_ns);
}

/* What is read at a time begins with the number of the content that was fingerprinted and that of
 * the one that stands there. */
ssize_t file_body_read(struct file_body *body, void *buffer, size_t n)
{
    int content = is_unlinked(body) ? body->content : files.inodes[body->inode].content;
    if (has_changed(body))
        return -ESTALE;
    if (n > body->left)
        n = (size_t)body->left;
    memset(buffer, 0, n);
    const int numbers[] = {body->content, content};
    memcpy(buffer, numbers, n < sizeof numbers ? n : sizeof numbers);
    body->left -= n;
    body->mixed = body->mixed || content != body->content;
    return (ssize_t)n;
}

int file_body_verify(struct file_body *body)
{
    return body->left == 0 && !body->mixed && !has_changed(body) ? 0 : -ESTALE;
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

static bool is_same_file(const struct inode *inode, const struct retirement *what)
{
    return inode->ino == what->identity.ino && inode->size == what->identity.size &&
           inode->mtime_ns == what->identity.mtime_ns;
}

static enum retire_result take_away(const struct retirement *what, int aside, int path)
{
    int number = files.aside[aside].inode;
    const struct inode *inode = &files.inodes[number];
    uint8_t there[32];
    content_fingerprint(inode->content, there);
    enum retire_result result = RETIRE_DONE;
    if (!is_same_file(inode, what) || memcmp(there, what->sha256, 32) != 0)
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
        if (!is_same_file(file_inode(path), what))
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
