/* After the upload: what is asked for again, which paths may be retired, and their sidecars. */
#include "tests/unit/ledger/ledger_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define A ROOT "/a.wav"
#define B ROOT "/b.wav"
#define SIDE ROOT "/a.json"

#define in_a_room(test) cmocka_unit_test_setup_teardown(test, room_open, room_close)

static int64_t sent(struct room *room, const char *path, char content)
{
    int64_t id = take(room, path, content).recording;
    upload(room, id);
    ledger_check_again(room->ledger, id, room->now_ms + 60 * S);
    commit(room);
    return id;
}

static int64_t path_of(struct room *room, int64_t recording)
{
    return job_of(room, recording).path_id;
}

/* --- processed --- */

static void what_was_uploaded_is_asked_for_when_it_is_due(void **state)
{
    struct room *room = *state;
    struct ledger_check checks[4];
    assert_int_equal(ledger_next_check(room->ledger), 0);
    int64_t a = sent(room, A, 'A');
    sent(room, B, 'B');
    assert_int_equal(ledger_next_check(room->ledger), NOW + 60 * S);
    assert_int_equal(ledger_due_checks(room->ledger, NOW + 59 * S, checks, 4), 0);
    assert_int_equal(ledger_due_checks(room->ledger, NOW + 60 * S, checks, 1), 1);
    free(checks[0].engagement_id);
    assert_int_equal(ledger_due_checks(room->ledger, NOW + 60 * S, checks, 4), 2);
    assert_int_equal(checks[0].recording, a);
    assert_int_equal(checks[0].uploaded_ms, NOW);
    assert_string_equal(checks[0].engagement_id, "e-1");
    free(checks[0].engagement_id);
    free(checks[1].engagement_id);
    assert_int_equal(ledger_unprocessed(room->ledger, NOW), 0);
    assert_int_equal(ledger_unprocessed(room->ledger, NOW + 1), 2);
    ledger_processed(room->ledger, a, NOW + 70 * S);
    assert_int_equal(ledger_unprocessed(room->ledger, NOW + 1), 1);
}

static void never_again_is_never(void **state)
{
    struct room *room = *state;
    int64_t a = sent(room, A, 'A');
    ledger_check_again(room->ledger, a, 0);
    assert_int_equal(ledger_next_check(room->ledger), 0);
    assert_int_equal(ledger_unprocessed(room->ledger, NOW + DAY), 0);
}

/* --- retired --- */

static void only_what_is_proven_may_be_retired(void **state)
{
    struct room *room = *state;
    bool processed = true;
    int64_t a = take(room, A, 'A').recording;
    assert_false(ledger_may_retire(room->ledger, a, &processed));
    assert_false(processed);
    upload(room, a);
    assert_true(ledger_may_retire(room->ledger, a, &processed));
    assert_false(processed);
    ledger_processed(room->ledger, a, NOW + S);
    assert_true(ledger_may_retire(room->ledger, a, &processed));
    assert_true(processed);
    processed = false;
    assert_false(ledger_may_retire(room->ledger, a + 1, &processed)); /* nothing bears that id */
    assert_false(processed);
}

static void every_present_path_is_decided_for_once(void **state)
{
    struct room *room = *state;
    struct ledger_path_ref paths[4];
    int64_t a = sent(room, A, 'A');
    take(room, ROOT "/again.wav", 'A');
    assert_int_equal(ledger_paths_to_retire(room->ledger, a, paths, 1), 1);
    assert_int_equal(ledger_paths_to_retire(room->ledger, a, paths, 4), 2);
    assert_int_equal(paths[0].watch, room->watch);
    ledger_set_retirement(room->ledger, paths[0].id, RETIREMENT_DUE, NOW + S);
    assert_int_equal(ledger_paths_to_retire(room->ledger, a, paths, 4), 1);
}

static void the_next_one_is_told_when_none_is_due(void **state)
{
    struct room *room = *state;
    struct ledger_retirement due;
    uint8_t sha256[32];
    int64_t next = -1, a = sent(room, A, 'A'), path = path_of(room, a);
    assert_false(ledger_next_retirement(room->ledger, NOW, &due, &next));
    assert_int_equal(next, 0);
    ledger_set_retirement(room->ledger, path, RETIREMENT_DUE, NOW + 5 * S);
    assert_false(ledger_next_retirement(room->ledger, NOW, &due, &next));
    assert_int_equal(next, NOW + 5 * S);
    assert_true(ledger_next_retirement(room->ledger, NOW + 5 * S, &due, &next));
    content_of('A', sha256);
    assert_int_equal(due.path_id, path);
    assert_string_equal(due.path, A);
    assert_int_equal(due.root_length, strlen(ROOT));
    assert_memory_equal(due.sha256, sha256, 32);
    ledger_retirement_clear(&due);
    assert_null(due.path);
}

