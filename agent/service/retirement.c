/*
 * after_upload: each path of an uploaded content is moved or deleted as its own watch says, one
 * file at a time, on the pool. Durable first: that it begins (so that a crash begins again), then
 * the file, then that it is over.
 *
 * Never a file whose copy in Chorus is known only from a 409, and never deleted before Chorus has
 * shown the recording as processed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/service/internal.h"
#include "watcher/retire.h"

enum {
    MOST_PATHS = 64,
    IN_USE_AGAIN_MS = 60000,
    FAILED_AGAIN_MS = 300000,
    LONGEST_SLEEP_MS = 60000
};

struct retirements {
    struct service *service;
    uv_timer_t timer;
    uv_work_t work;
    bool busy, closing;
    int64_t next_ms; /* wall: when the next one is due, 0: none */
    struct ledger_retirement file;
    struct retirement what;
    char *root, *move_to, *beside, *moved_to, *reason;
    enum retire_result result;
    int error;
};

/* --- deciding --- */

void retirement_decide(struct service *service, struct ledger *ledger, int64_t recording)
{
    struct ledger_path_ref paths[MOST_PATHS];
    bool processed = false;
    if (!ledger_may_retire(ledger, recording, &processed))
        return;
    size_t count = ledger_paths_to_retire(ledger, recording, paths, MOST_PATHS);
    for (size_t i = 0; i < count; i++) {
        const struct watch_config *watch = service_watch(service, ledger, paths[i].watch);
        if (watch == NULL || watch->after_upload == AFTER_KEEP)
            continue;
        bool wait = watch->after_upload == AFTER_DELETE && !processed;
        ledger_set_retirement(ledger, paths[i].id, wait ? RETIREMENT_UNPROVEN : RETIREMENT_DUE,
                              when_now_ms() + watch->keep_for_ms);
    }
    if (count > 0)
        retirements_look_soon(service);
}

/* --- one file --- */

static void on_timer(uv_timer_t *timer);

static void sleep_until_due(struct retirements *retirements)
{
    int64_t wait = retirements->next_ms - when_now_ms();
    if (retirements->closing || retirements->busy || retirements->next_ms == 0)
        return;
    wait = wait < 0 ? 0 : wait > LONGEST_SLEEP_MS ? LONGEST_SLEEP_MS : wait;
    uv_timer_start(&retirements->timer, on_timer, (uint64_t)wait, 0);
}

static void clear_file(struct retirements *retirements)
{
    ledger_retirement_clear(&retirements->file);
    mem_replace(&retirements->root, NULL);
    mem_replace(&retirements->move_to, NULL);
    mem_replace(&retirements->beside, NULL);
    mem_replace(&retirements->moved_to, NULL);
    mem_replace(&retirements->reason, NULL);
    retirements->busy = false;
}

static void on_work(uv_work_t *work)
{
    struct retirements *retirements = work->data;
    retirements->result =
        retire_file(&retirements->what, &retirements->moved_to, &retirements->error);
}

/* What to do where a place cannot be written. */
static const char *advice(int error)
{
    switch (error) {
    case EROFS:
        return "; the place is read-only: where the service's unit makes it so, `systemctl edit "
               "chorus-agent`, [Service], ReadWritePaths= and the folder (chorus-agent check names "
               "it); else mount it writable, or set after_upload: keep";
    case EACCES:
    case EPERM:
        return "; the service's user needs to write the folder it is taken from and move_to, or "
               "set "
               "after_upload: keep";
    case ENOSPC:
        return "; make room there";
    default:
        return "";
    }
}

static void apply_end(void *ctx, struct ledger *ledger)
{
    struct retirements *retirements = ctx;
    int64_t path = retirements->file.path_id, now_ms = when_now_ms();
    switch (retirements->result) {
    case RETIRE_DONE:
    case RETIRE_GONE:
        ledger_end_retirement(ledger, path, RETIREMENT_OVER, retirements->reason, now_ms);
        break;
    case RETIRE_NOT_SAME:
        ledger_end_retirement(ledger, path, RETIREMENT_REFUSED, retirements->reason, now_ms);
        break;
    case RETIRE_IN_USE:
        ledger_set_retirement(ledger, path, RETIREMENT_BEGUN, now_ms + IN_USE_AGAIN_MS);
        break;
    case RETIRE_FAILED:
        ledger_set_retirement(ledger, path, RETIREMENT_BEGUN, now_ms + FAILED_AGAIN_MS);
        break;
    }
}

static void end_done(void *ctx)
{
    struct retirements *retirements = ctx;
    bool failed = retirements->result == RETIRE_FAILED;
    if (failed || retirements->result == RETIRE_NOT_SAME) {
        log_trouble(LOG_ERROR, "not-retired", "reason", retirements->reason, "path",
                    retirements->file.path, NULL);
        service_note_error(retirements->service, retirements->file.path, retirements->reason);
    } else {
        log_event(LOG_INFO, "retired", "path", retirements->file.path, "reason",
                  retirements->reason, NULL);
    }
    if (!failed && retirements->beside != NULL && retirements->error != 0)
        log_trouble(LOG_WARNING, "not-retired", "reason", strerror(retirements->error), "path",
                    retirements->beside, NULL);
    clear_file(retirements);
    service_moved(retirements->service);
    retirements_look_soon(retirements->service);
}

