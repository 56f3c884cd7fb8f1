/*
 * Intake: the watcher finds and fingerprints; here is decided, by the ledger and the watch's
 * settings, what each file becomes. Every change goes through the journal.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/service/file_work.h"
#include "agent/service/folder.h"
#include "watcher/absence.h"

enum { SWEEP = 256 };

/* One file on its way into the ledger. */
struct intake {
    struct folder *folder;
    char *path;     /* absolute */
    char *relative; /* below the folder's root */
    struct file_identity identity;
    uint8_t sha256[32];
    int64_t duration_ms; /* 0: not known */
    bool zeros;
    enum skip_kind skip;
    char *rule, *reason, *cut_name;
    bool known; /* dealt with before, by another look */
    enum recording_state outcome;
};

static char *absolute(const struct folder *folder, const char *relative)
{
    return mem_printf("%s/%s", strcmp(folder->root, "/") == 0 ? "" : folder->root, relative);
}

static void intake_free(void *ctx)
{
    struct intake *intake = ctx;
    struct folder *folder = intake->folder;
    free(intake->path);
    free(intake->relative);
    free(intake->rule);
    free(intake->reason);
    free(intake->cut_name);
    free(intake);
    folder_step_over(folder);
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
        .duration_ms = intake->duration_ms,
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

/* Whether a skip "before the first start" still holds under the folder_settings as they are now. */
static bool since_still_skips(const struct folder *folder, const struct file_identity *identity)
{
    const struct watch_config *watch = folder_settings(folder);
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
    folder_step_over(folder);
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

static bool judge_one(struct folder *folder, struct ledger *ledger, const struct watch_entry *entry)
{
    struct ledger_known known;
    char *path = absolute(folder, entry->path);
    if (entry->beside) {
        bool wanted = ledger_sidecar_is_wanted(ledger, path, &entry->identity);
        free(path);
        return !wanted;
    }
    ledger_know(ledger, path, &entry->identity, &known);
    free(path);
    if (known.same && !folder->trust_recorded)
        folder_trust_root(folder);
    if (known.recording != 0 && is_to_be_sent(known.state))
        see(folder, known.path);
    if (known.same && known.skip == SKIP_BEFORE_START)
        return since_still_skips(folder, &entry->identity);
    if (known.same && folder->bulk != NULL)
        want_for_bulk(folder, &known);
    return known.same;
}

void intake_judge(void *ctx, struct watch_entry *entries, size_t count)
{
    struct folder *folder = ctx;
    struct ledger *ledger = journal_ledger(folder->service->journal);
    if (ledger != NULL)
        ledger_begin_reads(ledger);
    for (size_t i = 0; i < count; i++) {
        /* without a ledger nothing is taken in; all folders are looked at again when it is back */
        entries[i].known = ledger == NULL || judge_one(folder, ledger, &entries[i]);
    }
    if (ledger != NULL)
        ledger_end_reads(ledger);
}

/* --- a finished file --- */

static bool stood_before_start(struct folder *folder, struct ledger *ledger,
                               const struct watch_finding *finding)
{
    const struct watch_config *watch = folder_settings(folder);
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
                    NULL, intake->duration_ms,
                    folder->bulk != NULL ? bulk_owner(folder->bulk) : NULL, NULL, &resolution);
    if (resolution.outcome == RESOLVED_SKIP) {
        intake->rule = mem_string(resolution.rule);
        skip(intake, SKIP_RULE, mem_string(resolution.reason));
    }
    resolution_clear(&resolution);
}

static void decide(struct intake *intake, const struct watch_finding *finding)
{
    struct folder *folder = intake->folder;
    const struct watch_config *watch = folder_settings(folder);
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
    } else if (finding->duration_ms >= 0 && finding->duration_ms < watch->min_duration_ms) {
        skip(intake, SKIP_SMALL,
             mem_printf("%" PRId64 " ms long: shorter than min_duration (%" PRId64 " ms)",
                        finding->duration_ms, watch->min_duration_ms));
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
    if (intake->skip == SKIP_BEFORE_START) {
        folder->left_alone++;
    } else {
        folder->appeared++;
        log_event(LOG_INFO, "skipped", "path", intake->path, "reason", intake->reason, NULL);
    }
    finish(intake);
}

/* A sidecar has settled. */
static void look_beside(struct folder *folder, const char *relative)
{
    const struct watch_config *watch = folder_settings(folder);
    char *path = absolute(folder, relative);
    if (watch != NULL)
        sidecars_look(folder->service->sidecars, watch, path);
    free(path);
}

void intake_finished(void *ctx, const struct watch_finding *finding)
{
    struct folder *folder = ctx;
    if (folder_settings(folder) == NULL || finding->beside) {
        if (finding->beside)
            look_beside(folder, finding->path);
        watch_release(folder->watch, finding->path);
        return;
    }
    struct intake *intake = intake_new(folder, finding->path, &finding->identity);
    intake->duration_ms = finding->duration_ms > 0 ? finding->duration_ms : 0;
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

/* Why its content is doubtful, new; NULL: it is not. What a power cut or a slip leaves of a
 * recording is not sent as if it were one. */
static char *content_doubt(const struct intake *intake, const struct ledger_admission *admission)
{
    if (intake->zeros)
        return mem_string(
            "it holds nothing but zero bytes, as a crash leaves a file whose data was never "
            "written; `retry` sends it all the same");
    if (admission->shrank_from > 0)
        return mem_printf("it shrank: %" PRIu64 " to %" PRIu64 " bytes; `retry` sends it as it is",
                          admission->shrank_from, intake->identity.size);
    return NULL;
}

static void doubt(struct ledger *ledger, const struct intake *intake,
                  const struct ledger_admission *admission)
{
    char *content = content_doubt(intake, admission);
    ledger_doubt(ledger, admission->recording, content,
                 intake->identity.mtime_ns / 1000000 <= intake->folder->lost_ms);
    free(content);
}

static void resolve_it(struct intake *intake, struct ledger *ledger,
                       const struct watch_config *watch, const struct ledger_admission *admission)
{
    struct folder *folder = intake->folder;
    const char *owner = folder->bulk != NULL ? bulk_owner(folder->bulk) : NULL;
    struct resolution resolution;
    const struct recording_at at = {admission->recording, intake->path,   folder->root_length,
                                    &intake->identity,    intake->sha256, intake->duration_ms};
    doubt(ledger, intake, admission);
    service_resolve_recording(folder->service, ledger, watch, &at, admission->path, owner,
                              &resolution);
    mem_replace(&intake->cut_name, resolution.name_cut ? mem_string(resolution.name) : NULL);
    resolution_clear(&resolution);
}

static void apply_admit(void *ctx, struct ledger *ledger)
{
    struct intake *intake = ctx;
    struct folder *folder = intake->folder;
    const struct watch_config *watch = folder_settings(folder);
    struct ledger_file file = file_of(intake);
    struct ledger_admission admission;
    if (watch == NULL)
        return; /* a reload took the watch away: the file is met again if it comes back */
    ledger_admit(ledger, &file, intake->sha256, when_now_ms(), &admission);
    intake->known = admission.kind == ADMIT_KNOWN;
    if (admission.kind == ADMIT_RESOLVE)
        resolve_it(intake, ledger, watch, &admission);
    else
        retirement_decide(folder->service, ledger, admission.recording);
    mem_replace(&intake->reason, NULL);
    if (!intake->known)
        ledger_told_last(ledger, admission.path, &intake->outcome, &intake->reason);
}

static void tell_outcome(const struct intake *intake)
{
    switch (intake->outcome) {
    case STATE_HELD:
        log_trouble(LOG_WARNING, "held", "reason", intake->reason, "path", intake->path, NULL);
        service_note_error(intake->folder->service, intake->path, intake->reason);
        break;
    case STATE_DUPLICATE:
    case STATE_SKIPPED:
    case STATE_DELETED:
        log_event(LOG_INFO, state_name(intake->outcome), "path", intake->path, "reason",
                  intake->reason, NULL);
        break;
    default:
        log_event(LOG_DEBUG, "taken", "path", intake->path, NULL);
    }
}

static void admit_done(void *ctx)
{
    struct intake *intake = ctx;
    struct folder *folder = intake->folder;
    folder->appeared++;
    folder->accepted++;
    if (intake->cut_name != NULL)
        log_event(LOG_WARNING, "name-cut", "path", intake->path, "name", intake->cut_name, "reason",
                  "the name was longer than the 250 characters that are sent", NULL);
    if (!intake->known)
        tell_outcome(intake);
    finish(intake);
}

void intake_fingerprinted(void *ctx, const struct watch_fingerprint *fingerprint)
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
        intake->duration_ms = fingerprint->duration_ms > 0 ? fingerprint->duration_ms : 0;
        journal_add(folder->service->journal,
                    &(struct journal_step){apply_admit, admit_done, intake_free, intake});
    } else {
        folder_close_if_done(folder);
    }
}

