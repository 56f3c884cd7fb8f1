/* When is a file finished? Transcripts in virtual time, to be read like the promise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "watcher/settle.h"

#define MS INT64_C(1000000)
#define S (1000 * MS)
#define MIN (60 * S)
#define WALL (INT64_C(1800000000) * S) /* the wall clock when a transcript begins */

/* A play: the file, the clocks, and what the machine last said. */
struct play {
    struct settle settle;
    struct settle_limits limits;
    struct settle_moment now;
    struct settle_sample file;
    struct settle_answer said;
};

static struct play begin(void)
{
    struct play p;
    memset(&p, 0, sizeof p);
    settle_init(&p.settle);
    p.limits =
        (struct settle_limits){.settle_ms = 2000, .quiet_ms = 300000, .open_quiet_ms = 3600000};
    p.now = (struct settle_moment){.steady_ns = 1000 * S, .wall_ns = WALL};
    p.file.identity = (struct file_identity){.dev = 1, .ino = 2, .size = 1000, .mtime_ns = WALL};
    p.file.identity.ctime_ns = WALL;
    p.file.lease = SETTLE_LEASE_GRANTED;
    return p;
}

static void wait(struct play *p, int64_t ns)
{
    p->now.steady_ns += ns;
    p->now.wall_ns += ns;
}

static void grows(struct play *p)
{
    p->file.identity.size += 32768;
    p->file.identity.mtime_ns = p->file.identity.ctime_ns = p->now.wall_ns;
}

static void last_changed(struct play *p, int64_t ago)
{
    p->file.identity.mtime_ns = p->file.identity.ctime_ns = p->now.wall_ns - ago;
}

static enum settle_wait look(struct play *p)
{
    p->said = settle_look(&p->settle, &p->file, p->now, &p->limits);
    return p->said.wait;
}

static void closes(struct play *p)
{
    p->file.lease = SETTLE_LEASE_GRANTED;
    settle_note(&p->settle, SETTLE_HINT_CLOSED, p->now);
}

#define assert_due(p, in) assert_int_equal((p)->said.due_ns - (p)->now.steady_ns, in)

static void a_call_is_recorded_and_closed(void **state)
{
    (void)state;
    struct play p = begin();
    p.file.lease = SETTLE_LEASE_OPEN;
    settle_note(&p.settle, SETTLE_HINT_SEEN, p.now);
    assert_int_equal(look(&p), SETTLE_WAITS_WRITER);
    for (int i = 0; i < 5; i++) {
        wait(&p, 20 * S);
        grows(&p);
        assert_int_equal(look(&p), SETTLE_WAITS_WRITER);
    }
    wait(&p, 10 * MIN); /* on hold: nothing is written, and that proves nothing */
    assert_int_equal(look(&p), SETTLE_WAITS_WRITER);
    grows(&p);
    closes(&p);
    assert_int_equal(look(&p), SETTLE_WAITS_SETTLE);
    assert_due(&p, 2 * S);
    wait(&p, 2 * S - 1);
    assert_int_equal(look(&p), SETTLE_WAITS_SETTLE);
    wait(&p, 1);
    assert_int_equal(look(&p), SETTLE_FINISHED);
    assert_true(p.settle.touched);
}

static void settle_counts_from_the_close_not_from_the_last_write(void **state)
{
    (void)state;
    struct play p = begin();
    p.file.lease = SETTLE_LEASE_OPEN;
    last_changed(&p, 10 * MIN);
    assert_int_equal(look(&p), SETTLE_WAITS_WRITER);
    closes(&p);
    assert_int_equal(look(&p), SETTLE_WAITS_SETTLE);
    wait(&p, 2 * S);
    assert_int_equal(look(&p), SETTLE_FINISHED);
}

static void an_unseen_close_counts_from_the_look_that_finds_it(void **state)
{
    (void)state;
    struct play p = begin();
    p.file.lease = SETTLE_LEASE_OPEN;
    last_changed(&p, 10 * MIN);
    assert_int_equal(look(&p), SETTLE_WAITS_WRITER);
    wait(&p, 30 * S);
    p.file.lease = SETTLE_LEASE_GRANTED;
    assert_int_equal(look(&p), SETTLE_WAITS_SETTLE);
    assert_due(&p, 2 * S);
    wait(&p, 2 * S);
    assert_int_equal(look(&p), SETTLE_FINISHED);
}

static void an_append_after_the_close_starts_over(void **state)
{
    (void)state;
    struct play p = begin();
    closes(&p);
    assert_int_equal(look(&p), SETTLE_WAITS_SETTLE);
    wait(&p, 1 * S);
    grows(&p);
    p.file.lease = SETTLE_LEASE_OPEN;
    assert_int_equal(look(&p), SETTLE_WAITS_WRITER);
    wait(&p, 5 * S);
    grows(&p);
    closes(&p);
    assert_int_equal(look(&p), SETTLE_WAITS_SETTLE);
    wait(&p, 2 * S);
    assert_int_equal(look(&p), SETTLE_FINISHED);
}

