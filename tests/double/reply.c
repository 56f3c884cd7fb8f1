#include "reply.h"

#include <cjson/cJSON.h>
#include <stddef.h>

#include "exchange.h"
#include "form.h"
#include "journal.h"
#include "script.h"
#include "wire.h"

static void note_form(struct exchange *exchange)
{
    const struct form *form = exchange->form;
    cJSON_AddItemToObject(exchange->line, "fields", cJSON_Duplicate(form_fields(form), true));
    cJSON_AddItemToObject(exchange->line, "parts", cJSON_Duplicate(form_parts(form), true));
    cJSON_AddStringToObject(exchange->line, "filename", form_filename(form));
    cJSON_AddStringToObject(exchange->line, "content_type", form_content_type(form));
    cJSON_AddNumberToObject(exchange->line, "data_bytes", (double)form_data_size(form));
    if (exchange->whole && form_has_data(form)) {
        cJSON_AddStringToObject(exchange->line, "sha256", form_sha256(form));
    }
}

/* Writes the line, before the reply leaves: who has an answer finds it in the journal. */
static void write_line(struct exchange *exchange, unsigned status)
{
    if (exchange->line == NULL) {
        return;
    }
    cJSON_AddBoolToObject(exchange->line, "whole", exchange->whole);
    cJSON_AddNumberToObject(exchange->line, "body_bytes", (double)exchange->body_bytes);
    if (status != 0) {
        cJSON_AddNumberToObject(exchange->line, "status", status);
    } else {
        cJSON_AddStringToObject(exchange->line, "status", "none");
    }
    if (exchange->rule != NULL) {
        cJSON_AddNumberToObject(exchange->line, "rule", (double)exchange->rule->line);
    }
    if (exchange->form != NULL) {
        note_form(exchange);
    }
    journal_finish(exchange->server->journal, exchange->line);
    exchange->line = NULL;
}

static void take_effect(struct exchange *exchange, struct answer *answer)
{
    if (exchange->refusal.status != 0) {
        *answer = exchange->refusal;
        exchange->refusal = (struct answer){0};
        return;
    }
    exchange->endpoint(exchange, answer);
}

void reply_late(struct exchange *exchange)
{
    if (exchange->late == NULL) {
        return;
    }
    struct answer unheard = {0};
    wire_wait(exchange->server, (uint64_t)exchange->late->does_after_ms);
    exchange->late = NULL;
    take_effect(exchange, &unheard);
    answer_free(&unheard);
}

void reply_never(struct exchange *exchange)
{
    cJSON_AddStringToObject(exchange->line, "ended", "the client left");
    write_line(exchange, 0);
}

static void scripted_answer(const struct script_action *action, struct answer *answer)
{
    answer_free(answer);
    if (action->body == NULL) {
        answer_error(answer, action->status, "the script says so", NULL);
    } else {
        answer_bytes(answer, action->status, TYPE_JSON, action->body, action->body_size);
    }
    if (action->type != NULL) {
        answer->type = action->type;
    }
}

/* Everything but an answer in HTTP; ends the connection. */
static enum MHD_Result break_off(struct exchange *exchange, const struct script_action *action)
{
    write_line(exchange, 0);
    if (action->reply == REPLY_RESET) {
        wire_reset(exchange);
    } else if (action->reply == REPLY_RAW || action->reply == REPLY_CLOSE) {
        if (action->reply == REPLY_RAW) {
            wire_raw(exchange, action);
        }
        wire_finish(exchange);
        exchange->linger = true;
    } else if (exchange->late != NULL) {
        reply_late(exchange);
        wire_hang(exchange);
    } else {
        wire_hang(exchange);
    }
    return MHD_NO;
}

enum MHD_Result reply_send(struct exchange *exchange, const struct script_action *action)
{
    struct answer answer = {0};
    if (action != NULL && action->does && action->does_after_ms >= 0) {
        exchange->late = action;
    } else if (action == NULL || action->does) {
        take_effect(exchange, &answer);
    }
    if (action != NULL && action->delay_ms > 0) {
        wire_wait(exchange->server, action->delay_ms);
    }
    if (action != NULL && action->reply == REPLY_STATUS) {
        scripted_answer(action, &answer);
    } else if (action != NULL && action->reply != REPLY_OWN) {
        answer_free(&answer);
        return break_off(exchange, action);
    }
    write_line(exchange, answer.status);
    enum MHD_Result queued = wire_answer(exchange, &answer, action);
    answer_free(&answer);
    return queued;
}
