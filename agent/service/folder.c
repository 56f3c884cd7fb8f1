/*
 * Intake: one folder that is looked at. The watcher finds and fingerprints; here is decided, by the
 * ledger and the watch's settings, what each file becomes; every change goes through the journal.
 *
 * What may have vanished on return: after folder_close the folder frees itself once its watcher and
 * its last journal step are done.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/service/first_start.h"
#include "agent/service/internal.h"
#include "agent/service/watch_options.h"

enum { SWEEP = 256 };

/* A single look is looked at once: a year is longer than any bulk run. */
#define NEVER_MS (INT64_C(365) * 86400000)

/* One file on its way into the ledger. */
struct intake {
    struct folder *folder;
    char *path;     /* absolute */
    char *relative; /* below the folder's root */
    struct file_identity identity;
    uint8_t sha256[32];
    bool zeros;
    enum skip_kind skip;
    char *rule, *reason;
    bool known; /* dealt with before, by another look */
};

static const struct watch_config *settings(const struct folder *folder)
{
    return config_watch(folder->service->config, folder->watch_name);
}

static char *absolute(const struct folder *folder, const char *relative)
{
    return mem_printf("%s/%s", strcmp(folder->root, "/") == 0 ? "" : folder->root, relative);
}

static void free_if_over(struct folder *folder)
{
    if (!folder->closed || folder->steps > 0)
        return;
    struct bulk *bulk = folder->bulk;
    free(folder->watch_name);
    free(folder->root);
    free(folder->reason);
    free(folder->seen);
    free(folder);
    if (bulk != NULL)
        bulk_look_over(bulk);
}

/* A look of a bulk run is over once all that it found is dealt with. */
static void close_if_done(struct folder *folder)
{
    struct watch_counts counts;
    if (folder->bulk == NULL || folder->closing || !folder->scanned)
        return;
    watch_get_counts(folder->watch, &counts);
    if (counts.settling == 0 && counts.hashing == 0 && folder->steps == 0)
        folder_close(folder);
}

static void step_over(struct folder *folder)
{
    folder->steps--;
    close_if_done(folder);
    free_if_over(folder);
}

static void intake_free(void *ctx)
{
    struct intake *intake = ctx;
    struct folder *folder = intake->folder;
    free(intake->path);
    free(intake->relative);
    free(intake->rule);
    free(intake->reason);
    free(intake);
    step_over(folder);
}

static struct intake *intake_new(struct folder *folder, const char *relative,
                                 const struct file_identity *identity)
{
    struct intake *intake = mem_zalloc(sizeof *intake);
    intake->folder = folder;
    intake->path = absolute(folder, relative);
    intake->relative = mem_string(relative);
    intake->identity = *identity;
    folder->steps++;
    return intake;
}

static struct ledger_file file_of(const struct intake *intake)
{
    return (struct ledger_file){
        .path = intake->path,
        .root_length = intake->folder->root_length,
        .watch = intake->folder->ledger_watch,
        .identity = intake->identity,
        .bulk = intake->folder->bulk != NULL ? bulk_number(intake->folder->bulk) : 0,
    };
}

/* The file is remembered: its watcher lets go of it. */
static void finish(struct intake *intake)
{
    struct folder *folder = intake->folder;
    if (!folder->closing)
        watch_release(folder->watch, intake->relative);
    service_moved(folder->service);
    intake_free(intake);
}

/* --- judging what a scan meets --- */

static void see(struct folder *folder, int64_t path)
{
    size_t at = (size_t)path / 8;
    if (at >= folder->seen_room) {
        size_t room = at + at / 2 + 1024;
        folder->seen = mem_resize(folder->seen, room, 1);
        memset(folder->seen + folder->seen_room, 0, room - folder->seen_room);
        folder->seen_room = room;
    }
    folder->seen[at] |= (uint8_t)(1 << (path % 8));
}

static bool was_seen(const struct folder *folder, int64_t path)
{
    size_t at = (size_t)path / 8;
    return at < folder->seen_room && (folder->seen[at] >> (path % 8) & 1) != 0;
}

