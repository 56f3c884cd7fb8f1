/* Intake: what a finished file becomes, and what becomes of it when the file changes or leaves. */
#include "tests/unit/ledger/ledger_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define A ROOT "/a.wav"
#define B ROOT "/b.wav"
#define C ROOT "/c.wav"

#define in_a_room(test) cmocka_unit_test_setup_teardown(test, room_open, room_close)

/* --- new */

static void new_content_is_queued(void **state)
{
    struct room *room = *state;
    struct ledger_admission admission = take(room, A, 'A');
    assert_int_equal(admission.kind, ADMIT_RESOLVE);
    assert_int_equal(state_of(room, admission.recording), STATE_QUEUED);
    expect_chosen(room, admission.recording, A);
    assert_int_equal(count_of(room, STATE_QUEUED), 1);
}

static void what_is_known_is_known(void **state)
{
    struct room *room = *state;
    struct ledger_known known;
    struct ledger_file file = file_at(room, A, 'A');
    ledger_know(room->ledger, A, &file.identity, &known);
    assert_int_equal(known.path, 0);
    assert_false(known.same);
    int64_t id = take(room, A, 'A').recording;
    ledger_know(room->ledger, A, &file.identity, &known);
    assert_true(known.same);
    assert_int_equal(known.recording, id);
    assert_int_equal(known.state, STATE_QUEUED);
    file.identity.ctime_ns++; /* another version, for all we know */
    ledger_know(room->ledger, A, &file.identity, &known);
    assert_false(known.same);
    assert_int_equal(take(room, A, 'A').kind, ADMIT_KNOWN);
    assert_int_equal(count_of(room, STATE_QUEUED), 1);
}

static void held_waiting_or_skipped_as_the_rules_say(void **state)
{
    struct room *room = *state;
    struct said later = yes, never = {.outcome = RESOLVED_SKIP, .reason = "test campaign"};
    later.not_before_ms = NOW + DAY;
    assert_int_equal(state_of(room, take_as(room, A, 'A', &no_owner).recording), STATE_HELD);
    assert_string_equal(listed(room, A).reason, "no owner");
    assert_int_equal(state_of(room, take_as(room, B, 'B', &later).recording), STATE_WAITING);
    assert_int_equal(listed(room, B).next_attempt_ms, NOW + DAY);
    assert_int_equal(state_of(room, take_as(room, C, 'C', &never).recording), STATE_SKIPPED);
    assert_int_equal(count_of(room, STATE_SKIPPED), 1);
}

/* --- copies */

static void a_second_path_of_one_content_is_a_duplicate(void **state)
{
    struct room *room = *state;
    int64_t id = take(room, A, 'A').recording;
    struct ledger_admission second = take(room, B, 'A');
    assert_int_equal(second.kind, ADMIT_DUPLICATE);
    assert_int_equal(second.recording, id);
    assert_int_equal(count_of(room, STATE_QUEUED), 1);
    assert_int_equal(count_of(room, STATE_DUPLICATE), 1);
    assert_int_equal(listed(room, B).state, STATE_DUPLICATE);
    assert_string_equal(listed(room, B).duplicate_of, A);
    upload(room, id);
    assert_int_equal(count_of(room, STATE_UPLOADED), 1);
    assert_int_equal(count_of(room, STATE_DUPLICATE), 1);
    assert_string_equal(listed(room, B).engagement_id, "e-1");
}

static void a_copy_of_what_was_uploaded_is_a_duplicate(void **state)
{
    struct room *room = *state;
    upload(room, take(room, A, 'A').recording);
    assert_int_equal(take(room, B, 'A').kind, ADMIT_DUPLICATE);
}

static void a_copy_of_what_chorus_refused_is_not_sent_in_the_same_form(void **state)
{
    struct room *room = *state;
    int64_t id = take(room, A, 'A').recording;
    intend(room, id);
    move_to(room, id, STATE_FAILED, ATTEMPT_COUNTS);
    take(room, B, 'A');
    assert_int_equal(state_of(room, id), STATE_FAILED);
    struct said other = yes;
    other.owner = "boss@example.com";
    take_as(room, C, 'A', &other);
    assert_int_equal(state_of(room, id), STATE_QUEUED);
    expect_chosen(room, id, C);
}

