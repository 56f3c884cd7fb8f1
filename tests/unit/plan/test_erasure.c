/* The life of an erasure in virtual time, from the request to its last proof. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/plan/erasure.h"

#define S INT64_C(1000)
#define MINUTE (60 * S)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define BEGIN (INT64_C(1790000000) * S)

static const struct erasure_options options = {.confirm_for_ms = HOUR, .ask_for_ms = DAY};
static struct erasure it;
static int64_t now_ms;

/* --- the play --- */

static void known(const char *id)
{
    now_ms = BEGIN;
    it = (struct erasure){.recording = 7};
    strcpy(it.engagement_id, id);
    erasure_begin(&it, false, now_ms);
}

static void step(struct erasure_event event)
{
    if (it.due_ms > now_ms)
        now_ms = it.due_ms;
    erasure_step(&it, &event, &options, now_ms);
}

static void read_as(bool visible)
{
    step((struct erasure_event){.kind = ERASURE_READ, .visible = visible});
}

static void no_answer(void)
{
    step((struct erasure_event){.kind = ERASURE_NO_ANSWER});
}

static void answer(int status, bool batch, int64_t retry_after_ms, const char *said)
{
    if (it.due_ms > now_ms)
        now_ms = it.due_ms;
    erasure_intend(&it, now_ms);
    step((struct erasure_event){.kind = ERASURE_ANSWERED,
                                .status = status,
                                .batch = batch,
                                .retry_after_ms = retry_after_ms,
                                .said = said});
}

static void single(int status)
{
    answer(status, false, -1, "No: it is so");
}

static void batch(int status)
{
    answer(status, true, -1, NULL);
}

static void expect(enum erasure_phase phase, int64_t due_in_ms)
{
    assert_int_equal(it.phase, phase);
    assert_int_equal(it.due_ms - now_ms, due_in_ms);
    assert_int_equal(it.outcome, OUTCOME_NONE);
}

static void expect_over(enum erasure_outcome outcome, const char *reason)
{
    enum erasure_outcome said;
    assert_int_equal(it.phase, ERASURE_OVER);
    assert_int_equal(it.outcome, outcome);
    assert_int_equal(it.due_ms, 0);
    assert_non_null(strstr(it.reason, reason));
    assert_true(erasure_is_reportable(&it, &options, now_ms, &said));
    assert_int_equal(said, outcome);
}

static bool reportable(enum erasure_outcome *outcome)
{
    return erasure_is_reportable(&it, &options, now_ms, outcome);
}

static void accepted_at_once(void)
{
    known("A1");
    read_as(true);
    batch(202);
}

/* --- the three proofs --- */

static void three_proofs(void **state)
{
    enum erasure_outcome said;
    (void)state;
    known("A1");
    expect(ERASURE_SEES, 0);
    assert_int_equal(erasure_report_by(&it, &options), 0);
    assert_false(reportable(&said));
    assert_int_equal(said, OUTCOME_NONE);

    read_as(true);
    expect(ERASURE_SENDS, 0);
    assert_int_equal(it.visible_ms, BEGIN);
    assert_true(it.read_before);
    assert_false(it.alone);

    now_ms += S;
    batch(202);
    expect(ERASURE_CONFIRMS, 0);
    assert_int_equal(it.accepted_ms, BEGIN + S);
    assert_int_equal(it.sent_ms, BEGIN + S);
    assert_int_equal(it.status, 202);
    assert_int_equal(erasure_report_by(&it, &options), BEGIN + S + HOUR);
    assert_false(reportable(&said));
    assert_int_equal(said, OUTCOME_UNCONFIRMED);

    now_ms += S;
    read_as(true);
    expect(ERASURE_CONFIRMS, S);
    read_as(false);
    expect_over(OUTCOME_DELETED, "");
    assert_int_equal(it.gone_ms, BEGIN + 3 * S);
    assert_string_equal(it.reason, "");
}

