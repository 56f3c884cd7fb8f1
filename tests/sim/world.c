/* A world: what one seed makes of folders, faults and people, and its course from the first start
 * to the end, where everything has to be settled. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "tests/sim/checks.h"
#include "tests/sim/chorus.h"
#include "tests/sim/disk.h"
#include "tests/sim/files.h"
#include "tests/sim/kept.h"
#include "tests/sim/life.h"
#include "tests/sim/sim.h"
#include "tests/sim/watch.h"
#include "tests/sim/world.h"

enum { MOST_CRASHES = 6, MOST_MEDDLINGS = 24, LAST_LOOKS = 14 };

static struct {
    int64_t until_ms; /* the faults end */
    bool rules_complete;
    int restart; /* the start that is planned */
} world;

/* --- the program's lives --- */

static void on_start(void *ctx, int64_t number);

static void start_in(int64_t delay_ms)
{
    sim_at(delay_ms, on_start, NULL, ++world.restart);
}

static void arm(bool by_power)
{
    sim.dies_by_power = by_power;
    sim.dies_in = 1 + (int64_t)dice_below(UINT64_C(1) << dice_below(10));
}

static void on_start(void *ctx, int64_t number)
{
    (void)ctx;
    if (number != world.restart || sim.life != 0)
        return;
    bool dies = !sim.faults_are_over && (sim.faults.kills || sim.faults.power_cuts);
    if (dies && dice_one_in(3))
        arm(sim.faults.power_cuts && (!sim.faults.kills || dice_one_in(2)));
    if (!life_start() && !sim.dead)
        sim.ended = true;
}

static void bury(void)
{
    bool died = sim.dead;
    life_bury();
    disk_restart(died && sim.dies_by_power);
    if (died && sim.dies_by_power)
        files_boot();
    int64_t down_ms = dice_between(0, dice_one_in(4) ? 2 * HOUR : 20 * S);
    start_in(sim.faults_are_over ? 10 * S : down_ms);
}

/* Runs until then, through every death on the way. */
static void live_until(int64_t until_ms)
{
    while (!sim.failed && !loop_run(until_ms)) {
        if (!sim.failed)
            bury();
    }
}

static void on_crash(void *ctx, int64_t by_power)
{
    (void)ctx;
    if (sim.life != 0 && !sim.faults_are_over)
        arm(by_power != 0);
}

static void on_stop(void *ctx, int64_t number)
{
    (void)ctx, (void)number;
    if (!sim.faults_are_over)
        life_stop();
}

/* --- faults that come and go --- */

static void on_disk(void *ctx, int64_t trouble)
{
    (void)ctx;
    if (!sim.faults_are_over)
        disk_trouble_is((enum disk_trouble)trouble);
}

static void on_failing_sync(void *ctx, int64_t number)
{
    (void)ctx, (void)number;
    if (!sim.faults_are_over)
        disk_fail_next_sync();
}

static void on_root(void *ctx, int64_t state)
{
    struct root *root = ctx;
    trace("folder: its root is now", root - files.roots, state, 0);
    root->state = sim.faults_are_over ? ROOT_THERE : (enum root_state)state;
    watch_hears_of_root((int)(root - files.roots));
}

static void on_wall_jump(void *ctx, int64_t by_ms)
{
    (void)ctx;
    if (sim.faults_are_over)
        return;
    sim.wall_offset_ms += by_ms;
    trace("clock: the wall clock jumps by", by_ms, 0, 0);
}

static void on_new_token_file(void *ctx, int64_t number)
{
    (void)ctx;
    life_token_file(number != 0 ? chorus_token() : 0);
    life_token_changed();
}

static void on_token_turn(void *ctx, int64_t number)
{
    (void)ctx, (void)number;
    if (sim.faults_are_over)
        return;
    if (dice_one_in(3))
        on_new_token_file(NULL, 0);
    chorus_turn_token();
    sim_at(dice_between(0, 20 * MINUTE), on_new_token_file, NULL, 1);
}

static void plan_disk_trouble(int64_t at)
{
    static const enum disk_trouble failing[] = {DISK_FAILING, DISK_BROKEN, DISK_DEAD};
    bool full = sim.faults.disk_full && (!sim.faults.disk_failing || dice_one_in(2));
    int64_t lasts_ms = dice_between(S, dice_one_in(5) ? 10 * MINUTE : MINUTE);
    sim_at(at, on_disk, NULL, (int64_t)(full ? DISK_FULL : failing[dice_below(3)]));
    sim_at(at + lasts_ms, on_disk, NULL, DISK_WELL);
}

