#include "store.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base.h"
#include "lines.h"
#include "options.h"

/* All engagements that share a key. */
struct shelf {
    char *key;
    struct engagement **rows;
    size_t count;
};

struct store {
    const struct options *options;
    struct lines *file;
    pthread_mutex_t lock; /* guards all below */
    struct engagement **rows;
    size_t count;
    uint64_t deletions;
    uint64_t distinct, doubled;
    void *by_id, *by_meeting, *by_sha; /* trees of shelves (tsearch) */
};

/* ---- shelves ---- */

static int compare_shelves(const void *left, const void *right)
{
    return strcmp(((const struct shelf *)left)->key, ((const struct shelf *)right)->key);
}

static struct shelf *find_shelf(void *const *tree, const char *key)
{
    struct shelf probe = {.key = (char *)(uintptr_t)key};
    struct shelf *const *found = tfind(&probe, tree, compare_shelves);
    return found != NULL ? *found : NULL;
}

static struct shelf *put_on_shelf(void **tree, const char *key, struct engagement *row)
{
    struct shelf *shelf = find_shelf(tree, key);
    if (shelf == NULL) {
        shelf = base_need(sizeof *shelf);
        shelf->key = base_copy(key);
        if (tsearch(shelf, tree, compare_shelves) == NULL) {
            base_die("out of memory");
        }
    }
    shelf->rows = base_grow(shelf->rows, shelf->count + 1, sizeof(struct engagement *));
    shelf->rows[shelf->count++] = row;
    return shelf;
}

static void free_shelf(void *node)
{
    struct shelf *shelf = node;
    free(shelf->rows);
    free(shelf->key);
    free(shelf);
}

/* ---- facts ---- */

static bool is_gone(const struct engagement *row, int64_t at_ms)
{
    return row->gone_ms != STORE_NOT_GONE && row->gone_ms <= at_ms;
}

static bool is_private(const struct store *store, const struct engagement *row)
{
    const char *which = store->options->private_rows;
    uint64_t every = 0;
    if (which == NULL) {
        return false;
    }
    return strcmp(which, "all") == 0 || (base_number(which, &every) && row->seq % every == 0);
}

static bool is_visible(const struct store *store, const struct engagement *row,
                       enum store_view view, int64_t at_ms)
{
    int64_t lag = view == VIEW_LIST ? store->options->list_lag_ms : store->options->read_lag_ms;
    return !is_private(store, row) && !is_gone(row, at_ms) && row->stored_ms + lag <= at_ms;
}

/* Content that comes in while a copy of it is there is what the tests look for: a double. */
static void count_content(struct store *store, struct engagement *row)
{
    struct shelf *shelf = put_on_shelf(&store->by_sha, row->sha256, row);
    if (shelf->count == 1) {
        store->distinct++;
    }
    for (size_t i = 0; i + 1 < shelf->count; i++) {
        if (!is_gone(shelf->rows[i], row->stored_ms)) {
            store->doubled++;
            return;
        }
    }
}

static void keep_row(struct store *store, struct engagement *row)
{
    row->seq = store->count + 1;
    store->rows = base_grow(store->rows, store->count + 1, sizeof(struct engagement *));
    store->rows[store->count++] = row;
    put_on_shelf(&store->by_id, row->id, row);
    if (row->meeting_id != NULL) {
        put_on_shelf(&store->by_meeting, row->meeting_id, row);
    }
    count_content(store, row);
}

static char *copy_field(const cJSON *fields, const char *name)
{
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(fields, name));
    return value != NULL && value[0] != '\0' ? base_copy(value) : NULL;
}

static struct engagement *make_row(const char *id, const char *sha256, const cJSON *fields)
{
    struct engagement *row = base_need(sizeof *row);
    memcpy(row->id, id, strnlen(id, sizeof row->id - 1));
    memcpy(row->sha256, sha256, strnlen(sha256, sizeof row->sha256 - 1));
    row->name = copy_field(fields, "name");
    row->user = copy_field(fields, "user");
    row->meeting_id = copy_field(fields, "meeting_id");
    row->account_id = copy_field(fields, "crm_account_id");
    row->opportunity_id = copy_field(fields, "crm_opportunity_id");
    return row;
}