static bool is_to_be_sent(enum recording_state state)
{
    return state == STATE_QUEUED || state == STATE_WAITING || state == STATE_UNCERTAIN ||
           state == STATE_HELD || state == STATE_UPLOADING;
}

/* Whether a skip "before the first start" still holds under the settings as they are now. */
static bool since_still_skips(const struct folder *folder, const struct file_identity *identity)
{
    const struct watch_config *watch = settings(folder);
    if (folder->bulk != NULL || watch == NULL || watch->since == SINCE_ALL)
        return false;
    return watch->since == SINCE_START || identity->mtime_ns / 1000000 < watch->since_ms;
}

struct want {
    struct folder *folder;
    int64_t path;
};

static void apply_want(void *ctx, struct ledger *ledger)
{
    struct want *want = ctx;
    ledger_want(ledger, want->path, bulk_number(want->folder->bulk));
}

static void want_done(void *ctx)
{
    struct want *want = ctx;
    struct folder *folder = want->folder;
    free(want);
    step_over(folder);
}

static void want_for_bulk(struct folder *folder, const struct ledger_known *known)
{
    if (!is_to_be_sent(known->state)) {
        bulk_met_known(folder->bulk);
        return;
    }
    struct want *want = mem_zalloc(sizeof *want);
    *want = (struct want){folder, known->path};
    folder->steps++;
    journal_add(folder->service->journal,
                &(struct journal_step){apply_want, want_done, want_done, want});
}

/* --- whether the root is the right one --- */

static void apply_trust(void *ctx, struct ledger *ledger)
{
    const struct folder *folder = ctx;
    ledger_trust_root(ledger, folder->ledger_watch, (uint64_t)folder->root_dev,
                      (uint64_t)folder->root_ino);
}

static void trust_done(void *ctx)
{
    step_over(ctx);
}

static void trust_root(struct folder *folder)
{
    folder->trusted = true;
    if (folder->trust_recorded || folder->bulk != NULL)
        return;
    folder->trust_recorded = true;
    folder->steps++;
    journal_add(folder->service->journal,
                &(struct journal_step){apply_trust, trust_done, trust_done, folder});
}

/* Came online, perhaps on another file system than before: its files tell, once one of them is met.
 */
static void meet_root(struct folder *folder)
{
    struct stat st;
    if (stat(folder->root, &st) != 0)
        return;
    bool same = st.st_dev == folder->root_dev && st.st_ino == folder->root_ino;
    bool first = folder->root_ino == 0;
    folder->root_dev = st.st_dev;
    folder->root_ino = st.st_ino;
    folder->trusted = same || first;
    folder->trust_recorded = same;
    if (first)
        trust_root(folder);
    else if (!same)
        log_event(LOG_WARNING, "watch", "watch", folder->watch_name, "path", folder->root, "reason",
                  "another folder or file system stands there than before: until a known file is "
                  "met in it, nothing "
                  "that is missing counts as gone",
                  NULL);
}

static bool judge_one(struct folder *folder, struct ledger *ledger, const struct watch_entry *entry)
{
    struct ledger_known known;
    char *path = absolute(folder, entry->path);
    ledger_know(ledger, path, &entry->identity, &known);
    free(path);
    if (known.same && !folder->trust_recorded)
        trust_root(folder);
    if (known.recording != 0 && is_to_be_sent(known.state))
        see(folder, known.path);
    if (known.same && known.skip == SKIP_BEFORE_START)
        return since_still_skips(folder, &entry->identity);
    if (known.same && folder->bulk != NULL)
        want_for_bulk(folder, &known);
    return known.same;
}

static void on_judge(void *ctx, struct watch_entry *entries, size_t count)
{
    struct folder *folder = ctx;
    struct ledger *ledger = journal_ledger(folder->service->journal);
    for (size_t i = 0; i < count; i++) {
        /* without a ledger nothing is taken in; all folders are looked at again when it is back */
        entries[i].known = ledger == NULL || judge_one(folder, ledger, &entries[i]);
    }
}