/* --- absence --- */

/* Some paths of a folder that may have left: looked for on the pool, then told to the ledger. */
struct absence {
    struct file_work work; /* first: it comes back as this */
    struct folder *folder;
    char **paths;  /* absolute */
    bool *absent;  /* it is not there */
    bool *is_gone; /* a recording is gone by it */
    size_t count;
    struct root_identity found;
    int error;
    bool sweeping; /* after a complete scan: what it did not meet, and is not there, has left */
    bool more;     /* there are more of those, from `next` on */
    int64_t after, next;
};

static void clear_paths(struct absence *absence)
{
    while (absence->count > 0)
        free(absence->paths[--absence->count]);
}

static void absence_over(void *ctx)
{
    struct absence *absence = ctx;
    struct folder *folder = absence->folder;
    clear_paths(absence);
    free(absence->paths);
    free(absence->absent);
    free(absence->is_gone);
    free(absence);
    folder_step_over(folder);
}

static void apply_sweep(void *ctx, struct ledger *ledger);
static void look_for_them(void *ctx);

static void absent_done(void *ctx)
{
    struct absence *absence = ctx;
    struct folder *folder = absence->folder;
    if (absence->more && !folder->closing) {
        absence->after = absence->next;
        journal_add(folder->service->journal,
                    &(struct journal_step){apply_sweep, look_for_them, absence_over, absence});
        return;
    }
    if (absence->sweeping && folder->seen != NULL)
        memset(folder->seen, 0, folder->seen_room);
    absence_over(absence);
}

