#include "exchange.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "arrival.h"
#include "base.h"
#include "endpoints.h"
#include "form.h"
#include "journal.h"
#include "reply.h"
#include "script.h"
#include "wire.h"

#define CONTROL_MAX (4u * 1024 * 1024) /* of the body of a control request */

static void not_found(struct exchange *exchange, struct answer *answer)
{
    answer_error(answer, 404, "there is nothing at this path", exchange->path);
}

static void not_allowed(struct exchange *exchange, struct answer *answer)
{
    answer_error(answer, 405, "this path does not take this method", exchange->path);
}

static const struct {
    const char *method, *path; /* a path that ends in / is followed by an id */
    exchange_endpoint *endpoint;
} routes[] = {
    {"POST", "/v3/upload", upload_take},
    {"GET", "/v3/engagements", reads_engagements},
    {"DELETE", "/v3/engagements", deletes_batch},
    {"DELETE", "/v3/engagements/", deletes_engagement},
    {"GET", "/v3/users", reads_users},
    {"GET", "/api/v1/users/me", reads_me},
    {"GET", "/api/v1/conversations/", reads_conversation},
    {"DELETE", "/api/v1/conversations/", deletes_conversation},
    {"POST", "/double/script", control_script},
    {"POST", "/double/token", control_token},
    {"GET", "/double/summary", control_summary},
};

static bool path_fits(const char *pattern, const char *path)
{
    size_t length = strlen(pattern);
    if (pattern[length - 1] != '/') {
        return strcmp(pattern, path) == 0;
    }
    return strncmp(pattern, path, length) == 0 && path[length] != '\0' &&
           strchr(path + length, '/') == NULL;
}

static exchange_endpoint *find_endpoint(const char *method, const char *path)
{
    exchange_endpoint *found = not_found;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (path_fits(routes[i].path, path)) {
            if (strcmp(routes[i].method, method) == 0) {
                return routes[i].endpoint;
            }
            found = not_allowed;
        }
    }
    return found;
}

static bool is_control(const struct exchange *exchange)
{
    return strncmp(exchange->path, "/double/", 8) == 0;
}

void exchange_offend(struct exchange *exchange, const char *what)
{
    if (exchange->line != NULL) {
        cJSON_AddItemToArray(exchange->offences, cJSON_CreateString(what));
    }
}

const char *exchange_parameter(const struct exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_GET_ARGUMENT_KIND, name);
}

static struct exchange *start_exchange(struct server *server, struct MHD_Connection *connection,
                                       const char *url, const char *method)
{
    struct exchange *exchange = base_need(sizeof *exchange);
    exchange->server = server;
    exchange->connection = connection;
    exchange->socket =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    exchange->method = base_copy(method);
    exchange->path = base_shown(url, strlen(url), NULL);
    exchange->endpoint = find_endpoint(method, exchange->path);
    return exchange;
}

/* ---- what is due when ---- */

static bool comes_early(const struct exchange *exchange, unsigned status)
{
    return exchange->server->options.refuse != REFUSE_LATE &&
           (status == 401 || status == 413 || status == 429);
}

/* Whether a reply is due before the body; sets what it is. */
static bool is_due_at_headers(struct exchange *exchange, const struct script_action **action)
{
    *action = exchange->rule != NULL ? &exchange->rule->action : NULL;
    if (*action == NULL || (*action)->reply == REPLY_OWN) {
        return comes_early(exchange, exchange->refusal.status);
    }
    return (*action)->place == PLACE_BEFORE_BODY ||
           ((*action)->reply == REPLY_STATUS && (*action)->place == PLACE_AFTER_BODY &&
            !(*action)->does && comes_early(exchange, (*action)->status));
}

static enum MHD_Result at_headers(struct exchange *exchange)
{
    const struct script_action *action = NULL;
    if (!is_due_at_headers(exchange, &action)) {
        return MHD_YES;
    }
    exchange->linger = exchange->server->options.refuse != REFUSE_ABRUPT;
    return reply_send(exchange, action);
}

/* ---- the body ---- */

static void take_control_body(struct exchange *exchange, const char *bytes, size_t size)
{
    if (exchange->control_size + size > CONTROL_MAX) {
        return;
    }
    exchange->control_body =
        base_grow(exchange->control_body, exchange->control_size + size + 1, 1);
    memcpy(exchange->control_body + exchange->control_size, bytes, size);
    exchange->control_size += size;
    exchange->control_body[exchange->control_size] = '\0';
}

static enum MHD_Result take_body(struct exchange *exchange, const char *bytes, size_t *size)
{
    const struct script_action *action = exchange->rule != NULL ? &exchange->rule->action : NULL;
    exchange->body_bytes += *size;
    if (is_control(exchange)) {
        take_control_body(exchange, bytes, *size);
    } else if (exchange->form != NULL) {
        form_take(exchange->form, bytes, *size);
    }
    if (action != NULL) {
        wire_pace(exchange->server, *size, action->slow_read);
    }
    *size = 0;
    if (action != NULL && action->place == PLACE_IN_BODY &&
        exchange->body_bytes >= action->in_body) {
        return reply_send(exchange, action);
    }
    return MHD_YES;
}

static const struct script_rule *final_rule(struct exchange *exchange)
{
    struct script_form form = {0};
    if (exchange->form != NULL) {
        form = (struct script_form){.name = form_text(exchange->form, "name"),
                                    .user = form_text(exchange->form, "user"),
                                    .meeting = form_text(exchange->form, "meeting_id"),
                                    .sha256 = form_sha256(exchange->form)};
    }
    return script_at_body(exchange->script, exchange->method, exchange->path, &form,
                          exchange->rule);
}

static enum MHD_Result at_body(struct exchange *exchange)
{
    exchange->whole = true;
    if (exchange->form != NULL) {
        exchange->form_good = form_end(exchange->form);
    }
    if (exchange->script != NULL) {
        exchange->rule = final_rule(exchange);
    }
    return reply_send(exchange, exchange->rule != NULL ? &exchange->rule->action : NULL);
}

/* ---- libmicrohttpd's side ---- */

enum MHD_Result exchange_take(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **request)
{
    (void)version;
    struct exchange *exchange = *request;
    if (exchange == NULL) {
        exchange = start_exchange(context, connection, url, method);
        *request = exchange;
        if (is_control(exchange)) {
            return MHD_YES;
        }
        arrival_note(exchange);
        return at_headers(exchange);
    }
    if (*upload_size > 0) {
        return take_body(exchange, upload, upload_size);
    }
    return at_body(exchange);
}

static void forget(struct exchange *exchange)
{
    form_free(exchange->form);
    answer_free(&exchange->refusal);
    script_release(exchange->script);
    free(exchange->control_body);
    free(exchange->method);
    free(exchange->path);
    free(exchange);
}

void exchange_end(void *context, struct MHD_Connection *connection, void **request,
                  enum MHD_RequestTerminationCode code)
{
    (void)context;
    (void)connection;
    (void)code;
    struct exchange *exchange = *request;
    if (exchange == NULL) {
        return;
    }
    *request = NULL;
    if (exchange->line != NULL) {
        reply_never(exchange);
    } else if (exchange->linger && !exchange->whole && !exchange->cut) {
        wire_linger(exchange);
    }
    reply_late(exchange);
    forget(exchange);
}

void exchange_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                         enum MHD_ConnectionNotificationCode code)
{
    (void)connection;
    struct server *server = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        struct arrival_connection *new_one = base_need(sizeof *new_one);
        new_one->number = journal_connection(server->journal);
        *socket_context = new_one;
    } else {
        free(*socket_context);
        *socket_context = NULL;
    }
}
