/* Opening: what is a ledger, what is not, and what is left untouched. */
#include "tests/unit/ledger/ledger_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "agent/base/mem.h"

/* A folder without a ledger. */
static int dir_open(void **state)
{
    char dir[] = "/tmp/chorus-ledger-XXXXXX";
    if (mkdtemp(dir) == NULL)
        return -1;
    *state = mem_string(dir);
    return 0;
}

static int dir_close(void **state)
{
    char *command = mem_printf("rm -rf '%s'", (char *)*state);
    int error = system(command);
    free(command);
    free(*state);
    return error;
}

static int try_to_open(const char *dir, enum ledger_mode mode, const char *words)
{
    struct ledger *ledger = NULL;
    char *why = NULL;
    int error = ledger_open(dir, mode, &ledger, &why);
    if (error == 0)
        ledger_close(ledger);
    else if (words != NULL)
        assert_non_null(strstr(why, words));
    free(why);
    return error;
}

static char *file_in(const char *dir)
{
    return mem_printf("%s/ledger.db", dir);
}

static void sql(const char *dir, const char *statements)
{
    sqlite3 *db;
    char *file = file_in(dir);
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, statements, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    free(file);
}

static size_t slurp(const char *dir, char *bytes, size_t room)
{
    char *file = file_in(dir);
    FILE *f = fopen(file, "rb");
    assert_non_null(f);
    size_t n = fread(bytes, 1, room, f);
    fclose(f);
    free(file);
    return n;
}

static void spill(const char *dir, const char *bytes, size_t n)
{
    char *file = file_in(dir);
    FILE *f = fopen(file, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
    free(file);
}

static void made_where_there_is_none(void **state)
{
    struct room *room = *state;
    assert_int_equal(number(room, "PRAGMA application_id"), 0x63686f72);
    assert_int_equal(number(room, "PRAGMA user_version"), 1);
    assert_int_equal(number(room, "SELECT count(*) FROM watch"), 1);
    assert_int_equal(try_to_open(room->dir, LEDGER_READ, NULL), 0);
}

static void durable_as_promised(void **state)
{
    struct room *room = *state;
    char file[96], head[20];
    snprintf(file, sizeof file, "%s/ledger.db", room->dir);
    FILE *f = fopen(file, "rb");
    assert_non_null(f);
    assert_int_equal(fread(head, 1, sizeof head, f), sizeof head);
    fclose(f);
    assert_int_equal(head[18], 2); /* the file format's mark of WAL */
    assert_int_equal(head[19], 2);
}

static void readers_find_nothing_before_it_is_made(void **state)
{
    assert_int_equal(try_to_open(*state, LEDGER_READ, NULL), -ENOENT);
    spill(*state, "", 0); /* just being made */
    assert_int_equal(try_to_open(*state, LEDGER_READ, NULL), -ENOENT);
    assert_int_equal(try_to_open(*state, LEDGER_WRITE, NULL), 0);
    assert_int_equal(try_to_open(*state, LEDGER_READ, NULL), 0);
}

static void no_folder_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(try_to_open("/nonexistent/folder", LEDGER_WRITE, NULL), -ENOENT);
}

static void another_programs_database_is_left_untouched(void **state)
{
    char before[65536], after[65536];
    sql(*state, "CREATE TABLE mine(x); INSERT INTO mine VALUES(1); PRAGMA application_id = 77;");
    size_t n = slurp(*state, before, sizeof before);
    assert_int_equal(try_to_open(*state, LEDGER_WRITE, "is not a ledger"), -EUCLEAN);
    assert_int_equal(try_to_open(*state, LEDGER_READ, "is not a ledger"), -EUCLEAN);
    assert_int_equal(slurp(*state, after, sizeof after), n);
    assert_memory_equal(before, after, n);
}

static void a_database_without_our_mark_is_no_ledger(void **state)
{
    sql(*state, "CREATE TABLE recording(x)");
    assert_int_equal(try_to_open(*state, LEDGER_WRITE, "is not a ledger"), -EUCLEAN);
}

