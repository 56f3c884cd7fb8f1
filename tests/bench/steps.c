/*
 * bench-steps: one step of the program, again and again, for tests/bench/guard to count its
 * instructions.
 *
 *     bench-steps STEP ROUNDS FOLDER [twice]
 *
 * What is prepared is the same for any ROUNDS, so that the difference between two runs is that of
 * the rounds alone. FOLDER: the files that a scan meets; for the ledger's steps a folder in which
 * it is made. `twice` does each step twice: the planted slow-down.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/ledger/ledger.h"
#include "agent/plan/plan.h"
#include "watcher/beneath.h"
#include "watcher/scan.h"
#include "watcher/settle.h"

#define NOW INT64_C(1800000000000)
#define ROOT "/srv/recordings"

/* As many as the most rounds, or less: the ledger is as large for any number. */
enum { RECORDINGS = 2000, COMMIT_EVERY = 16 };

/* --- the plan --- */

static const struct plan_time now = {.steady_ms = 1000000, .wall_ms = NOW};
static struct plan_effects effects;

static void tell(struct plan *plan, const struct plan_event *event)
{
    plan_step(plan, event, now, &effects);
    for (size_t i = 0; i < effects.count; i++) {
        if (effects.items[i].kind == EFFECT_FETCH) {
            struct plan_event fetched = {.kind = PLAN_FETCHED};
            fetched.fetched.lane = effects.items[i].lane;
            static struct plan_effects none;
            plan_step(plan, &fetched, now, &none);
        }
    }
}

/* One recording through the plan: it becomes ready, is sent, and was accepted. */
static void plan_one(struct plan *plan, int64_t recording)
{
    struct plan_item item = {
        .recording = recording, .state = STATE_QUEUED, .key_kind = KEY_DERIVED, .rank = -recording};
    tell(plan, &(struct plan_event){.kind = PLAN_READY, .item = &item});
    item.attempts = 1;
    struct plan_event ended = {.kind = PLAN_ENDED, .recording = recording, .item = &item};
    ended.ending = (struct plan_ending){.verdict = VERDICT_ACCEPTED,
                                        .status = 200,
                                        .request_left = true,
                                        .retry_after_ms = -1,
                                        .said = "",
                                        .engagement_id = "8A4CDD96F825CAEE5F4B92470F4AF2B2"};
    tell(plan, &ended);
}

static void plan_rounds(int rounds, int times)
{
    struct plan_options options = {.concurrency = 8,
                                   .retry_first_ms = 1000,
                                   .retry_max_ms = 900000,
                                   .retry_for_ms = 604800000,
                                   .resend_after_ms = 60000,
                                   .back_lane = true};
    struct plan *plan = plan_new(&options, 1);
    tell(plan, &(struct plan_event){.kind = PLAN_START});
    tell(plan, &(struct plan_event){.kind = PLAN_TOKEN, .present = true, .changed = true});
    for (int i = 0; i < rounds * times; i++)
        plan_one(plan, i + 1);
    assert(plan_in_flight(plan) == 0);
    plan_free(plan);
}

/* --- the ledger --- */

static struct ledger *ledger;
static int64_t watch;

static struct file_identity identity_of(int number)
{
    return (struct file_identity){.dev = 1,
                                  .ino = (uint64_t)number + 1,
                                  .size = 65536,
                                  .mtime_ns = (NOW - number) * 1000000,
                                  .ctime_ns = (NOW - number) * 1000000};
}

static void path_of(int number, char path[64])
{
    snprintf(path, 64, ROOT "/%04d/call-%07d.wav", number / 1000, number);
}

static void admit_one(int number)
{
    char path[64];
    uint8_t sha256[32] = {0};
    struct ledger_admission admission;
    path_of(number, path);
    uint32_t mixed = (uint32_t)number * 2654435761u; /* as spread as checksums are */
    memcpy(sha256, &mixed, sizeof mixed);
    struct ledger_file file = {
        .path = path, .root_length = strlen(ROOT), .watch = watch, .identity = identity_of(number)};
    ledger_admit(ledger, &file, sha256, NOW, &admission);
    assert(admission.kind == ADMIT_RESOLVE);
    struct resolution resolution = {
        .outcome = RESOLVED,
        .rule = mem_string("calls"),
        .key_kind = KEY_DERIVED,
        .owner = mem_string("team@example.com"),
        .name = mem_string("call"),
        .meeting_id =
            mem_string("sha256-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")};
    ledger_resolve(ledger, admission.recording, admission.path, &resolution, 7, 0, NOW);
    resolution_clear(&resolution);
    int64_t ready;
    ledger_take_ready(ledger, &ready, 1);
}

