/* Servers and networks that misbehave: nothing is ever sent twice, and no doubt is taken for an
 * answer. */
#include "rig.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SMALL = 3000, LARGE = 8 << 20, HUGE = 64 << 20 /* more than sockets buffer */ };

static const char ok[] = "{\"id\":\"1\"}";

/* ---- scripts ---- */

static void resets_at_once(struct server *server, int fd)
{
    (void)server;
    server_reset(fd);
}

static void resets_after_head(struct server *server, int fd)
{
    server_head(server, fd);
    server_reset(fd);
}

static void resets_in_body(struct server *server, int fd)
{
    if (server_head(server, fd))
        server_body(server, fd, LARGE / 2);
    server_reset(fd);
}

static void resets_after_body(struct server *server, int fd)
{
    server_request(server, fd);
    server_reset(fd);
}

static void closes_after_body(struct server *server, int fd)
{
    server_request(server, fd);
}

static void never_answers(struct server *server, int fd)
{
    server_request(server, fd);
    server_wait_for_end(fd);
}

/* Leaves the body unread; the client's end does not show before that, so the test tells when. */
static atomic_bool gave_up;

static void never_reads(struct server *server, int fd)
{
    server_head(server, fd);
    while (!gave_up)
        usleep(1000);
}

static void refuses_early_401(struct server *server, int fd)
{
    if (server_head(server, fd))
        server_answer(fd, 401, "", "{\"error\":\"early\"}");
    server_wait_for_end(fd);
}

static void refuses_early_413_and_closes(struct server *server, int fd)
{
    if (server_head(server, fd))
        server_answer(fd, 413, "Connection: close\r\n", "{\"error\":\"early\"}");
    server_wait_for_end(fd);
}

static void fails_early_503(struct server *server, int fd)
{
    if (server_head(server, fd))
        server_answer(fd, 503, "Connection: close\r\n", "");
    server_wait_for_end(fd);
}

static void accepts_early(struct server *server, int fd)
{
    if (!server_head(server, fd))
        return;
    server_answer(fd, 200, "", ok);
    server_body(server, fd, (size_t)-1);
    server_wait_for_end(fd);
}

static void says_continue(struct server *server, int fd)
{
    if (!server_head(server, fd))
        return;
    server_say(fd, "HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 103 Hints\r\n\r\n");
    server_body(server, fd, (size_t)-1);
    server_answer(fd, 200, "", ok);
}

static void says_continue_and_closes(struct server *server, int fd)
{
    if (!server_head(server, fd))
        return;
    server_say(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    server_body(server, fd, (size_t)-1);
}

static void answers_garbage(struct server *server, int fd)
{
    if (server_request(server, fd))
        server_say(fd, "\x16\x03 200 nonsense\r\n\r\n");
}

static void cuts_success(struct server *server, int fd)
{
    if (server_request(server, fd))
        server_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":\"1\"}");
}

static void cuts_before_the_body(struct server *server, int fd)
{
    if (server_request(server, fd))
        server_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
}

static void cuts_the_head(struct server *server, int fd)
{
    if (server_request(server, fd))
        server_say(fd, "HTTP/1.1 200 OK\r\nContent-Le");
}

static void cuts_refusal(struct server *server, int fd)
{
    if (server_request(server, fd))
        server_say(fd, "HTTP/1.1 422 No\r\nContent-Length: 100\r\n\r\n{\"err");
}

static void never_ends_its_chunks(struct server *server, int fd)
{
    if (server_request(server, fd))
        server_say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n");
    server_wait_for_end(fd);
}

static void bears_lying_trailers(struct server *server, int fd)
{
    if (server_request(server, fd))
        server_say(
            fd, "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\nRetry-After: 5\r\n\r\n2\r\n{}\r\n"
                "0\r\nHTTP/1.1 200 OK: x\r\nRetry-After: 9\r\n\r\n");
}

