/*
 * One folder that is looked at: its life, its state, and whether it still is the folder it was.
 * What its files become is decided in intake.c.
 *
 * What may have vanished on return: after folder_close the folder frees itself once its watcher and
 * its last journal step are done.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/service/first_start.h"
#include "agent/service/folder.h"
#include "agent/service/watch_options.h"

/* A single look is looked at once: a year is longer than any bulk run. */
#define NEVER_MS (INT64_C(365) * 86400000)

const struct watch_config *folder_settings(const struct folder *folder)
{
    return config_watch(folder->service->config, folder->watch_name);
}

void folder_free_if_over(struct folder *folder)
{
    if (!folder->closed || folder->steps > 0)
        return;
    struct bulk *bulk = folder->bulk;
    free(folder->watch_name);
    free(folder->root);
    free(folder->reason);
    free(folder->said);
    free(folder->seen);
    free(folder);
    if (bulk != NULL)
        bulk_look_over(bulk);
}

/* A look of a bulk run is over once all that it found is dealt with. */
void folder_close_if_done(struct folder *folder)
{
    struct watch_counts counts;
    if (folder->bulk == NULL || folder->closing || !folder->scanned)
        return;
    watch_get_counts(folder->watch, &counts);
    if (counts.settling == 0 && counts.hashing == 0 && folder->steps == 0)
        folder_close(folder);
}

void folder_step_over(struct folder *folder)
{
    folder->steps--;
    folder_close_if_done(folder);
    folder_free_if_over(folder);
}

/* --- whether the root is the right one --- */

static void apply_trust(void *ctx, struct ledger *ledger)
{
    const struct folder *folder = ctx;
    ledger_trust_root(ledger, folder->ledger_watch, folder->root_was.dev, folder->root_was.ino);
}

static void trust_done(void *ctx)
{
    folder_step_over(ctx);
}

static void apply_back(void *ctx, struct ledger *ledger)
{
    const struct folder *folder = ctx;
    ledger_folder_is_back(ledger, folder->ledger_watch, when_now_ms());
}

static void back_done(void *ctx)
{
    folder_step_over(ctx);
}

/* What waits for it need not wait any longer. */
static void folder_is_back(struct folder *folder)
{
    if (folder->bulk != NULL)
        return;
    folder->steps++;
    journal_add(folder->service->journal,
                &(struct journal_step){apply_back, back_done, back_done, folder});
}

