#include "watcher/probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watcher/beneath.h"
#include "watcher/names.h"

/* Entries looked through for signs. A meeting's folder has a few; a greater one is not Zoom's. */
enum { SIGNS_ENTRIES = 4096 };

static ssize_t read_at(void *ctx, uint64_t offset, void *buffer, size_t n)
{
    ssize_t got;
    do {
        got = pread(*(int *)ctx, buffer, n, (off_t)offset);
    } while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

static enum settle_lease ask_lease(int fd)
{
    if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
        fcntl(fd, F_SETLEASE, F_UNLCK);
        return SETTLE_LEASE_GRANTED;
    }
    return errno == EAGAIN ? SETTLE_LEASE_OPEN : SETTLE_LEASE_UNKNOWN;
}

/* Another program's lease keeps us out (a file server's client is writing): open, as far as we see.
 */
static int look_from_outside(int root, const char *path, struct probe *out)
{
    struct stat st;
    int fd = beneath_open(root, path, O_PATH | O_NOFOLLOW);
    if (fd < 0) {
        return fd;
    }
    int error = fstat(fd, &st) != 0 ? -errno : 0;
    close(fd);
    if (!error) {
        file_identity_of(&st, &out->sample.identity);
        out->sample.lease = SETTLE_LEASE_OPEN;
    }
    return error;
}

void probe_look(int root, const char *path, struct probe *out)
{
    struct stat st;
    memset(out, 0, sizeof *out);
    out->media.name = "";
    out->media.duration_ms = -1;
    int fd = beneath_open_file(root, path, &st);
    if (fd < 0) {
        out->error = fd == -EAGAIN ? look_from_outside(root, path, out) : fd;
        return;
    }
    out->sample.lease = ask_lease(fd);
    if (fstat(fd, &st) != 0) { /* after the lease: it speaks of this version */
        out->error = -errno;
    } else {
        file_identity_of(&st, &out->sample.identity);
        out->error =
            media_look(names_base(path), out->sample.identity.size, read_at, &fd, &out->media);
        out->sample.says_open = out->media.says_open;
    }
    close(fd);
}

static bool changed_since(int fd, const char *name, int64_t since_ns)
{
    struct stat st;
    struct file_identity identity;
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return false;
    }
    file_identity_of(&st, &identity);
    return identity.mtime_ns >= since_ns || identity.ctime_ns >= since_ns;
}

unsigned probe_signs(int root, const char *folder, int64_t believed_since_ns)
{
    unsigned signs = 0;
    int fd = beneath_open(root, folder, O_DIRECTORY);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        if (fd >= 0) {
            close(fd);
        }
        return 0;
    }
    struct dirent *entry;
    for (int i = 0; i < SIGNS_ENTRIES && (entry = readdir(dir)); i++) {
        enum names_sign sign = names_sign(entry->d_name);
        if (sign != NAMES_NO_SIGN && changed_since(dirfd(dir), entry->d_name, believed_since_ns)) {
            signs |= 1u << sign;
        }
    }
    closedir(dir);
    return signs;
}