/* Whatever of the form is another: Chorus has refused nothing like it. */
static void in_another_form_what_chorus_refused_goes_again(void **state)
{
    struct room *room = *state;
    static const struct resolution same = {.outcome = RESOLVED,
                                           .key_kind = KEY_DERIVED,
                                           .owner = (char *)"team@example.com",
                                           .name = (char *)"a call",
                                           .meeting_id = (char *)"sha256-x"};
    struct resolution others[] = {same, same, same, same, same, same};
    others[0].owner = (char *)"boss@example.com";
    others[1].name = (char *)"another call";
    others[2].meeting_id = (char *)"sha256-y";
    others[3].crm_account_id = (char *)"17";
    others[4].crm_opportunity_id = (char *)"18";
    others[5].outcome = RESOLVED_HELD;
    others[5].reason = (char *)"no owner";
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char path[64];
        snprintf(path, sizeof path, ROOT "/%zu.wav", i);
        struct ledger_admission admission = take(room, path, (char)('1' + i));
        int64_t id = admission.recording;
        intend(room, id);
        move_to(room, id, STATE_FAILED, ATTEMPT_COUNTS);
        struct resolution again = same;
        ledger_resolve(room->ledger, id, admission.path, &again, 5, 0, room->now_ms);
        assert_int_equal(state_of(room, id), STATE_FAILED);
        ledger_resolve(room->ledger, id, admission.path, &others[i], 5, 0, room->now_ms);
        assert_int_equal(state_of(room, id),
                         others[i].outcome == RESOLVED ? STATE_QUEUED : STATE_HELD);
    }
}

/* --- doubtful */

static struct said said_with(enum resolution_outcome outcome, enum key_kind key_kind)
{
    struct said said = yes;
    said.outcome = outcome;
    said.key_kind = key_kind;
    said.reason = outcome != RESOLVED ? "as the rules say" : NULL;
    return said;
}

/* Whatever the rules say of it, what is doubtful is not sent; what is not sent is not doubtful. */
static void what_is_doubtful_is_held(void **state)
{
    static const struct {
        enum resolution_outcome outcome;
        enum recording_state becomes;
        const char *reason;
    } cases[] = {{RESOLVED, STATE_HELD, "it shrank"},
                 {RESOLVED_WAIT, STATE_HELD, "it shrank"},
                 {RESOLVED_HELD, STATE_HELD, "as the rules say"},
                 {RESOLVED_SKIP, STATE_SKIPPED, "as the rules say"}};
    struct room *room = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[64];
        snprintf(path, sizeof path, ROOT "/%zu.wav", i);
        struct said said = said_with(cases[i].outcome, KEY_DERIVED);
        struct ledger_file file = file_at(room, path, (char)('1' + i));
        struct ledger_admission admission;
        uint8_t sha256[32];
        content_of((char)('1' + i), sha256);
        ledger_admit(room->ledger, &file, sha256, room->now_ms, &admission);
        ledger_doubt(room->ledger, admission.recording, "it shrank", false);
        resolve(room, admission.recording, admission.path, &said);
        assert_int_equal(state_of(room, admission.recording), cases[i].becomes);
        assert_string_equal(listed(room, path).reason, cases[i].reason);
    }
}

static void what_may_have_been_sent_needs_a_key(void **state)
{
    static const enum key_kind keys[] = {KEY_DERIVED, KEY_SCHEDULED, KEY_NONE};
    struct room *room = *state;
    for (size_t i = 0; i < 3; i++) {
        char path[64];
        snprintf(path, sizeof path, ROOT "/%zu.wav", i);
        struct said said = said_with(RESOLVED, keys[i]);
        int64_t id = take_as(room, path, (char)('1' + i), &no_owner).recording;
        ledger_doubt(room->ledger, id, NULL, true);
        resolve(room, id, job_of(room, id).path_id, &said);
        assert_int_equal(state_of(room, id), keys[i] == KEY_NONE ? STATE_HELD : STATE_QUEUED);
    }
    assert_non_null(strstr(listed(room, ROOT "/2.wav").reason, "without a meeting_id"));
}

/* For its sidecar, or for the list of users. */
static void what_waits_for_what_decides_goes_once_that_is_there(void **state)
{
    struct room *room = *state;
    struct said waits = said_with(RESOLVED_WAIT, KEY_DERIVED);
    waits.not_before_ms = NOW + DAY;
    room->digest = 0; /* the rules are to be applied again */
    struct ledger_admission admission = take_as(room, A, 'A', &waits);
    assert_int_equal(state_of(room, admission.recording), STATE_WAITING);
    assert_string_equal(listed(room, A).reason, "as the rules say");
    room->digest = 100;
    resolve(room, admission.recording, admission.path, &yes);
    assert_int_equal(state_of(room, admission.recording), STATE_QUEUED);
}