static void answers_slowly(struct server *server, int fd)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{\"id\":\"1\"}";
    if (!server_request(server, fd))
        return;
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        char one[2] = {text[i], '\0'};
        server_say(fd, one);
        usleep(10000);
    }
}

static void trickles_for_ever(struct server *server, int fd)
{
    if (server_request(server, fd))
        server_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    for (int i = 0; i < 1000 && send(fd, " ", 1, MSG_NOSIGNAL) == 1; i++)
        usleep(10000);
}

static void answers_at_length(int fd, size_t size)
{
    char block[65537];
    memset(block, ' ', sizeof(block) - 1);
    block[sizeof(block) - 1] = '\0';
    for (size_t sent = 0; sent < size; sent += sizeof(block) - 1)
        server_say(fd, block);
}

static void answers_two_megabytes(struct server *server, int fd)
{
    while (server_request(server, fd)) {
        server_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2097154\r\n\r\n{}");
        answers_at_length(fd, 2 << 20);
    }
}

static atomic_bool cut_short;

static void refuses_without_end(struct server *server, int fd)
{
    if (server_request(server, fd))
        server_say(fd, "HTTP/1.1 400 No\r\n\r\n");
    answers_at_length(fd, 64 << 20);
    cut_short = send(fd, "", 1, MSG_NOSIGNAL) < 0;
}

/* Both would be fine answers but for their length. */
static void sends_many_headers(struct server *server, int fd)
{
    if (server_request(server, fd))
        server_say(fd, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 3000; i++)
        server_say(fd, "X-Filler: 0123456789abcdef\r\n");
    server_say(fd, "Content-Length: 2\r\n\r\n{}");
}

