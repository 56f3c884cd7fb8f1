/*
 * Whatever statement of a transition fails, its commit fails, nothing of it is kept, and made again
 * it succeeds: so a caller need not look at anything but the commit. Each scenario runs once for
 * every statement that it makes, with that one failing.
 */
#include "tests/unit/ledger/ledger_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "agent/ledger/internal.h"
#include "tests/unit/ledger/statement_faults.h"

#define A ROOT "/a.wav"
#define B ROOT "/b.wav"
#define C ROOT "/c.wav"

#define in_a_room(test) cmocka_unit_test_setup_teardown(test, room_open, room_close)

/* All that is counted, told and numbered. */
static int64_t sum(struct room *room)
{
    return number(room, "SELECT (SELECT n FROM counter WHERE name = 'batch') * 1000000000"
                        " + (SELECT count(*) FROM story) * 1000000"
                        " + (SELECT count(*) FROM path) * 10000"
                        " + (SELECT coalesce(sum(state), 0) FROM recording)");
}

/* Runs `scenario` with each of its statements failing. */
static void each_fails(struct room *room, void (*before)(struct room *room),
                       void (*scenario)(struct room *room))
{
    long n = 0, made;
    do {
        n++;
        if (before != NULL)
            before(room);
        commit(room);
        int64_t was = sum(room);
        statement_fails(n, SQLITE_IOERR);
        scenario(room);
        int error = ledger_commit(room->ledger);
        made = statements_made();
        statement_fails(0, 0);
        if (made < n) {
            assert_int_equal(error, 0);
            break;
        }
        if (error == 0)
            print_error("statement %ld of %ld failed, and the commit did not\n", n, made);
        assert_int_equal(error, -EIO);
        assert_int_equal(sum(room), was);
        scenario(room);
        commit(room);
        assert_true(sum(room) != was);
    } while (n <= made);
    assert_true(n > 3);
}

/* --- taken in, sent, confirmed */

/* A letter that no round before had, so that each round takes in what is new. */
static int round_number;

static void next_round(struct room *room)
{
    round_number++;
    (void)room;
}

static const char *path_of_round(const char *stem)
{
    static char paths[4][64];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], ROOT "/%s-%d.wav", stem, round_number);
    return path;
}

static void admit(struct room *room, const char *path, struct ledger_admission *admission)
{
    uint8_t sha256[32] = {0};
    struct ledger_file file = file_at(room, path, 'A');
    memcpy(sha256, &round_number, sizeof round_number);
    sha256[31] = (uint8_t)path[sizeof ROOT];
    ledger_admit(room->ledger, &file, sha256, room->now_ms, admission);
}

static void take_in(struct room *room)
{
    struct ledger_admission one, again;
    static const struct resolution_field fields[] = {{(char *)"phone", (char *)"+49301234567"}};
    struct resolution resolution = {.outcome = RESOLVED,
                                    .key_kind = KEY_NONE,
                                    .owner = (char *)"team@example.com",
                                    .name = (char *)"a call",
                                    .fields = (struct resolution_field *)fields,
                                    .field_count = 1};
    admit(room, path_of_round("a"), &one);
    ledger_resolve(room->ledger, one.recording, one.path, &resolution, 5, 0, room->now_ms);
    admit(room, path_of_round("also"), &again);
    ledger_try_other_path(room->ledger, one.recording);
    ledger_absent(room->ledger, path_of_round("also"), room->now_ms);
}

static void whatever_fails_nothing_is_taken_in_by_halves(void **state)
{
    each_fails(*state, next_round, take_in);
}

static int64_t queued_id;

static void queue_one(struct room *room)
{
    next_round(room);
    struct ledger_admission admission;
    admit(room, path_of_round("b"), &admission);
    resolve(room, admission.recording, admission.path, &yes);
    queued_id = admission.recording;
}

static void send(struct room *room)
{
    struct plan_move lost = {
        .to = STATE_UNCERTAIN, .was_uncertain = true, .next_attempt_ms = NOW + S, .reason = "lost"};
    ledger_intend(room->ledger, queued_id, room->now_ms);
    ledger_move(room->ledger, queued_id, &lost, room->now_ms);
    ledger_intend(room->ledger, queued_id, room->now_ms);
    struct plan_move accepted = {.to = STATE_UPLOADED, .engagement_id = "e", .reason = "accepted"};
    ledger_move(room->ledger, queued_id, &accepted, room->now_ms);
}

