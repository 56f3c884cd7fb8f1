#include "watcher/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watcher/beneath.h"
#include "watcher/events.h"
#include "watcher/steady.h"

/* A slow file system gets shorter slices. Too long: finished calls wait behind a scan. */
enum { SLICE_MS = 50 };

static bool push(struct scan *scan, char *path)
{
    if (scan->stack_count == scan->stack_room) {
        size_t room = scan->stack_room ? scan->stack_room * 2 : 16;
        char **stack = realloc(scan->stack, room * sizeof(char *));
        if (!stack) {
            return false;
        }
        scan->stack = stack;
        scan->stack_room = room;
    }
    scan->stack[scan->stack_count++] = path;
    return true;
}

struct scan *scan_new(const char *folder)
{
    struct scan *scan = calloc(1, sizeof *scan);
    char *first = strdup(folder);
    if (!scan || !first || !push(scan, first)) {
        free(first);
        free(scan);
        return NULL;
    }
    return scan;
}

static void leave(struct scan *scan)
{
    if (scan->dir) {
        closedir(scan->dir);
    }
    free(scan->path);
    scan->dir = NULL;
    scan->path = NULL;
}

void scan_free(struct scan *scan)
{
    if (!scan) {
        return;
    }
    leave(scan);
    for (size_t i = 0; i < scan->stack_count; i++) {
        free(scan->stack[i]);
    }
    free(scan->stack);
    free(scan->first_unreadable);
    free(scan);
}

void scan_slice_clear(struct scan_slice *slice)
{
    for (size_t i = 0; i < slice->entry_count; i++) {
        free((void *)(uintptr_t)slice->entries[i].path);
    }
    for (size_t i = 0; i < slice->folder_count; i++) {
        free(slice->folders[i].path);
    }
    for (size_t i = 0; i < slice->sign_count; i++) {
        free(slice->signs[i]);
    }
    slice->entry_count = slice->folder_count = slice->sign_count = 0;
    slice->watch_error = 0;
    slice->done = false;
}

static char *join(const char *folder, const char *name)
{
    size_t n = strlen(folder), m = strlen(name);
    char *path = malloc(n + m + 2);
    if (path) {
        memcpy(path, folder, n);
        if (n > 0) {
            path[n++] = '/';
        }
        memcpy(path + n, name, m + 1);
    }
    return path;
}

static int depth_of(const char *path)
{
    int depth = *path ? 1 : 0;
    for (; *path; path++) {
        depth += *path == '/';
    }
    return depth;
}

static void note_unreadable(struct scan *scan, const char *path, int error)
{
    scan->incomplete = true;
    if (scan->unreadable_already) {
        return;
    }
    scan->unreadable_already = true;
    scan->unreadable++;
    if (!scan->first_unreadable) {
        scan->first_unreadable = strdup(path);
        scan->first_error = error;
    }
}

/* Not there any more, or no directory any more: nothing was missed. */
static bool vanished(int error)
{
    return error == ENOENT || error == ENOTDIR || error == ELOOP || error == EXDEV;
}

/* Depth first, the entry of the parent in `above` is that of the directory that named this one. */
static bool leads_in_a_circle(struct scan *scan, const struct stat *st)
{
    for (int i = 0; i < scan->depth; i++) {
        if (scan->above[i].ino == (uint64_t)st->st_ino &&
            scan->above[i].dev == (uint64_t)st->st_dev) {
            return true;
        }
    }
    scan->above[scan->depth].dev = (uint64_t)st->st_dev;
    scan->above[scan->depth].ino = (uint64_t)st->st_ino;
    return false;
}

static void listen_to(struct scan *scan, int fd, int inotify, struct scan_slice *slice)
{
    if (inotify < 0) {
        return;
    }
    char *path = strdup(scan->path);
    int wd = path ? events_watch(inotify, fd) : -ENOMEM;
    if (wd < 0) {
        free(path);
        if (slice->watch_error == 0) {
            slice->watch_error = -wd;
        }
        return;
    }
    slice->folders[slice->folder_count].wd = wd;
    slice->folders[slice->folder_count].path = path;
    slice->folder_count++;
}