static void sends_many_continues(struct server *server, int fd)
{
    (void)server_request(server, fd);
    for (int i = 0; i < 3000; i++)
        server_say(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    server_answer(fd, 200, "", ok);
}

/* ---- one attempt each ---- */

struct expectation {
    server_script script;
    uint64_t size;
    enum verdict verdict;
    int status;
    const char *said; /* in it */
};

static void each(const struct expectation *cases, size_t n)
{
    struct attempt attempt;
    for (size_t i = 0; i < n; i++) {
        enum verdict is = play(cases[i].script, cases[i].size, &attempt);
        if (is != cases[i].verdict || attempt.answer.status != cases[i].status ||
            strstr(attempt.said, cases[i].said) == NULL)
            fail_msg("case %zu: %s, %d, \"%s\"", i, verdict_name(is), attempt.answer.status,
                     attempt.said);
    }
}

#define EACH(cases) each(cases, sizeof(cases) / sizeof((cases)[0]))

static void broken_connections(void **state)
{
    static const struct expectation cases[] = {
        {resets_after_head, LARGE, VERDICT_INTERRUPTED, 0, "broke while sending to 127.0.0.1:"},
        {resets_in_body, LARGE, VERDICT_INTERRUPTED, 0, "broke while sending to 127.0.0.1:"},
        {resets_after_body, LARGE, VERDICT_UNCERTAIN, 0, "no answer came from 127.0.0.1:"},
        {resets_after_body, SMALL, VERDICT_UNCERTAIN, 0, "no answer came from 127.0.0.1:"},
        {closes_after_body, SMALL, VERDICT_UNCERTAIN, 0, "no answer came from 127.0.0.1:"},
        {says_continue_and_closes, SMALL, VERDICT_UNCERTAIN, 0, "no answer"},
    };
    (void)state;
    EACH(cases);
}

static void early_answers(void **state)
{
    static const struct expectation cases[] = {
        {refuses_early_401, HUGE, VERDICT_TOKEN_REFUSED, 401, "early"},
        {refuses_early_413_and_closes, HUGE, VERDICT_REFUSED, 413, "early"},
        {fails_early_503, HUGE, VERDICT_INTERRUPTED, 503, ""},
        {accepts_early, LARGE, VERDICT_UNCERTAIN, 200, ""},
    };
    struct attempt attempt;
    (void)state;
    EACH(cases);
    /* The uplink is for calls: what nobody wants is not sent to its end. */
    for (int i = 0; i < 3; i++) {
        play(cases[i].script, cases[i].size, &attempt);
        assert_true(attempt.answer.bytes_sent < cases[i].size);
    }
}

static void odd_answers(void **state)
{
    static const struct expectation cases[] = {
        {says_continue, LARGE, VERDICT_ACCEPTED, 200, ""},
        {answers_garbage, SMALL, VERDICT_UNCERTAIN, 0, "no answer came from"},
        {cuts_success, SMALL, VERDICT_UNCERTAIN, 200, ""},
        {cuts_before_the_body, SMALL, VERDICT_UNCERTAIN, 200, "the answer broke off"},
        {cuts_the_head, SMALL, VERDICT_UNCERTAIN, 200, "broke off in its head"},
        {cuts_refusal, SMALL, VERDICT_REFUSED, 422, "the answer broke off"},
        {bears_lying_trailers, SMALL, VERDICT_UNCERTAIN, 503, ""},
    };
    (void)state;
    EACH(cases);
}

static void too_much(void **state)
{
    static const struct expectation cases[] = {
        {answers_two_megabytes, SMALL, VERDICT_UNCERTAIN, 200, "too large"},
        {refuses_without_end, SMALL, VERDICT_REFUSED, 400, ""},
        {sends_many_headers, SMALL, VERDICT_UNCERTAIN, 200, ""},
        {sends_many_continues, SMALL, VERDICT_UNCERTAIN, 0, ""},
    };
    (void)state;
    EACH(cases);
    assert_true(cut_short);
}

/* ---- time ---- */

static void played_with_stall(server_script script, uint64_t size, int64_t stall_ms,
                              struct attempt *attempt)
{
    struct rig rig;
    rig_init(&rig, script, stall_ms);
    attempt_init(attempt, &rig, size);
    gave_up = false;
    attempt_run(attempt);
    gave_up = true;
    rig_finish(&rig);
    assert_int_equal(server_heads(rig.server), 1);
    rig_free(&rig);
}

static void stalls(void **state)
{
    struct attempt attempt;
    (void)state;
    played_with_stall(never_answers, SMALL, 100, &attempt);
    assert_verdict(attempt.answer.verdict, VERDICT_UNCERTAIN);
    assert_true(attempt.answer.timed_out);
    assert_non_null(strstr(attempt.said, "no answer came from"));
    played_with_stall(never_reads, 64 << 20, 100, &attempt);
    assert_verdict(attempt.answer.verdict, VERDICT_INTERRUPTED);
    assert_true(attempt.answer.timed_out);
    played_with_stall(never_ends_its_chunks, SMALL, 100, &attempt);
    assert_verdict(attempt.answer.verdict, VERDICT_UNCERTAIN);
    assert_true(attempt.answer.timed_out);
}

static void slow_is_no_stall(void **state)
{
    struct attempt attempt;
    (void)state;
    played_with_stall(answers_slowly, SMALL, 300, &attempt);
    assert_verdict(attempt.answer.verdict, VERDICT_ACCEPTED);
    assert_false(attempt.answer.timed_out);
}

static void a_trickle_is(void **state)
{
    struct attempt attempt;
    (void)state;
    played_with_stall(trickles_for_ever, SMALL, 60, &attempt);
    assert_verdict(attempt.answer.verdict, VERDICT_UNCERTAIN);
    assert_int_equal(attempt.answer.status, 200);
    assert_true(attempt.answer.timed_out);
}

/* ---- the source ---- */

/* Nothing that could be taken for a whole form: no closing boundary, and not as long as was said.
 */
static void assert_no_whole_body(struct server *server)
{
    assert_int_equal(server_bodies(server), 0);
    assert_int_equal(server_heads(server), 1);
    const char *boundary = strstr(server_last_head(server), "boundary=");
    assert_non_null(boundary);
    char closing[128];
    boundary += strlen("boundary=");
    snprintf(closing, sizeof(closing), "--%.*s--", (int)strcspn(boundary, "\r\n"), boundary);
    assert_false(server_saw(server, closing));
}

static void source_fails(struct attempt *attempt, struct rig *rig)
{
    assert_verdict(attempt_run(attempt), VERDICT_SOURCE_CHANGED);
    assert_true(attempt->answer.bytes_sent < attempt->size);
    rig_finish(rig);
    assert_no_whole_body(rig->server);
    rig_free(rig);
}

static void the_end_is_withheld(void **state)
{
    struct rig rig;
    struct attempt attempt;
    static const uint64_t sizes[] = {1, SMALL, 256 << 10, LARGE};
    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        rig_init(&rig, closes_after_body, 20000);
        attempt_init(&attempt, &rig, sizes[i]);
        attempt.verify_result = -ESTALE;
        source_fails(&attempt, &rig);
        assert_int_equal(attempt.verified, 1);
    }
}

