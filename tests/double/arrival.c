#include "arrival.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base.h"
#include "endpoints.h"
#include "form.h"
#include "journal.h"
#include "script.h"

static const char *header(const struct exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

static enum MHD_Result list_header(void *context, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    (void)kind;
    (void)value; /* one of them is the token */
    cJSON_AddItemToArray(context, cJSON_CreateString(name));
    return MHD_YES;
}

static enum MHD_Result list_parameter(void *context, enum MHD_ValueKind kind, const char *name,
                                      const char *value)
{
    (void)kind;
    char *shown = base_shown(value != NULL ? value : "", value != NULL ? strlen(value) : 0, NULL);
    cJSON_AddStringToObject(context, name, shown);
    free(shown);
    return MHD_YES;
}

static void note_length(struct exchange *exchange)
{
    const char *length = header(exchange, MHD_HTTP_HEADER_CONTENT_LENGTH);
    const char *encoding = header(exchange, MHD_HTTP_HEADER_TRANSFER_ENCODING);
    uint64_t bytes = 0;
    if (length != NULL && base_number(length, &bytes)) {
        cJSON_AddNumberToObject(exchange->line, "content_length", (double)bytes);
    } else {
        cJSON_AddNullToObject(exchange->line, "content_length");
    }
    if (exchange->endpoint != upload_take) {
        return;
    }
    if (encoding != NULL && strcasecmp(encoding, "identity") != 0) {
        exchange_offend(exchange, "chunked");
        answer_error(&exchange->refusal, 411, "send Content-Length", NULL);
    } else if (length == NULL) {
        exchange_offend(exchange, "no Content-Length");
    }
}

static void note_headers(struct exchange *exchange, const struct arrival_connection *connection)
{
    cJSON_AddNumberToObject(exchange->line, "request_on_connection", (double)connection->requests);
    cJSON *query = cJSON_AddObjectToObject(exchange->line, "query");
    MHD_get_connection_values(exchange->connection, MHD_GET_ARGUMENT_KIND, list_parameter, query);
    cJSON *names = cJSON_AddArrayToObject(exchange->line, "headers");
    MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, list_header, names);
    exchange->offences = cJSON_AddArrayToObject(exchange->line, "offences");
    note_length(exchange);
    if (header(exchange, MHD_HTTP_HEADER_EXPECT) != NULL) {
        exchange_offend(exchange, "Expect header");
    }
}

/* Whether the token is accepted. A wrong one is no offence, since tokens rotate; a wrong form is.
 */
static bool judge_token(struct exchange *exchange)
{
    static const char scheme[] = "Bearer ";
    struct server *server = exchange->server;
    const char *given = header(exchange, MHD_HTTP_HEADER_AUTHORIZATION);
    if (given == NULL || given[0] == '\0') {
        exchange_offend(exchange, "token absent");
        return false;
    }
    bool has_scheme = strncasecmp(given, scheme, sizeof scheme - 1) == 0;
    if (has_scheme != (server->options.auth == AUTH_BEARER)) {
        exchange_offend(exchange, has_scheme ? "token with a scheme" : "token without a scheme");
        return false;
    }
    given += has_scheme ? sizeof scheme - 1 : 0;
    pthread_mutex_lock(&server->lock);
    bool accepted =
        server->token == NULL || (server->token[0] != '\0' && strcmp(server->token, given) == 0);
    pthread_mutex_unlock(&server->lock);
    return accepted;
}

static void refuse_at_headers(struct exchange *exchange)
{
    if (!judge_token(exchange)) {
        answer_free(&exchange->refusal);
        answer_error(&exchange->refusal, 401, "the API token is not valid", NULL);
        return;
    }
    int64_t most = exchange->server->options.max_size;
    const cJSON *length = cJSON_GetObjectItemCaseSensitive(exchange->line, "content_length");
    if (exchange->endpoint == upload_take && most > 0 && exchange->refusal.status == 0 &&
        cJSON_IsNumber(length) && length->valuedouble > (double)most) {
        answer_error(&exchange->refusal, 413, "the upload is too large", NULL);
    }
}

static struct script *current_script(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    struct script *script = script_hold(server->script);
    pthread_mutex_unlock(&server->lock);
    return script;
}

static void open_form(struct exchange *exchange)
{
    const struct options *options = &exchange->server->options;
    char *media = options->keep_media ? base_text("%s/media/.coming-%llu", options->dir,
                                                  (unsigned long long)exchange->n)
                                      : NULL;
    exchange->form = form_new(exchange->connection, exchange->offences, media);
    free(media);
    if (exchange->form == NULL) {
        exchange_offend(exchange, "no multipart/form-data");
    }
}

void arrival_note(struct exchange *exchange)
{
    struct arrival_connection *connection =
        MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
            ->socket_context;
    connection->requests++;
    exchange->line = journal_arrive(exchange->server->journal, exchange->method, exchange->path,
                                    connection->number);
    exchange->n = (uint64_t)cJSON_GetObjectItemCaseSensitive(exchange->line, "n")->valuedouble;
    note_headers(exchange, connection);
    refuse_at_headers(exchange);
    exchange->script = current_script(exchange->server);
    if (exchange->script != NULL) {
        exchange->rule = script_at_headers(exchange->script, exchange->method, exchange->path);
    }
    if (exchange->endpoint == upload_take) {
        open_form(exchange);
    }
}
