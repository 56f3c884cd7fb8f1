/*
 * bench-sink: takes uploads over HTTP and HTTPS as fast as it can, reads and counts every byte, and
 * hashes one file in so many. It is no Chorus: it refuses nothing and remembers only counts.
 *
 *     bench-sink --cert FILE --key FILE [--manifest FILE] [--check-every N] [--arrivals]
 *                [--listen ADDRESS]
 *
 * It listens on two ports of 127.0.0.1 (or ADDRESS) that are free, and says `ready HTTP HTTPS` on
 * stdout. It ends when its stdin does. GET /bench/counts: what it saw, as JSON; GET
 * /bench/arrivals: when each upload's first byte came; POST /bench/reset. Any other GET: no
 * engagements.
 *
 * Two threads, each with the connections it accepted; answers are small and written at once.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "request.h"

enum { THREADS = 2, BUFFER = 262144, EVENTS = 64, BACKLOG = 1024, READS = 8 };

struct listener {
    int fd;
    bool tls;
};

struct connection {
    int fd;
    SSL *ssl; /* NULL: plain */
    struct request request;
};

static struct listener listeners[2];
static struct in_addr own_address;
static SSL_CTX *context;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench-sink: %s: %s\n", what, why);
    exit(1);
}

/* --- bytes --- */

/* What is here: a count, 0 for the end, -EAGAIN, or another negative errno. */
static ssize_t take(struct connection *connection, char *buffer, size_t n)
{
    if (connection->ssl == NULL) {
        ssize_t got = recv(connection->fd, buffer, n, 0);
        return got < 0 ? -errno : got;
    }
    size_t done = 0;
    while (n - done >= 16384) { /* records: a read gives one of them */
        int got = SSL_read(connection->ssl, buffer + done, (int)(n - done));
        if (got <= 0) {
            int error = SSL_get_error(connection->ssl, got);
            if (done > 0)
                break;
            return error == SSL_ERROR_WANT_READ     ? -EAGAIN
                   : error == SSL_ERROR_ZERO_RETURN ? 0
                                                    : -ECONNRESET;
        }
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static bool give_some(struct connection *connection, const char *bytes, size_t n, size_t *given)
{
    ssize_t put = connection->ssl != NULL ? SSL_write(connection->ssl, bytes, (int)n)
                                          : send(connection->fd, bytes, n, MSG_NOSIGNAL);
    *given = put > 0 ? (size_t)put : 0;
    if (put > 0)
        return true;
    struct pollfd writable = {.fd = connection->fd, .events = POLLOUT};
    bool full = connection->ssl != NULL
                    ? SSL_get_error(connection->ssl, (int)put) == SSL_ERROR_WANT_WRITE
                    : errno == EAGAIN;
    return full && poll(&writable, 1, 5000) == 1;
}

static bool give(struct connection *connection, const char *bytes, size_t n)
{
    size_t given = 0;
    for (; n > 0; bytes += given, n -= given) {
        if (!give_some(connection, bytes, n, &given))
            return false;
    }
    return true;
}

/* --- answers --- */

static bool answer(struct connection *connection, const char *body, size_t n)
{
    char head[160];
    int size = snprintf(head, sizeof head,
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n",
                        n);
    if (n < 4096) { /* one write */
        char all[4096 + sizeof head];
        memcpy(all, head, (size_t)size);
        memcpy(all + size, body, n);
        return give(connection, all, (size_t)size + n);
    }
    return give(connection, head, (size_t)size) && give(connection, body, n);
}

static bool answer_counts(struct connection *connection)
{
    struct tally_counts seen;
    char body[400];
    tally_get(&seen);
    int n = snprintf(body, sizeof body,
                     "{\"uploads\": %" PRIu64 ", \"body_bytes\": %" PRIu64
                     ", \"data_bytes\": %" PRIu64 ", \"checked\": %" PRIu64 ", \"wrong\": %" PRIu64
                     ", \"connections\": %" PRIu64 ", \"broken\": %" PRIu64 "}\n",
                     seen.uploads, seen.body_bytes, seen.data_bytes, seen.checked, seen.wrong,
                     seen.connections, seen.broken);
    return answer(connection, body, (size_t)n);
}

static bool answer_arrivals(struct connection *connection)
{
    char *body = NULL;
    size_t n = 0;
    FILE *text = open_memstream(&body, &n);
    if (text == NULL)
        return false;
    tally_write_arrivals(text);
    fclose(text);
    bool done = answer(connection, body, n);
    free(body);
    return done;
}

static bool answer_upload(struct connection *connection)
{
    struct request *request = &connection->request;
    unsigned char sha256[32];
    char body[64];
    bool hashed = request_sha256(request, sha256);
    uint64_t number =
        tally_upload(request->name, request->body_size, request_data_size(request),
                     hashed ? sha256 : NULL, request_is_torn(request), request->began_ns);
    int n = snprintf(body, sizeof body, "{\"engagement_id\": \"bench-%" PRIu64 "\"}", number);
    return answer(connection, body, (size_t)n);
}

static bool answer_whole(struct connection *connection)
{
    const struct request *request = &connection->request;
    if (strcmp(request->target, "/bench/counts") == 0)
        return answer_counts(connection);
    if (strcmp(request->target, "/bench/arrivals") == 0)
        return answer_arrivals(connection);
    if (strcmp(request->target, "/bench/reset") == 0) {
        tally_reset();
        return answer(connection, "{}", 2);
    }
    if (strcmp(request->method, "GET") == 0)
        return answer(connection, "{\"engagements\": []}", 19);
    return answer_upload(connection);
}

/* --- connections --- */

static void drop(struct connection *connection)
{
    if (connection->request.began_ns != 0)
        tally_broken();
    request_deinit(&connection->request);
    SSL_free(connection->ssl);
    close(connection->fd);
    free(connection);
}

static bool feed(struct connection *connection, const char *bytes, size_t n)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    size_t taken = 0;
    for (; n > 0; bytes += taken, n -= taken) {
        switch (request_feed(&connection->request, bytes, n, &taken)) {
        case REQUEST_MORE:
            break;
        case REQUEST_CONTINUE:
            if (n == taken && !give(connection, go_on, sizeof go_on - 1))
                return false;
            break;
        case REQUEST_WHOLE:
            if (!answer_whole(connection))
                return false;
            request_next(&connection->request);
            break;
        case REQUEST_BROKEN:
            return false;
        }
    }
    return true;
}

static void serve(struct connection *connection, char *buffer)
{
    for (int i = 0; i < READS || (connection->ssl != NULL && SSL_has_pending(connection->ssl));
         i++) {
        ssize_t got = take(connection, buffer, BUFFER);
        if (got == -EAGAIN)
            return;
        if (got <= 0 || !feed(connection, buffer, (size_t)got)) {
            drop(connection);
            return;
        }
        if (connection->ssl == NULL && got < BUFFER)
            return; /* that was all: spare the read that says so */
    }
}

static void welcome(const struct listener *listener, int epoll)
{
    int on = 1;
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return; /* the other thread took it */
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL)
        die("connection", "out of memory");
    connection->fd = fd;
    request_init(&connection->request);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (listener->tls) {
        connection->ssl = SSL_new(context);
        if (connection->ssl == NULL || SSL_set_fd(connection->ssl, fd) != 1)
            die("connection", "no TLS");
        SSL_set_accept_state(connection->ssl);
    }
    tally_connection();
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        die("epoll_ctl", strerror(errno));
}