static void the_file_breaks(void **state)
{
    struct rig rig;
    struct attempt attempt;
    (void)state;
    rig_init(&rig, closes_after_body, 20000);
    attempt_init(&attempt, &rig, LARGE);
    attempt.fail_at = LARGE / 2;
    source_fails(&attempt, &rig);
    assert_non_null(strstr(attempt.said, strerror(EIO)));
    assert_int_equal(attempt.verified, 0);
    rig_init(&rig, closes_after_body, 20000);
    attempt_init(&attempt, &rig, LARGE);
    attempt.short_at = LARGE - 1;
    source_fails(&attempt, &rig);
    assert_non_null(strstr(attempt.said, "shorter"));
    assert_int_equal(attempt.verified, 0);
}

/* ---- aborts ---- */

static void abort_at_once(void **state)
{
    struct rig rig;
    struct attempt attempt;
    (void)state;
    rig_init(&rig, closes_after_body, 20000);
    attempt_init(&attempt, &rig, LARGE);
    assert_int_equal(attempt_start(&attempt), 0);
    uploader_abort(attempt.upload);
    uploader_abort(attempt.upload);
    assert_int_equal(attempt.ends, 0);
    attempt_wait(&attempt);
    assert_verdict(attempt.answer.verdict, VERDICT_ABORTED);
    rig_finish(&rig);
    assert_int_equal(server_heads(rig.server), 0);
    rig_free(&rig);
}

static void abort_from_inside_read(void **state)
{
    struct rig rig;
    struct attempt attempt;
    static const uint64_t at[] = {1, LARGE / 2, LARGE};
    (void)state;
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        rig_init(&rig, closes_after_body, 20000);
        attempt_init(&attempt, &rig, LARGE);
        attempt.abort_at = at[i];
        assert_verdict(attempt_run(&attempt), VERDICT_ABORTED);
        rig_finish(&rig);
        assert_no_whole_body(rig.server);
        rig_free(&rig);
    }
}

static void abort_after_the_end(void **state)
{
    struct rig rig;
    struct attempt attempt;
    (void)state;
    rig_init(&rig, never_answers, 20000);
    attempt_init(&attempt, &rig, SMALL);
    assert_int_equal(attempt_start(&attempt), 0);
    while (upload_bytes_sent(attempt.upload) < SMALL)
        rig_turn(&rig);
    uploader_abort(attempt.upload);
    attempt_wait(&attempt);
    assert_verdict(attempt.answer.verdict, VERDICT_UNCERTAIN);
    rig_finish(&rig);
    rig_free(&rig);
}

