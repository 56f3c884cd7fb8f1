/* A watch at work: what is recorded comes out finished, once, and only when it is. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "folder.h"
#include "watcher/digest.h"

static size_t wanted; /* findings that `all_told` waits for */

static bool all_told(const struct folder *f)
{
    return f->told_count >= wanted;
}

static bool first_scan_over(const struct folder *f)
{
    return f->scans > 0 && f->first_judged > 0;
}

static bool printed(const struct folder *f)
{
    return f->printed_count > 0;
}

static bool two_printed(const struct folder *f)
{
    return f->printed_count > 1;
}

static bool something_gone(const struct folder *f)
{
    return f->gone_count > 0;
}

static bool shows_work(const struct folder *f)
{
    return f->shown > 0;
}

static bool shows_none(const struct folder *f)
{
    return f->shown == 0;
}

static void begin(struct folder *f)
{
    folder_start(f);
    folder_until(f, first_scan_over);
    assert_true(f->online);
    assert_true(f->events);
    assert_string_equal(f->reason, "");
}

static void await(struct folder *f, size_t findings)
{
    wanted = findings;
    folder_until(f, all_told);
    assert_int_equal(f->told_count, findings);
}

static void a_new_file_is_told_once_after_settle(void **state)
{
    struct folder *f = *state;
    begin(f);
    int fd = open(at(f, "call.wav"), O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "audio", 5), 5);
    int64_t closed_ms = now_ms();
    close(fd);
    await(f, 1);
    assert_string_equal(f->told[0].path, "call.wav");
    assert_true(f->told[0].at_ms - closed_ms >= 100);
    assert_int_equal(f->told[0].finding.identity.size, 5);
    assert_int_equal(f->told[0].finding.scan, 0);
    assert_false(f->told[0].finding.stood);
    watch_rescan(f->watch);
    folder_for(f, 300);
    assert_int_equal(f->scans, 2);
    assert_int_equal(f->known, 1);
    assert_int_equal(f->told_count, 1);
}

static void a_slow_writer_is_waited_for(void **state)
{
    struct folder *f = *state;
    begin(f);
    int fd = open(at(f, "call.wav"), O_WRONLY | O_CREAT, 0600);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(write(fd, "audio", 5), 5);
        folder_for(f, 350); /* far longer than settle */
        assert_int_equal(f->told_count, 0);
    }
    close(fd);
    await(f, 1);
    assert_int_equal(f->told[0].finding.identity.size, 15);
}

/* No event tells of the close where events are off: then the lease does. */
static void without_events_the_lease_tells(void **state)
{
    struct folder *f = *state;
    int fd = open(at(f, "call.wav"), O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "audio", 5), 5);
    f->options.events = false;
    folder_start(f);
    folder_until(f, first_scan_over);
    assert_false(f->events);
    assert_non_null(strstr(f->reason, "looked at every 1h"));
    folder_for(f, 500);
    assert_int_equal(f->told_count, 0);
    close(fd);
    await(f, 1);
    assert_false(f->told[0].finding.stood);
    assert_int_equal(f->told[0].finding.scan, 1);
}

static void a_rename_into_place_counts_as_closed(void **state)
{
    struct folder *f = *state;
    begin(f);
    put(f, "call.wav.tmp", "audio");
    folder_for(f, 300);
    assert_int_equal(f->told_count, 0);
    assert_int_equal(rename(at(f, "call.wav.tmp"), at(f, "call.wav")), 0);
    await(f, 1);
    assert_string_equal(f->told[0].path, "call.wav");
}

static void an_append_after_the_close_is_another_version(void **state)
{
    struct folder *f = *state;
    begin(f);
    put(f, "call.wav", "audio");
    await(f, 1);
    int fd = open(at(f, "call.wav"), O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "more", 4), 4);
    folder_for(f, 300);
    assert_int_equal(f->told_count, 1); /* open */
    close(fd);
    await(f, 2);
    assert_int_equal(f->told[1].finding.identity.size, 9);
}

