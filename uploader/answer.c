#include "uploader/answer.h"

#include <cjson/cJSON.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool all_blank(const char *at, const char *end)
{
    while (at < end && is_blank(*at))
        at++;
    return at == end;
}

/* Whether the parser may see it: no deep nesting, and no NUL in any form, which would cut a string
 * short. */
static bool is_tame(const char *body, size_t size)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        char c = body[i];
        if (c == '\0')
            return false;
        if (in_string && c == '\\') {
            if (size - i >= 6 && memcmp(body + i, "\\u0000", 6) == 0)
                return false;
            i++;
        } else if (c == '"') {
            in_string = !in_string;
        } else if (!in_string && (c == '{' || c == '[')) {
            if (++depth > ANSWER_MAX_DEPTH)
                return false;
        } else if (!in_string && (c == '}' || c == ']')) {
            depth -= depth > 0;
        }
    }
    return true;
}

static cJSON *parse(const char *body, size_t size)
{
    const char *end = NULL;
    if (!is_tame(body, size))
        return NULL;
    cJSON *root = cJSON_ParseWithLengthOpts(body, size, &end, false);
    if (root != NULL && !all_blank(end, body + size)) {
        cJSON_Delete(root);
        return NULL;
    }
    return root;
}

/* Of keys that stand twice the last counts, as with most readers. */
static const cJSON *member(const cJSON *object, const char *name, size_t length)
{
    const cJSON *found = NULL;
    const cJSON *item = NULL;
    if (!cJSON_IsObject(object))
        return NULL;
    cJSON_ArrayForEach(item, object)
    {
        if (item->string != NULL && strlen(item->string) == length &&
            memcmp(item->string, name, length) == 0)
            found = item;
    }
    return found;
}

static const char *string_member(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(member(object, name, strlen(name)));
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static const cJSON *at_path(const cJSON *item, const char *path)
{
    while (item != NULL && *path != '\0') {
        size_t length = strcspn(path, ".");
        item = member(item, path, length);
        path += length;
        path += *path == '.';
    }
    return item;
}

static bool is_id(const char *text)
{
    size_t length = 0;
    for (; text[length] != '\0'; length++) {
        if (text[length] < 0x21 || text[length] > 0x7e || length + 1 >= ANSWER_ID_SIZE)
            return false;
    }
    return length > 0;
}

static bool take_id(const cJSON *item, char id[ANSWER_ID_SIZE])
{
    const double exact = 9007199254740992.0; /* 2^53 */
    if (cJSON_IsString(item) && is_id(item->valuestring)) {
        memcpy(id, item->valuestring, strlen(item->valuestring) + 1);
        return true;
    }
    if (cJSON_IsNumber(item) && item->valuedouble >= 1 && item->valuedouble < exact &&
        (double)(int64_t)item->valuedouble >= item->valuedouble) {
        snprintf(id, ANSWER_ID_SIZE, "%.0f", item->valuedouble);
        return true;
    }
    return false;
}

/* Where the fault lies: {"pointer": "/data/user"} and the like. */
static const char *source_of(const cJSON *error)
{
    static const char *const kinds[] = {"pointer", "parameter", "header", "cookie", "path"};
    const cJSON *source = member(error, "source", 6);
    const char *text = cJSON_GetStringValue(source);
    for (size_t i = 0; text == NULL && i < sizeof(kinds) / sizeof(kinds[0]); i++)
        text = string_member(source, kinds[i]);
    return text;
}

/* "title: detail (source)", whatever of it there is. */
static void add_error(struct line *said, const cJSON *error)
{
    const char *title = string_member(error, "title");
    const char *detail = string_member(error, "detail");
    const char *source = source_of(error);
    if (cJSON_IsString(error))
        title = error->valuestring;
    if (title == NULL)
        title = detail == NULL ? string_member(error, "message") : NULL;
    if (title == NULL && detail == NULL)
        return;
    if (said->used > 0)
        line_add(said, "; ");
    if (title != NULL)
        line_add(said, title);
    if (title != NULL && detail != NULL)
        line_add(said, ": ");
    if (detail != NULL)
        line_add(said, detail);
    if (source != NULL) {
        line_add(said, " (");
        line_add(said, source);
        line_add(said, ")");
    }
}

static void take_words(const cJSON *root, struct line *said)
{
    const cJSON *errors = member(root, "errors", 6);
    const cJSON *error = NULL;
    if (cJSON_IsArray(errors)) {
        cJSON_ArrayForEach(error, errors)
        {
            add_error(said, error);
            if (said->full)
                return;
        }
    }
    if (said->used == 0 && (error = member(root, "error", 5)) != NULL)
        add_error(said, error);
    if (said->used == 0)
        add_error(said, root);
}

/* "answered text/html": of a page nothing else is shown. */
static void say_type(const char *content_type, struct line *said)
{
    size_t length = strcspn(content_type, "; \t");
    line_add(said, "answered ");
    if (length == 0 || length > 60)
        line_add(said, "something that is not JSON");
    else
        line_add_bytes(said, content_type, length);
}

void answer_read(const char *body, size_t size, const char *content_type, const char *const *fields,
                 size_t field_count, struct answer *out)
{
    *out = (struct answer){.is_empty = all_blank(body, body + size)};
    line_init(&out->said);
    if (out->is_empty)
        return;
    cJSON *root = parse(body, size);
    out->is_object = cJSON_IsObject(root);
    if (out->is_object) {
        out->says_failure = cJSON_IsFalse(member(root, "success", 7));
        for (size_t i = 0; i < field_count && !take_id(at_path(root, fields[i]), out->id); i++)
            ;
        take_words(root, &out->said);
    } else if (root != NULL) {
        line_add(&out->said, "answered JSON that is no object");
    } else {
        say_type(content_type, &out->said);
    }
    cJSON_Delete(root);
}
