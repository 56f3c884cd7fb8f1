/*
 * The wire: what the uploader's functions do here. One POST goes out, breaks off somewhere or
 * arrives whole, and its end is judged by the uploader's own table (verdict.c). A whole body that
 * has left goes on to Chorus also when the program dies.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/checks.h"
#include "tests/sim/chorus.h"
#include "tests/sim/sim.h"
#include "tests/sim/wire.h"
#include "uploader/uploader.h"

enum { BODY_ROOM = 1 << 16 };

struct upload {
    struct body_source body;
    struct arrival arrival;
    upload_done done;
    void *ctx;
    unsigned life;
    struct exchange exchange;
    struct chorus_answer answer;
    uint64_t left; /* of the body */
    bool waiting;  /* for more of it */
    bool mixed;    /* it holds what was not fingerprinted */
    bool timed_out, over;
};

struct question {
    char target[4096];
    question_done done;
    void *ctx;
    bool aborted;
};

static int token_in_hand;

static bool on(bool fault)
{
    return fault && !sim.faults_are_over;
}

void wire_begin(void)
{
    token_in_hand = 0;
}

int uploader_set_token(struct uploader *uploader, const char *token)
{
    (void)uploader;
    token_in_hand = token != NULL ? atoi(token) : 0;
    return 0;
}

/* --- the end of a POST --- */

static void end(struct upload *upload)
{
    if (upload->over)
        return;
    upload->over = true;
    struct chorus_answer *said = &upload->answer;
    upload->exchange.status = said->status;
    upload->exchange.answer_is_object = said->is_object;
    upload->exchange.answer_is_empty = said->is_empty;
    upload->exchange.answer_says_failure = said->says_failure;
    enum verdict verdict =
        upload->arrival.token == 0 ? VERDICT_TOKEN_REFUSED : verdict_judge(&upload->exchange);
    checks_post_ended(upload->arrival.content, verdict);
    trace_text("wire: ended", verdict_name(verdict));
    trace("wire: ended, content", upload->arrival.content, said->status, verdict);
    struct upload_answer answer = {
        .verdict = verdict,
        .status = said->status,
        .request_left = upload->exchange.request_left,
        .id = verdict == VERDICT_ACCEPTED ? said->id : "",
        .said = "",
        .retry_after_ms = said->status != 0 ? said->retry_after_ms : -1,
        .timed_out = upload->timed_out,
    };
    upload->body.close(upload->body.ctx);
    upload->done(upload->ctx, &answer);
}

static void on_end(void *ctx, int64_t timed_out)
{
    struct upload *upload = ctx;
    if (upload->over)
        return;
    upload->timed_out = timed_out != 0;
    end(upload);
}

/* An answer comes back; the program that asked may be dead by now. */
static void on_answer(void *ctx, const struct chorus_answer *answer)
{
    struct upload *upload = ctx;
    if (upload->life != sim.life || sim.dead || upload->over || answer->lost)
        return;
    upload->answer = *answer;
    upload->exchange.aborted = false;
    sim_in_life(0, on_end, upload, 0);
}

static void on_arrival(void *ctx, int64_t number)
{
    struct upload *upload = ctx;
    (void)number;
    chorus_take(&upload->arrival);
}

/* --- its way out --- */

/* Up to the end of a block; its beginning tells what it holds. */
static ssize_t read_some(struct upload *upload)
{
    int numbers[1024] = {0};
    bool begins = (upload->body.size - upload->left) % BODY_BLOCK_BYTES == 0;
    ssize_t got = upload->body.read(upload->body.ctx, numbers, sizeof numbers);
    if (got <= 0)
        return got < 0 ? got : -ENODATA;
    upload->left -= (uint64_t)got;
    if (begins && (size_t)got >= 2 * sizeof(int)) {
        upload->arrival.content = numbers[0];
        upload->mixed = upload->mixed || numbers[1] != numbers[0];
    }
    return got;
}

static void on_last_part(void *ctx, int64_t number)
{
    struct upload *upload = ctx;
    (void)number;
    if (upload->over)
        return;
    ssize_t got = 1;
    while (upload->left > 0 && got > 0)
        got = read_some(upload);
    if (got == UPLOADER_NOT_YET) {
        upload->waiting = true;
        return;
    }
    if (got < 0) {
        upload->exchange.source_failed = true;
        end(upload);
        return;
    }
    if (upload->mixed)
        violated("a mixture of contents was sent, the first is %d", upload->arrival.content);
    if (upload->body.verify_before_last(upload->body.ctx) != 0) {
        upload->exchange.source_failed = true;
        end(upload);
        return;
    }
    sim_point();
    if (sim.dead)
        return;
    upload->exchange.body_handed_out = true;
    checks_body_left(upload->arrival.content);
    trace("wire: the whole body has left, content", upload->arrival.content, 0, 0);
    upload->arrival.answered = on_answer;
    upload->arrival.ctx = upload;
    sim_at(dice_between(0, on(sim.faults.late_commit) ? 4000 : 50), on_arrival, upload, 0);
    sim_in_life(dice_between(10, 60) * S, on_end, upload, 1);
    sim_point();
}

