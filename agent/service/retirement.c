/*
 * after_upload: each path of an uploaded content is moved or deleted as its own watch says, one
 * file at a time, on the pool; one that hangs is left to itself, and those of other watches go on.
 * Durable first: that it begins (so that a crash begins again), then the file, then that it is
 * over.
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
#include "agent/service/file_work.h"
#include "agent/service/internal.h"
#include "watcher/retire.h"
#include "watcher/turns.h"

enum {
    MOST_PATHS = 64,
    IN_USE_AGAIN_MS = 60000,
    FAILED_AGAIN_MS = 300000,
    OFFLINE_AGAIN_MS = 15000,
    LONGEST_SLEEP_MS = 60000,
    /* A copy across file systems, of a long recording, takes its time. */
    PATIENCE_MS = 60000,
};

/* One file. */
struct retiring {
    struct retirements *retirements;
    struct retiring *next; /* among those that hang */
    uv_work_t work;
    struct turn turn; /* it takes a checksum */
    struct ledger_retirement file;
    struct retirement what;
    char *root, *move_to, *beside, *moved_to, *reason;
    enum retire_result result;
    int error;
};

struct retirements {
    struct service *service;
    uv_timer_t timer, patience;
    struct retiring *current; /* NULL: none */
    struct retiring *hanging;
    bool closing;
    bool asked; /* to look again, meanwhile: what is due may have come after its look */
    unsigned handles;
    int64_t next_ms; /* wall: when the next one is due, 0: none */
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
    if (retirements->closing || retirements->current != NULL || retirements->next_ms == 0)
        return;
    wait = wait < 0 ? 0 : wait > LONGEST_SLEEP_MS ? LONGEST_SLEEP_MS : wait;
    uv_timer_start(&retirements->timer, on_timer, (uint64_t)wait, 0);
}

/* It is over: the next one's turn, unless that is on its way since it hung. */
static void drop(void *ctx)
{
    struct retiring *retiring = ctx;
    struct retirements *retirements = retiring->retirements;
    struct retiring **link = &retirements->hanging;
    while (*link != NULL && *link != retiring)
        link = &(*link)->next;
    if (*link != NULL) {
        *link = retiring->next;
    } else {
        retirements->current = NULL;
        uv_timer_stop(&retirements->patience);
    }
    ledger_retirement_clear(&retiring->file);
    free(retiring->root);
    free(retiring->move_to);
    free(retiring->beside);
    free(retiring->moved_to);
    free(retiring->reason);
    free(retiring);
}

static void on_work(uv_work_t *work)
{
    struct retiring *retiring = work->data;
    retiring->result = retire_file(&retiring->what, &retiring->moved_to, &retiring->error);
}

static void on_patience(uv_timer_t *timer)
{
    struct retirements *retirements = timer->data;
    struct retiring *retiring = retirements->current;
    log_trouble(LOG_ERROR, "not-retired", "reason",
                "a file does not answer while it is moved or deleted; others go on without it",
                "path", retiring->file.path, NULL);
    retiring->next = retirements->hanging;
    retirements->hanging = retiring;
    retirements->current = NULL;
    retirements_look_soon(retirements->service);
}

static bool is_hanging(const struct retirements *retirements, int64_t watch)
{
    const struct retiring *retiring = retirements->hanging;
    while (retiring != NULL && retiring->file.watch != watch)
        retiring = retiring->next;
    return retiring != NULL;
}

/* A folder that is offline is not touched: what is not there may come back with its mount. */
static bool has_to_wait(const struct retirements *retirements, int64_t watch)
{
    const struct folder *folder = folder_of_ledger_watch(retirements->service, watch);
    return is_hanging(retirements, watch) || file_work_hangs(retirements->service, watch) ||
           (folder != NULL && folder->told && !folder->online);
}

/* What to do where a place cannot be written; new string. Under systemd a unit of our own may be
 * what keeps it read-only. */