static void what_waits_says_what_for(void **state)
{
    struct room *room = *state;
    struct said later = yes;
    later.not_before_ms = NOW + DAY;
    take_as(room, A, 'A', &later);
    assert_string_equal(listed(room, A).reason, "its watch has a delay");
    later.reason = "its sidecar may still come";
    take_as(room, B, 'B', &later);
    assert_string_equal(listed(room, B).reason, "its sidecar may still come");
}

static void without_fields_none_are_shown(void **state)
{
    struct room *room = *state;
    struct ledger_admission admission = take(room, A, 'A');
    assert_string_not_equal(listed(room, A).fields, "");
    struct resolution bare = {
        .outcome = RESOLVED, .owner = (char *)"team@example.com", .name = (char *)"a call"};
    ledger_resolve(room->ledger, admission.recording, admission.path, &bare, 5, 0, room->now_ms);
    assert_string_equal(listed(room, A).fields, "");
}

/* --- changed */

static void changed_before_its_upload_it_is_replaced(void **state)
{
    struct room *room = *state;
    int64_t old = take(room, A, 'A').recording;
    int64_t new = take(room, A, 'B').recording;
    assert_int_equal(recording_of(room, 'A'), 0);
    assert_int_not_equal(old, new);
    assert_int_equal(count_of(room, STATE_QUEUED), 1);
    assert_int_equal(listed(room, A).rows, 1);
}

static void changed_before_its_upload_a_copy_takes_over(void **state)
{
    struct room *room = *state;
    int64_t id = take(room, A, 'A').recording;
    take(room, B, 'A');
    take(room, A, 'B');
    assert_int_equal(recording_of(room, 'A'), id);
    expect_chosen(room, id, B);
    assert_int_equal(job_of(room, id).digest, 0); /* judged anew at its new path */
    assert_int_equal(count_of(room, STATE_QUEUED), 2);
    assert_int_equal(count_of(room, STATE_DUPLICATE), 0);
}

static void a_copy_that_changes_leaves_the_others_alone(void **state)
{
    struct room *room = *state;
    int64_t id = take(room, A, 'A').recording;
    take(room, B, 'A');
    take(room, B, 'B');
    expect_chosen(room, id, A);
    assert_int_equal(count_of(room, STATE_QUEUED), 2);
    assert_int_equal(count_of(room, STATE_DUPLICATE), 0);
}

/* A copy that has left must not hang on to a recording that is forgotten. */
static void forgotten_for_good_although_an_absent_copy_had_it(void **state)
{
    struct room *room = *state;
    take(room, A, 'A');
    take(room, B, 'A');
    ledger_absent(room->ledger, B, room->now_ms);
    take(room, A, 'B');
    check_counts(room);
    assert_int_equal(count_of(room, STATE_DUPLICATE), 0);
    assert_int_equal(count_of(room, STATE_SKIPPED), 0);
    assert_int_equal(listed(room, B).rows, 0);
    int64_t again = take(room, B, 'A').recording; /* it is back: new */
    assert_int_equal(state_of(room, again), STATE_QUEUED);
}

static void an_id_is_never_used_again(void **state)
{
    struct room *room = *state;
    int64_t old = take(room, A, 'A').recording;
    take(room, A, 'B');
    assert_true(recording_of(room, 'B') > old);
    commit(room);
    open_again(room);
    int64_t last = recording_of(room, 'B');
    take(room, A, 'C');
    assert_true(recording_of(room, 'C') > last);
}

static void changed_after_its_upload_the_old_row_stays(void **state)
{
    struct room *room = *state;
    int64_t old = take(room, A, 'A').recording;
    upload(room, old);
    int64_t new = take(room, A, 'B').recording;
    assert_int_equal(state_of(room, old), STATE_UPLOADED);
    assert_int_equal(state_of(room, new), STATE_QUEUED);
    assert_int_equal(listed(room, A).rows, 2);
    assert_int_equal(count_of(room, STATE_UPLOADED), 1);
    assert_int_equal(take(room, A, 'A').kind, ADMIT_DUPLICATE); /* and back again */
    assert_int_equal(recording_of(room, 'B'), 0);
}

