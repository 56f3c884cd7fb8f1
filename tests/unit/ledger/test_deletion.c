/* Deletion in the ledger: what a target matches, what becomes of a recording, and that it sticks.
 */
#include "tests/unit/ledger/ledger_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/bytes.h"

#define A ROOT "/a.wav"
#define B ROOT "/b.mp3"
#define C ROOT "/sub/c.ogg"

#define in_a_room(test) cmocka_unit_test_setup_teardown(test, room_open, room_close)

static const struct erasure_options an_hour = {.confirm_for_ms = 3600 * S, .ask_for_ms = DAY};

/* --- requests --- */

struct wish {
    enum target_kind kind;
    const char *value, *problem;
};

static int64_t ask_with(struct room *room, const struct request_facts *facts,
                        const struct wish *wishes, size_t count)
{
    static uint8_t digest[32];
    digest[0]++;
    int64_t request = ledger_request_begin(room->ledger, "x.delete", digest, facts, room->now_ms);
    for (size_t i = 0; i < count; i++) {
        struct request_line line = {.line = (unsigned)i + 1,
                                    .kind = wishes[i].kind,
                                    .text = wishes[i].value,
                                    .value = wishes[i].problem == NULL ? wishes[i].value : NULL,
                                    .problem = wishes[i].problem};
        ledger_request_add(room->ledger, request, &line);
    }
    ledger_request_read_whole(room->ledger, request);
    while (ledger_request_resolve(room->ledger, request, 1) > 0)
        commit(room);
    return request;
}

static int64_t ask(struct room *room, enum target_kind kind, const char *value)
{
    struct request_facts facts = {.expect = -1, .targets = 1};
    struct wish wish = {kind, value, NULL};
    return ask_with(room, &facts, &wish, 1);
}

static int64_t matched(struct room *room, int64_t request)
{
    int64_t n, bad;
    ledger_request_extent(room->ledger, request, &n, &bad);
    return n;
}

static void mark_all(struct room *room, int64_t request)
{
    int64_t recordings[2];
    size_t count;
    struct ledger_tombstone tombstones[8];
    ledger_request_accept(room->ledger, request, room->now_ms);
    do {
        commit(room);
        ledger_request_tombstones(room->ledger, request, 2, tombstones);
    } while (ledger_request_mark(room->ledger, request, 2, recordings, &count, room->now_ms) > 0);
    commit(room);
}

static int64_t delete (struct room *room, enum target_kind kind, const char *value)
{
    int64_t request = ask(room, kind, value);
    mark_all(room, request);
    return request;
}

/* The findings, as the result shows them. */
struct shown {
    size_t count;
    enum erasure_outcome outcomes[16];
    char paths[16][64], reasons[16][256], ids[16][64];
    bool remains[16];
};

static void show(void *ctx, const struct ledger_finding *finding)
{
    struct shown *shown = ctx;
    size_t i = shown->count++;
    assert_true(i < 16);
    shown->outcomes[i] = finding->outcome;
    shown->remains[i] = finding->local_remains;
    snprintf(shown->paths[i], 64, "%s", finding->path != NULL ? finding->path : "");
    snprintf(shown->ids[i], 64, "%s", finding->engagement_id != NULL ? finding->engagement_id : "");
    snprintf(shown->reasons[i], 256, "%s", finding->reason != NULL ? finding->reason : "");
}

static struct shown result_of(struct room *room, int64_t request)
{
    struct shown shown = {0};
    ledger_request_findings(room->ledger, request, show, &shown);
    return shown;
}

static bool due(struct room *room, enum erasure_phase phase, struct erasure *erasure)
{
    return ledger_erasures_due(room->ledger, phase, room->now_ms, erasure, 1) == 1;
}

/* Through all three proofs. */
static void prove(struct room *room)
{
    struct erasure e;
    struct erasure_event seen = {.kind = ERASURE_READ, .visible = true};
    struct erasure_event accepted = {.kind = ERASURE_ANSWERED, .status = 202, .retry_after_ms = -1};
    struct erasure_event gone = {.kind = ERASURE_READ, .visible = false};
    while (due(room, ERASURE_SEES, &e)) {
        erasure_step(&e, &seen, &an_hour, room->now_ms);
        ledger_erasure_save(room->ledger, &e, room->now_ms);
    }
    while (due(room, ERASURE_SENDS, &e)) {
        erasure_intend(&e, room->now_ms);
        ledger_erasure_save(room->ledger, &e, room->now_ms);
        erasure_step(&e, &accepted, &an_hour, room->now_ms);
        ledger_erasure_save(room->ledger, &e, room->now_ms);
    }
    room->now_ms += 600 * S;
    while (due(room, ERASURE_CONFIRMS, &e)) {
        erasure_step(&e, &gone, &an_hour, room->now_ms);
        ledger_erasure_save(room->ledger, &e, room->now_ms);
    }
    commit(room);
}

/* --- what a target matches --- */

