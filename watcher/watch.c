/* The calls of watcher.h, a watch's life, and whose turn on the pool it is. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "watcher/work.h"

static int64_t clock_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * 1000 * MS_NS + ts.tv_nsec;
}

struct settle_moment watch_now(void)
{
    return (struct settle_moment){.steady_ns = clock_ns(CLOCK_BOOTTIME),
                                  .wall_ns = clock_ns(CLOCK_REALTIME)};
}

bool notes_add(struct notes *notes, const char *path)
{
    size_t n = strlen(path) + 1;
    struct note *note = malloc(sizeof *note + n);
    if (!note) {
        return false;
    }
    memcpy(note->path, path, n);
    note->next = NULL;
    *(notes->first ? notes->end : &notes->first) = note;
    notes->end = &note->next;
    notes->count++;
    return true;
}

struct note *notes_take(struct notes *notes)
{
    struct note *note = notes->first;
    if (note) {
        notes->first = note->next;
        notes->count--;
    }
    return note;
}

static void notes_clear(struct notes *notes)
{
    for (struct note *note; (note = notes_take(notes));) {
        free(note);
    }
}

/* ---- whose turn it is ---- */

static bool begin_scan(struct watch *w)
{
    w->scan = scan_new("");
    if (!w->scan) {
        return false;
    }
    w->scanning = true;
    w->scan_spoilt = false;
    w->rescan_wanted = false;
    w->scan_files = 0;
    w->scan_number++;
    w->signs_everywhere = w->signs_everywhere && w->sign_count > 0;
    intake_events_open(w); /* where it was refused before */
    return true;
}

static bool begin_subtree(struct watch *w)
{
    struct note *note = notes_take(&w->subtrees);
    w->subtree = scan_new(note->path);
    free(note);
    w->in_subtree = w->subtree != NULL;
    w->rescan_wanted = w->rescan_wanted || !w->in_subtree;
    return w->in_subtree;
}

static bool wants(const struct watch *w, enum job_kind kind, int64_t now_ns)
{
    const struct candidate *first = table_first_due(&w->table);
    bool rescan_due = w->options->options.rescan_ms > 0 && now_ns >= w->rescan_ns;
    switch (kind) {
    case JOB_PROBE:
        return now_ns >= w->root_due_ns || (!w->hold && first && first->due_ns <= now_ns);
    case JOB_SUBTREE:
        return !w->hold && w->backlog < BACKLOG && (w->in_subtree || w->subtrees.count > 0);
    case JOB_SCAN:
        return !w->hold && w->backlog < BACKLOG && (w->scanning || w->rescan_wanted || rescan_due);
    case JOB_HASH:
        return !w->hold && w->hash_first;
    case JOB_NONE:
    case JOB_ROOT:
        break;
    }
    return false;
}

/* Looks at settling files come first, but never twice in a row before the bulk; subtrees, scans and
 * fingerprints take turns. */
static enum job_kind choose(struct watch *w, int64_t now_ns)
{
    static const enum job_kind next[] = {[JOB_NONE] = JOB_SUBTREE,
                                         [JOB_HASH] = JOB_SUBTREE,
                                         [JOB_SUBTREE] = JOB_SCAN,
                                         [JOB_SCAN] = JOB_HASH};
    bool probe = wants(w, JOB_PROBE, now_ns);
    if (probe && (w->last_kind != JOB_PROBE || !turns_bulk_is_open(w->turns))) {
        return JOB_PROBE;
    }
    enum job_kind kind = w->last_bulk;
    for (int i = 0; i < 3; i++) {
        kind = next[kind];
        if (wants(w, kind, now_ns)) {
            return kind;
        }
    }
    return probe ? JOB_PROBE : JOB_NONE;
}

/* The folder itself is looked for out of turn: that is what tells a mount that hangs. */
static bool is_its_turn(struct watch *w, enum job_kind kind)
{
    return kind == JOB_ROOT ||
           turns_ask(w->turns, &w->job.turn, kind == JOB_PROBE ? TURN_LOOK : TURN_BULK);
}