static void plan_faults(void)
{
    const struct faults *f = &sim.faults;
    int64_t end = world.until_ms;
    for (uint64_t n = dice_below(MOST_CRASHES); n > 0; n--) {
        bool power = f->power_cuts && (!f->kills || dice_one_in(2));
        if (f->kills || f->power_cuts)
            sim_at(dice_between(0, end), on_crash, NULL, power);
    }
    if (f->stops)
        sim_at(dice_between(0, end), on_stop, NULL, 0);
    for (uint64_t n = f->disk_full || f->disk_failing ? 1 + dice_below(4) : 0; n > 0; n--)
        plan_disk_trouble(dice_between(0, end));
    for (int n = 0; f->sync_fails && n < 3; n++)
        sim_at(dice_between(0, end), on_failing_sync, NULL, 0);
    for (int i = 0; (f->offline || f->empty_mount) && i < files.root_count; i++) {
        int64_t at = dice_between(0, end);
        bool empty = f->empty_mount && (!f->offline || dice_one_in(2));
        sim_at(at, on_root, &files.roots[i], empty ? ROOT_EMPTY_MOUNT : ROOT_MISSING);
        sim_at(at + dice_between(S, HOUR), on_root, &files.roots[i], ROOT_THERE);
    }
    for (int n = 0; f->wall_jumps && n < 3; n++) {
        static const int64_t by[] = {-10 * DAY, -HOUR, -30 * S, 30 * S, HOUR, 10 * DAY};
        sim_at(dice_between(0, end), on_wall_jump, NULL, by[dice_below(6)]);
    }
    for (int n = 0; f->token_turns && n < 2; n++)
        sim_at(dice_between(0, end), on_token_turn, NULL, 0);
}

/* --- what happens in the folders --- */

static int any_file(void)
{
    if (files.path_count == 0)
        return -1;
    int from = (int)dice_below((uint64_t)files.path_count);
    for (int i = 0; i < files.path_count; i++) {
        int path = (from + i) % files.path_count;
        if (file_is_there(path))
            return path;
    }
    return -1;
}

static void on_new_file(void *ctx, int64_t number)
{
    char name[PATH_ROOM];
    (void)ctx, (void)number;
    int root = (int)dice_below((uint64_t)files.root_count);
    snprintf(name, sizeof name, "c%d-a%d-%d.wav", (int)dice_below(40), (int)dice_below(5),
             (int)number);
    if (files.roots[root].state != ROOT_THERE)
        return;
    watch_hears(file_create(root, name, 0, dice_one_in(3) ? dice_between(S, MINUTE) : 0));
}

static int another_path(int like)
{
    char name[PATH_ROOM];
    int root =
        dice_one_in(3) ? (int)dice_below((uint64_t)files.root_count) : files.paths[like].root;
    if (dice_one_in(2))
        snprintf(name, sizeof name, "c%d-a%d-%d.wav", (int)dice_below(40), (int)dice_below(5),
                 1000 + files.path_count);
    else
        snprintf(name, sizeof name, "%.40s-%d.wav", files.paths[like].name, files.path_count);
    return files.roots[root].state == ROOT_THERE ? path_number(root, name) : -1;
}

static void on_meddling(void *ctx, int64_t what)
{
    (void)ctx;
    const struct faults *f = &sim.faults;
    int path = any_file(), other;
    if (path < 0)
        return;
    switch (what) {
    case 0:
        if (f->appends)
            file_append(path, dice_between(0, 5 * S));
        break;
    case 1:
        if (f->silent_writes)
            file_write_silently(path);
        return; /* no event tells of it */
    case 2:
        if (f->deletes)
            file_remove(path);
        break;
    case 3:
        if (f->renames && (other = another_path(path)) >= 0) {
            file_rename(path, other);
            watch_hears(other);
        }
        break;
    case 4:
        if (f->copies && (other = another_path(path)) >= 0) {
            file_copy(path, other);
            watch_hears(other);
        }
        return;
    default:
        if (f->replaced)
            file_replace(path);
        break;
    }
    watch_hears(path);
}

static void on_foreign(void *ctx, int64_t number)
{
    char key[FORM_ROOM] = "sha256-";
    uint8_t sha256[32];
    (void)ctx;
    if (number % 2 == 0) {
        snprintf(key, sizeof key, "m-%d", (int)dice_below(40));
        chorus_store_foreign(0, key, "somebody@example.com", "another call");
        return;
    }
    int path = any_file();
    if (path < 0)
        return;
    content_fingerprint(file_inode(path)->content, sha256);
    for (int i = 0; i < 32; i++)
        snprintf(key + 7 + 2 * i, 3, "%02x", sha256[i]);
    chorus_store_foreign(file_inode(path)->content, key, "a0@example.com", "from another host");
}

/* --- people --- */

static void on_reload(void *ctx, int64_t number)
{
    (void)ctx, (void)number;
    world.rules_complete = true;
    config_of_world(world.rules_complete);
    life_read_configuration();
}

/* Somebody looks into Chorus, and puts back what is not there. */
static void on_person(void *ctx, int64_t number)
{
    int64_t recordings[64];
    struct ledger *ledger = life_ledger();
    (void)ctx;
    if (ledger == NULL || sim.life == 0 || sim.dead)
        return;
    disk_quiet(true);
    size_t n =
        ledger_in_state(ledger, number % 2 == 0 ? STATE_HELD : STATE_FAILED, 0, recordings, 64);
    for (size_t i = 0; i < n; i++) {
        struct ledger_job job;
        if (ledger_job(ledger, recordings[i], &job) != 0)
            continue;
        int content = content_of(job.sha256);
        ledger_job_clear(&job);
        if (content < 0 || chorus_may_have(content) || files.contents[content].live)
            continue;
        trace("person: retry of content", content, recordings[i], 0);
        checks_person_retries(content);
        life_retry(recordings[i]);
    }
    disk_quiet(false);
}

