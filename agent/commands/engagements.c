/* engagements: what Chorus shows, each with the local recording that it is. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "agent/base/bytes.h"
#include "agent/base/json.h"
#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/chorus/engagements.h"
#include "agent/commands/command.h"
#include "agent/commands/online.h"
#include "agent/commands/seen.h"
#include "agent/rules/fold.h"
#include "agent/service/token.h"

enum { MOST_TRIES = 5 };

struct asking {
    const struct config *config;
    struct ledger *ledger; /* NULL: there is none yet */
    char *token;
    int64_t from_ms, to_ms; /* 0: none; `to_ms` is the midnight after */
    const char *owner;      /* NULL: any */
    char *name;             /* folded; NULL: any */
    bool json;
    struct seen *seen;
};

/* --- one row --- */

/* Its recording, as the ledger knows it. */
struct local {
    char *path;
    enum recording_state state;
    char sha256[65];
};

static void on_recording(void *ctx, const struct ledger_row *row)
{
    struct local *local = ctx;
    mem_replace(&local->path, mem_string(row->path));
    local->state = row->state;
    if (row->sha256 != NULL)
        bytes_to_hex(row->sha256, 32, local->sha256);
}

static void print_json(const struct engagement *row, const struct local *local)
{
    cJSON *object = cJSON_CreateObject();
    json_add_bytes(object, "engagement_id", row->id);
    json_add_bytes(object, "subject", row->subject);
    json_add_bytes(object, "owner", row->user_email);
    json_add_time(object, "date_time", row->date_time_ms);
    json_add_bytes(object, "processing_state", row->processing_state);
    if (local->path != NULL) {
        cJSON *recording = cJSON_AddObjectToObject(object, "recording");
        json_add_bytes(recording, "path", local->path);
        json_add_text(recording, "state", state_name(local->state));
        json_add_text(recording, "sha256", local->sha256);
    }
    char *text = cJSON_PrintUnformatted(object);
    puts(text);
    free(text);
    cJSON_Delete(object);
}

static void print_text(const struct engagement *row, const struct local *local)
{
    char time[WHEN_TEXT] = "-";
    char *id = bytes_escape(row->id), *subject = bytes_escape(row->subject);
    char *owner = bytes_escape(row->user_email);
    char *path = local->path != NULL ? bytes_escape(local->path) : NULL;
    if (row->date_time_ms != 0)
        when_rfc3339(row->date_time_ms, time);
    printf("%s  %-20s  %s  %s  ", id, time, owner[0] != '\0' ? owner : "-", subject);
    if (path != NULL)
        printf("%s %s\n", state_name(local->state), path);
    else
        printf("(unknown to the ledger)\n");
    free(id);
    free(subject);
    free(owner);
    free(path);
}

static bool is_wanted(const struct asking *asking, const struct engagement *row)
{
    bool dated = row->date_time_ms != 0;
    if (row->id[0] == '\0' || (asking->owner != NULL && strcasecmp(asking->owner, row->user_email)))
        return false;
    if (dated && ((asking->from_ms != 0 && row->date_time_ms < asking->from_ms) ||
                  (asking->to_ms != 0 && row->date_time_ms >= asking->to_ms)))
        return false;
    if (asking->name == NULL)
        return true;
    char *subject = fold_lower(row->subject);
    bool found = strstr(subject, asking->name) != NULL;
    free(subject);
    return found;
}

/* Returns whether any row of the page is new. */
static bool take_page(struct asking *asking, const struct engagement_page *page)
{
    bool fresh = false;
    for (size_t i = 0; i < page->count; i++) {
        const struct engagement *row = &page->rows[i];
        struct local local = {.path = NULL};
        if (!seen_add(asking->seen, row->id))
            continue; /* rows may repeat across pages */
        fresh = true;
        if (!is_wanted(asking, row))
            continue;
        if (asking->ledger != NULL)
            ledger_list_engagement(asking->ledger, row->id, on_recording, &local);
        if (asking->json)
            print_json(row, &local);
        else
            print_text(row, &local);
        free(local.path);
    }
    fflush(stdout);
    return fresh;
}

/* --- asking --- */

