#include "tests/sim/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/files.h"
#include "tests/sim/sim.h"
#include "watcher/watcher.h"

enum { SLICE = 16 };

enum phase { PHASE_NONE, PHASE_SETTLING, PHASE_FINISHED, PHASE_HASHING };

struct candidate {
    enum phase phase;
    struct file_identity identity; /* of its last look */
    bool sampled;
    uint64_t looks, hashes; /* what was planned for an older number never comes */
    uint64_t scan;
};

struct watch {
    struct watch_callbacks callbacks;
    void *ctx;
    int root;
    bool used, started, closing, online, held_back, scanning, scan_wanted, first_told;
    int64_t settle_ms, rescan_ms;
    uint64_t scans, version, device;
    int unknown;
    struct candidate candidates[MOST_PATHS]; /* by path */
};

static struct watch *watches[2 * MOST_ROOTS];

static bool on(bool fault)
{
    return fault && !sim.faults_are_over;
}

void watch_begin_life(void)
{
    for (int i = 0; i < 2 * MOST_ROOTS; i++) {
        free(watches[i]);
        watches[i] = NULL;
    }
}

static void look_at(struct watch *w, int path, int64_t delay_ms);

/* --- one file --- */

static void on_look(void *ctx, int64_t number);
static void on_fingerprint(void *ctx, int64_t number);

/* What is planned for a path, under a number that may be overtaken. */
static int64_t ticket(int path, uint64_t number)
{
    return path + (int64_t)MOST_PATHS * (int64_t)number;
}

static int path_of(int64_t ticket)
{
    return (int)(ticket % MOST_PATHS);
}

static uint64_t number_of(int64_t ticket)
{
    return (uint64_t)(ticket / MOST_PATHS);
}

static void drop(struct watch *w, int path)
{
    const struct candidate *c = &w->candidates[path];
    w->candidates[path] = (struct candidate){.looks = c->looks + 1, .hashes = c->hashes + 1};
}

static void look_at(struct watch *w, int path, int64_t delay_ms)
{
    sim_in_life(delay_ms, on_look, w, ticket(path, ++w->candidates[path].looks));
}

static void finish(struct watch *w, int path)
{
    struct candidate *c = &w->candidates[path];
    c->phase = PHASE_FINISHED;
    struct watch_finding finding = {.path = files.paths[path].name,
                                    .identity = c->identity,
                                    .media = WATCH_TAKEN,
                                    .media_name = "",
                                    .scan = c->scan,
                                    .stood = true};
    w->callbacks.finished(w->ctx, &finding);
}

static void answer(struct watch *w, int path, enum watch_fingerprint_result result, int error)
{
    struct watch_fingerprint told = {.path = files.paths[path].name,
                                     .result = result,
                                     .error = error,
                                     .identity = w->candidates[path].identity};
    if (result == WATCH_FINGERPRINT_TAKEN) {
        content_fingerprint(file_inode(path)->content, told.sha256);
        trace("watch: fingerprint of content", path, file_inode(path)->content, 0);
    } else if (result == WATCH_FINGERPRINT_CHANGED) {
        w->candidates[path].phase = PHASE_SETTLING;
        look_at(w, path, 0);
    } else {
        drop(w, path); /* unreadable: found again by the next scan */
    }
    w->callbacks.fingerprinted(w->ctx, &told);
}

static void on_look(void *ctx, int64_t number)
{
    struct watch *w = ctx;
    int path = path_of(number);
    if (w->closing || w->candidates[path].looks != number_of(number))
        return;
    struct candidate *c = &w->candidates[path];
    bool asked = c->phase == PHASE_HASHING;
    struct file_identity now;
    if (w->held_back) {
        look_at(w, path, 5 * S);
        return;
    }
    if (!file_is_there(path)) {
        if (asked)
            answer(w, path, WATCH_FINGERPRINT_GONE, 0);
        else
            drop(w, path);
        return;
    }
    file_identity(path, &now);
    bool same = c->sampled && file_identity_equal(&now, &c->identity);
    if ((asked || c->phase == PHASE_FINISHED) && same)
        return;
    int64_t open_ms = file_inode(path)->open_until_ms - sim.steady_ms;
    c->identity = now;
    c->sampled = true;
    c->phase = PHASE_SETTLING;
    if (same && open_ms <= 0)
        finish(w, path);
    else
        look_at(w, path, (open_ms > 0 ? open_ms : 0) + w->settle_ms);
    if (asked)
        answer(w, path, WATCH_FINGERPRINT_CHANGED, 0);
}

int watch_fingerprint(struct watch *w, const char *name)
{
    int path = path_number(w->root, name);
    struct candidate *c = &w->candidates[path];
    if (c->phase != PHASE_FINISHED)
        return 0;
    c->phase = PHASE_HASHING;
    sim_in_life(dice_between(1, dice_one_in(8) ? 20 * S : 500), on_fingerprint, w,
                ticket(path, ++c->hashes));
    return 0;
}

