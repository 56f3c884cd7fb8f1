/* Requests that other processes hand to the service, in `state_dir`/requests. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/service/handover.h"
#include "agent/service/internal.h"
#include "agent/service/pause.h"
#include "agent/service/retry.h"

enum { LOOK_MS = 5000 };

struct requests {
    struct service *service;
    char *folder;
    uv_fs_event_t event;
    uv_timer_t timer;
    int open_handles;
};

/* One that is being worked on. */
struct request {
    struct requests *requests;
    char *name;
    struct retry_request retry;
    struct retry_outcome outcome;
    struct pause_request pause;
    char *by;
};

static void free_request(void *ctx)
{
    struct request *request = ctx;
    handover_free_paths(request->retry.paths, request->retry.path_count);
    free(request->name);
    free(request->by);
    free(request);
}

static const char *text_of(const cJSON *json, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

static bool is_true(const cJSON *json, const char *key)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, key));
}

static void refuse(const struct requests *requests, const char *name, const char *problem)
{
    cJSON *result = cJSON_CreateObject();
    cJSON_AddStringToObject(result, "problem", problem);
    handover_tell(requests->folder, name, "result", result);
    cJSON_Delete(result);
}

/* --- once --- */

static void on_bulk_report(void *ctx, const struct bulk_progress *progress, bool ended)
{
    struct request *request = ctx;
    if (progress != NULL) {
        cJSON *json = handover_progress(progress);
        handover_tell(request->requests->folder, request->name, ended ? "result" : "progress",
                      json);
        cJSON_Delete(json);
    }
    if (ended)
        free_request(request);
}

static void start_once(struct requests *requests, const char *name, const cJSON *json)
{
    struct request *request = mem_zalloc(sizeof *request);
    request->requests = requests;
    request->name = mem_string(name);
    request->retry.paths = handover_read_paths(cJSON_GetObjectItemCaseSensitive(json, "paths"),
                                               &request->retry.path_count);
    struct bulk_request bulk = {
        .watch = text_of(json, "watch"),
        .owner = text_of(json, "owner"),
        .paths = request->retry.paths,
        .path_count = request->retry.path_count,
    };
    char *problem;
    if (bulk_start(requests->service, &bulk, on_bulk_report, request, &problem) == NULL) {
        refuse(requests, name, problem);
        free(problem);
        free_request(request);
    }
}

/* --- retry --- */

static void apply_retry(void *ctx, struct ledger *ledger)
{
    struct request *request = ctx;
    retry_apply(ledger, request->requests->service->config->state_dir, &request->retry,
                &request->outcome);
}

static void retry_done(void *ctx)
{
    struct request *request = ctx;
    cJSON *result = cJSON_CreateObject();
    cJSON_AddNumberToObject(result, "queued", (double)request->outcome.queued);
    cJSON_AddNumberToObject(result, "untouched", (double)request->outcome.untouched);
    cJSON_AddNumberToObject(result, "unknown", (double)request->outcome.unknown);
    char *problem = retry_problem(&request->outcome);
    if (problem != NULL)
        cJSON_AddStringToObject(result, "problem", problem);
    handover_tell(request->requests->folder, request->name, "result", result);
    cJSON_Delete(result);
    free(problem);
    free_request(request);
}

static void start_retry(struct requests *requests, const char *name, const cJSON *json)
{
    struct request *request = mem_zalloc(sizeof *request);
    request->requests = requests;
    request->name = mem_string(name);
    request->retry.paths = handover_read_paths(cJSON_GetObjectItemCaseSensitive(json, "paths"),
                                               &request->retry.path_count);
    request->retry.failed = is_true(json, "failed");
    request->retry.held = is_true(json, "held");
    request->retry.undelete = is_true(json, "undelete");
    journal_add(requests->service->journal,
                &(struct journal_step){apply_retry, retry_done, free_request, request});
}

/* --- pause and resume --- */

static void apply_pause(void *ctx, struct ledger *ledger)
{
    const struct request *request = ctx;
    pause_apply(ledger, &request->pause, when_now_ms());
}

static void pause_done(void *ctx)
{
    struct request *request = ctx;
    struct service *service = request->requests->service;
    struct ledger *ledger = journal_ledger(service->journal);
    char *words = ledger != NULL ? pause_words(ledger, when_now_ms()) : NULL;
    pausing_look(service->pausing);
    cJSON *result = cJSON_CreateObject();
    cJSON_AddStringToObject(result, "words", words != NULL ? words : "");
    handover_tell(request->requests->folder, request->name, "result", result);
    cJSON_Delete(result);
    free(words);
    free_request(request);
}

static void start_pause(struct requests *requests, const char *name, const cJSON *json, bool resume)
{
    struct request *request = mem_zalloc(sizeof *request);
    const char *by = text_of(json, "by");
    double for_ms = json_number(json, "for_ms");
    request->requests = requests;
    request->name = mem_string(name);
    request->by = mem_string(by != NULL ? by : "somebody");
    request->pause = (struct pause_request){
        .resume = resume,
        .for_ms = for_ms > 0 && for_ms < LEDGER_PAUSE_MOST_MS ? (int64_t)for_ms : 0,
        .by = request->by};
    journal_add(requests->service->journal,
                &(struct journal_step){apply_pause, pause_done, free_request, request});
}

/* --- the folder --- */

static void take(struct requests *requests, const char *name)
{
    cJSON *json = handover_take(requests->folder, name);
    const char *command = json != NULL ? text_of(json, "command") : NULL;
    if (command != NULL && strcmp(command, "once") == 0)
        start_once(requests, name, json);
    else if (command != NULL && strcmp(command, "retry") == 0)
        start_retry(requests, name, json);
    else if (command != NULL && (strcmp(command, "pause") == 0 || strcmp(command, "resume") == 0))
        start_pause(requests, name, json, strcmp(command, "resume") == 0);
    else
        refuse(requests, name,
               "the running service does not know this request; is it an older version?");
    cJSON_Delete(json);
}

static void look(struct requests *requests)
{
    DIR *dir = opendir(requests->folder);
    struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        size_t n = strlen(entry->d_name);
        if (n <= 5 || strcmp(entry->d_name + n - 5, ".json") != 0)
            continue;
        char *name = mem_bytes_string(entry->d_name, n - 5);
        take(requests, name);
        free(name);
    }
    if (dir != NULL)
        closedir(dir);
}

static void on_event(uv_fs_event_t *handle, const char *name, int events, int status)
{
    (void)name;
    (void)events;
    (void)status;
    look(handle->data);
}

static void on_timer(uv_timer_t *timer)
{
    look(timer->data);
}

struct requests *requests_new(struct service *service)
{
    struct requests *requests = mem_zalloc(sizeof *requests);
    requests->service = service;
    requests->folder = handover_folder(service->config->state_dir);
    uv_fs_event_init(&service->loop, &requests->event);
    uv_timer_init(&service->loop, &requests->timer);
    requests->event.data = requests->timer.data = requests;
    requests->open_handles = 2;
    uv_fs_event_start(&requests->event, on_event, requests->folder, 0);
    uv_timer_start(&requests->timer, on_timer, 0, LOOK_MS);
    return requests;
}

static void on_closed(uv_handle_t *handle)
{
    struct requests *requests = handle->data;
    if (--requests->open_handles > 0)
        return;
    free(requests->folder);
    free(requests);
}

void requests_close(struct requests *requests)
{
    uv_close((uv_handle_t *)&requests->event, on_closed);
    uv_close((uv_handle_t *)&requests->timer, on_closed);
}
