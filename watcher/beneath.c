#include "watcher/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Folder by folder, by hand: systemd's RestrictSUIDSGID=, which our unit has, leaves no openat2 to
 * its services. */

int beneath_root(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return fd < 0 ? -errno : fd;
}

/* One name in the folder `at`; a symlink is none. */
static int open_name(int at, const char *name, int flags)
{
    struct stat st;
    int fd;
    do
        fd = openat(at, name, O_NOFOLLOW | O_CLOEXEC | flags);
    while (fd < 0 && errno == EINTR);
    if (fd >= 0)
        return fd;
    int error = errno;
    /* what is to be a folder, and is a symlink, is no folder to the kernel */
    if (error == ENOTDIR && fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
        error = ELOOP;
    return -error;
}

/* The next name of a path; false: it ends here. Names are no longer than NAME_MAX, or *error tells.
 */
static bool next_name(const char **path, char name[NAME_MAX + 1], int *error)
{
    *path += strspn(*path, "/");
    size_t n = strcspn(*path, "/");
    if (n > NAME_MAX)
        *error = -ENAMETOOLONG;
    else if (n == 2 && strncmp(*path, "..", 2) == 0)
        *error = -EXDEV;
    if (n == 0 || *error != 0)
        return false;
    memcpy(name, *path, n);
    name[n] = '\0';
    *path += n + strspn(*path + n, "/");
    return true;
}

int beneath_open(int root, const char *path, int flags)
{
    char name[NAME_MAX + 1] = ".";
    int at = root, error = 0;
    if ((flags & O_PATH) == 0)
        flags |= O_RDONLY | O_NONBLOCK | O_NOCTTY;
    while (next_name(&path, name, &error) && *path != '\0') {
        int next = open_name(at, name, O_PATH | O_DIRECTORY);
        if (at != root)
            close(at);
        if (next < 0)
            return next;
        at = next;
    }
    int fd = error != 0 ? error : open_name(at, name, flags);
    if (at != root)
        close(at);
    return fd;
}

int beneath_open_file(int root, const char *path, struct stat *st)
{
    int handle = beneath_open(root, path, O_PATH | O_NOFOLLOW);
    if (handle < 0) {
        return handle;
    }
    int error = fstat(handle, st) != 0 ? -errno : 0;
    close(handle);
    if (error) {
        return error;
    }
    if (!S_ISREG(st->st_mode)) {
        return -EINVAL;
    }
    int fd = beneath_open(root, path, 0);
    if (fd < 0) {
        return fd;
    }
    error = fstat(fd, st) != 0 ? -errno : 0;
    if (!error && !S_ISREG(st->st_mode)) {
        error = -EINVAL;
    }
    if (error) {
        close(fd);
        return error;
    }
    return fd;
}
