#include "watcher/fingerprint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watcher/beneath.h"
#include "watcher/digest.h"

enum { SLICE = 16 * 1024 * 1024 /* bytes a job: tens of milliseconds */ };

struct fingerprint *fingerprint_new(const char *path, const struct file_identity *identity)
{
    size_t n = strlen(path) + 1;
    struct fingerprint *f = calloc(1, sizeof *f + n);
    if (!f) {
        return NULL;
    }
    memcpy(f->path, path, n);
    f->fd = -1;
    f->answer.path = f->path;
    f->answer.identity = *identity;
    f->answer.zeros = identity->size > 0;
    f->digest = digest_new();
    if (!f->digest) {
        fingerprint_free(f);
        return NULL;
    }
    return f;
}

void fingerprint_free(struct fingerprint *f)
{
    if (!f) {
        return;
    }
    if (f->fd >= 0) {
        reader_end(&f->reader);
        close(f->fd);
    }
    digest_free(f->digest);
    free(f);
}

static void end(struct fingerprint *f, enum watch_fingerprint_result result, int error)
{
    if (f->fd >= 0) {
        reader_end(&f->reader);
        close(f->fd);
        f->fd = -1;
    }
    f->done = true;
    f->answer.result = result;
    f->answer.error = error;
}

static void end_with_error(struct fingerprint *f, int error)
{
    if (error == ENOENT || error == ENOTDIR || error == ELOOP) {
        end(f, WATCH_FINGERPRINT_GONE, 0);
    } else if (error == EINVAL || error == EAGAIN || error == ESTALE) {
        end(f, WATCH_FINGERPRINT_CHANGED, 0);
    } else {
        end(f, WATCH_FINGERPRINT_UNREADABLE, error);
    }
}

/* Whether the open file still has the identity asked for; ends the fingerprint if not. */
static bool unchanged(struct fingerprint *f, const struct stat *st)
{
    struct file_identity identity;
    file_identity_of(st, &identity);
    if (file_identity_equal(&identity, &f->answer.identity)) {
        return true;
    }
    end(f, WATCH_FINGERPRINT_CHANGED, 0);
    return false;
}

static bool begin(struct fingerprint *f, int root)
{
    struct stat st;
    int fd = beneath_open_file(root, f->path, &st);
    if (fd < 0) {
        end_with_error(f, -fd);
        return false;
    }
    f->fd = fd;
    reader_begin(&f->reader, fd, f->answer.identity.size);
    return unchanged(f, &st);
}

/* The first byte decides for almost every recording. */
static bool is_zero(const char *bytes, size_t n)
{
    return n > 0 && bytes[0] == 0 && memcmp(bytes, bytes + 1, n - 1) == 0;
}

static void finish(struct fingerprint *f)
{
    struct stat st;
    if (fstat(f->fd, &st) != 0) {
        end_with_error(f, errno);
    } else if (unchanged(f, &st)) {
        int error = digest_final(f->digest, f->answer.sha256);
        end(f, error ? WATCH_FINGERPRINT_UNREADABLE : WATCH_FINGERPRINT_TAKEN, -error);
    }
}

bool fingerprint_has_begun(const struct fingerprint *f)
{
    return f->fd >= 0;
}

void fingerprint_run(struct fingerprint *f, int root, unsigned char *buffer, struct turn *turn)
{
    if (f->fd < 0 && !begin(f, root)) {
        return;
    }
    for (uint64_t slice = 0; slice < SLICE;) {
        ssize_t got = reader_read(&f->reader, buffer, READER_BLOCK, f->at);
        turn_moved(turn);
        if (got < 0) {
            end_with_error(f, (int)-got);
            return;
        }
        if (got == 0) {
            finish(f);
            return;
        }
        f->answer.zeros = f->answer.zeros && is_zero((const char *)buffer, (size_t)got);
        if (digest_update(f->digest, buffer, (size_t)got) != 0) {
            end(f, WATCH_FINGERPRINT_UNREADABLE, EIO);
            return;
        }
        f->at += (uint64_t)got;
        slice += (uint64_t)got;
        if (f->at > f->answer.identity.size) { /* grows faster than we read */
            end(f, WATCH_FINGERPRINT_CHANGED, 0);
            return;
        }
    }
}