static void confirmed_at_growing_intervals_until_it_may_be_reported(void **state)
{
    enum erasure_outcome said;
    int reads = 0;
    int64_t last = 0;
    (void)state;
    accepted_at_once();
    for (; now_ms < it.accepted_ms + HOUR; reads++) {
        int64_t before = now_ms;
        assert_false(reportable(&said));
        read_as(true);
        if (now_ms < it.accepted_ms + HOUR / 2)
            assert_true(now_ms - before >= last);
        last = now_ms - before;
    }
    assert_in_range(reads, 10, 40);
    assert_int_equal(now_ms, it.accepted_ms + HOUR); /* not later */
    assert_int_equal(it.outcome, OUTCOME_UNCONFIRMED);
    assert_true(reportable(&said));
    assert_int_equal(said, OUTCOME_UNCONFIRMED);
    assert_non_null(strstr(it.reason, "still shows it"));
}

static void sent_again_at_growing_intervals_for_a_day(void **state)
{
    int sent = 0;
    int64_t last = 0, before = 0;
    (void)state;
    accepted_at_once();
    while (it.phase != ERASURE_OVER) {
        if (it.phase == ERASURE_SENDS) {
            before = it.sent_ms;
            /* whatever is said now, it was accepted */
            static const int statuses[] = {202, 500, 404, 401, 0};
            batch(statuses[sent % 5]);
            assert_true(it.sent_ms - before >= last);
            last = it.sent_ms - before;
            assert_int_equal(it.phase, ERASURE_CONFIRMS);
            sent++;
        }
        read_as(true);
        assert_in_range(now_ms, BEGIN, BEGIN + 26 * HOUR);
    }
    assert_in_range(sent, 4, 8);
    assert_in_range(now_ms, BEGIN + DAY, BEGIN + 26 * HOUR);
    expect_over(OUTCOME_UNCONFIRMED, "still shows it");
    assert_int_equal(it.accepted_ms, BEGIN);
    assert_true(it.alone); /* a batch was refused */
    assert_int_equal(it.status, 202);
}

static void a_late_proof_counts(void **state)
{
    (void)state;
    accepted_at_once();
    while (now_ms < BEGIN + 3 * HOUR) {
        if (it.phase == ERASURE_SENDS)
            single(202);
        else
            read_as(true);
    }
    if (it.phase == ERASURE_SENDS)
        single(503);
    assert_int_equal(it.outcome, OUTCOME_UNCONFIRMED);
    read_as(false);
    expect_over(OUTCOME_DELETED, "");
    assert_int_equal(it.accepted_ms, BEGIN);
}

static void reads_that_fail_are_done_again(void **state)
{
    enum erasure_outcome said;
    (void)state;
    accepted_at_once();
    no_answer();
    expect(ERASURE_CONFIRMS, S);
    now_ms = BEGIN + 30 * DAY;
    no_answer();
    assert_int_equal(it.phase, ERASURE_CONFIRMS);
    assert_int_equal(it.due_ms - now_ms, HOUR);
    assert_true(reportable(&said));
    read_as(false);
    expect_over(OUTCOME_DELETED, "");
}

static void reportable_after_its_time_though_nothing_was_asked(void **state)
{
    enum erasure_outcome said;
    (void)state;
    accepted_at_once();
    now_ms = BEGIN + HOUR - 1;
    assert_false(reportable(&said));
    now_ms++;
    assert_true(reportable(&said));
    assert_int_equal(said, OUTCOME_UNCONFIRMED);
}

/* --- what was never seen --- */

static void private_is_accepted_unconfirmed(void **state)
{
    enum erasure_outcome said;
    (void)state;
    known("A1");
    read_as(false);
    expect(ERASURE_SENDS, 0);
    assert_true(it.alone); /* an answer to a batch would prove nothing of it */
    assert_true(it.read_before);
    assert_int_equal(it.visible_ms, 0);
    single(202);
    assert_false(reportable(&said));
    read_as(false);
    assert_int_equal(it.phase, ERASURE_CONFIRMS);
    assert_true(reportable(&said));
    assert_int_equal(said, OUTCOME_UNCONFIRMED);
    assert_non_null(strstr(it.reason, "private"));
    while (it.phase != ERASURE_OVER)
        read_as(false);
    expect_over(OUTCOME_UNCONFIRMED, "private");
    assert_in_range(now_ms, BEGIN + DAY, BEGIN + 26 * HOUR);
    assert_int_equal(it.gone_ms, 0);
}

