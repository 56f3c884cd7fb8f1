/*
 * Bulk runs: `once`, by itself or handed to the running service. Each is a set of single looks
 * (folders that close themselves) and the recordings they took; it is over when all looks are
 * closed and none of its recordings is on its way any more.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/service/internal.h"
#include "watcher/turns.h"

/* A look counts all that the run took: with a million of them it is taken more rarely, so that it
 * costs at most 2 % of the time. */
enum { REPORT_EVERY_MS = 250, LOOK_TIMES = 50 };

struct bulk {
    struct service *service;
    struct bulk *next;
    int64_t number;
    char *owner;
    unsigned open_looks; /* and one more until all are opened */
    bool over;           /* reported: it goes with its last look */
    unsigned long long known;
    int64_t look_at_ms; /* steady: not before, unless it may be over */
    bool may_be_over;
    bulk_report report;
    void *ctx;
    struct look {
        char *watch, *root, *only;
    } * looks; /* until they are opened */
    size_t look_count;
};

int64_t bulk_number(const struct bulk *bulk)
{
    return bulk->number;
}

const char *bulk_owner(const struct bulk *bulk)
{
    return bulk->owner;
}

void bulk_met_known(struct bulk *bulk)
{
    bulk->known++;
}

static void free_looks(struct bulk *bulk)
{
    for (size_t i = 0; i < bulk->look_count; i++) {
        free(bulk->looks[i].watch);
        free(bulk->looks[i].root);
        free(bulk->looks[i].only);
    }
    free(bulk->looks);
    bulk->looks = NULL;
    bulk->look_count = 0;
}

static void free_bulk(struct bulk *bulk)
{
    free_looks(bulk);
    free(bulk->owner);
    free(bulk);
}

static void free_if_over(struct bulk *bulk)
{
    if (bulk->over && bulk->open_looks == 0)
        free_bulk(bulk);
}

void bulk_look_over(struct bulk *bulk)
{
    struct service *service = bulk->service;
    bulk->open_looks--;
    free_if_over(bulk);
    bulk_may_be_over(service);
}

static void add_look(struct bulk *bulk, const struct watch_config *watch, char *root, char *only)
{
    bulk->looks = mem_resize(bulk->looks, bulk->look_count + 1, sizeof *bulk->looks);
    bulk->looks[bulk->look_count++] = (struct look){mem_string(watch->name), root, only};
}

/* A file is looked at through its folder, for that one name. */
static char *add_path(struct bulk *bulk, const struct watch_config *watch, const char *path)
{
    struct stat st;
    char *escaped = bytes_escape(path);
    char *problem = NULL;
    if (lstat(path, &st) != 0) {
        problem = mem_printf("%s does not exist, or cannot be reached", escaped);
    } else if (S_ISDIR(st.st_mode)) {
        add_look(bulk, watch, mem_string(path), NULL);
    } else if (S_ISREG(st.st_mode)) {
        const char *slash = strrchr(path, '/');
        size_t n = (size_t)(slash - path);
        add_look(bulk, watch, mem_bytes_string(path, n > 0 ? n : 1), mem_string(slash + 1));
    } else {
        problem = mem_printf("%s is neither a file nor a folder", escaped);
    }
    free(escaped);
    return problem;
}

static char *watch_of(const struct config *config, const struct bulk_request *request,
                      const char *path, const struct watch_config **watch)
{
    size_t root_length;
    *watch = request->watch != NULL ? config_watch(config, request->watch)
                                    : config_watch_of_path(config, path, &root_length);
    if (*watch == NULL && config->watch_count == 1)
        *watch = &config->watches[0];
    if (*watch != NULL)
        return NULL;
    char *escaped = bytes_escape(path);
    char *problem =
        mem_printf("%s is below no watch; say by --watch NAME which one takes it", escaped);
    free(escaped);
    return problem;
}

static char *collect_looks(struct bulk *bulk, const struct bulk_request *request)
{
    const struct config *config = bulk->service->config;
    if (request->watch != NULL && config_watch(config, request->watch) == NULL)
        return mem_printf("there is no watch named %s in the configuration", request->watch);
    if (request->path_count == 0) {
        for (size_t i = 0; i < config->watch_count; i++) {
            const struct watch_config *watch = &config->watches[i];
            if (request->watch == NULL || strcmp(request->watch, watch->name) == 0)
                add_look(bulk, watch, mem_string(watch->path), NULL);
        }
        return NULL;
    }
    char *problem = NULL;
    for (size_t i = 0; problem == NULL && i < request->path_count; i++) {
        const struct watch_config *watch;
        problem = watch_of(config, request, request->paths[i], &watch);
        if (problem == NULL)
            problem = add_path(bulk, watch, request->paths[i]);
    }
    return problem;
}

static void apply_number(void *ctx, struct ledger *ledger)
{
    struct bulk *bulk = ctx;
    bulk->number = ledger_next_bulk(ledger);
}

