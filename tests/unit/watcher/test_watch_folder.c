/* The watched folder itself: late, gone, replaced, unreadable, silent. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "folder.h"
#include "watcher/turns.h"

void watch_set_patience(struct watch *watch, int64_t ms); /* inside of the watcher */

static size_t wanted_scans, wanted_findings;

static bool is_offline(const struct folder *f)
{
    return f->states > 0 && !f->online;
}

static bool is_online(const struct folder *f)
{
    return f->online;
}

static bool scanned_enough(const struct folder *f)
{
    return f->scans >= wanted_scans;
}

static bool told_enough(const struct folder *f)
{
    return f->told_count >= wanted_findings;
}

static bool tells_of_files(const struct folder *f)
{
    return strstr(f->reason, "file") != NULL;
}

static bool tells_nothing(const struct folder *f)
{
    return f->online && f->reason[0] == '\0';
}

static void await_scan(struct folder *f, size_t scans)
{
    wanted_scans = scans;
    folder_until(f, scanned_enough);
}

static void await_findings(struct folder *f, size_t findings)
{
    wanted_findings = findings;
    folder_until(f, told_enough);
    assert_int_equal(f->told_count, findings);
}

static void a_late_folder_is_waited_for(void **state)
{
    struct folder *f = *state;
    rmdir(f->root);
    folder_start(f);
    folder_until(f, is_offline);
    assert_non_null(strstr(f->reason, "does not exist"));
    assert_int_equal(f->scans, 0);
    assert_int_equal(mkdir(f->root, 0700), 0);
    put(f, "call.wav", "audio");
    folder_until(f, is_online);
    await_findings(f, 1);
}

static void a_file_in_place_of_the_folder_is_said(void **state)
{
    struct folder *f = *state;
    rmdir(f->root);
    close(open(f->root, O_WRONLY | O_CREAT, 0600));
    folder_start(f);
    folder_until(f, is_offline);
    assert_non_null(strstr(f->reason, "is not a directory"));
}

static void a_folder_that_goes_takes_no_file_with_it(void **state)
{
    struct folder *f = *state;
    char away[160];
    snprintf(away, sizeof away, "%s-away", f->root);
    put(f, "call.wav", "audio");
    f->release = false;
    folder_start(f);
    await_scan(f, 1);
    await_findings(f, 1);
    assert_int_equal(rename(f->root, away), 0);
    folder_until(f, is_offline);
    assert_int_equal(f->gone_count, 0);
    struct watch_counts counts;
    watch_get_counts(f->watch, &counts);
    assert_int_equal(counts.settling + counts.hashing, 0);
    assert_int_equal(rename(away, f->root), 0);
    folder_until(f, is_online);
    await_findings(f, 2); /* found again */
    assert_int_equal(f->gone_count, 0);
}

static void another_folder_in_its_place_is_looked_through(void **state)
{
    struct folder *f = *state;
    char away[160], file[200];
    snprintf(away, sizeof away, "%s-away", f->root);
    folder_start(f);
    await_scan(f, 1);
    assert_int_equal(rename(f->root, away), 0);
    assert_int_equal(mkdir(f->root, 0700), 0);
    put(f, "new.wav", "audio");
    await_findings(f, 1);
    put(f, "newer.wav", "audio"); /* events come from the new one */
    await_findings(f, 2);
    snprintf(file, sizeof file, "%s/old.wav", away);
    close(open(file, O_WRONLY | O_CREAT, 0600));
    folder_for(f, 300);
    assert_int_equal(f->told_count, 2); /* ... and from it alone */
    unlink(file);
    rmdir(away);
}

static void an_empty_mount_point_is_no_empty_folder(void **state)
{
    struct folder *f = *state;
    if (mount("none", f->root, "tmpfs", 0, NULL) != 0) {
        skip();
    }
    put(f, "call.wav", "audio");
    folder_start(f);
    await_scan(f, 1);
    await_findings(f, 1);
    assert_int_equal(umount(f->root), 0); /* nothing of ours keeps it busy */
    folder_until(f, is_offline);
    assert_non_null(strstr(f->reason, "mount"));
    assert_int_equal(f->gone_count, 0);
    size_t scans = f->scans;
    assert_int_equal(mount("none", f->root, "tmpfs", 0, NULL), 0);
    put(f, "other.wav", "audio");
    folder_until(f, is_online);
    await_findings(f, 2);
    assert_true(f->scans >= scans);
    folder_close(f);
    umount(f->root);
}

static bool become_nobody(void)
{
    return geteuid() == 0 && seteuid(65534) == 0;
}

