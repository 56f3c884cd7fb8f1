#include "agent/rules/file_bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/mem.h"

/* One that grows meanwhile is read to its new end. */
static int read_all(int fd, size_t max_bytes, char **bytes, size_t *n)
{
    size_t room = 0;
    for (;;) {
        if (*n == room) {
            room = room > 0 ? 2 * room : 65536;
            *bytes = mem_resize(*bytes, room, 1);
        }
        ssize_t got = read(fd, *bytes + *n, room - *n);
        if (got == 0)
            return 0;
        if (got < 0 && errno != EINTR)
            return -errno;
        *n += got > 0 ? (size_t)got : 0;
        if (*n > max_bytes)
            return -EFBIG;
    }
}

int file_bytes_read(const char *path, size_t max_bytes, char **bytes, size_t *n)
{
    struct stat st;
    *bytes = NULL;
    *n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    int status = fstat(fd, &st) != 0 ? -errno : 0;
    if (status == 0 && !S_ISREG(st.st_mode))
        status = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    if (status == 0)
        status = read_all(fd, max_bytes, bytes, n);
    close(fd);
    if (status != 0)
        mem_replace(bytes, NULL);
    return status;
}