/* Enters the directory scan->path, or notes why not. */
static void enter(struct scan *scan, int root, int inotify, struct scan_slice *slice)
{
    struct stat st;
    scan->depth = depth_of(scan->path);
    scan->signed_already = false;
    scan->unreadable_already = false;
    int fd = beneath_open(root, scan->path, O_DIRECTORY);
    int error = fd < 0 ? -fd : 0;
    if (!error && fstat(fd, &st) != 0) {
        error = errno;
    }
    if (!error && (scan->depth > NAMES_DEPTH || leads_in_a_circle(scan, &st))) {
        scan->too_deep++;
        close(fd);
        leave(scan);
        return;
    }
    if (!error) {
        listen_to(scan, fd, inotify, slice);
        scan->dir = fdopendir(fd);
        error = scan->dir ? 0 : errno;
    }
    if (error) {
        if (!vanished(error)) {
            note_unreadable(scan, scan->path, error);
        }
        if (fd >= 0) {
            close(fd);
        }
        leave(scan);
    }
}

static void take_folder(struct scan *scan, const char *name)
{
    if (scan->depth >= NAMES_DEPTH) {
        scan->too_deep++;
        return;
    }
    char *path = join(scan->path, name);
    if (path && strlen(path) >= PATH_MAX) {
        scan->too_deep++;
        free(path);
    } else if (!path || !push(scan, path)) {
        scan->incomplete = true;
        free(path);
    }
}

static void take_sign(struct scan *scan, struct scan_slice *slice)
{
    if (scan->signed_already) {
        return;
    }
    char *path = strdup(scan->path);
    if (path && slice->sign_count < sizeof slice->signs / sizeof *slice->signs) {
        slice->signs[slice->sign_count++] = path;
        scan->signed_already = true;
    } else {
        free(path);
    }
}

static void take_file(struct scan *scan, const struct watch_options *options, const char *name,
                      const struct stat *st, struct scan_slice *slice)
{
    char *path = join(scan->path, name);
    if (!path) {
        scan->incomplete = true;
    } else if (names_pass_over(options, path)) {
        scan->passed_over++;
        free(path);
    } else {
        struct watch_entry *entry = &slice->entries[slice->entry_count++];
        entry->path = path;
        entry->known = false;
        entry->beside = names_beside(options, path);
        file_identity_of(st, &entry->identity);
    }
}

static void take(struct scan *scan, const struct watch_options *options, const struct dirent *entry,
                 struct scan_slice *slice)
{
    const char *name = entry->d_name;
    struct stat st;
    if (name[0] == '.' ||
        (entry->d_type != DT_UNKNOWN && entry->d_type != DT_REG && entry->d_type != DT_DIR)) {
        return;
    }
    if (names_sign(name) != NAMES_NO_SIGN) {
        take_sign(scan, slice);
    }
    if (entry->d_type != DT_DIR) {
        if (fstatat(dirfd(scan->dir), name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            if (!vanished(errno)) {
                note_unreadable(scan, scan->path, errno);
            }
            return;
        }
        if (S_ISREG(st.st_mode)) {
            take_file(scan, options, name, &st, slice);
            return;
        }
        if (!S_ISDIR(st.st_mode)) {
            return;
        }
    }
    if (options->recursive && !names_folder_passed_over(name)) {
        take_folder(scan, name);
    }
}

void scan_run(struct scan *scan, int root, const struct watch_options *options, int inotify,
              struct scan_slice *slice, struct turn *turn)
{
    int64_t end_ms = steady_ms() + SLICE_MS;
    int names = 0, folders = 0;
    while (names < SCAN_ENTRIES && ((names & 15) != 0 || steady_ms() < end_ms)) {
        turn_moved(turn);
        if (!scan->dir) {
            if (scan->stack_count == 0) {
                slice->done = true;
                return;
            }
            if (folders++ == SCAN_FOLDERS) {
                return;
            }
            scan->path = scan->stack[--scan->stack_count];
            enter(scan, root, inotify, slice);
            continue;
        }
        errno = 0;
        const struct dirent *entry = readdir(scan->dir);
        if (!entry) {
            if (errno != 0 && !vanished(errno)) {
                note_unreadable(scan, scan->path, errno);
            }
            leave(scan);
            continue;
        }
        names++;
        take(scan, options, entry, slice);
    }
}
