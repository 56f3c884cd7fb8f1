#include "watcher/identity.h"

#include <errno.h>
#include <sys/stat.h>

int root_identity_of(int fd, struct root_identity *identity)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return -errno;
    }
    identity->dev = (uint64_t)st.st_dev;
    identity->ino = (uint64_t)st.st_ino;
    return 0;
}

/* A file system may hold a year that nanoseconds cannot: such a stamp saturates. */
static int64_t nanoseconds(const struct timespec *ts)
{
    int64_t ns;
    if (__builtin_mul_overflow((int64_t)ts->tv_sec, INT64_C(1000000000), &ns) ||
        __builtin_add_overflow(ns, (int64_t)ts->tv_nsec, &ns)) {
        return ts->tv_sec < 0 ? INT64_MIN : INT64_MAX;
    }
    return ns;
}

void file_identity_of(const struct stat *st, struct file_identity *identity)
{
    identity->dev = (uint64_t)st->st_dev;
    identity->ino = (uint64_t)st->st_ino;
    identity->size = (uint64_t)st->st_size;
    identity->mtime_ns = nanoseconds(&st->st_mtim);
    identity->ctime_ns = nanoseconds(&st->st_ctim);
}

bool file_identity_equal(const struct file_identity *a, const struct file_identity *b)
{
    return a->dev == b->dev && file_identity_equal_elsewhere(a, b);
}

bool file_identity_equal_elsewhere(const struct file_identity *a, const struct file_identity *b)
{
    return a->ino == b->ino && a->size == b->size && a->mtime_ns == b->mtime_ns &&
           a->ctime_ns == b->ctime_ns;
}