static void on_fingerprint(void *ctx, int64_t number)
{
    struct watch *w = ctx;
    int path = path_of(number);
    if (w->closing || w->candidates[path].hashes != number_of(number) ||
        w->candidates[path].phase != PHASE_HASHING)
        return;
    struct file_identity now;
    if (!file_is_there(path)) {
        answer(w, path, WATCH_FINGERPRINT_GONE, 0);
        return;
    }
    file_identity(path, &now);
    if (!file_identity_equal(&now, &w->candidates[path].identity)) {
        answer(w, path, WATCH_FINGERPRINT_CHANGED, 0);
    } else if (on(sim.faults.unreadable) && dice_one_in(6)) {
        answer(w, path, WATCH_FINGERPRINT_UNREADABLE, EIO);
    } else {
        w->candidates[path].phase = PHASE_FINISHED;
        answer(w, path, WATCH_FINGERPRINT_TAKEN, 0);
    }
}

void watch_release(struct watch *w, const char *name)
{
    int path = path_number(w->root, name);
    enum phase phase = w->candidates[path].phase;
    sim_point();
    if (phase == PHASE_FINISHED || phase == PHASE_HASHING)
        drop(w, path); /* one that settles again is another version */
}

static void note(struct watch *w, int path, uint64_t scan)
{
    struct candidate *c = &w->candidates[path];
    if (c->phase == PHASE_NONE) {
        c->phase = PHASE_SETTLING;
        c->sampled = false;
        c->scan = scan;
    }
    look_at(w, path, dice_between(0, 20));
}

void watch_look_again(struct watch *w, const char *name)
{
    if (w->online)
        note(w, path_number(w->root, name), 0);
}

/* --- scans --- */

static void judge(struct watch *w, struct watch_entry *entries, const int *paths, size_t count)
{
    w->callbacks.judge(w->ctx, entries, count);
    for (size_t i = 0; i < count; i++) {
        struct candidate *c = &w->candidates[paths[i]];
        if (entries[i].known)
            continue;
        w->unknown++;
        if (c->phase == PHASE_NONE)
            note(w, paths[i], w->scans);
        else if (c->phase != PHASE_SETTLING &&
                 !file_identity_equal(&c->identity, &entries[i].identity))
            look_at(w, paths[i], 0);
    }
}

static void look_at_all(struct watch *w)
{
    struct watch_entry entries[SLICE];
    int paths[SLICE];
    size_t count = 0;
    for (int path = 0; path < files.path_count; path++) {
        if (files.paths[path].root != w->root || !file_is_there(path))
            continue;
        entries[count] = (struct watch_entry){.path = files.paths[path].name};
        file_identity(path, &entries[count].identity);
        paths[count++] = path;
        if (count == SLICE) {
            judge(w, entries, paths, count);
            count = 0;
        }
    }
    if (count > 0)
        judge(w, entries, paths, count);
}

/* As the watcher does: a root that is replaced under it goes offline first, and an empty folder on
 * another device is a missing mount. */
static void tell_state(struct watch *w, bool online)
{
    if (w->online == online && w->started)
        return;
    w->online = online;
    w->started = true;
    struct watch_state state = {
        .online = online, .events = true, .reason = "", .root = files_root_identity(w->root)};
    w->callbacks.state_changed(w->ctx, &state);
}

static void look_at_root(struct watch *w)
{
    const struct root *root = &files.roots[w->root];
    uint64_t device = root->state == ROOT_THERE ? root->dev : 1;
    bool there = root->state != ROOT_MISSING;
    bool other = w->device != 0 && w->device != device;
    if (w->online && (!there || other))
        tell_state(w, false);
    if (there && other && root->state == ROOT_EMPTY_MOUNT)
        there = false;
    if (there)
        w->device = device;
    tell_state(w, there);
}

static void on_scan(void *ctx, int64_t number);

static void scan_in(struct watch *w, int64_t delay_ms)
{
    w->version++;
    sim_in_life(delay_ms, on_scan, w, (int64_t)w->version);
}

static void on_scan(void *ctx, int64_t number)
{
    struct watch *w = ctx;
    if (w->closing || (uint64_t)number != w->version)
        return;
    if (w->held_back) {
        scan_in(w, 5 * S);
        return;
    }
    look_at_root(w);
    if (w->online) {
        w->scans++;
        w->unknown = 0;
        look_at_all(w);
        struct watch_scan scan = {.number = w->scans, .complete = true};
        w->callbacks.scanned(w->ctx, &scan);
        if (!w->first_told) {
            w->first_told = true;
            w->callbacks.first_scan_judged(w->ctx);
        }
    }
    scan_in(w, w->online ? w->rescan_ms : 30 * S);
}

