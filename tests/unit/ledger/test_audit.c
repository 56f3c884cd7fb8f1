/* The audit shows a change and a missing row; details are wiped, and the chain stays whole. */
#include "tests/unit/ledger/ledger_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/mem.h"

#define PHONE "15555550123"
#define A ROOT "/20261123_" PHONE ".wav"

#define in_a_room(test) cmocka_unit_test_setup_teardown(test, room_open, room_close)

static void never_uploaded(struct room *room)
{
    static const uint8_t digest[32] = {1};
    struct request_facts facts = {.expect = -1,
                                  .targets = 1,
                                  .reason = (char *)"asked by " PHONE,
                                  .requested_by = (char *)"ann"};
    struct said said = yes;
    said.phone = PHONE;
    said.name = PHONE " of today";
    said.call_key = PHONE "-1";
    take_as(room, A, 'A', &said);
    int64_t recordings[4],
        request = ledger_request_begin(room->ledger, PHONE ".delete", digest, &facts, room->now_ms);
    size_t count;
    ledger_request_add(
        room->ledger, request,
        &(struct request_line){
            .line = 1, .kind = TARGET_PHONE, .text = "phone:" PHONE, .value = PHONE});
    ledger_request_read_whole(room->ledger, request);
    while (ledger_request_resolve(room->ledger, request, 10) > 0)
        ;
    ledger_request_accept(room->ledger, request, room->now_ms);
    while (ledger_request_mark(room->ledger, request, 4, recordings, &count, room->now_ms) > 0)
        ;
    ledger_request_place(room->ledger, request, PHONE ".delete");
    ledger_request_placed(room->ledger, request, room->now_ms);
    commit(room);
}

static int64_t verify(struct room *room)
{
    int64_t rows;
    char head[65], *why;
    int64_t bad = ledger_audit_verify(room->ledger, &rows, head, &why);
    assert_true((bad != 0) == (why != NULL));
    free(why);
    return bad;
}

static void a_whole_chain_is_told_so(void **state)
{
    struct room *room = *state;
    int64_t rows;
    char head[65], *why;
    assert_int_equal(ledger_audit_verify(room->ledger, &rows, head, &why), 0);
    assert_int_equal(rows, 0);
    never_uploaded(room);
    assert_int_equal(ledger_audit_verify(room->ledger, &rows, head, &why), 0);
    assert_int_equal(rows, 3); /* requested, blocked, never-uploaded */
    assert_int_equal(strlen(head), 64);
}

/* A change that the triggers would not allow, made without them. */
static void tamper(struct room *room, const char *sql)
{
    char *all = mem_printf("DROP TRIGGER audit_is_kept; DROP TRIGGER audit_is_unchanged;"
                           "DROP TRIGGER audit_is_only_wiped; %s",
                           sql);
    never_uploaded(room);
    assert_int_equal(verify(room), 0);
    meddle(room, all);
    free(all);
    open_again(room);
}

static void a_changed_row_shows(void **state)
{
    tamper(*state, "UPDATE audit SET status = 202 WHERE number = 2");
    assert_int_equal(verify(*state), 2);
}

static void changed_details_show(void **state)
{
    tamper(*state, "UPDATE audit SET details = '{}' WHERE number = 1");
    assert_int_equal(verify(*state), 1);
}

static void details_that_were_taken_out_alone_show(void **state)
{
    tamper(*state, "UPDATE audit SET details = NULL WHERE number = 1");
    assert_int_equal(verify(*state), 1);
}

static void details_that_were_put_in_show(void **state)
{
    tamper(*state, "UPDATE audit SET salt = NULL WHERE number = 1");
    assert_int_equal(verify(*state), 1);
}

static void a_row_that_was_taken_out_shows(void **state)
{
    tamper(*state, "DELETE FROM audit WHERE number = 2");
    assert_int_equal(verify(*state), 2);
}

static void a_missing_end_shows(void **state)
{
    tamper(*state, "DELETE FROM audit WHERE number = 3");
    assert_int_equal(verify(*state), 3);
}

static void the_table_itself_refuses_changes(void **state)
{
    struct room *room = *state;
    never_uploaded(room);
    assert_int_equal(number(room, "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND"
                                  " tbl_name = 'audit'"),
                     3);
}

/* --- wiping --- */

static bool file_holds(const char *file, const char *text)
{
    FILE *f = fopen(file, "rb");
    if (f == NULL)
        return false;
    char *bytes = mem_zalloc(8 * 1024 * 1024);
    size_t n = fread(bytes, 1, 8 * 1024 * 1024, f);
    bool holds = memmem(bytes, n, text, strlen(text)) != NULL;
    free(bytes);
    fclose(f);
    return holds;
}