static void pause_for(int64_t ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static bool is_passing(int status)
{
    return status == 0 || status == 429 || status / 100 == 5;
}

/* 0, or the exit code, told. */
static int get_page(const struct asking *asking, const char *target, struct engagement_page *page)
{
    const struct config *config = asking->config;
    struct online_answer answer;
    int64_t pause_ms = config->upload.retry_first_ms;
    memset(page, 0, sizeof *page);
    online_get(config, asking->token, target, &answer);
    for (int tries = 1; is_passing(answer.status) && tries < MOST_TRIES; tries++) {
        online_clear(&answer);
        pause_for(pause_ms);
        pause_ms *= 2;
        online_get(config, asking->token, target, &answer);
    }
    int code = 0;
    if (answer.status == 401 || answer.status == 403)
        code = EX_NOPERM;
    else if (answer.status != 200 || engagements_read(answer.body, page) != 0)
        code = EX_UNAVAILABLE;
    if (code != 0)
        command_say("%s: no list of engagements: status %d%s%s", config->chorus.url, answer.status,
                    answer.said[0] != '\0' ? ": " : "", answer.said);
    online_clear(&answer);
    return code;
}

/* A list that goes round brings nothing new; one without an end is left, too. */
static int walk(struct asking *asking)
{
    char *key = NULL;
    for (;;) {
        struct engagement_page page;
        char *target = engagements_target_by_time(
            asking->from_ms, asking->to_ms != 0 ? asking->to_ms - 1000 : 0, key);
        int code = get_page(asking, target, &page);
        free(target);
        bool fresh = code == 0 && take_page(asking, &page);
        mem_replace(&key, mem_string(page.continuation_key));
        engagements_clear(&page);
        if (code != 0 || key == NULL || !fresh) {
            free(key);
            return code;
        }
    }
}

/* The ledger is a help here and no more: without it every row is unknown. */
static int ask(const struct config *config, struct asking *asking)
{
    char *problem;
    if (token_read(config->chorus.token_file, &asking->token, &problem) != 0) {
        command_say("no token: %s", problem);
        free(problem);
        return EX_NOPERM;
    }
    asking->config = config;
    int code = command_open_ledger(config, &asking->ledger);
    if (code != EX_IOERR) {
        asking->seen = seen_new();
        code = walk(asking);
        seen_free(asking->seen);
    }
    ledger_close(asking->ledger);
    token_clear(&asking->token);
    return code;
}

/* Local midnight after this day. */
static int64_t day_after(int64_t midnight_ms)
{
    time_t seconds = (time_t)(midnight_ms / 1000);
    struct tm day;
    localtime_r(&seconds, &day);
    day.tm_mday++;
    day.tm_isdst = -1;
    return (int64_t)mktime(&day) * 1000;
}

static const char *read_option(struct asking *asking, int option, const char *value)
{
    switch (option) {
    case 'f':
        return when_parse_date(value, &asking->from_ms) ? NULL : "--from is written YYYY-MM-DD";
    case 't':
        if (!when_parse_date(value, &asking->to_ms))
            return "--to is written YYYY-MM-DD";
        asking->to_ms = day_after(asking->to_ms);
        return NULL;
    case 'o':
        asking->owner = value;
        return NULL;
    case 'n':
        mem_replace(&asking->name, fold_lower(value));
        return NULL;
    case 'j':
        asking->json = true;
        return NULL;
    default:
        return "unknown option";
    }
}

int command_engagements(const struct invocation *invocation)
{
    static const struct option options[] = {
        {"from", required_argument, NULL, 'f'},  {"to", required_argument, NULL, 't'},
        {"owner", required_argument, NULL, 'o'}, {"name", required_argument, NULL, 'n'},
        {"json", no_argument, NULL, 'j'},        {0}};
    struct asking asking = {.owner = NULL};
    const char *wrong = NULL;
    struct config *config;
    int option;
    while (wrong == NULL &&
           (option = getopt_long(invocation->argc, invocation->argv, "", options, NULL)) != -1)
        wrong = read_option(&asking, option, optarg);
    if (wrong == NULL && optind < invocation->argc)
        wrong = "it takes no PATH";
    if (wrong != NULL) {
        free(asking.name);
        return command_usage(invocation, wrong);
    }
    int code = command_load_config(invocation, CONFIG_TO_ACT, &config);
    if (code == 0) {
        code = command_enter_state_dir(config, false);
        if (code == 0)
            code = ask(config, &asking);
        config_free(config);
    }
    free(asking.name);
    return code;
}
