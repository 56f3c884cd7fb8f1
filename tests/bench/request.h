/*
 * One HTTP/1.1 request after the other from a stream of bytes: head, then so many bytes of body. Of
 * the form in an upload only the last part matters; it is to be the file.
 *
 * Thread: the connection's.
 */
#ifndef BENCH_REQUEST_H
#define BENCH_REQUEST_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tally.h"

enum {
    REQUEST_HEAD = 16384, /* a longer head breaks the connection */
    REQUEST_FORM = 8192,  /* so much of a body is searched for where its file begins */
    REQUEST_TAIL = 256,   /* a boundary, and what stands around it */
};

enum request_news {
    REQUEST_MORE,     /* all was taken, and more is wanted */
    REQUEST_CONTINUE, /* the head is here, and its sender waits to be told to go on */
    REQUEST_WHOLE,    /* answer it, then request_next */
    REQUEST_BROKEN,   /* it cannot be read */
};

struct request {
    char head[REQUEST_HEAD + 1];
    size_t head_size;
    bool in_body;
    int64_t began_ns; /* 0: no byte of it is here */

    char method[16], target[256];
    uint64_t body_size, body_seen;

    char tail[REQUEST_TAIL]; /* how the body is to end */
    size_t tail_size;
    char form[REQUEST_FORM + 1];
    size_t form_size;
    uint64_t data_at; /* of the body, where the file begins; 0: not known yet */
    char name[TALLY_NAME];
    EVP_MD_CTX *hash; /* NULL: this one is not hashed */
    char end[REQUEST_TAIL];
    size_t end_size; /* the last bytes seen, to be compared with the tail */
};

void request_init(struct request *request);
void request_deinit(struct request *request);

/* Takes bytes, at most as many as belong to this request; *taken says how many. */
enum request_news request_feed(struct request *request, const char *bytes, size_t n, size_t *taken);

/* Of a whole upload: what the tally wants to know. `sha256` has 32 bytes; false: not hashed. */
bool request_sha256(struct request *request, unsigned char *sha256);
bool request_is_torn(const struct request *request);
uint64_t request_data_size(const struct request *request);

void request_next(struct request *request);

#endif
