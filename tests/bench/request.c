#include "request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void request_init(struct request *request)
{
    request->hash = NULL;
    request_next(request);
}

void request_deinit(struct request *request)
{
    EVP_MD_CTX_free(request->hash);
    request->hash = NULL;
}

void request_next(struct request *request)
{
    request_deinit(request);
    request->head_size = request->form_size = request->tail_size = request->end_size = 0;
    request->in_body = false;
    request->began_ns = 0;
    request->body_size = request->body_seen = request->data_at = 0;
    request->name[0] = '\0';
}

/* --- the head --- */

/* The value of a header line, up to its end; NULL: it is not there. */
static const char *header(const char *head, const char *name)
{
    size_t n = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, n) == 0 && line[n] == ':')
            return line + n + 1 + strspn(line + n + 1, " \t");
    }
    return NULL;
}

static void read_boundary(struct request *request)
{
    const char *type = header(request->head, "Content-Type");
    const char *from = type != NULL ? strstr(type, "boundary=") : NULL;
    if (from == NULL)
        return;
    from += strlen("boundary=");
    from += *from == '"';
    int n = (int)strcspn(from, "\";\r\n");
    int size = snprintf(request->tail, sizeof request->tail, "\r\n--%.*s--\r\n", n, from);
    request->tail_size = size > 0 && size < REQUEST_TAIL ? (size_t)size : 0;
}

static enum request_news read_head(struct request *request)
{
    if (sscanf(request->head, "%15s %255s HTTP/1.1", request->method, request->target) != 2)
        return REQUEST_BROKEN;
    if (header(request->head, "Transfer-Encoding") != NULL)
        return REQUEST_BROKEN;
    const char *length = header(request->head, "Content-Length");
    request->body_size = length != NULL ? strtoull(length, NULL, 10) : 0;
    request->in_body = true;
    read_boundary(request);
    if (request->body_size == 0)
        return REQUEST_WHOLE;
    const char *expect = header(request->head, "Expect");
    return expect != NULL && strncasecmp(expect, "100-continue", 12) == 0 ? REQUEST_CONTINUE
                                                                          : REQUEST_MORE;
}

static enum request_news feed_head(struct request *request, const char *bytes, size_t n,
                                   size_t *taken)
{
    size_t before = request->head_size;
    size_t room = REQUEST_HEAD - before;
    size_t more = n < room ? n : room;
    if (request->began_ns == 0)
        request->began_ns = now_ns();
    memcpy(request->head + before, bytes, more);
    request->head[before + more] = '\0';
    size_t from = before > 3 ? before - 3 : 0;
    const char *end = strstr(request->head + from, "\r\n\r\n");
    if (end == NULL) {
        request->head_size += more;
        *taken = more;
        return request->head_size == REQUEST_HEAD ? REQUEST_BROKEN : REQUEST_MORE;
    }
    request->head_size = (size_t)(end + 4 - request->head);
    request->head[request->head_size] = '\0';
    *taken = request->head_size - before;
    return read_head(request);
}

/* --- the body --- */

static void read_name(struct request *request, const char *part)
{
    const char *from = strstr(part, "filename=\"");
    if (from == NULL)
        return;
    from += strlen("filename=\"");
    snprintf(request->name, sizeof request->name, "%.*s", (int)strcspn(from, "\"\r\n"), from);
}

/* Where the part with a file name begins is where its head ends. */
static void look_for_file(struct request *request, const char *bytes, size_t n)
{
    size_t room = REQUEST_FORM - request->form_size;
    size_t more = n < room ? n : room;
    memcpy(request->form + request->form_size, bytes, more);
    request->form_size += more;
    request->form[request->form_size] = '\0';
    const char *part = strstr(request->form, "filename=\"");
    const char *end = part != NULL ? strstr(part, "\r\n\r\n") : NULL;
    if (end == NULL)
        return;
    request->data_at = (uint64_t)(end + 4 - request->form);
    read_name(request, part);
    if (!tally_wants_check(request->name))
        return;
    request->hash = EVP_MD_CTX_new();
    if (request->hash == NULL || EVP_DigestInit_ex(request->hash, EVP_sha256(), NULL) != 1)
        abort();
}

/* What of these bytes, which begin at `at` of the body, belongs to the file. */
static void hash_data(struct request *request, const char *bytes, size_t n, uint64_t at)
{
    uint64_t from = request->data_at, to = request->body_size - request->tail_size;
    uint64_t begin = at > from ? at : from, end = at + n < to ? at + n : to;
    if (begin < end)
        EVP_DigestUpdate(request->hash, bytes + (begin - at), end - begin);
}

static void keep_end(struct request *request, const char *bytes, size_t n)
{
    uint64_t from = request->body_size - request->tail_size;
    uint64_t at = request->body_seen;
    if (at + n <= from)
        return;
    size_t skip = at < from ? (size_t)(from - at) : 0;
    memcpy(request->end + request->end_size, bytes + skip, n - skip);
    request->end_size += n - skip;
}

static enum request_news feed_body(struct request *request, const char *bytes, size_t n,
                                   size_t *taken)
{
    uint64_t left = request->body_size - request->body_seen;
    size_t more = n < left ? n : (size_t)left;
    bool is_form = request->tail_size > 0 && request->tail_size <= request->body_size;
    if (is_form && request->data_at == 0 && request->form_size < REQUEST_FORM)
        look_for_file(request, bytes, more);
    if (is_form && request->hash != NULL)
        hash_data(request, bytes, more, request->body_seen);
    if (is_form)
        keep_end(request, bytes, more);
    request->body_seen += more;
    *taken = more;
    return request->body_seen == request->body_size ? REQUEST_WHOLE : REQUEST_MORE;
}

enum request_news request_feed(struct request *request, const char *bytes, size_t n, size_t *taken)
{
    return request->in_body ? feed_body(request, bytes, n, taken)
                            : feed_head(request, bytes, n, taken);
}

bool request_is_torn(const struct request *request)
{
    return request->data_at == 0 || request->end_size != request->tail_size ||
           memcmp(request->end, request->tail, request->tail_size) != 0;
}

uint64_t request_data_size(const struct request *request)
{
    return request_is_torn(request) ? 0
                                    : request->body_size - request->tail_size - request->data_at;
}

bool request_sha256(struct request *request, unsigned char *sha256)
{
    return request->hash != NULL && EVP_DigestFinal_ex(request->hash, sha256, NULL) == 1;
}
