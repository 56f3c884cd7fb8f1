#include <cjson/cJSON.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base.h"
#include "endpoints.h"
#include "store.h"

#define PAGE_ROWS 100u
#define KEY_PREFIX "chorus-double-"
#define BYTES_A_SECOND 2000u /* durations are guessed from the size: MP3 at 16 kbit/s */

/* ---- facts about an engagement ---- */

/* A number for an e-mail address, the same in every life of the double. */
static unsigned user_number(const char *email)
{
    unsigned hash = 2166136261u; /* FNV-1a */
    for (const char *at = email; *at != '\0'; at++) {
        hash = (hash ^ (unsigned)tolower((unsigned char)*at)) * 16777619u;
    }
    return 100000u + hash % 900000u;
}

/* Seconds since 1970; negative: unknown. */
static double date_of(const struct options *options, const struct engagement *row)
{
    uint64_t fixed = 0;
    if (strcmp(options->date_time, "upload") == 0) {
        return (double)(row->stored_ms / 1000);
    }
    return base_number(options->date_time, &fixed) ? (double)fixed : -1;
}

static double duration_of(const struct engagement *row)
{
    return ceil((double)row->size / BYTES_A_SECOND);
}

static const char *state_of(const struct options *options, const struct engagement *row)
{
    int64_t after = options->processed_after_ms;
    bool ended = after != OPTIONS_NEVER && row->stored_ms + after <= base_now_ms();
    return ended ? options->processed_state : "processing";
}

static void add_text(cJSON *object, const char *name, const char *text)
{
    if (text != NULL) {
        cJSON_AddStringToObject(object, name, text);
    }
}

static cJSON *show_engagement(const struct options *options, const struct engagement *row)
{
    cJSON *shown = cJSON_CreateObject();
    char *url = base_text("https://chorus.ai/meeting/%s", row->id);
    cJSON_AddStringToObject(shown, "engagement_id", row->id);
    cJSON_AddStringToObject(shown, "engagement_type", "meeting");
    add_text(shown, "subject", row->name);
    if (date_of(options, row) >= 0) {
        cJSON_AddNumberToObject(shown, "date_time", date_of(options, row));
    }
    cJSON_AddNumberToObject(shown, "duration", duration_of(row));
    cJSON_AddStringToObject(shown, "processing_state", state_of(options, row));
    if (row->user != NULL) {
        cJSON_AddNumberToObject(shown, "user_id", user_number(row->user));
        cJSON_AddStringToObject(shown, "user_email", row->user);
        cJSON_AddStringToObject(shown, "user_name", row->user);
    }
    add_text(shown, "account_id", row->account_id);
    add_text(shown, "opportunity_id", row->opportunity_id);
    cJSON_AddStringToObject(shown, "url", url);
    cJSON_AddStringToObject(shown, "language", "en-us");
    cJSON_AddArrayToObject(shown, "participants");
    free(url);
    return shown;
}

/* ---- GET /v3/engagements ---- */

struct filter {
    const struct options *options;
    const char *ids, *types, *users; /* comma-separated; NULL: all */
    double min_date, max_date;       /* negative: none */
    double min_duration, max_duration;
    uint64_t before; /* only rows stored earlier than this one; 0: all */
    cJSON *page;
    uint64_t last;
    bool more;
};

static bool has_item(const char *list, const char *item)
{
    size_t length = strlen(item);
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',' ? 1 : 0;
        at += strspn(at, " ");
        size_t size = strcspn(at, ", ");
        if (size == length && strncasecmp(at, item, size) == 0) {
            return true;
        }
    }
    return false;
}

static bool user_fits(const struct filter *filter, const struct engagement *row)
{
    char number[16];
    snprintf(number, sizeof number, "%u", row->user != NULL ? user_number(row->user) : 0);
    return filter->users == NULL || has_item(filter->users, number);
}

static bool date_fits(const struct filter *filter, const struct engagement *row)
{
    double date = date_of(filter->options, row);
    if (filter->min_date < 0 && filter->max_date < 0) {
        return true;
    }
    return date >= 0 && date >= filter->min_date &&
           (filter->max_date < 0 || date <= filter->max_date);
}

static bool row_fits(const struct filter *filter, const struct engagement *row)
{
    double duration = duration_of(row);
    return (filter->before == 0 || row->seq < filter->before) &&
           (filter->ids == NULL || has_item(filter->ids, row->id)) &&
           (filter->types == NULL || has_item(filter->types, "meeting")) &&
           user_fits(filter, row) && date_fits(filter, row) &&
           (filter->min_duration < 0 || duration >= filter->min_duration) &&
           (filter->max_duration < 0 || duration <= filter->max_duration);
}

