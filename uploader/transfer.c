/*
 * One exchange under libcurl: its settings, the guard that lets one request pass and no second, and
 * words for how it broke.
 */
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "uploader/client.h"
#include "uploader/retry_after.h"

/* Without it (before 7.80.0) each exchange takes a fresh connection, which libcurl never repeats.
 */
#if LIBCURL_VERSION_NUM >= 0x075000 && !defined(CHORUS_WITHOUT_PREREQ)
#define HAVE_PREREQ 1
#else
#define HAVE_PREREQ 0
#endif

/* Idle seconds after which a connection is not used again. Above the server's idle timeout (60 s
 * with common balancers, 75 s with nginx) attempts meet connections that are just being closed, and
 * are lost; far below it every upload of a quiet site pays for a new handshake. */
static const long CONNECTION_MAX_IDLE_S = 45;

/* Bytes that libcurl asks for at once: throughput is flat from 256 KiB on; more is memory per
 * transfer, and a longer blocking read of the loop. */
static const long UPLOAD_BUFFER_BYTES = 256 << 10;

static const long CONNECT_MAX_MS = 30000;
#if HAVE_PREREQ
static int on_request(void *ctx, char *remote, char *local, int remote_port, int local_port)
{
    struct transfer *transfer = ctx;
    (void)remote, (void)local, (void)remote_port, (void)local_port;
    if (transfer->request_left || transfer->stopping)
        return CURL_PREREQFUNC_ABORT;
    transfer->request_left = true;
    return CURL_PREREQFUNC_OK;
}
#endif

static curl_socket_t on_open(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    const struct transfer *transfer = ctx;
    (void)purpose;
    if (transfer->request_left)
        return CURL_SOCKET_BAD; /* only a repetition could use it */
    int made = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (made >= 0)
        pace_new_socket(transfer->uploader, made);
    return made;
}

/* Sets an option unless an earlier one failed. */
#define SET(option, value)                                                                         \
    do {                                                                                           \
        if (code == CURLE_OK)                                                                      \
            code = curl_easy_setopt(easy, option, value);                                          \
    } while (0)

/* One header block per exchange, and what tells us how far it came. */
static CURLcode set_guard(CURL *easy, struct transfer *transfer)
{
    CURLcode code = CURLE_OK;
#if HAVE_PREREQ
    SET(CURLOPT_PREREQFUNCTION, on_request);
    SET(CURLOPT_PREREQDATA, transfer);
#else
    SET(CURLOPT_FRESH_CONNECT, 1L);
    SET(CURLOPT_FORBID_REUSE, 1L);
#endif
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
    SET(CURLOPT_OPENSOCKETDATA, transfer);
    SET(CURLOPT_HEADERFUNCTION, receive_head);
    SET(CURLOPT_HEADERDATA, transfer);
    SET(CURLOPT_WRITEFUNCTION, receive_body);
    SET(CURLOPT_WRITEDATA, transfer);
    SET(CURLOPT_ERRORBUFFER, transfer->error);
    SET(CURLOPT_PRIVATE, transfer);
    return code;
}

static CURLcode set_http(CURL *easy, const struct transfer *transfer)
{
    CURLcode code = CURLE_OK;
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER_BYTES);
    SET(CURLOPT_HTTPHEADER, transfer->headers);
    SET(CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE); /* the token is not for a proxy */
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    if (transfer->settings->user_agent[0] != '\0')
        SET(CURLOPT_USERAGENT, transfer->settings->user_agent);
    return code;
}

static CURLcode set_network(CURL *easy, const struct settings *settings)
{
    CURLcode code = CURLE_OK;
    long connect_ms = settings->stall_timeout_ms < CONNECT_MAX_MS ? (long)settings->stall_timeout_ms
                                                                  : CONNECT_MAX_MS;
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_TCP_KEEPIDLE, 30L);
    SET(CURLOPT_TCP_KEEPINTVL, 10L);
    SET(CURLOPT_MAXAGE_CONN, CONNECTION_MAX_IDLE_S);
    if (settings->proxy[0] != '\0')
        SET(CURLOPT_PROXY, settings->proxy);
    /* Always a tunnel, else a plain http request would show a proxy the token; and the proxy's own
     * answers are not Chorus's. */
    SET(CURLOPT_HTTPPROXYTUNNEL, 1L);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    return code;
}

