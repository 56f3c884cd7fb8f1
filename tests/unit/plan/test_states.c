/* The table of states: every name of interface.md, and what must never be a legal move. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/plan/states.h"

static const struct {
    enum recording_state state;
    int stored; /* in the ledgers that are out there */
    const char *name;
} states[] = {
    {STATE_SETTLING, 0, "settling"},   {STATE_HASHING, 1, "hashing"},
    {STATE_HELD, 2, "held"},           {STATE_QUEUED, 3, "queued"},
    {STATE_UPLOADING, 4, "uploading"}, {STATE_WAITING, 5, "waiting"},
    {STATE_UNCERTAIN, 6, "uncertain"}, {STATE_UPLOADED, 7, "uploaded"},
    {STATE_DUPLICATE, 8, "duplicate"}, {STATE_FAILED, 9, "failed"},
    {STATE_SKIPPED, 10, "skipped"},    {STATE_GONE, 11, "gone"},
    {STATE_DELETING, 12, "deleting"},  {STATE_DELETED, 13, "deleted"},
};

static void every_state_has_its_name_and_number(void **state)
{
    (void)state;
    assert_int_equal(sizeof states / sizeof states[0], STATE_COUNT);
    for (size_t i = 0; i < STATE_COUNT; i++) {
        assert_int_equal(states[i].state, states[i].stored);
        assert_string_equal(state_name(states[i].state), states[i].name);
        assert_int_equal(state_from_name(states[i].name), states[i].stored);
    }
    assert_int_equal(state_from_name("Queued"), -1);
    assert_int_equal(state_from_name(""), -1);
}

static void expect_moves(enum recording_state from, unsigned to)
{
    for (int i = 0; i < STATE_COUNT; i++) {
        bool may = state_may_move(from, (enum recording_state)i);
        if (may != ((to >> i & 1) != 0))
            print_error("%s to %s\n", state_name(from), state_name((enum recording_state)i));
        assert_int_equal(may, to >> i & 1);
    }
}

#define TO(state) (1u << STATE_##state)

/* I7 of reliability.md: states never go back. */
static void what_chorus_has_is_never_sent_again(void **state)
{
    (void)state;
    expect_moves(STATE_UPLOADED, TO(UPLOADED) | TO(DELETING));
    /* held: its deletion was refused, and whether it is there nobody knows */
    expect_moves(STATE_DELETING, TO(DELETING) | TO(DELETED) | TO(UPLOADED) | TO(HELD));
    /* queued: `retry --undelete` */
    expect_moves(STATE_DELETED, TO(DELETED) | TO(QUEUED));
}

static void only_what_is_to_be_sent_is_sent(void **state)
{
    (void)state;
    for (int i = 0; i < STATE_COUNT; i++) {
        bool may = i == STATE_QUEUED || i == STATE_WAITING || i == STATE_UNCERTAIN;
        assert_int_equal(state_may_move((enum recording_state)i, STATE_UPLOADING), may);
    }
}

/* Once in doubt, it is never plainly queued, waiting, a duplicate or skipped. */
static void doubt_is_not_left_without_evidence(void **state)
{
    (void)state;
    expect_moves(STATE_UNCERTAIN, TO(UPLOADING) | TO(UPLOADED) | TO(HELD) | TO(UNCERTAIN) |
                                      TO(FAILED) | TO(GONE) | TO(DELETING));
}

static void only_a_transfer_a_look_or_a_person_ends_in_uploaded(void **state)
{
    (void)state;
    for (int i = 0; i < STATE_COUNT; i++) {
        bool may = i == STATE_UPLOADING || i == STATE_UNCERTAIN || i == STATE_HELD ||
                   i == STATE_UPLOADED || i == STATE_DELETING;
        assert_int_equal(state_may_move((enum recording_state)i, STATE_UPLOADED), may);
    }
}

static void nothing_goes_back_to_the_watcher(void **state)
{
    (void)state;
    for (int i = STATE_HELD; i < STATE_COUNT; i++) {
        assert_false(state_may_move((enum recording_state)i, STATE_SETTLING));
        assert_false(state_may_move((enum recording_state)i, STATE_HASHING));
    }
}

static void nothing_is_stuck(void **state)
{
    (void)state;
    for (int i = 0; i < STATE_COUNT; i++) {
        bool leaves = false;
        for (int k = 0; k < STATE_COUNT; k++)
            leaves = leaves ||
                     (k != i && state_may_move((enum recording_state)i, (enum recording_state)k));
        assert_true(leaves);
    }
}

static void what_once_need_not_wait_for(void **state)
{
    const unsigned settled = TO(UPLOADED) | TO(DUPLICATE) | TO(SKIPPED) | TO(HELD) | TO(FAILED) |
                             TO(GONE) | TO(DELETING) | TO(DELETED);
    (void)state;
    for (int i = 0; i < STATE_COUNT; i++)
        assert_int_equal(state_is_settled_for_once((enum recording_state)i), settled >> i & 1);
}

static void whose_call_key_counts(void **state)
{
    const unsigned not = TO(FAILED) | TO(SKIPPED) | TO(GONE) | TO(DUPLICATE);
    (void)state;
    for (int i = 0; i < STATE_COUNT; i++)
        assert_int_equal(state_holds_call_key((enum recording_state)i), (not >> i & 1) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_has_its_name_and_number),
        cmocka_unit_test(what_chorus_has_is_never_sent_again),
        cmocka_unit_test(only_what_is_to_be_sent_is_sent),
        cmocka_unit_test(doubt_is_not_left_without_evidence),
        cmocka_unit_test(only_a_transfer_a_look_or_a_person_ends_in_uploaded),
        cmocka_unit_test(nothing_goes_back_to_the_watcher),
        cmocka_unit_test(nothing_is_stuck),
        cmocka_unit_test(what_once_need_not_wait_for),
        cmocka_unit_test(whose_call_key_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