/* --- a finished file --- */

static bool stood_before_start(struct folder *folder, struct ledger *ledger,
                               const struct watch_finding *finding)
{
    const struct watch_config *watch = settings(folder);
    int64_t mtime_ms = finding->identity.mtime_ns / 1000000;
    if (folder->bulk != NULL || watch->since == SINCE_ALL)
        return false;
    if (watch->since == SINCE_DATE)
        return mtime_ms < watch->since_ms;
    if (ledger != NULL && ledger_is_renamed_skip(ledger, &finding->identity))
        return true;
    if (!folder->first_scan)
        return false;
    return folder->first_start_known ? mtime_ms <= folder->first_start_ms
                                     : finding->stood && finding->scan == 1;
}

static void skip(struct intake *intake, enum skip_kind kind, char *reason)
{
    intake->skip = kind;
    intake->reason = reason;
}

static void judge_by_rules(struct intake *intake, const struct watch_config *watch)
{
    struct resolution resolution;
    struct folder *folder = intake->folder;
    service_resolve(folder->service, watch, intake->path, folder->root_length, &intake->identity,
                    NULL, folder->bulk != NULL ? bulk_owner(folder->bulk) : NULL, &resolution);
    if (resolution.outcome == RESOLVED_SKIP) {
        intake->rule = mem_string(resolution.rule);
        skip(intake, SKIP_RULE, mem_string(resolution.reason));
    }
    resolution_clear(&resolution);
}

static void decide(struct intake *intake, const struct watch_finding *finding)
{
    struct folder *folder = intake->folder;
    const struct watch_config *watch = settings(folder);
    char text[WHEN_TEXT];
    if (stood_before_start(folder, journal_ledger(folder->service->journal), finding)) {
        when_rfc3339(watch->since == SINCE_DATE ? watch->since_ms : folder->first_start_ms, text);
        skip(intake, SKIP_BEFORE_START,
             watch->since == SINCE_DATE ? mem_printf("last changed before `since` (%s)", text)
                                        : mem_printf("before the first start (%s)", text));
    } else if (finding->media == WATCH_EMPTY) {
        skip(intake, SKIP_EMPTY,
             mem_printf("empty: %" PRIu64 " bytes, nothing was recorded", finding->identity.size));
    } else if (finding->media == WATCH_UNSUPPORTED) {
        skip(intake, SKIP_UNSUPPORTED,
             mem_printf("%s audio, which Chorus does not take", finding->media_name));
    } else if (finding->identity.size < watch->min_size) {
        skip(intake, SKIP_SMALL,
             mem_printf("%" PRIu64 " bytes: smaller than min_size (%" PRIu64 ")",
                        finding->identity.size, watch->min_size));
    } else {
        judge_by_rules(intake, watch);
    }
}

static void apply_skip(void *ctx, struct ledger *ledger)
{
    struct intake *intake = ctx;
    struct ledger_file file = file_of(intake);
    ledger_skip(ledger, &file, intake->skip, intake->rule, intake->reason,
                intake->folder->service->digest, when_now_ms());
}

static void skip_done(void *ctx)
{
    struct intake *intake = ctx;
    struct folder *folder = intake->folder;
    if (intake->skip == SKIP_BEFORE_START)
        folder->left_alone++;
    else
        log_event(LOG_INFO, "skipped", "path", intake->path, "reason", intake->reason, NULL);
    finish(intake);
}

static void on_finished(void *ctx, const struct watch_finding *finding)
{
    struct folder *folder = ctx;
    if (settings(folder) == NULL) {
        watch_release(folder->watch, finding->path);
        return;
    }
    struct intake *intake = intake_new(folder, finding->path, &finding->identity);
    decide(intake, finding);
    if (intake->skip != SKIP_NOT) {
        journal_add(folder->service->journal,
                    &(struct journal_step){apply_skip, skip_done, intake_free, intake});
        return;
    }
    watch_fingerprint(folder->watch, finding->path);
    intake_free(intake);
    service_moved(folder->service);
}