static void apply_absent(void *ctx, struct ledger *ledger)
{
    const struct absence *absence = ctx;
    for (size_t i = 0; i < absence->count; i++) {
        absence->is_gone[i] =
            absence->absent[i] && ledger_absent(ledger, absence->paths[i], when_now_ms());
    }
}

void intake_tell_gone(const char *path)
{
    log_event(LOG_INFO, "gone", "path", path, "reason",
              "it left its path before it was known to be uploaded; nothing is deleted at Chorus",
              NULL);
}

static void absence_told(void *ctx)
{
    struct absence *absence = ctx;
    for (size_t i = 0; i < absence->count; i++) {
        if (absence->is_gone[i])
            intake_tell_gone(absence->paths[i]);
    }
    absent_done(absence);
}

/* Only in the right folder does absence mean anything. */
static void absence_looked(struct file_work *work)
{
    struct absence *absence = (struct absence *)work;
    struct folder *folder = absence->folder;
    if (absence->error != 0 || folder->closing || !folder_is(folder, &absence->found)) {
        absence_over(absence);
        return;
    }
    journal_add(folder->service->journal,
                &(struct journal_step){apply_absent, absence_told, absence_over, absence});
}

/* A bulk run may have taken it from elsewhere: "" for those. */
static const char *below(const char *root, const char *path)
{
    size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);
    return strncmp(path, root, n) == 0 && path[n] == '/' ? path + n + 1 : "";
}

static void absence_run(struct file_work *work)
{
    struct absence *absence = (struct absence *)work;
    const char *root = absence->folder->root, *relative[SWEEP];
    struct root_identity elsewhere;
    for (size_t i = 0; i < absence->count; i++)
        relative[i] = below(root, absence->paths[i]);
    absence->error = absence_look(root, relative, absence->count, &absence->found, absence->absent);
    for (size_t i = 0; absence->error == 0 && i < absence->count; i++) {
        const char *path = absence->paths[i] + 1;
        if (relative[i][0] == '\0')
            absence->error = absence_look("/", &path, 1, &elsewhere, &absence->absent[i]);
    }
}

static void absence_given_up(struct file_work *work)
{
    if (file_work_cancel(work))
        absence_over(work);
}

static void look_for_them(void *ctx)
{
    struct absence *absence = ctx;
    struct folder *folder = absence->folder;
    if (absence->count == 0 || folder->closing || !folder->online || !folder->trusted) {
        absent_done(absence);
        return;
    }
    absence->work =
        (struct file_work){.run = absence_run, .done = absence_looked, .give_up = absence_given_up};
    file_work_add(folder->service, folder->ledger_watch, &absence->work);
}

static struct absence *absence_new(struct folder *folder, size_t most)
{
    struct absence *absence = mem_zalloc(sizeof *absence);
    absence->paths = mem_array(most, sizeof(char *));
    absence->absent = mem_array(most, sizeof(bool));
    absence->is_gone = mem_array(most, sizeof(bool));
    absence->folder = folder;
    folder->steps++;
    return absence;
}

void intake_gone(void *ctx, const char *path)
{
    struct folder *folder = ctx;
    struct absence *absence = absence_new(folder, 1);
    absence->paths[absence->count++] = absolute(folder, path);
    service_moved(folder->service);
    look_for_them(absence);
}

static void apply_sweep(void *ctx, struct ledger *ledger)
{
    struct absence *absence = ctx;
    struct ledger_pending_path paths[SWEEP];
    clear_paths(absence);
    size_t count =
        ledger_pending_paths(ledger, absence->folder->ledger_watch, absence->after, paths, SWEEP);
    absence->more = count == SWEEP;
    for (size_t i = 0; i < count; i++) {
        absence->next = paths[i].recording;
        if (was_seen(absence->folder, paths[i].id))
            free(paths[i].path);
        else
            absence->paths[absence->count++] = paths[i].path;
    }
}

void intake_scanned(void *ctx, const struct watch_scan *scan)
{
    struct folder *folder = ctx;
    folder->scanned = true;
    folder->candidates = scan->files;
    folder->passed_over = scan->passed_over;
    service_moved(folder->service);
    if (folder->bulk == NULL && scan->complete) {
        struct absence *absence = absence_new(folder, SWEEP);
        absence->sweeping = true;
        journal_add(folder->service->journal,
                    &(struct journal_step){apply_sweep, look_for_them, absence_over, absence});
    }
    folder_close_if_done(folder);
}