static void every_kind_of_target_finds_its_recording(void **state)
{
    struct room *room = *state;
    struct said with_phone = yes;
    with_phone.phone = "+1 (555) 555-0123";
    int64_t a = take_as(room, A, 'A', &with_phone).recording;
    int64_t c = take(room, C, 'C').recording;
    struct said with_extension = yes;
    with_extension.phone = "x123";
    take_as(room, B, 'B', &with_extension);
    upload(room, a);
    upload(room, c);
    commit(room);
    static const struct wish ones[] = {
        {TARGET_PATH, A, NULL},
        {TARGET_GLOB, ROOT "/*.wav", NULL},
        {TARGET_GLOB, ROOT "/sub/*", NULL},
        {TARGET_NAME, "c.ogg", NULL},
        {TARGET_SHA256, "4141414141414141414141414141414141414141414141414141414141414141", NULL},
        {TARGET_ENGAGEMENT, "e-1", NULL},
        {TARGET_ENGAGEMENT, "E-1", NULL},
        {TARGET_PHONE, "5550123", NULL},
        {TARGET_PHONE, "15555550123", NULL},
        {TARGET_PHONE, "0015555550123", NULL}, /* the shorter is the end of the longer */
        {TARGET_FIELD, "agent=J\xfcrgen", NULL},
    };
    for (size_t i = 0; i < sizeof ones / sizeof ones[0]; i++) {
        int64_t request = ask(room, ones[i].kind, ones[i].value);
        if (matched(room, request) < 1)
            print_error("%s\n", ones[i].value);
        assert_true(matched(room, request) >= 1);
    }
    static const struct wish none[] = {
        {TARGET_PATH, ROOT "/*.wav", NULL}, /* literally */
        {TARGET_PATH, ROOT, NULL},          {TARGET_GLOB, ROOT "/*", NULL},
        {TARGET_GLOB, ROOT "/A.WAV", NULL}, /* case obeyed */
        {TARGET_NAME, "a", NULL},           {TARGET_PHONE, "5550124", NULL},
        {TARGET_FIELD, "agent=Anna", NULL}, {TARGET_FIELD, "phone=5550123", NULL},
    };
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        int64_t request = ask(room, none[i].kind, none[i].value);
        int64_t n = matched(room, request);
        if (i == 2) {
            assert_int_equal(n, 2); /* and not sub/c.ogg */
            continue;
        }
        assert_int_equal(n, 0);
        assert_int_equal(result_of(room, request).outcomes[0], OUTCOME_NOT_FOUND);
    }
}

static void a_path_stands_for_all_its_twins(void **state)
{
    struct room *room = *state;
    struct said call = yes;
    call.call_key = "call-1";
    int64_t first = take_as(room, A, 'A', &call).recording;
    take_as(room, B, 'A', &call);                            /* a further path of the content */
    int64_t second = take_as(room, C, 'C', &call).recording; /* another copy of the call */
    upload(room, first);
    commit(room);
    int64_t request = delete (room, TARGET_PATH, C);
    assert_int_equal(matched(room, request), 2);
    assert_int_equal(state_of(room, first), STATE_DELETING);
    assert_int_equal(state_of(room, second), STATE_DELETING);
    prove(room);
    struct shown shown = result_of(room, request);
    assert_int_equal(shown.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(shown.outcomes[i], OUTCOME_DELETED);
        assert_string_equal(shown.ids[i], "e-1");
        assert_true(shown.remains[i]);
    }
    assert_int_equal(state_of(room, first), STATE_DELETED);
    assert_int_equal(state_of(room, second), STATE_DELETED);
}

static void dates_narrow_and_an_unknown_id_beside_them_is_refused(void **state)
{
    struct room *room = *state;
    take(room, A, 'A');
    static const struct wish wishes[] = {{TARGET_PATH, A, NULL}, {TARGET_ENGAGEMENT, "e-x", NULL}};
    struct request_facts facts = {.expect = -1, .from_ms = NOW + DAY, .targets = 2};
    int64_t request = ask_with(room, &facts, wishes, 2);
    assert_int_equal(matched(room, request), 0);
    struct shown shown = result_of(room, request);
    assert_int_equal(shown.outcomes[0], OUTCOME_NOT_FOUND);
    assert_non_null(strstr(shown.reasons[0], "@from"));
    assert_int_equal(shown.outcomes[1], OUTCOME_REFUSED);
    facts = (struct request_facts){.expect = -1, .from_ms = NOW - DAY, .to_ms = NOW + DAY};
    assert_int_equal(matched(room, ask_with(room, &facts, wishes, 1)), 1);
    facts.to_ms = NOW;
    assert_int_equal(matched(room, ask_with(room, &facts, wishes, 1)), 0);
    /* an id that is known, but of another day */
    upload(room, recording_of(room, 'A'));
    static const struct wish known = {TARGET_ENGAGEMENT, "e-1", NULL};
    assert_int_equal(result_of(room, ask_with(room, &facts, &known, 1)).outcomes[0],
                     OUTCOME_NOT_FOUND);
    facts = (struct request_facts){.expect = -1, .to_ms = NOW + DAY};
    assert_int_equal(matched(room, ask_with(room, &facts, &known, 1)), 1);
    assert_int_equal(result_of(room, ask_with(room, &facts, &wishes[1], 1)).outcomes[0],
                     OUTCOME_REFUSED);
}

static void bad_lines_are_told_and_counted(void **state)
{
    struct room *room = *state;
    static const struct wish wishes[] = {{TARGET_BAD, "phone:1", "fewer than 7 digits"},
                                         {TARGET_PATH, A, NULL}};
    struct request_facts facts = {.expect = -1, .targets = 2, .bad = 1};
    take(room, A, 'A');
    int64_t n, bad, request = ask_with(room, &facts, wishes, 2);
    ledger_request_extent(room->ledger, request, &n, &bad);
    assert_int_equal(n, 1);
    assert_int_equal(bad, 1);
    mark_all(room, request);
    struct shown shown = result_of(room, request);
    assert_int_equal(shown.outcomes[0], OUTCOME_REFUSED);
    assert_string_equal(shown.reasons[0], "fewer than 7 digits");
    assert_int_equal(shown.outcomes[1], OUTCOME_NEVER_UPLOADED);
}

/* --- stages --- */

