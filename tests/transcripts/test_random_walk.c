/*
 * Random endings at random times, thousands of seeds: what must never happen is checked after every
 * step (play.h). Then the faults stop, and everything must settle.
 *
 * A seed that failed is printed: CHORUS_SEED=N runs it alone. CHORUS_SEEDS=N runs so many.
 */
#include "tests/transcripts/play.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/plan/backoff.h"

enum { SEEDS = 20000, STEPS = 150 };

static uint64_t seed_under_way;

/* An assertion of the plan's own: the seed is told all the same. */
static void on_abort(int signal)
{
    char words[64];
    int n = snprintf(words, sizeof words, "\nagain with CHORUS_SEED=%llu\n",
                     (unsigned long long)seed_under_way);
    ssize_t ignored = write(STDERR_FILENO, words, (size_t)n);
    (void)ignored;
    (void)signal;
}

struct walk {
    struct play play;
    uint64_t random;
    unsigned faults; /* of a kind that this walk has: one bit each */
};

static uint64_t below(struct walk *walk, uint64_t n)
{
    return backoff_random(&walk->random) % n;
}

static enum key_kind some_key(struct walk *walk)
{
    static const enum key_kind keys[] = {KEY_DERIVED, KEY_DERIVED, KEY_SCHEDULED, KEY_NONE};
    return keys[below(walk, 4)];
}

static struct plan_ending some_refusal(struct walk *walk)
{
    switch (below(walk, 6)) {
    case 0:
        return answer(400, "no");
    case 1:
        return answer(409, "known");
    case 2:
        return answer(401, "expired");
    case 3:
        return answer(403, "forbidden");
    case 4:
        return answer(418, "odd");
    default:
        return answer_retry_after(429, (int64_t)below(walk, 3 * HOUR) - 1);
    }
}

static struct plan_ending some_fault(struct walk *walk)
{
    switch (below(walk, 8)) {
    case 0:
        return lost();
    case 1:
        return lost_after_a_stall();
    case 2:
        return cut_off();
    case 3:
        return stalled();
    case 4:
        return answer_retry_after(503, below(walk, 2) == 0 ? -1 : (int64_t)below(walk, MIN));
    case 5:
        return answer(500, "oops");
    default:
        return unreachable();
    }
}

static struct plan_ending some_ending(struct walk *walk)
{
    bool refusals = (walk->faults & 1) != 0, faults = (walk->faults & 2) != 0;
    if (walk->play.token == TOKEN_MISSING)
        return no_token();
    if (walk->play.token == TOKEN_BAD)
        return answer(below(walk, 2) == 0 ? 401 : 403, "expired");
    if (refusals && below(walk, 4) == 0)
        return some_refusal(walk);
    if (faults && below(walk, 2) == 0)
        return some_fault(walk);
    return accepted("e");
}

/* One that the journal has begun to send. */
static int64_t some_flight(struct walk *walk)
{
    struct play *play = &walk->play;
    for (int tries = 0; tries < 4 && play->flight_count > 0; tries++) {
        int64_t id = play->flights[below(walk, play->flight_count)];
        bool begun = call_of(play, id)->state == STATE_UPLOADING;
        for (size_t i = 0; i < play->journal_count; i++)
            begun = begun && play->journal[i].effect.recording != id;
        if (begun)
            return id;
    }
    return 0;
}

static void a_flight_ends(struct walk *walk)
{
    int64_t id = some_flight(walk);
    if (id != 0)
        ends(&walk->play, id, some_ending(walk));
}

static bool probe_is_out(const struct play *play)
{
    for (size_t i = 0; i < play->journal_count; i++) {
        if (play->journal[i].effect.kind == EFFECT_PROBE)
            return false;
    }
    return play->probe_open && play->token != TOKEN_MISSING;
}

static void a_probe_is_answered(struct walk *walk)
{
    static const int answers[] = {0, 401, 200, 503, 403, 429, 200, 404};
    if (!probe_is_out(&walk->play))
        return;
    int status = (walk->faults & 4) != 0 ? answers[below(walk, 8)] : 200;
    if (walk->play.token == TOKEN_BAD && status == 200)
        status = 401;
    probe_answers(&walk->play, status);
}

static int64_t some_look_up(struct walk *walk)
{
    struct play *play = &walk->play;
    int64_t found = 0;
    for (size_t id = 1; id < play->call_count; id++) {
        bool out = play->calls[id].looking;
        for (size_t i = 0; i < play->journal_count && out; i++)
            out = play->journal[i].effect.recording != (int64_t)id;
        if (out && (found == 0 || below(walk, 2) == 0))
            found = (int64_t)id;
    }
    return found;
}

static void a_look_up_is_answered(struct walk *walk)
{
    int64_t id = some_look_up(walk);
    bool faults = (walk->faults & 2) != 0;
    if (id != 0)
        look_up_answers(&walk->play, id, (enum plan_evidence)below(walk, faults ? 3 : 2));
}

static void time_goes_on(struct walk *walk)
{
    struct play *play = &walk->play;
    switch (below(walk, 6)) {
    case 0:
        time_passes(play, (int64_t)below(walk, 10));
        break;
    case 1:
        time_passes(play, (int64_t)below(walk, 5 * MIN));
        break;
    case 2:
        if (play->wake_at_ms != 0)
            alarm_rings_early(play, (int64_t)below(walk, 50));
        break;
    case 3:
        if ((walk->faults & 8) != 0)
            wall_clock_jumps(play, (int64_t)below(walk, 20 * DAY) - 10 * DAY);
        break;
    default:
        if (play->wake_at_ms != 0)
            until_the_alarm(play);
    }
}

