/*
 * A GET or DELETE: Chorus's answer as it came, bounded.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "uploader/answer.h"
#include "uploader/client.h"
#include "uploader/uploader.h"

struct question {
    struct transfer transfer; /* first: the engine hands this one back */
    question_done done;
    void *ctx;
};

static void finish(struct transfer *transfer)
{
    struct question *question = (struct question *)transfer;
    int status = transfer->request_left && !transfer->aborted ? transfer->status : 0;
    const char *body = transfer->body != NULL && status > 0 ? transfer->body : "";
    size_t body_size = status > 0 ? transfer->body_size : 0;
    struct answer answer = {0};
    struct line said;
    line_init(&said);
    if (status >= 400)
        answer_read(body, body_size, transfer->content_type, NULL, 0, &answer);
    transfer_say(transfer, &answer.said, &said);
    struct question_answer result = {
        .status = status,
        .request_left = transfer->request_left,
        .body = body,
        .body_size = body_size,
        .truncated = status > 0 && !transfer_is_whole(transfer),
        .said = said.text,
        .retry_after_ms = status > 0 ? transfer_retry_after_ms(transfer) : -1,
        .date = status > 0 ? transfer->date : "",
    };
    question->done(question->ctx, &result);
    transfer_deinit(transfer);
    free(question);
}

static bool is_target(const char *target)
{
    if (target[0] != '/')
        return false;
    for (; *target != '\0'; target++) {
        if (*target < 0x21 || *target > 0x7e || *target == '#')
            return false;
    }
    return true;
}

int uploader_ask(struct uploader *uploader, const char *method, const char *target, size_t limit,
                 question_done done, void *ctx, struct question **out)
{
    bool is_get = strcmp(method, "GET") == 0;
    if ((!is_get && strcmp(method, "DELETE") != 0) || !is_target(target))
        return -EINVAL;
    int rc = client_is_open(uploader);
    if (rc != 0)
        return rc;
    struct question *question = calloc(1, sizeof(*question));
    if (question == NULL)
        return -ENOMEM;
    question->transfer.finish = finish;
    question->transfer.body_out = true;
    question->done = done;
    question->ctx = ctx;
    rc = transfer_init(&question->transfer, uploader, is_get ? NULL : method, target, limit);
    if (rc == 0)
        rc = client_start(&question->transfer);
    if (rc != 0) {
        transfer_deinit(&question->transfer);
        free(question);
        return rc;
    }
    *out = question;
    return 0;
}

void uploader_ask_abort(struct question *question)
{
    if (question->transfer.ended)
        return;
    question->transfer.aborted = true;
    client_stop(&question->transfer);
}