static void close_in_flight(void **state)
{
    struct rig rig;
    struct attempt attempts[3];
    struct asked asked;
    (void)state;
    rig_init(&rig, never_answers, 20000);
    for (int i = 0; i < 3; i++) {
        attempt_init(&attempts[i], &rig, LARGE);
        assert_int_equal(attempt_start(&attempts[i]), 0);
    }
    ask(&asked, &rig, "GET", "/", 10);
    while (upload_bytes_sent(attempts[0].upload) == 0)
        rig_turn(&rig);
    rig_close_uploader(&rig);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(attempts[i].ends, 1);
        assert_int_equal(attempts[i].closes, 1);
        assert_false(attempts[i].answer.timed_out);
    }
    assert_int_equal(asked.ends, 1);
    assert_int_equal(asked.answer.status, 0);
    rig_finish(&rig);
    rig_free(&rig);
}

static void on_closed(void *ctx)
{
    struct rig *rig = ctx;
    rig->closed = true;
}

static void close_then_send(struct attempt *attempt)
{
    struct attempt late;
    uploader_close(attempt->rig->uploader, on_closed, attempt->rig);
    attempt_init(&late, attempt->rig, SMALL);
    assert_int_equal(attempt_start(&late), -ECANCELED);
}

static void close_from_inside_done(void **state)
{
    struct rig rig;
    struct attempt attempt;
    (void)state;
    rig_init(&rig, closes_after_body, 20000);
    attempt_init(&attempt, &rig, SMALL);
    attempt.on_done = close_then_send;
    attempt_run(&attempt);
    while (!rig.closed)
        rig_turn(&rig);
    rig_finish(&rig);
    rig_free(&rig);
}

/* ---- other hosts ---- */

static struct server *elsewhere;

static void redirects(struct server *server, int fd)
{
    char fields[128];
    snprintf(fields, sizeof(fields), "Location: http://127.0.0.1:%d/v3/upload\r\n",
             server_port(elsewhere));
    for (int i = 0; server_request(server, fd); i++)
        server_answer(fd, i == 0 ? 307 : 302, fields, "");
}

static void redirects_are_not_followed(void **state)
{
    struct rig rig;
    struct attempt attempt;
    struct asked asked;
    (void)state;
    elsewhere = server_start(never_answers);
    rig_init(&rig, redirects, 20000);
    attempt_init(&attempt, &rig, SMALL);
    assert_verdict(attempt_run(&attempt), VERDICT_UNCERTAIN);
    assert_int_equal(attempt.answer.status, 307);
    assert_non_null(strstr(attempt.said, "redirect"));
    ask(&asked, &rig, "DELETE", "/x", 10);
    ask_wait(&asked);
    assert_true(asked.answer.status / 100 == 3);
    rig_finish(&rig);
    server_stop(elsewhere);
    assert_int_equal(server_connections(elsewhere), 0);
    assert_int_equal(server_heads(rig.server), 2);
    server_free(elsewhere);
    rig_free(&rig);
}

static void nobody_listens(void **state)
{
    struct rig rig;
    struct attempt attempt;
    (void)state;
    rig_init(&rig, closes_after_body, 20000);
    server_stop(rig.server);
    attempt_init(&attempt, &rig, SMALL);
    assert_verdict(attempt_run(&attempt), VERDICT_UNREACHABLE);
    assert_false(attempt.answer.request_left);
    assert_non_null(strstr(attempt.said, "could not connect to 127.0.0.1:"));
    assert_non_null(strstr(attempt.said, "is the network up"));
    assert_int_equal(attempt.read, 0);
    rig_close_uploader(&rig);
    uv_close((uv_handle_t *)&rig.watchdog, NULL);
    uv_run(&rig.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&rig.loop), 0);
    rig_free(&rig);
}

static void proxy_refuses(struct server *server, int fd)
{
    if (server_head(server, fd))
        server_answer(fd, 407, "Proxy-Authenticate: Basic\r\nConnection: close\r\n", "{}");
}