static void first_seen_after_the_acceptance_it_is_proven_anew(void **state)
{
    (void)state;
    known("A1");
    read_as(false);
    single(202);
    read_as(false);
    now_ms += MINUTE;
    read_as(true);
    expect(ERASURE_SENDS, 0);
    int64_t seen = it.visible_ms;
    assert_int_equal(seen, now_ms);
    now_ms += S;
    single(202);
    assert_int_equal(it.accepted_ms, seen + S);
    read_as(false);
    expect_over(OUTCOME_DELETED, "");
}

static void uploaded_just_now_it_is_waited_for(void **state)
{
    (void)state;
    known("A1");
    it.uploaded_ms = BEGIN - 10 * S;
    int64_t wait = 2 * S;
    for (; now_ms - it.uploaded_ms < 2 * MINUTE; wait *= 2) {
        read_as(false);
        if (it.phase == ERASURE_SENDS)
            break;
        expect(ERASURE_SEES, wait < 2 * MINUTE ? wait : 2 * MINUTE);
    }
    if (it.phase == ERASURE_SEES)
        read_as(false);
    expect(ERASURE_SENDS, 0);
    assert_in_range(now_ms - it.uploaded_ms, 2 * MINUTE, 4 * MINUTE);
}

static void who_wants_a_result_soon_does_not_wait_for_what_is_fresh(void **state)
{
    struct erasure_event unseen = {.kind = ERASURE_READ};
    struct erasure_options soon = {.confirm_for_ms = 3 * S, .ask_for_ms = DAY};
    (void)state;
    known("A1");
    it.uploaded_ms = now_ms;
    erasure_step(&it, &unseen, &soon, now_ms);
    expect(ERASURE_SEES, 2 * S);
    now_ms += 3 * S;
    erasure_step(&it, &unseen, &soon, now_ms);
    expect(ERASURE_SENDS, 0);
}

static void a_clock_that_jumped_back_does_not_make_it_wait_for_ever(void **state)
{
    (void)state;
    known("A1");
    it.uploaded_ms = BEGIN + 30 * DAY;
    for (int i = 0; i < 7; i++)
        read_as(false);
    assert_int_equal(it.phase, ERASURE_SEES);
    read_as(false);
    expect(ERASURE_SENDS, 0);
    assert_in_range(now_ms, BEGIN + 2 * MINUTE, BEGIN + 10 * MINUTE);
}

static void seen_at_the_second_look(void **state)
{
    (void)state;
    known("A1");
    it.uploaded_ms = BEGIN;
    read_as(false);
    no_answer();
    assert_int_equal(it.phase, ERASURE_SEES);
    read_as(true);
    expect(ERASURE_SENDS, 0);
    assert_false(it.alone);
}

static void reads_before_are_asked_again_less_and_less_often(void **state)
{
    int64_t before = 0;
    (void)state;
    known("A1");
    for (int i = 0; i < 20; i++) {
        no_answer();
        assert_true(it.due_ms - now_ms >= before);
        before = it.due_ms - now_ms;
    }
    assert_int_equal(before, 10 * MINUTE);
    assert_int_equal(it.phase, ERASURE_SEES);
}

/* --- answers to the DELETE --- */

static void a_404_without_a_delete_of_ours_is_not_found(void **state)
{
    (void)state;
    known("A1");
    read_as(false);
    single(404);
    expect_over(OUTCOME_NOT_FOUND, "(404): No: it is so");
    assert_int_equal(it.status, 404);
    assert_int_equal(it.accepted_ms, 0);

    known("A1");
    read_as(true);
    single(410);
    expect_over(OUTCOME_NOT_FOUND, "410");

    known("A1"); /* alone from the first, so no batch can be why */
    it.force = it.alone = true;
    read_as(true);
    single(404);
    expect_over(OUTCOME_NOT_FOUND, "404");
}