/* --- a fingerprinted file --- */

/* What a power cut or a slip leaves of a recording is not sent as if it were one. */
static void doubt_content(const struct intake *intake, const struct ledger_admission *admission,
                          struct resolution *resolution)
{
    char *reason = NULL;
    if (intake->zeros)
        reason = mem_string(
            "it holds nothing but zero bytes, as a crash leaves a file whose data was never "
            "written; `retry` sends it all the same");
    else if (admission->shrank_from > 0)
        reason =
            mem_printf("it shrank: %" PRIu64 " to %" PRIu64 " bytes; `retry` sends it as it is",
                       admission->shrank_from, intake->identity.size);
    else if (resolution->key_kind == KEY_NONE &&
             intake->identity.mtime_ns / 1000000 <= intake->folder->lost_ms)
        reason = mem_string(
            "the ledger was lost, so it may have been sent before, and without a "
            "meeting_id a resend could double it; look in Chorus, then `retry` or leave it");
    if (reason == NULL || resolution->outcome != RESOLVED)
        free(reason);
    else
        resolution_doubt(resolution, reason);
}

static void apply_admit(void *ctx, struct ledger *ledger)
{
    struct intake *intake = ctx;
    struct folder *folder = intake->folder;
    struct service *service = folder->service;
    const struct watch_config *watch = settings(folder);
    const char *owner = folder->bulk != NULL ? bulk_owner(folder->bulk) : NULL;
    struct ledger_file file = file_of(intake);
    struct ledger_admission admission;
    int64_t now_ms = when_now_ms();
    if (watch == NULL)
        return; /* a reload took the watch away: the file is met again if it comes back */
    ledger_admit(ledger, &file, intake->sha256, now_ms, &admission);
    intake->known = admission.kind == ADMIT_KNOWN;
    if (admission.kind != ADMIT_RESOLVE) {
        retirement_decide(service, ledger, admission.recording);
        return;
    }
    struct resolution resolution;
    service_resolve(service, watch, intake->path, folder->root_length, &intake->identity,
                    intake->sha256, owner, &resolution);
    doubt_content(intake, &admission, &resolution);
    ledger_resolve(ledger, admission.recording, admission.path, &resolution,
                   owner != NULL ? LEDGER_OWNER_GIVEN : service->digest,
                   service_not_before(watch, &intake->identity), now_ms);
    mem_replace(&intake->reason,
                resolution.outcome == RESOLVED_HELD ? mem_string(resolution.reason) : NULL);
    resolution_clear(&resolution);
}

static void admit_done(void *ctx)
{
    struct intake *intake = ctx;
    struct folder *folder = intake->folder;
    if (intake->reason != NULL) {
        log_trouble(LOG_WARNING, "held", "reason", intake->reason, "path", intake->path, NULL);
        service_note_error(folder->service, intake->path, intake->reason);
    } else if (!intake->known) {
        log_event(LOG_DEBUG, "taken", "path", intake->path, NULL);
    }
    finish(intake);
}

static void on_fingerprinted(void *ctx, const struct watch_fingerprint *fingerprint)
{
    struct folder *folder = ctx;
    service_moved(folder->service);
    if (fingerprint->result == WATCH_FINGERPRINT_UNREADABLE)
        log_trouble(LOG_WARNING, "unreadable", "watch", folder->watch_name, "path",
                    fingerprint->path, "reason", strerror(fingerprint->error), NULL);
    if (fingerprint->result == WATCH_FINGERPRINT_TAKEN) {
        struct intake *intake = intake_new(folder, fingerprint->path, &fingerprint->identity);
        memcpy(intake->sha256, fingerprint->sha256, sizeof intake->sha256);
        intake->zeros = fingerprint->zeros;
        journal_add(folder->service->journal,
                    &(struct journal_step){apply_admit, admit_done, intake_free, intake});
    } else {
        close_if_done(folder);
    }
}

/* --- absence --- */