static void a_request_goes_on_where_it_was(void **state)
{
    struct room *room = *state;
    struct ledger_request request;
    int64_t id = ask(room, TARGET_PATH, A);
    open_again(room);
    assert_true(ledger_request_next(room->ledger, 0, &request));
    assert_int_equal(request.id, id);
    assert_int_equal(request.stage, REQUEST_RESOLVING);
    assert_string_equal(request.file, "x.delete");
    assert_int_equal(request.last_line, 1);
    assert_int_equal(request.facts.expect, -1);
    /* the same file again is the same request */
    assert_int_equal(ledger_request_begin(room->ledger, request.file, request.digest,
                                          &request.facts, room->now_ms),
                     id);
    ledger_request_clear(&request);
    mark_all(room, id);
    ledger_request_place(room->ledger, id, "x-2.delete");
    open_again(room);
    ledger_request_place(room->ledger, id, "x-2.delete");
    commit(room);
    assert_true(ledger_request_next(room->ledger, 0, &request));
    assert_int_equal(request.stage, REQUEST_REPORTING);
    assert_string_equal(request.placed_as, "x-2.delete");
    ledger_request_clear(&request);
    ledger_request_placed(room->ledger, id, room->now_ms);
    commit(room);
    assert_false(ledger_request_next(room->ledger, 0, &request));
}

static void a_refused_request_touches_nothing(void **state)
{
    struct room *room = *state;
    struct ledger_request request;
    int64_t id = take(room, A, 'A').recording;
    int64_t asked = ask(room, TARGET_PATH, A);
    ledger_request_refuse(room->ledger, asked, "too many", room->now_ms);
    commit(room);
    assert_int_equal(state_of(room, id), STATE_QUEUED);
    assert_int_equal(result_of(room, asked).count, 0);
    assert_true(ledger_request_next(room->ledger, 0, &request));
    assert_int_equal(request.stage, REQUEST_REFUSING);
    assert_string_equal(request.refusal, "too many");
    ledger_request_clear(&request);
    ledger_request_placed(room->ledger, asked, room->now_ms);
    commit(room);
    assert_int_equal(number(room, "SELECT stage FROM request"), REQUEST_REFUSED);
}

static void a_dry_run_touches_nothing(void **state)
{
    struct room *room = *state;
    int64_t id = take(room, A, 'A').recording, next;
    struct request_facts facts = {.expect = -1, .dry_run = true, .targets = 2};
    static const struct wish wishes[] = {{TARGET_PATH, A, NULL}, {TARGET_PATH, B, NULL}};
    int64_t request = ask_with(room, &facts, wishes, 2);
    ledger_request_accept(room->ledger, request, room->now_ms);
    commit(room);
    assert_int_equal(state_of(room, id), STATE_QUEUED);
    struct shown shown = result_of(room, request);
    assert_int_equal(shown.outcomes[0], OUTCOME_DRY_RUN);
    assert_int_equal(shown.outcomes[1], OUTCOME_NOT_FOUND);
    assert_true(ledger_request_is_reportable(room->ledger, request, &an_hour, room->now_ms, &next));
}

/* --- what becomes of a recording --- */

static void what_has_not_left_is_blocked(void **state)
{
    struct room *room = *state;
    int64_t queued = take(room, A, 'A').recording;
    int64_t held = take_as(room, B, 'B', &no_owner).recording, next;
    int64_t request = delete (room, TARGET_GLOB, ROOT "/*");
    assert_int_equal(state_of(room, queued), STATE_DELETED);
    assert_int_equal(state_of(room, held), STATE_DELETED);
    struct shown shown = result_of(room, request);
    assert_int_equal(shown.outcomes[0], OUTCOME_NEVER_UPLOADED);
    assert_int_equal(shown.outcomes[1], OUTCOME_NEVER_UPLOADED);
    assert_true(ledger_request_is_reportable(room->ledger, request, &an_hour, room->now_ms, &next));
    assert_int_equal(ledger_erasures_next(room->ledger), 0);
}

static void what_is_uploaded_goes_with_three_proofs(void **state)
{
    struct room *room = *state;
    int64_t id = take(room, A, 'A').recording, next;
    upload(room, id);
    int64_t request = delete (room, TARGET_PATH, A);
    assert_int_equal(state_of(room, id), STATE_DELETING);
    assert_false(
        ledger_request_is_reportable(room->ledger, request, &an_hour, room->now_ms, &next));
    assert_int_equal(result_of(room, request).outcomes[0], OUTCOME_REFUSED); /* so far */
    prove(room);
    assert_int_equal(state_of(room, id), STATE_DELETED);
    assert_true(ledger_request_is_reportable(room->ledger, request, &an_hour, room->now_ms, &next));
    assert_int_equal(result_of(room, request).outcomes[0], OUTCOME_DELETED);
    assert_int_equal(number(room, "SELECT count(*) FROM audit WHERE event IN ('requested',"
                                  " 'blocked', 'seen', 'sent', 'accepted', 'gone', 'deleted')"),
                     7);
    assert_true(number(room, "SELECT deleted_ms FROM recording") > 0);
}

static void what_was_proven_once_is_told_so(void **state)
{
    struct room *room = *state;
    upload(room, take(room, A, 'A').recording);
    delete (room, TARGET_PATH, A);
    int64_t beside = delete (room, TARGET_NAME, "a.wav"); /* while the first is under way */
    prove(room);
    assert_int_equal(result_of(room, beside).outcomes[0], OUTCOME_DELETED);
    assert_int_equal(number(room, "SELECT count(*) FROM erasure"), 1);
    int64_t again = delete (room, TARGET_PATH, A);
    assert_int_equal(result_of(room, again).outcomes[0], OUTCOME_ALREADY);
}

static void an_unknown_engagement_is_deleted_too(void **state)
{
    struct room *room = *state;
    int64_t request = delete (room, TARGET_ENGAGEMENT, "e-unknown");
    assert_int_equal(matched(room, request), 1);
    prove(room);
    struct shown shown = result_of(room, request);
    assert_int_equal(shown.outcomes[0], OUTCOME_DELETED);
    assert_string_equal(shown.ids[0], "e-unknown");
    assert_int_equal(result_of(room, delete (room, TARGET_ENGAGEMENT, "e-unknown")).outcomes[0],
                     OUTCOME_ALREADY);
}

