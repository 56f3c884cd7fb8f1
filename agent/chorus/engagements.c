#include "agent/chorus/engagements.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>

#include "agent/base/mem.h"
#include "agent/base/when.h"

enum { MOST_ROWS = 10000 };

static char *text_of(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return mem_string(cJSON_IsString(item) ? item->valuestring : "");
}

static void read_row(const cJSON *item, struct engagement *row)
{
    const cJSON *time = cJSON_GetObjectItemCaseSensitive(item, "date_time");
    row->id = text_of(item, "engagement_id");
    row->subject = text_of(item, "subject");
    row->user_email = text_of(item, "user_email");
    row->processing_state = text_of(item, "processing_state");
    bool sane = cJSON_IsNumber(time) && time->valuedouble > 0 && time->valuedouble < 1e12;
    row->date_time_ms = sane ? (int64_t)(time->valuedouble * 1000) : 0;
}

int engagements_read(const char *body, struct engagement_page *page)
{
    memset(page, 0, sizeof *page);
    cJSON *json = cJSON_Parse(body);
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(json, "engagements");
    const cJSON *key = cJSON_GetObjectItemCaseSensitive(json, "continuation_key");
    int result = cJSON_IsArray(rows) && cJSON_GetArraySize(rows) <= MOST_ROWS ? 0 : -1;
    if (result == 0) {
        const cJSON *item;
        page->rows = mem_array((size_t)cJSON_GetArraySize(rows), sizeof *page->rows);
        cJSON_ArrayForEach(item, rows)
        {
            if (cJSON_IsObject(item))
                read_row(item, &page->rows[page->count++]);
        }
        if (cJSON_IsString(key) && key->valuestring[0] != '\0')
            page->continuation_key = mem_string(key->valuestring);
    }
    cJSON_Delete(json);
    return result;
}

void engagements_clear(struct engagement_page *page)
{
    for (size_t i = 0; i < page->count; i++) {
        free(page->rows[i].id);
        free(page->rows[i].subject);
        free(page->rows[i].user_email);
        free(page->rows[i].processing_state);
    }
    free(page->rows);
    free(page->continuation_key);
    memset(page, 0, sizeof *page);
}

bool engagement_is_processed(const struct engagement *row)
{
    return strcasecmp(row->processing_state, "done") == 0;
}

char *engagements_encode(const char *value)
{
    static const char digits[] = "0123456789ABCDEF";
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    char *encoded = mem_zalloc(3 * strlen(value) + 1), *to = encoded;
    for (; *value != '\0'; value++) {
        unsigned char byte = (unsigned char)*value;
        if (strchr(plain, *value) != NULL) {
            *to++ = *value;
            continue;
        }
        *to++ = '%';
        *to++ = digits[byte >> 4];
        *to++ = digits[byte & 15];
    }
    return encoded;
}

char *engagements_target_by_id(char *const *ids, size_t count)
{
    char *target = mem_string("/v3/engagements?engagement_id=");
    for (size_t i = 0; i < count; i++) {
        char *id = engagements_encode(ids[i]);
        char *longer = mem_printf("%s%s%s", target, i > 0 ? "," : "", id);
        free(id);
        mem_replace(&target, longer);
    }
    return target;
}

/* One parameter more, if it has a value. */
static void add_parameter(char **target, const char *name, const char *value)
{
    if (value == NULL)
        return;
    char *encoded = engagements_encode(value);
    bool first = strchr(*target, '?') == NULL;
    mem_replace(target, mem_printf("%s%c%s=%s", *target, first ? '?' : '&', name, encoded));
    free(encoded);
}

char *engagements_target_by_time(int64_t from_ms, int64_t to_ms, const char *continuation_key)
{
    char from[WHEN_TEXT], to[WHEN_TEXT];
    char *target = mem_string("/v3/engagements");
    when_rfc3339(from_ms, from);
    when_rfc3339(to_ms, to);
    add_parameter(&target, "min_date", from_ms != 0 ? from : NULL);
    add_parameter(&target, "max_date", to_ms != 0 ? to : NULL);
    add_parameter(&target, "continuation_key", continuation_key);
    return target;
}

char *conversation_target(const char *id)
{
    char *encoded = engagements_encode(id);
    char *target =
        mem_printf("/api/v1/conversations/%s?fields=meeting.id,name,owner.email,status", encoded);
    free(encoded);
    return target;
}

char *engagement_delete_target(const char *id)
{
    char *encoded = engagements_encode(id);
    char *target = mem_printf("/v3/engagements/%s", encoded);
    free(encoded);
    return target;
}

char *conversation_delete_target(const char *id)
{
    char *encoded = engagements_encode(id);
    char *target = mem_printf("/api/v1/conversations/%s?force_delete=true", encoded);
    free(encoded);
    return target;
}

char *conversation_meeting_id(const char *body)
{
    cJSON *json = cJSON_Parse(body);
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(json, "data");
    const cJSON *attributes = cJSON_GetObjectItemCaseSensitive(data, "attributes");
    const cJSON *meeting = cJSON_GetObjectItemCaseSensitive(attributes, "meeting");
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(meeting, "id");
    char *found =
        cJSON_IsString(id) && id->valuestring[0] != '\0' ? mem_string(id->valuestring) : NULL;
    cJSON_Delete(json);
    return found;
}
