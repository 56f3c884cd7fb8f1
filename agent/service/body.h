/*
 * The bytes of one recording on its way out: opened, read ahead, digested and closed on the pool,
 * so that a file system that hangs never holds the loop. A small file is read whole when it is
 * opened, and closed at once; a large one by two blocks in turn.
 *
 * The last block is handed out only once the digest of all that was read agrees with the
 * fingerprint: what is in these blocks is what leaves.
 *
 * Thread: the loop's. No callback runs before the call that started it has returned.
 */
#ifndef CHORUS_SERVICE_BODY_H
#define CHORUS_SERVICE_BODY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "watcher/identity.h"

struct service;
struct body;

struct body_hooks {
    /* Its first bytes are there, or an error (negative errno; -ESTALE: another version stands
     * there; -ETIMEDOUT: its folder does not answer). *root is the folder it was looked for in,
     * zeros: none. */
    void (*opened)(void *ctx, int error, const struct root_identity *root);
    /* After a read that said "not yet": there are bytes, or an error. */
    void (*more)(void *ctx);
    void *ctx;
};

/* Opens `path` below `root`, of this watch of the ledger. All is copied. */
struct body *body_open(struct service *service, int64_t watch, const char *root, const char *path,
                       const struct file_identity *identity, const uint8_t sha256[32],
                       const struct body_hooks *hooks);

/* As a body_source's read: 1 to n bytes, 0 at the end, UPLOADER_NOT_YET, or what went wrong. */
ssize_t body_read(struct body *body, void *buffer, size_t n);

/* Whenever: what is out on the pool frees itself when it comes back. No hook runs any more. */
void body_close(struct body *body);

#endif
