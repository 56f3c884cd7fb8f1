#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Only to turn a hang into a failure. */
enum { WATCHDOG_MS = 60000 };

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    fprintf(stderr, "the test hangs\n");
    abort();
}

void rig_renew(struct rig *rig)
{
    assert_int_equal(uploader_new(&rig->loop, &rig->options, &rig->uploader), 0);
    assert_int_equal(uploader_set_token(rig->uploader, TOKEN), 0);
    rig->closed = false;
}

void rig_init(struct rig *rig, server_script script, int64_t stall_timeout_ms)
{
    static const char *const fields[] = {"engagement_id", "id", "data.id", "callid"};
    memset(rig, 0, sizeof(*rig));
    rig->server = server_start(script);
    snprintf(rig->url, sizeof(rig->url), "http://127.0.0.1:%d", server_port(rig->server));
    rig->options = (struct uploader_options){
        .url = rig->url,
        .ca_file = "",
        .proxy = "",
        .id_fields = fields,
        .id_field_count = 4,
        .stall_timeout_ms = stall_timeout_ms,
        .user_agent = "test/1",
    };
    assert_int_equal(uv_loop_init(&rig->loop), 0);
    uv_timer_init(&rig->loop, &rig->watchdog);
    uv_timer_start(&rig->watchdog, on_watchdog, WATCHDOG_MS, 0);
    rig_renew(rig);
}

void rig_turn(struct rig *rig)
{
    uv_run(&rig->loop, UV_RUN_ONCE);
}

static void on_closed(void *ctx)
{
    struct rig *rig = ctx;
    rig->closed = true;
}

void rig_close_uploader(struct rig *rig)
{
    uploader_close(rig->uploader, on_closed, rig);
    assert_false(rig->closed);
    while (!rig->closed)
        rig_turn(rig);
}

void rig_finish(struct rig *rig)
{
    if (!rig->closed)
        rig_close_uploader(rig);
    uv_close((uv_handle_t *)&rig->watchdog, NULL);
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&rig->loop), 0);
    server_stop(rig->server);
}

void rig_free(struct rig *rig)
{
    server_free(rig->server);
}

unsigned char attempt_byte(uint64_t at)
{
    return (unsigned char)(at * 131 + at / 251 + 7);
}

static void on_halt_closed(uv_handle_t *handle)
{
    free(handle);
}

static void end_halt(struct attempt *attempt)
{
    if (attempt->halt != NULL)
        uv_close((uv_handle_t *)attempt->halt, on_halt_closed);
    attempt->halt = NULL;
    attempt->halted = false;
}

void attempt_go_on(struct attempt *attempt)
{
    end_halt(attempt);
    uploader_resume(attempt->upload);
}

static void on_halt_over(uv_timer_t *timer)
{
    attempt_go_on(timer->data);
}

/* Every other time it has no bytes yet. */
static bool halts(struct attempt *attempt)
{
    if (!attempt->halting || attempt->halts++ % 2 != 0)
        return false;
    attempt->halted = true;
    if (attempt->halt_ms >= 0) {
        attempt->halt = calloc(1, sizeof(*attempt->halt));
        assert_non_null(attempt->halt);
        uv_timer_init(&attempt->rig->loop, attempt->halt);
        attempt->halt->data = attempt;
        uv_timer_start(attempt->halt, on_halt_over, (uint64_t)attempt->halt_ms, 0);
    }
    return true;
}

static ssize_t on_read(void *ctx, void *buffer, size_t n)
{
    struct attempt *attempt = ctx;
    assert_int_equal(attempt->closes, 0);
    assert_false(attempt->halted);
    if (halts(attempt))
        return UPLOADER_NOT_YET;
    if (attempt->most > 0 && n > attempt->most)
        n = attempt->most;
    if (attempt->fail_at > 0 && attempt->read + n > attempt->fail_at)
        return -EIO;
    uint64_t size = attempt->short_at > 0 ? attempt->short_at : attempt->size;
    if (n > size - attempt->read)
        n = (size_t)(size - attempt->read);
    for (size_t i = 0; i < n; i++)
        ((unsigned char *)buffer)[i] = attempt_byte(attempt->read + i);
    attempt->read += n;
    if (attempt->abort_at > 0 && attempt->read >= attempt->abort_at)
        uploader_abort(attempt->upload);
    return (ssize_t)n;
}