static bool collect(void *context, const struct engagement *row)
{
    struct filter *filter = context;
    if (!row_fits(filter, row)) {
        return true;
    }
    if ((size_t)cJSON_GetArraySize(filter->page) == PAGE_ROWS) {
        filter->more = true;
        return false;
    }
    cJSON_AddItemToArray(filter->page, show_engagement(filter->options, row));
    filter->last = row->seq;
    return true;
}

/* The seconds that a zone such as Z, +02:00 or -0500 is ahead; false for no zone. */
static bool read_zone(const char *text, long *ahead)
{
    int hours = 0;
    int minutes = 0;
    *ahead = 0;
    if (text[0] == '\0' || strcmp(text, "Z") == 0 || strcmp(text, "z") == 0) {
        return true;
    }
    bool read = sscanf(text + 1, "%2d:%2d", &hours, &minutes) == 2 ||
                sscanf(text + 1, "%2d%2d", &hours, &minutes) == 2;
    *ahead = (hours * 60L + minutes) * 60 * (text[0] == '-' ? -1 : 1);
    return read && (text[0] == '+' || text[0] == '-' || text[0] == ' ');
}

/* ISO-8601 or Unix seconds; false for anything else. */
static bool read_date(const char *text, double *seconds)
{
    char *end = NULL;
    double number = strtod(text, &end);
    if (end != text && *end == '\0' && number >= 0) {
        *seconds = number;
        return true;
    }
    struct tm parts = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
    if (rest == NULL) {
        parts = (struct tm){0};
        rest = strptime(text, "%Y-%m-%d", &parts);
    }
    if (rest == NULL) {
        return false;
    }
    double fraction = 0;
    if (*rest == '.') {
        fraction = strtod(rest, &end);
        rest = end;
    }
    long ahead = 0;
    *seconds = (double)timegm(&parts) + fraction;
    bool read = read_zone(rest, &ahead);
    *seconds -= (double)ahead;
    return read;
}

static bool read_date_parameter(const struct exchange *exchange, const char *name, double *date,
                                struct answer *answer)
{
    const char *text = exchange_parameter(exchange, name);
    *date = -1;
    if (text == NULL || read_date(text, date)) {
        return true;
    }
    answer_error(answer, 400, "no date", name);
    return false;
}

static double read_seconds(const struct exchange *exchange, const char *name)
{
    const char *text = exchange_parameter(exchange, name);
    return text != NULL ? strtod(text, NULL) : -1;
}

static bool read_key(const struct exchange *exchange, uint64_t *before, struct answer *answer)
{
    const char *key = exchange_parameter(exchange, "continuation_key");
    *before = 0;
    if (key == NULL) {
        return true;
    }
    if (strncmp(key, KEY_PREFIX, sizeof KEY_PREFIX - 1) == 0 &&
        base_number(key + sizeof KEY_PREFIX - 1, before)) {
        return true;
    }
    answer_error(answer, 400, "no such continuation_key", "continuation_key");
    return false;
}

static bool read_filter(const struct exchange *exchange, struct filter *filter,
                        struct answer *answer)
{
    *filter = (struct filter){.options = &exchange->server->options,
                              .ids = exchange_parameter(exchange, "engagement_id"),
                              .types = exchange_parameter(exchange, "engagement_type"),
                              .users = exchange_parameter(exchange, "user_id"),
                              .min_duration = read_seconds(exchange, "min_duration"),
                              .max_duration = read_seconds(exchange, "max_duration")};
    return read_date_parameter(exchange, "min_date", &filter->min_date, answer) &&
           read_date_parameter(exchange, "max_date", &filter->max_date, answer) &&
           read_key(exchange, &filter->before, answer);
}

/* The key leads to the rows below the last one shown; with --repeat-rows it shows that one again,
 * and with --loop-key the last page leads back to the first. */
static void add_key(const struct filter *filter, cJSON *body)
{
    const struct options *options = filter->options;
    uint64_t before = 0;
    if (filter->more) {
        before = filter->last + (options->repeat_rows ? 1 : 0);
    } else if (!options->loop_key) {
        return;
    }
    char *key = base_text(KEY_PREFIX "%llu", (unsigned long long)before);
    cJSON_AddStringToObject(body, "continuation_key", key);
    free(key);
}

void reads_engagements(struct exchange *exchange, struct answer *answer)
{
    struct filter filter;
    if (!read_filter(exchange, &filter, answer)) {
        return;
    }
    cJSON *body = cJSON_CreateObject();
    filter.page = cJSON_AddArrayToObject(body, "engagements");
    store_walk(exchange->server->store, VIEW_LIST, collect, &filter);
    add_key(&filter, body);
    answer_json(answer, 200, TYPE_JSON, body);
}

/* ---- users ---- */

static cJSON *show_user(const char *email)
{
    cJSON *user = cJSON_CreateObject();
    cJSON_AddNumberToObject(user, "user_id", user_number(email));
    cJSON_AddStringToObject(user, "email", email);
    cJSON_AddStringToObject(user, "name", email);
    return user;
}