static bool ledger_holds(struct room *room, const char *text)
{
    char *db = mem_printf("%s/ledger.db", room->dir), *wal = mem_printf("%s-wal", db);
    bool holds = file_holds(db, text) || file_holds(wal, text);
    free(db);
    free(wal);
    return holds;
}

static void count_row(void *ctx, const struct ledger_audit_row *row)
{
    size_t *wiped = ctx;
    *wiped += row->wiped && row->details == NULL;
}

static void what_was_deleted_is_forgotten(void **state)
{
    struct room *room = *state;
    int64_t next;
    size_t wiped = 0;
    never_uploaded(room);
    assert_true(ledger_holds(room, PHONE));
    assert_int_equal(ledger_wipe_details(room->ledger, NOW, 10, &next), 0);
    assert_int_equal(next, NOW);
    assert_int_equal(ledger_wipe_details(room->ledger, NOW + DAY, 1, &next), 1);
    assert_int_equal(next, NOW);                     /* the request */
    assert_int_equal(ledger_scrub(room->ledger), 0); /* nothing is committed yet: later */
    assert_int_equal(ledger_wipe_details(room->ledger, NOW + DAY, 10, &next), 1);
    assert_int_equal(next, 0);
    commit(room);
    assert_int_equal(ledger_scrub(room->ledger), 0);
    assert_false(ledger_holds(room, PHONE));
    assert_false(ledger_holds(room, "32101555551")); /* backwards, as it was indexed */
    assert_int_equal(verify(room), 0);
    assert_int_equal(ledger_audit_each(room->ledger, 0, count_row, &wiped), 3);
    assert_int_equal(wiped, 3);
    /* and it sticks: by its checksum, by its call, and at its place */
    uint8_t sha256[32];
    content_of('A', sha256);
    assert_true(ledger_is_blocked(room->ledger, sha256, NULL));
    assert_true(ledger_is_blocked(room->ledger, (const uint8_t *)"01234567890123456789012345678901",
                                  PHONE "-1"));
    struct ledger_known known;
    struct ledger_file file = file_at(room, A, 'A');
    ledger_know(room->ledger, A, &file.identity, &known);
    assert_true(known.same);
    assert_int_equal(known.state, STATE_DELETED);
    file.identity.size++;
    ledger_know(room->ledger, A, &file.identity, &known);
    assert_int_equal(known.path, 0);
}

static void the_next_to_be_forgotten_is_told(void **state)
{
    struct room *room = *state;
    int64_t next;
    never_uploaded(room);
    commit(room);
    meddle(room, "UPDATE recording SET deleted_ms = deleted_ms + 5000");
    ledger_wipe_details(room->ledger, NOW, 1, &next);
    assert_int_equal(next, NOW); /* the request is older */
    meddle(room, "UPDATE request SET ended_ms = ended_ms + 9000");
    ledger_wipe_details(room->ledger, NOW, 1, &next);
    assert_int_equal(next, NOW + 5000);
    meddle(room, "UPDATE request SET stage = 3");
    ledger_wipe_details(room->ledger, NOW, 1, &next);
    assert_int_equal(next, NOW + 5000);
}

static void what_was_forgotten_can_be_lifted_by_its_path(void **state)
{
    struct room *room = *state;
    int64_t next, recordings[2];
    never_uploaded(room);
    ledger_wipe_details(room->ledger, NOW + DAY, 10, &next);
    commit(room);
    assert_int_equal(ledger_recordings_below(room->ledger, A, 0, recordings, 2), 0);
    ledger_unwipe_path(room->ledger, A);
    assert_int_equal(ledger_recordings_below(room->ledger, A, 0, recordings, 2), 1);
    assert_int_equal(ledger_undelete(room->ledger, recordings[0], room->now_ms), 0);
    expect_chosen(room, recordings[0], A);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_a_room(a_whole_chain_is_told_so),
        in_a_room(a_changed_row_shows),
        in_a_room(changed_details_show),
        in_a_room(details_that_were_taken_out_alone_show),
        in_a_room(details_that_were_put_in_show),
        in_a_room(a_row_that_was_taken_out_shows),
        in_a_room(a_missing_end_shows),
        in_a_room(the_table_itself_refuses_changes),
        in_a_room(what_was_deleted_is_forgotten),
        in_a_room(the_next_to_be_forgotten_is_told),
        in_a_room(what_was_forgotten_can_be_lifted_by_its_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
