#include "agent/service/handover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/bytes.h"
#include "agent/base/json.h"
#include "agent/base/mem.h"
#include "agent/base/when.h"

enum { MOST_BYTES = 64 * 1024 * 1024 };

char *handover_folder(const char *state_dir)
{
    char *folder = mem_printf("%s/requests", state_dir);
    mkdir(folder, 0700);
    return folder;
}

char *handover_send(const char *state_dir, const cJSON *request)
{
    char *folder = handover_folder(state_dir);
    char *name = mem_printf("%lld-%ld", (long long)when_now_ms(), (long)getpid());
    char *file = mem_printf("%s/%s.json", folder, name);
    char *text = cJSON_PrintUnformatted(request);
    if (text == NULL || !json_write_file(file, text))
        mem_replace(&name, NULL);
    int error = errno;
    free(text);
    free(file);
    free(folder);
    errno = error;
    return name;
}

int handover_poll(const char *state_dir, const char *name, cJSON **progress, cJSON **result)
{
    char *file = mem_printf("%s/requests/%s.result", state_dir, name);
    *progress = NULL;
    *result = json_read_file(file, MOST_BYTES);
    if (*result == NULL) {
        mem_replace(&file, mem_printf("%s/requests/%s.progress", state_dir, name));
        *progress = json_read_file(file, MOST_BYTES);
    }
    free(file);
    return *result != NULL;
}

static void remove_file(const char *folder, const char *name, const char *what)
{
    char *file = mem_printf("%s/%s.%s", folder, name, what);
    unlink(file);
    free(file);
}

void handover_forget(const char *state_dir, const char *name)
{
    char *folder = handover_folder(state_dir);
    remove_file(folder, name, "json");
    remove_file(folder, name, "progress");
    remove_file(folder, name, "result");
    free(folder);
}

cJSON *handover_take(const char *folder, const char *name)
{
    char *file = mem_printf("%s/%s.json", folder, name);
    cJSON *json = json_read_file(file, MOST_BYTES);
    unlink(file);
    free(file);
    if (json != NULL && !cJSON_IsObject(json)) {
        cJSON_Delete(json);
        json = NULL;
    }
    return json;
}

void handover_tell(const char *folder, const char *name, const char *what, const cJSON *json)
{
    char *file = mem_printf("%s/%s.%s", folder, name, what);
    char *text = cJSON_PrintUnformatted(json);
    if (text != NULL)
        json_write_file(file, text);
    free(text);
    free(file);
}

cJSON *handover_paths(char *const *paths, size_t count)
{
    cJSON *array = cJSON_CreateArray();
    for (size_t i = 0; i < count; i++) {
        char *escaped = bytes_escape(paths[i]);
        cJSON_AddItemToArray(array, cJSON_CreateString(escaped));
        free(escaped);
    }
    return array;
}

char **handover_read_paths(const cJSON *array, size_t *count)
{
    const cJSON *item;
    size_t room = cJSON_IsArray(array) ? (size_t)cJSON_GetArraySize(array) : 0;
    char **paths = mem_array(room + 1, sizeof *paths);
    *count = 0;
    cJSON_ArrayForEach(item, array)
    {
        char *path = cJSON_IsString(item) ? bytes_unescape(item->valuestring) : NULL;
        if (path != NULL)
            paths[(*count)++] = path;
    }
    return paths;
}

void handover_free_paths(char **paths, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(paths[i]);
    free(paths);
}

cJSON *handover_progress(const struct bulk_progress *progress)
{
    cJSON *json = cJSON_CreateObject();
    cJSON *counts = cJSON_AddObjectToObject(json, "counts");
    for (int i = 0; i < STATE_COUNT; i++)
        cJSON_AddNumberToObject(counts, state_name((enum recording_state)i),
                                (double)progress->counts.state[i]);
    cJSON_AddNumberToObject(json, "settling", (double)progress->settling);
    cJSON_AddNumberToObject(json, "hashing", (double)progress->hashing);
    cJSON_AddNumberToObject(json, "known", (double)progress->known);
    cJSON_AddNumberToObject(json, "bytes_sent", (double)progress->bytes_sent);
    cJSON_AddBoolToObject(json, "looking", progress->looking);
    cJSON_AddBoolToObject(json, "token_refused", progress->token_refused);
    cJSON_AddStringToObject(json, "paused_because", progress->paused_because);
    return json;
}

void handover_read_progress(const cJSON *json, struct bulk_progress *progress)
{
    memset(progress, 0, sizeof *progress);
    const cJSON *counts = cJSON_GetObjectItemCaseSensitive(json, "counts");
    for (int i = 0; i < STATE_COUNT; i++)
        progress->counts.state[i] =
            (int64_t)json_number(counts, state_name((enum recording_state)i));
    progress->settling = (size_t)json_number(json, "settling");
    progress->hashing = (size_t)json_number(json, "hashing");
    progress->known = (unsigned long long)json_number(json, "known");
    progress->bytes_sent = (unsigned long long)json_number(json, "bytes_sent");
    progress->looking = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "looking"));
    progress->token_refused = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "token_refused"));
    progress->paused_because = json_text(json, "paused_because");
}
