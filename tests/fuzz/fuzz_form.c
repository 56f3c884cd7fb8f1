/*
 * File names and fields into multipart. The lines of the input are name, user, meeting_id, the two
 * CRM fields and the file's name, the rest is the file; the form is built by form.c and sent by
 * libcurl, into a socket that ends here. What arrives is exactly these parts.
 */
#include <curl/curl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "fuzz.h"
#include "uploader/client.h"
#include "uploader/media_type.h"
#include "uploader/uploader.h"

enum { REQUEST_MOST = 128 << 10 };

/* The uploader's own, which asks a running transfer, is not in this program. */
struct upload {
    const char *bytes;
    size_t left;
};

ssize_t upload_next_bytes(struct upload *upload, char *buffer, size_t n)
{
    if (n > upload->left)
        n = upload->left;
    memcpy(buffer, upload->bytes, n);
    upload->bytes += n;
    upload->left -= n;
    return (ssize_t)n;
}

/* ---- sending ---- */

static char socket_name[40]; /* of Linux's abstract ones: no file */

static int open_listener(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(socket_name, sizeof socket_name, "chorus-fuzz-%ld", (long)getpid());
    memcpy(address.sun_path + 1, socket_name, strlen(socket_name));
    socklen_t length =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(socket_name));
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    MUST(listener >= 0 && bind(listener, (struct sockaddr *)&address, length) == 0);
    MUST(listen(listener, 8) == 0);
    return listener;
}

static void prepare(CURL *easy)
{
    curl_easy_reset(easy);
    curl_easy_setopt(easy, CURLOPT_URL, "http://127.0.0.1/v3/upload");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_ABSTRACT_UNIX_SOCKET, socket_name);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 5000L);
}

/* Carries one request out, in one thread: the request fits into the socket. The other end. */
static int carry_out(CURLM *multi, CURL *easy, int listener)
{
    static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    int end = -1, running = 1, left = 0;
    MUST(curl_multi_add_handle(multi, easy) == CURLM_OK);
    while (running > 0) {
        MUST(curl_multi_perform(multi, &running) == CURLM_OK);
        if (end < 0 && (end = accept(listener, NULL, NULL)) >= 0)
            MUST(write(end, reply, sizeof reply - 1) == (ssize_t)sizeof reply - 1);
    }
    const CURLMsg *message = curl_multi_info_read(multi, &left);
    MUST(end >= 0 && message != NULL && message->data.result == CURLE_OK);
    MUST(curl_multi_remove_handle(multi, easy) == CURLM_OK);
    return end;
}

/* The request as it left; new string of *n bytes. */
static char *send_form(const struct upload_job *job, struct upload *upload, size_t *n)
{
    static CURLM *multi;
    static CURL *easy;
    static int listener = -1;
    struct form form = {0};
    if (easy == NULL) {
        easy = curl_easy_init();
        multi = curl_multi_init();
        listener = open_listener();
    }
    prepare(easy);
    MUST(form_build(&form, easy, job, upload) == 0);
    MUST(form.has_key == (job->meeting_id[0] != '\0'));
    int end = carry_out(multi, easy, listener);
    form_free(&form);
    char *request = mem_zalloc(REQUEST_MOST);
    ssize_t got;
    for (*n = 0; (got = read(end, request + *n, REQUEST_MOST - 1 - *n)) > 0; *n += (size_t)got)
        ;
    close(end);
    return request;
}

/* ---- reading ---- */

struct reader {
    const char *at, *end;
};

static void expect_bytes(struct reader *reader, const char *bytes, size_t n)
{
    MUST((size_t)(reader->end - reader->at) >= n && memcmp(reader->at, bytes, n) == 0);
    reader->at += n;
}

static void expect(struct reader *reader, const char *text)
{
    expect_bytes(reader, text, strlen(text));
}

static void expect_text(struct reader *reader, const char *boundary, const char *name,
                        const char *value)
{
    if (*value == '\0')
        return;
    MUST(strstr(value, boundary) == NULL);
    expect(reader, boundary);
    expect(reader, "\r\nContent-Disposition: form-data; name=\"");
    expect(reader, name);
    expect(reader, "\"\r\n\r\n");
    expect(reader, value);
    expect(reader, "\r\n");
}

/* As browsers write it; before 7.81 libcurl wrote backslashes. */
static void expect_file_name(struct reader *reader, const char *file_name)
{
    bool old = curl_version_info(CURLVERSION_NOW)->version_num < 0x075100;
    for (; *file_name != '\0'; file_name++) {
        if (*file_name == '"')
            expect(reader, old ? "\\\"" : "%22");
        else if (*file_name == '\\')
            expect(reader, old ? "\\\\" : "\\");
        else
            expect_bytes(reader, file_name, 1);
    }
}

static void expect_form(struct reader *reader, const struct upload_job *job, const char *boundary,
                        const char *bytes)
{
    expect_text(reader, boundary, "name", job->name);
    expect_text(reader, boundary, "user", job->user);
    expect_text(reader, boundary, "meeting_id", job->meeting_id);
    if (job->meeting_id[0] != '\0')
        expect_text(reader, boundary, "enforce_unique_meeting_id", "true");
    expect_text(reader, boundary, "crm_account_id", job->crm_account_id);
    expect_text(reader, boundary, "crm_opportunity_id", job->crm_opportunity_id);
    expect(reader, boundary);
    expect(reader, "\r\nContent-Disposition: form-data; name=\"data\"; filename=\"");
    expect_file_name(reader, job->file_name);
    expect(reader, "\"\r\nContent-Type: ");
    expect(reader, media_type(job->file_name));
    expect(reader, "\r\n\r\n");
    expect_bytes(reader, bytes, job->body.size);
    expect(reader, "\r\n");
    expect(reader, boundary);
    expect(reader, "--\r\n");
    MUST(reader->at == reader->end);
}

static void look_at_request(const char *request, size_t n, const struct upload_job *job,
                            const char *bytes)
{
    static const char field[] = "boundary=";
    const char *head_end = memmem(request, n, "\r\n\r\n", 4);
    MUST(head_end != NULL);
    const char *begin = memmem(request, (size_t)(head_end - request), field, sizeof field - 1);
    MUST(begin != NULL);
    begin += sizeof field - 1;
    char *boundary = mem_printf("--%.*s", (int)strcspn(begin, "\r\n;"), begin);
    struct reader reader = {head_end + 4, request + n};
    expect_form(&reader, job, boundary, bytes);
    free(boundary);
}

/* What the uploader takes as it is: no control characters; else as the agent would write it. */
static char *take_field(struct fuzz_input *input)
{
    char *line = fuzz_line(input);
    for (const char *at = line; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f) {
            mem_replace(&line, bytes_escape(line));
            break;
        }
    }
    return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input input = {data, n};
    char *fields[6];
    for (size_t i = 0; i < 6; i++)
        fields[i] = take_field(&input);
    if (input.n > 0 && fields[5][0] != '\0') {
        size_t size, sent;
        char *bytes = fuzz_rest(&input, &size);
        struct upload upload = {bytes, size};
        struct upload_job job = {.name = fields[0],
                                 .user = fields[1],
                                 .meeting_id = fields[2],
                                 .crm_account_id = fields[3],
                                 .crm_opportunity_id = fields[4],
                                 .file_name = fields[5],
                                 .body = {.size = size}};
        char *request = send_form(&job, &upload, &sent);
        look_at_request(request, sent, &job, bytes);
        free(request);
        free(bytes);
    }
    for (size_t i = 0; i < 6; i++)
        free(fields[i]);
    return 0;
}