static void end_dropped(void *ctx)
{
    clear_file(ctx);
}

static char *words(const struct retirements *retirements)
{
    char *to = retirements->moved_to != NULL ? bytes_escape(retirements->moved_to) : NULL;
    char *text = NULL;
    switch (retirements->result) {
    case RETIRE_DONE:
        text = to != NULL ? mem_printf("moved to %s", to)
                          : mem_string(retirements->move_to != NULL ? "moved" : "deleted");
        break;
    case RETIRE_GONE:
        text = mem_string("not retired: it was gone already");
        break;
    case RETIRE_NOT_SAME:
        text =
            mem_string("not retired: it is no longer the file that was uploaded; it is left alone");
        break;
    case RETIRE_IN_USE:
        text = mem_string("not retired yet: somebody has it open for writing");
        break;
    case RETIRE_FAILED:
        text = mem_printf("not %s: %s%s", retirements->move_to != NULL ? "moved" : "deleted",
                          strerror(retirements->error), advice(retirements->error));
        break;
    }
    free(to);
    return text;
}

static void after_work(uv_work_t *work, int status)
{
    struct retirements *retirements = work->data;
    (void)status;
    retirements->reason = words(retirements);
    journal_add(retirements->service->journal,
                &(struct journal_step){apply_end, end_done, end_dropped, retirements});
}

static void begin_done(void *ctx)
{
    struct retirements *retirements = ctx;
    if (retirements->file.path == NULL) {
        clear_file(retirements);
        sleep_until_due(retirements);
        return;
    }
    retirements->work.data = retirements;
    uv_queue_work(&retirements->service->loop, &retirements->work, on_work, after_work);
}

/* Its sidecar goes along, if it lies below the same root. */
static void take_beside(struct retirements *retirements, struct ledger *ledger)
{
    const struct ledger_retirement *file = &retirements->file;
    size_t n = file->root_length;
    char *path = ledger_sidecar_to_move(ledger, file->path_id);
    bool below = path != NULL && strncmp(path, file->path, n) == 0 && path[n] == '/';
    mem_replace(&retirements->beside, below ? mem_string(path + n + 1) : NULL);
    free(path);
}

/* What is to be done with it is decided now: the configuration may have changed since it became
 * due. */
static void apply_begin(void *ctx, struct ledger *ledger)
{
    struct retirements *retirements = ctx;
    struct ledger_retirement *file = &retirements->file;
    ledger_retirement_clear(file);
    if (!ledger_next_retirement(ledger, when_now_ms(), file, &retirements->next_ms))
        return;
    const struct watch_config *watch = service_watch(retirements->service, ledger, file->watch);
    if (watch == NULL || watch->after_upload == AFTER_KEEP) {
        ledger_set_retirement(ledger, file->path_id, RETIREMENT_NONE, 0);
        ledger_retirement_clear(file);
        retirements->next_ms = when_now_ms();
        return;
    }
    folder_refresh_device(file->path, &file->identity);
    mem_replace(&retirements->root, mem_bytes_string(file->path, file->root_length));
    mem_replace(&retirements->move_to,
                watch->after_upload == AFTER_MOVE ? mem_string(watch->move_to) : NULL);
    take_beside(retirements, ledger);
    retirements->what = (struct retirement){.root = retirements->root,
                                            .path = file->path + file->root_length + 1,
                                            .identity = file->identity,
                                            .move_to = retirements->move_to,
                                            .beside = retirements->beside};
    memcpy(retirements->what.sha256, file->sha256, sizeof file->sha256);
    ledger_set_retirement(ledger, file->path_id, RETIREMENT_BEGUN, when_now_ms());
}

static void on_timer(uv_timer_t *timer)
{
    struct retirements *retirements = timer->data;
    if (retirements->busy || retirements->closing)
        return;
    retirements->busy = true;
    journal_add(retirements->service->journal,
                &(struct journal_step){apply_begin, begin_done, end_dropped, retirements});
}

/* --- its life --- */

void retirements_look_soon(struct service *service)
{
    struct retirements *retirements = service->retirements;
    if (!retirements->closing && !retirements->busy)
        uv_timer_start(&retirements->timer, on_timer, 0, 0);
}

struct retirements *retirements_new(struct service *service)
{
    struct retirements *retirements = mem_zalloc(sizeof *retirements);
    retirements->service = service;
    uv_timer_init(&service->loop, &retirements->timer);
    retirements->timer.data = retirements;
    uv_timer_start(&retirements->timer, on_timer, 0, 0);
    return retirements;
}

bool retirements_are_idle(const struct retirements *retirements)
{
    return !retirements->busy;
}

void retirements_stop(struct retirements *retirements)
{
    retirements->closing = true;
    uv_timer_stop(&retirements->timer);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void retirements_close(struct retirements *retirements)
{
    uv_close((uv_handle_t *)&retirements->timer, on_closed);
}