static void what_waits_for_its_proof_is_due_with_it(void **state)
{
    struct room *room = *state;
    struct ledger_retirement due;
    int64_t next, a = sent(room, A, 'A');
    ledger_set_retirement(room->ledger, path_of(room, a), RETIREMENT_UNPROVEN, NOW);
    assert_false(ledger_next_retirement(room->ledger, NOW + DAY, &due, &next));
    ledger_processed(room->ledger, a, NOW + S);
    assert_true(ledger_next_retirement(room->ledger, NOW + DAY, &due, &next));
    ledger_retirement_clear(&due);
}

static void only_a_retired_file_is_no_longer_there(void **state)
{
    struct room *room = *state;
    int64_t a = sent(room, A, 'A'), b = sent(room, B, 'B');
    ledger_end_retirement(room->ledger, path_of(room, a), RETIREMENT_OVER, "moved", NOW + S);
    ledger_end_retirement(room->ledger, path_of(room, b), RETIREMENT_REFUSED,
                          "another file stands "
                          "there",
                          NOW + S);
    assert_false(listed(room, A).present);
    assert_true(listed(room, B).present);
    assert_int_equal(state_of(room, a), STATE_UPLOADED);
}

/* --- sidecars --- */

static void a_sidecar_is_expected_read_and_forgotten_with_its_place(void **state)
{
    struct room *room = *state;
    struct ledger_sidecar sidecar;
    int64_t ids[4], a = take(room, A, 'A').recording, b = take(room, B, 'B').recording;
    struct file_identity identity = {.dev = 1, .ino = 7, .size = 20, .mtime_ns = 3, .ctime_ns = 4};
    assert_false(ledger_sidecar(room->ledger, a, &sidecar));
    assert_null(sidecar.path);
    ledger_sidecar_expect(room->ledger, a, SIDE);
    ledger_sidecar_expect(room->ledger, b, SIDE);
    assert_true(ledger_sidecar(room->ledger, a, &sidecar));
    assert_string_equal(sidecar.path, SIDE);
    assert_false(sidecar.read);
    ledger_sidecar_clear(&sidecar);
    assert_int_equal(ledger_sidecar_recordings(room->ledger, SIDE, 0, ids, 1), 1);
    assert_int_equal(ledger_sidecar_recordings(room->ledger, SIDE, 0, ids, 4), 2);
    assert_int_equal(ledger_sidecar_recordings(room->ledger, SIDE, a, ids, 4), 1);
    assert_int_equal(ids[0], b);
    ledger_sidecar_read(room->ledger, a, &identity, "{}", NULL);
    assert_true(ledger_sidecar_is_wanted(room->ledger, SIDE, &identity)); /* b has not read it */
    ledger_sidecar_read(room->ledger, b, &identity, NULL, "not JSON");
    assert_false(ledger_sidecar_is_wanted(room->ledger, SIDE, &identity));
    assert_true(ledger_sidecar(room->ledger, b, &sidecar));
    assert_true(sidecar.read);
    assert_string_equal(sidecar.problem, "not JSON");
    ledger_sidecar_clear(&sidecar);
    ledger_sidecar_expect(room->ledger, a, ROOT "/elsewhere.json");
    assert_true(ledger_sidecar(room->ledger, a, &sidecar));
    assert_false(sidecar.read);
    assert_null(sidecar.body);
    ledger_sidecar_clear(&sidecar);
}

static void a_sidecar_goes_with_the_last_recording_that_needs_it(void **state)
{
    struct room *room = *state;
    int64_t a = take(room, A, 'A').recording, b = take(room, B, 'B').recording;
    int64_t path = path_of(room, a);
    assert_null(ledger_sidecar_to_move(room->ledger, path));
    ledger_sidecar_expect(room->ledger, a, SIDE);
    ledger_sidecar_expect(room->ledger, b, SIDE);
    upload(room, a);
    assert_null(ledger_sidecar_to_move(room->ledger, path)); /* b still needs it */
    upload(room, b);
    char *side = ledger_sidecar_to_move(room->ledger, path);
    assert_string_equal(side, SIDE);
    free(side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_a_room(what_was_uploaded_is_asked_for_when_it_is_due),
        in_a_room(never_again_is_never),
        in_a_room(only_what_is_proven_may_be_retired),
        in_a_room(every_present_path_is_decided_for_once),
        in_a_room(the_next_one_is_told_when_none_is_due),
        in_a_room(what_waits_for_its_proof_is_due_with_it),
        in_a_room(only_a_retired_file_is_no_longer_there),
        in_a_room(a_sidecar_is_expected_read_and_forgotten_with_its_place),
        in_a_room(a_sidecar_goes_with_the_last_recording_that_needs_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
