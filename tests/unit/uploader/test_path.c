/* What TCP tells of the way. */
#include "rig.h"

#include "uploader/path.h"

enum { SIZE = 1 << 20, LONG_MS = 20000 };

static void answers(struct server *server, int fd)
{
    while (server_request(server, fd))
        server_answer(fd, 200, "", "{\"id\":\"1\"}");
}

/* As the kernel does it, in its eighths of a us. */
static uint32_t smooth(uint32_t smoothed_us, uint32_t rtt_us, unsigned times)
{
    uint32_t eighths = smoothed_us << 3;
    for (unsigned i = 0; i < times; i++)
        eighths += rtt_us - (eighths >> 3);
    return eighths >> 3;
}

static void what_came_between_two_readings_is_told_at_once(void **state)
{
    (void)state;
    for (unsigned times = 1; times < 200; times++) {
        int64_t longer = path_recent_rtt_us(20000, smooth(20000, 60000, times), times);
        int64_t shorter = path_recent_rtt_us(60000, smooth(60000, 20000, times), times);
        assert_in_range(longer, 59900, 60100);
        assert_in_range(shorter, 19900, 20100);
    }
    assert_int_equal(path_recent_rtt_us(20000, 20000, 0), 0);
    assert_int_equal(path_recent_rtt_us(0, 20000, 3), 20000);
    assert_int_equal(path_recent_rtt_us(60000, 1, 1), 1); /* it never says less than a us */
}

static void an_upload_tells_of_its_way(void **state)
{
    struct rig rig;
    struct attempt attempt;
    struct uploader_path path, sum = {0};
    (void)state;
    rig_init(&rig, answers, LONG_MS);
    uploader_set_rate(rig.uploader, 4 * SIZE);
    attempt_init(&attempt, &rig, SIZE);
    assert_int_equal(attempt_start(&attempt), 0);
    while (attempt.ends == 0) {
        rig_turn(&rig);
        uploader_read_path(rig.uploader, &path);
        sum.acked_bytes += path.acked_bytes;
        sum.sent_segments += path.sent_segments;
        sum.rtt_us = path.rtt_us > 0 ? path.rtt_us : sum.rtt_us;
    }
    assert_in_range(sum.acked_bytes, SIZE / 2, 2 * SIZE);
    assert_true(sum.rtt_us > 0);
    assert_true(sum.sent_segments > 0);
    uploader_read_path(rig.uploader, &path);
    assert_true(path.acked_bytes == 0 && path.rtt_us == 0); /* each is told once */
    rig_finish(&rig);
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_came_between_two_readings_is_told_at_once),
        cmocka_unit_test(an_upload_tells_of_its_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
