/* Care: stories are thinned and facts stay; a backup is a ledger; a damaged one is found. */
#include "tests/unit/ledger/ledger_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define A ROOT "/a.wav"
#define B ROOT "/b.wav"

#define in_a_room(test) cmocka_unit_test_setup_teardown(test, room_open, room_close)

static int64_t lines_of(struct room *room)
{
    return number(room, "SELECT count(*) FROM story");
}

static void thin(struct room *room, int64_t before_ms, size_t most)
{
    for (int64_t after = 0;;) {
        after = ledger_thin_stories(room->ledger, before_ms, after, most);
        commit(room);
        if (after == 0)
            break;
    }
    check_counts(room);
}

/* One uploaded, with a duplicate; one skipped; one still queued. All long ago. */
static void live(struct room *room)
{
    struct said said = yes;
    said.call_key = "call-1";
    take_as(room, A, 'A', &said);
    take(room, ROOT "/again.wav", 'A');
    upload(room, recording_of(room, 'A'));
    leave_out(room, ROOT "/empty.wav", 'E', SKIP_EMPTY);
    take(room, B, 'B');
    commit(room);
}

static void stories_are_thinned_and_facts_stay(void **state)
{
    struct room *room = *state;
    live(room);
    assert_true(lines_of(room) >= 5);
    struct listed before = listed(room, A);
    thin(room, NOW + 400 * DAY, 2);
    assert_int_equal(number(room, "SELECT count(*) FROM story AS s JOIN path AS p ON p.id = s.path"
                                  " WHERE p.path = CAST('" B "' AS BLOB)"),
                     lines_of(room));
    assert_true(lines_of(room) > 0); /* what is on its way keeps its story */
    struct listed after = listed(room, A);
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(listed(room, ROOT "/again.wav").state, STATE_DUPLICATE);
    assert_int_equal(listed(room, ROOT "/empty.wav").state, STATE_SKIPPED);
    /* and it is known again */
    struct ledger_admission admission = take(room, ROOT "/third.wav", 'A');
    assert_int_equal(admission.kind, ADMIT_DUPLICATE);
}

static void what_is_young_stays(void **state)
{
    struct room *room = *state;
    live(room);
    int64_t lines = lines_of(room);
    thin(room, NOW, 100);
    assert_int_equal(lines_of(room), lines);
}

static void a_backup_is_a_ledger(void **state)
{
    struct room *room = *state;
    char dir[] = "/tmp/chorus-backup-XXXXXX", file[64], *why;
    struct ledger *copy;
    struct ledger_counts counts;
    live(room);
    assert_non_null(mkdtemp(dir));
    snprintf(file, sizeof file, "%s/ledger.db", dir);
    FILE *stream = fopen(file, "w");
    fclose(stream);
    assert_int_equal(ledger_backup(room->ledger, file, &why), 0);
    assert_null(why);
    assert_int_equal(ledger_open(dir, LEDGER_WRITE, &copy, &why), 0);
    assert_true(ledger_is_sound(copy, &why));
    ledger_count(copy, &counts);
    assert_int_equal(counts.state[STATE_UPLOADED], 1);
    assert_int_equal(counts.state[STATE_QUEUED], 1);
    /* and it knows that it is one, until that was minded */
    assert_false(ledger_restored(room->ledger, NOW));
    assert_true(ledger_restored(copy, NOW));
    assert_false(ledger_restored(copy, NOW));
    assert_int_equal(ledger_commit(copy), 0);
    ledger_close(copy);
    unlink(file);
    rmdir(dir);
}

/* What is still to be sent may have been sent since the backup was made. */
static void of_a_backup_put_back_nothing_goes_without_a_key(void **state)
{
    struct room *room = *state;
    struct said keyless = yes;
    struct ledger_watch watch;
    keyless.key_kind = KEY_NONE;
    int64_t with = take(room, A, 'A').recording;
    int64_t without = take_as(room, B, 'B', &keyless).recording;
    commit(room);
    meddle(room, "INSERT INTO counter VALUES('backup', 1)");
    assert_true(ledger_restored(room->ledger, NOW + DAY));
    assert_int_equal(state_of(room, with), STATE_QUEUED);
    assert_int_equal(state_of(room, without), STATE_HELD);
    ledger_watch(room->ledger, "calls", ROOT, NOW, 0, &watch);
    assert_int_equal(watch.lost_ms, NOW + DAY);
}

static void a_backup_that_cannot_be_written_says_why(void **state)
{
    struct room *room = *state;
    char *why;
    live(room);
    assert_true(ledger_backup(room->ledger, "/nonesuch/ledger.db", &why) < 0);
    assert_non_null(why);
    free(why);
}

/* An index that lacks a row is found by a whole check. */
static void damage_is_found(void **state)
{
    struct room *room = *state;
    char *why;
    live(room);
    assert_true(ledger_is_sound(room->ledger, &why));
    assert_null(why);
    meddle(room, "PRAGMA writable_schema = 1; UPDATE sqlite_master SET sql ="
                 " 'CREATE INDEX story_of_path ON story(at_ms)' WHERE name = 'story_of_path'");
    open_again(room);
    assert_false(ledger_is_sound(room->ledger, &why));
    assert_non_null(why);
    free(why);
    meddle(room, "PRAGMA writable_schema = 1; UPDATE sqlite_master SET sql ="
                 " 'CREATE INDEX story_of_path ON story(path)' WHERE name = 'story_of_path'");
    open_again(room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_a_room(stories_are_thinned_and_facts_stay),
        in_a_room(what_is_young_stays),
        in_a_room(a_backup_is_a_ledger),
        in_a_room(of_a_backup_put_back_nothing_goes_without_a_key),
        in_a_room(a_backup_that_cannot_be_written_says_why),
        in_a_room(damage_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