static void open_looks(void *ctx)
{
    struct bulk *bulk = ctx;
    for (size_t i = 0; i < bulk->look_count && !bulk->service->stopping; i++) {
        const struct look *look = &bulk->looks[i];
        const struct watch_config *watch = config_watch(bulk->service->config, look->watch);
        if (watch == NULL)
            continue; /* a reload took it away meanwhile */
        bulk->open_looks++;
        folder_open_look(bulk->service, watch, bulk, look->root, look->only);
    }
    bulk_look_over(bulk);
}

static void not_opened(void *ctx)
{
    bulk_look_over(ctx);
}

static void fill_progress(struct bulk *bulk, struct bulk_progress *progress)
{
    struct ledger *ledger = journal_ledger(bulk->service->journal);
    *progress = (struct bulk_progress){.known = bulk->known, .looking = bulk->open_looks > 0};
    if (ledger != NULL)
        ledger_count_bulk(ledger, bulk->number, &progress->counts);
    for (struct folder *f = bulk->service->folders; f != NULL; f = f->next) {
        struct watch_counts counts;
        if (f->bulk != bulk || f->closing)
            continue;
        watch_get_counts(f->watch, &counts);
        progress->settling += counts.settling;
        progress->hashing += counts.hashing;
    }
    progress->paused_because = plan_paused_because(bulk->service->plan);
    if (progress->paused_because[0] == '\0' && turns_verdict(bulk->service->turns) == PRESSURE_STOP)
        progress->paused_because = turns_words(bulk->service->turns);
    progress->token_refused = plan_token_is_refused(bulk->service->plan);
}

static void add_sent(void *ctx, const char *path, uint64_t sent, uint64_t size)
{
    (void)path;
    (void)size;
    *(unsigned long long *)ctx += sent;
}

static bool is_over(const struct bulk *bulk)
{
    const struct service *service = bulk->service;
    struct ledger *ledger = journal_ledger(service->journal);
    return bulk->open_looks == 0 && ledger != NULL && journal_is_idle(service->journal) &&
           !ledger_bulk_is_open(ledger, bulk->number);
}

/* May end the service, and with it all runs. */
static void report(struct bulk *bulk, bool ended)
{
    struct bulk_progress progress;
    fill_progress(bulk, &progress);
    progress.bytes_sent = (unsigned long long)progress.counts.bytes_uploaded;
    service_each_transfer(bulk->service, add_sent, &progress.bytes_sent);
    bulk->report(bulk->ctx, &progress, ended);
}

static bool is_due(const struct bulk *bulk)
{
    return bulk->may_be_over || when_steady_ms() >= bulk->look_at_ms;
}

/* The next look is due once this one, begun then, was worth its time. */
static void look_later(struct bulk *bulk, int64_t began_ms)
{
    int64_t wait_ms = LOOK_TIMES * (when_steady_ms() - began_ms);
    bulk->may_be_over = false;
    bulk->look_at_ms = began_ms + (wait_ms > REPORT_EVERY_MS ? wait_ms : REPORT_EVERY_MS);
}

static void on_bulk_timer(uv_timer_t *timer)
{
    struct service *service = timer->data;
    struct bulk **link = &service->bulks;
    while (!service->stopping && *link != NULL) {
        struct bulk *bulk = *link;
        int64_t began_ms = when_steady_ms();
        bool due = is_due(bulk);
        if (!due || !is_over(bulk)) {
            link = &bulk->next;
            if (due)
                report(bulk, false);
            if (due && !service->stopping)
                look_later(bulk, began_ms);
            continue;
        }
        *link = bulk->next;
        report(bulk, true);
        bulk->over = true;
        free_if_over(bulk);
    }
    if (service->bulks == NULL)
        uv_timer_stop(timer);
}

void bulk_may_be_over(struct service *service)
{
    if (service->stopping || service->transfer_count > 0)
        return;
    for (struct bulk *bulk = service->bulks; bulk != NULL; bulk = bulk->next) {
        if (bulk->open_looks > 0)
            continue;
        bulk->may_be_over = true;
        uv_timer_start(&service->bulk_timer, on_bulk_timer, 0, REPORT_EVERY_MS);
    }
}

struct bulk *bulk_start(struct service *service, const struct bulk_request *request,
                        bulk_report report_to, void *ctx, char **problem)
{
    struct bulk *bulk = mem_zalloc(sizeof *bulk);
    bulk->service = service;
    bulk->owner = mem_string(request->owner);
    bulk->report = report_to;
    bulk->ctx = ctx;
    *problem = collect_looks(bulk, request);
    if (*problem != NULL) {
        free_bulk(bulk);
        return NULL;
    }
    bulk->next = service->bulks;
    service->bulks = bulk;
    bulk->open_looks = 1;
    journal_add(service->journal,
                &(struct journal_step){apply_number, open_looks, not_opened, bulk});
    uv_timer_start(&service->bulk_timer, on_bulk_timer, REPORT_EVERY_MS, REPORT_EVERY_MS);
    return bulk;
}

void bulk_stop_all(struct service *service)
{
    while (service->bulks != NULL) {
        struct bulk *bulk = service->bulks;
        service->bulks = bulk->next;
        bulk->report(bulk->ctx, NULL, true);
        bulk->over = true;
        free_if_over(bulk);
    }
}
