/* The file that outlives the ledger: what was cut by a crash is passed over, the rest holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/mem.h"
#include "agent/service/tombstones.h"

struct room {
    char dir[32];
    char *file;
    struct ledger_tombstone read[64];
    int generations[64];
    size_t count, odd;
};

static int room_open(void **state)
{
    struct room *room = mem_zalloc(sizeof *room);
    strcpy(room->dir, "/tmp/chorus-tomb-XXXXXX");
    if (mkdtemp(room->dir) == NULL)
        return -1;
    room->file = mem_printf("%s/tombstones", room->dir);
    *state = room;
    return 0;
}

static int room_close(void **state)
{
    struct room *room = *state;
    unlink(room->file);
    rmdir(room->dir);
    free(room->file);
    free(room);
    return 0;
}

static void take(void *ctx, const struct ledger_tombstone *tombstone, int generation)
{
    struct room *room = ctx;
    assert_true(room->count < 64);
    room->read[room->count] = *tombstone;
    room->generations[room->count++] = generation;
}

static void read_all(struct room *room)
{
    room->count = 0;
    assert_int_equal(tombstones_read(room->dir, take, room, &room->odd), 0);
}

static struct ledger_tombstone one(uint8_t byte, bool is_call)
{
    struct ledger_tombstone tombstone = {.is_call = is_call};
    memset(tombstone.hash, byte, sizeof tombstone.hash);
    return tombstone;
}

static void append_text(const struct room *room, const char *text)
{
    FILE *file = fopen(room->file, "a");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void cut_to(const struct room *room, off_t left_out)
{
    struct stat st;
    assert_int_equal(stat(room->file, &st), 0);
    assert_int_equal(truncate(room->file, st.st_size - left_out), 0);
}

static void expect(const struct room *room, size_t i, uint8_t byte, bool is_call, int generation)
{
    struct ledger_tombstone wanted = one(byte, is_call);
    assert_true(i < room->count);
    assert_int_equal(room->read[i].is_call, is_call);
    assert_memory_equal(room->read[i].hash, wanted.hash, sizeof wanted.hash);
    assert_int_equal(room->generations[i], generation);
}

static void what_is_appended_is_read_in_order(void **state)
{
    struct room *room = *state;
    struct ledger_tombstone two[] = {one(1, false), one(2, true)};
    read_all(room);
    assert_int_equal(room->count, 0);
    assert_int_equal(tombstones_append(room->dir, two, 2, 0), 0);
    assert_int_equal(tombstones_append(room->dir, two, 2, 12), 0);
    assert_int_equal(tombstones_append(room->dir, two, 0, 0), 0);
    assert_int_equal(tombstones_append(room->dir, two, 1, 0), 0);
    read_all(room);
    assert_int_equal(room->count, 5);
    assert_int_equal(room->odd, 0);
    expect(room, 0, 1, false, 0);
    expect(room, 1, 2, true, 0);
    expect(room, 2, 1, false, 12);
    expect(room, 3, 2, true, 12);
    expect(room, 4, 1, false, 0);
}

static void nobody_else_may_read_it(void **state)
{
    struct room *room = *state;
    struct ledger_tombstone tombstone = one(1, false);
    struct stat st;
    assert_int_equal(tombstones_append(room->dir, &tombstone, 1, 0), 0);
    assert_int_equal(stat(room->file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

/* Wherever the last line is cut: it counts for nothing, and the next one is whole. */
static void a_cut_line_counts_for_nothing(void **state)
{
    struct room *room = *state;
    struct ledger_tombstone a = one(0x11, false), b = one(0x22, true), c = one(0x33, false);
    for (off_t left_out = 1; left_out <= 73; left_out++) {
        unlink(room->file);
        assert_int_equal(tombstones_append(room->dir, &a, 1, 0), 0);
        assert_int_equal(tombstones_append(room->dir, &b, 1, 10), 0);
        cut_to(room, left_out);
        read_all(room);
        assert_int_equal(room->count, 1);
        assert_int_equal(room->odd, 1);
        assert_int_equal(tombstones_append(room->dir, &c, 1, 0), 0);
        read_all(room);
        /* without its end alone it says all that it said */
        assert_int_equal(room->count, left_out == 1 ? 3 : 2);
        expect(room, 0, 0x11, false, 0);
        expect(room, room->count - 1, 0x33, false, 0);
    }
}

static void odd_lines_are_counted_and_passed_over(void **state)
{
    struct room *room = *state;
    struct ledger_tombstone a = one(0x11, false);
    assert_int_equal(tombstones_append(room->dir, &a, 1, 0), 0);
    append_text(room, "nonsense\nblock md5 11\nblock sha256 11\nlift x sha256 11\nlift 0 call 11\n"
                      "lift 2\nlift 99999999999 sha256 11\n");
    append_text(room, "chorus-agent tombstones 1\n\n");
    assert_int_equal(tombstones_append(room->dir, &a, 1, 3), 0);
    read_all(room);
    assert_int_equal(room->count, 2);
    assert_int_equal(room->odd, 8);
}

static void a_cut_header_does_not_matter(void **state)
{
    struct room *room = *state;
    struct ledger_tombstone a = one(0x11, false);
    append_text(room, "chorus-agent tomb");
    assert_int_equal(tombstones_append(room->dir, &a, 1, 0), 0);
    read_all(room);
    assert_int_equal(room->count, 1);
    assert_int_equal(room->odd, 1);
}

static void what_cannot_be_written_or_read_is_told(void **state)
{
    struct room *room = *state;
    struct ledger_tombstone a = one(0x11, false);
    assert_int_equal(mkdir(room->file, 0700), 0);
    assert_true(tombstones_append(room->dir, &a, 1, 0) < 0);
    assert_true(tombstones_read(room->dir, take, room, &room->odd) < 0);
    rmdir(room->file);
    /* never through a link */
    assert_int_equal(symlink("/dev/null", room->file), 0);
    assert_true(tombstones_append(room->dir, &a, 1, 0) < 0);
}

int main(void)
{
#define IN_A_ROOM(test) cmocka_unit_test_setup_teardown(test, room_open, room_close)
    const struct CMUnitTest tests[] = {
        IN_A_ROOM(what_is_appended_is_read_in_order),
        IN_A_ROOM(nobody_else_may_read_it),
        IN_A_ROOM(a_cut_line_counts_for_nothing),
        IN_A_ROOM(odd_lines_are_counted_and_passed_over),
        IN_A_ROOM(a_cut_header_does_not_matter),
        IN_A_ROOM(what_cannot_be_written_or_read_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
