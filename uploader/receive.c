/*
 * The reader of an answer: its final status, three fields, a bounded body.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "uploader/client.h"

/* Of all heads together, 1xx included. */
static const size_t HEAD_MAX_BYTES = 64 << 10;

/* Of an answer that is too large so much is read and dropped, to come to its end and keep the
 * connection. */
static const uint64_t DROP_MAX_BYTES = 16 << 20;

static int status_of(const char *line, size_t n)
{
    const char *space = memchr(line, ' ', n);
    int status = 0;
    if (n < 5 || memcmp(line, "HTTP/", 5) != 0 || space == NULL || line + n - space < 4)
        return 0;
    for (int i = 1; i <= 3; i++) {
        if (space[i] < '0' || space[i] > '9')
            return 0;
        status = status * 10 + (space[i] - '0');
    }
    return status;
}

static void take_status(struct transfer *transfer, int status)
{
    if (status < 200)
        return;
    transfer->status = status;
    transfer->answered_early = !transfer->body_out;
}

static void take_field(const char *line, size_t n, const char *name, char *out)
{
    size_t length = strlen(name);
    if (n <= length || line[length] != ':' || strncasecmp(line, name, length) != 0)
        return;
    const char *at = line + length + 1;
    const char *end = line + n;
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    while (end > at && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' '))
        end--;
    size_t size = (size_t)(end - at);
    if (size >= TRANSFER_FIELD_SIZE || memchr(at, '\0', size) != NULL)
        size = 0;
    memcpy(out, at, size);
    out[size] = '\0';
}

/* Every line of every head, 1xx and trailers too. A line is a status line only where one is due. */
size_t receive_head(char *line, size_t size, size_t count, void *ctx)
{
    struct transfer *transfer = ctx;
    size_t n = size * count;
    transfer->head_bytes += n;
    if (transfer->stopping || transfer->head_bytes > HEAD_MAX_BYTES)
        return 0;
    if (!transfer->in_head && transfer->status > 0)
        return n; /* trailers */
    if (!transfer->in_head) {
        int status = status_of(line, n);
        transfer->in_head = status > 0;
        take_status(transfer, status);
    } else if (n == 0 || line[0] == '\r' || line[0] == '\n') {
        transfer->in_head = false;
    } else if (transfer->status > 0) {
        take_field(line, n, "Content-Type", transfer->content_type);
        take_field(line, n, "Retry-After", transfer->retry_after);
        take_field(line, n, "Date", transfer->date);
    }
    return n;
}

static bool make_room(struct transfer *transfer, size_t size)
{
    if (size <= transfer->body_room)
        return true;
    size_t room = transfer->body_room < 4096 ? 4096 : 2 * transfer->body_room;
    if (room < size)
        room = size;
    char *larger = realloc(transfer->body, room);
    if (larger == NULL)
        return false;
    transfer->body = larger;
    transfer->body_room = room;
    return true;
}

size_t receive_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct transfer *transfer = ctx;
    size_t n = size * count;
    size_t kept = transfer->body_limit - transfer->body_size;
    transfer->body_seen += n;
    if (transfer->stopping || (transfer->body_seen > transfer->body_limit &&
                               transfer->body_seen - transfer->body_limit > DROP_MAX_BYTES))
        return 0;
    if (kept > n)
        kept = n;
    if (transfer->body_cut || !make_room(transfer, transfer->body_size + kept + 1))
        kept = 0;
    if (kept > 0) {
        memcpy(transfer->body + transfer->body_size, bytes, kept);
        transfer->body_size += kept;
        transfer->body[transfer->body_size] = '\0';
    }
    if (kept < n)
        transfer->body_cut = true;
    return n;
}
