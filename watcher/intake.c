/* What was seen becomes candidates, and candidates become findings. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "watcher/work.h"

/* A file that was just created is looked at no sooner: nearly always its writer still has it. */
#define CREATED_LEAST (10 * MS_NS)
#define CREATED_MOST (1000 * MS_NS)

/* ---- candidates ---- */

static bool holds_scan_back(const struct watch *w, const struct candidate *c)
{
    switch (c->phase) {
    case PHASE_ENTERED:
    case PHASE_FINISHED:
    case PHASE_HASHING:
        return true;
    case PHASE_SETTLING:
        return c->wait == SETTLE_WAITS_SETTLE && w->options->limits.settle_ms <= SETTLE_COUNTED_MS;
    case PHASE_UNREADABLE:
    case PHASES:
        break;
    }
    return false;
}

static void count(struct watch *w, struct candidate *c, bool counted)
{
    if (counted != c->counted) {
        w->backlog = counted ? w->backlog + 1 : w->backlog - 1;
        c->counted = counted;
    }
}

static void forget_unreadable(struct watch *w, const struct candidate *c)
{
    if (c->phase == PHASE_UNREADABLE && w->unreadable_file &&
        strcmp(w->unreadable_file, c->path) == 0) {
        free(w->unreadable_file);
        w->unreadable_file = NULL;
    }
}

void intake_phase(struct watch *w, struct candidate *c, enum phase phase)
{
    if (phase != PHASE_UNREADABLE) {
        forget_unreadable(w, c);
    }
    w->phases[c->phase]--;
    w->phases[phase]++;
    c->phase = phase;
    count(w, c, holds_scan_back(w, c));
}

void intake_not_standing(struct watch *w, struct candidate *c)
{
    if (c->standing) {
        c->standing = false;
        w->standing--;
    }
}

static void stir(const struct watch *w)
{
    if (w->callbacks.stirred && !w->closing) {
        w->callbacks.stirred(w->ctx);
    }
}

void intake_drop(struct watch *w, struct candidate *c)
{
    if (c->phase == PHASE_HASHING) {
        hashing_cancel(w, c);
    }
    intake_not_standing(w, c);
    forget_unreadable(w, c);
    count(w, c, false);
    w->phases[c->phase]--;
    table_detach(&w->table, c);
    free(c);
    stir(w);
}

static struct candidate *enter(struct watch *w, const char *path, uint64_t scan)
{
    struct candidate *c = table_add(&w->table, path);
    if (!c) {
        w->rescan_wanted = true; /* memory is short: it is found again */
        return NULL;
    }
    settle_init(&c->settle);
    c->wait = SETTLE_WAITS_LOOK;
    c->scan = scan;
    c->first_seen_ns = watch_now().wall_ns;
    w->phases[PHASE_ENTERED]++;
    count(w, c, true);
    stir(w);
    return c;
}

static void look_at(struct watch *w, struct candidate *c, int64_t due_ns)
{
    if (!c->in_job) {
        table_due(&w->table, c, due_ns);
    }
}

void intake_settle_again(struct watch *w, struct candidate *c)
{
    struct settle_moment now = watch_now();
    settle_note(&c->settle, SETTLE_HINT_SEEN, now);
    c->wait = SETTLE_WAITS_LOOK;
    intake_phase(w, c, PHASE_SETTLING);
    look_at(w, c, now.steady_ns);
}

void intake_unreadable(struct watch *w, struct candidate *c, int error)
{
    intake_not_standing(w, c);
    intake_phase(w, c, PHASE_UNREADABLE);
    table_not_due(&w->table, c);
    if (!w->unreadable_file) {
        w->unreadable_file = strdup(c->path);
        w->unreadable_file_error = error;
    }
}

void intake_note(struct watch *w, const char *path, enum settle_hint hint, int64_t delay_ns)
{
    if (names_pass_over(&w->options->options, path)) {
        return;
    }
    struct candidate *c = table_find(&w->table, path);
    if (!c) {
        if (w->table.count >= TABLE) {
            w->rescan_wanted = true;
            return;
        }
        c = enter(w, path, 0);
        if (!c) {
            return;
        }
    }
    struct settle_moment now = watch_now();
    intake_not_standing(w, c);
    if (c->in_job) { /* the look under way may have been before */
        if (hint >= c->late_hint) {
            c->late_hint = hint;
            c->late_at = now;
        }
        return;
    }
    settle_note(&c->settle, hint, now);
    table_due(&w->table, c, now.steady_ns + delay_ns);
}

/* ---- samples ---- */