static void what_is_in_flight_waits_for_its_end(void **state)
{
    struct room *room = *state;
    struct erasure e;
    int64_t id = take(room, A, 'A').recording;
    intend(room, id);
    int64_t request = delete (room, TARGET_PATH, A);
    assert_int_equal(state_of(room, id), STATE_UPLOADING);
    assert_false(due(room, ERASURE_SEES, &e));
    upload(room, id);
    assert_int_equal(state_of(room, id), STATE_DELETING);
    assert_true(due(room, ERASURE_SEES, &e));
    assert_string_equal(e.engagement_id, "e-1");
    prove(room);
    assert_int_equal(result_of(room, request).outcomes[0], OUTCOME_DELETED);
}

static void what_did_not_arrive_was_never_uploaded(void **state)
{
    struct room *room = *state;
    int64_t id = take(room, A, 'A').recording;
    intend(room, id);
    int64_t request = delete (room, TARGET_PATH, A);
    move_to(room, id, STATE_WAITING, ATTEMPT_NEVER_LEFT);
    assert_int_equal(state_of(room, id), STATE_DELETED);
    assert_int_equal(result_of(room, request).outcomes[0], OUTCOME_NEVER_UPLOADED);
    /* the plan may still say something of it */
    move_to(room, id, STATE_QUEUED, ATTEMPT_NONE);
    assert_int_equal(state_of(room, id), STATE_DELETED);
}

static void a_lost_answer_is_looked_up(void **state)
{
    struct room *room = *state;
    struct erasure e;
    struct ledger_sought sought;
    int64_t id = take(room, A, 'A').recording;
    intend(room, id);
    int64_t request = delete (room, TARGET_PATH, A);
    commit(room);
    ledger_recover(room->ledger, 60 * S, room->now_ms); /* as after a kill */
    assert_int_equal(state_of(room, id), STATE_DELETING);
    assert_true(due(room, ERASURE_FINDS, &e));
    assert_true(ledger_erasure_sought(room->ledger, e.id, &sought));
    assert_string_equal(sought.owner, "team@example.com");
    assert_string_equal(sought.name, "a call");
    assert_string_equal(sought.meeting_id, "sha256-x");
    assert_int_equal(sought.from_ms, NOW);
    ledger_sought_clear(&sought);
    struct erasure_event found = {.kind = ERASURE_FOUND, .engagement_id = "e-9"};
    erasure_step(&e, &found, &an_hour, room->now_ms);
    ledger_erasure_save(room->ledger, &e, room->now_ms);
    assert_true(ledger_engagement_is_anothers(room->ledger, 0, "e-9"));
    prove(room);
    assert_int_equal(result_of(room, request).outcomes[0], OUTCOME_DELETED);
    assert_string_equal(listed(room, A).engagement_id, "e-9");
}

static void what_chorus_refuses_stays_and_is_blocked(void **state)
{
    struct room *room = *state;
    struct erasure e;
    int64_t id = take(room, A, 'A').recording;
    upload(room, id);
    int64_t request = delete (room, TARGET_PATH, A);
    assert_true(due(room, ERASURE_SEES, &e));
    e.phase = ERASURE_OVER;
    e.outcome = OUTCOME_REFUSED;
    snprintf(e.reason, sizeof e.reason, "403");
    ledger_erasure_save(room->ledger, &e, room->now_ms);
    assert_int_equal(state_of(room, id), STATE_UPLOADED);
    assert_int_equal(result_of(room, request).outcomes[0], OUTCOME_REFUSED);
    uint8_t sha256[32];
    content_of('A', sha256);
    assert_true(ledger_is_blocked(room->ledger, sha256, NULL));
    /* asked for once more it is tried once more */
    delete (room, TARGET_PATH, A);
    assert_true(due(room, ERASURE_SEES, &e));
    assert_int_equal(number(room, "SELECT count(*) FROM erasure WHERE superseded = 0"), 1);
}

static void a_file_that_changed_while_it_was_sent_never_arrived(void **state)
{
    struct room *room = *state;
    int64_t id = take(room, A, 'A').recording;
    intend(room, id);
    int64_t request = delete (room, TARGET_PATH, A);
    ledger_source_changed(room->ledger, id, true, "changed", room->now_ms);
    commit(room);
    assert_int_equal(state_of(room, id), STATE_DELETED);
    assert_int_equal(result_of(room, request).outcomes[0], OUTCOME_NEVER_UPLOADED);
}

static void by_force_it_goes_alone(void **state)
{
    struct room *room = *state;
    struct erasure e;
    struct request_facts facts = {.expect = -1, .force = true, .targets = 1};
    static const struct wish wish = {TARGET_PATH, A, NULL};
    upload(room, take(room, A, 'A').recording);
    delete (room, TARGET_PATH, A);
    assert_true(due(room, ERASURE_SEES, &e));
    assert_false(e.force);
    mark_all(room, ask_with(room, &facts, &wish, 1)); /* while it is under way */
    assert_true(due(room, ERASURE_SEES, &e));
    assert_true(e.force && e.alone);
    mark_all(room, ask_with(room, &facts, &wish, 1));
    prove(room);
    mark_all(room, ask_with(room, &facts, &wish, 1)); /* when it is over */
    static const struct wish other = {TARGET_PATH, B, NULL};
    upload(room, take(room, B, 'B').recording);
    delete (room, TARGET_PATH, B);
    prove(room);
    mark_all(room, ask_with(room, &facts, &other, 1));
}