static void an_open_file_is_looked_at_with_growing_pauses(void **state)
{
    (void)state;
    static const int64_t pauses[] = {2 * S, 4 * S, 8 * S, 16 * S, 30 * S, 30 * S};
    struct play p = begin();
    p.file.lease = SETTLE_LEASE_OPEN;
    for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        look(&p);
        assert_due(&p, pauses[i]);
        wait(&p, pauses[i]);
    }
}

static void what_stands_there_is_finished_at_the_first_look(void **state)
{
    (void)state;
    struct play p = begin();
    last_changed(&p, 2 * S);
    assert_int_equal(look(&p), SETTLE_FINISHED);
    assert_false(p.settle.touched);
}

static void what_was_just_written_is_watched_for_the_rest_of_settle(void **state)
{
    (void)state;
    struct play p = begin();
    last_changed(&p, 500 * MS);
    assert_int_equal(look(&p), SETTLE_WAITS_SETTLE);
    assert_due(&p, 1500 * MS);
    wait(&p, 1500 * MS);
    assert_int_equal(look(&p), SETTLE_FINISHED);
    assert_false(p.settle.touched); /* it never changed: it stood */
}

static void settle_zero_needs_one_look(void **state)
{
    (void)state;
    struct play p = begin();
    p.limits.settle_ms = 0;
    closes(&p);
    assert_int_equal(look(&p), SETTLE_FINISHED);
    p = begin();
    p.limits.settle_ms = 0;
    p.file.lease = SETTLE_LEASE_OPEN;
    assert_int_equal(look(&p), SETTLE_WAITS_WRITER);
}

static void without_close_or_lease_it_takes_quiet(void **state)
{
    (void)state;
    struct play p = begin();
    p.file.lease = SETTLE_LEASE_UNKNOWN;
    last_changed(&p, 1 * MIN);
    assert_int_equal(look(&p), SETTLE_WAITS_QUIET);
    assert_due(&p, 4 * MIN);
    wait(&p, 3 * MIN);
    grows(&p);
    wait(&p, 1 * MIN);
    assert_int_equal(look(&p), SETTLE_WAITS_QUIET);
    assert_due(&p, 4 * MIN);
    wait(&p, 4 * MIN);
    assert_int_equal(look(&p), SETTLE_FINISHED);
}

static void a_close_stands_in_for_the_lease(void **state)
{
    (void)state;
    struct play p = begin();
    p.file.lease = SETTLE_LEASE_UNKNOWN;
    assert_int_equal(look(&p), SETTLE_WAITS_QUIET);
    wait(&p, 1 * S);
    grows(&p);
    settle_note(&p.settle, SETTLE_HINT_CLOSED, p.now);
    assert_int_equal(look(&p), SETTLE_WAITS_SETTLE);
    wait(&p, 1 * S);
    grows(&p); /* somebody wrote on, and no close was seen since */
    assert_int_equal(look(&p), SETTLE_WAITS_QUIET);
}

static void a_new_owner_after_the_close_does_not_undo_it(void **state)
{
    (void)state;
    struct play p = begin();
    p.file.lease = SETTLE_LEASE_UNKNOWN;
    settle_note(&p.settle, SETTLE_HINT_CLOSED, p.now);
    assert_int_equal(look(&p), SETTLE_WAITS_SETTLE);
    wait(&p, 1 * S);
    p.file.identity.ctime_ns = p.now.wall_ns; /* a script's chown */
    assert_int_equal(look(&p), SETTLE_WAITS_SETTLE);
    wait(&p, 2 * S);
    assert_int_equal(look(&p), SETTLE_FINISHED);
}

static void a_stamp_in_the_future_counts_from_our_first_look(void **state)
{
    (void)state;
    struct play p = begin();
    p.file.lease = SETTLE_LEASE_UNKNOWN;
    last_changed(&p, -1000 * MIN);
    assert_int_equal(look(&p), SETTLE_WAITS_QUIET);
    assert_due(&p, 5 * MIN);
    wait(&p, 5 * MIN);
    assert_int_equal(look(&p), SETTLE_FINISHED);
}

static void a_wall_clock_that_jumps_finishes_nothing(void **state)
{
    (void)state;
    struct play p = begin();
    p.file.lease = SETTLE_LEASE_UNKNOWN;
    assert_int_equal(look(&p), SETTLE_WAITS_QUIET);
    wait(&p, 1 * S);
    p.now.wall_ns += INT64_C(10) * 365 * 24 * 60 * MIN;
    assert_int_equal(look(&p), SETTLE_WAITS_QUIET);
    p.now.wall_ns -= INT64_C(20) * 365 * 24 * 60 * MIN;
    wait(&p, 5 * MIN - 1 * S);
    assert_int_equal(look(&p), SETTLE_FINISHED);
}