static void changed_while_it_may_have_arrived_the_old_row_stays(void **state)
{
    const enum recording_state doubtful[] = {STATE_UPLOADING, STATE_UNCERTAIN};
    struct room *room = *state;
    for (size_t i = 0; i < 2; i++) {
        char content = (char)('A' + 2 * (int)i);
        int64_t old = take(room, A, content).recording;
        intend(room, old);
        if (doubtful[i] == STATE_UNCERTAIN)
            move_to(room, old, STATE_UNCERTAIN, ATTEMPT_COUNTS);
        take(room, A, (char)(content + 1));
        assert_int_equal(state_of(room, old), doubtful[i]);
        if (doubtful[i] == STATE_UPLOADING)
            move_to(room, old, STATE_UPLOADED, ATTEMPT_COUNTS);
    }
}

/* A calendar's key met a 409: it is not known yet whose recording that is. */
static void changed_while_it_is_looked_for_the_old_row_stays(void **state)
{
    struct room *room = *state;
    struct plan_move conflict = {.to = STATE_UNCERTAIN,
                                 .attempt = ATTEMPT_COUNTS,
                                 .conflict = true,
                                 .reason = "Chorus knows this meeting_id"};
    int64_t id = take(room, A, 'A').recording;
    intend(room, id);
    ledger_move(room->ledger, id, &conflict, room->now_ms);
    assert_true(job_of(room, id).frozen);
    take(room, A, 'B');
    assert_int_equal(state_of(room, id), STATE_UNCERTAIN);
    assert_int_equal(recording_of(room, 'A'), id);
}

static uint64_t shrank_from(struct room *room, struct ledger_file file, char content)
{
    struct ledger_admission admission;
    uint8_t sha256[32];
    content_of(content, sha256);
    ledger_admit(room->ledger, &file, sha256, room->now_ms, &admission);
    if (admission.kind == ADMIT_RESOLVE)
        resolve(room, admission.recording, admission.path, &yes);
    return (uint64_t)admission.shrank_from;
}

/* The same file, and less of it than there was: that is no recording that goes on. */
static void a_file_that_shrank_is_told_with_what_it_was(void **state)
{
    struct room *room = *state;
    struct ledger_file file = file_at(room, A, 'A');
    assert_int_equal(shrank_from(room, file, 'A'), 0);
    file.identity.size -= 500;
    assert_int_equal(shrank_from(room, file, 'B'), 1000 + 'A');
    file.identity.size += 800;
    assert_int_equal(shrank_from(room, file, 'C'), 0); /* it grew */
    file.identity.size -= 700;
    file.identity.ino++;
    assert_int_equal(shrank_from(room, file, 'D'), 0); /* another file has its name */
}

static void another_path_is_tried_where_the_first_is_not_what_it_was(void **state)
{
    struct room *room = *state;
    int64_t id = take(room, A, 'A').recording;
    ledger_try_other_path(room->ledger, id);
    expect_chosen(room, id, A);
    take(room, B, 'A');
    ledger_try_other_path(room->ledger, id);
    expect_chosen(room, id, B);
    ledger_try_other_path(room->ledger, id);
    expect_chosen(room, id, A);
}

/* Held or failed now, but an earlier attempt may have arrived, or Chorus said that it has it. */
static void changed_after_a_doubt_the_old_row_stays(void **state)
{
    struct room *room = *state;
    struct plan_move known = {.to = STATE_DUPLICATE,
                              .attempt = ATTEMPT_COUNTS,
                              .known_by_409 = true,
                              .reason = "Chorus has it"};
    int64_t a = take(room, A, 'A').recording;
    intend(room, a);
    move_to(room, a, STATE_UNCERTAIN, ATTEMPT_COUNTS);
    move_to(room, a, STATE_HELD, ATTEMPT_NONE);
    take(room, A, 'X');
    assert_int_equal(state_of(room, a), STATE_HELD);
    int64_t b = take(room, B, 'B').recording;
    intend(room, b);
    ledger_move(room->ledger, b, &known, room->now_ms);
    take(room, B, 'Y');
    assert_int_equal(state_of(room, b), STATE_DUPLICATE);
    assert_int_equal(recording_of(room, 'B'), b);
}

/* The file is withheld while it is sent: the end never left. */
static void withheld_and_forgotten(void **state)
{
    struct room *room = *state;
    int64_t id = take(room, A, 'A').recording;
    intend(room, id);
    ledger_source_changed(room->ledger, id, true, "it changed", room->now_ms);
    assert_int_equal(recording_of(room, 'A'), 0);
    assert_int_equal(listed(room, A).rows, 0);
    assert_int_equal(ledger_posts(room->ledger), 1);
    assert_int_equal(state_of(room, take(room, A, 'B').recording), STATE_QUEUED);
}