static bool is_listener(const void *ptr)
{
    return ptr == &listeners[0] || ptr == &listeners[1];
}

static void *work(void *none)
{
    (void)none;
    struct epoll_event events[EVENTS];
    char *buffer = malloc(BUFFER);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0 || buffer == NULL)
        die("epoll", strerror(errno));
    for (size_t i = 0; i < 2; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = &listeners[i]};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, listeners[i].fd, &event) != 0)
            die("epoll_ctl", strerror(errno));
    }
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (is_listener(events[i].data.ptr))
                welcome(events[i].data.ptr, epoll);
            else
                serve(events[i].data.ptr, buffer);
        }
    }
    return NULL;
}

/* --- the start --- */

static uint16_t listen_on(struct listener *listener, bool tls)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = own_address};
    socklen_t size = sizeof address;
    listener->tls = tls;
    listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0 || bind(listener->fd, (struct sockaddr *)&address, size) != 0 ||
        listen(listener->fd, BACKLOG) != 0 ||
        getsockname(listener->fd, (struct sockaddr *)&address, &size) != 0)
        die("listen", strerror(errno));
    return ntohs(address.sin_port);
}

static void prepare_tls(const char *cert, const char *key)
{
    context = SSL_CTX_new(TLS_server_method());
    if (context == NULL || SSL_CTX_use_certificate_chain_file(context, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
        die(cert, "cannot be used with its key");
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, BUFFER);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

static void read_manifest(const char *path)
{
    int error = tally_read_manifest(path);
    if (error != 0)
        die(path, strerror(-error));
}

static void read_options(int argc, char **argv)
{
    static const struct option names[] = {
        {"cert", required_argument, NULL, 'c'},
        {"key", required_argument, NULL, 'k'},
        {"manifest", required_argument, NULL, 'm'},
        {"check-every", required_argument, NULL, 'e'},
        {"arrivals", no_argument, NULL, 'a'},
        {"listen", required_argument, NULL, 'l'},
        {NULL, 0, NULL, 0},
    };
    const char *cert = NULL, *key = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 'c':
            cert = optarg;
            break;
        case 'k':
            key = optarg;
            break;
        case 'm':
            read_manifest(optarg);
            break;
        case 'e':
            tally_check_every((unsigned)strtoul(optarg, NULL, 10));
            break;
        case 'a':
            tally_keep_arrivals();
            break;
        case 'l':
            if (inet_pton(AF_INET, optarg, &own_address) != 1)
                die(optarg, "is no address");
            break;
        default:
            exit(64);
        }
    }
    if (cert == NULL || key == NULL)
        die("--cert, --key", "are needed");
    prepare_tls(cert, key);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    own_address.s_addr = htonl(INADDR_LOOPBACK);
    read_options(argc, argv);
    uint16_t plain = listen_on(&listeners[0], false), tls = listen_on(&listeners[1], true);
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, NULL) != 0)
            die("pthread_create", "no thread");
    }
    printf("ready %u %u\n", (unsigned)plain, (unsigned)tls);
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}