static void proxy_tunnels(struct server *server, int fd)
{
    if (!server_head(server, fd))
        return;
    server_say(fd, "HTTP/1.1 200 Connection established\r\n\r\n");
    if (server_request(server, fd))
        server_answer(fd, 200, "", ok);
}

static void proxies_get_no_token(void **state)
{
    struct rig rig;
    struct attempt attempt;
    char proxy[128];
    (void)state;
    for (int tunnels = 0; tunnels < 2; tunnels++) {
        rig_init(&rig, tunnels ? proxy_tunnels : proxy_refuses, 20000);
        strcpy(proxy, rig.url);
        rig.options.proxy = proxy;
        rig.options.url = "http://chorus.example";
        rig_close_uploader(&rig);
        rig_renew(&rig);
        attempt_init(&attempt, &rig, SMALL);
        attempt_run(&attempt);
#ifndef CHORUS_WITHOUT_PREREQ /* which counts a CONNECT as well */
        assert_verdict(attempt.answer.verdict, tunnels ? VERDICT_ACCEPTED : VERDICT_UNREACHABLE);
        assert_int_equal(attempt.answer.request_left, tunnels);
#endif
        assert_int_equal(attempt.answer.status, tunnels ? 200 : 0);
        rig_finish(&rig);
        assert_int_equal(server_heads(rig.server), 1 + tunnels);
        assert_true(server_saw(rig.server, "CONNECT chorus.example:80 HTTP/1.1\r\n"));
        assert_int_equal(server_saw(rig.server, TOKEN), tunnels);
        assert_non_null(strstr(server_last_head(rig.server), tunnels ? TOKEN : "CONNECT"));
        rig_free(&rig);
    }
}

/* ---- reused connections that die: where libcurl would send again ---- */

/* Answers the first request of a connection, then does one of five things to the second. */
static void dies_when_reused(struct server *server, int fd)
{
    if (!server_request(server, fd))
        return;
    server_answer(fd, 200, "", ok);
    switch (server_connections(server) % 5) {
    case 0: /* while it is idle, or just as it is used */
        server_reset(fd);
        return;
    case 1:
        return;
    case 2:
        server_head(server, fd);
        break;
    case 3:
        if (server_head(server, fd))
            server_body(server, fd, 1000);
        break;
    default:
        server_request(server, fd);
        break;
    }
    if (server_connections(server) % 2)
        server_reset(fd);
}

/* With pauses between turns the reset is there before libcurl has read the first byte of the body.
 */
static void run_by_turns(struct attempt *attempt, bool slowly)
{
    assert_int_equal(attempt_start(attempt), 0);
    while (slowly && attempt->ends == 0) {
        uv_run(&attempt->rig->loop, UV_RUN_NOWAIT);
        usleep(500);
    }
    attempt_wait(attempt);
}

/* Each attempt bears its number in its header block. */
static void name_attempt(struct rig *rig, int number, char name[64])
{
    snprintf(name, 64, "attempt-%d-", number);
    rig->options.user_agent = name;
    assert_int_equal(uploader_configure(rig->uploader, &rig->options), 0);
}

/* CHORUS_ATTEMPTS makes it longer. */
static void nothing_is_sent_twice(void **state)
{
    const char *wish = getenv("CHORUS_ATTEMPTS");
    int attempts = wish != NULL ? atoi(wish) : 300;
    int left = 0, may_have_arrived = 0, accepted = 0;
    char name[64];
    struct rig rig;
    struct attempt attempt;
    static const uint64_t sizes[] = {1, SMALL, 300000, 2 << 20};
    (void)state;
    rig_init(&rig, dies_when_reused, 20000);
    for (int i = 0; i < attempts; i++) {
        attempt_init(&attempt, &rig, sizes[i / 3 % 4]);
        name_attempt(&rig, i, name);
        run_by_turns(&attempt, i % 4 < 2);
        enum verdict verdict = attempt.answer.verdict;
        left += attempt.answer.request_left;
        accepted += verdict == VERDICT_ACCEPTED;
        may_have_arrived += verdict == VERDICT_ACCEPTED || verdict == VERDICT_UNCERTAIN;
    }
    rig_finish(&rig);
    print_message(
        "attempts %d, left %d, header blocks %d, accepted %d, whole bodies %d, at most %d\n",
        attempts, left, server_heads(rig.server), accepted, server_bodies(rig.server),
        may_have_arrived);
    for (int i = 0; i < attempts; i++) {
        snprintf(name, sizeof(name), "attempt-%d-", i);
        assert_true(server_heads_with(rig.server, name) <= 1);
    }
    assert_true(server_heads(rig.server) <= left && left <= attempts);
    assert_true(server_bodies(rig.server) >= accepted);
    assert_true(server_bodies(rig.server) <= may_have_arrived);
    rig_free(&rig);
}