static void whatever_fails_no_attempt_is_recorded_by_halves(void **state)
{
    each_fails(*state, queue_one, send);
}

/* --- the start */

static void interrupt(struct room *room)
{
    queue_one(room);
    ledger_intend(room->ledger, queued_id, room->now_ms);
}

static void recover(struct room *room)
{
    ledger_recover(room->ledger, 60 * S, room->now_ms);
}

static void whatever_fails_what_was_interrupted_is_not_forgotten(void **state)
{
    each_fails(*state, interrupt, recover);
}

static void restore(struct room *room)
{
    struct said keyless = yes;
    struct ledger_admission admission;
    keyless.key_kind = KEY_NONE;
    next_round(room);
    admit(room, path_of_round("c"), &admission);
    resolve(room, admission.recording, admission.path, &keyless);
    commit(room);
    meddle(room, "INSERT OR IGNORE INTO counter VALUES('backup', 1)");
}

static void mind_it(struct room *room)
{
    ledger_restored(room->ledger, room->now_ms);
}

static void whatever_fails_a_backup_put_back_is_minded(void **state)
{
    each_fails(*state, restore, mind_it);
}

/* --- care */

static void end_one(struct room *room)
{
    queue_one(room);
    upload(room, queued_id);
}

static void thin(struct room *room)
{
    ledger_thin_stories(room->ledger, NOW + DAY, 0, 100);
}

static void whatever_fails_stories_are_not_thinned_by_halves(void **state)
{
    each_fails(*state, end_one, thin);
}

/* --- opening */

static void whatever_fails_while_it_is_opened_is_told(void **state)
{
    struct room *room = *state;
    long n = 0, made = 0;
    queue_one(room);
    commit(room);
    for (int crashed = 0; crashed < 2; crashed++) {
        for (n = 1, made = n; made >= n - 1; n++) {
            char *why = NULL;
            ledger_close(room->ledger);
            room->ledger = NULL;
            if (crashed == 1)
                meddle(room, "UPDATE counter SET n = 0 WHERE name = 'clean'");
            statement_fails(n, SQLITE_IOERR);
            int error = ledger_open(room->dir, LEDGER_WRITE, &room->ledger, &why);
            made = statements_made();
            statement_fails(0, 0);
            if (error != 0) {
                assert_non_null(why);
                free(why);
                assert_int_equal(error, -EIO);
                assert_int_equal(ledger_open(room->dir, LEDGER_WRITE, &room->ledger, &why), 0);
            }
            assert_int_equal(state_of(room, queued_id), STATE_QUEUED);
        }
        assert_true(n > 10);
    }
}

static void whatever_fails_while_it_is_made_leaves_none_or_a_whole_one(void **state)
{
    struct room *room = *state;
    long n = 1, made = n;
    for (; made >= n - 1; n++) {
        char *why = NULL;
        ledger_close(room->ledger);
        room->ledger = NULL;
        char *aside = NULL;
        assert_int_equal(ledger_set_aside(room->dir, NOW + n * S, &aside), 0);
        assert_int_equal(remove(aside), 0);
        free(aside);
        statement_fails(n, SQLITE_FULL);
        int error = ledger_open(room->dir, LEDGER_WRITE, &room->ledger, &why);
        made = statements_made();
        statement_fails(0, 0);
        free(why);
        if (error != 0) {
            assert_int_equal(error, -ENOSPC);
            int none = ledger_open(room->dir, LEDGER_READ, &room->ledger, NULL);
            assert_true(none == -ENOENT || none == 0);
            if (none == 0)
                ledger_close(room->ledger);
            assert_int_equal(ledger_open(room->dir, LEDGER_WRITE, &room->ledger, NULL), 0);
        }
        assert_int_equal(count_of(room, STATE_QUEUED), 0);
    }
    assert_true(n > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_a_room(whatever_fails_nothing_is_taken_in_by_halves),
        in_a_room(whatever_fails_no_attempt_is_recorded_by_halves),
        in_a_room(whatever_fails_what_was_interrupted_is_not_forgotten),
        in_a_room(whatever_fails_a_backup_put_back_is_minded),
        in_a_room(whatever_fails_stories_are_not_thinned_by_halves),
        in_a_room(whatever_fails_while_it_is_opened_is_told),
        in_a_room(whatever_fails_while_it_is_made_leaves_none_or_a_whole_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
