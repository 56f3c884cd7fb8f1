/* What bandwidth.busy_command says, and what it never gets to see. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#include "agent/service/busy.h"

enum { GUARD_MS = 30000, EVERY_MS = 20 };

struct fixture {
    char root[64], script[128], said[128];
    uv_loop_t loop;
    uv_timer_t guard;
    struct busy *busy;
    int changes;
    bool so;
    bool overtime;
};

static void on_changed(void *ctx)
{
    struct fixture *f = ctx;
    f->changes += busy_is_so(f->busy) != f->so;
    f->so = busy_is_so(f->busy);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    strcpy(f->root, "/tmp/busy-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    snprintf(f->script, sizeof f->script, "%s/calls busy", f->root);
    snprintf(f->said, sizeof f->said, "%s/said", f->root);
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->guard);
    f->guard.data = f;
    f->busy = busy_new(&f->loop, on_changed, f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    busy_stop(f->busy);
    while (!busy_is_idle(f->busy)) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    busy_close(f->busy);
    uv_close((uv_handle_t *)&f->guard, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    unlink(f->script);
    unlink(f->said);
    rmdir(f->root);
    free(f);
    return 0;
}

/* The program is this shell script; renamed into place, so that no run meets half of it. */
static void write_script(const struct fixture *f, const char *text)
{
    char fresh[160];
    snprintf(fresh, sizeof fresh, "%s.new", f->script);
    FILE *file = fopen(fresh, "w");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\n%s\n", text);
    fclose(file);
    assert_int_equal(chmod(fresh, 0700), 0);
    assert_int_equal(rename(fresh, f->script), 0);
}

static void begin(struct fixture *f)
{
    char *command[] = {f->script, (char *)"two words", (char *)"$HOME"};
    busy_configure(f->busy, command, 3, EVERY_MS);
    f->so = busy_is_so(f->busy);
}

static void on_guard(uv_timer_t *timer)
{
    ((struct fixture *)timer->data)->overtime = true;
}

/* Until its words hold these; "" until they are empty. */
static void until_it_says(struct fixture *f, const char *words)
{
    f->overtime = false;
    uv_timer_start(&f->guard, on_guard, GUARD_MS, 0);
    while (words[0] != '\0' ? strstr(busy_words(f->busy), words) == NULL
                            : busy_words(f->busy)[0] != '\0') {
        uv_run(&f->loop, UV_RUN_ONCE);
        if (f->overtime) {
            fail_msg("never \"%s\", but \"%s\"", words, busy_words(f->busy));
        }
    }
    uv_timer_stop(&f->guard);
}

static char *read_said(const struct fixture *f)
{
    static char text[65536];
    FILE *file = fopen(f->said, "r");
    size_t n = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;
    text[n] = '\0';
    if (file != NULL) {
        fclose(file);
    }
    return text;
}

/* Or nobody has asked for its end yet. */
static bool is_dead(int process)
{
    char path[64], state = 'Z';
    snprintf(path, sizeof path, "/proc/%d/stat", process);
    FILE *file = fopen(path, "r");
    if (file != NULL) {
        assert_int_equal(fscanf(file, "%*d (sleep) %c", &state), 1);
        fclose(file);
    }
    return state == 'Z';
}

static void its_exit_status_decides(void **state)
{
    struct fixture *f = *state;
    assert_false(busy_is_so(f->busy));
    write_script(f, "exit 1");
    begin(f);
    assert_true(busy_is_so(f->busy)); /* until it has answered */
    until_it_says(f, "");
    assert_false(busy_is_so(f->busy));
    assert_int_equal(f->changes, 1);
    write_script(f, "exit 0");
    until_it_says(f, "calls are many");
    assert_true(busy_is_so(f->busy));
    assert_int_equal(f->changes, 2);
    write_script(f, "exit 1");
    until_it_says(f, "");
    assert_int_equal(f->changes, 3);
}

static void what_does_not_tell_counts_as_busy(void **state)
{
    struct fixture *f = *state;
    write_script(f, "exit 1");
    begin(f);
    until_it_says(f, "");
    write_script(f, "exit 3");
    until_it_says(f, "ended with 3");
    assert_true(busy_is_so(f->busy));
    write_script(f, "kill -TERM $$");
    until_it_says(f, "was ended by signal 15");
    unlink(f->script);
    until_it_says(f, "cannot be started: no such file");
    assert_true(busy_is_so(f->busy));
    assert_int_equal(f->changes, 2);
    write_script(f, "exit 1");
    until_it_says(f, "");
}

static void one_that_does_not_end_is_killed_with_what_it_started(void **state)
{
    struct fixture *f = *state;
    char text[256];
    int child = 0;
    snprintf(text, sizeof text, "sleep 1000 & echo $! >'%s'; wait", f->said);
    write_script(f, text);
    begin(f);
    until_it_says(f, "did not end within 5 s");
    assert_true(busy_is_so(f->busy));
    assert_int_equal(sscanf(read_said(f), "%d", &child), 1);
    write_script(f, "exit 1");
    until_it_says(f, "");
    for (int i = 0; !is_dead(child); i++) { /* a signal takes its time */
        assert_true(i < GUARD_MS / 10);
        uv_sleep(10);
    }
}

static void it_gets_its_arguments_and_nothing_of_ours(void **state)
{
    struct fixture *f = *state;
    char text[512];
    setenv("CHORUS_API_TOKEN", "secret-of-ours", 1);
    int open_for_all = open("/etc/passwd", O_RDONLY);
    assert_true(open_for_all >= 3);
    snprintf(text, sizeof text,
             "{ env; ls -l /proc/$$/fd; pwd; printf '<%%s>' \"$@\"; } >'%s.new'\n"
             "mv '%s.new' '%s'\nexit 1",
             f->said, f->said, f->said);
    write_script(f, text);
    begin(f);
    until_it_says(f, "");
    const char *said = read_said(f);
    assert_non_null(strstr(said, "LC_ALL=C\n"));
    assert_non_null(strstr(said, "<two words><$HOME>"));
    assert_null(strstr(said, "secret-of-ours"));
    assert_null(strstr(said, "CHORUS"));
    assert_null(strstr(said, "HOME="));
    assert_null(strstr(said, "/etc/passwd"));
    assert_null(strstr(said, "eventpoll"));
    assert_non_null(strstr(said, "/dev/null"));
    close(open_for_all);
    unsetenv("CHORUS_API_TOKEN");
}

static void another_configuration_holds_at_once(void **state)
{
    struct fixture *f = *state;
    write_script(f, "sleep 1000");
    begin(f);
    uv_run(&f->loop, UV_RUN_ONCE);
    busy_configure(f->busy, NULL, 0, EVERY_MS);
    assert_false(busy_is_so(f->busy));
    assert_string_equal(busy_words(f->busy), "");
    write_script(f, "exit 1");
    begin(f);
    assert_true(busy_is_so(f->busy));
    until_it_says(f, "");
    begin(f); /* the same again */
    assert_false(busy_is_so(f->busy));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(its_exit_status_decides, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_does_not_tell_counts_as_busy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_does_not_end_is_killed_with_what_it_started,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_gets_its_arguments_and_nothing_of_ours, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(another_configuration_holds_at_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
