/* chorus-double: starts, says where it listens, and ends on a signal. */
#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base.h"
#include "exchange.h"
#include "journal.h"
#include "script.h"
#include "store.h"

#define BACKLOG 1024
#define CONNECTIONS_MAX 4096u
#define POOL_BYTES (160u * 1024)   /* for headers and the buffer that a body is read through */
#define STACK_BYTES (1024u * 1024) /* of a connection's thread; the sanitizers want much */

static void *need_for_json(size_t size)
{
    return base_need(size);
}

static void make_dir(const char *path)
{
    if (mkdir(path, 0755) != 0 && errno != EEXIST) {
        base_die("%s: %s", path, strerror(errno));
    }
}

static void make_dirs(const struct options *options)
{
    if (options->dir == NULL) {
        return;
    }
    make_dir(options->dir);
    if (options->keep_media) {
        char *media = base_text("%s/media", options->dir);
        make_dir(media);
        free(media);
    }
}

/* False: a line of the script is bad, and said. */
static bool load_script(struct server *server)
{
    const char *path = server->options.script;
    if (path == NULL) {
        return true;
    }
    char *text = base_read_file(path, NULL);
    if (text == NULL) {
        fprintf(stderr, "chorus-double: %s: %s\n", path, strerror(errno));
        return false;
    }
    char *fault = NULL;
    server->script = script_parse(path, text, &fault);
    free(text);
    if (server->script == NULL) {
        fprintf(stderr, "%s\n", fault);
        free(fault);
        return false;
    }
    return true;
}

static int listen_on(int64_t port, unsigned *bound)
{
    int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, BACKLOG) != 0 || getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        base_die("cannot listen on 127.0.0.1:%d: %s", (int)port, strerror(errno));
    }
    *bound = ntohs(address.sin_port);
    return fd;
}

static char *read_pem(const char *path)
{
    char *pem = base_read_file(path, NULL);
    if (pem == NULL) {
        base_die("%s: %s", path, strerror(errno));
    }
    return pem;
}

static struct MHD_Daemon *start_daemon(struct server *server, int listen_fd)
{
    const struct options *options = &server->options;
    bool tls = options->tls_cert != NULL;
    char *cert = tls ? read_pem(options->tls_cert) : NULL;
    char *key = tls ? read_pem(options->tls_key) : NULL;
    struct MHD_OptionItem more[] = {
        {tls ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, 0, cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, key},
        {MHD_OPTION_END, 0, NULL},
    };
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                     MHD_USE_POLL | MHD_USE_ITC | (tls ? MHD_USE_TLS : 0);
    struct MHD_Daemon *daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, exchange_take, server, MHD_OPTION_LISTEN_SOCKET, listen_fd,
        MHD_OPTION_NOTIFY_COMPLETED, exchange_end, server, MHD_OPTION_NOTIFY_CONNECTION,
        exchange_connection, server, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)STACK_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)options->idle_s,
        MHD_OPTION_ARRAY, more, MHD_OPTION_END);
    free(cert);
    free(key);
    if (daemon == NULL) {
        base_die("the HTTP server did not start");
    }
    return daemon;
}

/* Serves until SIGTERM or SIGINT, which the caller has blocked. */
static void serve(struct server *server, const sigset_t *signals)
{
    unsigned port = 0;
    int listen_fd = listen_on(server->options.port, &port);
    server->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->stop_fd < 0) {
        base_die("eventfd: %s", strerror(errno));
    }
    struct MHD_Daemon *daemon = start_daemon(server, listen_fd);
    printf("chorus-double listening on %s://127.0.0.1:%u\n",
           server->options.tls_cert != NULL ? "https" : "http", port);
    fflush(stdout);
    int signal_number = 0;
    sigwait(signals, &signal_number);
    if (eventfd_write(server->stop_fd, 1) != 0) {
        base_die("eventfd: %s", strerror(errno));
    }
    MHD_stop_daemon(daemon); /* joins the threads; closes listen_fd */
    close(server->stop_fd);
}

static int run(struct server *server, const sigset_t *signals)
{
    make_dirs(&server->options);
    if (!load_script(server)) {
        return 65;
    }
    pthread_mutex_init(&server->lock, NULL);
    server->token = server->options.token != NULL ? base_copy(server->options.token) : NULL;
    server->store = store_open(&server->options);
    server->journal = journal_open(&server->options, server->store);
    serve(server, signals);
    journal_close(server->journal);
    store_close(server->store);
    script_release(server->script);
    free(server->token);
    pthread_mutex_destroy(&server->lock);
    return 0;
}

int main(int count, char **words)
{
    cJSON_Hooks hooks = {.malloc_fn = need_for_json, .free_fn = free};
    cJSON_InitHooks(&hooks);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    struct server server = {0};
    int result = options_read(&server.options, count, words);
    if (result < 0) {
        result = run(&server, &signals);
    }
    options_free(&server.options);
    return result;
}