static void something_is_configured(struct walk *walk)
{
    struct plan_options options = walk->play.options;
    if (below(walk, 3) == 0) {
        play_pause(&walk->play, walk->play.wanted_pause ? "" : "somebody wants it");
        return;
    }
    options.concurrency = 1 + (int)below(walk, 12);
    options.back_lane = below(walk, 2) == 0;
    options.retry_first_ms = 1 + (int64_t)below(walk, 5 * S);
    play_configure(&walk->play, &options);
}

/* Held or failed: a person puts it back. In doubt, that is the person's resend. */
static void a_person_retries(struct walk *walk)
{
    struct play *play = &walk->play;
    int64_t id = 1 + (int64_t)below(walk, play->call_count - 1);
    struct call *call = call_of(play, id);
    if (call->state != STATE_HELD && call->state != STATE_FAILED)
        return;
    call->not_again_before_ms = 0;
    call_is_retried(play, id);
}

static void a_file_vanishes(struct walk *walk)
{
    struct play *play = &walk->play;
    int64_t id = 1 + (int64_t)below(walk, play->call_count - 1);
    enum recording_state state = call_of(play, id)->state;
    if (state != STATE_UPLOADED && state != STATE_DUPLICATE && state != STATE_FAILED)
        call_vanishes(play, id, below(walk, 2) == 0);
}

static void something_happens(struct walk *walk)
{
    struct play *play = &walk->play;
    static const enum fake_token tokens[] = {TOKEN_GOOD, TOKEN_BAD, TOKEN_MISSING, TOKEN_GOOD};
    uint64_t dice = below(walk, 100);
    if (dice < 15)
        calls_come(play, 1 + below(walk, 4), some_key(walk));
    else if (dice < 55)
        a_flight_ends(walk);
    else if (dice < 61)
        a_probe_is_answered(walk);
    else if (dice < 65)
        a_look_up_is_answered(walk);
    else if (dice < 90)
        time_goes_on(walk);
    else if (dice < 92)
        something_is_configured(walk);
    else if (dice < 94)
        a_person_retries(walk);
    else if (dice < 96)
        a_file_vanishes(walk);
    else if (dice < 97 && (walk->faults & 4) != 0)
        token_becomes(play, tokens[below(walk, 4)]);
    else
        play_flush(play);
}

static bool all_is_settled(const struct play *play)
{
    for (size_t id = 1; id < play->call_count; id++) {
        if (!state_is_settled_for_once(play->calls[id].state))
            return false;
    }
    return true;
}

/* No more faults: whatever is asked is answered, whatever is sent is accepted. */
static void must_settle(struct walk *walk)
{
    struct play *play = &walk->play;
    play->lazy = false;
    play_settle(play);
    for (int rounds = 0; !all_is_settled(play); rounds++) {
        if (rounds > 40000) /* a clock set back by days is slept through by the minute */
            play_fail(play, "the faults have stopped, and it does not settle");
        if (play->wanted_pause)
            play_pause(play, "");
        else if (play->token != TOKEN_GOOD && !play->probe_open)
            token_becomes(play, TOKEN_GOOD);
        else if (play->probe_open)
            probe_answers(play, play->token == TOKEN_GOOD ? 200 : 401);
        else if (play->looking_count > 0)
            look_up_answers(play, some_look_up(walk), EVIDENCE_FOUND);
        else if (play->flight_count > 0)
            ends(play, first_in_flight(play), accepted("e"));
        else if (play->wake_at_ms != 0)
            until_the_alarm(play);
        else
            play_fail(play, "something is left, and nothing will bring it on");
    }
}

static void walk_once(uint64_t seed)
{
    static struct walk walk;
    struct plan_options options = {.resend_after_ms = 60 * S, .retry_for_ms = 7 * DAY};
    walk.random = seed_under_way = seed;
    options.concurrency = 1 + (int)below(&walk, 9);
    options.retry_first_ms = 1 + (int64_t)below(&walk, 2 * S);
    options.retry_max_ms = 1 + (int64_t)below(&walk, 15 * MIN);
    options.back_lane = below(&walk, 3) != 0;
    walk.faults = (unsigned)below(&walk, 16);
    play_begin_with(&walk.play, &options, seed);
    walk.play.lazy = below(&walk, 2) == 0;
    calls_are_there(&walk.play, 1 + below(&walk, 20), some_key(&walk));
    for (uint64_t i = below(&walk, 3); i > 0; i--)
        call_was_interrupted(&walk.play, some_key(&walk));
    play_start(&walk.play);
    for (int i = 0; i < STEPS; i++)
        something_happens(&walk);
    must_settle(&walk);
    play_end(&walk.play);
}

static void whatever_happens_nothing_forbidden_does_and_all_settles(void **state)
{
    const char *one = getenv("CHORUS_SEED"), *many = getenv("CHORUS_SEEDS");
    (void)state;
    signal(SIGABRT, on_abort);
    if (one != NULL) {
        walk_once(strtoull(one, NULL, 10));
        return;
    }
    uint64_t seeds = many != NULL ? strtoull(many, NULL, 10) : SEEDS;
    for (uint64_t seed = 1; seed <= seeds; seed++)
        walk_once(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_nothing_forbidden_does_and_all_settles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
