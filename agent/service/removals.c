/*
 * Local copies of what was deleted on request, where the request asked for it (`@local delete`):
 * removed one at a time, on the pool, once the deletion was accepted; each only if it still is the
 * very file, by identity and checksum, and never through a link (watcher/retire.h).
 *
 * A copy that remains is told in the result and never tried again by itself.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/ledger/deletions.h"
#include "agent/service/file_work.h"
#include "agent/service/internal.h"
#include "watcher/retire.h"
#include "watcher/turns.h"

enum { IN_USE_TRIES = 5, IN_USE_AGAIN_MS = 2000 };

struct removals {
    struct service *service;
    uv_timer_t timer;
    struct file_work work;
    struct turn turn;       /* it takes a checksum */
    int64_t watch;          /* of the copy */
    struct retirement what; /* points into the copy and its root */
    char *root;
    enum retire_result result;
    int error;
    struct ledger_retirement copy; /* path NULL: none */
    int64_t tried;                 /* row id of the copy that was in use */
    int tries;
    char *reason;
    bool busy, running, remains, closing;
};

static void on_timer(uv_timer_t *timer);

static void clear(void *ctx)
{
    struct removals *removals = ctx;
    ledger_retirement_clear(&removals->copy);
    mem_replace(&removals->root, NULL);
    mem_replace(&removals->reason, NULL);
    removals->busy = false;
}

static void apply_end(void *ctx, struct ledger *ledger)
{
    struct removals *removals = ctx;
    ledger_local_copy_done(ledger, removals->copy.path_id, removals->remains, removals->reason,
                           when_now_ms());
}

static void end_done(void *ctx)
{
    struct removals *removals = ctx;
    struct service *service = removals->service;
    if (removals->remains)
        log_event(LOG_ERROR, "local-remains", "path", removals->copy.path, "reason",
                  removals->reason, NULL);
    else
        log_event(LOG_INFO, "local-removed", "path", removals->copy.path, "reason",
                  removals->reason, NULL);
    clear(removals);
    service_moved(service);
    removals_look_soon(service);
    deletions_look_soon(service);
}

static bool is_to_be_tried_again(struct removals *removals)
{
    if (removals->result != RETIRE_IN_USE)
        return false;
    removals->tries = removals->tried == removals->copy.path_id ? removals->tries + 1 : 1;
    removals->tried = removals->copy.path_id;
    return removals->tries < IN_USE_TRIES;
}

static char *words(const struct removals *removals)
{
    switch (removals->result) {
    case RETIRE_DONE:
        return mem_string("the local copy was removed");
    case RETIRE_GONE:
        return mem_string("the local copy was gone already");
    case RETIRE_NOT_SAME:
        return mem_string("the local copy remains: it is no longer the file that was uploaded");
    case RETIRE_IN_USE:
        return mem_string("the local copy remains: somebody has it open for writing");
    case RETIRE_FAILED:
    case RETIRE_BESIDE_FAILED: /* none is asked for */
        break;
    }
    return mem_printf("the local copy remains: it cannot be removed: %s",
                      strerror(removals->error));
}

static struct removals *removals_of(struct file_work *work)
{
    return (struct removals *)((char *)work - offsetof(struct removals, work));
}

static void run(struct file_work *work)
{
    struct removals *removals = removals_of(work);
    removals->result = retire_file(&removals->what, NULL, &removals->error);
}

static void on_removed(struct file_work *work)
{
    struct removals *removals = removals_of(work);
    removals->running = false;
    turns_give_back(removals->service->turns, &removals->turn);
    if (is_to_be_tried_again(removals)) {
        clear(removals);
        if (!removals->closing)
            uv_timer_start(&removals->timer, on_timer, IN_USE_AGAIN_MS, 0);
        return;
    }
    removals->remains = removals->result != RETIRE_DONE && removals->result != RETIRE_GONE;
    removals->reason = words(removals);
    journal_add(removals->service->journal,
                &(struct journal_step){apply_end, end_done, clear, removals});
}

static void apply_next(void *ctx, struct ledger *ledger)
{
    struct removals *removals = ctx;
    struct ledger_retirement *copy = &removals->copy;
    ledger_retirement_clear(copy);
    if (!ledger_next_local_copy(ledger, copy))
        copy->path = NULL;
}

static void on_turn(struct turn *turn)
{
    struct removals *removals = turn->ctx;
    removals->what.turn = turn;
    removals->work = (struct file_work){.run = run, .done = on_removed};
    file_work_add(removals->service, removals->watch, &removals->work);
}

/* The file may have been moved away by after_upload: then it is gone from here. */
static void next_done(void *ctx)
{
    struct removals *removals = ctx;
    const struct ledger_retirement *copy = &removals->copy;
    if (copy->path == NULL || removals->closing) {
        clear(removals);
        return;
    }
    if (strlen(copy->path) <= copy->root_length) {
        removals->remains = true;
        removals->reason = mem_string("the local copy may remain: its path was wiped already");
        journal_add(removals->service->journal,
                    &(struct journal_step){apply_end, end_done, clear, removals});
        return;
    }
    removals->root = mem_bytes_string(copy->path, copy->root_length);
    removals->what = (struct retirement){.root = removals->root,
                                         .path = copy->path + copy->root_length + 1,
                                         .identity = copy->identity};
    memcpy(removals->what.sha256, copy->sha256, sizeof copy->sha256);
    removals->running = true;
    removals->watch = copy->watch;
    removals->turn = (struct turn){.go = on_turn, .ctx = removals};
    /* as a look: what was promised to go does not wait for a calm machine */
    if (turns_ask(removals->service->turns, &removals->turn, TURN_LOOK))
        on_turn(&removals->turn);
}

static void on_timer(uv_timer_t *timer)
{
    struct removals *removals = timer->data;
    if (removals->busy || removals->closing)
        return;
    removals->busy = true;
    journal_add(removals->service->journal,
                &(struct journal_step){apply_next, next_done, clear, removals});
}

void removals_look_soon(struct service *service)
{
    struct removals *removals = service->removals;
    if (removals != NULL && !removals->busy && !removals->closing)
        uv_timer_start(&removals->timer, on_timer, 0, 0);
}

struct removals *removals_new(struct service *service)
{
    struct removals *removals = mem_zalloc(sizeof *removals);
    removals->service = service;
    uv_timer_init(&service->loop, &removals->timer);
    removals->timer.data = removals;
    uv_timer_start(&removals->timer, on_timer, 0, 0);
    return removals;
}

void removals_stop(struct removals *removals)
{
    removals->closing = true;
    uv_timer_stop(&removals->timer);
    if (removals->turn.state == TURN_WAITS) {
        turns_give_back(removals->service->turns, &removals->turn);
        removals->running = false;
        clear(removals);
    }
}

bool removals_are_idle(const struct removals *removals)
{
    return !removals->running;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void removals_close(struct removals *removals)
{
    uv_close((uv_handle_t *)&removals->timer, on_closed);
}