static int on_verify(void *ctx)
{
    struct attempt *attempt = ctx;
    attempt->verified++;
    attempt->read_at_verify = attempt->read;
    assert_true(upload_bytes_sent(attempt->upload) < attempt->size);
    return attempt->verify_result;
}

static void on_close(void *ctx)
{
    struct attempt *attempt = ctx;
    attempt->closes++;
    end_halt(attempt);
}

static void on_done(void *ctx, const struct upload_answer *answer)
{
    struct attempt *attempt = ctx;
    assert_int_equal(attempt->closes, 1);
    assert_null(strpbrk(answer->said, "\r\n"));
    assert_null(strstr(answer->said, TOKEN));
    attempt->answer = *answer;
    snprintf(attempt->id, sizeof(attempt->id), "%s", answer->id);
    snprintf(attempt->said, sizeof(attempt->said), "%s", answer->said);
    attempt->ends++;
    if (attempt->on_done != NULL)
        attempt->on_done(attempt);
}

void attempt_init(struct attempt *attempt, struct rig *rig, uint64_t size)
{
    memset(attempt, 0, sizeof(*attempt));
    attempt->rig = rig;
    attempt->size = size;
    attempt->job = (struct upload_job){
        .name = "Jane 5550100",
        .user = "jane@example.com",
        .meeting_id = "sha256-abc",
        .file_name = "call.wav",
        .body = {size, on_read, on_verify, on_close, attempt},
    };
}

int attempt_start(struct attempt *attempt)
{
    int rc =
        uploader_send(attempt->rig->uploader, &attempt->job, on_done, attempt, &attempt->upload);
    assert_int_equal(attempt->ends, 0); /* never before the call has returned */
    if (rc != 0)
        assert_int_equal(attempt->closes, 1);
    return rc;
}

void attempt_wait(struct attempt *attempt)
{
    while (attempt->ends == 0)
        rig_turn(attempt->rig);
    assert_int_equal(attempt->ends, 1);
    assert_int_equal(attempt->closes, 1);
}

enum verdict attempt_run(struct attempt *attempt)
{
    assert_int_equal(attempt_start(attempt), 0);
    attempt_wait(attempt);
    return attempt->answer.verdict;
}

static void on_answer(void *ctx, const struct question_answer *answer)
{
    struct asked *asked = ctx;
    asked->ends++;
    asked->answer = *answer;
    assert_int_equal(strlen(answer->body), answer->body_size);
    snprintf(asked->body, sizeof(asked->body), "%s", answer->body);
    snprintf(asked->said, sizeof(asked->said), "%s", answer->said);
    snprintf(asked->date, sizeof(asked->date), "%s", answer->date);
}

void ask(struct asked *asked, struct rig *rig, const char *method, const char *target, size_t limit)
{
    memset(asked, 0, sizeof(*asked));
    asked->rig = rig;
    assert_int_equal(
        uploader_ask(rig->uploader, method, target, limit, on_answer, asked, &asked->question), 0);
    assert_int_equal(asked->ends, 0);
}

void ask_wait(struct asked *asked)
{
    while (asked->ends == 0)
        rig_turn(asked->rig);
}

enum verdict play(server_script script, uint64_t size, struct attempt *attempt)
{
    struct rig rig;
    rig_init(&rig, script, 20000);
    attempt_init(attempt, &rig, size);
    attempt_run(attempt);
    rig_finish(&rig);
    assert_int_equal(attempt->ends, 1);
    assert_int_equal(server_heads(rig.server), attempt->answer.request_left ? 1 : 0);
    rig_free(&rig);
    return attempt->answer.verdict;
}