static void finish(struct watch *w, struct candidate *c, const struct probe_item *item)
{
    struct watch_finding finding = {
        .path = item->path, /* outlives a release within the callback */
        .identity = item->probe.sample.identity,
        .media = item->probe.media.kind,
        .media_name = item->probe.media.name,
        .duration_ms = item->probe.media.duration_ms,
        .scan = c->scan,
        .stood = !c->settle.touched,
        .beside = names_beside(&w->options->options, item->path),
    };
    intake_not_standing(w, c);
    c->duration_ms = finding.duration_ms;
    intake_phase(w, c, PHASE_FINISHED);
    w->callbacks.finished(w->ctx, &finding);
}

/* An event came while the look was under way: look again. */
static bool take_late_hint(struct watch *w, struct candidate *c)
{
    if (c->late_hint == 0) {
        return false;
    }
    settle_note(&c->settle, c->late_hint, c->late_at);
    c->late_hint = 0;
    table_due(&w->table, c, watch_now().steady_ns);
    return true;
}

static void settle(struct watch *w, struct candidate *c, const struct probe_item *item)
{
    struct settle_answer answer =
        settle_look(&c->settle, &item->probe.sample, item->at, &w->options->limits);
    c->identity = item->probe.sample.identity;
    c->wait = answer.wait;
    if (c->settle.touched) {
        intake_not_standing(w, c);
    }
    bool again = take_late_hint(w, c);
    if (answer.wait == SETTLE_FINISHED && !again) {
        finish(w, c, item);
        return;
    }
    if (again) {
        c->wait = SETTLE_WAITS_SETTLE;
    } else {
        table_due(&w->table, c, answer.due_ns);
    }
    intake_phase(w, c, PHASE_SETTLING);
}

/* Reported already: stays so unless it changed. */
static void compare(struct watch *w, struct candidate *c, const struct probe_item *item)
{
    if (file_identity_equal(&c->identity, &item->probe.sample.identity)) {
        take_late_hint(w, c);
        return;
    }
    bool asked = c->phase == PHASE_HASHING;
    if (asked) {
        hashing_cancel(w, c);
    }
    settle(w, c, item);
    if (asked) {
        hashing_answer(w, item->path, WATCH_FINGERPRINT_CHANGED, 0);
    }
}

static void take_error(struct watch *w, struct candidate *c, const char *path, int error)
{
    bool asked = c->phase == PHASE_HASHING;
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case EINVAL:
    case EXDEV:
    case ENXIO:
    case ENAMETOOLONG:
        if (c->late_hint != 0 && !asked) { /* another one may stand there by now */
            take_late_hint(w, c);
            return;
        }
        intake_drop(w, c);
        if (asked) {
            hashing_answer(w, path, WATCH_FINGERPRINT_GONE, 0);
        }
        return;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EINTR:
    case ESTALE:
        table_due(&w->table, c, watch_now().steady_ns + 1000 * MS_NS);
        return;
    default:
        if (asked) {
            hashing_cancel(w, c);
        }
        intake_unreadable(w, c, error);
        take_late_hint(w, c);
        if (asked) {
            hashing_answer(w, path, WATCH_FINGERPRINT_UNREADABLE, error);
        }
        return;
    }
}

static void forget_sign(struct watch *w, const char *path);

void intake_samples(struct watch *w, struct job *job)
{
    for (size_t i = 0; i < job->item_count && !w->closing; i++) {
        struct probe_item *item = &job->items[i];
        struct candidate *c = table_find_id(&w->table, item->path, item->id);
        if (!c) {
            continue;
        }
        c->in_job = false;
        if (item->check_folder && !item->signs && item->probe.error == 0) {
            forget_sign(w, item->path);
        }
        if (item->probe.error != 0) {
            take_error(w, c, item->path, -item->probe.error);
        } else if (c->phase == PHASE_FINISHED || c->phase == PHASE_HASHING) {
            compare(w, c, item);
        } else {
            settle(w, c, item);
        }
    }
    intake_tell_first_scan(w);
}

/* ---- signs of unfinished folders ---- */

static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

static size_t find_sign(const struct watch *w, const char *folder, size_t n)
{
    size_t i = 0;
    while (i < w->sign_count &&
           (strlen(w->signs[i]) != n || strncmp(w->signs[i], folder, n) != 0)) {
        i++;
    }
    return i;
}

bool intake_folder_signed(const struct watch *w, const char *path)
{
    return w->signs_everywhere || find_sign(w, path, folder_length(path)) < w->sign_count;
}

static void add_sign(struct watch *w, const char *folder)
{
    if (w->signs_everywhere || find_sign(w, folder, strlen(folder)) < w->sign_count) {
        return;
    }
    char *copy = w->sign_count < SIGNS ? strdup(folder) : NULL;
    if (copy) {
        w->signs[w->sign_count++] = copy;
    } else {
        w->signs_everywhere = true; /* until the next full look */
    }
}

