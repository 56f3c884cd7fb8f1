/*
 * One POST of /v3/upload: hands out the file's bytes, keeps the last of them back until they are
 * known to be the right ones, and judges how it ended.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "uploader/answer.h"
#include "uploader/client.h"
#include "uploader/uploader.h"

/* Of an answer so much is kept; Chorus's have a few hundred bytes. */
enum { ANSWER_MAX_BYTES = 1 << 20 };

struct upload {
    struct transfer transfer; /* first: the engine hands this one back */
    struct form form;
    struct body_source body;
    bool body_open;
    uint64_t sent;
    int source_error;
    upload_done done;
    void *ctx;
};

static void close_body(struct upload *upload)
{
    if (upload->body_open) {
        upload->body_open = false;
        upload->body.close(upload->body.ctx);
    }
}

static void free_upload(struct upload *upload)
{
    transfer_deinit(&upload->transfer);
    form_free(&upload->form);
    close_body(upload);
    free(upload);
}

/* ---- the body ---- */

static ssize_t fail_source(struct upload *upload, int error)
{
    upload->source_error = error;
    return error;
}

/* A final status of 300 and above before the end: the rest would be sent for nothing. After an
 * early 2xx it still is, lest Chorus keep a torn recording as a good one. */
static bool is_unwanted(const struct transfer *transfer)
{
    return transfer->stopping || transfer->ended || transfer->status >= 300;
}

ssize_t upload_next_bytes(struct upload *upload, char *buffer, size_t n)
{
    struct transfer *transfer = &upload->transfer;
    uint64_t left = upload->body.size - upload->sent;
    if (is_unwanted(transfer) || upload->source_error != 0)
        return -ECANCELED;
    if (n > left)
        n = (size_t)left; /* libcurl does not clamp to the size it was told */
    if (n == 0)
        return 0;
    n = pace_room(transfer, n);
    if (n == 0) {
        transfer->paused = true;
        return UPLOADER_NOT_YET;
    }
    ssize_t got = upload->body.read(upload->body.ctx, buffer, n);
    if (got == UPLOADER_NOT_YET) {
        transfer->paused = true;
        return got;
    }
    if (got <= 0)
        return fail_source(upload, got < 0 ? (int)got : -ENODATA);
    assert((size_t)got <= n);
    bool last = (uint64_t)got == left;
    int rc = last ? upload->body.verify_before_last(upload->body.ctx) : 0;
    if (rc != 0)
        return fail_source(upload, rc < 0 ? rc : -ESTALE);
    if (transfer->stopping)
        return -ECANCELED; /* aborted from inside read or verify */
    upload->sent += (uint64_t)got;
    transfer->body_out = last;
    pace_spend(transfer, (size_t)got);
    return got;
}

/* ---- the end ---- */

static void say_source(const struct upload *upload, struct line *said)
{
    line_add(said,
             "the file changed or could not be read while it was sent, its end was withheld: ");
    line_add(said, upload->source_error == -ENODATA ? "it is shorter than it was"
                                                    : strerror(-upload->source_error));
}

static enum verdict judge(const struct upload *upload, const struct answer *answer)
{
    const struct transfer *transfer = &upload->transfer;
    bool whole = transfer_is_whole(transfer);
    struct exchange exchange = {
        .request_left = transfer->request_left,
        /* An answer that came before the last part does not speak of it. */
        .body_handed_out = transfer->body_out && !transfer->answered_early,
        .source_failed = upload->source_error != 0,
        .aborted = transfer->aborted,
        .status = transfer->status,
        .answer_is_object = whole && answer->is_object,
        .answer_is_empty = whole && answer->is_empty,
        .answer_says_failure = whole && answer->says_failure,
    };
    if (transfer->easy == NULL)
        return VERDICT_TOKEN_REFUSED;
    return verdict_judge(&exchange);
}

static void finish(struct transfer *transfer)
{
    struct upload *upload = (struct upload *)transfer;
    const struct settings *settings = transfer->settings;
    const char *body = transfer->body != NULL ? transfer->body : "";
    struct answer answer;
    struct line said;
    answer_read(body, transfer->body_size, transfer->content_type,
                (const char *const *)settings->id_fields, settings->id_field_count, &answer);
    /* A torn body's own words count only if they could be read. */
    if (!transfer_is_whole(transfer) && !answer.is_object)
        line_init(&answer.said);
    line_init(&said);
    enum verdict verdict = judge(upload, &answer);
    if (verdict == VERDICT_SOURCE_CHANGED)
        say_source(upload, &said);
    else
        transfer_say(transfer, &answer.said, &said);
    struct upload_answer result = {
        .verdict = verdict,
        .status = transfer->request_left ? transfer->status : 0,
        .request_left = transfer->request_left,
        .id = verdict == VERDICT_ACCEPTED ? answer.id : "",
        .said = said.text,
        .retry_after_ms = transfer_retry_after_ms(transfer),
        .timed_out = transfer->timed_out,
        .bytes_sent = upload->sent,
    };
    close_body(upload);
    upload->done(upload->ctx, &result);
    free_upload(upload);
}

/* ---- the start ---- */

static bool is_plain(const char *text)
{
    for (; text != NULL && *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    }
    return true;
}

static bool is_missing(const char *text)
{
    return text == NULL || text[0] == '\0';
}

static int check_job(const struct upload_job *job)
{
    if (is_missing(job->name) || is_missing(job->user) || is_missing(job->file_name))
        return -EINVAL;
    if (!is_plain(job->name) || !is_plain(job->user) || !is_plain(job->file_name) ||
        !is_plain(job->meeting_id) || !is_plain(job->crm_account_id) ||
        !is_plain(job->crm_opportunity_id))
        return -EINVAL;
    /* An empty recording is never uploaded, and its last part would never be handed out. */
    return job->body.size > 0 && job->body.size <= INT64_MAX ? 0 : -EINVAL;
}

static int start(struct upload *upload, struct uploader *uploader, const struct upload_job *job)
{
    struct transfer *transfer = &upload->transfer;
    int rc = client_is_open(uploader);
    if (rc == 0)
        rc = check_job(job);
    if (rc == 0)
        rc = transfer_init(transfer, uploader, NULL, "/v3/upload", ANSWER_MAX_BYTES);
    if (rc == 0 && transfer->easy != NULL) {
        rc = form_build(&upload->form, transfer->easy, job, upload);
        assert(rc != 0 || is_missing(job->meeting_id) || upload->form.has_key);
    }
    return rc == 0 ? client_start(transfer) : rc;
}

int uploader_send(struct uploader *uploader, const struct upload_job *job, upload_done done,
                  void *ctx, struct upload **out)
{
    struct upload *upload = calloc(1, sizeof(*upload));
    if (upload == NULL) {
        job->body.close(job->body.ctx);
        return -ENOMEM;
    }
    upload->transfer.finish = finish;
    upload->body = job->body;
    upload->body_open = true;
    upload->done = done;
    upload->ctx = ctx;
    int rc = start(upload, uploader, job);
    if (rc != 0) {
        free_upload(upload);
        return rc;
    }
    *out = upload;
    return 0;
}

void uploader_resume(struct upload *upload)
{
    client_resume(&upload->transfer);
}

uint64_t upload_bytes_sent(const struct upload *upload)
{
    return upload->sent;
}

void uploader_abort(struct upload *upload)
{
    if (upload->transfer.ended)
        return;
    upload->transfer.aborted = true;
    client_stop(&upload->transfer);
}
