/* SHA-256, the one place that names OpenSSL's digests. Any thread. */
#ifndef CHORUS_WATCHER_DIGEST_H
#define CHORUS_WATCHER_DIGEST_H

#include <stddef.h>
#include <stdint.h>

struct digest;

/* NULL when memory is short. */
struct digest *digest_new(void);
void digest_free(struct digest *digest);
/* 0 or -EIO (the library refused). */
int digest_update(struct digest *digest, const void *bytes, size_t n);
int digest_final(struct digest *digest, uint8_t sha256[32]);

/* In one call: 0 or negative errno. */
int digest_of(const void *bytes, size_t n, uint8_t sha256[32]);

#endif