static void the_twins_of_what_chorus_refuses_are_held(void **state)
{
    struct room *room = *state;
    struct erasure e;
    struct said call = yes;
    call.call_key = "call-1";
    upload(room, take_as(room, A, 'A', &call).recording);
    int64_t twin = take_as(room, B, 'B', &call).recording;
    delete (room, TARGET_PATH, B);
    assert_true(due(room, ERASURE_SEES, &e));
    e.phase = ERASURE_OVER;
    e.outcome = OUTCOME_REFUSED;
    ledger_erasure_save(room->ledger, &e, room->now_ms);
    assert_int_equal(state_of(room, twin), STATE_HELD);
    assert_int_equal(ledger_retry(room->ledger, twin, room->now_ms), -EEXIST);
}

static void what_is_accepted_and_not_proven_is_told_so(void **state)
{
    struct room *room = *state;
    struct erasure e;
    int64_t next;
    upload(room, take(room, A, 'A').recording);
    int64_t request = delete (room, TARGET_PATH, A);
    struct erasure_event seen = {.kind = ERASURE_READ, .visible = true};
    struct erasure_event accepted = {.kind = ERASURE_ANSWERED, .status = 202, .retry_after_ms = -1};
    assert_true(due(room, ERASURE_SEES, &e));
    erasure_step(&e, &seen, &an_hour, room->now_ms);
    erasure_intend(&e, room->now_ms);
    erasure_step(&e, &accepted, &an_hour, room->now_ms);
    ledger_erasure_save(room->ledger, &e, room->now_ms);
    assert_int_equal(result_of(room, request).outcomes[0], OUTCOME_UNCONFIRMED);
    assert_false(
        ledger_request_is_reportable(room->ledger, request, &an_hour, room->now_ms, &next));
    assert_int_equal(next, room->now_ms + 3600 * S);
    assert_true(ledger_request_is_reportable(room->ledger, request, &an_hour, next, &next));
    /* still visible after the hour: asked again, and told as unconfirmed meanwhile */
    room->now_ms += 3600 * S;
    erasure_step(&e, &seen, &an_hour, room->now_ms);
    ledger_erasure_save(room->ledger, &e, room->now_ms);
    assert_int_equal(e.outcome, OUTCOME_UNCONFIRMED);
    commit(room);
    assert_int_equal(number(room, "SELECT count(*) FROM audit WHERE event ="
                                  " 'accepted-unconfirmed'"),
                     1);
}

static void one_that_stays_unconfirmed_does_not_end_the_wait_for_another(void **state)
{
    struct room *room = *state;
    struct erasure e;
    int64_t next;
    upload(room, take(room, A, 'A').recording);
    upload(room, take(room, B, 'B').recording);
    int64_t request = delete (room, TARGET_GLOB, ROOT "/*");
    for (int64_t id = 1; id <= 2; id++) {
        assert_true(ledger_erasure(room->ledger, id, &e));
        e.phase = ERASURE_CONFIRMS;
        e.accepted_ms = room->now_ms + id;
        e.outcome = id == 2 ? OUTCOME_UNCONFIRMED : OUTCOME_NONE;
        ledger_erasure_save(room->ledger, &e, room->now_ms);
    }
    assert_false(
        ledger_request_is_reportable(room->ledger, request, &an_hour, room->now_ms, &next));
    assert_true(ledger_erasure(room->ledger, 1, &e));
    e.outcome = OUTCOME_UNCONFIRMED;
    ledger_erasure_save(room->ledger, &e, room->now_ms);
    assert_true(ledger_request_is_reportable(room->ledger, request, &an_hour, room->now_ms, &next));
}

static void a_proof_is_written_down_once(void **state)
{
    struct room *room = *state;
    struct erasure e;
    upload(room, take(room, A, 'A').recording);
    delete (room, TARGET_PATH, A);
    prove(room);
    int64_t rows = number(room, "SELECT count(*) FROM audit");
    assert_true(ledger_erasure(room->ledger, 1, &e));
    ledger_erasure_save(room->ledger, &e, room->now_ms);
    e.outcome = OUTCOME_NONE; /* it was told too early */
    ledger_erasure_save(room->ledger, &e, room->now_ms);
    commit(room);
    assert_int_equal(number(room, "SELECT count(*) FROM audit"), rows);
    assert_false(ledger_erasure(room->ledger, 99, &e));
}

static void what_chorus_did_not_know_stays_deleted(void **state)
{
    struct room *room = *state;
    struct erasure e;
    int64_t id = take(room, A, 'A').recording;
    upload(room, id);
    static const enum erasure_outcome ends[] = {OUTCOME_NOT_FOUND, OUTCOME_REFUSED};
    for (int i = 0; i < 2; i++) {
        delete (room, TARGET_PATH, A);
        assert_true(due(room, ERASURE_SEES, &e));
        e.phase = ERASURE_OVER;
        e.outcome = ends[i];
        ledger_erasure_save(room->ledger, &e, room->now_ms);
        assert_int_equal(state_of(room, id), STATE_DELETED);
    }
}

static void what_has_no_id_is_sought_by_when_it_was_sent(void **state)
{
    struct room *room = *state;
    struct ledger_sought sought;
    struct erasure e;
    upload(room, take(room, A, 'A').recording);
    commit(room);
    meddle(room, "UPDATE recording SET engagement_id = NULL, first_attempt_ms = NULL");
    delete (room, TARGET_PATH, A);
    assert_true(due(room, ERASURE_FINDS, &e));
    assert_true(ledger_erasure_sought(room->ledger, e.id, &sought));
    assert_int_equal(sought.from_ms, NOW); /* first seen */
    assert_int_equal(sought.to_ms, NOW);   /* uploaded */
    ledger_sought_clear(&sought);
    assert_false(ledger_erasure_sought(room->ledger, 99, &sought));
}