static void a_404_after_our_own_lost_delete_is_an_acceptance(void **state)
{
    (void)state;
    static const int lost[] = {0, 500, 502, 408};
    for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
        known("A1");
        read_as(true);
        single(lost[i]);
        expect(ERASURE_SENDS, 2 * S);
        assert_true(it.may_be_sent);
        single(404);
        assert_int_equal(it.phase, ERASURE_CONFIRMS);
        assert_int_equal(it.status, 404);
        read_as(false);
        expect_over(OUTCOME_DELETED, "");
    }
}

static void a_404_after_the_program_was_killed_is_an_acceptance(void **state)
{
    (void)state;
    known("A1");
    read_as(true);
    erasure_intend(&it, now_ms); /* and it was killed */
    assert_false(it.may_be_sent);
    single(404);
    expect(ERASURE_CONFIRMS, 0);
    assert_true(it.may_be_sent);
}

static void a_404_of_a_fresh_one_may_be_too_early(void **state)
{
    (void)state;
    known("A1");
    it.uploaded_ms = BEGIN;
    read_as(true);
    single(404);
    expect(ERASURE_SENDS, 2 * S);
    assert_false(it.may_be_sent);
    single(202);
    expect(ERASURE_CONFIRMS, 0);

    known("A1");
    it.uploaded_ms = BEGIN;
    read_as(true);
    while (it.phase == ERASURE_SENDS)
        single(404);
    expect_over(OUTCOME_NOT_FOUND, "404");
    assert_in_range(now_ms, BEGIN + 2 * MINUTE, BEGIN + 4 * MINUTE);
}

static void an_answer_that_surely_did_nothing_makes_no_404_ours(void **state)
{
    (void)state;
    static const int nothing[] = {401, 429, 302};
    for (size_t i = 0; i < sizeof nothing / sizeof nothing[0]; i++) {
        known("A1");
        read_as(false);
        single(nothing[i]);
        assert_int_equal(it.phase, ERASURE_SENDS);
        assert_int_equal(it.sent_ms, 0);
        single(404);
        expect_over(OUTCOME_NOT_FOUND, "404");
    }
    known("A1");
    read_as(false);
    erasure_intend(&it, now_ms);
    no_answer(); /* it never left */
    expect(ERASURE_SENDS, 2 * S);
    single(404);
    expect_over(OUTCOME_NOT_FOUND, "404");

    known("A1");
    read_as(false);
    single(0);
    int64_t sent_ms = it.sent_ms;
    answer(429, false, 7 * S, NULL);
    assert_true(it.may_be_sent);
    assert_true(it.sent_ms > sent_ms);
    single(404);
    expect(ERASURE_CONFIRMS, 0);
}

static void one_bad_id_does_not_block_the_others(void **state)
{
    (void)state;
    static const int statuses[] = {400, 403, 404, 422, 409};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        known("A1");
        read_as(true);
        batch(statuses[i]);
        expect(ERASURE_SENDS, 0);
        assert_true(it.alone);
        single(202);
        expect(ERASURE_CONFIRMS, 0);
    }
    /* a batch that was refused may have been carried out in part */
    known("A1");
    read_as(true);
    batch(404);
    single(404);
    expect(ERASURE_CONFIRMS, 0);
}

static void a_refusal_bears_the_words_of_chorus(void **state)
{
    (void)state;
    static const int statuses[] = {400, 403, 409, 422};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        known("A1");
        read_as(true);
        single(statuses[i]);
        expect_over(OUTCOME_REFUSED, "): No: it is so");
        assert_int_equal(it.status, statuses[i]);
    }
    known("A1");
    read_as(true);
    answer(400, false, -1, NULL);
    expect_over(OUTCOME_REFUSED, "no further words");
    known("A1");
    read_as(true);
    answer(400, false, -1, "");
    expect_over(OUTCOME_REFUSED, "no further words");
}

static void a_refused_token_only_makes_it_wait(void **state)
{
    (void)state;
    known("A1");
    read_as(true);
    for (int i = 0; i < 100; i++) {
        batch(401);
        expect(ERASURE_SENDS, 10 * S);
    }
    assert_false(it.alone);
    batch(202);
    expect(ERASURE_CONFIRMS, 0);
}