void folder_trust_root(struct folder *folder)
{
    if (!folder->trusted)
        folder_is_back(folder);
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
static void meet_root(struct folder *folder, const struct root_identity *root)
{
    bool same = root->dev == folder->root_was.dev && root->ino == folder->root_was.ino;
    bool first = folder->root_was.ino == 0;
    folder->root_was = *root;
    folder->trusted = same || first;
    folder->trust_recorded = same;
    if (first)
        folder_trust_root(folder);
    else if (!same)
        log_event(LOG_WARNING, "watch", "watch", folder->watch_name, "path", folder->root, "reason",
                  "another folder or file system stands there than before: until a known file is "
                  "met in it, nothing "
                  "that is missing counts as gone",
                  NULL);
}

bool folder_is(const struct folder *folder, const struct root_identity *found)
{
    return folder->online && folder->trusted && found->dev == folder->root_was.dev &&
           found->ino == folder->root_was.ino;
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
    folder_step_over(folder);
}

static void first_scan_dropped(void *ctx)
{
    folder_step_over(ctx);
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

static void log_state(const struct folder *folder, bool was_online)
{
    if (!folder->online)
        log_event(LOG_ERROR, "watch-offline", "watch", folder->watch_name, "path", folder->root,
                  "reason", folder->reason, NULL);
    else if (!was_online)
        log_event(LOG_INFO, "watch-online", "watch", folder->watch_name, "path", folder->root,
                  "mode", folder->events ? "events" : "polling", "reason",
                  folder->reason[0] != '\0' ? folder->reason : NULL, NULL);
    else if (folder->reason[0] != '\0')
        log_trouble(LOG_WARNING, "watch", "reason", folder->reason, "watch", folder->watch_name,
                    NULL);
}

/* By whatever way a symlink leads there: what the program writes itself would be taken in. */
static bool holds_our_own(const struct folder *folder, const struct root_identity *root)
{
    const struct service *service = folder->service;
    size_t i = 0;
    while (i < service->not_watched_count &&
           (service->not_watched[i].dev != root->dev || service->not_watched[i].ino != root->ino))
        i++;
    return i < service->not_watched_count;
}

/* At the start the configuration is refused; later on nothing else is stopped for it. */
static void refuse(struct folder *folder)
{
    log_event(LOG_ERROR, "watch-refused", "watch", folder->watch_name, "path", folder->root,
              "reason", "state_dir or control_dir lies inside it", "to-do",
              "set them to folders outside every watch", NULL);
    if (folder->service->reloaded)
        folder_close(folder);
    else
        service_end(folder->service, EX_CONFIG);
}

static void give_reason(struct folder *folder)
{
    bool files_only = folder->hangs && folder->found;
    mem_replace(&folder->reason, files_only
                                     ? mem_printf("%s: a file in it does not answer", folder->root)
                                     : mem_string(folder->said));
}

static void on_state_changed(void *ctx, const struct watch_state *state)
{
    struct folder *folder = ctx;
    bool was_online = folder->online, was_found = folder->found;
    if (state->online && folder->bulk == NULL && holds_our_own(folder, &state->root)) {
        refuse(folder);
        return;
    }
    folder->told = true;
    folder->found = state->online;
    folder->online = folder->found && !folder->hangs;
    folder->events = state->events;
    mem_replace(&folder->said, mem_string(state->reason));
    give_reason(folder);
    service_moved(folder->service);
    if (folder->found && !was_found)
        meet_root(folder, &state->root);
    if (folder->online && !was_online)
        folder_is_back(folder);
    if (folder->bulk == NULL) {
        log_state(folder, was_online);
    } else if (!folder->found) {
        log_event(LOG_ERROR, "unreadable", "path", folder->root, "reason", state->reason, NULL);
        folder_close(folder);
    }
}

void folder_hangs(struct folder *folder, bool hangs)
{
    bool was_online = folder->online;
    folder->hangs = hangs;
    folder->online = folder->found && !hangs;
    service_moved(folder->service);
    give_reason(folder);
    if (folder->closing || folder->online == was_online)
        return;
    log_state(folder, was_online);
    if (folder->online)
        folder_is_back(folder);
}

/* --- opening and closing --- */

static void options_of(const struct watch_config *watch, const char *root, bool events,
                       struct watch_options *options)
{
    watch_options_of(watch, root, events, options);
#ifdef CHORUS_MUTANTS
    const char *drop = getenv("CHORUS_DROP_EVENTS_AFTER");
    const char *patience_ms = getenv("CHORUS_PATIENCE_MS");
    options->drop_events_after = drop != NULL ? strtoull(drop, NULL, 10) : 0;
    options->patience_ms = patience_ms != NULL ? strtoll(patience_ms, NULL, 10) : 0;
#endif
}

static void on_stirred(void *ctx)
{
    const struct folder *folder = ctx;
    service_moved(folder->service);
}

static const struct watch_callbacks callbacks = {
    .judge = intake_judge,
    .finished = intake_finished,
    .fingerprinted = intake_fingerprinted,
    .gone = intake_gone,
    .scanned = intake_scanned,
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
    const struct watch_config *watch = folder_settings(folder);
    if (watch != NULL)
        ledger_watch(ledger, watch->name, watch->path, folder->first_start_ms,
                     opening->was_recorded ? when_now_ms() : 0, &opening->row);
}

static void opening_dropped(void *ctx)
{
    struct opening *opening = ctx;
    struct folder *folder = opening->folder;
    free(opening);
    folder_step_over(folder);
}

static void opening_done(void *ctx)
{
    struct opening *opening = ctx;
    struct folder *folder = opening->folder;
    folder->ledger_watch = opening->row.id;
    folder->first_scan = !opening->row.first_scan_done;
    folder->first_start_known = opening->was_recorded;
    folder->lost_ms = opening->row.lost_ms;
    folder->root_was = (struct root_identity){opening->row.root_dev, opening->row.root_ino};
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
    folder->reason = mem_string("it has not been looked at yet");
    folder->said = mem_string("");
    struct watch_options taking_turns = *options;
    taking_turns.turns = service->turns;
    if (watch_new(&service->loop, &taking_turns, &callbacks, folder, &folder->watch) != 0)
        mem_exhausted(); /* a service that goes on without one of its watches would go quiet */
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
        folder_trust_root(folder); /* whoever reads the configuration again has seen to it */
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
    folder_free_if_over(folder);
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