static void forget_sign(struct watch *w, const char *path)
{
    size_t i = find_sign(w, path, folder_length(path));
    if (i < w->sign_count) {
        free(w->signs[i]);
        w->signs[i] = w->signs[--w->sign_count];
    }
}

struct in_folder {
    struct watch *watch;
    const char *folder;
    int64_t now_ns;
};

static void wake(void *ctx, struct candidate *c)
{
    struct in_folder *in = ctx;
    size_t n = strlen(in->folder);
    if (c->wait == SETTLE_WAITS_FOLDER && folder_length(c->path) == n &&
        strncmp(c->path, in->folder, n) == 0) {
        look_at(in->watch, c, in->now_ns);
    }
}

/* ---- scans ---- */

static void learn_folders(struct watch *w, const struct scan_slice *slice)
{
    /* before the files: one that an event named did not just stand there */
    for (size_t i = 0; i < slice->folder_count && w->events; i++) {
        if (events_learn(w->events, slice->folders[i].wd, slice->folders[i].path) != 0) {
            w->rescan_wanted = true;
        }
    }
}

static void take_entry(struct watch *w, const struct watch_entry *entry, uint64_t scan)
{
    struct candidate *c = table_find(&w->table, entry->path);
    int64_t now_ns = watch_now().steady_ns;
    if (!c) {
        c = enter(w, entry->path, scan);
        if (!c) {
            w->scan_spoilt = true;
            return;
        }
        if (scan != 0 && !w->first_complete) {
            c->standing = true;
            w->standing++;
        }
        look_at(w, c, now_ns);
    } else if ((c->phase == PHASE_FINISHED || c->phase == PHASE_HASHING) &&
               !file_identity_equal(&c->identity, &entry->identity)) {
        look_at(w, c, now_ns);
    }
}

static void retry(void *ctx, struct candidate *c)
{
    struct in_folder *in = ctx;
    if (c->phase == PHASE_UNREADABLE) {
        look_at(in->watch, c, in->now_ns);
    }
}

static void end_scan(struct watch *w, struct scan *scan)
{
    int64_t now_ns = watch_now().steady_ns;
    struct in_folder all = {.watch = w, .now_ns = now_ns};
    struct watch_scan told = {.number = w->scan_number,
                              .files = w->scan_files,
                              .passed_over = scan->passed_over,
                              .complete = !scan->incomplete && !w->scan_spoilt};
    free(w->unreadable_folder);
    w->unreadable_folder = scan->first_unreadable;
    scan->first_unreadable = NULL;
    w->unreadable_error = scan->first_error;
    w->unreadable_folders = scan->unreadable;
    w->too_deep = scan->too_deep;
    w->kept_error = w->watch_error;
    w->scanning = false;
    w->scans_ended++;
    int64_t rescan_ms = w->options->options.rescan_ms;
    w->rescan_ns = now_ns + (rescan_ms < RESCAN_MOST_MS ? rescan_ms : RESCAN_MOST_MS) * MS_NS;
    w->first_complete = w->first_complete || told.complete;
    table_each(&w->table, retry, &all);
    w->callbacks.scanned(w->ctx, &told);
    tell_state(w);
    intake_tell_first_scan(w);
}

void intake_tell_first_scan(struct watch *w)
{
    if (!w->closing && w->first_complete && w->standing == 0 && !w->first_told) {
        w->first_told = true;
        w->callbacks.first_scan_judged(w->ctx);
    }
}

static void take_files(struct watch *w, struct scan_slice *slice, uint64_t scan)
{
    if (slice->entry_count > 0 && !w->closing) {
        w->callbacks.judge(w->ctx, slice->entries, slice->entry_count);
    }
    for (size_t i = 0; i < slice->entry_count && !w->closing; i++) {
        if (!slice->entries[i].known) {
            take_entry(w, &slice->entries[i], scan);
        }
    }
}

void intake_slice(struct watch *w, struct job *job)
{
    struct scan_slice *slice = &job->slice;
    bool full = job->kind == JOB_SCAN;
    struct scan **scan = full ? &w->scan : &w->subtree;
    learn_folders(w, slice);
    for (size_t i = 0; i < slice->sign_count; i++) {
        add_sign(w, slice->signs[i]);
    }
    if (slice->watch_error != 0 && w->events) {
        w->watch_error = w->kept_error = slice->watch_error;
        tell_state(w);
    }
    take_files(w, slice, full ? w->scan_number : 0);
    if (w->closing) {
        return;
    }
    if (full) {
        w->scan_files += slice->entry_count;
    }
    if (!slice->done) {
        return;
    }
    struct scan *ended = *scan;
    *scan = NULL;
    if (full) {
        end_scan(w, ended);
    } else {
        w->rescan_wanted = w->rescan_wanted || ended->incomplete;
        w->in_subtree = false;
    }
    scan_free(ended);
}

