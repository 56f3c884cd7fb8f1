/* A body that has no bytes yet: the attempt pauses, goes on, and is judged as any other. */
#include "rig.h"

#include <errno.h>
#include <string.h>

enum { SMALL = 3000, LARGE = 8 << 20, LONG_MS = 20000, STALL_MS = 200, UPLOADS = 200 };

static void answers(struct server *server, int fd)
{
    while (server_request(server, fd))
        server_answer(fd, 200, "", "{\"id\":\"1\"}");
}

static void answers_once(struct server *server, int fd)
{
    if (server_request(server, fd))
        server_answer(fd, 200, "Connection: close\r\n", "{\"id\":\"1\"}");
}

static void resets_in_body(struct server *server, int fd)
{
    if (server_head(server, fd))
        server_body(server, fd, LARGE / 2);
    server_reset(fd);
}

/* Its end of the connection comes while the body is waited for. */
static void refuses_early(struct server *server, int fd)
{
    if (server_head(server, fd))
        server_answer(fd, 413, "Connection: close\r\n", "{\"error\":\"early\"}");
    server_wait_for_end(fd);
}

static void closes_early(struct server *server, int fd)
{
    server_head(server, fd);
}

static bool is_whole(struct server *server, uint64_t size)
{
    size_t all = 0;
    const char *body = server_last_body(server, &all);
    const char *data = memmem(body, all, "\r\n\r\n", 4);
    /* the file's part is the last: its bytes begin after the last empty line of the heads */
    for (const char *next = data; next != NULL;
         next = memmem(data + 4, all - (size_t)(data + 4 - body), "\r\n\r\n", 4)) {
        data = next;
        if ((unsigned char)data[4] == attempt_byte(0) && all - (size_t)(data + 4 - body) > size &&
            (unsigned char)data[4 + size - 1] == attempt_byte(size - 1))
            break;
    }
    for (uint64_t i = 0; data != NULL && i < size; i++) {
        if ((unsigned char)data[4 + i] != attempt_byte(i))
            return false;
    }
    return data != NULL;
}

/* On kept connections, paused in every place there is: each arrives once and whole. */
static void pauses_lose_nothing(void **state)
{
    static const uint64_t sizes[] = {1, SMALL, 65536, 200000, 1 << 20};
    static const size_t most[] = {0, 20000, 65536, 262144};
    struct rig rig;
    (void)state;
    rig_init(&rig, answers, LONG_MS);
    for (int i = 0; i < UPLOADS; i++) {
        struct attempt attempt;
        attempt_init(&attempt, &rig, sizes[i % 5]);
        attempt.halting = true;
        attempt.most = most[i % 4];
        attempt.halt_ms = i % 3 == 0 ? 1 : 0;
        assert_verdict(attempt_run(&attempt), VERDICT_ACCEPTED);
        assert_true(attempt.halts > 0);
        assert_int_equal(attempt.verified, 1);
        assert_int_equal(attempt.read_at_verify, sizes[i % 5]);
    }
    rig_finish(&rig);
    assert_int_equal(server_heads(rig.server), UPLOADS);
    assert_int_equal(server_bodies(rig.server), UPLOADS);
    assert_true(is_whole(rig.server, sizes[(UPLOADS - 1) % 5]));
    rig_free(&rig);
}

static void many_at_once(void **state)
{
    enum { AT_ONCE = 8 };
    struct attempt attempts[AT_ONCE];
    struct rig rig;
    (void)state;
    rig_init(&rig, answers_once, LONG_MS);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < AT_ONCE; i++) {
            attempt_init(&attempts[i], &rig, 300000 + (uint64_t)i);
            attempts[i].halting = true;
            attempts[i].most = 30000;
            assert_int_equal(attempt_start(&attempts[i]), 0);
        }
        for (int i = 0; i < AT_ONCE; i++) {
            attempt_wait(&attempts[i]);
            assert_verdict(attempts[i].answer.verdict, VERDICT_ACCEPTED);
        }
    }
    rig_finish(&rig);
    assert_int_equal(server_bodies(rig.server), 4 * AT_ONCE);
    rig_free(&rig);
}

