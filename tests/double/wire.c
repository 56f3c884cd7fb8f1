#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"
#include "base.h"
#include "exchange.h"
#include "script.h"

#define LINGER_MS 5000

void wire_wait(const struct server *server, uint64_t ms)
{
    struct pollfd stop = {.fd = server->stop_fd, .events = POLLIN};
    int64_t until = base_now_ms() + (int64_t)ms;
    for (;;) {
        int64_t left = until - base_now_ms();
        if (left <= 0 || poll(&stop, 1, left > 60000 ? 60000 : (int)left) > 0) {
            return;
        }
    }
}

void wire_pace(const struct server *server, size_t size, uint64_t rate)
{
    if (rate > 0) {
        wire_wait(server, size * 1000 / rate);
    }
}

/* An answer that is sent slowly. */
struct trickle {
    const struct server *server;
    uint64_t rate;
    size_t size;
    char bytes[];
};

static ssize_t read_trickle(void *context, uint64_t position, char *buffer, size_t room)
{
    const struct trickle *trickle = context;
    size_t piece = trickle->rate >= 20 ? (size_t)(trickle->rate / 10) : 1;
    size_t left = trickle->size - (size_t)position;
    piece = piece < left ? piece : left;
    piece = piece < room ? piece : room;
    wire_pace(trickle->server, piece, trickle->rate);
    memcpy(buffer, trickle->bytes + position, piece);
    return (ssize_t)piece;
}

static struct MHD_Response *make_trickle(const struct exchange *exchange,
                                         const struct answer *answer, uint64_t rate)
{
    struct trickle *trickle = base_need(sizeof *trickle + answer->size);
    trickle->server = exchange->server;
    trickle->rate = rate;
    trickle->size = answer->size;
    memcpy(trickle->bytes, answer->body, answer->size);
    return MHD_create_response_from_callback(answer->size, 1024, read_trickle, trickle, free);
}

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
    if (MHD_add_response_header(response, name, value) != MHD_YES) {
        base_die("a header that cannot be sent: %s: %s", name, value);
    }
}

static void add_action(struct MHD_Response *response, const struct script_action *action)
{
    for (size_t i = 0; i < action->header_count; i++) {
        add_header(response, action->headers[i].name, action->headers[i].value);
    }
    if (action->retry_after_date_s >= 0) {
        char date[64];
        time_t at = (time_t)(base_now_ms() / 1000 + action->retry_after_date_s);
        struct tm parts;
        gmtime_r(&at, &parts);
        strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        add_header(response, MHD_HTTP_HEADER_RETRY_AFTER, date);
    }
}

enum MHD_Result wire_answer(struct exchange *exchange, const struct answer *answer,
                            const struct script_action *action)
{
    uint64_t rate = action != NULL ? action->slow : 0;
    struct MHD_Response *response =
        rate > 0 && answer->size > 0
            ? make_trickle(exchange, answer, rate)
            : MHD_create_response_from_buffer(answer->size, answer->body, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) {
        base_die("out of memory");
    }
    if (answer->type != NULL) {
        add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type);
    }
    if (action != NULL) {
        add_action(response, action);
    }
    if (!exchange->whole || exchange->late != NULL) {
        add_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    }
    enum MHD_Result queued = MHD_queue_response(exchange->connection, answer->status, response);
    MHD_destroy_response(response);
    return queued;
}

/* libmicrohttpd shuts a socket down before it closes it, which would send FIN first. So another
 * socket takes over the descriptor: the TCP socket, told not to linger, is closed by that at
 * once and sends RST; libmicrohttpd closes the stand-in. */
void wire_reset(struct exchange *exchange)
{
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0 ||
        setsockopt(exchange->socket, SOL_SOCKET, SO_LINGER, &none, sizeof none) != 0 ||
        dup3(pair[0], exchange->socket, O_CLOEXEC) < 0) {
        base_die("cannot reset a connection: %s", strerror(errno));
    }
    close(pair[0]);
    close(pair[1]);
    exchange->cut = true;
}

void wire_hang(const struct exchange *exchange)
{
    struct pollfd either[2] = {{.fd = exchange->server->stop_fd, .events = POLLIN},
                               {.fd = exchange->socket, .events = POLLRDHUP}};
    while (poll(either, 2, -1) < 0 && errno == EINTR) {
    }
}

static void send_whole(int socket_fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t done = send(socket_fd, bytes, size, MSG_NOSIGNAL);
        if (done < 0 && (errno == EAGAIN || errno == EINTR)) {
            struct pollfd ready = {.fd = socket_fd, .events = POLLOUT};
            if (poll(&ready, 1, LINGER_MS) > 0) {
                continue;
            }
        }
        if (done <= 0) {
            return; /* the client left: its affair */
        }
        bytes += done;
        size -= (size_t)done;
    }
}

void wire_raw(const struct exchange *exchange, const struct script_action *action)
{
    size_t piece = action->slow > 0 ? 1 + (size_t)(action->slow / 20) : action->body_size;
    for (size_t at = 0; at < action->body_size; at += piece) {
        size_t left = action->body_size - at;
        size_t size = left < piece ? left : piece;
        wire_pace(exchange->server, size, action->slow);
        send_whole(exchange->socket, action->body + at, size);
    }
}

void wire_finish(const struct exchange *exchange)
{
    shutdown(exchange->socket, SHUT_WR);
}

void wire_linger(const struct exchange *exchange)
{
    char bytes[16384];
    wire_finish(exchange);
    int64_t until = base_now_ms() + LINGER_MS;
    for (;;) {
        struct pollfd either[2] = {{.fd = exchange->socket, .events = POLLIN},
                                   {.fd = exchange->server->stop_fd, .events = POLLIN}};
        int64_t left = until - base_now_ms();
        if (left <= 0 || poll(either, 2, (int)left) <= 0 || either[1].revents != 0) {
            return;
        }
        ssize_t got = recv(exchange->socket, bytes, sizeof bytes, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
            return;
        }
    }
}