static void commit_at(int number)
{
    if (number % COMMIT_EVERY == COMMIT_EVERY - 1 && ledger_commit(ledger) != 0)
        abort();
}

static void open_ledger(const char *folder, int recordings)
{
    struct ledger_watch row;
    if (ledger_open(folder, LEDGER_WRITE, &ledger, NULL) != 0)
        abort();
    ledger_watch(ledger, "calls", ROOT, NOW, 0, &row);
    watch = row.id;
    for (int i = 0; i < recordings; i++) {
        admit_one(i);
        commit_at(i);
    }
}

/* A new file: its recording, its path, what the rules made of it. */
static void admit_rounds(int rounds, int times, const char *folder)
{
    open_ledger(folder, RECORDINGS);
    for (int i = 0; i < rounds * times; i++) {
        admit_one(RECORDINGS + i);
        commit_at(i);
    }
    ledger_close(ledger);
}

/* The two transitions of an upload. */
static void move_rounds(int rounds, int times, const char *folder)
{
    const struct plan_move move = {.to = STATE_UPLOADED,
                                   .attempt = ATTEMPT_COUNTS,
                                   .status = 200,
                                   .engagement_id = "8A4CDD96F825CAEE5F4B92470F4AF2B2"};
    open_ledger(folder, RECORDINGS);
    for (int i = 0; i < rounds * times; i++) {
        ledger_intend(ledger, i + 1, NOW);
        ledger_move(ledger, i + 1, &move, NOW);
        commit_at(i);
    }
    ledger_close(ledger);
}

/* A known file, met again by a scan. */
static void know_rounds(int rounds, int times, const char *folder)
{
    char path[64];
    struct ledger_known known;
    open_ledger(folder, RECORDINGS);
    for (int i = 0; i < rounds * times; i++) {
        struct file_identity identity = identity_of(i);
        path_of(i, path);
        ledger_know(ledger, path, &identity, &known);
        assert(known.same);
    }
    ledger_close(ledger);
}

/* --- the watcher --- */

static void settle_rounds(int rounds, int times)
{
    struct settle settle;
    struct settle_limits limits = {.settle_ms = 2000, .quiet_ms = 300000, .open_quiet_ms = 3600000};
    struct settle_sample sample = {.identity = identity_of(1), .lease = SETTLE_LEASE_GRANTED};
    settle_init(&settle);
    for (int i = 0; i < rounds * times; i++) {
        struct settle_moment at = {.steady_ns = i * INT64_C(1000000), .wall_ns = NOW * 1000000};
        sample.identity.size++; /* it grows: nothing is over */
        settle_look(&settle, &sample, at, &limits);
    }
}

static void scan_rounds(int rounds, int times, const char *folder)
{
    static struct scan_slice slice;
    static const char *const include[] = {"*.wav", "*.mp3"};
    struct watch_options options = {.path = folder,
                                    .recursive = true,
                                    .include = include,
                                    .include_count = 2,
                                    .settle_ms = 2000};
    int root = beneath_root(folder);
    for (int i = 0; i < rounds * times; i++) {
        struct scan *scan = scan_new("");
        bool done = false;
        size_t files = 0;
        while (!done) {
            scan_run(scan, root, &options, -1, &slice, NULL);
            files += slice.entry_count;
            done = slice.done;
            scan_slice_clear(&slice);
        }
        assert(files > 0);
        (void)files;
        scan_free(scan);
    }
    close(root);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 64;
    const char *step = argv[1], *folder = argv[3];
    int rounds = atoi(argv[2]), times = argc > 4 && strcmp(argv[4], "twice") == 0 ? 2 : 1;
    if (strcmp(step, "plan") == 0)
        plan_rounds(rounds, times);
    else if (strcmp(step, "admit") == 0)
        admit_rounds(rounds, times, folder);
    else if (strcmp(step, "move") == 0)
        move_rounds(rounds, times, folder);
    else if (strcmp(step, "know") == 0)
        know_rounds(rounds, times, folder);
    else if (strcmp(step, "settle") == 0)
        settle_rounds(rounds, times);
    else if (strcmp(step, "scan") == 0)
        scan_rounds(rounds, times, folder);
    else
        return 64;
    return 0;
}
