/*
 * A play: the plan in virtual time, with a ledger in memory, a journal, a network that ends
 * transfers when the play says so, and a token file. The journal does what the agent's does:
 * effects are queued, `play_flush` applies all of them in order (the ledger changes), then carries
 * them all out in order, then tells the plan what became ready. Every step is checked against what
 * must never happen:
 *
 * - more in flight than the window allows, or than one while Chorus cannot be reached;
 * - anything started during a pause, a hold, or after the stop;
 * - one recording sent twice at once, an uncertain one before resend_after, one without key again,
 *   one with a scheduled key without having looked for it before;
 * - a move that the table of states forbids, or of a recording that has not ended;
 * - more effects of a kind than that kind allows;
 * - a quiet stall: something is left to do, and neither anything in flight or asked for nor an
 * alarm.
 */
#ifndef CHORUS_TESTS_PLAY_H
#define CHORUS_TESTS_PLAY_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/plan/plan.h"

#define S INT64_C(1000)
#define MIN (60 * S)
#define HOUR (60 * MIN)
#define DAY (24 * HOUR)
#define WALL (INT64_C(1800000000) * S) /* the wall clock when a play begins */
#define STEADY (1000 * S)

/* A recording as the fake ledger has it. Ids count from 1; a higher id is newer. */
struct call {
    enum recording_state state;
    enum key_kind key;
    enum held_kind held;
    int attempts, uncertain;
    int posts; /* that left, as far as the network of the play knows */
    int64_t first_attempt_ms, due_ms;
    int64_t not_again_before_ms; /* steady: by the last ending that proved nothing */
    int64_t sent_at_ms;          /* steady, of the last start */
    int status;
    bool sending;   /* from EFFECT_SEND to its ending */
    bool looking;   /* from EFFECT_LOOK_UP to its answer */
    bool looked_up; /* and the answer was: not found */
    bool ended;     /* a move of it is allowed now */
    bool conflict;
    bool known_by_409;
    bool cannot_be_opened; /* its EFFECT_SEND will not be carried out: the file has left */
    char *reason;
    const char *engagement_id;
};

enum fake_token { TOKEN_GOOD, TOKEN_BAD, TOKEN_MISSING };

struct journal_entry {
    struct plan_effect effect;
    struct plan_item *items;
    size_t count;
    bool more, intended;
    int64_t next_due_ms;
};

struct play {
    struct plan *plan;
    struct plan_options options;
    struct plan_time now;
    struct plan_effects effects; /* of the last step */
    uint64_t seed;               /* printed on failure; 0: a play without one */

    struct call *calls; /* by id */
    size_t call_count, call_room;
    size_t oldest_queued, newest_queued; /* hints: none is queued outside */
    size_t waiting;                      /* how many are waiting or uncertain */

    struct journal_entry *journal;
    size_t journal_count, journal_room;
    int64_t *ready;
    size_t ready_count, ready_room;
    bool lazy; /* effects wait for play_flush */

    int64_t *flights; /* ids, in order of their starts */
    size_t flight_count, looking_count;
    int64_t *starts; /* every EFFECT_SEND there was */
    size_t start_count, start_room;
    bool fetching[LANE_COUNT];
    size_t most_fetched;

    enum fake_token token;
    int token_number, token_read_number;
    bool probe_open;
    size_t probes, token_reads;
    int64_t probed_at_ms; /* steady */

    int64_t wake_at_ms;              /* steady; 0: no alarm is set */
    int64_t hold_until_ms;           /* steady, as Chorus asked */
    bool token_paused, network_down; /* as told */
    bool stopped;
    bool wanted_pause;
    size_t told[NEWS_HOLD + 1];
};

/* The options of a play that says nothing else: 8 at once, 1 s, 15 min, 7 d, 60 s, newest first. */
void play_begin(struct play *play, int concurrency);
void play_begin_with(struct play *play, const struct plan_options *options, uint64_t seed);
void play_end(struct play *play);

/* --- what happens */

/* A recording is queued: the ledger has it and says so. Returns its id. */
int64_t call_comes(struct play *play, enum key_kind key);
/* `n` recordings. Returns the id of the first, the others follow. */
int64_t calls_come(struct play *play, size_t n, enum key_kind key);
/* They are in the ledger, and nobody says so: a backlog from before the start. */
int64_t calls_are_there(struct play *play, size_t n, enum key_kind key);
/* One that was being sent when the last run ended, uncertain until resend_after from now on. */
int64_t call_was_interrupted(struct play *play, enum key_kind key);
/* A recording is no longer there (the ledger says gone); the plan is told only if `told`. */
void call_vanishes(struct play *play, int64_t id, bool told);
/* Put back in the queue, on request. */
void call_is_retried(struct play *play, int64_t id);

void play_start(struct play *play);
void play_stop(struct play *play);
/* Somebody wants nothing started, for this reason; "": no longer. */
void play_pause(struct play *play, const char *why);
void play_configure(struct play *play, const struct plan_options *options);

/* A transfer ends. */
void ends(struct play *play, int64_t id, struct plan_ending ending);
struct plan_ending accepted(const char *engagement_id);
/* Any other answer with a status: the whole body was sent, Chorus said so. */
struct plan_ending answer(int status, const char *said);
struct plan_ending answer_retry_after(int status, int64_t retry_after_ms);
/* The whole body left, no answer came. */
struct plan_ending lost(void);
struct plan_ending lost_after_a_stall(void);
/* It broke off before the last part left. */
struct plan_ending cut_off(void);
struct plan_ending stalled(void);
/* No request left. */
struct plan_ending unreachable(void);
/* No token: the uploader sends nothing. */
struct plan_ending no_token(void);

void probe_answers(struct play *play, int status);
/* The list was read: is an earlier attempt there? */
void look_up_answers(struct play *play, int64_t id, enum plan_evidence evidence);
/* The token file changes; the plan is told, as when the file was seen to change. */
void token_becomes(struct play *play, enum fake_token token);

/* Time passes; every alarm on the way rings. */
void time_passes(struct play *play, int64_t ms);
/* Time passes until the next alarm, which rings. Returns for how long. */
int64_t until_the_alarm(struct play *play);
/* The alarm rings `early_ms` before its time. */
void alarm_rings_early(struct play *play, int64_t early_ms);
/* The wall clock is set; the steady one goes on. */
void wall_clock_jumps(struct play *play, int64_t by_ms);

/* With play->lazy: what was queued is carried out, and what that brings too. */
void play_settle(struct play *play);
void play_flush(struct play *play);

/* --- what is to be seen */

struct call *call_of(struct play *play, int64_t id);
size_t in_flight(const struct play *play);
bool is_in_flight(struct play *play, int64_t id);
bool is_looked_for(struct play *play, int64_t id);
/* The recording that was started longest ago and is still in flight. */
int64_t first_in_flight(const struct play *play);
size_t count_of(const struct play *play, enum recording_state state);
/* Until the recording may be sent again, by the wall clock. */
int64_t waits_for(struct play *play, int64_t id);

void expect_state(struct play *play, int64_t id, enum recording_state state);
void expect_reason(struct play *play, int64_t id, const char *part);

/* Fails the test with words, and with the seed where there is one. */
__attribute__((format(printf, 2, 3), noreturn)) void play_fail(struct play *play,
                                                               const char *format, ...);

#endif