static void asked_to_wait_it_waits(void **state)
{
    (void)state;
    known("A1");
    read_as(true);
    answer(429, true, 17 * S, NULL);
    expect(ERASURE_SENDS, 17 * S);
    answer(503, true, 18 * S, NULL);
    expect(ERASURE_SENDS, 18 * S);
    answer(429, true, -1, NULL);
    expect(ERASURE_SENDS, 8 * S);
    assert_false(it.may_be_sent);
    answer(503, true, -1, NULL); /* nothing says that it did nothing */
    assert_true(it.may_be_sent);
}

static void doubt_is_asked_again_less_and_less_often_and_alone_in_the_end(void **state)
{
    int64_t before = 0;
    (void)state;
    known("A1");
    read_as(true);
    for (int i = 0; i < 30; i++) {
        batch(500);
        assert_int_equal(it.phase, ERASURE_SENDS);
        assert_true(it.due_ms - now_ms >= before);
        before = it.due_ms - now_ms;
        assert_int_equal(it.alone, i >= 2);
    }
    assert_int_equal(before, 10 * MINUTE);
}

static void a_server_that_fails_for_one_id_for_a_day_is_reported(void **state)
{
    (void)state;
    known("A1");
    read_as(true);
    while (it.phase == ERASURE_SENDS)
        single(500);
    expect_over(OUTCOME_REFUSED, "(500)");
    assert_in_range(now_ms, BEGIN + DAY, BEGIN + DAY + HOUR);

    known("A1");
    read_as(true);
    now_ms = BEGIN + 2 * DAY;
    batch(500);
    assert_int_equal(it.phase, ERASURE_SENDS); /* not for what others did */
    single(0);
    assert_int_equal(it.phase, ERASURE_SENDS); /* nor for a dead network */
}

/* --- its upload --- */

static void in_flight_it_waits_for_the_end(void **state)
{
    (void)state;
    known("");
    erasure_begin(&it, true, now_ms);
    assert_int_equal(it.phase, ERASURE_WAITS);
    assert_int_equal(it.due_ms, 0);
    read_as(false); /* nothing moves it */
    assert_int_equal(it.phase, ERASURE_WAITS);
    now_ms += MINUTE;
    erasure_transfer_ended(&it, true, "B2", now_ms);
    expect(ERASURE_SEES, 0);
    assert_string_equal(it.engagement_id, "B2");
    assert_int_equal(it.uploaded_ms, now_ms);
}

static void it_never_left(void **state)
{
    (void)state;
    known("");
    erasure_begin(&it, true, now_ms);
    erasure_transfer_ended(&it, false, NULL, now_ms);
    expect_over(OUTCOME_NEVER_UPLOADED, "");
    read_as(true);
    expect_over(OUTCOME_NEVER_UPLOADED, "");
}

static void without_an_id_it_is_looked_up(void **state)
{
    (void)state;
    known("");
    erasure_begin(&it, true, now_ms);
    erasure_transfer_ended(&it, true, NULL, now_ms);
    expect(ERASURE_FINDS, 0);
    step((struct erasure_event){.kind = ERASURE_NO_ANSWER});
    expect(ERASURE_FINDS, 2 * S);
    step((struct erasure_event){.kind = ERASURE_NOT_FOUND});
    expect(ERASURE_FINDS, 4 * S);
    step((struct erasure_event){.kind = ERASURE_FOUND, .engagement_id = "C3"});
    expect(ERASURE_SEES, 0);
    assert_string_equal(it.engagement_id, "C3");
}