static CURLcode set_certificates(CURL *easy, const struct settings *settings)
{
    CURLcode code = CURLE_OK;
    if (settings->ca_text == NULL)
        return code;
#if LIBCURL_VERSION_NUM >= 0x074d00
    /* Copied: a kept connection compares it after these settings are gone. */
    struct curl_blob blob = {settings->ca_text, settings->ca_size, CURL_BLOB_COPY};
    SET(CURLOPT_CAINFO_BLOB, &blob);
    SET(CURLOPT_PROXY_CAINFO_BLOB, &blob);
#else
    SET(CURLOPT_CAINFO, settings->ca_file); /* instead of the system's */
    SET(CURLOPT_PROXY_CAINFO, settings->ca_file);
#endif
    return code;
}

static CURLcode set_tls(CURL *easy, const struct settings *settings)
{
    CURLcode code = CURLE_OK;
#if LIBCURL_VERSION_NUM >= 0x075500
    SET(CURLOPT_PROTOCOLS_STR, settings->https ? "https" : "http");
    SET(CURLOPT_REDIR_PROTOCOLS_STR, "https");
#else
    SET(CURLOPT_PROTOCOLS, settings->https ? (long)CURLPROTO_HTTPS : (long)CURLPROTO_HTTP);
    SET(CURLOPT_REDIR_PROTOCOLS, (long)CURLPROTO_HTTPS);
#endif
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_PROXY_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_PROXY_SSL_VERIFYHOST, 2L);
    return code == CURLE_OK ? set_certificates(easy, settings) : code;
}

static int error_of(CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_OUT_OF_MEMORY:
        return -ENOMEM;
    case CURLE_UNKNOWN_OPTION:
    case CURLE_NOT_BUILT_IN:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return -ENOSYS;
    default:
        return -EINVAL;
    }
}

static int append_header(struct transfer *transfer, const char *line)
{
    struct curl_slist *longer = curl_slist_append(transfer->headers, line);
    if (longer == NULL)
        return -ENOMEM;
    transfer->headers = longer;
    return 0;
}

/* The token's line comes first, so that it is found again to be wiped. */
static int make_headers(struct transfer *transfer)
{
    const char *token = transfer->uploader->token.text;
    size_t size = strlen(token) + sizeof("Authorization: Bearer ");
    char *line = malloc(size);
    if (line == NULL)
        return -ENOMEM;
    snprintf(line, size, "Authorization: %s%s", transfer->settings->bearer ? "Bearer " : "", token);
    int rc = append_header(transfer, line);
    explicit_bzero(line, size);
    free(line);
    if (rc != 0)
        return rc;
    transfer->token_line = transfer->headers->data;
    return append_header(transfer, "Expect:"); /* a 417 would bring a second header block */
}

static int set_target(CURL *easy, const struct settings *settings, const char *method,
                      const char *target)
{
    CURLcode code = CURLE_OK;
    size_t size = strlen(settings->url) + strlen(target) + 1;
    char *url = malloc(size);
    if (url == NULL)
        return -ENOMEM;
    snprintf(url, size, "%s%s", settings->url, target);
    SET(CURLOPT_URL, url);
    if (method != NULL)
        SET(CURLOPT_CUSTOMREQUEST, method);
    free(url);
    return error_of(code);
}

int transfer_init(struct transfer *transfer, struct uploader *uploader, const char *method,
                  const char *target, size_t body_limit)
{
    transfer->uploader = uploader;
    transfer->settings = settings_share(uploader->settings);
    transfer->socket = -1;
    transfer->body_limit = body_limit;
    if (uploader->token.text == NULL)
        return 0;
    CURL *easy = transfer->easy = curl_easy_init();
    if (easy == NULL)
        return -ENOMEM;
    int rc = make_headers(transfer);
    if (rc != 0)
        return rc;
    CURLcode code = set_guard(easy, transfer);
    if (code == CURLE_OK)
        code = set_http(easy, transfer);
    if (code == CURLE_OK)
        code = set_network(easy, transfer->settings);
    if (code == CURLE_OK)
        code = set_tls(easy, transfer->settings);
    return code == CURLE_OK ? set_target(easy, transfer->settings, method, target) : error_of(code);
}