bool folder_is_there(const struct folder *folder)
{
    struct stat st;
    return folder->online && folder->trusted && stat(folder->root, &st) == 0 &&
           st.st_dev == folder->root_dev && st.st_ino == folder->root_ino;
}

void folder_refresh_device(const char *path, struct file_identity *identity)
{
    struct stat st;
    struct file_identity there;
    if (lstat(path, &st) != 0)
        return;
    file_identity_of(&st, &there);
    uint64_t dev = there.dev;
    there.dev = identity->dev;
    if (file_identity_equal(&there, identity))
        identity->dev = dev;
}

static bool is_absent(const char *path)
{
    struct stat st;
    return lstat(path, &st) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

static void apply_gone(void *ctx, struct ledger *ledger)
{
    struct intake *intake = ctx;
    if (folder_is_there(intake->folder) && is_absent(intake->path))
        ledger_absent(ledger, intake->path, when_now_ms());
}

static void on_gone(void *ctx, const char *path)
{
    struct folder *folder = ctx;
    struct file_identity none = {0};
    struct intake *intake = intake_new(folder, path, &none);
    service_moved(folder->service);
    journal_add(folder->service->journal,
                &(struct journal_step){apply_gone, intake_free, intake_free, intake});
}

/* After a complete scan: what it did not meet, and is not there, has left. */
struct sweep {
    struct folder *folder;
    int64_t after, next;
    size_t count;
};

static void apply_sweep(void *ctx, struct ledger *ledger)
{
    struct sweep *sweep = ctx;
    struct ledger_pending_path paths[SWEEP];
    sweep->count = 0;
    if (!folder_is_there(sweep->folder))
        return;
    sweep->count =
        ledger_pending_paths(ledger, sweep->folder->ledger_watch, sweep->after, paths, SWEEP);
    for (size_t i = 0; i < sweep->count; i++) {
        sweep->next = paths[i].recording;
        if (!was_seen(sweep->folder, paths[i].id) && is_absent(paths[i].path))
            ledger_absent(ledger, paths[i].path, when_now_ms());
        free(paths[i].path);
    }
}

static void sweep_over(void *ctx)
{
    struct sweep *sweep = ctx;
    struct folder *folder = sweep->folder;
    free(sweep);
    step_over(folder);
}

static void sweep_on(void *ctx)
{
    struct sweep *sweep = ctx;
    struct folder *folder = sweep->folder;
    if (sweep->count == SWEEP && !folder->closing) {
        sweep->after = sweep->next;
        journal_add(folder->service->journal,
                    &(struct journal_step){apply_sweep, sweep_on, sweep_over, sweep});
        return;
    }
    if (folder->seen != NULL)
        memset(folder->seen, 0, folder->seen_room);
    sweep_over(sweep);
}

static void on_scanned(void *ctx, const struct watch_scan *scan)
{
    struct folder *folder = ctx;
    folder->scanned = true;
    service_moved(folder->service);
    if (folder->bulk == NULL && scan->complete) {
        struct sweep *sweep = mem_zalloc(sizeof *sweep);
        sweep->folder = folder;
        folder->steps++;
        journal_add(folder->service->journal,
                    &(struct journal_step){apply_sweep, sweep_on, sweep_over, sweep});
    }
    close_if_done(folder);
}

/* --- the first scan --- */

static void apply_first_scan(void *ctx, struct ledger *ledger)
{
    struct folder *folder = ctx;
    ledger_first_scan_done(ledger, folder->ledger_watch);
}

static void first_scan_done(void *ctx)
{
    struct folder *folder = ctx;
    char count[24];
    folder->first_scan = false;
    if (folder->left_alone > 0) {
        snprintf(count, sizeof count, "%" PRId64, folder->left_alone);
        char *how = mem_printf("chorus-agent once --watch %s", folder->watch_name);
        log_event(LOG_WARNING, "left-alone", "watch", folder->watch_name, "recordings", count,
                  "reason", "they were there before the first start (since: start)", "to-take-them",
                  how, NULL);
        free(how);
    }
    step_over(folder);
}

static void first_scan_dropped(void *ctx)
{
    step_over(ctx);
}

static void on_first_scan_judged(void *ctx)
{
    struct folder *folder = ctx;
    if (folder->bulk != NULL || !folder->first_scan)
        return;
    folder->steps++;
    journal_add(folder->service->journal, &(struct journal_step){apply_first_scan, first_scan_done,
                                                                 first_scan_dropped, folder});
}

/* --- state --- */

static void on_state_changed(void *ctx, const struct watch_state *state)
{
    struct folder *folder = ctx;
    bool was_online = folder->online;
    folder->online = state->online;
    folder->events = state->events;
    mem_replace(&folder->reason, mem_string(state->reason));
    service_moved(folder->service);
    if (state->online && !was_online)
        meet_root(folder);
    if (folder->bulk != NULL) {
        if (!state->online) {
            log_event(LOG_ERROR, "unreadable", "path", folder->root, "reason", state->reason, NULL);
            folder_close(folder);
        }
        return;
    }
    if (!state->online)
        log_event(LOG_ERROR, "watch-offline", "watch", folder->watch_name, "path", folder->root,
                  "reason", state->reason, NULL);
    else if (!was_online)
        log_event(LOG_INFO, "watch-online", "watch", folder->watch_name, "path", folder->root,
                  "mode", state->events ? "events" : "polling", "reason",
                  state->reason[0] != '\0' ? state->reason : NULL, NULL);
    else if (state->reason[0] != '\0')
        log_trouble(LOG_WARNING, "watch", "reason", state->reason, "watch", folder->watch_name,
                    NULL);
}

/* --- opening and closing --- */

static void options_of(const struct watch_config *watch, const char *root, bool events,
                       struct watch_options *options)
{
    watch_options_of(watch, root, events, options);
#ifdef CHORUS_MUTANTS
    const char *drop = getenv("CHORUS_DROP_EVENTS_AFTER");
    options->drop_events_after = drop != NULL ? strtoull(drop, NULL, 10) : 0;
#endif
}

static void on_stirred(void *ctx)
{
    const struct folder *folder = ctx;
    service_moved(folder->service);
}

static const struct watch_callbacks callbacks = {
    .judge = on_judge,
    .finished = on_finished,
    .fingerprinted = on_fingerprinted,
    .gone = on_gone,
    .scanned = on_scanned,
    .first_scan_judged = on_first_scan_judged,
    .stirred = on_stirred,
    .state_changed = on_state_changed,
};

struct opening {
    struct folder *folder;
    bool was_recorded;
    struct ledger_watch row;
};

static void apply_opening(void *ctx, struct ledger *ledger)
{
    struct opening *opening = ctx;
    struct folder *folder = opening->folder;
    const struct watch_config *watch = settings(folder);
    if (watch != NULL)
        ledger_watch(ledger, watch->name, watch->path, folder->first_start_ms,
                     opening->was_recorded ? when_now_ms() : 0, &opening->row);
}

static void opening_dropped(void *ctx)
{
    struct opening *opening = ctx;
    struct folder *folder = opening->folder;
    free(opening);
    step_over(folder);
}

static void opening_done(void *ctx)
{
    struct opening *opening = ctx;
    struct folder *folder = opening->folder;
    folder->ledger_watch = opening->row.id;
    folder->first_scan = !opening->row.first_scan_done;
    folder->first_start_known = opening->was_recorded;
    folder->lost_ms = opening->row.lost_ms;
    folder->root_dev = (dev_t)opening->row.root_dev;
    folder->root_ino = (ino_t)opening->row.root_ino;
    if (!folder->closing && watch_start(folder->watch) != 0)
        log_event(LOG_ERROR, "watch-offline", "watch", folder->watch_name, "path", folder->root,
                  "reason", "it cannot be started", NULL);
    opening_dropped(opening);
}

static struct folder *folder_new(struct service *service, const struct watch_config *watch,
                                 const char *root, const struct watch_options *options)
{
    struct folder *folder = mem_zalloc(sizeof *folder);
    folder->service = service;
    folder->watch_name = mem_string(watch->name);
    folder->root = mem_string(root);
    folder->reason = mem_string("");
    if (watch_new(&service->loop, options, &callbacks, folder, &folder->watch) != 0) {
        log_event(LOG_ERROR, "watch-offline", "watch", watch->name, "path", root, "reason",
                  "out of memory, or too many open files", NULL);
        folder->closed = true;
        free_if_over(folder);
        return NULL;
    }
    folder->next = service->folders;
    service->folders = folder;
    service->open_parts++;
    return folder;
}

static void open_in_ledger(struct folder *folder, const struct watch_config *watch,
                           bool first_start)
{
    struct opening *opening = mem_zalloc(sizeof *opening);
    opening->folder = folder;
    folder->first_start_ms = when_now_ms();
    if (first_start) {
        int error =
            first_start_of(folder->service->config->state_dir, watch->name, watch->path,
                           folder->first_start_ms, &folder->first_start_ms, &opening->was_recorded);
        if (error != 0)
            log_event(LOG_WARNING, "first-start", "watch", watch->name, "reason", strerror(-error),
                      NULL);
    }
    folder->steps++;
    journal_add(folder->service->journal,
                &(struct journal_step){apply_opening, opening_done, opening_dropped, opening});
}

void folder_open_watch(struct service *service, const struct watch_config *watch)
{
    struct watch_options options;
    options_of(watch, watch->path, true, &options);
    struct folder *folder = folder_new(service, watch, watch->path, &options);
    if (folder == NULL)
        return;
    folder->root_length = strlen(watch->path);
    open_in_ledger(folder, watch, true);
}

/* A glob that matches this name only. */
static char *glob_of_name(const char *name)
{
    char *glob = mem_zalloc(2 * strlen(name) + 1), *to = glob;
    for (; *name != '\0'; name++) {
        if (strchr("*?[]\\", *name) != NULL)
            *to++ = '\\';
        *to++ = *name;
    }
    return glob;
}

void folder_open_look(struct service *service, const struct watch_config *watch, struct bulk *bulk,
                      const char *root, const char *only)
{
    struct watch_options options;
    size_t n = strlen(watch->path);
    bool below = strncmp(root, watch->path, n) == 0 && (root[n] == '/' || root[n] == '\0');
    char *glob = only != NULL ? glob_of_name(only) : NULL;
    const char *const include[] = {glob};
    options_of(watch, root, false, &options);
    options.rescan_ms = NEVER_MS;
    if (only != NULL) {
        options.include = include;
        options.include_count = 1;
        options.recursive = false;
    }
    struct folder *folder = folder_new(service, watch, root, &options);
    free(glob);
    if (folder == NULL) {
        bulk_look_over(bulk);
        return;
    }
    folder->bulk = bulk;
    folder->root_length = below ? n : strlen(root);
    open_in_ledger(folder, watch, false);
}

void folder_configure(struct folder *folder, const struct watch_config *watch)
{
    struct watch_options options;
    options_of(watch, watch->path, true, &options);
    watch_configure(folder->watch, &options);
    if (folder->online)
        trust_root(folder); /* whoever reads the configuration again has seen to it */
    watch_rescan(folder->watch);
}

static void on_closed(void *ctx)
{
    struct folder *folder = ctx;
    struct service *service = folder->service;
    struct folder **link = &service->folders;
    while (*link != folder)
        link = &(*link)->next;
    *link = folder->next;
    folder->closed = true;
    free_if_over(folder);
    service_part_closed(service);
}

void folder_close(struct folder *folder)
{
    if (folder->closing)
        return;
    folder->closing = true;
    watch_close(folder->watch, on_closed, folder);
}

struct folder *folder_of_ledger_watch(struct service *service, int64_t watch)
{
    struct folder *folder = service->folders;
    while (folder != NULL && (folder->ledger_watch != watch || folder->bulk != NULL))
        folder = folder->next;
    return folder;
}