static void what_is_not_found_in_time_is_refused(void **state)
{
    (void)state;
    known("");
    it.uploaded_ms = BEGIN - 3 * DAY;
    while (it.phase == ERASURE_FINDS)
        step((struct erasure_event){.kind = ERASURE_NOT_FOUND});
    expect_over(OUTCOME_REFUSED, "no row is found (it may be private)");
    assert_int_equal(now_ms, BEGIN + HOUR);

    /* its upload ended late: the time begins then */
    known("");
    erasure_begin(&it, true, BEGIN);
    now_ms = BEGIN + DAY;
    erasure_transfer_ended(&it, true, "", now_ms);
    while (it.phase == ERASURE_FINDS)
        step((struct erasure_event){.kind = ERASURE_NOT_FOUND});
    assert_int_equal(now_ms, BEGIN + DAY + HOUR);
}

static void never_a_guess(void **state)
{
    (void)state;
    known("");
    step((struct erasure_event){.kind = ERASURE_AMBIGUOUS, .said = "C3, C4"});
    expect_over(OUTCOME_REFUSED, "C3, C4");
}

static void an_id_is_written_as_chorus_does(void **state)
{
    (void)state;
    known("ab12");
    step((struct erasure_event){.kind = ERASURE_READ, .visible = true, .engagement_id = "AB12"});
    assert_string_equal(it.engagement_id, "AB12");
    expect(ERASURE_SENDS, 0);
}

static void an_empty_finding_finds_nothing(void **state)
{
    (void)state;
    known("");
    step((struct erasure_event){.kind = ERASURE_FOUND, .engagement_id = ""});
    expect(ERASURE_FINDS, 0);
}

static void every_outcome_has_its_name(void **state)
{
    (void)state;
    static const char *const names[] = {"",
                                        "deleted",
                                        "accepted-unconfirmed",
                                        "already-deleted",
                                        "never-uploaded",
                                        "not-found",
                                        "refused",
                                        "dry-run"};
    for (int i = 0; i < 8; i++)
        assert_string_equal(erasure_outcome_name((enum erasure_outcome)i), names[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_proofs),
        cmocka_unit_test(confirmed_at_growing_intervals_until_it_may_be_reported),
        cmocka_unit_test(sent_again_at_growing_intervals_for_a_day),
        cmocka_unit_test(a_late_proof_counts),
        cmocka_unit_test(reads_that_fail_are_done_again),
        cmocka_unit_test(reportable_after_its_time_though_nothing_was_asked),
        cmocka_unit_test(private_is_accepted_unconfirmed),
        cmocka_unit_test(first_seen_after_the_acceptance_it_is_proven_anew),
        cmocka_unit_test(uploaded_just_now_it_is_waited_for),
        cmocka_unit_test(who_wants_a_result_soon_does_not_wait_for_what_is_fresh),
        cmocka_unit_test(a_clock_that_jumped_back_does_not_make_it_wait_for_ever),
        cmocka_unit_test(seen_at_the_second_look),
        cmocka_unit_test(reads_before_are_asked_again_less_and_less_often),
        cmocka_unit_test(a_404_without_a_delete_of_ours_is_not_found),
        cmocka_unit_test(a_404_after_our_own_lost_delete_is_an_acceptance),
        cmocka_unit_test(a_404_after_the_program_was_killed_is_an_acceptance),
        cmocka_unit_test(a_404_of_a_fresh_one_may_be_too_early),
        cmocka_unit_test(an_answer_that_surely_did_nothing_makes_no_404_ours),
        cmocka_unit_test(one_bad_id_does_not_block_the_others),
        cmocka_unit_test(a_refusal_bears_the_words_of_chorus),
        cmocka_unit_test(a_refused_token_only_makes_it_wait),
        cmocka_unit_test(asked_to_wait_it_waits),
        cmocka_unit_test(doubt_is_asked_again_less_and_less_often_and_alone_in_the_end),
        cmocka_unit_test(a_server_that_fails_for_one_id_for_a_day_is_reported),
        cmocka_unit_test(in_flight_it_waits_for_the_end),
        cmocka_unit_test(it_never_left),
        cmocka_unit_test(without_an_id_it_is_looked_up),
        cmocka_unit_test(what_is_not_found_in_time_is_refused),
        cmocka_unit_test(never_a_guess),
        cmocka_unit_test(an_id_is_written_as_chorus_does),
        cmocka_unit_test(an_empty_finding_finds_nothing),
        cmocka_unit_test(every_outcome_has_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
