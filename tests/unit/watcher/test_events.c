/* Events: kept for a directory that is not known yet, told in order, an overflow never hidden. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#include "watcher/events.h"

struct heard {
    char log[4096];
    size_t events, overflows, lost;
};

static void on_event(void *ctx, const char *folder, const char *name, uint32_t mask)
{
    struct heard *heard = ctx;
    const char *what = mask & IN_CREATE        ? "create"
                       : mask & IN_CLOSE_WRITE ? "close"
                       : mask & IN_DELETE      ? "delete"
                                               : "other";
    size_t n = strlen(heard->log);
    snprintf(heard->log + n, sizeof heard->log - n, "%s %s/%s\n", what, folder, name);
    heard->events++;
}

static void on_overflow(void *ctx)
{
    ((struct heard *)ctx)->overflows++;
}

static void on_lost(void *ctx, const char *folder)
{
    (void)folder;
    ((struct heard *)ctx)->lost++;
}

struct fixture {
    uv_loop_t loop;
    char root[64];
    int directory, copy;
    struct heard heard;
    struct events *events;
};

static void set_up(struct fixture *f, uint64_t drop_after)
{
    static const struct events_callbacks callbacks = {on_event, on_overflow, on_lost};
    memset(f, 0, sizeof *f);
    uv_loop_init(&f->loop);
    strcpy(f->root, "/tmp/events-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    f->directory = open(f->root, O_RDONLY | O_DIRECTORY);
    assert_int_equal(events_open(&f->loop, drop_after, &callbacks, &f->heard, &f->events), 0);
    f->copy = events_copy(f->events);
    assert_true(f->copy >= 0);
}

static void turn(struct fixture *f)
{
    for (int i = 0; i < 5; i++) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
}

static void tear_down(struct fixture *f)
{
    events_close(f->events, NULL, NULL);
    close(f->copy);
    close(f->directory);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    rmdir(f->root);
}

static void come_and_go(struct fixture *f, const char *name)
{
    close(openat(f->directory, name, O_WRONLY | O_CREAT, 0600));
    assert_int_equal(unlinkat(f->directory, name, 0), 0);
}

static void what_happened_before_it_is_known_is_told_then(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 0);
    int wd = events_watch(f.copy, f.directory);
    assert_true(wd >= 0);
    come_and_go(&f, "a");
    turn(&f);
    assert_int_equal(f.heard.events, 0);
    assert_int_equal(events_learn(f.events, wd, "day"), 0);
    assert_string_equal(f.heard.log, "create day/a\nclose day/a\ndelete day/a\n");
    come_and_go(&f, "b");
    assert_int_equal(events_learn(f.events, wd, "renamed"), 0);
    turn(&f);
    assert_non_null(strstr(f.heard.log, "close renamed/b"));
    assert_int_equal(events_folders(f.events), 1);
    tear_down(&f);
}

static void too_much_of_it_is_told_as_an_overflow(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 0);
    events_watch(f.copy, f.directory);
    for (int i = 0; i < 2000; i++) {
        come_and_go(&f, "a");
    }
    turn(&f);
    assert_int_equal(f.heard.overflows, 1);
    tear_down(&f);
}

static void a_forgotten_folder_is_silent(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 0);
    assert_int_equal(events_learn(f.events, events_watch(f.copy, f.directory), "a/b"), 0);
    events_forget(f.events, "a/bc");
    assert_int_equal(events_folders(f.events), 1);
    events_forget(f.events, "a");
    assert_int_equal(events_folders(f.events), 0);
    come_and_go(&f, "x");
    turn(&f);
    assert_int_equal(f.heard.events + f.heard.overflows + f.heard.lost, 0);
    tear_down(&f);
}

static void a_removed_folder_is_told(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 0);
    assert_int_equal(events_learn(f.events, events_watch(f.copy, f.directory), ""), 0);
    assert_int_equal(rmdir(f.root), 0);
    close(f.directory);
    f.directory = -1;
    turn(&f);
    assert_true(f.heard.lost > 0);
    assert_int_equal(events_folders(f.events), 0);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_happened_before_it_is_known_is_told_then),
        cmocka_unit_test(too_much_of_it_is_told_as_an_overflow),
        cmocka_unit_test(a_forgotten_folder_is_silent),
        cmocka_unit_test(a_removed_folder_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
