#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base.h"
#include "endpoints.h"
#include "form.h"
#include "store.h"
#include "wire.h"

static void refuse_form(const struct exchange *exchange, struct answer *answer, const char *detail,
                        const char *pointer)
{
    answer_error(answer, (unsigned)exchange->server->options.bad_form, detail, pointer);
}

static bool has_required(struct exchange *exchange, struct answer *answer)
{
    const struct {
        const char *offence, *pointer;
        bool there;
    } required[] = {
        {"part data missing", "/data", form_has_data(exchange->form)},
        {"part name missing", "/name", form_text(exchange->form, "name") != NULL},
        {"part user missing", "/user", form_text(exchange->form, "user") != NULL},
    };
    bool complete = true;
    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++) {
        if (required[i].there) {
            continue;
        }
        exchange_offend(exchange, required[i].offence);
        if (complete) {
            refuse_form(exchange, answer, required[i].offence, required[i].pointer);
        }
        complete = false;
    }
    return complete;
}

static bool takes_extension(const struct exchange *exchange)
{
    const char *dot = strrchr(form_filename(exchange->form), '.');
    return dot == NULL || !options_has(&exchange->server->options.refused_extensions, dot + 1);
}

static bool takes_user(const struct exchange *exchange)
{
    const struct options *options = &exchange->server->options;
    return options->users.count == 0 ||
           options_has(&options->users, form_text(exchange->form, "user"));
}

/* Whether the form says enforce_unique_meeting_id; false for neither yes nor no. */
static bool read_enforce(struct exchange *exchange, bool *enforce)
{
    const char *text = form_text(exchange->form, "enforce_unique_meeting_id");
    *enforce = text == NULL || strcasecmp(text, "true") == 0;
    return *enforce || strcasecmp(text, "false") == 0;
}

static bool takes_meeting(const struct exchange *exchange)
{
    const struct options *options = &exchange->server->options;
    const char *meeting = form_text(exchange->form, "meeting_id");
    return meeting == NULL || options->meeting_ids == MEETING_ANY ||
           options_has(&options->calendar, meeting);
}

/* Everything but uniqueness. False: the answer is set. */
static bool judge_form(struct exchange *exchange, struct answer *answer, bool *enforce)
{
    const struct options *options = &exchange->server->options;
    if (exchange->form == NULL || !exchange->form_good) {
        refuse_form(exchange, answer, "a whole multipart/form-data body is wanted", NULL);
    } else if (!has_required(exchange, answer)) {
        return false;
    } else if (options->max_size > 0 &&
               form_data_size(exchange->form) > (uint64_t)options->max_size) {
        answer_error(answer, 413, "the upload is too large", "/data");
    } else if (!takes_extension(exchange)) {
        answer_error(answer, 415, "this file extension is not supported", "/data");
    } else if (!takes_user(exchange)) {
        answer_error(answer, (unsigned)options->unknown_user, "no such user", "/user");
    } else if (!read_enforce(exchange, enforce)) {
        exchange_offend(exchange, "enforce_unique_meeting_id is no boolean");
        refuse_form(exchange, answer, "true or false is wanted", "/enforce_unique_meeting_id");
    } else if (!takes_meeting(exchange)) {
        refuse_form(exchange, answer, "no such meeting", "/meeting_id");
    } else {
        return true;
    }
    return false;
}

static void answer_conflict(const struct exchange *exchange, struct answer *answer)
{
    static const char detail[] = "a recording with this meeting_id already exists";
    static const char html[] = "<html><body><h1>409 Conflict</h1></body></html>";
    switch ((enum conflict)exchange->server->options.conflict) {
    case CONFLICT_409:
        answer_error(answer, 409, detail, "/meeting_id");
        return;
    case CONFLICT_409_HTML:
        answer_bytes(answer, 409, "text/html", html, sizeof html - 1);
        return;
    case CONFLICT_409_EMPTY:
        answer_bytes(answer, 409, NULL, "", 0);
        return;
    case CONFLICT_400:
        answer_error(answer, 400, detail, "/meeting_id");
        return;
    case CONFLICT_422:
        answer_error(answer, 422, detail, "/meeting_id");
        return;
    case CONFLICT_200_FALSE: {
        cJSON *body = cJSON_CreateObject();
        cJSON_AddBoolToObject(body, "success", false);
        cJSON_AddStringToObject(body, "message", detail);
        answer_json(answer, 200, TYPE_JSON, body);
        return;
    }
    }
}

