/* What goes out, and what is made of the answers. */
#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL = 3000, LARGE = 3 << 20 };

/* What the scripts answer with; set before a server starts. */
static struct {
    int status;
    const char *fields, *body;
} reply;

static void answers(struct server *server, int fd)
{
    while (server_request(server, fd))
        server_answer(fd, reply.status, reply.fields, reply.body);
}

static enum verdict answered(int status, const char *fields, const char *body,
                             struct attempt *attempt)
{
    reply.status = status;
    reply.fields = fields;
    reply.body = body;
    return play(answers, SMALL, attempt);
}

/* ---- what goes out ---- */

static const char *find_part(const char *body, const char *name)
{
    char disposition[128];
    snprintf(disposition, sizeof(disposition), "Content-Disposition: form-data; name=\"%s\"", name);
    return strstr(body, disposition);
}

static void assert_part(const char *body, const char *name, const char *value)
{
    char part[256];
    snprintf(part, sizeof(part), "form-data; name=\"%s\"\r\n\r\n%s\r\n--", name, value);
    if (strstr(body, part) == NULL)
        fail_msg("no part %s", name);
}

static void assert_closing_boundary(const char *head, const char *body, size_t size)
{
    char closing[128];
    const char *boundary = strstr(head, "boundary=");
    assert_non_null(boundary);
    boundary += strlen("boundary=");
    snprintf(closing, sizeof(closing), "\r\n--%.*s--\r\n", (int)strcspn(boundary, "\r\n"),
             boundary);
    assert_true(size > strlen(closing));
    assert_memory_equal(body + size - strlen(closing), closing, strlen(closing));
}

static void assert_data(const char *body, size_t size, uint64_t file_size)
{
    const char *part = find_part(body, "data");
    assert_non_null(part);
    const char *bytes = strstr(part, "\r\n\r\n") + 4;
    assert_true((size_t)(bytes - body) + file_size < size);
    for (uint64_t i = 0; i < file_size; i++) {
        if ((unsigned char)bytes[i] != attempt_byte(i))
            fail_msg("byte %llu differs", (unsigned long long)i);
    }
    assert_memory_equal(bytes + file_size, "\r\n--", 4);
}

/* The form as Chorus parses it, for a job in all its fields. */
static void the_form(void **state)
{
    struct rig rig;
    struct attempt attempt;
    size_t size = 0;
    (void)state;
    reply.status = 200, reply.fields = "", reply.body = "{}";
    rig_init(&rig, answers, 20000);
    attempt_init(&attempt, &rig, LARGE);
    attempt.job.crm_account_id = "acc";
    attempt.job.crm_opportunity_id = "";
    attempt.job.file_name = "a \"b\" \xc3\xa9.mp3";
    assert_verdict(attempt_run(&attempt), VERDICT_ACCEPTED);
    rig_finish(&rig);
    const char *head = server_last_head(rig.server);
    const char *body = server_last_body(rig.server, &size);
    assert_memory_equal(head, "POST /v3/upload HTTP/1.1\r\n", 26);
    assert_non_null(strstr(head, "\r\nAuthorization: " TOKEN "\r\n"));
    assert_non_null(strstr(head, "\r\nUser-Agent: test/1\r\n"));
    assert_null(strcasestr(head, "chunked"));
    assert_null(strcasestr(head, "\r\nExpect"));
    assert_null(strcasestr(head, "\r\nAccept-Encoding"));
    assert_int_equal(server_bodies(rig.server), 1);
    assert_part(body, "name", "Jane 5550100");
    assert_part(body, "user", "jane@example.com");
    assert_part(body, "meeting_id", "sha256-abc");
    assert_part(body, "enforce_unique_meeting_id", "true");
    assert_part(body, "crm_account_id", "acc");
    assert_null(find_part(body, "crm_opportunity_id"));
    assert_true(find_part(body, "data") > find_part(body, "crm_account_id"));
    assert_non_null(
        strstr(body, "filename=\"a %22b%22 \xc3\xa9.mp3\"\r\nContent-Type: audio/mpeg"));
    assert_data(body, size, LARGE);
    assert_closing_boundary(head, body, size);
    assert_int_equal(attempt.verified, 1);
    assert_int_equal(attempt.read_at_verify, LARGE);
    assert_int_equal(attempt.answer.bytes_sent, LARGE);
    rig_free(&rig);
}

