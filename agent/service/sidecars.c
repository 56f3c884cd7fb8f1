/*
 * Sidecars: a file that was named is looked at on the pool, and once it has settled, what stands in
 * it goes into the ledger for every recording that expects it there; they are resolved anew in the
 * same transaction. Each watch has its own line, so that a mount that hangs stalls its own only.
 *
 * Names come from resolving a recording, and from the watcher, which reports each sidecar that has
 * settled. A file that has not is looked at again by itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/rules/sidecar.h"
#include "agent/service/internal.h"
#include "watcher/watcher.h"

enum { BATCH = 32, AGAIN_FIRST_MS = 200, AGAIN_MOST_MS = 5000, RESOLVED_AT_ONCE = 64 };

enum look_result { LOOK_READ, LOOK_ABSENT, LOOK_NOT_SETTLED };

/* One file to look at. */
struct look {
    struct look *next;
    char *path;
    int64_t due_ms, pause_ms; /* steady; 0: at once */
    enum look_result result;
    struct file_identity identity;
    char *body, *problem;
};

/* The looks of one watch, one at a time on the pool. */
struct lane {
    struct lane *next;
    struct sidecars *sidecars;
    char *watch, *root;
    int64_t settle_ms, quiet_ms;
    struct look *first, **end;
    struct look *batch; /* on the pool, or on its way into the ledger */
    uv_work_t work;
    bool busy;
};

struct sidecars {
    struct service *service;
    struct lane *lanes;
    uv_timer_t timer;
    bool stopping;
};

static void start(struct sidecars *sidecars);

static void free_look(struct look *look)
{
    free(look->path);
    free(look->body);
    free(look->problem);
    free(look);
}

/* --- on the pool --- */

/* The bytes of the very file that had settled; NULL: another one stands there by now. */
static char *read_bytes(const char *path, const struct file_identity *identity, size_t *n,
                        int *error)
{
    struct stat st;
    struct file_identity found;
    char *bytes = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    *error = fd < 0 ? errno : 0;
    *n = 0;
    if (fd >= 0 && fstat(fd, &st) == 0) {
        file_identity_of(&st, &found);
        if (file_identity_equal(&found, identity))
            bytes = mem_zalloc(SIDECAR_MAX_BYTES + 1);
    }
    while (bytes != NULL && *n <= SIDECAR_MAX_BYTES) {
        ssize_t got = read(fd, bytes + *n, SIDECAR_MAX_BYTES + 1 - *n);
        if (got == 0)
            break;
        if (got < 0 && errno != EINTR) {
            *error = errno;
            mem_replace(&bytes, NULL);
            break;
        }
        *n += got > 0 ? (size_t)got : 0;
    }
    if (fd >= 0)
        close(fd);
    return bytes;
}

/* Whether it can be used is known here already, so that nothing else is kept of one that cannot. */
static void take_bytes(struct look *look, char *bytes, size_t n)
{
    struct sidecar sidecar;
    sidecar_read(bytes, n, NULL, 0, &sidecar);
    look->result = LOOK_READ;
    if (sidecar.problem != NULL)
        look->problem = mem_string(sidecar.problem);
    else
        look->body = mem_bytes_string(bytes, n);
    sidecar_clear(&sidecar);
}

static void look_at(const struct lane *lane, struct look *look)
{
    static const char *const any[] = {"*"};
    const struct watch_options options = {.path = lane->root,
                                          .recursive = true,
                                          .include = any,
                                          .include_count = 1,
                                          .settle_ms = lane->settle_ms,
                                          .quiet_ms = lane->quiet_ms,
                                          .open_quiet_ms = lane->quiet_ms};
    struct watch_finding finding;
    const char *waits_for;
    size_t n, root_length = strcmp(lane->root, "/") == 0 ? 0 : strlen(lane->root);
    int result = watch_look_once(&options, look->path + root_length + 1, &finding, &waits_for);
    int error = -result;
    if (result == 0) {
        look->identity = finding.identity;
        char *bytes = read_bytes(look->path, &finding.identity, &n, &error);
        if (bytes != NULL)
            take_bytes(look, bytes, n);
        else if (error == 0)
            result = 1;
        free(bytes);
    }
    if (result > 0) {
        look->result = LOOK_NOT_SETTLED;
    } else if (look->body == NULL && look->problem == NULL) {
        bool absent = error == ENOENT || error == ENOTDIR;
        look->result = absent ? LOOK_ABSENT : LOOK_READ;
        look->problem = absent ? NULL : mem_printf("it cannot be read: %s", strerror(error));
    }
}

