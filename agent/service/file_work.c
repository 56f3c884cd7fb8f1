#include "agent/service/file_work.h"

#include <assert.h>
#include <stdlib.h>

#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/service/internal.h"

/* The work of one watch. Never freed before the end: there are few watches. */
struct file_lane {
    struct service *service;
    struct file_lane *next;
    int64_t watch;
    struct file_work *out;                /* begun */
    struct file_work *first, **last_link; /* waiting */
    unsigned out_count, hanging;
};

static int64_t patience_ms(void)
{
#ifdef CHORUS_MUTANTS
    const char *text = getenv("CHORUS_PATIENCE_MS");
    if (text != NULL)
        return strtoll(text, NULL, 10);
#endif
    return FILE_WORK_PATIENCE_MS;
}

static struct file_lane *find(const struct service *service, int64_t watch)
{
    struct file_lane *lane = service->file_lanes;
    while (lane != NULL && lane->watch != watch)
        lane = lane->next;
    return lane;
}

static struct file_lane *lane_of(struct service *service, int64_t watch)
{
    struct file_lane *lane = find(service, watch);
    if (lane != NULL)
        return lane;
    lane = mem_zalloc(sizeof *lane);
    lane->service = service;
    lane->watch = watch;
    lane->last_link = &lane->first;
    lane->next = service->file_lanes;
    service->file_lanes = lane;
    return lane;
}

/* --- patience --- */

static void on_patience(uv_timer_t *timer);

/* One timer for all: for the piece that is out longest. */
static void set_patience(struct service *service)
{
    int64_t first_ms = INT64_MAX;
    for (const struct file_lane *lane = service->file_lanes; lane != NULL; lane = lane->next) {
        for (const struct file_work *work = lane->out; work != NULL; work = work->next) {
            if (!work->hangs && work->begun_ms < first_ms)
                first_ms = work->begun_ms;
        }
    }
    if (first_ms == INT64_MAX) {
        uv_timer_stop(&service->patience);
        return;
    }
    int64_t wait_ms = first_ms + patience_ms() - when_steady_ms();
    uv_timer_start(&service->patience, on_patience, wait_ms > 0 ? (uint64_t)wait_ms : 1, 0);
}

static void tell(const struct file_lane *lane)
{
    struct folder *folder = folder_of_ledger_watch(lane->service, lane->watch);
    if (folder != NULL)
        folder_hangs(folder, lane->hanging > 0);
}

static struct file_work *not_given_up(struct file_work *work)
{
    while (work != NULL && work->given_up)
        work = work->next;
    return work;
}

/* Each may cancel itself, or others. */
static void give_all_up(struct file_lane *lane)
{
    struct file_work *work;
    while ((work = not_given_up(lane->out)) != NULL || (work = not_given_up(lane->first)) != NULL) {
        work->given_up = true;
        if (work->give_up != NULL)
            work->give_up(work);
    }
}

/* Where one hangs, so will the next: the whole lane is given up. */
static void look_for_hanging(struct file_lane *lane, int64_t now_ms)
{
    bool hung = lane->hanging > 0;
    for (struct file_work *work = lane->out; work != NULL; work = work->next) {
        if (!work->hangs && now_ms - work->begun_ms >= patience_ms()) {
            work->hangs = true;
            lane->hanging++;
        }
    }
    if (hung || lane->hanging == 0)
        return;
    tell(lane);
    give_all_up(lane);
}

static void on_patience(uv_timer_t *timer)
{
    struct service *service = timer->data;
    for (struct file_lane *lane = service->file_lanes; lane != NULL; lane = lane->next)
        look_for_hanging(lane, when_steady_ms());
    set_patience(service);
}

/* --- one piece --- */

static void on_work(uv_work_t *request)
{
    struct file_work *work = request->data;
    work->run(work);
}

static void begin_next(struct file_lane *lane);

static void after_work(uv_work_t *request, int status)
{
    struct file_work *work = request->data;
    struct file_lane *lane = work->lane;
    struct file_work **link = &lane->out;
    (void)status;
    while (*link != work)
        link = &(*link)->next;
    *link = work->next;
    lane->out_count--;
    bool came_back = work->hangs && --lane->hanging == 0;
    work->done(work);
    if (came_back)
        tell(lane);
    begin_next(lane);
    set_patience(lane->service);
}

static void begin_next(struct file_lane *lane)
{
    while (lane->first != NULL && lane->out_count < FILE_WORK_AT_ONCE && lane->hanging == 0) {
        struct file_work *work = lane->first;
        lane->first = work->next;
        if (lane->first == NULL)
            lane->last_link = &lane->first;
        work->next = lane->out;
        lane->out = work;
        lane->out_count++;
        work->begun_ms = when_steady_ms();
        work->request.data = work;
        uv_queue_work(&lane->service->loop, &work->request, on_work, after_work);
    }
}

void file_work_add(struct service *service, int64_t watch, struct file_work *work)
{
    struct file_lane *lane = lane_of(service, watch);
    work->lane = lane;
    work->next = NULL;
    work->hangs = work->given_up = false;
    *lane->last_link = work;
    lane->last_link = &work->next;
    bool idle = lane->out_count == 0;
    begin_next(lane);
    if (idle)
        set_patience(service);
}

bool file_work_cancel(struct file_work *work)
{
    struct file_lane *lane = work->lane;
    struct file_work **link = &lane->first;
    while (*link != NULL && *link != work)
        link = &(*link)->next;
    if (*link == NULL)
        return false;
    *link = work->next;
    if (*link == NULL)
        lane->last_link = link;
    return true;
}

bool file_work_hangs(const struct service *service, int64_t watch)
{
    const struct file_lane *lane = find(service, watch);
    return lane != NULL && lane->hanging > 0;
}

/* --- all of them --- */

bool file_works_are_idle(const struct service *service)
{
    for (const struct file_lane *lane = service->file_lanes; lane != NULL; lane = lane->next) {
        if (lane->out != NULL || lane->first != NULL)
            return false;
    }
    return true;
}

void file_works_init(struct service *service)
{
    uv_timer_init(&service->loop, &service->patience);
    service->patience.data = service;
}

void file_works_stop(struct service *service)
{
    for (struct file_lane *lane = service->file_lanes; lane != NULL; lane = lane->next)
        give_all_up(lane);
}

void file_works_close(struct service *service)
{
    struct file_lane *lane;
    uv_close((uv_handle_t *)&service->patience, NULL);
    while ((lane = service->file_lanes) != NULL) {
        assert(lane->out == NULL && lane->first == NULL);
        service->file_lanes = lane->next;
        free(lane);
    }
}

unsigned file_work_threads(unsigned watches)
{
    return watches * FILE_WORK_AT_ONCE;
}