static void answer_refused(struct answer *answer)
{
    cJSON *body = cJSON_CreateObject();
    cJSON_AddBoolToObject(body, "success", false);
    cJSON_AddStringToObject(body, "message", "the recording could not be imported");
    answer_json(answer, 200, TYPE_JSON, body);
}

static void add_id(cJSON *body, int where, const char *id)
{
    static const char *const names[] = {
        [ID_ENGAGEMENT_ID] = "engagement_id", [ID_ID] = "id", [ID_CALLID] = "callid"};
    if (where == ID_DATA_ID) {
        cJSON *data = cJSON_AddObjectToObject(body, "data");
        cJSON_AddStringToObject(data, "id", id);
        cJSON_AddStringToObject(data, "type", "engagement");
    } else if (where != ID_NONE) {
        cJSON_AddStringToObject(body, names[where], id);
    }
}

static void answer_accepted(const struct exchange *exchange, struct answer *answer, const char *id)
{
    const struct options *options = &exchange->server->options;
    if (options->answer == ANSWER_EMPTY) {
        answer_bytes(answer, 200, NULL, "", 0);
        return;
    }
    cJSON *body = cJSON_CreateObject();
    add_id(body, options->id_field, id);
    if (options->answer == ANSWER_SUCCESS) {
        cJSON_AddBoolToObject(body, "success", true);
    }
    answer_json(answer, 200, TYPE_JSON, body);
}

static void keep_media(const struct exchange *exchange, const char *id)
{
    if (!exchange->server->options.keep_media) {
        return;
    }
    char *path = base_text("%s/media/%s", exchange->server->options.dir, id);
    form_keep_media(exchange->form, path);
    free(path);
}

/* Checks uniqueness and stores: in one step, or with a gap between the two. */
static enum store_outcome store_form(struct exchange *exchange, bool enforce,
                                     char id[STORE_ID_SIZE])
{
    struct server *server = exchange->server;
    const struct form *form = exchange->form;
    const char *meeting = form_text(form, "meeting_id");
    struct store_offer offer = {.request = exchange->n,
                                .fields = form_fields(form),
                                .filename = form_filename(form),
                                .content_type = form_content_type(form),
                                .size = form_data_size(form),
                                .sha256 = form_sha256(form)};
    int64_t gap_ms = server->options.check_then_store_ms;
    if (!enforce || meeting == NULL) {
        return store_add(server->store, &offer, STORE_UNCHECKED, id);
    }
    if (gap_ms < 0) {
        return store_add(server->store, &offer, STORE_UNIQUE, id);
    }
    if (store_knows(server->store, meeting)) {
        return STORE_CONFLICT;
    }
    wire_wait(server, (uint64_t)gap_ms);
    return store_add(server->store, &offer, STORE_UNCHECKED, id);
}

void upload_take(struct exchange *exchange, struct answer *answer)
{
    bool enforce = true;
    char id[STORE_ID_SIZE] = "";
    if (!judge_form(exchange, answer, &enforce)) {
        return;
    }
    if (exchange->server->options.answer == ANSWER_REFUSED) {
        answer_refused(answer);
        return;
    }
    if (store_form(exchange, enforce, id) == STORE_CONFLICT) {
        answer_conflict(exchange, answer);
        return;
    }
    keep_media(exchange, id);
    if (exchange->line != NULL) {
        cJSON_AddStringToObject(exchange->line, "engagement_id", id);
    }
    answer_accepted(exchange, answer, id);
}