static void on_work(uv_work_t *work)
{
    struct lane *lane = work->data;
    for (struct look *look = lane->batch; look != NULL; look = look->next)
        look_at(lane, look);
}

/* --- into the ledger --- */

static void apply_look(struct service *service, struct ledger *ledger, const struct look *look)
{
    int64_t recordings[RESOLVED_AT_ONCE], after = 0;
    size_t count;
    while ((count = ledger_sidecar_recordings(ledger, look->path, after, recordings,
                                              RESOLVED_AT_ONCE)) > 0) {
        for (size_t i = 0; i < count; i++) {
            ledger_sidecar_read(ledger, recordings[i], &look->identity, look->body, look->problem);
            service_resolve_held(service, ledger, recordings[i]);
        }
        after = recordings[count - 1];
    }
}

static void apply_batch(void *ctx, struct ledger *ledger)
{
    const struct lane *lane = ctx;
    for (const struct look *look = lane->batch; look != NULL; look = look->next) {
        if (look->result == LOOK_READ)
            apply_look(lane->sidecars->service, ledger, look);
    }
}

static void add(struct lane *lane, struct look *look)
{
    look->next = NULL;
    *lane->end = look;
    lane->end = &look->next;
}

/* Is it still of use to look again? */
static bool is_wanted(const struct lane *lane, const struct look *look)
{
    int64_t recording;
    struct ledger *ledger = journal_ledger(lane->sidecars->service->journal);
    return ledger == NULL || ledger_sidecar_recordings(ledger, look->path, 0, &recording, 1) > 0;
}

static void look_again(struct lane *lane, struct look *look)
{
    look->pause_ms = look->pause_ms > 0 ? 2 * look->pause_ms : AGAIN_FIRST_MS;
    if (look->pause_ms > AGAIN_MOST_MS)
        look->pause_ms = AGAIN_MOST_MS;
    look->due_ms = when_steady_ms() + look->pause_ms;
    add(lane, look);
}

static void end_batch(struct lane *lane)
{
    struct look *look = lane->batch;
    lane->batch = NULL;
    lane->busy = false;
    while (look != NULL) {
        struct look *next = look->next;
        bool again = look->result == LOOK_NOT_SETTLED && !lane->sidecars->stopping;
        if (again && is_wanted(lane, look))
            look_again(lane, look);
        else
            free_look(look);
        look = next;
    }
    start(lane->sidecars);
}

static void batch_done(void *ctx)
{
    struct lane *lane = ctx;
    for (const struct look *look = lane->batch; look != NULL; look = look->next) {
        if (look->result == LOOK_READ && look->problem != NULL)
            log_event(LOG_WARNING, "sidecar", "path", look->path, "reason", look->problem, NULL);
        else if (look->result == LOOK_READ)
            log_event(LOG_DEBUG, "sidecar", "path", look->path, "reason", "read", NULL);
    }
    service_moved(lane->sidecars->service);
    end_batch(lane);
}

static void batch_dropped(void *ctx)
{
    end_batch(ctx);
}

static void after_work(uv_work_t *work, int status)
{
    struct lane *lane = work->data;
    (void)status;
    journal_add(lane->sidecars->service->journal,
                &(struct journal_step){apply_batch, batch_done, batch_dropped, lane});
}

/* --- whose turn it is --- */

/* Takes what is due out of the line. Returns when the next is due, 0: none. */
static int64_t take_due(struct lane *lane)
{
    struct look **link = &lane->first, **end = &lane->batch;
    int64_t now_ms = when_steady_ms(), next_ms = 0;
    size_t count = 0;
    while (*link != NULL) {
        struct look *look = *link;
        bool due = look->due_ms <= now_ms;
        if (due && count < BATCH) {
            *link = look->next;
            look->next = NULL;
            *end = look;
            end = &look->next;
            count++;
            continue;
        }
        if (!due && (next_ms == 0 || look->due_ms < next_ms))
            next_ms = look->due_ms;
        link = &look->next;
    }
    lane->end = link;
    return next_ms;
}

