#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "endpoints.h"
#include "journal.h"
#include "script.h"
#include "store.h"

void control_script(struct exchange *exchange, struct answer *answer)
{
    const char *text = exchange->control_body != NULL ? exchange->control_body : "";
    char *fault = NULL;
    struct script *script = script_parse("script", text, &fault);
    if (script == NULL) {
        answer_bytes(answer, 400, "text/plain", fault, strlen(fault));
        free(fault);
        return;
    }
    cJSON *body = cJSON_CreateObject();
    cJSON_AddNumberToObject(body, "rules", (double)script_size(script));
    pthread_mutex_lock(&exchange->server->lock);
    struct script *old = exchange->server->script;
    exchange->server->script = script;
    pthread_mutex_unlock(&exchange->server->lock);
    script_release(old);
    answer_json(answer, 200, TYPE_JSON, body);
}

void control_token(struct exchange *exchange, struct answer *answer)
{
    const char *text = exchange->control_body != NULL ? exchange->control_body : "";
    char *token = base_copy_bytes(text, strcspn(text, "\r\n"));
    pthread_mutex_lock(&exchange->server->lock);
    char *old = exchange->server->token;
    exchange->server->token = token;
    pthread_mutex_unlock(&exchange->server->lock);
    free(old);
    answer_bytes(answer, 200, TYPE_JSON, "{}", 2);
}

void control_summary(struct exchange *exchange, struct answer *answer)
{
    struct store_counts held = store_count(exchange->server->store);
    struct journal_counts seen = journal_count(exchange->server->journal);
    const struct {
        const char *name;
        uint64_t number;
    } facts[] = {
        {"requests", seen.requests},
        {"connections", seen.connections},
        {"posts", seen.posts},
        {"whole", seen.whole},
        {"offences", seen.offences},
        {"stored", held.stored},
        {"distinct_sha256", held.distinct},
        {"doubled", held.doubled},
        {"present", held.present},
        {"deletions", held.deletions},
    };
    cJSON *body = cJSON_CreateObject();
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        cJSON_AddNumberToObject(body, facts[i].name, (double)facts[i].number);
    }
    answer_json(answer, 200, TYPE_JSON, body);
}