static void a_finished_file_that_changes_settles_again(void **state)
{
    struct folder *f = *state;
    f->release = false;
    begin(f);
    put(f, "call.wav", "audio");
    await(f, 1);
    watch_look_again(f->watch, "call.wav");
    watch_rescan(f->watch);
    folder_for(f, 300);
    assert_int_equal(f->told_count, 1); /* in work, unchanged */
    put(f, "call.wav", "another");
    await(f, 2);
    assert_int_equal(f->told[1].finding.identity.size, 7);
}

static void the_fingerprint_is_that_of_the_bytes(void **state)
{
    struct folder *f = *state;
    uint8_t expected[32];
    f->fingerprint = true;
    begin(f);
    put(f, "call.wav", "audio");
    folder_until(f, printed);
    assert_int_equal(f->printed.result, WATCH_FINGERPRINT_TAKEN);
    assert_int_equal(digest_of("audio", 5, expected), 0);
    assert_memory_equal(f->printed.sha256, expected, 32);
    folder_for(f, 100);
    assert_int_equal(f->printed_count, 1);
}

static void a_fingerprint_goes_on_where_its_last_slice_ended(void **state)
{
    struct folder *f = *state;
    static unsigned char zeros[1 << 20];
    uint8_t expected[32];
    struct digest *digest = digest_new();
    for (int i = 0; i < 40; i++) { /* two slices and a half */
        assert_int_equal(digest_update(digest, zeros, sizeof zeros), 0);
    }
    assert_int_equal(digest_final(digest, expected), 0);
    digest_free(digest);
    put(f, "great.mp3", "");
    assert_int_equal(truncate(at(f, "great.mp3"), 40 << 20), 0);
    f->fingerprint = true;
    begin(f);
    folder_until(f, printed);
    assert_int_equal(f->printed.result, WATCH_FINGERPRINT_TAKEN);
    assert_memory_equal(f->printed.sha256, expected, 32);
}

/* Several slices, and looks at others in between. */
static void a_great_file_does_not_hold_up_others(void **state)
{
    struct folder *f = *state;
    f->release = false;
    begin(f);
    put(f, "great.mp3", "x");
    assert_int_equal(truncate(at(f, "great.mp3"), INT64_C(1) << 40), 0);
    put(f, "great.mp3.tmp", "x");
    await(f, 1);
    assert_int_equal(watch_fingerprint(f->watch, "great.mp3"), 0);
    assert_int_equal(f->printed_count, 0);
    put(f, "call.wav", "audio");
    await(f, 2);
    assert_int_equal(f->printed_count, 0);
    struct watch_counts counts;
    watch_get_counts(f->watch, &counts);
    assert_int_equal(counts.hashing, 1);
    int fd = open(at(f, "great.mp3"), O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "more", 4), 4); /* the reading would not come to that for minutes */
    close(fd);
    folder_until(f, printed);
    assert_int_equal(f->printed.result, WATCH_FINGERPRINT_CHANGED);
    await(f, 3);
    assert_int_equal(unlink(at(f, "great.mp3")), 0);
    assert_int_equal(watch_fingerprint(f->watch, "great.mp3"), 0);
    folder_until(f, two_printed);
    assert_int_equal(f->printed.result, WATCH_FINGERPRINT_GONE);
}

static void a_fingerprint_of_what_is_not_finished_is_answered(void **state)
{
    struct folder *f = *state;
    begin(f);
    assert_int_equal(watch_fingerprint(f->watch, "never.wav"), 0);
    assert_int_equal(f->printed_count, 0);
    folder_until(f, printed);
    assert_int_equal(f->printed.result, WATCH_FINGERPRINT_CHANGED);
}

static void a_removed_file_is_gone(void **state)
{
    struct folder *f = *state;
    begin(f);
    put(f, "call.wav", "audio");
    await(f, 1);
    put(f, "passed-over.txt", "x");
    assert_int_equal(unlink(at(f, "passed-over.txt")), 0);
    assert_int_equal(unlink(at(f, "call.wav")), 0);
    folder_until(f, something_gone);
    assert_string_equal(f->gone, "call.wav");
    folder_for(f, 100);
    assert_int_equal(f->gone_count, 1);
}

