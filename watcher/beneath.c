#include "watcher/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel answers EAGAIN when a rename raced with the walk; more than a few in a row is a lease.
 */
enum { TRIES = 4 };

int beneath_root(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return fd < 0 ? -errno : fd;
}

int beneath_open(int root, const char *path, int flags)
{
    struct open_how how;
    memset(&how, 0, sizeof how);
    how.flags = (unsigned)(O_RDONLY | O_CLOEXEC | flags);
    if (!(flags & O_PATH)) { /* openat2 refuses flags that O_PATH would pass over */
        how.flags |= O_NONBLOCK | O_NOCTTY;
    }
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    const char *name = *path ? path : ".";
    long fd = -1;
    for (int i = 0; i < TRIES; i++) {
        fd = syscall(SYS_openat2, root, name, &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) {
            break;
        }
    }
    return fd < 0 ? -errno : (int)fd;
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
