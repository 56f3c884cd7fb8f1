/* audit: what was deleted on request, and whether the record of it is whole. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <cjson/cJSON.h>

#include "agent/base/bytes.h"
#include "agent/base/json.h"
#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/commands/command.h"
#include "agent/ledger/deletions.h"

static void print_object(cJSON *object)
{
    char *text = cJSON_PrintUnformatted(object);
    puts(text);
    free(text);
    cJSON_Delete(object);
}

static void print_json(void *ctx, const struct ledger_audit_row *row)
{
    (void)ctx;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "number", (double)row->number);
    json_add_time(object, "at", row->at_ms);
    json_add_text(object, "event", row->event);
    json_add_text(object, "sha256", row->sha256);
    json_add_text(object, "call_hash", row->call_hash);
    json_add_bytes(object, "engagement_id", row->engagement_id);
    if (row->status != 0)
        cJSON_AddNumberToObject(object, "http_status", row->status);
    cJSON *details = row->details != NULL ? cJSON_Parse(row->details) : NULL;
    if (details != NULL)
        cJSON_AddItemToObject(object, "details", details);
    cJSON_AddBoolToObject(object, "wiped", row->wiped);
    json_add_text(object, "link", row->link);
    print_object(object);
}

static void print_text(void *ctx, const struct ledger_audit_row *row)
{
    char time[WHEN_TEXT];
    (void)ctx;
    when_rfc3339(row->at_ms, time);
    printf("%6" PRId64 "  %s  %-10s", row->number, time, row->event);
    if (row->engagement_id != NULL) {
        char *id = bytes_escape(row->engagement_id);
        printf("  engagement %s", id);
        free(id);
    }
    if (row->status != 0)
        printf("  HTTP %d", row->status);
    if (row->sha256 != NULL)
        printf("  sha256 %.16s", row->sha256);
    char *details = row->details != NULL ? bytes_escape(row->details) : NULL;
    printf("%s%s\n",
           row->wiped        ? "  (details wiped)"
           : details != NULL ? "  "
                             : "",
           details != NULL ? details : "");
    free(details);
}

/* 1: a row was changed or taken away. */
static int verify(struct ledger *ledger, bool json)
{
    int64_t rows = 0;
    char head[65] = "", *why = NULL;
    int64_t broken = ledger != NULL ? ledger_audit_verify(ledger, &rows, head, &why) : 0;
    if (json) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddBoolToObject(object, "whole", broken == 0);
        cJSON_AddNumberToObject(object, "rows", (double)rows);
        json_add_text(object, "head", head);
        if (broken != 0)
            cJSON_AddNumberToObject(object, "broken_at", (double)broken);
        json_add_text(object, "reason", why);
        print_object(object);
    } else if (broken != 0) {
        printf("the audit is broken at row %" PRId64 ": %s\n", broken, why != NULL ? why : "");
    } else {
        printf("the audit is whole: %" PRId64 " rows%s%s\n", rows, rows > 0 ? ", head " : "",
               rows > 0 ? head : "");
    }
    free(why);
    return broken != 0 ? 1 : 0;
}

static int audit(const struct config *config, bool verified, bool json)
{
    struct ledger *ledger;
    int code = command_open_ledger(config, &ledger);
    if (code == EX_IOERR)
        return code;
    code = verified ? verify(ledger, json) : 0;
    if (!verified && ledger != NULL)
        ledger_audit_each(ledger, 0, json ? print_json : print_text, NULL);
    ledger_close(ledger);
    return code;
}

int command_audit(const struct invocation *invocation)
{
    static const struct option options[] = {
        {"verify", no_argument, NULL, 'v'}, {"json", no_argument, NULL, 'j'}, {0}};
    bool verified = false, json = false;
    int option;
    while ((option = getopt_long(invocation->argc, invocation->argv, "", options, NULL)) != -1) {
        if (option == 'v')
            verified = true;
        else if (option == 'j')
            json = true;
        else
            return command_usage(invocation, "unknown option");
    }
    if (optind < invocation->argc)
        return command_usage(invocation, "it takes no arguments");
    struct config *config;
    int code = command_load_config(invocation, CONFIG_TO_LOOK, &config);
    if (code != 0)
        return code;
    code = command_enter_state_dir(config, false);
    if (code == 0)
        code = audit(config, verified, json);
    config_free(config);
    return code;
}