static char *advice(const struct retiring *retiring)
{
    const char *to = retiring->move_to != NULL ? retiring->move_to : "";
    switch (retiring->error) {
    case EROFS:
        if (getenv("INVOCATION_ID") != NULL)
            return mem_printf("; the place is read-only for the service: `systemctl edit "
                              "chorus-agent`, add the lines [Service] and ReadWritePaths=%s%s%s, "
                              "and restart it (or mount it writable, or set after_upload: keep)",
                              retiring->root, to[0] != '\0' ? " " : "", to);
        return mem_string("; the place is read-only: mount it writable, or set after_upload: keep");
    case EACCES:
    case EPERM:
        return mem_string("; the service's user needs to write the folder it is taken from and "
                          "move_to, or set after_upload: keep");
    case ENOSPC:
        return mem_string("; make room there");
    default:
        return mem_string("");
    }
}

static char *words(const struct retiring *retiring)
{
    const char *verb = retiring->move_to != NULL ? "moved" : "deleted";
    char *to = retiring->moved_to != NULL ? bytes_escape(retiring->moved_to) : NULL;
    char *to_do = advice(retiring);
    char *text = NULL;
    switch (retiring->result) {
    case RETIRE_DONE:
        text = to != NULL ? mem_printf("moved to %s", to) : mem_string(verb);
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
        text = mem_printf("not %s: %s%s", verb, strerror(retiring->error), to_do);
        break;
    case RETIRE_BESIDE_FAILED:
        text = mem_printf("not moved: its sidecar cannot be moved along: %s%s",
                          strerror(retiring->error), to_do);
        break;
    }
    free(to);
    free(to_do);
    return text;
}

static void apply_end(void *ctx, struct ledger *ledger)
{
    const struct retiring *retiring = ctx;
    int64_t path = retiring->file.path_id, now_ms = when_now_ms();
    switch (retiring->result) {
    case RETIRE_DONE:
    case RETIRE_GONE:
        ledger_end_retirement(ledger, path, RETIREMENT_OVER, retiring->reason, now_ms);
        break;
    case RETIRE_NOT_SAME:
        ledger_end_retirement(ledger, path, RETIREMENT_REFUSED, retiring->reason, now_ms);
        break;
    case RETIRE_IN_USE:
        ledger_set_retirement(ledger, path, RETIREMENT_BEGUN, now_ms + IN_USE_AGAIN_MS);
        break;
    case RETIRE_FAILED:
    case RETIRE_BESIDE_FAILED:
        ledger_set_retirement(ledger, path, RETIREMENT_BEGUN, now_ms + FAILED_AGAIN_MS);
        break;
    }
}

static void end_done(void *ctx)
{
    struct retiring *retiring = ctx;
    struct service *service = retiring->retirements->service;
    if (retiring->result == RETIRE_FAILED || retiring->result == RETIRE_BESIDE_FAILED ||
        retiring->result == RETIRE_NOT_SAME) {
        log_trouble(LOG_ERROR, "not-retired", "reason", retiring->reason, "path",
                    retiring->file.path, NULL);
        service_note_error(service, retiring->file.path, retiring->reason);
    } else {
        log_event(LOG_INFO, "retired", "path", retiring->file.path, "reason", retiring->reason,
                  NULL);
    }
    drop(retiring);
    service_moved(service);
    retirements_look_soon(service);
}

static void after_work(uv_work_t *work, int status)
{
    struct retiring *retiring = work->data;
    (void)status;
    turns_give_back(retiring->retirements->service->turns, &retiring->turn);
    retiring->reason = words(retiring);
    journal_add(retiring->retirements->service->journal,
                &(struct journal_step){apply_end, end_done, drop, retiring});
}

static void on_turn(struct turn *turn)
{
    struct retiring *retiring = turn->ctx;
    struct retirements *retirements = retiring->retirements;
    retiring->what.turn = turn;
    retiring->work.data = retiring;
    uv_queue_work(&retirements->service->loop, &retiring->work, on_work, after_work);
    uv_timer_start(&retirements->patience, on_patience, PATIENCE_MS, 0);
}

static void begin_done(void *ctx)
{
    struct retiring *retiring = ctx;
    struct retirements *retirements = retiring->retirements;
    if (retiring->file.path == NULL) {
        drop(retiring);
        if (retirements->asked)
            retirements_look_soon(retirements->service);
        else
            sleep_until_due(retirements);
        return;
    }
    retiring->turn = (struct turn){.go = on_turn, .ctx = retiring};
    if (turns_ask(retirements->service->turns, &retiring->turn, TURN_BULK))
        on_turn(&retiring->turn);
}