static void what_leaves_work_unfinished_is_shown_no_more(void **state)
{
    struct folder *f = *state;
    begin(f);
    int fd = open(at(f, "call.wav"), O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "audio", 5), 5);
    folder_until(f, shows_work);
    assert_int_equal(unlink(at(f, "call.wav")), 0);
    folder_until(f, shows_none);
    assert_int_equal(f->told_count, 0);
    close(fd);
}

static void a_tree_that_is_moved_in_is_found_and_listened_to(void **state)
{
    struct folder *f = *state;
    char outside[] = "/tmp/tree-XXXXXX", path[64];
    assert_non_null(mkdtemp(outside));
    snprintf(path, sizeof path, "%s/deep", outside);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/deep/a.wav", outside);
    close(open(path, O_WRONLY | O_CREAT, 0600));
    begin(f);
    assert_int_equal(rename(outside, at(f, "tree")), 0);
    await(f, 1);
    assert_string_equal(f->told[0].path, "tree/deep/a.wav");
    assert_int_equal(f->told[0].finding.media, WATCH_EMPTY);
    put(f, "tree/deep/b.wav", "audio");
    await(f, 2);
    assert_int_equal(rename(at(f, "tree"), at(f, "renamed")), 0);
    await(f, 4); /* at their new paths */
    assert_int_equal(folder_told(f, "renamed/deep/b.wav"), 1);
    put(f, "renamed/deep/c.wav", "audio");
    await(f, 5);
    assert_int_equal(folder_told(f, "renamed/deep/c.wav"), 1);
}

static void folders_made_and_filled_at_once_lose_nothing(void **state)
{
    struct folder *f = *state;
    char path[64];
    begin(f);
    for (int i = 0; i < 100; i++) {
        snprintf(path, sizeof path, "day%d", i);
        assert_int_equal(mkdir(at(f, path), 0700), 0);
        snprintf(path, sizeof path, "day%d/call.wav", i);
        put(f, path, "audio");
        uv_run(&f->loop, UV_RUN_NOWAIT);
        snprintf(path, sizeof path, "day%d/again.wav", i);
        put(f, path, "audio");
    }
    await(f, 200);
}

static void two_thousand_at_once(void **state)
{
    struct folder *f = *state;
    char path[64];
    begin(f);
    for (int i = 0; i < 2000; i++) {
        snprintf(path, sizeof path, "%d.wav", i);
        put(f, path, "audio");
    }
    await(f, 2000);
    folder_for(f, 200);
    assert_int_equal(f->told_count, 2000);
}

static void before_the_start_is_told_as_standing_before_the_first_scan_is_judged(void **state)
{
    struct folder *f = *state;
    char path[64];
    for (int i = 0; i < 3000; i++) { /* more than the scan lets pile up */
        snprintf(path, sizeof path, "%d.wav", i);
        put(f, path, "audio");
    }
    int fd = open(at(f, "live.wav"), O_WRONLY | O_CREAT, 0600);
    folder_start(f);
    folder_until(f, first_scan_over);
    assert_int_equal(f->findings_at_first_judged, 3000); /* the live one is not waited for */
    assert_true(f->scan.complete);
    assert_int_equal(f->scan.number, 1);
    assert_int_equal(f->scan.files, 3001);
    for (int i = 0; i < 3000; i++) {
        assert_true(f->told[i].finding.stood);
        assert_int_equal(f->told[i].finding.scan, 1);
    }
    close(fd);
    await(f, 3001);
    assert_false(f->told[3000].finding.stood);
    assert_int_equal(f->first_judged, 1);
}

static void a_scan_waits_for_a_caller_that_releases_nothing(void **state)
{
    struct folder *f = *state;
    char path[64];
    for (int i = 0; i < 5000; i++) {
        snprintf(path, sizeof path, "%d.wav", i);
        put(f, path, "audio");
    }
    f->release = false;
    folder_start(f);
    folder_for(f, 1500);
    assert_int_equal(f->scans, 0);
    assert_in_range(f->told_count, 2048, 2048 + 1024);
    f->release = true;
    for (size_t i = 0, n = f->told_count; i < n; i++) {
        watch_release(f->watch, f->told[i].path);
    }
    await(f, 5000);
}

