/* One rate for all uploads: how it is divided, held and given back; and a kernel that refuses. The
 * kernel's part is watched, and played, at setsockopt. */
#include "rig.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "uploader/client.h"
#include "uploader/pace.h"

enum {
    SMALL = 3000,
    LARGE = 8 << 20,
    LONG_MS = 20000,
    STALL_MS = 200,
    HELD_STALL_MS = 1000,
    AT_ONCE = 4,
    FDS = 1024
};

static uint64_t pace_of[FDS]; /* by descriptor: the last that was set */
static bool refusing;

int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size);

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    unsigned long pace;
    if (refusing) {
        errno = ENOPROTOOPT;
        return -1;
    }
    if (level == SOL_SOCKET && name == SO_MAX_PACING_RATE && fd < FDS) {
        assert_int_equal(size, sizeof pace);
        memcpy(&pace, value, sizeof pace);
        pace_of[fd] = pace;
    }
    return __real_setsockopt(fd, level, name, value, size);
}

static void forget(void)
{
    memset(pace_of, 0, sizeof pace_of);
    refusing = false;
}

static size_t sockets_at(uint64_t pace)
{
    size_t count = 0;
    for (size_t i = 0; i < FDS; i++)
        count += pace_of[i] == pace;
    return count;
}

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

static void closes_in_body(struct server *server, int fd)
{
    if (server_head(server, fd))
        server_body(server, fd, 1);
}

/* ---- pure ---- */

static void shares_are_never_more_than_the_rate(void **state)
{
    static const uint64_t rates[] = {1, 99, 1000, 64000, 1000000, 125000000000};
    (void)state;
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        for (size_t senders = 1; senders <= 64; senders++) {
            uint64_t all = pace_share(rates[i], senders) * senders;
            assert_true(all <= rates[i] * 94 / 100 || pace_share(rates[i], senders) == 1);
            assert_true(all + senders >= rates[i] * 94 / 100);
        }
    }
    assert_true(pace_share(1000, 0) == pace_share(1000, 1));
    assert_true(pace_share(UPLOADER_UNLIMITED, 5) == UPLOADER_UNLIMITED);
}

static void a_socket_holds_little_ahead(void **state)
{
    (void)state;
    for (uint64_t share = 1; share < 1000000000; share = share * 3 / 2 + 1) {
        assert_true(pace_backlog(share) <= 256 << 10);
        assert_true(pace_backlog(share) <= share / 5 || pace_backlog(share) == 4096);
        assert_true(pace_quantum(share) <= pace_backlog(share));
        assert_true((uint64_t)pace_patience_ms(share) * share / 1000 >= 3 * pace_backlog(share));
    }
    assert_int_equal(pace_patience_ms(UPLOADER_UNLIMITED), 0);
}

/* ---- division ---- */

static bool all_have_begun(const struct attempt *attempts)
{
    for (int i = 0; i < AT_ONCE; i++) {
        if (attempts[i].read == 0)
            return false;
    }
    return true;
}

static int ended(const struct attempt *attempts)
{
    int count = 0;
    for (int i = 0; i < AT_ONCE; i++)
        count += attempts[i].ends;
    return count;
}

static void the_rate_is_divided_as_uploads_come_and_go(void **state)
{
    static const uint64_t rate = 4000000;
    struct attempt attempts[AT_ONCE];
    struct rig rig;
    bool alone = false;
    (void)state;
    forget();
    rig_init(&rig, answers_once, LONG_MS);
    uploader_set_rate(rig.uploader, rate);
    for (int i = 0; i < AT_ONCE; i++) {
        attempt_init(&attempts[i], &rig, 400000);
        assert_int_equal(attempt_start(&attempts[i]), 0);
    }
    while (!all_have_begun(attempts))
        rig_turn(&rig);
    assert_int_equal(sockets_at(pace_share(rate, AT_ONCE)), AT_ONCE);
    uploader_set_rate(rig.uploader, rate / 2);
    assert_int_equal(sockets_at(pace_share(rate / 2, AT_ONCE)), AT_ONCE);
    while (ended(attempts) < AT_ONCE) {
        rig_turn(&rig);
        alone = alone || sockets_at(pace_share(rate / 2, 1)) > 0;
    }
    assert_true(alone);
    rig_finish(&rig);
    assert_int_equal(server_bodies(rig.server), AT_ONCE);
    rig_free(&rig);
}