static void dies_whole(struct server *server, int fd)
{
    server_request(server, fd);
    server_answer(fd, 200, "", ok);
    server_request(server, fd);
    server_reset(fd);
}

static void the_second_commit_is_in_doubt(void **state)
{
    struct rig rig;
    struct attempt attempt;
    (void)state;
    rig_init(&rig, dies_whole, 20000);
    attempt_init(&attempt, &rig, SMALL);
    assert_verdict(attempt_run(&attempt), VERDICT_ACCEPTED);
    attempt_init(&attempt, &rig, SMALL);
    attempt_run(&attempt);
    rig_finish(&rig);
    assert_int_equal(server_heads(rig.server), 2);
    assert_int_equal(server_bodies(rig.server), 2);
#ifndef CHORUS_WITHOUT_PREREQ
    assert_verdict(attempt.answer.verdict, VERDICT_UNCERTAIN);
    assert_int_equal(server_connections(rig.server), 1);
#endif
    rig_free(&rig);
}

static void deletes_are_not_repeated(void **state)
{
    struct rig rig;
    struct asked asked;
    (void)state;
    rig_init(&rig, dies_whole, 20000);
    for (int i = 0; i < 2; i++) {
        ask(&asked, &rig, "DELETE", "/v3/engagements/1", 100);
        ask_wait(&asked);
    }
    rig_finish(&rig);
    assert_int_equal(server_heads(rig.server), 2);
#ifndef CHORUS_WITHOUT_PREREQ
    assert_int_equal(asked.answer.status, 0);
#endif
    rig_free(&rig);
}

static void resets_before_anything(void **state)
{
    struct rig rig;
    struct attempt attempt;
    (void)state;
    rig_init(&rig, resets_at_once, 20000);
    for (int i = 0; i < 50; i++) {
        attempt_init(&attempt, &rig, 64 << 20);
        enum verdict verdict = attempt_run(&attempt);
        assert_true(verdict == VERDICT_INTERRUPTED || verdict == VERDICT_UNREACHABLE);
    }
    rig_finish(&rig);
    assert_int_equal(server_heads(rig.server), 0);
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_connections),
        cmocka_unit_test(early_answers),
        cmocka_unit_test(odd_answers),
        cmocka_unit_test(too_much),
        cmocka_unit_test(stalls),
        cmocka_unit_test(slow_is_no_stall),
        cmocka_unit_test(a_trickle_is),
        cmocka_unit_test(the_end_is_withheld),
        cmocka_unit_test(the_file_breaks),
        cmocka_unit_test(abort_at_once),
        cmocka_unit_test(abort_from_inside_read),
        cmocka_unit_test(abort_after_the_end),
        cmocka_unit_test(close_in_flight),
        cmocka_unit_test(close_from_inside_done),
        cmocka_unit_test(redirects_are_not_followed),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(proxies_get_no_token),
        cmocka_unit_test(nothing_is_sent_twice),
        cmocka_unit_test(the_second_commit_is_in_doubt),
        cmocka_unit_test(deletes_are_not_repeated),
        cmocka_unit_test(resets_before_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