static void throttled_it_holds_back_and_loses_nothing(void **state)
{
    struct folder *f = *state;
    begin(f);
    watch_throttle(f->watch, true);
    put(f, "call.wav", "audio");
    folder_for(f, 400);
    assert_int_equal(f->told_count, 0);
    watch_throttle(f->watch, false);
    await(f, 1);
}

static void an_overflow_by_the_switch_is_made_good_by_a_scan(void **state)
{
    struct folder *f = *state;
    char path[64];
    struct watch_counts counts;
    f->options.drop_events_after = 10;
    begin(f);
    for (int i = 0; i < 50; i++) {
        snprintf(path, sizeof path, "%d.wav", i);
        put(f, path, "audio");
    }
    await(f, 50);
    watch_get_counts(f->watch, &counts);
    assert_true(counts.overflows > 0);
    assert_true(counts.scans > 1);
}

static void an_overflow_of_the_kernel_is_made_good_by_a_scan(void **state)
{
    struct folder *f = *state;
    char path[64];
    struct watch_counts counts;
    begin(f);
    for (int i = 0; i < 9000; i++) { /* two events each; the queue usually holds 16384 */
        snprintf(path, sizeof path, "%d.wav", i);
        put(f, path, "audio");
    }
    await(f, 9000);
    watch_get_counts(f->watch, &counts);
    if (counts.events < 18000) {
        assert_true(counts.overflows > 0);
    } else {
        print_message("the queue of this machine is too long to overflow\n");
    }
}

static void only_regular_files_of_this_folder(void **state)
{
    struct folder *f = *state;
    char outside[] = "/tmp/secret-XXXXXX", secret[64];
    assert_non_null(mkdtemp(outside));
    snprintf(secret, sizeof secret, "%s/secret.wav", outside);
    close(open(secret, O_WRONLY | O_CREAT, 0600));
    begin(f);
    assert_int_equal(symlink(secret, at(f, "link.wav")), 0);
    assert_int_equal(symlink(outside, at(f, "folder-link")), 0);
    assert_int_equal(mkfifo(at(f, "fifo.wav"), 0600), 0);
    pid_t writer = fork();
    if (writer == 0) {
        _exit(open(at(f, "fifo.wav"), O_WRONLY) < 0); /* waits for a reader: never us */
    }
    assert_int_equal(mkdir(at(f, "directory.wav"), 0700), 0);
    assert_int_equal(mkdir(at(f, ".hidden"), 0700), 0);
    put(f, ".hidden/a.wav", "x");
    put(f, "call.wav", "audio");
    await(f, 1);
    watch_look_again(f->watch, "link.wav");
    watch_look_again(f->watch, "folder-link/secret.wav");
    watch_look_again(f->watch, "fifo.wav");
    watch_rescan(f->watch);
    folder_for(f, 300);
    assert_int_equal(f->told_count, 1);
    assert_int_equal(f->judged, 1);
    assert_int_equal(waitpid(writer, NULL, WNOHANG), 0);
    kill(writer, SIGKILL);
    waitpid(writer, NULL, 0);
    unlink(secret);
    rmdir(outside);
}

static void names_are_bytes(void **state)
{
    struct folder *f = *state;
    static const char *const names[] = {"\xFF\xFE.wav", "new\nline.wav", "a b'\"[1]+\\.wav"};
    char longest[256];
    memset(longest, 'n', 251);
    strcpy(longest + 251, ".wav");
    put(f, names[0], "audio");
    begin(f);
    for (int i = 1; i < 3; i++) {
        put(f, names[i], "audio");
    }
    put(f, longest, "audio");
    await(f, 4);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(folder_told(f, names[i]), 1);
    }
    assert_int_equal(folder_told(f, longest), 1);
}