static bool prepare(struct watch *w, enum job_kind kind)
{
    if (kind != JOB_PROBE && kind != JOB_ROOT) {
        w->last_bulk = kind;
    }
    if (kind == JOB_SCAN && !w->scanning) {
        return begin_scan(w);
    }
    if (kind == JOB_SUBTREE && !w->in_subtree) {
        return begin_subtree(w);
    }
    return true;
}

static void sooner(int64_t *due_ns, int64_t ns)
{
    *due_ns = ns < *due_ns ? ns : *due_ns;
}

static void on_timer(uv_timer_t *timer);

/* Nothing can be done now: wakes up when that changes by time alone. */
static void sleep_until_due(struct watch *w, int64_t now_ns)
{
    int64_t due_ns = INT64_MAX;
    const struct candidate *first = table_first_due(&w->table);
    bool waits = w->job.turn.state == TURN_WAITS, for_look = w->job.turn.kind == TURN_LOOK;
    if (w->stage == STAGE_ONLINE && !(waits && for_look)) {
        sooner(&due_ns, w->root_due_ns);
        if (!w->hold && first) {
            sooner(&due_ns, first->due_ns);
        }
        if (!w->hold && !waits && w->options->options.rescan_ms > 0 && w->backlog < BACKLOG) {
            sooner(&due_ns, w->rescan_ns);
        }
    } else if (w->stage == STAGE_OFFLINE) {
        due_ns = w->retry_ns;
    }
    if (w->pause_ns > now_ns && w->stage != STAGE_OFFLINE) {
        due_ns = w->pause_ns;
    }
    if (w->changed.count > 0) {
        due_ns = now_ns;
    }
    if (due_ns == INT64_MAX) {
        return;
    }
    int64_t wait_ns = due_ns > now_ns ? due_ns - now_ns : 0;
    uv_update_time(w->loop); /* else the wait begins where this turn of the loop began */
    uv_timer_start(&w->timer, on_timer, (uint64_t)((wait_ns + MS_NS - 1) / MS_NS), 0);
}

static void begin(struct watch *w, enum job_kind kind, int64_t now_ns)
{
    if (kind != JOB_NONE && !is_its_turn(w, kind)) {
        return;
    }
    w->last_kind = kind;
    if (kind != JOB_NONE && !prepare(w, kind)) {
        w->pause_ns = now_ns + 1000 * MS_NS;
    } else if (kind != JOB_NONE) {
        job_start(w, kind);
    }
    if (!w->busy) {
        turns_give_back(w->turns, &w->job.turn);
    }
}

static void on_turn(struct turn *turn)
{
    struct watch *w = turn->ctx;
    watch_pump(w);
    if (!w->busy && turn->state != TURN_WAITS) { /* nothing is to be done any more */
        turns_give_back(w->turns, turn);
    }
}

void watch_pump(struct watch *w)
{
    if (w->closing || w->stage == STAGE_NEW) {
        return;
    }
    int64_t now_ns = watch_now().steady_ns;
    uv_timer_stop(&w->timer);
    if (!w->busy && now_ns >= w->pause_ns) {
        if (w->stage == STAGE_OFFLINE && now_ns >= w->retry_ns) {
            w->stage = STAGE_LOOKING;
        }
        enum job_kind kind = w->stage == STAGE_LOOKING  ? JOB_ROOT
                             : w->stage == STAGE_ONLINE ? choose(w, now_ns)
                                                        : JOB_NONE;
        begin(w, kind, now_ns);
    }
    if (!w->busy || w->changed.count > 0) {
        sleep_until_due(w, now_ns);
    }
}