static void a_call_of_many_copies_goes_as_a_whole(void **state)
{
    struct room *room = *state;
    struct said call = yes;
    call.call_key = "call-1";
    for (char c = '!'; c < '!' + 70; c++) {
        char path[64];
        snprintf(path, sizeof path, ROOT "/%d.wav", c);
        take_as(room, path, c, &call);
    }
    commit(room);
    assert_int_equal(matched(room, delete (room, TARGET_GLOB, ROOT "/*")), 70);
    commit(room);
    assert_int_equal(number(room, "SELECT count(*) FROM recording WHERE state = 13"), 70);
}

/* --- what is not known yet --- */

static void a_file_that_settles_is_blocked_by_its_path(void **state)
{
    struct room *room = *state;
    struct request_facts facts = {.expect = -1, .targets = 5};
    static const struct wish wishes[] = {{TARGET_PATH, A, NULL},
                                         {TARGET_NAME, "b.mp3", NULL},
                                         {TARGET_GLOB, ROOT "/sub/*", NULL},
                                         {TARGET_PHONE, "5550123", NULL},
                                         {TARGET_FIELD, "agent=6666", NULL}};
    struct resolution_field fields[][3] = {
        {{(char *)"agent", (char *)"666"}, {(char *)"phone", (char *)"5550124"}},
        {{(char *)"agents", (char *)"6666"},
         {(char *)"phone_b", (char *)"+1 555 555 0123"},
         {(char *)"phone_c", (char *)"030 1234567"}},
        {{(char *)"agent", (char *)"6666"}, {(char *)"phone", (char *)"123"}}};
    struct resolution none = {.field_count = 0}, said = {.field_count = 2};
    static uint8_t digest[32] = {0xee};
    int64_t request = ledger_request_begin(room->ledger, "y.delete", digest, &facts, NOW);
    for (unsigned i = 0; i < 5; i++)
        ledger_request_add(room->ledger, request,
                           &(struct request_line){.line = i + 1,
                                                  .kind = wishes[i].kind,
                                                  .text = wishes[i].value,
                                                  .value = wishes[i].value});
    ledger_request_read_whole(room->ledger, request);
    ledger_request_in_work(room->ledger, request, A, &none);
    ledger_request_in_work(room->ledger, request, B, &none);
    ledger_request_in_work(room->ledger, request, C, &none);
    for (int i = 0; i < 3; i++) {
        char path[64];
        snprintf(path, sizeof path, ROOT "/%d.wav", i);
        said.fields = fields[i];
        said.field_count = i == 1 ? 3 : 2;
        ledger_request_in_work(room->ledger, request, path, &said);
    }
    while (ledger_request_resolve(room->ledger, request, 10) > 0)
        ;
    mark_all(room, request);
    struct shown shown = result_of(room, request);
    assert_int_equal(shown.count, 5);
    assert_string_equal(shown.paths[3], ROOT "/1.wav");
    assert_string_equal(shown.paths[4], ROOT "/2.wav");
    assert_string_equal(shown.paths[0], A);
    assert_int_equal(shown.outcomes[0], OUTCOME_NEVER_UPLOADED);
    assert_int_equal(state_of(room, take(room, A, 'A').recording), STATE_DELETED);
    assert_int_equal(state_of(room, take(room, B, 'B').recording), STATE_DELETED);
    assert_int_equal(state_of(room, take(room, C, 'C').recording), STATE_DELETED);
    assert_int_equal(state_of(room, take(room, ROOT "/0.wav", 'O').recording), STATE_QUEUED);
    struct ledger_tombstone unfiled[8];
    assert_int_equal(ledger_tombstones_unfiled(room->ledger, unfiled, 8), 3);
    for (size_t i = 0; i < 3; i++)
        ledger_tombstone_filed(room->ledger, &unfiled[i]);
    assert_int_equal(ledger_tombstones_unfiled(room->ledger, unfiled, 8), 0);
}

static void a_copy_of_what_is_uploaded_that_settles_takes_it_along(void **state)
{
    struct room *room = *state;
    struct erasure e;
    int64_t id = take(room, A, 'A').recording;
    upload(room, id);
    commit(room);
    static const struct resolution nothing;
    int64_t request = ask(room, TARGET_GLOB, ROOT "/none*");
    ledger_request_in_work(room->ledger, request, ROOT "/none.wav", &nothing);
    take(room, ROOT "/none.wav", 'A');
    assert_int_equal(state_of(room, id), STATE_DELETING);
    /* no DELETE leaves before its tombstone stands in the file */
    struct erasure_event seen = {.kind = ERASURE_READ, .visible = true};
    assert_true(due(room, ERASURE_SEES, &e));
    erasure_step(&e, &seen, &an_hour, room->now_ms);
    ledger_erasure_save(room->ledger, &e, room->now_ms);
    assert_false(due(room, ERASURE_SENDS, &e));
    struct ledger_tombstone unfiled[4];
    assert_int_equal(ledger_tombstones_unfiled(room->ledger, unfiled, 4), 1);
    ledger_tombstone_filed(room->ledger, &unfiled[0]);
    assert_true(due(room, ERASURE_SENDS, &e));
}

static void what_was_skipped_is_blocked_by_its_path(void **state)
{
    struct room *room = *state;
    leave_out(room, A, 'A', SKIP_BEFORE_START);
    int64_t request = delete (room, TARGET_PATH, A);
    assert_int_equal(result_of(room, request).outcomes[0], OUTCOME_NEVER_UPLOADED);
    assert_int_equal(state_of(room, take(room, A, 'A').recording), STATE_DELETED);
}

/* --- it sticks --- */

