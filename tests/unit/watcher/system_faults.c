#include "tests/unit/watcher/system_faults.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watcher/beneath.h"
#include "watcher/digest.h"
#include "watcher/reader.h"

static long calls, fails_at;
static int fails_with, name_fails_with;
static const char *failing_name, *failing_where, *failed = "", *other_disk;

void system_fails(long n, int error)
{
    calls = 0;
    failed = "";
    fails_at = n;
    fails_with = error;
}

void system_call_fails(const char *name, const char *where, int error)
{
    failing_name = name;
    failing_where = where;
    name_fails_with = error;
}

long system_calls(void)
{
    return calls;
}

const char *system_failed(void)
{
    return failed;
}

void system_other_disk(const char *folder)
{
    other_disk = folder;
}

static bool is_in(int fd, const char *folder)
{
    char link[64], path[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    return strstr(path, folder) != NULL;
}

/* errno, or 0: it goes on. `fd`: where, -1: nowhere. */
static int fault(const char *name, int fd)
{
    bool is_its_turn = ++calls == fails_at;
    if (is_its_turn)
        failed = name;
    if (failing_name != NULL && strcmp(name, failing_name) == 0 &&
        (failing_where == NULL || is_in(fd, failing_where)))
        return name_fails_with;
    return is_its_turn ? fails_with : 0;
}

/* Whether it fails; then errno is set. */
static bool fails(const char *name, int fd)
{
    int error = fault(name, fd);
    if (error != 0)
        errno = error;
    return error != 0;
}

/* --- the file system */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_openat(int at, const char *path, int flags, ...);
int __wrap_openat(int at, const char *path, int flags, ...);
int __real_mkdirat(int at, const char *path, mode_t mode);
int __wrap_mkdirat(int at, const char *path, mode_t mode);
int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __real_fstatat(int at, const char *path, struct stat *st, int flags);
int __wrap_fstatat(int at, const char *path, struct stat *st, int flags);
int __real_renameat2(int from, const char *old, int to, const char *new, unsigned flags);
int __wrap_renameat2(int from, const char *old, int to, const char *new, unsigned flags);
int __real_renameat(int from, const char *old, int to, const char *new);
int __wrap_renameat(int from, const char *old, int to, const char *new);
int __real_unlinkat(int at, const char *path, int flags);
int __wrap_unlinkat(int at, const char *path, int flags);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
ssize_t __real_write(int fd, const void *bytes, size_t n);
ssize_t __wrap_write(int fd, const void *bytes, size_t n);
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);

int __wrap_open(const char *path, int flags, ...)
{
    return fails("open", -1) ? -1 : __real_open(path, flags, 0600);
}

int __wrap_openat(int at, const char *path, int flags, ...)
{
    return fails("openat", at) ? -1 : __real_openat(at, path, flags, 0600);
}

int __wrap_mkdirat(int at, const char *path, mode_t mode)
{
    return fails("mkdirat", at) ? -1 : __real_mkdirat(at, path, mode);
}

int __wrap_fstat(int fd, struct stat *st)
{
    return fails("fstat", fd) ? -1 : __real_fstat(fd, st);
}

int __wrap_fstatat(int at, const char *path, struct stat *st, int flags)
{
    return fails("fstatat", at) ? -1 : __real_fstatat(at, path, st, flags);
}

static bool is_on_other_disk(int folder)
{
    return other_disk != NULL && is_in(folder, other_disk);
}

int __wrap_renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
    if (is_on_other_disk(from) != is_on_other_disk(to)) {
        errno = EXDEV;
        return -1;
    }
    return fails("renameat2", to) ? -1 : __real_renameat2(from, old, to, new, flags);
}

int __wrap_renameat(int from, const char *old, int to, const char *new)
{
    if (is_on_other_disk(from) != is_on_other_disk(to)) {
        errno = EXDEV;
        return -1;
    }
    return fails("renameat", to) ? -1 : __real_renameat(from, old, to, new);
}

int __wrap_unlinkat(int at, const char *path, int flags)
{
    return fails("unlinkat", at) ? -1 : __real_unlinkat(at, path, flags);
}

int __wrap_fsync(int fd)
{
    return fails("fsync", fd) ? -1 : __real_fsync(fd);
}

ssize_t __wrap_write(int fd, const void *bytes, size_t n)
{
    return fails("write", fd) ? -1 : __real_write(fd, bytes, n);
}

int __wrap_fcntl(int fd, int command, ...)
{
    va_list more;
    va_start(more, command);
    long argument = va_arg(more, long);
    va_end(more);
    return fails("fcntl", fd) ? -1 : __real_fcntl(fd, command, argument);
}

/* --- memory */

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
char *__real_strndup(const char *text, size_t n);
char *__wrap_strndup(const char *text, size_t n);
int __wrap_asprintf(char **text, const char *format, ...) __attribute__((format(printf, 2, 3)));

void *__wrap_malloc(size_t n)
{
    return fault("malloc", -1) != 0 ? NULL : __real_malloc(n);
}

char *__wrap_strndup(const char *text, size_t n)
{
    return fault("strndup", -1) != 0 ? NULL : __real_strndup(text, n);
}

int __wrap_asprintf(char **text, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    int n = fault("asprintf", -1) != 0 ? -1 : vasprintf(text, format, values);
    va_end(values);
    return n;
}

/* --- the watcher's own */

int __real_beneath_root(const char *path);
int __wrap_beneath_root(const char *path);
int __real_beneath_open(int root, const char *path, int flags);
int __wrap_beneath_open(int root, const char *path, int flags);
ssize_t __real_reader_read(struct reader *reader, void *buffer, size_t n, uint64_t at);
ssize_t __wrap_reader_read(struct reader *reader, void *buffer, size_t n, uint64_t at);
struct digest *__real_digest_new(void);
struct digest *__wrap_digest_new(void);
int __real_digest_update(struct digest *digest, const void *bytes, size_t n);
int __wrap_digest_update(struct digest *digest, const void *bytes, size_t n);
int __real_digest_final(struct digest *digest, uint8_t sha256[32]);
int __wrap_digest_final(struct digest *digest, uint8_t sha256[32]);

int __wrap_beneath_root(const char *path)
{
    int error = fault("beneath_root", -1);
    return error != 0 ? -error : __real_beneath_root(path);
}

int __wrap_beneath_open(int root, const char *path, int flags)
{
    int error = fault("beneath_open", -1);
    return error != 0 ? -error : __real_beneath_open(root, path, flags);
}

ssize_t __wrap_reader_read(struct reader *reader, void *buffer, size_t n, uint64_t at)
{
    int error = fault("reader_read", -1);
    return error != 0 ? -error : __real_reader_read(reader, buffer, n, at);
}

struct digest *__wrap_digest_new(void)
{
    return fault("digest_new", -1) != 0 ? NULL : __real_digest_new();
}

int __wrap_digest_update(struct digest *digest, const void *bytes, size_t n)
{
    return fault("digest_update", -1) != 0 ? -EIO : __real_digest_update(digest, bytes, n);
}

int __wrap_digest_final(struct digest *digest, uint8_t sha256[32])
{
    return fault("digest_final", -1) != 0 ? -EIO : __real_digest_final(digest, sha256);
}
