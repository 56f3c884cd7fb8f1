/*
 * status.json: what only the running program knows, written whole (renamed into place) at most once
 * a second while something moves. An idle service writes nothing and is not woken.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "agent/base/bytes.h"
#include "agent/base/json.h"
#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/service/heartbeat.h"
#include "agent/service/internal.h"
#include "watcher/turns.h"

enum { WRITE_EVERY_MS = 1000, FIRST_WRITE_MS = 50, MOST_FILES_NAMED = 200 };

static void add_transfer(void *ctx, const char *path, uint64_t sent, uint64_t size)
{
    cJSON *item = cJSON_CreateObject();
    json_add_bytes(item, "path", path);
    cJSON_AddNumberToObject(item, "sent", (double)sent);
    cJSON_AddNumberToObject(item, "size", (double)size);
    cJSON_AddItemToArray(ctx, item);
}

static void add_sent(void *ctx, const char *path, uint64_t sent, uint64_t size)
{
    (void)path;
    (void)size;
    *(uint64_t *)ctx += sent;
}

static void add_throughput(struct service *service, cJSON *root)
{
    uint64_t bytes = service->bytes_sent;
    double bytes_per_s;
    uint64_t recordings;
    int64_t now_ms = when_steady_ms();
    service_each_transfer(service, add_sent, &bytes);
    throughput_note(&service->throughput, now_ms, bytes, service->recordings_sent);
    throughput_of(&service->throughput, now_ms, &bytes_per_s, &recordings);
    cJSON *item = cJSON_AddObjectToObject(root, "throughput");
    cJSON_AddNumberToObject(item, "bytes_per_s", (double)(int64_t)bytes_per_s);
    cJSON_AddNumberToObject(item, "recordings_last_min", (double)recordings);
}

struct naming {
    cJSON *array;
    const struct folder *folder;
};

static void add_in_work(void *ctx, const struct watch_in_work *file)
{
    struct naming *naming = ctx;
    if (cJSON_GetArraySize(naming->array) >= MOST_FILES_NAMED)
        return;
    cJSON *item = cJSON_CreateObject();
    char *path = mem_printf("%s/%s", naming->folder->root, file->path);
    json_add_bytes(item, "path", path);
    free(path);
    cJSON_AddStringToObject(item, "watch", naming->folder->watch_name);
    cJSON_AddStringToObject(item, "state", file->phase == WATCH_HASHING ? "hashing" : "settling");
    cJSON_AddNumberToObject(item, "size", (double)file->size);
    cJSON_AddStringToObject(item, "reason", file->waits_for);
    json_add_time(item, "first_seen_at", file->first_seen_ns / 1000000);
    cJSON_AddItemToArray(naming->array, item);
}

static void add_folders(const struct service *service, cJSON *root)
{
    cJSON *watches = cJSON_AddArrayToObject(root, "watches");
    cJSON *in_work = cJSON_AddArrayToObject(root, "in_work");
    size_t settling = 0, hashing = 0;
    for (struct folder *folder = service->folders; folder != NULL; folder = folder->next) {
        struct watch_counts counts;
        if (folder->closing)
            continue;
        watch_get_counts(folder->watch, &counts);
        settling += counts.settling;
        hashing += counts.hashing;
        struct naming naming = {in_work, folder};
        watch_each_in_work(folder->watch, add_in_work, &naming);
        if (folder->bulk != NULL)
            continue;
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", folder->watch_name);
        json_add_bytes(item, "path", folder->root);
        cJSON_AddBoolToObject(item, "online", folder->online);
        cJSON_AddStringToObject(item, "mode", folder->events ? "events" : "polling");
        cJSON_AddStringToObject(item, "reason", folder->reason);
        cJSON_AddNumberToObject(item, "overflows", (double)counts.overflows);
        cJSON_AddItemToArray(watches, item);
    }
    cJSON_AddNumberToObject(root, "settling", (double)settling);
    cJSON_AddNumberToObject(root, "hashing", (double)hashing);
}

static void add_bandwidth(const struct service *service, cJSON *root, const char *paused)
{
    struct bandwidth_now now = uplink_in_force(service->uplink);
    bool by_it = paused[0] != '\0' && strcmp(paused, uplink_held_because(service->uplink)) == 0;
    bool by_timetable = by_it && uplink_is_held_for_a_time(service->uplink);
    bandwidth_add_json(root, &now);
    cJSON_AddBoolToObject(root, "paused_by_timetable", by_timetable);
    cJSON_AddBoolToObject(root, "paused_by_calls", by_it && now.busy != NULL);
}

static char *status_text(struct service *service, bool running)
{
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "version", service->options->version);
    cJSON_AddNumberToObject(root, "pid", getpid());
    cJSON_AddBoolToObject(root, "running", running);
    json_add_time(root, "since", service->started_ms);
    json_add_time(root, "written_at", when_now_ms());
    service_each_transfer(service, add_transfer, cJSON_AddArrayToObject(root, "in_flight"));
    add_throughput(service, root);
    add_folders(service, root);
    cJSON_AddNumberToObject(root, "window", plan_window(service->plan));
    const char *paused = journal_in_trouble(service->journal) ? "the ledger cannot be written"
                                                              : plan_paused_because(service->plan);
    cJSON_AddStringToObject(root, "paused_because", paused);
    cJSON_AddStringToObject(root, "slowed_because", turns_words(service->turns));
    cJSON_AddBoolToObject(root, "stopped_by_load", turns_verdict(service->turns) == PRESSURE_STOP);
    add_bandwidth(service, root, paused);
    if (service->last_error != NULL) {
        cJSON_AddStringToObject(root, "last_error", service->last_error);
        json_add_time(root, "last_error_at", service->last_error_ms);
    }
    char *text = cJSON_Print(root);
    cJSON_Delete(root);
    return text;
}

void service_write_status(struct service *service, bool running)
{
    char *text = status_text(service, running);
    service->status_dirty = false;
    if (text == NULL || !json_write_file(service->status_path, text))
        log_trouble(LOG_WARNING, "status", "reason", "status.json cannot be written", "path",
                    service->status_path, NULL);
    free(text);
    heartbeat_tell(service->heartbeat);
}

static void on_status_timer(uv_timer_t *timer)
{
    struct service *service = timer->data;
    if (service->stopping)
        return;
    bool moves = service->status_dirty || service->transfer_count > 0;
    service_write_status(service, true);
    if (moves)
        uv_timer_start(timer, on_status_timer, WRITE_EVERY_MS, 0);
}

void service_moved(struct service *service)
{
    service->status_dirty = true;
    if (!service->stopping && !uv_is_active((uv_handle_t *)&service->status_timer))
        uv_timer_start(&service->status_timer, on_status_timer, FIRST_WRITE_MS, 0);
}

void service_note_error(struct service *service, const char *path, const char *reason)
{
    if (reason == NULL || reason[0] == '\0')
        return;
    char *escaped = path != NULL ? bytes_escape(path) : NULL;
    mem_replace(&service->last_error,
                escaped != NULL ? mem_printf("%s: %s", escaped, reason) : mem_string(reason));
    free(escaped);
    service->last_error_ms = when_now_ms();
}

char *service_status_path(const struct config *config)
{
    const char *runtime = getenv("RUNTIME_DIRECTORY");
    return mem_printf("%s/status.json",
                      runtime != NULL && runtime[0] == '/' ? runtime : config->state_dir);
}