static void without_a_key(void **state)
{
    struct rig rig;
    struct attempt attempt;
    size_t size = 0;
    (void)state;
    reply.status = 200, reply.fields = "", reply.body = "{}";
    rig_init(&rig, answers, 20000);
    attempt_init(&attempt, &rig, 1);
    attempt.job.meeting_id = NULL;
    assert_verdict(attempt_run(&attempt), VERDICT_ACCEPTED);
    rig_finish(&rig);
    const char *body = server_last_body(rig.server, &size);
    assert_null(strstr(body, "meeting_id"));
    assert_data(body, size, 1);
    rig_free(&rig);
}

static void bearer_and_a_new_token(void **state)
{
    struct rig rig;
    struct attempt attempt;
    (void)state;
    reply.status = 401, reply.fields = "", reply.body = "{\"error\":\"no: fresh-token\"}";
    rig_init(&rig, answers, 20000);
    rig.options.bearer = true;
    assert_int_equal(uploader_configure(rig.uploader, &rig.options), 0);
    assert_int_equal(uploader_set_token(rig.uploader, "fresh-token"), 0);
    assert_int_equal(uploader_set_token(rig.uploader, "two\r\nlines"), -EINVAL);
    assert_int_equal(uploader_set_token(rig.uploader, "with space"), -EINVAL);
    attempt_init(&attempt, &rig, SMALL);
    assert_verdict(attempt_run(&attempt), VERDICT_TOKEN_REFUSED);
    assert_string_equal(attempt.said, "no: ***");
    rig_finish(&rig);
    assert_non_null(
        strstr(server_last_head(rig.server), "\r\nAuthorization: Bearer fresh-token\r\n"));
    assert_false(server_saw(rig.server, TOKEN));
    rig_free(&rig);
}

static void without_a_token(void **state)
{
    struct rig rig;
    struct attempt attempt;
    struct asked asked;
    (void)state;
    rig_init(&rig, answers, 20000);
    assert_int_equal(uploader_set_token(rig.uploader, NULL), 0);
    attempt_init(&attempt, &rig, SMALL);
    assert_verdict(attempt_run(&attempt), VERDICT_TOKEN_REFUSED);
    assert_int_equal(attempt.answer.status, 0);
    assert_false(attempt.answer.request_left);
    ask(&asked, &rig, "GET", "/v3/users", 100);
    ask_wait(&asked);
    assert_int_equal(asked.answer.status, 0);
    rig_finish(&rig);
    assert_int_equal(server_connections(rig.server), 0);
    rig_free(&rig);
}

static void bad_jobs(void **state)
{
    struct rig rig;
    struct attempt attempt;
    (void)state;
    rig_init(&rig, answers, 20000);
    attempt_init(&attempt, &rig, 0);
    assert_int_equal(attempt_start(&attempt), -EINVAL);
    attempt_init(&attempt, &rig, SMALL);
    attempt.job.name = "";
    assert_int_equal(attempt_start(&attempt), -EINVAL);
    attempt_init(&attempt, &rig, SMALL);
    attempt.job.user = NULL;
    assert_int_equal(attempt_start(&attempt), -EINVAL);
    attempt_init(&attempt, &rig, SMALL);
    attempt.job.file_name = "a\r\nX: y";
    assert_int_equal(attempt_start(&attempt), -EINVAL);
    rig_finish(&rig);
    assert_int_equal(server_connections(rig.server), 0);
    rig_free(&rig);
}