static void free_row(struct engagement *row)
{
    free(row->name);
    free(row->user);
    free(row->meeting_id);
    free(row->account_id);
    free(row->opportunity_id);
    free(row);
}

/* ---- from and to the file ---- */

static double number_of(const cJSON *line, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(line, name);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

static const char *text_of(const cJSON *line, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(line, name));
    return text != NULL ? text : "";
}

static void read_stored(struct store *store, const cJSON *line)
{
    struct engagement *row = make_row(text_of(line, "engagement_id"), text_of(line, "sha256"),
                                      cJSON_GetObjectItemCaseSensitive(line, "fields"));
    row->stored_ms = (int64_t)number_of(line, "at_ms");
    row->size = (uint64_t)number_of(line, "size");
    row->request = (uint64_t)number_of(line, "request");
    keep_row(store, row);
}

static void read_deleted(struct store *store, const cJSON *line)
{
    struct shelf *shelf = find_shelf(&store->by_id, text_of(line, "engagement_id"));
    if (shelf == NULL) {
        return;
    }
    const cJSON *gone = cJSON_GetObjectItemCaseSensitive(line, "gone_at_ms");
    shelf->rows[0]->gone_ms = cJSON_IsNumber(gone) ? (int64_t)gone->valuedouble : OPTIONS_NEVER;
    store->deletions++;
}

static void read_line(void *context, const cJSON *line)
{
    if (strcmp(text_of(line, "event"), "stored") == 0) {
        read_stored(context, line);
    } else {
        read_deleted(context, line);
    }
}

static cJSON *start_line(const char *event, const char *id, int64_t at_ms)
{
    char at[BASE_TIME_SIZE];
    base_time(at_ms, at);
    cJSON *line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "event", event);
    cJSON_AddStringToObject(line, "engagement_id", id);
    cJSON_AddStringToObject(line, "at", at);
    cJSON_AddNumberToObject(line, "at_ms", (double)at_ms);
    return line;
}

static void append(struct store *store, cJSON *line)
{
    lines_append(store->file, line, store->options->no_sync ? LINES_UNSYNCED : LINES_SYNCED);
}

static void write_stored(struct store *store, const struct engagement *row,
                         const struct store_offer *offer)
{
    cJSON *line = start_line("stored", row->id, row->stored_ms);
    cJSON_AddNumberToObject(line, "request", (double)offer->request);
    cJSON_AddItemToObject(line, "fields", cJSON_Duplicate(offer->fields, true));
    cJSON_AddStringToObject(line, "filename", offer->filename);
    cJSON_AddStringToObject(line, "content_type", offer->content_type);
    cJSON_AddNumberToObject(line, "size", (double)row->size);
    cJSON_AddStringToObject(line, "sha256", row->sha256);
    append(store, line);
}

static void write_deleted(struct store *store, const struct engagement *row, bool force)
{
    cJSON *line = start_line("deleted", row->id, base_now_ms());
    cJSON_AddBoolToObject(line, "force", force);
    if (row->gone_ms == OPTIONS_NEVER) {
        cJSON_AddNullToObject(line, "gone_at_ms");
    } else {
        cJSON_AddNumberToObject(line, "gone_at_ms", (double)row->gone_ms);
    }
    append(store, line);
}

/* ---- the calls ---- */

struct store *store_open(const struct options *options)
{
    struct store *store = base_need(sizeof *store);
    store->options = options;
    pthread_mutex_init(&store->lock, NULL);
    char *path = options->dir != NULL ? base_text("%s/stored.jsonl", options->dir) : NULL;
    store->file = lines_open(path, read_line, store);
    free(path);
    return store;
}