static void withheld_before_a_byte_left_is_no_post(void **state)
{
    struct room *room = *state;
    int64_t id = take(room, A, 'A').recording;
    intend(room, id);
    ledger_source_changed(room->ledger, id, false, "it changed", room->now_ms);
    assert_int_equal(ledger_posts(room->ledger), 0);
}

static void withheld_with_a_copy_goes_on_from_there(void **state)
{
    struct room *room = *state;
    int64_t id = take(room, A, 'A').recording, ready[4];
    take(room, B, 'A');
    intend(room, id);
    while (ledger_take_ready(room->ledger, ready, 4) > 0)
        ;
    ledger_source_changed(room->ledger, id, true, "it changed", room->now_ms);
    assert_int_equal(state_of(room, id), STATE_QUEUED);
    expect_chosen(room, id, B);
    assert_int_equal(ledger_take_ready(room->ledger, ready, 4), 1);
}

static void withheld_after_doubt_is_gone_not_forgotten(void **state)
{
    struct room *room = *state;
    int64_t id = take(room, A, 'A').recording;
    intend(room, id);
    move_to(room, id, STATE_UNCERTAIN, ATTEMPT_COUNTS);
    intend(room, id);
    ledger_source_changed(room->ledger, id, true, "it changed", room->now_ms);
    assert_int_equal(state_of(room, id), STATE_GONE);
    assert_non_null(strstr(listed(room, A).reason, "Chorus may have"));
}

/* --- left its path */

static void vanished_is_gone_and_back_is_queued(void **state)
{
    struct room *room = *state;
    int64_t id = take(room, A, 'A').recording;
    ledger_absent(room->ledger, A, room->now_ms);
    assert_int_equal(state_of(room, id), STATE_GONE);
    assert_int_equal(count_of(room, STATE_GONE), 1);
    ledger_absent(room->ledger, A, room->now_ms); /* told twice */
    assert_int_equal(state_of(room, id), STATE_GONE);
    struct ledger_known known;
    struct ledger_file file = file_at(room, A, 'A');
    ledger_know(room->ledger, A, &file.identity, &known);
    assert_false(known.same);
    assert_int_equal(take(room, A, 'A').kind, ADMIT_RESOLVE);
    assert_int_equal(state_of(room, id), STATE_QUEUED);
}

static void vanished_and_back_elsewhere_is_queued_from_there(void **state)
{
    struct room *room = *state;
    int64_t id = take(room, A, 'A').recording;
    ledger_absent(room->ledger, A, room->now_ms);
    take(room, B, 'A');
    assert_int_equal(state_of(room, id), STATE_QUEUED);
    expect_chosen(room, id, B);
}

static void another_path_takes_over(void **state)
{
    struct room *room = *state;
    int64_t id = take(room, A, 'A').recording, ready[4];
    take(room, B, 'A');
    while (ledger_take_ready(room->ledger, ready, 4) > 0)
        ;
    ledger_absent(room->ledger, A, room->now_ms);
    assert_int_equal(state_of(room, id), STATE_QUEUED);
    expect_chosen(room, id, B);
    /* the plan may just have found its path empty, and must hear of it */
    assert_int_equal(ledger_take_ready(room->ledger, ready, 4), 1);
    ledger_absent(room->ledger, B, room->now_ms);
    assert_int_equal(state_of(room, id), STATE_GONE);
}

static void after_the_upload_nothing_is_gone(void **state)
{
    struct room *room = *state;
    int64_t id = take(room, A, 'A').recording;
    upload(room, id);
    ledger_absent(room->ledger, A, room->now_ms);
    assert_int_equal(state_of(room, id), STATE_UPLOADED);
    assert_false(listed(room, A).present);
}

/* It left while it was sent; the attempt fails; the next one finds nothing: that is said again. */
static void vanished_during_its_upload_it_is_gone_when_sent_again(void **state)
{
    struct room *room = *state;
    int64_t id = take(room, A, 'A').recording;
    intend(room, id);
    ledger_absent(room->ledger, A, room->now_ms);
    assert_int_equal(state_of(room, id), STATE_UPLOADING);
    move_to(room, id, STATE_WAITING, ATTEMPT_COUNTS);
    ledger_absent(room->ledger, A, room->now_ms);
    assert_int_equal(state_of(room, id), STATE_GONE);
}

