#include "answer.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"

static const struct {
    unsigned status;
    const char *code, *title;
} errors[] = {
    {400, "bad_request", "Bad Request"},
    {401, "unauthorized", "Unauthorized"},
    {403, "forbidden", "Forbidden"},
    {404, "not_found", "Not Found"},
    {405, "method_not_allowed", "Method Not Allowed"},
    {408, "request_timeout", "Request Timeout"},
    {409, "conflict", "Conflict"},
    {411, "length_required", "Length Required"},
    {413, "payload_too_large", "Payload Too Large"},
    {415, "unsupported_media_type", "Unsupported Media Type"},
    {422, "unprocessable_entity", "Unprocessable Entity"},
    {429, "too_many_requests", "Too Many Requests"},
    {500, "internal_server_error", "Internal Server Error"},
    {502, "bad_gateway", "Bad Gateway"},
    {503, "service_unavailable", "Service Unavailable"},
    {504, "gateway_timeout", "Gateway Timeout"},
};

void answer_json(struct answer *answer, unsigned status, const char *type, cJSON *body)
{
    answer->status = status;
    answer->type = type;
    char *json = cJSON_PrintUnformatted(body);
    answer->size = strlen(json);
    answer->body = base_copy(json);
    cJSON_free(json);
    cJSON_Delete(body);
}

void answer_bytes(struct answer *answer, unsigned status, const char *type, const char *bytes,
                  size_t size)
{
    answer->status = status;
    answer->type = type;
    answer->size = size;
    answer->body = base_copy_bytes(bytes, size);
}

void answer_error(struct answer *answer, unsigned status, const char *detail, const char *pointer)
{
    const char *code = "error";
    const char *title = "Error";
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        if (errors[i].status == status) {
            code = errors[i].code;
            title = errors[i].title;
        }
    }
    char *shown = base_text("%u", status);
    cJSON *document = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(document, "errors");
    cJSON *error = cJSON_CreateObject();
    cJSON_AddItemToArray(list, error);
    cJSON_AddStringToObject(error, "status", shown);
    cJSON_AddStringToObject(error, "code", code);
    cJSON_AddStringToObject(error, "title", title);
    cJSON_AddStringToObject(error, "detail", detail);
    if (pointer != NULL) {
        cJSON *source = cJSON_AddObjectToObject(error, "source");
        cJSON_AddStringToObject(source, "pointer", pointer);
    }
    free(shown);
    answer_json(answer, status, TYPE_JSON_API, document);
}

void answer_free(struct answer *answer)
{
    free(answer->body);
    *answer = (struct answer){0};
}