/* What the disk takes is not the network's fault. */
static void a_long_pause_is_no_stall(void **state)
{
    struct rig rig;
    struct attempt attempt;
    (void)state;
    rig_init(&rig, answers, STALL_MS);
    attempt_init(&attempt, &rig, SMALL);
    attempt.halting = true;
    attempt.most = SMALL / 2;
    attempt.halt_ms = 5 * (int64_t)STALL_MS;
    assert_verdict(attempt_run(&attempt), VERDICT_ACCEPTED);
    assert_false(attempt.answer.timed_out);
    rig_finish(&rig);
    assert_int_equal(server_bodies(rig.server), 1);
    rig_free(&rig);
}

static void ends_in_a_pause(server_script script, enum verdict expected, int status)
{
    struct rig rig;
    struct attempt attempt;
    rig_init(&rig, script, LONG_MS);
    attempt_init(&attempt, &rig, LARGE);
    attempt.halting = true;
    attempt.halt_ms = 20;
    assert_verdict(attempt_run(&attempt), expected);
    assert_int_equal(attempt.answer.status, status);
    assert_int_equal(attempt.verified, 0);
    rig_finish(&rig);
    assert_int_equal(server_heads(rig.server), 1);
    assert_int_equal(server_bodies(rig.server), 0);
    rig_free(&rig);
}

static void the_server_ends_it_in_a_pause(void **state)
{
    (void)state;
    ends_in_a_pause(resets_in_body, VERDICT_INTERRUPTED, 0);
    ends_in_a_pause(closes_early, VERDICT_INTERRUPTED, 0);
    ends_in_a_pause(refuses_early, VERDICT_REFUSED, 413);
}

static void wait_for_halt(struct attempt *attempt)
{
    attempt->halting = true;
    attempt->halt_ms = -1;
    assert_int_equal(attempt_start(attempt), 0);
    while (!attempt->halted)
        rig_turn(attempt->rig);
}

static void a_pause_may_end_in_an_error(void **state)
{
    struct rig rig;
    struct attempt attempt;
    (void)state;
    rig_init(&rig, answers, LONG_MS);
    attempt_init(&attempt, &rig, SMALL);
    attempt.fail_at = 1;
    wait_for_halt(&attempt);
    attempt_go_on(&attempt);
    attempt_wait(&attempt);
    assert_verdict(attempt.answer.verdict, VERDICT_SOURCE_CHANGED);
    rig_finish(&rig);
    assert_int_equal(server_bodies(rig.server), 0);
    rig_free(&rig);
}

static void abort_in_a_pause(void **state)
{
    struct rig rig;
    struct attempt attempt;
    (void)state;
    rig_init(&rig, answers, LONG_MS);
    attempt_init(&attempt, &rig, SMALL);
    wait_for_halt(&attempt);
    uploader_abort(attempt.upload);
    attempt_go_on(&attempt); /* too late */
    attempt_wait(&attempt);
    assert_verdict(attempt.answer.verdict, VERDICT_ABORTED);
    attempt_init(&attempt, &rig, SMALL);
    wait_for_halt(&attempt);
    rig_close_uploader(&rig);
    assert_verdict(attempt.answer.verdict, VERDICT_ABORTED);
    rig_finish(&rig);
    assert_int_equal(server_bodies(rig.server), 0);
    rig_free(&rig);
}

/* Nobody waits: nothing happens. */
static void going_on_unasked(void **state)
{
    struct rig rig;
    struct attempt attempt;
    (void)state;
    rig_init(&rig, answers, LONG_MS);
    attempt_init(&attempt, &rig, SMALL);
    assert_int_equal(attempt_start(&attempt), 0);
    attempt_go_on(&attempt);
    attempt_wait(&attempt);
    assert_verdict(attempt.answer.verdict, VERDICT_ACCEPTED);
    rig_finish(&rig);
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses_lose_nothing),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(a_long_pause_is_no_stall),
        cmocka_unit_test(the_server_ends_it_in_a_pause),
        cmocka_unit_test(a_pause_may_end_in_an_error),
        cmocka_unit_test(abort_in_a_pause),
        cmocka_unit_test(going_on_unasked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
