#include "server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

struct text {
    char *bytes; /* ended by NUL */
    size_t size, room;
};

struct server {
    int listener, port;
    int wake[2];
    server_script script;
    pthread_t thread;
    int connections, heads_seen, bodies, keyless;
    struct text heads, body; /* all heads, the last body */
    size_t head_at;          /* in heads: the last one */
};

static void note(struct text *text, const char *bytes, size_t n)
{
    if (text->size + n + 1 > text->room) {
        text->room = 2 * (text->room + n) + 4096;
        text->bytes = realloc(text->bytes, text->room);
        assert(text->bytes != NULL);
    }
    memcpy(text->bytes + text->size, bytes, n);
    text->size += n;
    text->bytes[text->size] = '\0';
}

static void serve(struct server *server)
{
    int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    server->connections++;
    server->script(server, fd);
    close(fd);
}

static void *run(void *ctx)
{
    struct server *server = ctx;
    struct pollfd fds[] = {{server->listener, POLLIN, 0}, {server->wake[0], POLLIN, 0}};
    for (;;) {
        int rc = poll(fds, 2, -1);
        assert(rc > 0);
        (void)rc;
        if (fds[0].revents != 0)
            serve(server);
        else if (fds[1].revents != 0)
            return NULL;
    }
}

struct server *server_start(server_script script)
{
    struct server *server = calloc(1, sizeof(*server));
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    assert(server != NULL);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->script = script;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = bind(server->listener, (struct sockaddr *)&address, size);
    rc |= listen(server->listener, 16);
    rc |= getsockname(server->listener, (struct sockaddr *)&address, &size);
    rc |= pipe(server->wake);
    server->port = ntohs(address.sin_port);
    note(&server->heads, "", 0);
    note(&server->body, "", 0);
    rc |= pthread_create(&server->thread, NULL, run, server);
    assert(rc == 0);
    (void)rc;
    return server;
}

void server_stop(struct server *server)
{
    ssize_t n = write(server->wake[1], "", 1);
    assert(n == 1);
    (void)n;
    pthread_join(server->thread, NULL);
    close(server->listener);
    close(server->wake[0]);
    close(server->wake[1]);
}

void server_free(struct server *server)
{
    free(server->heads.bytes);
    free(server->body.bytes);
    free(server);
}

int server_port(const struct server *server)
{
    return server->port;
}

int server_connections(const struct server *server)
{
    return server->connections;
}

int server_heads(const struct server *server)
{
    return server->heads_seen;
}

int server_bodies(const struct server *server)
{
    return server->bodies;
}

int server_keyless(const struct server *server)
{
    return server->keyless;
}

bool server_head(struct server *server, int fd)
{
    char c = 0;
    struct text *heads = &server->heads;
    size_t at = heads->size;
    while (recv(fd, &c, 1, 0) == 1) {
        note(heads, &c, 1);
        if (heads->size - at >= 4 && memcmp(heads->bytes + heads->size - 4, "\r\n\r\n", 4) == 0) {
            server->heads_seen++;
            server->head_at = at;
            server->body.size = 0;
            return true;
        }
    }
    return false;
}

static size_t content_length(const struct server *server)
{
    const char *field = strcasestr(server->heads.bytes + server->head_at, "\r\nContent-Length:");
    return field == NULL ? 0 : (size_t)strtoull(field + 17, NULL, 10);
}

static bool has_key(const struct text *body)
{
    static const char key[] = "form-data; name=\"meeting_id\"\r\n\r\nsha256-abc\r\n";
    return memmem(body->bytes, body->size, key, sizeof(key) - 1) != NULL;
}

void server_body(struct server *server, int fd, size_t at_most)
{
    char buffer[65536];
    struct text *body = &server->body;
    size_t length = content_length(server);
    while (body->size < length && body->size < at_most) {
        size_t want = length - body->size;
        ssize_t n = recv(fd, buffer, want < sizeof(buffer) ? want : sizeof(buffer), 0);
        if (n <= 0)
            return;
        note(body, buffer, (size_t)n);
    }
    if (length > 0 && body->size == length) {
        server->bodies++;
        server->keyless += !has_key(body);
    }
}

bool server_request(struct server *server, int fd)
{
    if (!server_head(server, fd))
        return false;
    server_body(server, fd, (size_t)-1);
    return true;
}

void server_say(int fd, const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        ssize_t n = send(fd, text, left, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        text += n;
        left -= (size_t)n;
    }
}

void server_answer(int fd, int status, const char *fields, const char *body)
{
    char head[512];
    snprintf(head, sizeof(head), "HTTP/1.1 %d Whatever\r\n%sContent-Length: %zu\r\n\r\n", status,
             fields, strlen(body));
    server_say(fd, head);
    server_say(fd, body);
}

void server_reset(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

void server_wait_for_end(int fd)
{
    char buffer[4096];
    while (recv(fd, buffer, sizeof(buffer), 0) > 0)
        ;
}

const char *server_last_head(const struct server *server)
{
    return server->heads.bytes + server->head_at;
}

const char *server_last_body(const struct server *server, size_t *size)
{
    *size = server->body.size;
    return server->body.bytes;
}

static int count(const struct text *in, const char *text)
{
    int found = 0;
    const char *at = in->bytes, *end = in->bytes + in->size;
    while ((at = memmem(at, (size_t)(end - at), text, strlen(text))) != NULL) {
        found++;
        at += strlen(text);
    }
    return found;
}

int server_heads_with(const struct server *server, const char *text)
{
    return count(&server->heads, text);
}

bool server_saw(const struct server *server, const char *text)
{
    return count(&server->heads, text) > 0 || count(&server->body, text) > 0;
}
