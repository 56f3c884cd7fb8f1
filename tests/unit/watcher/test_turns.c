/* Whose turn it is, and when nobody's: places, hanging ones, I/O pressure, load. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#include "watcher/turns.h"

enum { TURNS = 4, GUARD_MS = 30000 };

struct fixture {
    char proc[64];
    uv_loop_t loop;
    uv_timer_t guard;
    struct turns *turns;
    struct turn all[TURNS];
    int gone[TURNS], order[16], count;
    int changes;
};

static void tell(const struct fixture *f, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", f->proc, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void go(struct turn *turn)
{
    struct fixture *f = turn->ctx;
    f->order[f->count++] = (int)(turn - f->all);
    f->gone[turn - f->all]++;
}

static void changed(void *ctx)
{
    ((struct fixture *)ctx)->changes++;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char path[128];
    strcpy(f->proc, "/tmp/turns-XXXXXX");
    assert_non_null(mkdtemp(f->proc));
    snprintf(path, sizeof path, "%s/pressure", f->proc);
    assert_int_equal(mkdir(path, 0700), 0);
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->guard);
    f->guard.data = f;
    for (int i = 0; i < TURNS; i++) {
        f->all[i] = (struct turn){.go = go, .ctx = f};
    }
    *state = f;
    return 0;
}

static void begin(struct fixture *f, int max_load)
{
    const struct turns_options options = {max_load, f->proc};
    assert_int_equal(turns_new(&f->loop, &options, changed, f, &f->turns), 0);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char path[160];
    for (int i = 0; i < TURNS && f->turns; i++) {
        turns_give_back(f->turns, &f->all[i]);
    }
    if (f->turns) {
        turns_close(f->turns);
    }
    uv_close((uv_handle_t *)&f->guard, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    snprintf(path, sizeof path, "%s/pressure/io", f->proc);
    unlink(path);
    snprintf(path, sizeof path, "%s/loadavg", f->proc);
    unlink(path);
    snprintf(path, sizeof path, "%s/pressure", f->proc);
    rmdir(path);
    rmdir(f->proc);
    free(f);
    return 0;
}

static void on_guard(uv_timer_t *timer)
{
    ((struct fixture *)timer->data)->count = -1;
}

static void until_gone(struct fixture *f, int turn)
{
    uv_timer_start(&f->guard, on_guard, GUARD_MS, 0);
    while (f->gone[turn] == 0) {
        uv_run(&f->loop, UV_RUN_ONCE);
        assert_true(f->count >= 0);
    }
    uv_timer_stop(&f->guard);
}

static void two_at_a_time_in_the_order_asked(void **state)
{
    struct fixture *f = *state;
    begin(f, 0);
    assert_true(turns_ask(f->turns, &f->all[0], TURN_BULK));
    assert_true(turns_ask(f->turns, &f->all[1], TURN_LOOK));
    assert_false(turns_ask(f->turns, &f->all[2], TURN_BULK));
    assert_false(turns_ask(f->turns, &f->all[3], TURN_LOOK));
    assert_true(turns_ask(f->turns, &f->all[1], TURN_BULK)); /* still out */
    assert_int_equal(f->count, 0);
    turns_give_back(f->turns, &f->all[1]);
    turns_give_back(f->turns, &f->all[0]);
    assert_int_equal(f->count, 2);
    assert_int_equal(f->order[0], 2);
    assert_int_equal(f->order[1], 3);
    assert_int_equal(f->changes, 0);
}

static void who_no_longer_waits_is_passed_over(void **state)
{
    struct fixture *f = *state;
    begin(f, 0);
    assert_true(turns_ask(f->turns, &f->all[0], TURN_BULK));
    assert_true(turns_ask(f->turns, &f->all[1], TURN_BULK));
    assert_false(turns_ask(f->turns, &f->all[2], TURN_BULK));
    assert_false(turns_ask(f->turns, &f->all[3], TURN_BULK));
    turns_give_back(f->turns, &f->all[2]);
    turns_give_back(f->turns, &f->all[0]);
    assert_int_equal(f->count, 1);
    assert_int_equal(f->order[0], 3);
}

/* Two dead mounts keep nobody waiting for long; one that moves keeps its place. */
static void hanging_ones_do_not_count(void **state)
{
    struct fixture *f = *state;
    begin(f, 0);
    assert_true(turns_ask(f->turns, &f->all[0], TURN_BULK));
    assert_true(turns_ask(f->turns, &f->all[1], TURN_BULK));
    assert_false(turns_ask(f->turns, &f->all[2], TURN_BULK));
    uv_sleep(TURNS_STILL_MS / 2);
    turn_moved(&f->all[1]);
    until_gone(f, 2);
    assert_false(turns_ask(f->turns, &f->all[3], TURN_BULK)); /* 1 and 2 are out */
    turns_give_back(f->turns, &f->all[0]); /* it came back: no place of its own */
    assert_int_equal(f->gone[3], 0);
    turns_give_back(f->turns, &f->all[2]);
    assert_int_equal(f->gone[3], 1);
}