static void any_other_file_is_no_ledger(void **state)
{
    char text[8192];
    memset(text, 'x', sizeof text);
    spill(*state, text, sizeof text);
    assert_int_equal(try_to_open(*state, LEDGER_WRITE, "is not a ledger"), -EUCLEAN);
    assert_int_equal(try_to_open(*state, LEDGER_READ, "is not a ledger"), -EUCLEAN);
}

static void a_newer_ledger_is_left_untouched(void **state)
{
    static char before[300000], after[300000];
    assert_int_equal(try_to_open(*state, LEDGER_WRITE, NULL), 0);
    sql(*state, "CREATE TABLE of_the_future(x); PRAGMA user_version = 99;");
    size_t n = slurp(*state, before, sizeof before);
    assert_int_equal(try_to_open(*state, LEDGER_WRITE, "another version"), -EPROTO);
    assert_int_equal(try_to_open(*state, LEDGER_READ, "another version"), -EPROTO);
    assert_int_equal(slurp(*state, after, sizeof after), n);
    assert_memory_equal(before, after, n);
}

static void a_version_that_never_was_is_left_untouched(void **state)
{
    assert_int_equal(try_to_open(*state, LEDGER_WRITE, NULL), 0);
    sql(*state, "PRAGMA user_version = -1;");
    assert_int_equal(try_to_open(*state, LEDGER_WRITE, "another version"), -EPROTO);
    assert_int_equal(try_to_open(*state, LEDGER_READ, "another version"), -EPROTO);
}

/* Empty, but not ours: another program has numbered it. */
static void an_empty_database_with_a_version_is_another_programs(void **state)
{
    sql(*state, "PRAGMA user_version = 7;");
    assert_int_equal(try_to_open(*state, LEDGER_WRITE, "is not a ledger"), -EUCLEAN);
}

/* SQLite would keep a log beside each name. */
static void a_ledger_with_two_names_is_not_written(void **state)
{
    char *file = file_in(*state), *second = mem_printf("%s/second.db", (char *)*state);
    struct ledger *ledger;
    assert_int_equal(try_to_open(*state, LEDGER_WRITE, NULL), 0);
    assert_int_equal(link(file, second), 0);
    assert_int_equal(try_to_open(*state, LEDGER_WRITE, "hard links"), -ENOTSUP);
    assert_int_equal(ledger_open(*state, LEDGER_WRITE, &ledger, NULL), -ENOTSUP);
    assert_int_equal(try_to_open(*state, LEDGER_READ, NULL), 0);
    unlink(second);
    assert_int_equal(try_to_open(*state, LEDGER_WRITE, NULL), 0);
    free(file);
    free(second);
}

static void a_watch_is_its_name_and_path(void **state)
{
    struct room *room = *state;
    struct ledger_watch again, moved;
    ledger_watch(room->ledger, "calls", ROOT, NOW + DAY, 0, &again);
    assert_int_equal(again.id, room->watch);
    assert_int_equal(again.first_start_ms, NOW); /* of the first time */
    assert_false(again.first_scan_done);
    ledger_first_scan_done(room->ledger, again.id);
    ledger_watch(room->ledger, "calls", ROOT "/other", NOW + DAY, 0, &moved);
    assert_int_not_equal(moved.id, room->watch);
    assert_int_equal(moved.first_start_ms, NOW + DAY);
    assert_false(moved.first_scan_done);
    char *name, *path;
    assert_true(ledger_watch_by_id(room->ledger, moved.id, &name, &path));
    assert_string_equal(name, "calls");
    assert_string_equal(path, ROOT "/other");
    free(name);
    free(path);
    commit(room);
    open_again(room);
    ledger_watch(room->ledger, "calls", ROOT, NOW, 0, &again);
    assert_true(again.first_scan_done);
}

static void when_a_ledger_was_lost_is_kept_from_the_first_time(void **state)
{
    struct room *room = *state;
    struct ledger_watch watch;
    ledger_watch(room->ledger, "known before", ROOT "/2", NOW, NOW + DAY, &watch);
    assert_int_equal(watch.lost_ms, NOW + DAY);
    ledger_watch(room->ledger, "known before", ROOT "/2", NOW, NOW + 2 * DAY, &watch);
    assert_int_equal(watch.lost_ms, NOW + DAY);
    ledger_watch(room->ledger, "calls", ROOT, NOW, NOW + DAY, &watch);
    assert_int_equal(watch.lost_ms, 0);
}