static void bad_options(void **state)
{
    static const char *const urls[] = {"",
                                       "chorus.ai",
                                       "ftp://chorus.ai",
                                       "https://",
                                       "https://u:p@host",
                                       "https://host?x",
                                       "https://h#",
                                       "https://host:notaport",
                                       "http://a b"};
    struct rig rig;
    struct uploader *other = NULL;
    (void)state;
    rig_init(&rig, answers, 20000);
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        rig.options.url = urls[i];
        if (uploader_new(&rig.loop, &rig.options, &other) != -EINVAL)
            fail_msg("taken: %s", urls[i]);
    }
    rig.options.url = rig.url;
    rig.options.ca_file = "/nonexistent/ca.pem";
    assert_int_equal(uploader_new(&rig.loop, &rig.options, &other), -ENOENT);
    assert_int_equal(uploader_configure(rig.uploader, &rig.options), -ENOENT);
    rig.options.ca_file = "/proc/self/status";
    assert_int_equal(uploader_configure(rig.uploader, &rig.options), -EINVAL);
    rig_finish(&rig);
    rig_free(&rig);
}

/* ---- what is made of answers ---- */

static void ids_of_every_shape(void **state)
{
    static const char *const bodies[][2] = {{"{\"engagement_id\":\"EE8E\"}", "EE8E"},
                                            {"{\"id\":77}", "77"},
                                            {"{\"data\":{\"id\":\"x-1\"}}", "x-1"},
                                            {"{\"callid\":\"c\",\"success\":true}", "c"},
                                            {"{\"other\":1}", ""},
                                            {"", ""}};
    struct attempt attempt;
    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        assert_verdict(answered(200, "", bodies[i][0], &attempt), VERDICT_ACCEPTED);
        assert_string_equal(attempt.id, bodies[i][1]);
        assert_int_equal(attempt.answer.status, 200);
        assert_true(attempt.answer.request_left);
    }
    assert_verdict(answered(202, "", "{\"id\":\"y\"}", &attempt), VERDICT_ACCEPTED);
}

static void statuses(void **state)
{
    static const struct {
        int status;
        enum verdict verdict;
    } cases[] = {
        {400, VERDICT_REFUSED},     {401, VERDICT_TOKEN_REFUSED}, {403, VERDICT_FORBIDDEN},
        {404, VERDICT_REFUSED},     {408, VERDICT_UNCERTAIN},     {409, VERDICT_KNOWN},
        {413, VERDICT_REFUSED},     {415, VERDICT_REFUSED},       {417, VERDICT_ODD_REFUSAL},
        {418, VERDICT_ODD_REFUSAL}, {422, VERDICT_REFUSED},       {429, VERDICT_BUSY},
        {500, VERDICT_UNCERTAIN},   {502, VERDICT_UNCERTAIN},     {503, VERDICT_UNCERTAIN},
        {504, VERDICT_UNCERTAIN},   {300, VERDICT_UNCERTAIN}};
    struct attempt attempt;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_verdict(answered(cases[i].status, "", "{\"errors\":[{\"title\":\"T\"}]}", &attempt),
                       cases[i].verdict);
        assert_int_equal(attempt.answer.status, cases[i].status);
        assert_string_equal(attempt.said, "T");
        assert_string_equal(attempt.id, "");
        assert_int_equal(attempt.answer.retry_after_ms, -1);
    }
}

static void bodies_that_prove_nothing(void **state)
{
    static const char *const bodies[] = {"<html>ok</html>", "[]", "ok", "{\"id\":", "null"};
    struct attempt attempt;
    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        assert_verdict(answered(200, "Content-Type: text/html\r\n", bodies[i], &attempt),
                       VERDICT_UNCERTAIN);
    assert_verdict(answered(200, "", "{\"success\":false,\"message\":\"no\"}", &attempt),
                   VERDICT_REFUSED);
    assert_string_equal(attempt.said, "no");
    assert_verdict(answered(502, "Content-Type: text/html; x\r\n", "<html>", &attempt),
                   VERDICT_UNCERTAIN);
    assert_string_equal(attempt.said, "answered text/html");
}

static void retry_after(void **state)
{
    struct attempt attempt;
    (void)state;
    assert_verdict(answered(429, "Retry-After: 7\r\n", "", &attempt), VERDICT_BUSY);
    assert_int_equal(attempt.answer.retry_after_ms, 7000);
    answered(503,
             "retry-after:Sun, 06 Nov 1994 08:50:37 GMT\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
             "", &attempt);
    assert_int_equal(attempt.answer.retry_after_ms, 60000);
    answered(429, "Retry-After: soon\r\n", "", &attempt);
    assert_int_equal(attempt.answer.retry_after_ms, -1);
}