static void under_pressure_one_at_a_time_with_rests(void **state)
{
    struct fixture *f = *state;
    tell(f, "pressure/io", "some avg10=35.50 avg60=1.00 avg300=0.00 total=1\nfull avg10=0.00\n");
    begin(f, 0);
    assert_true(turns_ask(f->turns, &f->all[0], TURN_BULK));
    assert_int_equal(turns_verdict(f->turns), PRESSURE_SLOW);
    assert_int_equal(f->changes, 1);
    assert_non_null(strstr(turns_words(f->turns), "35.50 %"));
    assert_false(turns_ask(f->turns, &f->all[1], TURN_BULK));
    assert_true(turns_ask(f->turns, &f->all[2], TURN_LOOK));
    assert_false(turns_ask(f->turns, &f->all[2], TURN_BULK)); /* a look becomes no scan */
    uv_sleep(50);
    turns_give_back(f->turns, &f->all[0]);
    assert_int_equal(f->count, 0); /* it rests first */
    assert_false(turns_bulk_is_open(f->turns));
    uv_update_time(&f->loop);
    uint64_t before = uv_now(&f->loop);
    until_gone(f, 1);
    assert_true(uv_now(&f->loop) - before >= 5 * 50);
}

static void above_the_load_only_looks_go(void **state)
{
    struct fixture *f = *state;
    tell(f, "loadavg", "4.51 3.00 2.00 1/100 4711\n");
    begin(f, 450);
    assert_false(turns_ask(f->turns, &f->all[0], TURN_BULK));
    assert_true(turns_ask(f->turns, &f->all[1], TURN_LOOK));
    assert_int_equal(turns_verdict(f->turns), PRESSURE_STOP);
    assert_non_null(strstr(turns_words(f->turns), "4.51 is above max_load 4.50"));
    tell(f, "loadavg", "4.00 3.00 2.00 1/100 4711\n");
    until_gone(f, 0);
    assert_int_equal(turns_verdict(f->turns), PRESSURE_NONE);
    assert_string_equal(turns_words(f->turns), "");
    assert_int_equal(f->changes, 2);
}

static void a_new_limit_holds_at_once(void **state)
{
    struct fixture *f = *state;
    tell(f, "loadavg", "4.51 3.00 2.00 1/100 4711\n");
    begin(f, 450);
    assert_false(turns_ask(f->turns, &f->all[0], TURN_BULK));
    turns_configure(f->turns, &(struct turns_options){460, f->proc});
    assert_int_equal(f->gone[0], 1);
}

static void judged_with_some_slack(void **state)
{
    (void)state;
    const struct {
        struct pressure now;
        int max_load;
        enum pressure_verdict before, wanted;
    } cases[] = {
        {{-1, -1}, 100, PRESSURE_NONE, PRESSURE_NONE},
        {{-1, -1}, 100, PRESSURE_SLOW, PRESSURE_NONE},
        {{1999, 0}, 0, PRESSURE_NONE, PRESSURE_NONE},
        {{2000, 0}, 0, PRESSURE_NONE, PRESSURE_SLOW},
        {{1000, 0}, 0, PRESSURE_SLOW, PRESSURE_SLOW},
        {{999, 0}, 0, PRESSURE_SLOW, PRESSURE_NONE},
        {{0, 99999}, 0, PRESSURE_NONE, PRESSURE_NONE},
        {{0, 400}, 400, PRESSURE_NONE, PRESSURE_NONE},
        {{0, 401}, 400, PRESSURE_NONE, PRESSURE_STOP},
        {{0, 361}, 400, PRESSURE_STOP, PRESSURE_STOP},
        {{0, 360}, 400, PRESSURE_STOP, PRESSURE_NONE},
        {{9000, 401}, 400, PRESSURE_SLOW, PRESSURE_STOP},
        {{9000, 360}, 400, PRESSURE_STOP, PRESSURE_SLOW},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(pressure_judge(&cases[i].now, cases[i].max_load, cases[i].before),
                         cases[i].wanted);
    }
}

static void what_the_kernel_does_not_tell_is_not_known(void **state)
{
    struct fixture *f = *state;
    struct pressure pressure;
    pressure_read(f->proc, &pressure);
    assert_int_equal(pressure.io, -1);
    assert_int_equal(pressure.load, -1);
    tell(f, "pressure/io", "some avg10=");
    tell(f, "loadavg", "nan 1 1");
    pressure_read(f->proc, &pressure);
    assert_int_equal(pressure.io, -1);
    assert_int_equal(pressure.load, -1);
    tell(f, "pressure/io", "some avg10=0.07 avg60=0.00");
    tell(f, "loadavg", "12.34 1 1");
    pressure_read(f->proc, &pressure);
    assert_int_equal(pressure.io, 7);
    assert_int_equal(pressure.load, 1234);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_at_a_time_in_the_order_asked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_no_longer_waits_is_passed_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hanging_ones_do_not_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(under_pressure_one_at_a_time_with_rests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(above_the_load_only_looks_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_new_limit_holds_at_once, set_up, tear_down),
        cmocka_unit_test(judged_with_some_slack),
        cmocka_unit_test_setup_teardown(what_the_kernel_does_not_tell_is_not_known, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
