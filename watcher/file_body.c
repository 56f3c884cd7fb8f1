#include "watcher/file_body.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watcher/beneath.h"
#include "watcher/digest.h"
#include "watcher/reader.h"

struct file_body {
    int fd;
    struct reader reader;
    uint64_t at;
    struct file_identity identity;
    uint8_t sha256[32];
    struct digest *digest;
};

/* Whether the open file still is what was fingerprinted: 0, -ESTALE, or negative errno. Once it is
 * open, its ctime counts no more: a rename or an unlink moves it, and neither takes a byte from the
 * body. */
static int compare(const struct file_body *body, bool opening)
{
    struct stat st;
    struct file_identity identity;
    if (fstat(body->fd, &st) != 0) {
        return -errno;
    }
    file_identity_of(&st, &identity);
    if (!opening) {
        identity.ctime_ns = body->identity.ctime_ns;
    }
    return file_identity_equal_elsewhere(&identity, &body->identity) ? 0 : -ESTALE;
}

/* A descriptor, or negative errno: no file of ours is -ESTALE. */
static int open_below(const char *root, const char *path, struct root_identity *found)
{
    struct stat st;
    int folder = beneath_root(root);
    if (folder < 0) {
        return folder;
    }
    int fd = root_identity_of(folder, found);
    if (fd == 0) {
        fd = beneath_open_file(folder, path, &st);
    }
    close(folder);
    if (fd == -EINVAL || fd == -ELOOP || fd == -EXDEV) {
        return -ESTALE;
    }
    return fd;
}

int file_body_open(const char *root, const char *path, const struct file_identity *identity,
                   const uint8_t sha256[32], struct root_identity *found, struct file_body **out)
{
    *found = (struct root_identity){0};
    struct file_body *body = calloc(1, sizeof *body);
    if (!body) {
        return -ENOMEM;
    }
    body->identity = *identity;
    memcpy(body->sha256, sha256, sizeof body->sha256);
    body->fd = open_below(root, path, found);
    int error = body->fd < 0 ? body->fd : compare(body, true);
    if (!error) {
        body->digest = digest_new();
        error = body->digest ? 0 : -ENOMEM;
    }
    if (error) {
        file_body_close(body);
        return error;
    }
    reader_begin(&body->reader, body->fd, identity->size);
    *out = body;
    return 0;
}

ssize_t file_body_read(struct file_body *body, void *buffer, size_t n)
{
    uint64_t left = body->identity.size - body->at;
    if (n > left) {
        n = (size_t)left;
    }
    if (n == 0) {
        return compare(body, false); /* at the end: has it grown? */
    }
    ssize_t got = reader_read(&body->reader, buffer, n, body->at);
    if (got < 0) {
        return got;
    }
    int error = got == 0 ? -ESTALE : compare(body, false);
    if (!error) {
        error = digest_update(body->digest, buffer, (size_t)got);
    }
    if (error) {
        return error;
    }
    body->at += (uint64_t)got;
    return got;
}

int file_body_verify(struct file_body *body)
{
    uint8_t sha256[32];
    if (body->at != body->identity.size || !body->digest) {
        return -ESTALE;
    }
    int error = digest_final(body->digest, sha256);
    digest_free(body->digest);
    body->digest = NULL; /* answered once */
    if (!error) {
        error = compare(body, false);
    }
    if (!error && memcmp(sha256, body->sha256, sizeof sha256) != 0) {
        error = -ESTALE;
    }
    return error;
}

void file_body_close(struct file_body *body)
{
    if (!body) {
        return;
    }
    if (body->fd >= 0) {
        reader_end(&body->reader);
        close(body->fd);
    }
    digest_free(body->digest);
    free(body);
}
