#include "watcher/absence.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watcher/beneath.h"

static bool is_absent(int root, const char *path)
{
    int fd = beneath_open(root, path, O_PATH | O_NOFOLLOW);
    if (fd >= 0) {
        close(fd);
    }
    return fd == -ENOENT || fd == -ENOTDIR;
}

int absence_look(const char *root, const char *const *paths, size_t count,
                 struct root_identity *found, bool *absent)
{
    int fd = beneath_root(root);
    if (fd < 0) {
        return fd;
    }
    int error = root_identity_of(fd, found);
    for (size_t i = 0; error == 0 && i < count; i++) {
        absent[i] = is_absent(fd, paths[i]);
    }
    close(fd);
    return error;
}