static void on_timer(uv_timer_t *timer)
{
    start(timer->data);
}

static void start_lane(struct lane *lane, int64_t *next_ms)
{
    struct sidecars *sidecars = lane->sidecars;
    if (lane->busy || lane->first == NULL)
        return;
    int64_t lane_next_ms = take_due(lane);
    if (lane->batch != NULL) {
        const struct watch_config *watch = config_watch(sidecars->service->config, lane->watch);
        if (watch != NULL) {
            lane->settle_ms = watch->settle_ms;
            lane->quiet_ms = watch->quiet_ms;
        }
        lane->busy = true;
        lane->work.data = lane;
        uv_queue_work(&sidecars->service->loop, &lane->work, on_work, after_work);
    } else if (lane_next_ms > 0 && (*next_ms == 0 || lane_next_ms < *next_ms)) {
        *next_ms = lane_next_ms;
    }
}

static void start(struct sidecars *sidecars)
{
    int64_t next_ms = 0;
    if (sidecars->stopping)
        return;
    for (struct lane *lane = sidecars->lanes; lane != NULL; lane = lane->next)
        start_lane(lane, &next_ms);
    if (next_ms > 0) {
        int64_t wait_ms = next_ms - when_steady_ms();
        uv_timer_start(&sidecars->timer, on_timer, wait_ms > 0 ? (uint64_t)wait_ms : 0, 0);
    }
}

static struct lane *lane_of(struct sidecars *sidecars, const struct watch_config *watch)
{
    struct lane *lane = sidecars->lanes;
    while (lane != NULL &&
           (strcmp(lane->watch, watch->name) != 0 || strcmp(lane->root, watch->path) != 0))
        lane = lane->next;
    if (lane != NULL)
        return lane;
    lane = mem_zalloc(sizeof *lane);
    lane->sidecars = sidecars;
    lane->watch = mem_string(watch->name);
    lane->root = mem_string(watch->path);
    lane->end = &lane->first;
    lane->next = sidecars->lanes;
    sidecars->lanes = lane;
    return lane;
}

/* A file that a bulk run took from elsewhere is looked at from the root of all. */
static bool lies_below(const char *root, const char *path)
{
    size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);
    return strncmp(path, root, n) == 0 && path[n] == '/';
}

void sidecars_look(struct sidecars *sidecars, const struct watch_config *watch, const char *path)
{
    if (sidecars == NULL || sidecars->stopping)
        return;
    struct watch_config elsewhere = *watch;
    char top[] = "/";
    if (!lies_below(watch->path, path))
        elsewhere.path = top;
    struct lane *lane = lane_of(sidecars, &elsewhere);
    struct look *look = mem_zalloc(sizeof *look);
    look->path = mem_string(path);
    add(lane, look);
    if (!lane->busy)
        uv_timer_start(&sidecars->timer, on_timer, 0, 0);
}

/* --- its life --- */

struct sidecars *sidecars_new(struct service *service)
{
    struct sidecars *sidecars = mem_zalloc(sizeof *sidecars);
    sidecars->service = service;
    uv_timer_init(&service->loop, &sidecars->timer);
    sidecars->timer.data = sidecars;
    return sidecars;
}

void sidecars_stop(struct sidecars *sidecars)
{
    sidecars->stopping = true;
    uv_timer_stop(&sidecars->timer);
}

bool sidecars_are_idle(const struct sidecars *sidecars)
{
    for (const struct lane *lane = sidecars->lanes; lane != NULL; lane = lane->next) {
        if (lane->busy)
            return false;
    }
    return true;
}

static void on_closed(uv_handle_t *handle)
{
    struct sidecars *sidecars = handle->data;
    while (sidecars->lanes != NULL) {
        struct lane *lane = sidecars->lanes;
        sidecars->lanes = lane->next;
        while (lane->first != NULL) {
            struct look *look = lane->first;
            lane->first = look->next;
            free_look(look);
        }
        free(lane->watch);
        free(lane->root);
        free(lane);
    }
    free(sidecars);
}

void sidecars_close(struct sidecars *sidecars)
{
    uv_close((uv_handle_t *)&sidecars->timer, on_closed);
}