static void on_request(void *ctx, int64_t number)
{
    struct upload *upload = ctx;
    (void)number;
    if (upload->over)
        return;
    upload->exchange.request_left = true;
    sim.posts++;
    checks_request_left(upload->arrival.content);
    trace("wire: a request has left, content", upload->arrival.content, 0, 0);
    int64_t takes_ms = dice_between(10, dice_one_in(4) ? 30 * S : 2 * S);
    chorus_answer_early(&upload->arrival, &upload->answer);
    if (upload->answer.status != 0) {
        sim_in_life(takes_ms / 2, on_end, upload, 0);
    } else if (on(sim.faults.cut_off) && dice_one_in(5)) {
        sim_in_life(takes_ms / 2, on_end, upload, dice_one_in(3));
    } else {
        sim_in_life(takes_ms, on_last_part, upload, 0);
    }
}

static bool is_missing(const char *text)
{
    return text == NULL || text[0] == '\0';
}

int uploader_send(struct uploader *uploader, const struct upload_job *job, upload_done done,
                  void *ctx, struct upload **out)
{
    (void)uploader;
    struct upload *upload = calloc(1, sizeof *upload);
    if (upload == NULL)
        abort();
    *out = upload;
    *upload = (struct upload){.body = job->body, .done = done, .ctx = ctx, .life = sim.life};
    upload->answer.retry_after_ms = -1;
    sim_point();
    if (sim.dead) {
        upload->body.close(upload->body.ctx);
        upload->over = true;
        return 0;
    }
    if (is_missing(job->name) || is_missing(job->user) || is_missing(job->file_name))
        violated("a POST without a name, an owner or a file name");
    struct arrival *arrival = &upload->arrival;
    upload->left = job->body.size;
    if (read_some(upload) <= 0)
        violated("a body whose first bytes are not there is sent");
    arrival->token = token_in_hand;
    snprintf(arrival->key, FORM_ROOM, "%s", job->meeting_id != NULL ? job->meeting_id : "");
    snprintf(arrival->owner, FORM_ROOM, "%s", job->user);
    snprintf(arrival->name, FORM_ROOM, "%s", job->name);
    trace("wire: POST, content", arrival->content, 0, 0);
    trace_text("wire: POST under", arrival->key);
    checks_post_begins(arrival->content, arrival->key, arrival->owner, arrival->name);
    if (token_in_hand == 0 || (on(sim.faults.unreachable) && dice_one_in(4)))
        sim_in_life(dice_between(0, 3 * S), on_end, upload, 0);
    else
        sim_in_life(dice_between(0, 500), on_request, upload, 0);
    return 0;
}

void uploader_resume(struct upload *upload)
{
    if (!upload->waiting || upload->over)
        return;
    upload->waiting = false;
    sim_in_life(0, on_last_part, upload, 0);
}

uint64_t upload_bytes_sent(const struct upload *upload)
{
    (void)upload;
    return 0;
}

void uploader_abort(struct upload *upload)
{
    if (upload->over)
        return;
    upload->exchange.aborted = true;
    sim_in_life(0, on_end, upload, 0);
}

/* --- questions --- */

static void on_question_over(void *ctx, int64_t number)
{
    struct question *question = ctx;
    static char body[BODY_ROOM];
    (void)number;
    int status =
        question->aborted ? 0 : chorus_get(question->target, token_in_hand, body, sizeof body);
    trace("wire: asked, answered", status, 0, 0);
    trace_text("wire: asked", question->target);
    struct question_answer answer = {.status = status,
                                     .request_left = true,
                                     .body = status != 0 ? body : "",
                                     .body_size = status != 0 ? strlen(body) : 0,
                                     .said = "",
                                     .retry_after_ms = -1,
                                     .date = ""};
    question->done(question->ctx, &answer);
    free(question);
}

int uploader_ask(struct uploader *uploader, const char *method, const char *target, size_t limit,
                 question_done done, void *ctx, struct question **out)
{
    (void)uploader, (void)method, (void)limit;
    struct question *question = calloc(1, sizeof *question);
    if (question == NULL)
        abort();
    snprintf(question->target, sizeof question->target, "%s", target);
    question->done = done;
    question->ctx = ctx;
    *out = question;
    sim_point();
    sim_in_life(dice_between(5, 3000), on_question_over, question, 0);
    return 0;
}

void uploader_ask_abort(struct question *question)
{
    question->aborted = true;
}
