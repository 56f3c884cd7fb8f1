#include "journal.h"

#include <cjson/cJSON.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "lines.h"
#include "options.h"
#include "store.h"

struct journal {
    struct lines *arrivals, *requests;
    pthread_mutex_t lock; /* guards all below */
    struct journal_counts counts;
    cJSON *unfinished; /* only while opening: arrivals by their number */
};

static uint64_t number_of(const cJSON *line, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(line, name);
    return cJSON_IsNumber(item) ? (uint64_t)item->valuedouble : 0;
}

static bool is_upload(const cJSON *line)
{
    const char *method = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(line, "method"));
    const char *path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(line, "path"));
    return method != NULL && path != NULL && strcmp(method, "POST") == 0 &&
           strcmp(path, "/v3/upload") == 0;
}

static void count_finished(struct journal *journal, const cJSON *line)
{
    bool whole = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(line, "whole"));
    journal->counts.whole += is_upload(line) && whole ? 1 : 0;
    const cJSON *offences = cJSON_GetObjectItemCaseSensitive(line, "offences");
    journal->counts.offences += cJSON_GetArraySize(offences) > 0 ? 1 : 0;
}

static void count_arrived(struct journal *journal, const cJSON *line)
{
    journal->counts.requests = number_of(line, "n");
    journal->counts.posts += is_upload(line) ? 1 : 0;
    uint64_t connection = number_of(line, "connection");
    if (connection > journal->counts.connections) {
        journal->counts.connections = connection;
    }
}

static void read_arrival(void *context, const cJSON *line)
{
    struct journal *journal = context;
    count_arrived(journal, line);
    cJSON_AddItemToArray(journal->unfinished, cJSON_Duplicate(line, true));
}

/* Requests end nearly in the order in which they arrive: the one looked for stands near the top. */
static void read_request(void *context, const cJSON *line)
{
    struct journal *journal = context;
    count_finished(journal, line);
    uint64_t n = number_of(line, "n");
    for (cJSON *at = journal->unfinished->child; at != NULL; at = at->next) {
        if (number_of(at, "n") == n) {
            cJSON_Delete(cJSON_DetachItemViaPointer(journal->unfinished, at));
            return;
        }
    }
}

static void finish_unfinished(struct journal *journal, struct store *store)
{
    cJSON *line = NULL;
    while ((line = cJSON_DetachItemFromArray(journal->unfinished, 0)) != NULL) {
        cJSON_AddBoolToObject(line, "whole", store_has_request(store, number_of(line, "n")));
        cJSON_AddStringToObject(line, "status", "none");
        cJSON_AddArrayToObject(line, "offences");
        cJSON_AddStringToObject(line, "ended", "the double ended first");
        journal_finish(journal, line);
    }
}

struct journal *journal_open(const struct options *options, struct store *store)
{
    struct journal *journal = base_need(sizeof *journal);
    pthread_mutex_init(&journal->lock, NULL);
    const char *dir = options->dir;
    char *arrivals = dir != NULL ? base_text("%s/arrivals.jsonl", dir) : NULL;
    char *requests = dir != NULL ? base_text("%s/requests.jsonl", dir) : NULL;
    journal->unfinished = cJSON_CreateArray();
    journal->arrivals = lines_open(arrivals, read_arrival, journal);
    journal->requests = lines_open(requests, read_request, journal);
    finish_unfinished(journal, store);
    cJSON_Delete(journal->unfinished);
    free(arrivals);
    free(requests);
    return journal;
}

void journal_close(struct journal *journal)
{
    lines_close(journal->arrivals);
    lines_close(journal->requests);
    pthread_mutex_destroy(&journal->lock);
    free(journal);
}

uint64_t journal_connection(struct journal *journal)
{
    pthread_mutex_lock(&journal->lock);
    uint64_t connection = ++journal->counts.connections;
    pthread_mutex_unlock(&journal->lock);
    return connection;
}

cJSON *journal_arrive(struct journal *journal, const char *method, const char *path,
                      uint64_t connection)
{
    char at[BASE_TIME_SIZE];
    int64_t now = base_now_ms();
    base_time(now, at);
    cJSON *line = cJSON_CreateObject();
    cJSON *number = cJSON_AddNumberToObject(line, "n", 0);
    cJSON_AddStringToObject(line, "at", at);
    cJSON_AddNumberToObject(line, "at_ms", (double)now);
    cJSON_AddStringToObject(line, "method", method);
    cJSON_AddStringToObject(line, "path", path);
    cJSON_AddNumberToObject(line, "connection", (double)connection);
    pthread_mutex_lock(&journal->lock);
    cJSON_SetNumberValue(number, (double)(journal->counts.requests + 1));
    count_arrived(journal, line);
    lines_append(journal->arrivals, cJSON_Duplicate(line, true), LINES_UNSYNCED);
    pthread_mutex_unlock(&journal->lock);
    return line;
}

void journal_finish(struct journal *journal, cJSON *line)
{
    pthread_mutex_lock(&journal->lock);
    count_finished(journal, line);
    lines_append(journal->requests, line, LINES_UNSYNCED);
    pthread_mutex_unlock(&journal->lock);
}

struct journal_counts journal_count(struct journal *journal)
{
    pthread_mutex_lock(&journal->lock);
    struct journal_counts counts = journal->counts;
    pthread_mutex_unlock(&journal->lock);
    return counts;
}
