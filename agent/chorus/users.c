#include "agent/chorus/users.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "agent/base/mem.h"
#include "agent/chorus/engagements.h"
#include "agent/rules/email.h"

struct users {
    char **emails; /* in order, none twice */
    size_t count, room;
};

struct users *users_new(void)
{
    return mem_zalloc(sizeof(struct users));
}

void users_free(struct users *users)
{
    if (users == NULL)
        return;
    for (size_t i = 0; i < users->count; i++)
        free(users->emails[i]);
    free(users->emails);
    free(users);
}

/* Where it is, or would have to stand. */
static size_t place_of(const struct users *users, const char *email, bool *found)
{
    size_t from = 0, to = users->count;
    *found = false;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = strcasecmp(users->emails[middle], email);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static bool add(struct users *users, const char *email)
{
    bool found;
    if (!email_is_valid(email))
        return false;
    size_t at = place_of(users, email, &found);
    if (found)
        return false;
    if (users->count == users->room) {
        users->room = users->room > 0 ? 2 * users->room : 64;
        users->emails = mem_resize(users->emails, users->room, sizeof users->emails[0]);
    }
    memmove(&users->emails[at + 1], &users->emails[at],
            (users->count - at) * sizeof users->emails[0]);
    users->emails[at] = mem_string(email);
    users->count++;
    return true;
}

/* Without calls into itself: how deep an answer is nested is not ours to say. */
static long add_all(struct users *users, const cJSON *root)
{
    const cJSON *stack[CJSON_NESTING_LIMIT + 1];
    size_t depth = 0;
    long added = 0;
    const cJSON *item = root;
    while (item != NULL || depth > 0) {
        if (item == NULL) {
            item = stack[--depth];
            continue;
        }
        if (cJSON_IsString(item))
            added += add(users, item->valuestring);
        if (item->string != NULL)
            added += add(users, item->string);
        const cJSON *next = item != root ? item->next : NULL;
        if (item->child != NULL && depth < sizeof stack / sizeof stack[0]) {
            stack[depth++] = next;
            item = item->child;
        } else {
            item = next;
        }
    }
    return added;
}

long users_add_answer(struct users *users, const char *body, char **next)
{
    *next = NULL;
    cJSON *json = cJSON_ParseWithOpts(body, NULL, 1);
    if (json == NULL)
        return -1;
    long added = add_all(users, json);
    const cJSON *key = cJSON_GetObjectItemCaseSensitive(json, "continuation_key");
    if (cJSON_IsString(key) && key->valuestring[0] != '\0') {
        char *encoded = engagements_encode(key->valuestring);
        *next = mem_printf(USERS_TARGET "?continuation_key=%s", encoded);
        free(encoded);
    }
    cJSON_Delete(json);
    return added;
}

size_t users_count(const struct users *users)
{
    return users->count;
}

const char *users_at(const struct users *users, size_t i)
{
    return users->emails[i];
}

bool users_has(const struct users *users, const char *email)
{
    bool found;
    place_of(users, email, &found);
    return found;
}

uint64_t users_digest(const struct users *users)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < users->count; i++) {
        for (const char *s = users->emails[i]; *s != '\0'; s++)
            hash = (hash ^ (unsigned char)*s) * 0x100000001b3u;
        hash = (hash ^ '\n') * 0x100000001b3u;
    }
    return hash;
}

struct users *users_load(const char *state_dir)
{
    char *path = mem_printf("%s/users", state_dir);
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    free(path);
    if (file == NULL)
        return NULL;
    struct users *users = users_new();
    while (getline(&line, &room, file) > 0) {
        line[strcspn(line, "\n")] = '\0';
        add(users, line);
    }
    free(line);
    fclose(file);
    if (users->count > 0)
        return users;
    users_free(users);
    return NULL;
}

static int write_all(const struct users *users, const char *path)
{
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return -errno;
    for (size_t i = 0; i < users->count; i++)
        fprintf(file, "%s\n", users->emails[i]);
    int error = fflush(file) != 0 || fsync(fileno(file)) != 0 ? -errno : 0;
    if (fclose(file) != 0 && error == 0)
        error = -errno;
    return error;
}

int users_save(const struct users *users, const char *state_dir)
{
    char *path = mem_printf("%s/users", state_dir);
    char *fresh = mem_printf("%s/.users.new", state_dir);
    int error = write_all(users, fresh);
    if (error == 0 && rename(fresh, path) != 0)
        error = -errno;
    free(fresh);
    free(path);
    return error;
}