static void without_a_rate_nothing_is_paced(void **state)
{
    struct rig rig;
    struct attempt attempt;
    (void)state;
    forget();
    rig_init(&rig, answers, LONG_MS);
    attempt_init(&attempt, &rig, SMALL);
    assert_int_equal(attempt_run(&attempt), VERDICT_ACCEPTED);
    for (size_t i = 0; i < FDS; i++)
        assert_true(pace_of[i] == 0 || pace_of[i] == ~0UL);
    rig_finish(&rig);
    rig_free(&rig);
}

/* So slow that even one packet takes longer than a stall. */
static void a_low_rate_is_no_stall(void **state)
{
    struct rig rig;
    struct attempt attempt;
    (void)state;
    forget();
    rig_init(&rig, answers, STALL_MS);
    uploader_set_rate(rig.uploader, 6000);
    attempt_init(&attempt, &rig, 8 * SMALL);
    assert_int_equal(attempt_run(&attempt), VERDICT_ACCEPTED);
    rig_finish(&rig);
    assert_int_equal(server_heads(rig.server), 1);
    rig_free(&rig);
}

/* ---- nothing leaves ---- */

/* So long, or until it has ended. */
static void turn_for(const struct attempt *attempt, int64_t ms)
{
    uint64_t until = uv_hrtime() + (uint64_t)ms * 1000000;
    while (attempt->ends == 0 && uv_hrtime() < until)
        rig_turn(attempt->rig);
}

static void hold_and_go_on(uint64_t hold_at)
{
    struct rig rig;
    struct attempt attempt;
    forget();
    rig_init(&rig, answers, HELD_STALL_MS);
    attempt_init(&attempt, &rig, LARGE);
    attempt.most = 10000;
    assert_int_equal(attempt_start(&attempt), 0);
    while (attempt.read < hold_at)
        rig_turn(&rig);
    uploader_set_rate(rig.uploader, 0);
    uint64_t read = attempt.read;
    turn_for(&attempt, 2 * (int64_t)HELD_STALL_MS);
    assert_int_equal(attempt.ends, 0);
    assert_int_equal(attempt.read, read);
    uploader_set_rate(rig.uploader, UPLOADER_UNLIMITED);
    attempt_wait(&attempt);
    assert_int_equal(attempt.answer.verdict, VERDICT_ACCEPTED);
    rig_finish(&rig);
    assert_int_equal(server_heads(rig.server), 1);
    assert_int_equal(server_bodies(rig.server), 1);
    rig_free(&rig);
}

static void what_is_held_goes_on(void **state)
{
    (void)state;
    hold_and_go_on(0);
    hold_and_go_on(1);
    hold_and_go_on(LARGE / 2);
}

static void what_is_held_wakes_nobody(void **state)
{
    struct rig rig;
    struct attempt attempt;
    (void)state;
    forget();
    rig_init(&rig, answers, LONG_MS);
    uploader_set_rate(rig.uploader, 100000);
    attempt_init(&attempt, &rig, LARGE);
    assert_int_equal(attempt_start(&attempt), 0);
    while (attempt.read == 0)
        rig_turn(&rig);
    assert_true(uv_is_active((uv_handle_t *)&rig.uploader->pace.tick));
    uploader_set_rate(rig.uploader, 0);
    turn_for(&attempt, STALL_MS);
    assert_false(uv_is_active((uv_handle_t *)&rig.uploader->pace.tick));
    rig_finish(&rig);
    rig_free(&rig);
}