static void put_off(struct retiring *retiring, struct ledger *ledger, enum retire_state state,
                    int64_t due_ms)
{
    ledger_set_retirement(ledger, retiring->file.path_id, state, due_ms);
    ledger_retirement_clear(&retiring->file);
    retiring->retirements->next_ms = when_now_ms(); /* there may be others */
}

/* Its sidecar goes along, if it lies below the same root. */
static void take_beside(struct retiring *retiring, struct ledger *ledger)
{
    const struct ledger_retirement *file = &retiring->file;
    size_t n = file->root_length;
    char *path = ledger_sidecar_to_move(ledger, file->path_id);
    bool below = path != NULL && strncmp(path, file->path, n) == 0 && path[n] == '/';
    mem_replace(&retiring->beside, below ? mem_string(path + n + 1) : NULL);
    free(path);
}

/* What is to be done with it is decided now: the configuration may have changed since it became
 * due. */
static void apply_begin(void *ctx, struct ledger *ledger)
{
    struct retiring *retiring = ctx;
    struct retirements *retirements = retiring->retirements;
    struct ledger_retirement *file = &retiring->file;
    ledger_retirement_clear(file);
    if (!ledger_next_retirement(ledger, when_now_ms(), file, &retirements->next_ms))
        return;
    const struct watch_config *watch = service_watch(retirements->service, ledger, file->watch);
    if (watch == NULL || watch->after_upload == AFTER_KEEP) {
        put_off(retiring, ledger, RETIREMENT_NONE, 0);
        return;
    }
    if (has_to_wait(retirements, file->watch)) {
        put_off(retiring, ledger, RETIREMENT_DUE, when_now_ms() + OFFLINE_AGAIN_MS);
        return;
    }
    mem_replace(&retiring->root, mem_bytes_string(file->path, file->root_length));
    mem_replace(&retiring->move_to,
                watch->after_upload == AFTER_MOVE ? mem_string(watch->move_to) : NULL);
    take_beside(retiring, ledger);
    retiring->what = (struct retirement){.root = retiring->root,
                                         .path = file->path + file->root_length + 1,
                                         .identity = file->identity,
                                         .move_to = retiring->move_to,
                                         .beside = retiring->beside};
    memcpy(retiring->what.sha256, file->sha256, sizeof file->sha256);
    ledger_set_retirement(ledger, file->path_id, RETIREMENT_BEGUN, when_now_ms());
}

static void on_timer(uv_timer_t *timer)
{
    struct retirements *retirements = timer->data;
    if (retirements->current != NULL || retirements->closing)
        return;
    struct retiring *retiring = mem_zalloc(sizeof *retiring);
    retiring->retirements = retirements;
    retirements->current = retiring;
    retirements->asked = false;
    journal_add(retirements->service->journal,
                &(struct journal_step){apply_begin, begin_done, drop, retiring});
}

/* --- its life --- */

void retirements_look_soon(struct service *service)
{
    struct retirements *retirements = service->retirements;
    retirements->asked = true;
    if (!retirements->closing && retirements->current == NULL)
        uv_timer_start(&retirements->timer, on_timer, 0, 0);
}

struct retirements *retirements_new(struct service *service)
{
    struct retirements *retirements = mem_zalloc(sizeof *retirements);
    retirements->service = service;
    uv_timer_init(&service->loop, &retirements->timer);
    uv_timer_init(&service->loop, &retirements->patience);
    retirements->timer.data = retirements->patience.data = retirements;
    retirements->handles = 2;
    uv_timer_start(&retirements->timer, on_timer, 0, 0);
    return retirements;
}

bool retirements_are_idle(const struct retirements *retirements)
{
    return retirements->current == NULL && retirements->hanging == NULL;
}

void retirements_stop(struct retirements *retirements)
{
    struct retiring *retiring = retirements->current;
    retirements->closing = true;
    uv_timer_stop(&retirements->timer);
    if (retiring != NULL && retiring->turn.state == TURN_WAITS) {
        turns_give_back(retirements->service->turns, &retiring->turn);
        drop(retiring); /* the ledger knows that it has begun */
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct retirements *retirements = handle->data;
    if (--retirements->handles == 0)
        free(retirements);
}

void retirements_close(struct retirements *retirements)
{
    uv_close((uv_handle_t *)&retirements->timer, on_closed);
    uv_close((uv_handle_t *)&retirements->patience, on_closed);
}