static void delete_uploaded(struct room *room, const char *call_key)
{
    struct said said = yes;
    said.call_key = call_key;
    upload(room, take_as(room, A, 'A', &said).recording);
    delete (room, TARGET_PATH, A);
    prove(room);
}

static void nothing_brings_it_back(void **state)
{
    struct room *room = *state;
    struct said same_call = yes;
    same_call.call_key = "call-1";
    delete_uploaded(room, "call-1");
    int64_t id = recording_of(room, 'A');
    /* the same file again */
    ledger_absent(room->ledger, A, room->now_ms);
    take(room, A, 'A');
    assert_int_equal(state_of(room, id), STATE_DELETED);
    assert_int_equal(listed(room, A).state, STATE_DELETED);
    /* a copy under another name, when the first has left: it shows what blocks it */
    ledger_absent(room->ledger, A, room->now_ms);
    take(room, B, 'A');
    assert_int_equal(listed(room, B).state, STATE_DELETED);
    /* another encoding of the call */
    int64_t other = take_as(room, C, 'C', &same_call).recording;
    assert_int_equal(state_of(room, other), STATE_DELETED);
    assert_non_null(strstr(listed(room, C).reason, "undelete"));
    assert_int_equal(ledger_retry(room->ledger, other, room->now_ms), -EEXIST);
}

static void it_sticks_without_the_ledger(void **state)
{
    struct room *room = *state;
    struct said call = yes;
    call.call_key = "call-1";
    struct ledger_tombstone sha256 = {.is_call = false}, of_call = {.is_call = true};
    content_of('A', sha256.hash);
    bytes_from_hex("1f2f6cb5a9d3d1ad0a1dd4e5f9b4e2ac5c3a0d6c6d61c1b4ad4f3f6a00000000", of_call.hash,
                   32);
    ledger_tombstone_restore(room->ledger, &sha256, 0);
    ledger_tombstone_restore(room->ledger, &of_call, 0);
    commit(room);
    assert_int_equal(state_of(room, take(room, A, 'A').recording), STATE_DELETED);
    assert_int_equal(state_of(room, take_as(room, C, 'C', &call).recording), STATE_QUEUED);
    /* a lift outlives it, too */
    ledger_tombstone_restore(room->ledger, &sha256, 3);
    assert_false(ledger_is_blocked(room->ledger, sha256.hash, NULL));
    assert_int_equal(ledger_generation(room->ledger, sha256.hash), 3);
}

static void a_queued_recording_is_looked_at_once_more(void **state)
{
    struct room *room = *state;
    struct ledger_tombstone sha256 = {.is_call = false};
    int64_t id = take(room, A, 'A').recording;
    assert_false(ledger_block(room->ledger, id, room->now_ms));
    content_of('A', sha256.hash);
    ledger_tombstone_restore(room->ledger, &sha256, 0);
    assert_true(ledger_block(room->ledger, id, room->now_ms));
    assert_int_equal(state_of(room, id), STATE_DELETED);
}

/* By its content or by its call; what may have arrived is for a person, and is not sent either. */
static void what_is_blocked_and_may_have_arrived_stays_in_doubt(void **state)
{
    struct room *room = *state;
    struct said call = yes;
    struct ledger_tombstone sha256 = {.is_call = false};
    call.call_key = "call-1";
    int64_t first = take_as(room, A, 'A', &call).recording;
    int64_t second = take(room, B, 'B').recording;
    content_of('A', sha256.hash);
    ledger_tombstone_restore(room->ledger, &sha256, 0);
    assert_true(ledger_block(room->ledger, first, room->now_ms));
    assert_int_equal(state_of(room, first), STATE_DELETED);
    intend(room, second);
    move_to(room, second, STATE_UNCERTAIN, ATTEMPT_COUNTS);
    content_of('B', sha256.hash);
    ledger_tombstone_restore(room->ledger, &sha256, 0);
    assert_true(ledger_block(room->ledger, second, room->now_ms));
    assert_int_equal(state_of(room, second), STATE_UNCERTAIN);
    move_to(room, second, STATE_HELD, ATTEMPT_NONE); /* else it would still be to be sent */
}

/* Rules and transfers have no say any more. */
static void what_is_being_deleted_is_moved_by_its_erasure_only(void **state)
{
    struct room *room = *state;
    int64_t id = take(room, A, 'A').recording;
    upload(room, id);
    delete (room, TARGET_PATH, A);
    assert_int_equal(state_of(room, id), STATE_DELETING);
    room->digest++;
    resolve(room, id, job_of(room, id).path_id, &yes);
    assert_int_equal(state_of(room, id), STATE_DELETING);
    assert_int_equal(job_of(room, id).digest, room->digest);
    move_to(room, id, STATE_HELD, ATTEMPT_NONE);
    assert_int_equal(state_of(room, id), STATE_DELETING);
}

/* It may have arrived, and it was to be deleted: back in its folder, it waits for a person. */
static void in_doubt_and_blocked_it_is_held_when_it_is_back(void **state)
{
    struct room *room = *state;
    struct ledger_tombstone sha256 = {.is_call = false};
    int64_t id = take(room, A, 'A').recording;
    intend(room, id);
    move_to(room, id, STATE_UNCERTAIN, ATTEMPT_COUNTS);
    content_of('A', sha256.hash);
    ledger_absent(room->ledger, A, room->now_ms);
    assert_int_equal(state_of(room, id), STATE_GONE);
    ledger_tombstone_restore(room->ledger, &sha256, 0);
    resolve(room, id, take(room, A, 'A').path, &yes);
    assert_int_equal(state_of(room, id), STATE_HELD);
    assert_non_null(strstr(listed(room, A).reason, "undelete"));
}

