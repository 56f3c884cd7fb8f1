/* list: the ledger's recordings, and what is settling or being read where the service runs. */
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
#include "agent/commands/running.h"

struct listing {
    int state; /* -1: all */
    bool json;
    size_t shown;
};

static void print_json(const struct ledger_row *row)
{
    char hex[65] = "";
    cJSON *object = cJSON_CreateObject();
    json_add_bytes(object, "path", row->path);
    json_add_text(object, "watch", row->watch);
    json_add_text(object, "rule", row->rule);
    json_add_text(object, "state", state_name(row->state));
    cJSON_AddNumberToObject(object, "size", (double)row->size);
    if (row->sha256 != NULL)
        bytes_to_hex(row->sha256, 32, hex);
    json_add_text(object, "sha256", hex);
    json_add_text(object, "owner", row->owner);
    json_add_text(object, "name", row->name);
    json_add_text(object, "meeting_id", row->meeting_id);
    json_add_text(object, "engagement_id", row->engagement_id);
    cJSON_AddNumberToObject(object, "attempts", row->attempts);
    json_add_text(object, "reason", row->reason);
    json_add_bytes(object, "duplicate_of", row->duplicate_of);
    json_add_bytes(object, "call_key", row->call_key);
    json_add_time(object, "first_seen_at", row->first_seen_ms);
    json_add_time(object, "next_attempt_at", row->next_attempt_ms);
    json_add_time(object, "uploaded_at", row->uploaded_ms);
    json_add_time(object, "processed_at", row->processed_ms);
    json_add_time(object, "deleted_at", row->deleted_ms);
    cJSON *fields = row->fields != NULL ? cJSON_Parse(row->fields) : NULL;
    cJSON_AddItemToObject(object, "fields", fields != NULL ? fields : cJSON_CreateObject());
    char *text = cJSON_PrintUnformatted(object);
    puts(text);
    free(text);
    cJSON_Delete(object);
}

static void print_text(const struct ledger_row *row)
{
    char size[COMMAND_SIZE_TEXT], time[WHEN_TEXT];
    char *path = bytes_escape(row->path);
    command_size_text(row->size, size);
    when_rfc3339(row->uploaded_ms != 0 ? row->uploaded_ms : row->first_seen_ms, time);
    printf("%-10s %9s  %s  %s", state_name(row->state), size, time,
           path[0] != '\0' ? path : "(its details were wiped)");
    if (row->owner != NULL && row->state != STATE_DUPLICATE)
        printf("  %s", row->owner);
    if (row->reason != NULL && row->reason[0] != '\0' &&
        !(row->state == STATE_UPLOADED && row->engagement_id != NULL))
        printf("  (%s)", row->reason);
    putchar('\n');
    free(path);
}

static void on_row(void *ctx, const struct ledger_row *row)
{
    struct listing *listing = ctx;
    listing->shown++;
    if (listing->json)
        print_json(row);
    else
        print_text(row);
}

static void pass_over_row(void *ctx, const struct ledger_row *row)
{
    (void)ctx;
    (void)row;
}

/* status.json may be a second old: what it calls settling may have reached the ledger since. */
static bool has_arrived(struct ledger *ledger, const char *escaped_path)
{
    char *path = bytes_unescape(escaped_path);
    bool arrived =
        ledger != NULL && path != NULL && ledger_list(ledger, -1, path, pass_over_row, NULL) > 0;
    free(path);
    return arrived;
}

/* What has not reached the ledger yet is told by the running service. */
static void list_in_work(struct listing *listing, struct ledger *ledger, const cJSON *running,
                         const char *below)
{
    const cJSON *file;
    cJSON_ArrayForEach(file, cJSON_GetObjectItemCaseSensitive(running, "in_work"))
    {
        const char *path = json_text(file, "path"), *state = json_text(file, "state");
        size_t n = below != NULL ? strlen(below) : 0;
        if (listing->state >= 0 &&
            strcmp(state, state_name((enum recording_state)listing->state)) != 0)
            continue;
        if (below != NULL && (strncmp(path, below, n) != 0 || (path[n] != '\0' && path[n] != '/')))
            continue;
        if (has_arrived(ledger, path))
            continue;
        listing->shown++;
        if (listing->json) {
            char *text = cJSON_PrintUnformatted(file);
            puts(text);
            free(text);
        } else {
            char size[COMMAND_SIZE_TEXT];
            command_size_text((unsigned long long)json_number(file, "size"), size);
            printf("%-10s %9s  %s  %s  (%s)\n", state, size, json_text(file, "first_seen_at"), path,
                   json_text(file, "reason"));
        }
    }
}

static int list_one(struct listing *listing, struct ledger *ledger, const cJSON *running,
                    const char *path)
{
    size_t before = listing->shown;
    char *escaped = path != NULL ? bytes_escape(path) : NULL;
    if (ledger != NULL)
        ledger_list(ledger, listing->state, path, on_row, listing);
    list_in_work(listing, ledger, running, escaped);
    bool unknown = path != NULL && listing->shown == before &&
                   (ledger == NULL || !ledger_knows_path(ledger, path));
    if (unknown)
        command_say("%s is not known: it was never taken in; see `chorus-agent explain`", escaped);
    free(escaped);
    return unknown ? EX_NOINPUT : 0;
}

static int list_all(struct listing *listing, const struct config *config,
                    const struct invocation *invocation)
{
    struct ledger *ledger;
    size_t count;
    int code = command_open_ledger(config, &ledger);
    if (code == EX_IOERR)
        return code;
    cJSON *running = running_status(config->state_dir);
    char **paths = command_absolute_paths(invocation, optind, &count);
    code = count == 0 ? list_one(listing, ledger, running, NULL) : 0;
    for (size_t i = 0; i < count; i++) {
        int one = list_one(listing, ledger, running, paths[i]);
        code = one != 0 ? one : code;
    }
    command_free_paths(paths, count);
    cJSON_Delete(running);
    ledger_close(ledger);
    return code;
}

int command_list(const struct invocation *invocation)
{
    static const struct option options[] = {
        {"state", required_argument, NULL, 's'}, {"json", no_argument, NULL, 'j'}, {0}};
    struct listing listing = {.state = -1};
    int option;
    while ((option = getopt_long(invocation->argc, invocation->argv, "", options, NULL)) != -1) {
        if (option == 'j') {
            listing.json = true;
        } else if (option == 's') {
            listing.state = state_from_name(optarg);
            if (listing.state < 0)
                return command_usage(invocation, "there is no such state");
        } else {
            return command_usage(invocation, "unknown option");
        }
    }
    struct config *config;
    int code = command_load_config(invocation, CONFIG_TO_LOOK, &config);
    if (code != 0)
        return code;
    code = command_enter_state_dir(config, false);
    if (code == 0)
        code = list_all(&listing, config, invocation);
    config_free(config);
    return code;
}