/* ... and a scan that compares what is pending with what is there finds it too. */
static void vanished_during_its_upload_it_is_still_looked_for(void **state)
{
    struct room *room = *state;
    struct ledger_pending_path paths[4];
    int64_t id = take(room, A, 'A').recording;
    intend(room, id);
    ledger_absent(room->ledger, A, room->now_ms);
    move_to(room, id, STATE_HELD, ATTEMPT_COUNTS);
    assert_int_equal(ledger_pending_paths(room->ledger, room->watch, 0, paths, 4), 1);
    assert_string_equal(paths[0].path, A);
    free(paths[0].path);
}

/* The file was replaced while it was sent, then left: the old content is gone, not stuck. */
static void replaced_and_vanished_during_its_upload(void **state)
{
    struct room *room = *state;
    int64_t old = take(room, A, 'A').recording;
    intend(room, old);
    int64_t new = take(room, A, 'B').recording;
    move_to(room, old, STATE_UNCERTAIN, ATTEMPT_COUNTS);
    ledger_absent(room->ledger, A, room->now_ms);
    assert_int_equal(state_of(room, new), STATE_GONE);
    assert_int_equal(state_of(room, old), STATE_GONE);
}

static void gone_in_doubt_comes_back_in_doubt(void **state)
{
    struct room *room = *state;
    int64_t id = take(room, A, 'A').recording;
    intend(room, id);
    move_to(room, id, STATE_UNCERTAIN, ATTEMPT_COUNTS);
    ledger_absent(room->ledger, A, room->now_ms);
    assert_int_equal(state_of(room, id), STATE_GONE);
    assert_non_null(strstr(listed(room, A).reason, "Chorus may have it"));
    struct said other = yes;
    other.owner = "boss@example.com";
    take_as(room, A, 'A', &other);
    assert_int_equal(state_of(room, id), STATE_UNCERTAIN);
    assert_string_equal(listed(room, A).owner, "team@example.com"); /* its form is frozen */
}

static void pending_paths_come_in_batches(void **state)
{
    struct room *room = *state;
    struct ledger_pending_path paths[2];
    take(room, A, 'A');
    upload(room, take(room, B, 'B').recording);
    take_as(room, C, 'C', &no_owner);
    take(room, ROOT "/d.wav", 'D');
    size_t n = ledger_pending_paths(room->ledger, room->watch, 0, paths, 2);
    assert_int_equal(n, 2);
    assert_string_equal(paths[0].path, A);
    assert_string_equal(paths[1].path, C);
    int64_t after = paths[1].recording;
    free(paths[0].path);
    free(paths[1].path);
    assert_int_equal(ledger_pending_paths(room->ledger, room->watch, after, paths, 2), 1);
    assert_string_equal(paths[0].path, ROOT "/d.wav");
    free(paths[0].path);
    assert_int_equal(ledger_pending_paths(room->ledger, room->watch + 7, 0, paths, 2), 0);
}

/* --- skipped */

static void skipped_and_told(void **state)
{
    struct room *room = *state;
    struct ledger_known known;
    struct ledger_file file = file_at(room, A, 'A');
    leave_out(room, A, 'A', SKIP_EMPTY);
    ledger_know(room->ledger, A, &file.identity, &known);
    assert_true(known.same);
    assert_int_equal(known.recording, 0);
    assert_int_equal(known.skip, SKIP_EMPTY);
    assert_int_equal(count_of(room, STATE_SKIPPED), 1);
    assert_int_equal(listed(room, A).state, STATE_SKIPPED);
    assert_string_equal(listed(room, A).reason, "not wanted");
    assert_false(listed(room, A).has_sha256);
}

static void skipped_it_may_still_become_a_recording(void **state)
{
    struct room *room = *state;
    leave_out(room, A, 'A', SKIP_EMPTY);
    int64_t id = take(room, A, 'B').recording;
    assert_int_equal(state_of(room, id), STATE_QUEUED);
    assert_int_equal(count_of(room, STATE_SKIPPED), 0);
    assert_int_equal(listed(room, A).rows, 1);
}

static void a_recording_that_is_skipped_now_is_forgotten(void **state)
{
    struct room *room = *state;
    take(room, A, 'A');
    leave_out(room, A, 'B', SKIP_EMPTY);
    assert_int_equal(recording_of(room, 'A'), 0);
    assert_int_equal(count_of(room, STATE_SKIPPED), 1);
    assert_int_equal(count_of(room, STATE_QUEUED), 0);
}