static void what_chorus_does_not_take_is_found_and_said(void **state)
{
    struct folder *f = *state;
    begin(f);
    put(f, "a.gsm", "xxxx");
    await(f, 1);
    assert_int_equal(f->told[0].finding.media, WATCH_UNSUPPORTED);
    assert_string_equal(f->told[0].finding.media_name, "gsm");
    put(f, "b.wav", "");
    await(f, 2);
    assert_int_equal(f->told[1].finding.media, WATCH_EMPTY);
}

static void a_zoom_folder_waits_for_its_sign_to_go(void **state)
{
    struct folder *f = *state;
    assert_int_equal(mkdir(at(f, "meeting"), 0700), 0);
    put(f, "meeting/convert.zoom", "x");
    begin(f);
    put(f, "meeting/call.mp3", "audio");
    put(f, "other.mp3", "audio");
    await(f, 1);
    folder_for(f, 300);
    assert_int_equal(f->told_count, 1);
    assert_int_equal(unlink(at(f, "meeting/convert.zoom")), 0);
    await(f, 2);
}

static void new_options_hold_from_then_on(void **state)
{
    struct folder *f = *state;
    static const char *const exclude[] = {"*-in.*"};
    begin(f);
    f->options.exclude = exclude;
    f->options.exclude_count = 1;
    assert_int_equal(watch_configure(f->watch, &f->options), 0);
    put(f, "a-in.wav", "audio");
    put(f, "a.wav", "audio");
    await(f, 1);
    assert_string_equal(f->told[0].path, "a.wav");
    f->options.exclude_count = 0;
    assert_int_equal(watch_configure(f->watch, &f->options), 0);
    await(f, 2);
}

static void one_look_says_what_a_watch_would_say(void **state)
{
    struct folder *f = *state;
    struct watch_finding finding;
    const char *waits_for;
    f->options.settle_ms = 0;
    put(f, "call.wav", "audio");
    assert_int_equal(watch_look_once(&f->options, "call.wav", &finding, &waits_for), 0);
    assert_int_equal(finding.identity.size, 5);
    int fd = open(at(f, "call.wav"), O_WRONLY);
    assert_int_equal(watch_look_once(&f->options, "call.wav", &finding, &waits_for), 1);
    assert_string_equal(waits_for, "its writer to close it");
    close(fd);
    assert_int_equal(watch_look_once(&f->options, "none.wav", &finding, &waits_for), -ENOENT);
}

#define watch_test(t) cmocka_unit_test_setup_teardown(t, folder_set_up, folder_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        watch_test(a_new_file_is_told_once_after_settle),
        watch_test(a_slow_writer_is_waited_for),
        watch_test(without_events_the_lease_tells),
        watch_test(a_rename_into_place_counts_as_closed),
        watch_test(an_append_after_the_close_is_another_version),
        watch_test(a_finished_file_that_changes_settles_again),
        watch_test(the_fingerprint_is_that_of_the_bytes),
        watch_test(a_fingerprint_goes_on_where_its_last_slice_ended),
        watch_test(a_great_file_does_not_hold_up_others),
        watch_test(a_fingerprint_of_what_is_not_finished_is_answered),
        watch_test(a_removed_file_is_gone),
        watch_test(what_leaves_work_unfinished_is_shown_no_more),
        watch_test(a_tree_that_is_moved_in_is_found_and_listened_to),
        watch_test(folders_made_and_filled_at_once_lose_nothing),
        watch_test(two_thousand_at_once),
        watch_test(before_the_start_is_told_as_standing_before_the_first_scan_is_judged),
        watch_test(a_scan_waits_for_a_caller_that_releases_nothing),
        watch_test(throttled_it_holds_back_and_loses_nothing),
        watch_test(an_overflow_by_the_switch_is_made_good_by_a_scan),
        watch_test(an_overflow_of_the_kernel_is_made_good_by_a_scan),
        watch_test(only_regular_files_of_this_folder),
        watch_test(names_are_bytes),
        watch_test(what_chorus_does_not_take_is_found_and_said),
        watch_test(a_zoom_folder_waits_for_its_sign_to_go),
        watch_test(new_options_hold_from_then_on),
        watch_test(one_look_says_what_a_watch_would_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