/* The disk has bytes again while nothing may leave. */
static void bytes_that_come_while_held_wait(void **state)
{
    struct rig rig;
    struct attempt attempt;
    (void)state;
    forget();
    rig_init(&rig, answers, STALL_MS);
    attempt_init(&attempt, &rig, SMALL);
    attempt.halting = true;
    attempt.halt_ms = -1;
    assert_int_equal(attempt_start(&attempt), 0);
    while (!attempt.halted)
        rig_turn(&rig);
    uploader_set_rate(rig.uploader, 0);
    attempt_go_on(&attempt);
    turn_for(&attempt, 3 * (int64_t)STALL_MS);
    assert_int_equal(attempt.read, 0);
    attempt.halting = false;
    uploader_set_rate(rig.uploader, 1000000);
    attempt_wait(&attempt);
    assert_int_equal(attempt.answer.verdict, VERDICT_ACCEPTED);
    rig_finish(&rig);
    rig_free(&rig);
}

static void a_held_connection_that_was_closed_is_judged(void **state)
{
    struct rig rig;
    struct attempt attempt;
    (void)state;
    forget();
    rig_init(&rig, closes_in_body, STALL_MS);
    attempt_init(&attempt, &rig, LARGE);
    assert_int_equal(attempt_start(&attempt), 0);
    while (attempt.read == 0)
        rig_turn(&rig);
    uploader_set_rate(rig.uploader, 0);
    turn_for(&attempt, 2 * (int64_t)STALL_MS);
    uploader_set_rate(rig.uploader, UPLOADER_UNLIMITED);
    attempt_wait(&attempt);
    assert_int_equal(attempt.answer.verdict, VERDICT_INTERRUPTED);
    assert_false(attempt.answer.timed_out);
    rig_finish(&rig);
    rig_free(&rig);
}

static void abort_while_held(void **state)
{
    struct rig rig;
    struct attempt attempt;
    (void)state;
    forget();
    rig_init(&rig, answers, LONG_MS);
    uploader_set_rate(rig.uploader, 0);
    attempt_init(&attempt, &rig, SMALL);
    assert_int_equal(attempt_start(&attempt), 0);
    turn_for(&attempt, STALL_MS);
    rig_close_uploader(&rig);
    assert_int_equal(attempt.answer.verdict, VERDICT_ABORTED);
    rig_finish(&rig);
    rig_free(&rig);
}

/* ---- a kernel that refuses ---- */

static int troubles;

static void on_trouble(void *ctx, const char *what, int error)
{
    (void)ctx;
    assert_non_null(what);
    assert_int_equal(error, ENOPROTOOPT);
    troubles++;
}

static void what_the_kernel_refuses_is_told_once_and_the_rate_is_kept(void **state)
{
    static const uint64_t rate = 1000000, size = 200000;
    struct attempt attempts[AT_ONCE];
    struct rig rig;
    (void)state;
    forget();
    rig_init(&rig, answers_once, LONG_MS);
    refusing = true;
    troubles = 0;
    uploader_on_trouble(rig.uploader, on_trouble, NULL);
    uploader_set_rate(rig.uploader, rate);
    uint64_t began = uv_hrtime();
    for (int i = 0; i < AT_ONCE; i++) {
        attempt_init(&attempts[i], &rig, size);
        assert_int_equal(attempt_start(&attempts[i]), 0);
    }
    for (int i = 0; i < AT_ONCE; i++) {
        attempt_wait(&attempts[i]);
        assert_int_equal(attempts[i].answer.verdict, VERDICT_ACCEPTED);
    }
    assert_true(uv_hrtime() - began > AT_ONCE * size * 1000000000 / rate);
    assert_int_equal(troubles, 2);
    rig_finish(&rig);
    assert_int_equal(server_bodies(rig.server), AT_ONCE);
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_never_more_than_the_rate),
        cmocka_unit_test(a_socket_holds_little_ahead),
        cmocka_unit_test(the_rate_is_divided_as_uploads_come_and_go),
        cmocka_unit_test(without_a_rate_nothing_is_paced),
        cmocka_unit_test(a_low_rate_is_no_stall),
        cmocka_unit_test(what_is_held_goes_on),
        cmocka_unit_test(what_is_held_wakes_nobody),
        cmocka_unit_test(bytes_that_come_while_held_wait),
        cmocka_unit_test(a_held_connection_that_was_closed_is_judged),
        cmocka_unit_test(abort_while_held),
        cmocka_unit_test(what_the_kernel_refuses_is_told_once_and_the_rate_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
