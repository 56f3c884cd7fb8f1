#include "agent/service/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "agent/base/mem.h"

static int open_lock(const char *state_dir, int flags)
{
    char *file = mem_printf("%s/lock", state_dir);
    int fd = open(file, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    int error = fd < 0 ? -errno : 0;
    free(file);
    return fd < 0 ? error : fd;
}

/* "PID\nPATH\n" */
static void read_holder(int fd, struct lock_holder *holder)
{
    char text[4200];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    if (n <= 0)
        return;
    text[n] = '\0';
    holder->pid = (pid_t)strtol(text, NULL, 10);
    char *path = strchr(text, '\n');
    char *end = path != NULL ? strchr(path + 1, '\n') : NULL;
    if (end != NULL)
        holder->status_path = mem_bytes_string(path + 1, (size_t)(end - path - 1));
}

int lock_take(const char *state_dir, struct lock_holder *holder)
{
    memset(holder, 0, sizeof *holder);
    int fd = open_lock(state_dir, O_RDWR | O_CREAT);
    if (fd < 0)
        return fd;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    int error = -errno;
    read_holder(fd, holder);
    close(fd);
    return error;
}

int lock_name(int fd, const char *status_path)
{
    char *text = mem_printf("%ld\n%s\n", (long)getpid(), status_path);
    size_t n = strlen(text);
    int error = ftruncate(fd, 0) != 0 || pwrite(fd, text, n, 0) != (ssize_t)n ? -errno : 0;
    free(text);
    return error;
}

bool lock_is_held(const char *state_dir, struct lock_holder *holder)
{
    memset(holder, 0, sizeof *holder);
    int fd = open_lock(state_dir, O_RDONLY);
    if (fd < 0)
        return false;
    bool held = flock(fd, LOCK_SH | LOCK_NB) != 0;
    if (held)
        read_holder(fd, holder);
    close(fd);
    return held;
}

void lock_holder_clear(struct lock_holder *holder)
{
    free(holder->status_path);
    memset(holder, 0, sizeof *holder);
}
