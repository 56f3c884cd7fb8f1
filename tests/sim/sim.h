/*
 * chorus-sim: the real plan, the real ledger and the real service code that joins them (journal,
 * dispatch, folder, resolve, retirement, readback), in virtual time, on a disk in memory, beside a
 * Chorus, a network, folders and people that are made up. One seed makes one world; the same seed
 * twice makes the same trace.
 *
 * The program under test lives many lives in one world: a life ends by a kill, a power cut, a stop,
 * or because its ledger could not be opened. When it is dead, whatever its code still does on the
 * way back to the loop has no effect.
 *
 * One world at a time; one thread.
 */
#ifndef CHORUS_SIM_H
#define CHORUS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define S INT64_C(1000)
#define MINUTE (60 * S)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* Every fault has its switch: off altogether in some seeds, so that others have room (swarm). */
struct faults {
    bool kills, power_cuts, stops;
    bool disk_full, disk_failing, sync_fails;
    bool events_lost, offline, empty_mount, unreadable, hangs;
    bool wall_jumps;
    bool unreachable, cut_off, answer_lost, error_after_commit, error_before_commit, odd_answers;
    bool late_commit, check_then_store;
    bool busy, token_turns, forbidden, refused;
    bool private_rows, list_lags, foreign_keys;
    bool appends, silent_writes, deletes, renames, copies, replaced;
};

struct sim {
    uint64_t seed;
    uint64_t random;
    bool trace;
    uint64_t hash; /* of the trace */
    int64_t steady_ms, wall_offset_ms;
    struct faults faults;
    bool faults_are_over; /* from now on the world is kind, and everything has to settle */

    bool dead;
    int64_t dies_in; /* calls from now; 0: not by this */
    bool dies_by_power;
    unsigned life; /* number of the program's present life; 0: none runs */
    bool ended;    /* it has ended by itself, as it was told to */

    bool failed;
    char violation[400];
    uint64_t crashes, commits, posts;
};

extern struct sim sim;

/* --- dice.c --- */
uint64_t dice_next(void);
uint64_t dice_below(uint64_t n); /* 0 .. n-1 */
bool dice_one_in(uint64_t n);
int64_t dice_between(int64_t from, int64_t to); /* both included */

/* --- loop.c: time and what happens when --- */
int64_t sim_wall_ms(void);
/* A place where the program may die; every call that leaves the code under test is one. */
void sim_point(void);
/* The program has died here. */
void sim_die(void);

typedef void (*sim_happening)(void *ctx, int64_t number);
/* Of the world: outlives the program. */
void sim_at(int64_t delay_ms, sim_happening happening, void *ctx, int64_t number);
/* Of the program's present life: never comes if that ends before. */
void sim_in_life(int64_t delay_ms, sim_happening happening, void *ctx, int64_t number);
/* Runs until the steady clock shows `until_ms`; false: the program has died or ended (the caller
 * buries it), or a promise was broken. */
bool loop_run(int64_t until_ms);
/* Time begins. */
void loop_begin(void);
/* Forgets what belongs to the life that ended. */
void loop_end_life(void);

/* --- trace.c --- */
/* One line of the trace: `what` is static. */
void trace(const char *what, int64_t a, int64_t b, int64_t c);
void trace_text(const char *what, const char *text);
/* A promise was broken; the first one counts. */
__attribute__((format(printf, 1, 2))) void violated(const char *format, ...);

/* --- world.c --- */
/* Makes a world of the seed and runs it to its end; `always_fresh`: no connection is kept. */
void world_run(uint64_t seed, bool trace, bool always_fresh);

#endif