static void what_was_uploaded_stays_when_its_file_is_skipped_now(void **state)
{
    struct room *room = *state;
    upload(room, take(room, A, 'A').recording);
    leave_out(room, A, 'B', SKIP_EMPTY);
    assert_int_equal(count_of(room, STATE_UPLOADED), 1);
    assert_int_equal(count_of(room, STATE_SKIPPED), 1);
}

static void a_skip_of_the_file_survives_its_renaming(void **state)
{
    struct room *room = *state;
    struct ledger_file file = file_at(room, A, 'A');
    assert_false(ledger_is_renamed_skip(room->ledger, &file.identity));
    leave_out(room, A, 'A', SKIP_BEFORE_START);
    file.identity.ctime_ns += 5; /* renaming changes it */
    assert_true(ledger_is_renamed_skip(room->ledger, &file.identity));
    struct ledger_known known;
    ledger_know(room->ledger, A, &file.identity, &known);
    assert_true(known.same);
    struct file_identity copy = file.identity;
    copy.ino++;
    assert_false(ledger_is_renamed_skip(room->ledger, &copy));
    copy = file.identity;
    copy.size++;
    assert_false(ledger_is_renamed_skip(room->ledger, &copy));
    copy = file.identity;
    copy.mtime_ns++;
    assert_false(ledger_is_renamed_skip(room->ledger, &copy));
    leave_out(room, B, 'B', SKIP_EMPTY); /* no other kind of skip is the file's own */
    file = file_at(room, B, 'B');
    assert_false(ledger_is_renamed_skip(room->ledger, &file.identity));
}

static void a_changed_configuration_forgets_skips_by_rule_and_size(void **state)
{
    struct room *room = *state;
    struct ledger_known known;
    leave_out(room, A, 'A', SKIP_RULE);
    leave_out(room, B, 'B', SKIP_SMALL);
    leave_out(room, C, 'C', SKIP_BEFORE_START);
    leave_out(room, ROOT "/d.wav", 'D', SKIP_UNSUPPORTED);
    assert_int_equal(ledger_forget_skips(room->ledger, room->digest, 10), 0);
    assert_int_equal(ledger_forget_skips(room->ledger, room->digest + 1, 1), 1);
    assert_int_equal(ledger_forget_skips(room->ledger, room->digest + 1, 10), 1);
    assert_int_equal(ledger_forget_skips(room->ledger, room->digest + 1, 10), 0);
    struct ledger_file file = file_at(room, A, 'A');
    ledger_know(room->ledger, A, &file.identity, &known);
    assert_false(known.same);
    assert_int_equal(count_of(room, STATE_SKIPPED), 2);
    assert_int_equal(listed(room, A).rows, 0);
}

/* --- a changed configuration */

static void what_is_held_for_an_owner_is_found_again(void **state)
{
    struct room *room = *state;
    int64_t found[4];
    int64_t held = take_as(room, A, 'A', &no_owner).recording;
    int64_t doubt = take(room, B, 'B').recording;
    intend(room, doubt);
    move_to(room, doubt, STATE_HELD, ATTEMPT_COUNTS);
    take(room, C, 'C');
    assert_int_equal(ledger_held_otherwise(room->ledger, room->digest, 0, found, 4), 0);
    assert_int_equal(ledger_held_otherwise(room->ledger, room->digest + 1, 0, found, 4), 1);
    assert_int_equal(found[0], held);
    assert_int_equal(ledger_held_otherwise(room->ledger, room->digest + 1, held, found, 4), 0);
    room->digest++;
    resolve(room, held, job_of(room, held).path_id, &yes);
    assert_int_equal(state_of(room, held), STATE_QUEUED);
    assert_int_equal(ledger_held_otherwise(room->ledger, room->digest, 0, found, 4), 0);
}

/* A rule that skips was added after it was taken in, and is taken out again. */
static void a_recording_that_a_rule_skipped_is_found_again(void **state)
{
    struct room *room = *state;
    struct said never = {.outcome = RESOLVED_SKIP, .reason = "test campaign"};
    int64_t found[4];
    int64_t id = take(room, A, 'A').recording;
    room->digest++;
    resolve(room, id, job_of(room, id).path_id, &never);
    assert_int_equal(state_of(room, id), STATE_SKIPPED);
    assert_int_equal(ledger_held_otherwise(room->ledger, room->digest, 0, found, 4), 0);
    room->digest++;
    assert_int_equal(ledger_held_otherwise(room->ledger, room->digest, 0, found, 4), 1);
    assert_int_equal(found[0], id);
    resolve(room, id, job_of(room, id).path_id, &yes);
    assert_int_equal(state_of(room, id), STATE_QUEUED);
}

