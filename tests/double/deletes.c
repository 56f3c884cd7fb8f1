#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base.h"
#include "endpoints.h"
#include "store.h"

#define BATCH_MAX 100u

/* A task's end cannot be polled: its document is all that is ever seen of it. */
static void answer_task(struct answer *answer)
{
    cJSON *body = cJSON_CreateObject();
    cJSON *data = cJSON_AddObjectToObject(body, "data");
    cJSON_AddStringToObject(data, "id", "123");
    cJSON_AddStringToObject(data, "type", "task");
    cJSON *attributes = cJSON_AddObjectToObject(data, "attributes");
    cJSON_AddStringToObject(attributes, "status", "pending");
    answer_json(answer, 202, TYPE_JSON_API, body);
}

static void delete_one(struct exchange *exchange, struct answer *answer, bool force)
{
    const char *id = strrchr(exchange->path, '/') + 1;
    if (store_delete(exchange->server->store, id, force) == STORE_UNKNOWN) {
        answer_error(answer, 404, "no such engagement", NULL);
        return;
    }
    answer_task(answer);
}

void deletes_engagement(struct exchange *exchange, struct answer *answer)
{
    delete_one(exchange, answer, false);
}

void deletes_conversation(struct exchange *exchange, struct answer *answer)
{
    const char *force = exchange_parameter(exchange, "force_delete");
    delete_one(exchange, answer, force != NULL && strcasecmp(force, "true") == 0);
}

static size_t count_ids(const char *list)
{
    size_t count = 0;
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',' ? 1 : 0;
        count += *at != ',' && *at != '\0' ? 1 : 0;
    }
    return count;
}

void deletes_batch(struct exchange *exchange, struct answer *answer)
{
    const char *list = exchange_parameter(exchange, "engagement_id");
    size_t count = list != NULL ? count_ids(list) : 0;
    if (count == 0 || count > BATCH_MAX) {
        answer_error(answer, 400, "1 to 100 engagement ids are wanted", "engagement_id");
        return;
    }
    bool all_known = true;
    char *copy = base_copy(list);
    char *rest = NULL;
    for (char *id = strtok_r(copy, ",", &rest); id != NULL; id = strtok_r(NULL, ",", &rest)) {
        if (store_delete(exchange->server->store, id, false) == STORE_UNKNOWN) {
            all_known = false;
        }
    }
    free(copy);
    unsigned unknown = (unsigned)exchange->server->options.delete_unknown;
    if (!all_known && unknown >= 400) {
        answer_error(answer, unknown, "no such engagement", "engagement_id");
        return;
    }
    answer_task(answer);
}