static void plan_events(void)
{
    int count = (int)dice_between(2, 12);
    for (int i = 0; i < count; i++)
        sim_at(dice_one_in(3) ? 0 : dice_between(0, world.until_ms), on_new_file, NULL, i);
    for (uint64_t n = dice_below(MOST_MEDDLINGS); n > 0; n--)
        sim_at(dice_between(S, world.until_ms), on_meddling, NULL, (int64_t)dice_below(6));
    for (int n = 0; sim.faults.foreign_keys && n < 4; n++)
        sim_at(dice_between(0, world.until_ms), on_foreign, NULL, n);
    sim_at(dice_between(0, world.until_ms), on_reload, NULL, 0);
    for (int n = 0; n < 4; n++)
        sim_at(dice_between(0, world.until_ms), on_person, NULL, n);
}

/* --- its course --- */

static void choose_faults(void)
{
    /* a byte each: on or off */
    bool *each = (bool *)&sim.faults;
    bool calm = dice_one_in(8);
    for (size_t i = 0; i < sizeof sim.faults / sizeof *each; i++)
        each[i] = !calm && dice_one_in(2);
    sim.faults.disk_full = sim.faults.disk_full && dice_one_in(3);
    sim.faults.disk_failing = sim.faults.disk_failing && dice_one_in(3);
    sim.faults.refused = sim.faults.refused && dice_one_in(2);
}

static void be_kind(void)
{
    sim.faults_are_over = true;
    sim.dies_in = 0;
    disk_trouble_is(DISK_WELL);
    for (int i = 0; i < files.root_count; i++)
        files.roots[i].state = ROOT_THERE;
    for (int i = 0; i < files.root_count; i++)
        watch_hears_of_root(i);
    world.rules_complete = true;
    config_of_world(true);
    life_token_file(chorus_token());
    life_read_configuration();
    trace("=== the faults are over", 0, 0, 0);
}

static bool is_settled(enum checks_rest rest)
{
    struct ledger *ledger = life_ledger();
    return ledger != NULL && sim.life != 0 && checks_nothing_under_way(ledger, rest, false);
}

static void settle(void)
{
    int64_t step_ms = HOUR;
    for (int i = 0; i < LAST_LOOKS && !sim.failed; i++) {
        live_until(sim.steady_ms + step_ms);
        /* after a day, what still waits for its folder waits for good */
        if (is_settled(step_ms < DAY ? REST_OF_ALL : REST_BUT_OFFLINE))
            break;
        step_ms = step_ms < DAY ? 2 * step_ms : DAY;
    }
    for (int i = 0; i < LAST_LOOKS && !sim.failed; i++) {
        watch_rescan_all();
        live_until(sim.steady_ms + 5 * MINUTE);
        if (i > 1 && watch_unknown_at_last_scan() == 0 && is_settled(REST_BUT_OFFLINE))
            break;
    }
    if (sim.failed)
        return;
    if (life_ledger() == NULL)
        violated("the program does not come up any more");
    else if (watch_unknown_at_last_scan() > 0)
        violated("%d files are taken for new at every scan", watch_unknown_at_last_scan());
    else
        checks_end(life_ledger());
}

static void keep_fresh_ledger(void)
{
    struct ledger *ledger;
    if (disk_has_fresh())
        return;
    disk_format(false);
    disk_quiet(true);
    if (ledger_open(config_of_world(false)->state_dir, LEDGER_WRITE, &ledger, NULL) != 0)
        abort();
    ledger_close(ledger);
    disk_quiet(false);
    disk_keep_as_fresh();
}

void world_run(uint64_t seed, bool with_trace, bool always_fresh)
{
    memset(&sim, 0, sizeof sim);
    memset(&world, 0, sizeof world);
    keep_fresh_ledger();
    sim.seed = seed;
    sim.random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    sim.hash = UINT64_C(0xcbf29ce484222325);
    sim.trace = with_trace;
    static const int64_t lengths[] = {10 * MINUTE, 40 * MINUTE, 3 * HOUR};
    world.until_ms = lengths[dice_below(3)];
    choose_faults();
    loop_begin();
    chorus_begin();
    watch_begin_life();
    checks_begin();
    files_begin(dice_one_in(3) ? (int)dice_between(2, MOST_ROOTS) : 1);
    kept_allow(!always_fresh);
    disk_format(!dice_one_in(10));
    config_draw(files.root_count);
    life_configure(config_of_world(false));
    life_token_file(chorus_token());
    plan_faults();
    plan_events();
    start_in(dice_between(0, S));
    live_until(world.until_ms);
    be_kind();
    settle();
    trace("=== the end", (int64_t)sim.posts, (int64_t)sim.commits, (int64_t)sim.crashes);
    life_bury();
}