static void undelete_lifts_it_with_a_new_generation(void **state)
{
    struct room *room = *state;
    struct ledger_tombstone lifts[2];
    struct said same_call = yes;
    same_call.call_key = "call-1";
    int generation;
    uint8_t sha256[32];
    content_of('A', sha256);
    delete_uploaded(room, "call-1");
    int64_t id = recording_of(room, 'A');
    assert_int_equal(ledger_generation(room->ledger, sha256), 1);
    assert_int_equal(ledger_undelete_lifts(room->ledger, id, lifts, &generation), 2);
    assert_int_equal(generation, 2);
    assert_int_equal(ledger_undelete(room->ledger, id, room->now_ms), 0);
    assert_int_equal(state_of(room, id), STATE_QUEUED);
    assert_int_equal(ledger_generation(room->ledger, sha256), 2);
    assert_false(ledger_is_blocked(room->ledger, sha256, "call-1"));
    content_of('Z', sha256);
    assert_int_equal(ledger_generation(room->ledger, sha256), 1);
    content_of('A', sha256);
    assert_int_equal(ledger_undelete(room->ledger, id, room->now_ms), -EEXIST);
    assert_int_equal(ledger_undelete(room->ledger, 99, room->now_ms), -ENOENT);
    assert_int_equal(ledger_undelete_lifts(room->ledger, 99, lifts, &generation), 0);
    assert_false(ledger_block(room->ledger, 99, room->now_ms));
    commit(room);
    assert_int_equal(number(room, "SELECT count(*) FROM audit WHERE event = 'lifted'"), 1);
    /* and it can be deleted again */
    resolve(room, id, job_of(room, id).path_id, &same_call);
    upload(room, id);
    assert_int_equal(result_of(room, delete (room, TARGET_PATH, A)).outcomes[0], OUTCOME_REFUSED);
    prove(room);
    assert_int_equal(state_of(room, id), STATE_DELETED);
    assert_true(ledger_is_blocked(room->ledger, sha256, "call-1"));
}

/* --- local copies --- */

static void local_copies_go_after_acceptance(void **state)
{
    struct room *room = *state;
    struct ledger_retirement copy;
    struct request_facts facts = {.expect = -1, .local = true, .targets = 1};
    static const struct wish wishes[] = {{TARGET_PATH, A, NULL}, {TARGET_ENGAGEMENT, "e-x", NULL}};
    int64_t id = take(room, A, 'A').recording;
    take(room, B, 'A');
    upload(room, id);
    int64_t request = ask_with(room, &facts, wishes, 2);
    mark_all(room, request);
    assert_false(ledger_next_local_copy(room->ledger, &copy));
    assert_true(ledger_request_local_is_done(room->ledger, request)); /* nothing may go yet */
    prove(room);
    assert_false(ledger_request_local_is_done(room->ledger, request));
    assert_true(ledger_next_local_copy(room->ledger, &copy));
    assert_string_equal(copy.path, A);
    ledger_local_copy_done(room->ledger, copy.path_id, false, NULL, room->now_ms);
    ledger_retirement_clear(&copy);
    assert_true(ledger_next_local_copy(room->ledger, &copy));
    assert_string_equal(copy.path, B);
    ledger_local_copy_done(room->ledger, copy.path_id, true, "another file", room->now_ms);
    ledger_retirement_clear(&copy);
    assert_false(ledger_next_local_copy(room->ledger, &copy));
    assert_true(ledger_request_local_is_done(room->ledger, request));
    struct shown shown = result_of(room, request);
    assert_false(shown.remains[0]);
    assert_true(shown.remains[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_a_room(every_kind_of_target_finds_its_recording),
        in_a_room(a_path_stands_for_all_its_twins),
        in_a_room(dates_narrow_and_an_unknown_id_beside_them_is_refused),
        in_a_room(bad_lines_are_told_and_counted),
        in_a_room(a_request_goes_on_where_it_was),
        in_a_room(a_refused_request_touches_nothing),
        in_a_room(a_dry_run_touches_nothing),
        in_a_room(what_has_not_left_is_blocked),
        in_a_room(what_is_uploaded_goes_with_three_proofs),
        in_a_room(what_was_proven_once_is_told_so),
        in_a_room(an_unknown_engagement_is_deleted_too),
        in_a_room(what_is_in_flight_waits_for_its_end),
        in_a_room(what_did_not_arrive_was_never_uploaded),
        in_a_room(a_lost_answer_is_looked_up),
        in_a_room(what_chorus_refuses_stays_and_is_blocked),
        in_a_room(a_file_that_changed_while_it_was_sent_never_arrived),
        in_a_room(by_force_it_goes_alone),
        in_a_room(the_twins_of_what_chorus_refuses_are_held),
        in_a_room(what_is_accepted_and_not_proven_is_told_so),
        in_a_room(one_that_stays_unconfirmed_does_not_end_the_wait_for_another),
        in_a_room(a_proof_is_written_down_once),
        in_a_room(what_chorus_did_not_know_stays_deleted),
        in_a_room(what_has_no_id_is_sought_by_when_it_was_sent),
        in_a_room(a_call_of_many_copies_goes_as_a_whole),
        in_a_room(a_file_that_settles_is_blocked_by_its_path),
        in_a_room(a_copy_of_what_is_uploaded_that_settles_takes_it_along),
        in_a_room(what_was_skipped_is_blocked_by_its_path),
        in_a_room(nothing_brings_it_back),
        in_a_room(it_sticks_without_the_ledger),
        in_a_room(a_queued_recording_is_looked_at_once_more),
        in_a_room(undelete_lifts_it_with_a_new_generation),
        in_a_room(local_copies_go_after_acceptance),
        in_a_room(what_is_blocked_and_may_have_arrived_stays_in_doubt),
        in_a_room(what_is_being_deleted_is_moved_by_its_erasure_only),
        in_a_room(in_doubt_and_blocked_it_is_held_when_it_is_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