static cJSON *show_user_document(const char *email)
{
    char *id = base_text("%u", user_number(email));
    cJSON *data = cJSON_CreateObject();
    cJSON_AddStringToObject(data, "id", id);
    cJSON_AddStringToObject(data, "type", "user");
    cJSON *attributes = cJSON_AddObjectToObject(data, "attributes");
    cJSON_AddStringToObject(attributes, "email", email);
    cJSON_AddStringToObject(attributes, "name", email);
    free(id);
    return data;
}

static void add_user(cJSON *users, int shape, const char *email)
{
    cJSON_AddItemToArray(users,
                         shape == USERS_JSONAPI ? show_user_document(email) : show_user(email));
}

void reads_users(struct exchange *exchange, struct answer *answer)
{
    const struct options *options = &exchange->server->options;
    cJSON *users = cJSON_CreateArray();
    for (size_t i = 0; i < options->users.count; i++) {
        add_user(users, options->users_shape, options->users.items[i]);
    }
    if (!options_has(&options->users, options->me)) {
        add_user(users, options->users_shape, options->me);
    }
    if (options->users_shape == USERS_LIST) {
        answer_json(answer, 200, TYPE_JSON, users);
        return;
    }
    cJSON *body = cJSON_CreateObject();
    cJSON_AddItemToObject(body, options->users_shape == USERS_JSONAPI ? "data" : "users", users);
    answer_json(answer, 200, TYPE_JSON, body);
}

void reads_me(struct exchange *exchange, struct answer *answer)
{
    cJSON *body = cJSON_CreateObject();
    cJSON_AddItemToObject(body, "data", show_user_document(exchange->server->options.me));
    answer_json(answer, 200, TYPE_JSON_API, body);
}

/* ---- GET /api/v1/conversations/{id} ---- */

struct search {
    const struct options *options;
    const char *id, *fields;
    cJSON *data;
};

/* Whether `fields` asks for this one, or for a part of it. */
static bool wants(const struct search *search, const char *name)
{
    size_t length = strlen(name);
    if (search->fields == NULL || has_item(search->fields, name)) {
        return true;
    }
    for (const char *at = search->fields; at != NULL; at = strchr(at, ',')) {
        at += *at == ',' ? 1 : 0;
        if (strncmp(at, name, length) == 0 && at[length] == '.') {
            return true;
        }
    }
    return false;
}

static void add_meeting(cJSON *attributes, const struct engagement *row)
{
    if (row->meeting_id == NULL) {
        cJSON_AddNullToObject(attributes, "meeting");
        return;
    }
    cJSON *meeting = cJSON_AddObjectToObject(attributes, "meeting");
    cJSON_AddStringToObject(meeting, "id", row->meeting_id);
}

static void show_conversation(struct search *search, const struct engagement *row)
{
    search->data = cJSON_CreateObject();
    cJSON_AddStringToObject(search->data, "id", row->id);
    cJSON_AddStringToObject(search->data, "type", "conversation");
    cJSON *attributes = cJSON_AddObjectToObject(search->data, "attributes");
    if (wants(search, "name")) {
        add_text(attributes, "name", row->name);
    }
    if (wants(search, "status")) {
        cJSON_AddStringToObject(attributes, "status", state_of(search->options, row));
    }
    if (wants(search, "meeting")) {
        add_meeting(attributes, row);
    }
    if (wants(search, "owner") && row->user != NULL) {
        cJSON *owner = cJSON_AddObjectToObject(attributes, "owner");
        cJSON_AddStringToObject(owner, "email", row->user);
        cJSON_AddNumberToObject(owner, "user_id", user_number(row->user));
    }
    if (wants(search, "recording")) {
        cJSON *recording = cJSON_AddObjectToObject(attributes, "recording");
        cJSON_AddNumberToObject(recording, "duration", duration_of(row));
    }
}

static bool match_id(void *context, const struct engagement *row)
{
    struct search *search = context;
    if (strcasecmp(row->id, search->id) != 0) {
        return true;
    }
    show_conversation(search, row);
    return false;
}

void reads_conversation(struct exchange *exchange, struct answer *answer)
{
    struct search search = {.options = &exchange->server->options,
                            .id = strrchr(exchange->path, '/') + 1,
                            .fields = exchange_parameter(exchange, "fields")};
    store_walk(exchange->server->store, VIEW_CONVERSATION, match_id, &search);
    if (search.data == NULL) {
        answer_error(answer, 404, "no such conversation", NULL);
        return;
    }
    cJSON *body = cJSON_CreateObject();
    cJSON_AddItemToObject(body, "data", search.data);
    answer_json(answer, 200, TYPE_JSON_API, body);
}
