#include "agent/rules/sidecar.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"

enum { NAME_MAX_BYTES = 64 };
/* A number beyond 2^53 is no longer exact: an id would become another id. */
static const double EXACT_MAX = 9007199254740992.0;

/* Takes `problem` over; the first one stands. */
static void fail(struct sidecar *out, char *problem)
{
    if (out->problem == NULL)
        out->problem = problem;
    else
        free(problem);
}

void sidecar_fail(const char *problem, struct sidecar *out)
{
    *out = (struct sidecar){.problem = mem_string(problem)};
}

void sidecar_clear(struct sidecar *sidecar)
{
    free(sidecar->problem);
    for (size_t i = 0; i < sidecar->field_count; i++) {
        free(sidecar->fields[i].name);
        free(sidecar->fields[i].value);
    }
    free(sidecar->fields);
    *sidecar = (struct sidecar){0};
}

const char *sidecar_field(const struct sidecar *sidecar, const char *name)
{
    for (size_t i = 0; sidecar != NULL && i < sidecar->field_count; i++) {
        if (strcmp(sidecar->fields[i].name, name) == 0)
            return sidecar->fields[i].value;
    }
    return NULL;
}

bool sidecar_is_field_name(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_-.";
    size_t n = strspn(name, allowed);
    return n > 0 && n <= NAME_MAX_BYTES && name[n] == '\0';
}

bool sidecar_wins(const char *name)
{
    static const char *const winners[] = {"user", "name", "meeting_id", "crm_account_id",
                                          "crm_opportunity_id"};
    for (size_t i = 0; i < sizeof winners / sizeof winners[0]; i++) {
        if (strcmp(name, winners[i]) == 0)
            return true;
    }
    return false;
}

/* --- before the parser sees it --- */

/* What a parser takes and would take wrongly: depth costs its stack, a byte 0 or its escape cuts a
 * value in two. */
static const char *screen(const char *bytes, size_t n)
{
    size_t depth = 0;
    bool quoted = false;
    if (n > SIDECAR_MAX_BYTES)
        return "it is larger than 256 KiB";
    if (memchr(bytes, '\0', n) != NULL)
        return "a byte 0: this is no text";
    for (size_t i = 0; i < n; i++) {
        if (quoted && bytes[i] == '\\') {
            if (n - i >= 6 && memcmp(bytes + i + 1, "u0000", 5) == 0)
                return "a text in it holds a byte 0";
            i++;
        } else if (bytes[i] == '"') {
            quoted = !quoted;
        } else if (!quoted && (bytes[i] == '{' || bytes[i] == '[')) {
            if (++depth > SIDECAR_MAX_DEPTH)
                return "it is nested deeper than 32";
        } else if (!quoted && (bytes[i] == '}' || bytes[i] == ']')) {
            depth -= depth > 0;
        }
    }
    return NULL;
}

/* --- fields --- */

static char *number_as_text(double number)
{
    if (!isfinite(number) || fabs(number) >= EXACT_MAX)
        return NULL;
    return floor(number) == number ? mem_printf("%.0f", number) : mem_printf("%.15g", number);
}

/* New string; NULL: no field. */
static char *value_of(const cJSON *item)
{
    if (cJSON_IsString(item))
        return item->valuestring[0] != '\0' ? mem_string(item->valuestring) : NULL;
    if (cJSON_IsNumber(item))
        return number_as_text(item->valuedouble);
    if (cJSON_IsBool(item))
        return mem_string(cJSON_IsTrue(item) ? "true" : "false");
    return NULL;
}

static void set_field(struct sidecar *out, const char *name, const cJSON *item)
{
    char *value = value_of(item);
    if (cJSON_IsNumber(item) && value == NULL)
        fail(out,
             mem_printf("%s is a number too large to be exact; it must stand in quotes", name));
    if (value != NULL && strlen(value) > SIDECAR_MAX_VALUE)
        fail(out, mem_printf("%s is longer than 4096 bytes", name));
    for (size_t i = 0; i < out->field_count; i++) {
        if (strcmp(out->fields[i].name, name) == 0) { /* picked: it takes the place of another */
            mem_replace(&out->fields[i].value, value != NULL ? value : mem_string(""));
            return;
        }
    }
    if (value == NULL)
        return;
    out->fields = mem_resize(out->fields, out->field_count + 1, sizeof out->fields[0]);
    out->fields[out->field_count++] = (struct resolution_field){mem_string(name), value};
}

static void take_top(struct sidecar *out, const cJSON *root)
{
    size_t count = 0;
    for (const cJSON *item = root->child; item != NULL; item = item->next) {
        if (++count > SIDECAR_MAX_FIELDS) {
            fail(out, mem_string("it has more than 200 fields"));
            return;
        }
        for (const cJSON *other = root->child; other != item; other = other->next) {
            if (strcmp(other->string, item->string) == 0) {
                char *shown = bytes_escape(item->string);
                fail(out, mem_printf("%.64s stands in it twice", shown));
                free(shown);
                return;
            }
        }
        if (sidecar_is_field_name(item->string))
            set_field(out, item->string, item);
    }
}

/* One step of a path; NULL: not there, or not there for sure. */
static const cJSON *step(const cJSON *at, const char *part)
{
    const cJSON *found = NULL;
    if (cJSON_IsArray(at)) {
        char *end;
        unsigned long index = strtoul(part, &end, 10);
        bool digits = *part >= '0' && *part <= '9' && *end == '\0';
        return digits && index < SIDECAR_MAX_BYTES ? cJSON_GetArrayItem(at, (int)index) : NULL;
    }
    if (!cJSON_IsObject(at))
        return NULL;
    for (const cJSON *item = at->child; item != NULL; item = item->next) {
        if (strcmp(item->string, part) != 0)
            continue;
        if (found != NULL)
            return NULL; /* twice: neither */
        found = item;
    }
    return found;
}

static void take_pick(struct sidecar *out, const cJSON *root, const struct sidecar_pick *pick)
{
    char *path = mem_string(pick->path), *rest = path;
    const cJSON *at = root;
    while (at != NULL && rest != NULL)
        at = step(at, strsep(&rest, "."));
    set_field(out, pick->field, at); /* also where nothing stands there: then there is no field */
    free(path);
}

/* A field that was picked from where nothing stands. */
static void drop_empty(struct sidecar *out)
{
    size_t kept = 0;
    for (size_t i = 0; i < out->field_count; i++) {
        if (*out->fields[i].value != '\0') {
            out->fields[kept++] = out->fields[i];
            continue;
        }
        free(out->fields[i].name);
        free(out->fields[i].value);
    }
    out->field_count = kept;
}

void sidecar_read(const char *bytes, size_t n, const struct sidecar_pick *picks, size_t pick_count,
                  struct sidecar *out)
{
    *out = (struct sidecar){0};
    const char *problem = screen(bytes, n);
    if (problem != NULL) {
        sidecar_fail(problem, out);
        return;
    }
    char *text = mem_bytes_string(bytes, n); /* ended by a byte 0, which must be what follows */
    cJSON *root = cJSON_ParseWithLengthOpts(text, n + 1, NULL, 1);
    if (!cJSON_IsObject(root)) {
        sidecar_fail(root == NULL ? "it is no JSON, or cut" : "it is no JSON object", out);
    } else {
        take_top(out, root);
        for (size_t i = 0; i < pick_count && out->problem == NULL; i++)
            take_pick(out, root, &picks[i]);
        drop_empty(out);
    }
    cJSON_Delete(root);
    free(text);
}