/* --- bytes */

static void paths_are_bytes(void **state)
{
    static const char *const odd[] = {ROOT "/new\nline.wav", ROOT "/J\xfcrgen.wav",
                                      ROOT "/\xff\xfe\x01.wav", ROOT "/back\\slash'\".wav"};
    struct room *room = *state;
    for (size_t i = 0; i < 4; i++) {
        char content = (char)('A' + (int)i);
        int64_t id = take(room, odd[i], content).recording;
        struct ledger_known known;
        struct ledger_file file = file_at(room, odd[i], content);
        expect_chosen(room, id, odd[i]);
        assert_string_equal(listed(room, odd[i]).path, odd[i]);
        ledger_know(room->ledger, odd[i], &file.identity, &known);
        assert_true(known.same);
        assert_true(ledger_knows_path(room->ledger, odd[i]));
    }
    assert_int_equal(count_of(room, STATE_QUEUED), 4);
    commit(room);
    open_again(room);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(listed(room, odd[i]).rows, 1);
    ledger_absent(room->ledger, odd[1], room->now_ms);
    assert_int_equal(count_of(room, STATE_GONE), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_a_room(new_content_is_queued),
        in_a_room(what_is_known_is_known),
        in_a_room(held_waiting_or_skipped_as_the_rules_say),
        in_a_room(a_second_path_of_one_content_is_a_duplicate),
        in_a_room(a_copy_of_what_was_uploaded_is_a_duplicate),
        in_a_room(a_copy_of_what_chorus_refused_is_not_sent_in_the_same_form),
        in_a_room(changed_before_its_upload_it_is_replaced),
        in_a_room(changed_before_its_upload_a_copy_takes_over),
        in_a_room(a_copy_that_changes_leaves_the_others_alone),
        in_a_room(forgotten_for_good_although_an_absent_copy_had_it),
        in_a_room(an_id_is_never_used_again),
        in_a_room(changed_after_its_upload_the_old_row_stays),
        in_a_room(changed_while_it_may_have_arrived_the_old_row_stays),
        in_a_room(changed_after_a_doubt_the_old_row_stays),
        in_a_room(withheld_and_forgotten),
        in_a_room(withheld_before_a_byte_left_is_no_post),
        in_a_room(withheld_with_a_copy_goes_on_from_there),
        in_a_room(withheld_after_doubt_is_gone_not_forgotten),
        in_a_room(vanished_is_gone_and_back_is_queued),
        in_a_room(vanished_and_back_elsewhere_is_queued_from_there),
        in_a_room(another_path_takes_over),
        in_a_room(after_the_upload_nothing_is_gone),
        in_a_room(vanished_during_its_upload_it_is_gone_when_sent_again),
        in_a_room(vanished_during_its_upload_it_is_still_looked_for),
        in_a_room(replaced_and_vanished_during_its_upload),
        in_a_room(gone_in_doubt_comes_back_in_doubt),
        in_a_room(pending_paths_come_in_batches),
        in_a_room(skipped_and_told),
        in_a_room(skipped_it_may_still_become_a_recording),
        in_a_room(a_recording_that_is_skipped_now_is_forgotten),
        in_a_room(what_was_uploaded_stays_when_its_file_is_skipped_now),
        in_a_room(a_skip_of_the_file_survives_its_renaming),
        in_a_room(a_changed_configuration_forgets_skips_by_rule_and_size),
        in_a_room(what_is_held_for_an_owner_is_found_again),
        in_a_room(a_recording_that_a_rule_skipped_is_found_again),
        in_a_room(paths_are_bytes),
        in_a_room(in_another_form_what_chorus_refused_goes_again),
        in_a_room(what_is_doubtful_is_held),
        in_a_room(what_may_have_been_sent_needs_a_key),
        in_a_room(what_waits_for_what_decides_goes_once_that_is_there),
        in_a_room(what_waits_says_what_for),
        in_a_room(without_fields_none_are_shown),
        in_a_room(changed_while_it_is_looked_for_the_old_row_stays),
        in_a_room(a_file_that_shrank_is_told_with_what_it_was),
        in_a_room(another_path_is_tried_where_the_first_is_not_what_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
