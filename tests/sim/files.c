#include "tests/sim/files.h"

#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"

struct files files;

void files_begin(int roots)
{
    memset(&files, 0, sizeof files);
    files.root_count = roots;
    files.next_ino = 100;
    files.content_count = 1; /* 0: none */
    for (int i = 0; i < roots; i++) {
        snprintf(files.roots[i].name, sizeof files.roots[i].name, "w%d", i);
        snprintf(files.roots[i].path, sizeof files.roots[i].path, "/srv/w%d", i);
        files.roots[i].dev = 10 + (uint64_t)i;
    }
}

void files_boot(void)
{
    for (int i = 0; i < files.root_count; i++) {
        if (dice_one_in(4))
            files.roots[i].dev += 16;
    }
}

struct root_identity files_root_identity(int root)
{
    bool there = files.roots[root].state == ROOT_THERE;
    return (struct root_identity){there ? files.roots[root].dev : 1,
                                  there ? 2 : 20 + (uint64_t)root};
}

/* --- contents --- */

static int content_new(void)
{
    if (files.content_count == MOST_CONTENTS) {
        violated("the simulation itself: too many contents");
        return MOST_CONTENTS - 1;
    }
    files.contents[files.content_count].first_life = sim.life;
    return files.content_count++;
}

void content_fingerprint(int content, uint8_t sha256[32])
{
    memset(sha256, 0xa5, 32);
    for (int i = 0; i < 4; i++)
        sha256[i] = (uint8_t)(content >> (8 * i));
}

int content_of(const uint8_t sha256[32])
{
    int content = sha256[0] | sha256[1] << 8 | sha256[2] << 16;
    return content > 0 && content < files.content_count ? content : -1;
}

static void note_path(int content, int path)
{
    struct content *c = &files.contents[content];
    for (int i = 0; i < c->paths; i++) {
        if (c->path[i] == path)
            return;
    }
    if (c->paths < 16)
        c->path[c->paths++] = path;
}

/* --- paths --- */

int path_number(int root, const char *name)
{
    for (int i = 0; i < files.path_count; i++) {
        if (files.paths[i].root == root && strcmp(files.paths[i].name, name) == 0)
            return i;
    }
    if (files.path_count == MOST_PATHS) {
        violated("the simulation itself: too many paths");
        return 0;
    }
    struct path *path = &files.paths[files.path_count];
    *path = (struct path){.root = root, .inode = -1};
    snprintf(path->name, sizeof path->name, "%s", name);
    return files.path_count++;
}

int path_find(const char *absolute)
{
    for (int i = 0; i < files.path_count; i++) {
        const struct path *path = &files.paths[i];
        size_t n = strlen(files.roots[path->root].path);
        if (strncmp(absolute, files.roots[path->root].path, n) == 0 && absolute[n] == '/' &&
            strcmp(absolute + n + 1, path->name) == 0)
            return i;
    }
    return -1;
}

void path_absolute(int path, char out[PATH_ROOM + 16])
{
    snprintf(out, PATH_ROOM + 16, "%s/%s", files.roots[files.paths[path].root].path,
             files.paths[path].name);
}

bool file_is_there(int path)
{
    return path >= 0 && files.paths[path].inode >= 0 &&
           files.roots[files.paths[path].root].state == ROOT_THERE;
}

struct inode *file_inode(int path)
{
    return &files.inodes[files.paths[path].inode];
}

void file_identity(int path, struct file_identity *identity)
{
    const struct inode *inode = file_inode(path);
    *identity = (struct file_identity){files.roots[files.paths[path].root].dev, inode->ino,
                                       inode->size, inode->mtime_ns, inode->ctime_ns};
}

/* --- what happens to files --- */

static int64_t stamp_ns(void)
{
    return sim_wall_ms() * 1000000 + (int64_t)dice_below(1000000);
}

static int inode_new(int content)
{
    int i = 0;
    while (i < MOST_PATHS && files.inodes[i].used)
        i++;
    if (i == MOST_PATHS) {
        violated("the simulation itself: too many files");
        return 0;
    }
    struct inode *inode = &files.inodes[i];
    memset(inode, 0, sizeof *inode);
    inode->used = true;
    inode->content = content;
    inode->size = 1000 + (uint64_t)(content * 37 % 900);
    inode->mtime_ns = inode->ctime_ns = stamp_ns();
    if (files.free_ino_count > 0 && dice_one_in(2))
        inode->ino = files.free_inos[--files.free_ino_count];
    else
        inode->ino = files.next_ino++;
    return i;
}

static void inode_free(int i)
{
    files.inodes[i].used = false;
    if (files.free_ino_count < MOST_PATHS)
        files.free_inos[files.free_ino_count++] = files.inodes[i].ino;
}

int file_create(int root, const char *name, int content, int64_t open_for_ms)
{
    int path = path_number(root, name);
    if (files.paths[path].inode >= 0)
        return -1;
    if (content == 0)
        content = content_new();
    files.paths[path].inode = inode_new(content);
    file_inode(path)->open_until_ms = sim.steady_ms + open_for_ms;
    note_path(content, path);
    trace("file: created, content", path, content, (int64_t)file_inode(path)->ino);
    return path;
}

void file_append(int path, int64_t open_for_ms)
{
    struct inode *inode = file_inode(path);
    inode->content = content_new();
    inode->size += 1 + dice_below(300);
    inode->mtime_ns = inode->ctime_ns = stamp_ns();
    inode->open_until_ms = sim.steady_ms + open_for_ms;
    note_path(inode->content, path);
    trace("file: appended, content", path, inode->content, 0);
}

void file_write_silently(int path)
{
    struct inode *inode = file_inode(path);
    inode->content = content_new();
    inode->silent = true;
    note_path(inode->content, path);
    trace("file: written through a mapping, content", path, inode->content, 0);
}

void file_remove(int path)
{
    inode_free(files.paths[path].inode);
    files.paths[path].inode = -1;
    trace("file: removed", path, 0, 0);
}

void file_rename(int from, int to)
{
    if (files.paths[to].inode >= 0)
        return;
    files.paths[to].inode = files.paths[from].inode;
    files.paths[from].inode = -1;
    file_inode(to)->ctime_ns = stamp_ns();
    note_path(file_inode(to)->content, to);
    trace("file: renamed", from, to, file_inode(to)->content);
}

void file_copy(int from, int to)
{
    if (files.paths[to].inode >= 0)
        return;
    int content = file_inode(from)->content;
    file_create(files.paths[to].root, files.paths[to].name, content, 0);
}

void file_replace(int path)
{
    inode_free(files.paths[path].inode);
    int content = content_new();
    files.paths[path].inode = inode_new(content);
    note_path(content, path);
    trace("file: replaced, content", path, content, (int64_t)file_inode(path)->ino);
}