static void a_broken_ledger_is_moved_aside(void **state)
{
    char *name = NULL;
    spill(*state, "broken", 6);
    assert_int_equal(ledger_set_aside(*state, NOW, &name), 0);
    assert_non_null(strstr(name, "ledger.corrupt-"));
    assert_int_equal(try_to_open(*state, LEDGER_READ, NULL), -ENOENT);
    assert_int_equal(try_to_open(*state, LEDGER_WRITE, NULL), 0);
    /* where its place is taken it stays, and that is told */
    assert_int_equal(unlink(name), 0);
    assert_int_equal(mkdir(name, 0700), 0);
    free(name);
    assert_int_equal(ledger_set_aside(*state, NOW, &name), -EISDIR);
    free(name);
    assert_int_equal(try_to_open(*state, LEDGER_READ, NULL), 0);
}

static void damage_is_found_at_the_start_after_a_crash(void **state)
{
    char junk[4096];
    memset(junk, 'x', sizeof junk);
    assert_int_equal(try_to_open(*state, LEDGER_WRITE, NULL), 0);
    char *file = file_in(*state);
    int fd = open(file, O_WRONLY);
    assert_int_equal(pwrite(fd, junk, sizeof junk, 20 * 4096), sizeof junk);
    close(fd);
    free(file);
    assert_int_equal(try_to_open(*state, LEDGER_WRITE, NULL), 0); /* it was closed in order */
    sql(*state, "UPDATE counter SET n = 0 WHERE name = 'clean'");
    assert_int_equal(try_to_open(*state, LEDGER_WRITE, "broken"), -EUCLEAN);
}

static void to_close_none_is_nothing(void **state)
{
    (void)state;
    ledger_close(NULL);
}

static void what_was_not_committed_is_gone_after_a_crash(void **state)
{
    struct room *room = *state;
    take(room, ROOT "/a.wav", 'A');
    commit(room);
    take(room, ROOT "/b.wav", 'B');
    assert_true(ledger_is_dirty(room->ledger));
    open_again(room);
    assert_false(ledger_is_dirty(room->ledger));
    assert_int_equal(count_of(room, STATE_QUEUED), 1);
    assert_int_equal(recording_of(room, 'B'), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(made_where_there_is_none, room_open, room_close),
        cmocka_unit_test_setup_teardown(durable_as_promised, room_open, room_close),
        cmocka_unit_test_setup_teardown(readers_find_nothing_before_it_is_made, dir_open,
                                        dir_close),
        cmocka_unit_test(no_folder_is_an_error),
        cmocka_unit_test(to_close_none_is_nothing),
        cmocka_unit_test_setup_teardown(damage_is_found_at_the_start_after_a_crash, dir_open,
                                        dir_close),
        cmocka_unit_test_setup_teardown(another_programs_database_is_left_untouched, dir_open,
                                        dir_close),
        cmocka_unit_test_setup_teardown(a_database_without_our_mark_is_no_ledger, dir_open,
                                        dir_close),
        cmocka_unit_test_setup_teardown(any_other_file_is_no_ledger, dir_open, dir_close),
        cmocka_unit_test_setup_teardown(a_newer_ledger_is_left_untouched, dir_open, dir_close),
        cmocka_unit_test_setup_teardown(a_watch_is_its_name_and_path, room_open, room_close),
        cmocka_unit_test_setup_teardown(when_a_ledger_was_lost_is_kept_from_the_first_time,
                                        room_open, room_close),
        cmocka_unit_test_setup_teardown(a_broken_ledger_is_moved_aside, dir_open, dir_close),
        cmocka_unit_test_setup_teardown(what_was_not_committed_is_gone_after_a_crash, room_open,
                                        room_close),
        cmocka_unit_test_setup_teardown(a_version_that_never_was_is_left_untouched, dir_open,
                                        dir_close),
        cmocka_unit_test_setup_teardown(an_empty_database_with_a_version_is_another_programs,
                                        dir_open, dir_close),
        cmocka_unit_test_setup_teardown(a_ledger_with_two_names_is_not_written, dir_open,
                                        dir_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
