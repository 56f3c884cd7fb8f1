#include "agent/control/result.h"

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

#define SUFFIX ".delete"

struct result {
    char *folder, *name, *temporary; /* paths: the last two below `folder` */
    FILE *stream;
    int error; /* the first one */
    bool any;  /* a row was written */
};

/* --- text --- */

static void put(struct result *result, const char *text)
{
    if (result->error == 0 && fputs(text, result->stream) < 0)
        result->error = -errno;
}

/* Every key of interface.md is there, null where nothing is known. */
static void add_text(cJSON *object, const char *key, const char *bytes)
{
    char *escaped = bytes != NULL ? bytes_escape(bytes) : NULL;
    if (escaped != NULL)
        cJSON_AddStringToObject(object, key, escaped);
    else
        cJSON_AddNullToObject(object, key);
    free(escaped);
}

static void add_time(cJSON *object, const char *key, int64_t ms)
{
    if (ms != 0)
        json_add_time(object, key, ms);
    else
        cJSON_AddNullToObject(object, key);
}

/* Members of an object, with the braces or without. */
static void put_json(struct result *result, cJSON *json, bool bare)
{
    char *text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    if (text == NULL) {
        result->error = result->error != 0 ? result->error : -ENOMEM;
        return;
    }
    if (bare)
        text[strlen(text) - 1] = '\0';
    put(result, bare ? text + 1 : text);
    cJSON_free(text);
}

static void put_head(struct result *result, const struct result_head *head)
{
    cJSON *json = cJSON_CreateObject();
    add_text(json, "request", head->request);
    /* refused whole, the reason is why; else it is the administrator's own */
    if (head->refusal != NULL) {
        cJSON_AddTrueToObject(json, "refused");
        json_add_bytes(json, "requested_because", head->reason);
    }
    add_text(json, "reason", head->refusal != NULL ? head->refusal : head->reason);
    add_text(json, "requested_by", head->requested_by);
    if (head->dry_run)
        cJSON_AddTrueToObject(json, "dry_run");
    json_add_time(json, "taken_at", head->taken_ms);
    put(result, "{\n");
    put_json(result, json, true);
    put(result, ",\n\"results\":[");
}

/* What was deleted though the ledger does not know it is said to be so. */
static const char *reason_of(const struct ledger_finding *finding)
{
    bool unknown =
        finding->path == NULL && finding->sha256 == NULL && finding->engagement_id != NULL;
    if (finding->reason != NULL || !unknown)
        return finding->reason;
    return "the ledger does not know this engagement; it was deleted as asked";
}

void result_add(struct result *result, const struct ledger_finding *finding)
{
    cJSON *row = cJSON_CreateObject();
    char hex[65];
    if (finding->sha256 != NULL)
        bytes_to_hex(finding->sha256, 32, hex);
    add_text(row, "target", finding->target);
    cJSON_AddNumberToObject(row, "line", finding->line);
    add_text(row, "path", finding->path);
    add_text(row, "sha256", finding->sha256 != NULL ? hex : NULL);
    add_text(row, "engagement_id", finding->engagement_id);
    add_text(row, "outcome", erasure_outcome_name(finding->outcome));
    if (finding->status != 0)
        cJSON_AddNumberToObject(row, "http_status", finding->status);
    else
        cJSON_AddNullToObject(row, "http_status");
    add_time(row, "visible_before_at", finding->visible_ms);
    add_time(row, "accepted_at", finding->accepted_ms);
    add_time(row, "gone_at", finding->gone_ms);
    add_text(row, "reason", reason_of(finding));
    if (finding->local_remains)
        cJSON_AddTrueToObject(row, "local_remains");
    put(result, result->any ? ",\n" : "\n");
    put_json(result, row, false);
    result->any = true;
}

/* --- its life --- */

static void free_result(struct result *result)
{
    free(result->folder);
    free(result->name);
    free(result->temporary);
    free(result);
}

struct result *result_begin(const char *folder, const char *name, const struct result_head *head)
{
    struct result *result = mem_zalloc(sizeof *result);
    result->folder = mem_string(folder);
    result->name = mem_printf("%s/%s", folder, name);
    result->temporary = mem_printf("%s/.%s.new", folder, name);
    unlink(result->temporary);
    int fd = open(result->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    result->stream = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (result->stream == NULL) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        free_result(result);
        errno = error;
        return NULL;
    }
    put_head(result, head);
    return result;
}

static int sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return error;
}

static void finish_file(struct result *result)
{
    put(result, "\n]}\n");
    if (result->error == 0 && (fflush(result->stream) != 0 || fsync(fileno(result->stream)) != 0))
        result->error = -errno;
    if (fclose(result->stream) != 0 && result->error == 0)
        result->error = -errno;
}

int result_end(struct result *result)
{
    finish_file(result);
    if (result->error == 0 &&
        renameat2(AT_FDCWD, result->temporary, AT_FDCWD, result->name, RENAME_NOREPLACE) != 0)
        result->error = -errno;
    if (result->error != 0)
        unlink(result->temporary);
    else
        result->error = sync_folder(result->folder);
    int error = result->error;
    free_result(result);
    return error;
}

void result_drop(struct result *result)
{
    fclose(result->stream);
    unlink(result->temporary);
    free_result(result);
}

/* --- names --- */

/* Longer ones are cut, so that what is added to a name has room. */
enum { MOST_STEM = 200 };

static size_t stem_length(const char *control_file)
{
    size_t n = strlen(control_file), suffix = strlen(SUFFIX);
    return n > suffix && strcmp(control_file + n - suffix, SUFFIX) == 0 ? n - suffix : n;
}

char *result_name(const char *control_file)
{
    return mem_printf("%.*s.result.json", (int)stem_length(control_file), control_file);
}

static bool is_taken(const char *folder, const char *name)
{
    struct stat st;
    char *path = mem_printf("%s/%s", folder, name);
    bool taken = lstat(path, &st) == 0;
    free(path);
    return taken;
}

char *result_free_name(const char *folder, const char *control_file)
{
    size_t whole = stem_length(control_file);
    int stem = (int)(whole < MOST_STEM ? whole : MOST_STEM);
    for (unsigned i = 1;; i++) {
        char number[16] = "";
        if (i > 1)
            snprintf(number, sizeof number, "-%u", i);
        char *name = mem_printf("%.*s%s%s", stem, control_file, number, SUFFIX);
        char *result = result_name(name);
        bool taken = is_taken(folder, name) || is_taken(folder, result);
        free(result);
        if (!taken)
            return name;
        free(name);
    }
}