/* A file server ten minutes behind stamps what is written now as old. */
static void a_slow_server_clock_is_found_out_by_a_change(void **state)
{
    (void)state;
    struct play p = begin();
    p.file.lease = SETTLE_LEASE_UNKNOWN;
    p.limits.quiet_ms = 20 * 60000;
    last_changed(&p, 10 * MIN);
    assert_int_equal(look(&p), SETTLE_WAITS_QUIET);
    wait(&p, 10 * S);
    p.file.identity.size++;
    last_changed(&p, 10 * MIN);
    assert_int_equal(look(&p), SETTLE_WAITS_QUIET);
    assert_due(&p, 20 * MIN);
}

static void a_header_that_says_open_is_believed_for_open_quiet(void **state)
{
    (void)state;
    struct play p = begin();
    p.file.says_open =
        true; /* a crashed dialer: nobody has it open, the header was never completed */
    last_changed(&p, 50 * MIN);
    assert_int_equal(look(&p), SETTLE_WAITS_HEADER);
    wait(&p, 10 * MIN - 1);
    assert_int_equal(look(&p), SETTLE_WAITS_HEADER);
    wait(&p, 1);
    assert_int_equal(look(&p), SETTLE_FINISHED);
}

static void a_header_that_is_completed_is_noticed_soon(void **state)
{
    (void)state;
    struct play p = begin();
    p.file.says_open = true;
    p.file.lease = SETTLE_LEASE_UNKNOWN;
    assert_int_equal(look(&p), SETTLE_WAITS_HEADER);
    assert_due(&p, 2 * S); /* not in an hour */
}

static void an_open_lease_outweighs_everything(void **state)
{
    (void)state;
    struct play p = begin();
    p.limits = (struct settle_limits){0, 0, 0};
    last_changed(&p, 100 * 60 * MIN);
    closes(&p);
    p.file.lease = SETTLE_LEASE_OPEN;
    assert_int_equal(look(&p), SETTLE_WAITS_WRITER);
}

static void an_unfinished_folder_holds_its_files(void **state)
{
    (void)state;
    struct play p = begin();
    last_changed(&p, 10 * MIN);
    p.file.folder_open = true;
    assert_int_equal(look(&p), SETTLE_WAITS_FOLDER);
    p.file.folder_open = false;
    wait(&p, 2 * S);
    assert_int_equal(look(&p), SETTLE_FINISHED);
}

static void a_placeholder_is_replaced_by_the_real_file(void **state)
{
    (void)state;
    struct play p = begin();
    p.file.identity.size = 0;
    closes(&p);
    look(&p);
    wait(&p, 2 * S);
    assert_int_equal(look(&p), SETTLE_FINISHED);
    wait(&p, 3 * MIN);
    p.file.identity.ino = 99;
    p.file.identity.size = 500000;
    p.file.identity.ctime_ns = p.now.wall_ns;
    closes(&p);
    assert_int_equal(look(&p), SETTLE_WAITS_SETTLE);
    wait(&p, 2 * S);
    assert_int_equal(look(&p), SETTLE_FINISHED);
}

static void absurd_values_do_not_overflow(void **state)
{
    (void)state;
    struct play p = begin();
    p.limits = (struct settle_limits){INT64_MAX, INT64_MAX, INT64_MAX};
    p.file.identity.mtime_ns = p.file.identity.ctime_ns = INT64_MIN;
    assert_int_not_equal(look(&p), SETTLE_WAITS_LOOK);
    p.file.identity.mtime_ns = INT64_MAX;
    assert_int_equal(look(&p), SETTLE_WAITS_SETTLE);
    p.file.lease = SETTLE_LEASE_OPEN;
    assert_int_equal(look(&p), SETTLE_WAITS_WRITER);
    assert_due(&p, 30 * S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_is_recorded_and_closed),
        cmocka_unit_test(settle_counts_from_the_close_not_from_the_last_write),
        cmocka_unit_test(an_unseen_close_counts_from_the_look_that_finds_it),
        cmocka_unit_test(an_append_after_the_close_starts_over),
        cmocka_unit_test(an_open_file_is_looked_at_with_growing_pauses),
        cmocka_unit_test(what_stands_there_is_finished_at_the_first_look),
        cmocka_unit_test(what_was_just_written_is_watched_for_the_rest_of_settle),
        cmocka_unit_test(settle_zero_needs_one_look),
        cmocka_unit_test(without_close_or_lease_it_takes_quiet),
        cmocka_unit_test(a_close_stands_in_for_the_lease),
        cmocka_unit_test(a_new_owner_after_the_close_does_not_undo_it),
        cmocka_unit_test(a_stamp_in_the_future_counts_from_our_first_look),
        cmocka_unit_test(a_wall_clock_that_jumps_finishes_nothing),
        cmocka_unit_test(a_slow_server_clock_is_found_out_by_a_change),
        cmocka_unit_test(a_header_that_says_open_is_believed_for_open_quiet),
        cmocka_unit_test(a_header_that_is_completed_is_noticed_soon),
        cmocka_unit_test(an_open_lease_outweighs_everything),
        cmocka_unit_test(an_unfinished_folder_holds_its_files),
        cmocka_unit_test(a_placeholder_is_replaced_by_the_real_file),
        cmocka_unit_test(absurd_values_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