void store_close(struct store *store)
{
    lines_close(store->file);
    tdestroy(store->by_id, free_shelf);
    tdestroy(store->by_meeting, free_shelf);
    tdestroy(store->by_sha, free_shelf);
    for (size_t i = 0; i < store->count; i++) {
        free_row(store->rows[i]);
    }
    free(store->rows);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

static bool knows(const struct store *store, const char *meeting_id)
{
    if (store->options->calendar_known && options_has(&store->options->calendar, meeting_id)) {
        return true;
    }
    const struct shelf *shelf = find_shelf(&store->by_meeting, meeting_id);
    int64_t now = base_now_ms();
    for (size_t i = 0; shelf != NULL && i < shelf->count; i++) {
        if (!store->options->deletion_frees || !is_gone(shelf->rows[i], now)) {
            return true;
        }
    }
    return false;
}

bool store_knows(struct store *store, const char *meeting_id)
{
    pthread_mutex_lock(&store->lock);
    bool known = knows(store, meeting_id);
    pthread_mutex_unlock(&store->lock);
    return known;
}

static void draw_id(char id[STORE_ID_SIZE])
{
    static const char digits[] = "0123456789ABCDEF";
    unsigned char bytes[16];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        base_die("no random bytes: %s", strerror(errno));
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        id[2 * i] = digits[bytes[i] >> 4];
        id[2 * i + 1] = digits[bytes[i] & 15];
    }
    id[STORE_ID_SIZE - 1] = '\0';
}

enum store_outcome store_add(struct store *store, const struct store_offer *offer,
                             enum store_check check, char id[STORE_ID_SIZE])
{
    draw_id(id);
    struct engagement *row = make_row(id, offer->sha256, offer->fields);
    row->size = offer->size;
    row->request = offer->request;
    pthread_mutex_lock(&store->lock);
    if (check == STORE_UNIQUE && row->meeting_id != NULL && knows(store, row->meeting_id)) {
        pthread_mutex_unlock(&store->lock);
        free_row(row);
        return STORE_CONFLICT;
    }
    row->stored_ms = base_now_ms();
    write_stored(store, row, offer);
    keep_row(store, row);
    pthread_mutex_unlock(&store->lock);
    return STORE_DONE;
}

enum store_deletion store_delete(struct store *store, const char *id, bool force)
{
    pthread_mutex_lock(&store->lock);
    const struct shelf *shelf = find_shelf(&store->by_id, id);
    int64_t now = base_now_ms();
    if (shelf == NULL || is_gone(shelf->rows[0], now)) {
        pthread_mutex_unlock(&store->lock);
        return STORE_UNKNOWN;
    }
    struct engagement *row = shelf->rows[0];
    if (row->gone_ms == STORE_NOT_GONE) {
        int64_t after = store->options->delete_after_ms;
        row->gone_ms = after == OPTIONS_NEVER ? OPTIONS_NEVER : now + after;
        store->deletions++;
        write_deleted(store, row, force);
    }
    pthread_mutex_unlock(&store->lock);
    return STORE_ACCEPTED;
}

void store_walk(struct store *store, enum store_view view, store_visitor *visit, void *context)
{
    pthread_mutex_lock(&store->lock);
    int64_t now = base_now_ms();
    bool more = true;
    for (size_t i = store->count; more && i > 0; i--) {
        if (is_visible(store, store->rows[i - 1], view, now)) {
            more = visit(context, store->rows[i - 1]);
        }
    }
    pthread_mutex_unlock(&store->lock);
}

bool store_has_request(struct store *store, uint64_t request)
{
    bool found = false;
    pthread_mutex_lock(&store->lock);
    for (size_t i = 0; !found && i < store->count; i++) {
        found = store->rows[i]->request == request;
    }
    pthread_mutex_unlock(&store->lock);
    return found;
}

struct store_counts store_count(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    struct store_counts counts = {.stored = store->count,
                                  .deletions = store->deletions,
                                  .distinct = store->distinct,
                                  .doubled = store->doubled};
    int64_t now = base_now_ms();
    for (size_t i = 0; i < store->count; i++) {
        counts.present += is_gone(store->rows[i], now) ? 0 : 1;
    }
    pthread_mutex_unlock(&store->lock);
    return counts;
}