void transfer_deinit(struct transfer *transfer)
{
    if (transfer->easy != NULL)
        curl_easy_cleanup(transfer->easy);
    if (transfer->token_line != NULL)
        explicit_bzero(transfer->token_line, strlen(transfer->token_line));
    curl_slist_free_all(transfer->headers);
    free(transfer->body);
    settings_drop(transfer->settings);
}

void transfer_note_request(struct transfer *transfer)
{
#if HAVE_PREREQ
    (void)transfer;
#else
    long size = 0; /* of requests, a proxy's CONNECT included: rather one too many */
    if (curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &size) != CURLE_OK || size > 0)
        transfer->request_left = true;
#endif
}

bool transfer_is_whole(const struct transfer *transfer)
{
    /* A connection that ends amid the head is a good answer without a body to libcurl: hence
     * in_head. */
    return transfer->status > 0 && !transfer->in_head && transfer->result == CURLE_OK &&
           !transfer->stopping && !transfer->body_cut;
}

/* What a person can do about a connection that never came to be. */
static const char *hint_of(int code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return "; is the name right, and is DNS up?";
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_RECV_ERROR:
    case CURLE_PROXY:
        return "; is the proxy right?";
    case CURLE_PEER_FAILED_VERIFICATION:
        return "; is a proxy looking into TLS, and does ca_file hold its certificate?";
    case CURLE_SSL_CACERT_BADFILE:
        return "; is ca_file a file of PEM certificates?";
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
        return "; is the network up, and is the way there open?";
    default:
        return "";
    }
}

static const char *stage_of(const struct transfer *transfer)
{
    if (!transfer->request_left)
        return "could not connect to ";
    if (transfer->status > 0)
        return "the answer broke off, from ";
    return transfer->body_out ? "no answer came from " : "the connection broke while sending to ";
}

void transfer_explain(const struct transfer *transfer, struct line *said)
{
    char stalled[64];
    const char *why = transfer->error[0] != '\0' ? transfer->error
                                                 : curl_easy_strerror((CURLcode)transfer->result);
    if (transfer->result == CURLE_OK && !transfer->stopping) {
        if (transfer->body_cut)
            line_add(said, "the answer is too large");
        else if (transfer->in_head)
            line_add(said, "the answer broke off in its head");
        return;
    }
    if (transfer->aborted)
        why = "ended by us";
    else if (transfer->out_of_memory)
        why = "out of memory";
    else if (transfer->timed_out && transfer->stopping) {
        snprintf(stalled, sizeof(stalled), "nothing, or almost nothing, moved for %lld ms",
                 (long long)transfer->settings->stall_timeout_ms);
        why = stalled;
    }
    line_add(said, stage_of(transfer));
    line_add(said, transfer->settings->origin);
    line_add(said, ": ");
    line_add(said, why);
    if (!transfer->request_left && !transfer->stopping)
        line_add(said, hint_of(transfer->result));
}

void transfer_say(const struct transfer *transfer, const struct line *answered, struct line *said)
{
    if (answered->used > 0)
        line_add(said, answered->text);
    else if (transfer->easy == NULL)
        line_add(said, "there is no token");
    else if (transfer->status >= 300 && transfer->status < 400)
        line_add(said, "answered with a redirect, which is never followed; is chorus.url right?");
    else
        transfer_explain(transfer, said);
    if (transfer->token_line != NULL)
        line_hide(said, strrchr(transfer->token_line, ' ') + 1);
}

int64_t transfer_retry_after_ms(const struct transfer *transfer)
{
    int64_t now_s = (int64_t)time(NULL);
    (void)http_date_read(transfer->date, &now_s); /* its clock, not ours, wrote the other date */
    return transfer->retry_after[0] == '\0' ? -1 : retry_after_ms(transfer->retry_after, now_s);
}

int64_t transfer_sent(const struct transfer *transfer)
{
    curl_off_t sent = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    return sent;
}

const char *transfer_system_ca(void)
{
    return curl_version_info(CURLVERSION_NOW)->cainfo;
}