void intake_subtree(struct watch *w, const char *folder)
{
    if (w->subtrees.count >= SUBTREES || !notes_add(&w->subtrees, folder)) {
        w->rescan_wanted = true;
    }
}

/* ---- events ---- */

static void file_left(struct watch *w, const char *path)
{
    if (names_pass_over(&w->options->options, path)) {
        return;
    }
    struct candidate *c = table_find(&w->table, path);
    bool asked = c && c->phase == PHASE_HASHING;
    if (c) {
        intake_drop(w, c);
    }
    if (asked) {
        hashing_answer(w, path, WATCH_FINGERPRINT_GONE, 0);
    }
    if (!w->closing) {
        w->callbacks.gone(w->ctx, path);
    }
}

struct below {
    const char *folder;
    struct notes found;
};

static void collect_below(void *ctx, struct candidate *c)
{
    struct below *below = ctx;
    size_t n = strlen(below->folder);
    if (strncmp(c->path, below->folder, n) == 0 && c->path[n] == '/') {
        notes_add(&below->found, c->path); /* what is not noted is dropped by its next look */
    }
}

static void folder_left(struct watch *w, const char *folder)
{
    struct below below = {.folder = folder};
    events_forget(w->events, folder);
    table_each(&w->table, collect_below, &below);
    for (struct note *note; (note = notes_take(&below.found));) {
        if (!w->closing) {
            file_left(w, note->path);
        }
        free(note);
    }
}

static void folder_event(struct watch *w, const char *path, uint32_t mask)
{
    const struct watch_options *options = &w->options->options;
    if (!options->recursive || names_folder_passed_over(names_base(path))) {
        return;
    }
    if (mask & (IN_CREATE | IN_MOVED_TO)) {
        intake_subtree(w, path);
    } else if (mask & (IN_DELETE | IN_MOVED_FROM)) {
        folder_left(w, path);
        if (mask & IN_MOVED_FROM) {
            w->rescan_wanted = true; /* finds out what is no longer there */
        }
    }
}

static void file_event(struct watch *w, const char *path, uint32_t mask)
{
    int64_t settle_ns = w->options->limits.settle_ms >= CREATED_MOST / MS_NS
                            ? CREATED_MOST
                            : w->options->limits.settle_ms * MS_NS;
    if (mask & (IN_DELETE | IN_MOVED_FROM)) {
        file_left(w, path);
    } else if (mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) {
        intake_note(w, path, SETTLE_HINT_CLOSED, 0);
    } else if (mask & IN_CREATE) {
        intake_note(w, path, SETTLE_HINT_SEEN,
                    settle_ns > CREATED_LEAST ? settle_ns : CREATED_LEAST);
    }
}

static void on_event(void *ctx, const char *folder, const char *name, uint32_t mask)
{
    struct watch *w = ctx;
    size_t n = strlen(folder), m = strlen(name);
    char *path = malloc(n + m + 2);
    if (!path) {
        w->rescan_wanted = true;
        return;
    }
    memcpy(path, folder, n);
    path[n] = '/';
    memcpy(path + (n ? n + 1 : 0), name, m + 1);
    if (mask & IN_ISDIR) {
        folder_event(w, path, mask);
    } else {
        if (names_sign(name) != NAMES_NO_SIGN) {
            struct in_folder in = {.watch = w, .folder = folder, .now_ns = watch_now().steady_ns};
            if (mask & (IN_DELETE | IN_MOVED_FROM)) {
                table_each(&w->table, wake, &in);
            } else {
                add_sign(w, folder);
            }
        }
        file_event(w, path, mask);
    }
    free(path);
    intake_tell_first_scan(w);
    watch_pump(w);
}

static void on_overflow(void *ctx)
{
    struct watch *w = ctx;
    w->overflows++;
    w->rescan_wanted = true;
    watch_pump(w);
}

static void on_lost(void *ctx, const char *folder)
{
    struct watch *w = ctx;
    if (*folder == '\0') {
        w->root_due_ns = 0; /* is it still there? */
    }
    w->rescan_wanted = w->rescan_wanted || *folder == '\0';
    watch_pump(w);
}

void intake_events_open(struct watch *w)
{
    static const struct events_callbacks callbacks = {
        .event = on_event, .overflow = on_overflow, .lost = on_lost};
    const struct watch_options *options = &w->options->options;
    w->watch_error = 0;
    if (w->events || !options->events || w->root.network) {
        return;
    }
    int error = events_open(w->loop, options->drop_events_after, &callbacks, w, &w->events);
    if (error) {
        w->events = NULL;
        w->kept_error = w->watch_error = -error;
    }
}

void intake_events_close(struct watch *w)
{
    if (w->events) {
        w->events_before += events_count(w->events);
        events_close(w->events, NULL, NULL);
        w->events = NULL;
    }
}
