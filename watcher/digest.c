#include "watcher/digest.h"

#include <errno.h>
#include <stdlib.h>

#include <openssl/evp.h>

struct digest {
    EVP_MD_CTX *context;
};

struct digest *digest_new(void)
{
    struct digest *digest = malloc(sizeof *digest);
    if (!digest) {
        return NULL;
    }
    digest->context = EVP_MD_CTX_new();
    if (!digest->context || EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL) != 1) {
        digest_free(digest);
        return NULL;
    }
    return digest;
}

void digest_free(struct digest *digest)
{
    if (digest) {
        EVP_MD_CTX_free(digest->context);
        free(digest);
    }
}

int digest_update(struct digest *digest, const void *bytes, size_t n)
{
    return EVP_DigestUpdate(digest->context, bytes, n) == 1 ? 0 : -EIO;
}

int digest_final(struct digest *digest, uint8_t sha256[32])
{
    return EVP_DigestFinal_ex(digest->context, sha256, NULL) == 1 ? 0 : -EIO;
}

int digest_of(const void *bytes, size_t n, uint8_t sha256[32])
{
    struct digest *digest = digest_new();
    if (!digest) {
        return -ENOMEM;
    }
    int result = digest_update(digest, bytes, n);
    if (result == 0) {
        result = digest_final(digest, sha256);
    }
    digest_free(digest);
    return result;
}