void watch_rescan(struct watch *w)
{
    scan_in(w, dice_between(0, 100));
}

static void on_root(void *ctx, int64_t number)
{
    (void)number;
    if (!((struct watch *)ctx)->closing)
        watch_rescan(ctx);
}

void watch_hears_of_root(int root)
{
    for (int i = 0; i < 2 * MOST_ROOTS; i++) {
        if (watches[i] != NULL && watches[i]->root == root)
            sim_in_life(dice_between(0, 10 * S), on_root, watches[i], 0);
    }
}

void watch_rescan_all(void)
{
    for (int i = 0; i < 2 * MOST_ROOTS; i++) {
        if (watches[i] != NULL && !watches[i]->closing)
            watch_rescan(watches[i]);
    }
}

int watch_unknown_at_last_scan(void)
{
    int unknown = 0;
    for (int i = 0; i < 2 * MOST_ROOTS; i++)
        unknown += watches[i] != NULL && !watches[i]->closing ? watches[i]->unknown : 0;
    return unknown;
}

void watch_throttle(struct watch *w, bool hold)
{
    w->held_back = hold;
}

/* --- events --- */

static void on_event(void *ctx, int64_t path)
{
    struct watch *w = ctx;
    struct candidate *c = &w->candidates[path];
    if (w->closing || !w->online || files.roots[w->root].state != ROOT_THERE)
        return;
    if (files.paths[path].inode >= 0) {
        note(w, (int)path, 0);
        return;
    }
    bool asked = c->phase == PHASE_HASHING;
    drop(w, (int)path);
    if (asked)
        answer(w, (int)path, WATCH_FINGERPRINT_GONE, 0);
    w->callbacks.gone(w->ctx, files.paths[path].name);
}

void watch_hears(int path)
{
    for (int i = 0; i < 2 * MOST_ROOTS; i++) {
        struct watch *w = watches[i];
        if (w == NULL || w->root != files.paths[path].root)
            continue;
        if (on(sim.faults.events_lost) && dice_one_in(2))
            continue;
        sim_in_life(dice_between(0, 50), on_event, w, path);
    }
}

/* --- its life --- */

int watch_new(struct uv_loop_s *loop, const struct watch_options *options,
              const struct watch_callbacks *callbacks, void *ctx, struct watch **out)
{
    (void)loop;
    int slot = 0;
    while (slot < 2 * MOST_ROOTS && watches[slot] != NULL)
        slot++;
    struct watch *w = slot < 2 * MOST_ROOTS ? calloc(1, sizeof *w) : NULL;
    if (w == NULL)
        return -ENOMEM;
    watches[slot] = w;
    w->callbacks = *callbacks;
    w->ctx = ctx;
    while (w->root < files.root_count && strcmp(files.roots[w->root].path, options->path) != 0)
        w->root++;
    w->settle_ms = options->settle_ms;
    w->rescan_ms = options->rescan_ms;
    *out = w;
    return 0;
}

int watch_start(struct watch *w)
{
    scan_in(w, dice_between(0, 100));
    return 0;
}

int watch_configure(struct watch *w, const struct watch_options *options)
{
    w->settle_ms = options->settle_ms;
    w->rescan_ms = options->rescan_ms;
    return 0;
}

void watch_get_counts(const struct watch *w, struct watch_counts *counts)
{
    (void)w;
    memset(counts, 0, sizeof *counts);
}

void watch_each_in_work(const struct watch *w,
                        void (*each)(void *ctx, const struct watch_in_work *file), void *ctx)
{
    for (int path = 0; path < MOST_PATHS; path++) {
        const struct candidate *c = &w->candidates[path];
        if (c->phase == PHASE_NONE)
            continue;
        struct watch_in_work file = {.path = files.paths[path].name,
                                     .size = c->identity.size,
                                     .phase = c->phase == PHASE_HASHING ? WATCH_HASHING
                                                                        : WATCH_SETTLING};
        each(ctx, &file);
    }
}

struct closing {
    struct watch *watch;
    void (*done)(void *ctx);
    void *ctx;
};

static void on_close(void *ctx, int64_t number)
{
    struct closing *closing = ctx;
    (void)number;
    for (int i = 0; i < 2 * MOST_ROOTS; i++) {
        if (watches[i] == closing->watch)
            watches[i] = NULL; /* what is planned for it still points there */
    }
    closing->done(closing->ctx);
    free(closing);
}

void watch_close(struct watch *w, void (*done)(void *ctx), void *ctx)
{
    struct closing *closing = calloc(1, sizeof *closing);
    if (closing == NULL)
        abort();
    *closing = (struct closing){w, done, ctx};
    w->closing = true;
    sim_in_life(dice_between(0, 5), on_close, closing, 0);
}