/* ---- connections and questions ---- */

static void connections_are_kept(void **state)
{
    struct rig rig;
    struct attempt attempt;
    (void)state;
    reply.status = 200, reply.fields = "", reply.body = "{}";
    rig_init(&rig, answers, 20000);
    for (int i = 0; i < 5; i++) {
        attempt_init(&attempt, &rig, SMALL);
        assert_verdict(attempt_run(&attempt), VERDICT_ACCEPTED);
    }
    rig_finish(&rig);
    assert_int_equal(server_heads(rig.server), 5);
    assert_int_equal(server_bodies(rig.server), 5);
#ifndef CHORUS_WITHOUT_PREREQ
    assert_int_equal(server_connections(rig.server), 1);
#endif
    rig_free(&rig);
}

static void questions(void **state)
{
    struct rig rig;
    struct asked asked;
    (void)state;
    reply.status = 200, reply.body = "{\"data\":[1,2,3]}";
    reply.fields = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: 2\r\n";
    rig_init(&rig, answers, 20000);
    ask(&asked, &rig, "GET", "/v3/engagements?engagement_id=a,b", 16);
    ask_wait(&asked);
    assert_int_equal(asked.answer.status, 200);
    assert_string_equal(asked.body, reply.body);
    assert_false(asked.answer.truncated);
    assert_string_equal(asked.date, "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_int_equal(asked.answer.retry_after_ms, 2000);
    ask(&asked, &rig, "DELETE", "/v3/engagements/../x", 5);
    ask_wait(&asked);
    assert_string_equal(asked.body, "{\"dat");
    assert_true(asked.answer.truncated);
    rig_finish(&rig);
    assert_true(server_saw(rig.server, "GET /v3/engagements?engagement_id=a,b HTTP/1.1\r\n"));
    assert_true(server_saw(rig.server, "DELETE /v3/engagements/../x HTTP/1.1\r\n"));
    assert_int_equal(server_heads(rig.server), 2);
    rig_free(&rig);
}

static void refused_questions(void **state)
{
    struct rig rig;
    struct asked asked;
    struct question *question = NULL;
    (void)state;
    reply.status = 403, reply.fields = "", reply.body = "{\"errors\":[{\"title\":\"No\"}]}";
    rig_init(&rig, answers, 20000);
    ask(&asked, &rig, "GET", "/api/v1/users/me", 1000);
    ask_wait(&asked);
    assert_int_equal(asked.answer.status, 403);
    assert_string_equal(asked.said, "No");
    assert_int_equal(uploader_ask(rig.uploader, "PUT", "/", 1, NULL, NULL, &question), -EINVAL);
    assert_int_equal(uploader_ask(rig.uploader, "GET", "x", 1, NULL, NULL, &question), -EINVAL);
    assert_int_equal(uploader_ask(rig.uploader, "GET", "/a b", 1, NULL, NULL, &question), -EINVAL);
    assert_int_equal(uploader_ask(rig.uploader, "GET", "/\r\nX:", 1, NULL, NULL, &question),
                     -EINVAL);
    ask(&asked, &rig, "GET", "/", 10);
    uploader_ask_abort(asked.question);
    ask_wait(&asked);
    assert_int_equal(asked.answer.status, 0);
    rig_finish(&rig);
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_form),
        cmocka_unit_test(without_a_key),
        cmocka_unit_test(bearer_and_a_new_token),
        cmocka_unit_test(without_a_token),
        cmocka_unit_test(bad_jobs),
        cmocka_unit_test(bad_options),
        cmocka_unit_test(ids_of_every_shape),
        cmocka_unit_test(statuses),
        cmocka_unit_test(bodies_that_prove_nothing),
        cmocka_unit_test(retry_after),
        cmocka_unit_test(connections_are_kept),
        cmocka_unit_test(questions),
        cmocka_unit_test(refused_questions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