/* Threads of the pool have credentials of their own: libc changes them for all. */
static void what_cannot_be_read_is_kept_and_said(void **state)
{
    struct folder *f = *state;
    put(f, "call.wav", "audio");
    put(f, "fine.wav", "audio");
    assert_int_equal(mkdir(at(f, "closed"), 0), 0);
    assert_int_equal(chmod(f->root, 0755), 0);
    assert_int_equal(chmod(at(f, "fine.wav"), 0644), 0);
    f->options.quiet_ms = 0;
    if (!become_nobody()) {
        skip();
    }
    folder_start(f);
    await_scan(f, 1);
    folder_until(f, tells_of_files);
    assert_int_equal(f->told_count, 1);
    assert_false(f->scan.complete);
    assert_int_equal(f->first_judged, 0); /* a complete scan is still to come */
    assert_non_null(strstr(f->reason, "1 folder cannot be read, the first is closed"));
    assert_non_null(strstr(f->reason, "1 file cannot be read, one is call.wav: Permission denied"));
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(at(f, "call.wav"), 0644), 0);
    assert_int_equal(chmod(at(f, "closed"), 0755), 0);
    assert_int_equal(seteuid(65534), 0);
    watch_rescan(f->watch);
    await_findings(f, 2);
    folder_until(f, tells_nothing);
    assert_true(f->scan.complete);
    assert_int_equal(f->first_judged, 1);
    assert_int_equal(seteuid(0), 0);
}

static void an_unreadable_folder_is_said_with_the_remedy(void **state)
{
    struct folder *f = *state;
    assert_int_equal(chmod(f->root, 0700), 0);
    if (!become_nobody()) {
        skip();
    }
    folder_start(f);
    folder_until(f, is_offline);
    assert_non_null(strstr(f->reason, "Permission denied; the service's user needs r-x"));
    assert_int_equal(seteuid(0), 0);
}

static uv_sem_t held;
static uv_work_t holding[16];

static void hold(uv_work_t *work)
{
    (void)work;
    uv_sem_wait(&held);
}

/* A pool whose threads are all taken answers as little as a mount that hangs. */
static void a_job_that_does_not_come_back_is_offline_until_it_does(void **state)
{
    struct folder *f = *state;
    folder_start(f);
    await_scan(f, 1);
    uv_sem_init(&held, 0);
    for (size_t i = 0; i < 16; i++) {
        uv_queue_work(&f->loop, &holding[i], hold, NULL);
    }
    watch_set_patience(f->watch, 100);
    put(f, "call.wav", "audio");
    folder_until(f, is_offline);
    assert_non_null(strstr(f->reason, "does not answer"));
    for (size_t i = 0; i < 16; i++) {
        uv_sem_post(&held);
    }
    folder_until(f, is_online);
    await_findings(f, 1);
    uv_sem_destroy(&held);
}

static void a_watch_may_be_closed_at_any_time(void **state)
{
    struct folder *f = *state;
    char path[32];
    for (int i = 0; i < 200; i++) {
        snprintf(path, sizeof path, "%d.wav", i);
        put(f, path, "audio");
    }
    for (int turns = 0; turns < 40; turns++) {
        folder_start(f);
        for (int i = 0; i < turns; i++) {
            uv_run(&f->loop, UV_RUN_NOWAIT);
        }
        folder_close(f);
        f->states = f->told_count = 0;
    }
}

#define folder_test(t) cmocka_unit_test_setup_teardown(t, folder_set_up, folder_tear_down)

static bool printed(const struct folder *f)
{
    return f->printed_count > 0;
}

static void nothing(void *ctx)
{
    (void)ctx;
}

static void go(struct turn *turn)
{
    (void)turn;
}

/* While others are out, neither a scan nor a checksum begins; what waits for its turn is closed all
 * the same. */
static void it_waits_for_its_turn(void **state)
{
    struct folder *f = *state;
    struct turns *turns;
    struct turn others[TURNS_PLACES] = {{.go = go}, {.go = go}};
    f->fingerprint = true;
    put(f, "a.wav", "some bytes");
    assert_int_equal(
        turns_new(&f->loop, &(struct turns_options){0, "/nowhere"}, nothing, NULL, &turns), 0);
    f->options.turns = turns;
    for (int i = 0; i < TURNS_PLACES; i++) {
        assert_true(turns_ask(turns, &others[i], TURN_BULK));
    }
    folder_start(f);
    for (int i = 0; i < 10; i++) {
        folder_for(f, 50);
        turn_moved(&others[0]);
        turn_moved(&others[1]);
    }
    assert_true(f->online); /* the folder itself is looked for out of turn */
    assert_int_equal(f->judged, 0);
    turns_give_back(turns, &others[0]);
    folder_until(f, printed);
    turns_give_back(turns, &others[0]);
    assert_true(turns_ask(turns, &others[0], TURN_BULK));
    watch_rescan(f->watch);
    folder_close(f);
    turns_give_back(turns, &others[0]);
    turns_give_back(turns, &others[1]);
    turns_close(turns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        folder_test(a_late_folder_is_waited_for),
        folder_test(a_file_in_place_of_the_folder_is_said),
        folder_test(a_folder_that_goes_takes_no_file_with_it),
        folder_test(another_folder_in_its_place_is_looked_through),
        folder_test(an_empty_mount_point_is_no_empty_folder),
        folder_test(what_cannot_be_read_is_kept_and_said),
        folder_test(an_unreadable_folder_is_said_with_the_remedy),
        folder_test(a_job_that_does_not_come_back_is_offline_until_it_does),
        folder_test(a_watch_may_be_closed_at_any_time),
        folder_test(it_waits_for_its_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