static void answer_changed(struct watch *w)
{
    struct notes notes = w->changed; /* the caller may ask again in the callback */
    memset(&w->changed, 0, sizeof w->changed);
    for (struct note *note; (note = notes_take(&notes));) {
        hashing_answer(w, note->path, WATCH_FINGERPRINT_CHANGED, 0);
        free(note);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct watch *w = timer->data;
    answer_changed(w);
    watch_continue(w);
}

/* ---- offline ---- */

static void free_work(struct watch *w)
{
    table_deinit(&w->table);
    memset(w->phases, 0, sizeof w->phases);
    w->backlog = w->standing = 0;
    w->hash_first = w->hash_last = NULL;
    job_throw_away_fingerprint(w, w->fingerprint);
    job_throw_away_scan(w, w->scan);
    job_throw_away_scan(w, w->subtree);
    w->fingerprint = NULL;
    w->scan = w->subtree = NULL;
    w->in_subtree = false;
    notes_clear(&w->subtrees);
    while (w->sign_count > 0) {
        free(w->signs[--w->sign_count]);
    }
    free(w->unreadable_file);
    w->unreadable_file = NULL;
    w->signs_everywhere = false;
}

void watch_drop_work(struct watch *w, int error)
{
    struct notes asked = {0};
    struct watch_scan scan = {.number = w->scan_number, .files = w->scan_files};
    bool scanning = w->scanning;
    for (struct candidate *c = w->hash_first; c; c = c->later) {
        notes_add(&asked, c->path);
    }
    w->epoch++;
    w->scanning = false;
    w->scans_ended += scanning;
    w->first_complete = w->first_told; /* else what was not judged yet needs another look */
    free_work(w);
    for (struct note *note; (note = notes_take(&asked));) {
        hashing_answer(w, note->path, WATCH_FINGERPRINT_UNREADABLE, error);
        free(note);
    }
    if (scanning && !w->closing) {
        w->callbacks.scanned(w->ctx, &scan);
    }
}

void watch_go_offline(struct watch *w, int error, const char *words)
{
    bool was = w->stage == STAGE_OFFLINE;
    w->stage = STAGE_OFFLINE;
    w->retry_pause_ns = w->retry_pause_ns ? w->retry_pause_ns * 2 : 1000 * MS_NS;
    if (w->retry_pause_ns > ROOT_MS * MS_NS) {
        w->retry_pause_ns = ROOT_MS * MS_NS;
    }
    w->retry_ns = watch_now().steady_ns + w->retry_pause_ns;
    if (words) {
        memcpy(w->offline, words, strlen(words) + 1);
    } else {
        tell_root_error(w, error, w->offline, sizeof w->offline);
    }
    if (!was) {
        watch_drop_work(w, error);
    }
    if (!w->closing) {
        intake_events_close(w);
        tell_state(w);
    }
}

void watch_on_patience(uv_timer_t *timer)
{
    struct watch *w = timer->data;
    char words[sizeof w->offline];
    tell_root_error(w, ETIMEDOUT, words, sizeof words);
    w->hung = true;
    w->retry_pause_ns = 0;
    watch_go_offline(w, ETIMEDOUT, words);
}

/* ---- the calls ---- */

/* A writer that waits for our lease raises it; its default would end the process. */
static void ignore_sigio(void)
{
    struct sigaction action;
    if (sigaction(SIGIO, NULL, &action) == 0 && !(action.sa_flags & SA_SIGINFO) &&
        action.sa_handler == SIG_DFL) {
        signal(SIGIO, SIG_IGN);
    }
}

int watch_new(struct uv_loop_s *loop, const struct watch_options *options,
              const struct watch_callbacks *callbacks, void *ctx, struct watch **out)
{
    struct watch *w = calloc(1, sizeof *w);
    if (!w) {
        return -ENOMEM;
    }
    int error = shared_options_new(options, &w->options);
    if (error) {
        free(w);
        return error;
    }
    ignore_sigio();
    w->loop = loop;
    w->turns = options->turns;
    w->job.turn = (struct turn){.go = on_turn, .ctx = w};
    w->callbacks = *callbacks;
    w->ctx = ctx;
    w->patience_ms = options->patience_ms > 0 ? options->patience_ms : PATIENCE_MS;
    table_init(&w->table);
    uv_timer_init(loop, &w->timer);
    uv_timer_init(loop, &w->patience);
    w->timer.data = w->patience.data = w;
    w->handles = 2;
    *out = w;
    return 0;
}

int watch_start(struct watch *w)
{
    w->stage = STAGE_LOOKING;
    watch_pump(w);
    return 0;
}

void watch_rescan(struct watch *w)
{
    w->rescan_wanted = true;
    watch_pump(w);
}

struct passing {
    struct watch *watch;
    int64_t now_ns;
};

/* Under new options: files that no longer count are dropped, the others looked at again. */
static void review(void *ctx, struct candidate *c)
{
    struct passing *p = ctx;
    if (c->phase == PHASE_FINISHED || c->phase == PHASE_HASHING) {
        return; /* the caller's */
    }
    if (names_pass_over(&p->watch->options->options, c->path)) {
        intake_drop(p->watch, c);
    } else if (!c->in_job) {
        table_due(&p->watch->table, c, p->now_ns);
    }
}

int watch_configure(struct watch *w, const struct watch_options *options)
{
    struct shared_options *shared;
    struct watch_options wanted = *options;
    wanted.path = w->options->options.path;
    int error = shared_options_new(&wanted, &shared);
    if (error) {
        return error;
    }
    shared_options_drop(w->options);
    w->options = shared;
    struct passing passing = {.watch = w, .now_ns = watch_now().steady_ns};
    table_each(&w->table, review, &passing);
    if (!wanted.events) {
        intake_events_close(w);
    }
    w->rescan_wanted = true;
    watch_pump(w);
    return 0;
}

void watch_throttle(struct watch *w, bool hold)
{
    w->hold = hold;
    watch_pump(w);
}

int watch_fingerprint(struct watch *w, const char *path)
{
    struct candidate *c = table_find(&w->table, path);
    if (c && c->phase == PHASE_HASHING) {
        return 0;
    }
    if (c && c->phase == PHASE_FINISHED) {
        hashing_begin(w, c);
    } else { /* it changed meanwhile: the answer says so */
        if (!notes_add(&w->changed, path)) {
            return -ENOMEM;
        }
        if (!c) {
            intake_note(w, path, SETTLE_HINT_SEEN, 0);
        }
    }
    watch_pump(w);
    return 0;
}

void watch_release(struct watch *w, const char *path)
{
    struct candidate *c = table_find(&w->table, path);
    if (c && (c->phase == PHASE_FINISHED || c->phase == PHASE_HASHING)) {
        intake_drop(w, c); /* one that settles again is another version */
        watch_pump(w);
    }
}

void watch_look_again(struct watch *w, const char *path)
{
    if (w->stage == STAGE_ONLINE) { /* else the first scan to come finds it */
        intake_note(w, path, SETTLE_HINT_SEEN, 0);
        watch_pump(w);
    }
}

void watch_get_counts(const struct watch *w, struct watch_counts *counts)
{
    *counts = (struct watch_counts){
        .settling = w->table.count - w->phases[PHASE_FINISHED] - w->phases[PHASE_HASHING],
        .hashing = w->phases[PHASE_HASHING],
        .events = w->events_before + (w->events ? events_count(w->events) : 0),
        .overflows = w->overflows,
        .scans = w->scans_ended,
        .directories = w->events ? events_folders(w->events) : 0,
    };
}

struct listing {
    void (*each)(void *ctx, const struct watch_in_work *file);
    void *ctx;
};

static void list_one(void *ctx, struct candidate *c)
{
    struct listing *listing = ctx;
    bool hashing = c->phase == PHASE_HASHING;
    struct watch_in_work file = {
        .path = c->path,
        .size = c->identity.size,
        .phase = hashing ? WATCH_HASHING : WATCH_SETTLING,
        .first_seen_ns = c->first_seen_ns,
        .scan = c->scan,
        .waits_for = hashing                        ? "its checksum"
                     : c->phase == PHASE_FINISHED   ? "nothing: it is finished"
                     : c->phase == PHASE_UNREADABLE ? "permission to read it"
                                                    : settle_words(c->wait),
    };
    listing->each(listing->ctx, &file);
}

void watch_each_in_work(const struct watch *w,
                        void (*each)(void *ctx, const struct watch_in_work *file), void *ctx)
{
    struct listing listing = {each, ctx};
    table_each((struct table *)(uintptr_t)&w->table, list_one, &listing);
}

void watch_set_patience(struct watch *w, int64_t ms)
{
    w->patience_ms = ms;
}

/* ---- the end ---- */

static void free_when_over(struct watch *w)
{
    if (w->handles > 0 || w->busy) {
        return;
    }
    free_work(w);
    if (w->litter.scans || w->litter.fingerprints) {
        job_start(w, JOB_NONE);
        return;
    }
    void (*closed)(void *) = w->closed;
    void *ctx = w->closed_ctx;
    notes_clear(&w->changed);
    shared_options_drop(w->options);
    free(w->unreadable_folder);
    free(w);
    if (closed) {
        closed(ctx);
    }
}

void watch_continue(struct watch *w)
{
    if (w->closing) {
        free_when_over(w);
        return;
    }
    watch_pump(w);
    if (!w->busy) {
        tell_state(w);
    }
}

static void let_go(struct watch *w)
{
    w->handles--;
    free_when_over(w);
}

static void on_closed(uv_handle_t *handle)
{
    let_go(handle->data);
}

static void on_events_closed(void *ctx)
{
    let_go(ctx);
}

void watch_close(struct watch *w, void (*done)(void *ctx), void *ctx)
{
    w->closing = true;
    w->closed = done;
    w->closed_ctx = ctx;
    uv_close((uv_handle_t *)&w->timer, on_closed);
    uv_close((uv_handle_t *)&w->patience, on_closed);
    if (w->events) {
        w->handles++;
        events_close(w->events, on_events_closed, w);
        w->events = NULL;
    }
    if (w->busy) {
        uv_cancel((uv_req_t *)&w->job.request); /* if it has not begun */
    } else {
        turns_give_back(w->turns, &w->job.turn);
    }
}

/* ---- without a watch ---- */

bool watch_is_beside(const struct watch_options *options, const char *path)
{
    return !names_pass_over(options, path) && names_beside(options, path);
}

const char *watch_passes_over(const struct watch_options *options, const char *path)
{
    return names_pass_over(options, path);
}

/* In the folder of `path`: a sign that holds it back. */
static bool held_by_sign(int root, const struct watch_options *options, const char *path,
                         int64_t wall_ns)
{
    const char *name = names_base(path);
    size_t n = name > path ? (size_t)(name - path) - 1 : 0;
    char *folder = strndup(path, n);
    if (!folder) {
        return false;
    }
    int64_t believed_ms = options->open_quiet_ms;
    int64_t since_ns = believed_ms > wall_ns / MS_NS ? 0 : wall_ns - believed_ms * MS_NS;
    unsigned signs = probe_signs(root, folder, since_ns);
    free(folder);
    return ((signs & 1u << NAMES_SIGN_ZOOM) && names_sign_holds(NAMES_SIGN_ZOOM, n == 0, name)) ||
           ((signs & 1u << NAMES_SIGN_TMP) && names_sign_holds(NAMES_SIGN_TMP, n == 0, name));
}

int watch_look_once(const struct watch_options *options, const char *path,
                    struct watch_finding *finding, const char **waits_for)
{
    struct root found;
    struct probe probe;
    struct settle settle;
    struct settle_limits limits = {options->settle_ms, options->quiet_ms, options->open_quiet_ms};
    struct settle_moment now = watch_now();
    ignore_sigio();
    int root = job_open_root(options->path, &found);
    if (root < 0) {
        return root;
    }
    probe_look(root, path, &probe);
    if (probe.error == 0) {
        probe.sample.folder_open = held_by_sign(root, options, path, now.wall_ns);
    }
    close(root);
    if (probe.error != 0) {
        return probe.error;
    }
    settle_init(&settle);
    struct settle_answer answer = settle_look(&settle, &probe.sample, now, &limits);
    *finding = (struct watch_finding){.path = path,
                                      .identity = probe.sample.identity,
                                      .media = probe.media.kind,
                                      .media_name = probe.media.name,
                                      .stood = answer.wait == SETTLE_FINISHED};
    *waits_for = answer.wait == SETTLE_FINISHED ? NULL : settle_words(answer.wait);
    return answer.wait == SETTLE_FINISHED ? 0 : 1;
}
