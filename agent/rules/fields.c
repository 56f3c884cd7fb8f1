#include "agent/rules/fields.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/rules/fold.h"
#include "agent/rules/rules.h"

const char *field_path_below(const struct recording_facts *facts)
{
    const char *below = facts->path + facts->root_length;
    while (*below == '/')
        below++;
    return below;
}

static const char *file_name(const struct recording_facts *facts)
{
    const char *slash = strrchr(facts->path, '/');
    return slash == NULL ? facts->path : slash + 1;
}

/* The last dot of the name, or its end; a dot that begins the name begins no extension. */
static const char *last_dot(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot == NULL || dot == name ? name + strlen(name) : dot;
}

static char *path_of(const struct recording_facts *facts)
{
    return mem_string(facts->path);
}

static char *file_of(const struct recording_facts *facts)
{
    return mem_string(file_name(facts));
}

static char *stem_of(const struct recording_facts *facts)
{
    const char *name = file_name(facts);
    return mem_bytes_string(name, (size_t)(last_dot(name) - name));
}

static char *ext_of(const struct recording_facts *facts)
{
    const char *dot = last_dot(file_name(facts));
    return fold_lower(*dot == '.' ? dot + 1 : dot);
}

static char *dir_of(const struct recording_facts *facts)
{
    const char *below = field_path_below(facts);
    const char *slash = strrchr(below, '/');
    return mem_bytes_string(below, slash == NULL ? 0 : (size_t)(slash - below));
}

static char *parent_of(const struct recording_facts *facts)
{
    const char *end = file_name(facts);
    while (end > facts->path && end[-1] == '/')
        end--;
    const char *begin = end;
    while (begin > facts->path && begin[-1] != '/')
        begin--;
    return mem_bytes_string(begin, (size_t)(end - begin));
}

static char *size_of(const struct recording_facts *facts)
{
    return mem_printf("%" PRIu64, facts->size);
}

static char *mtime_of(const struct recording_facts *facts)
{
    char text[WHEN_TEXT];
    when_compact(facts->mtime_ms, text);
    return mem_string(text);
}

/* Whole seconds. */
static char *duration_of(const struct recording_facts *facts)
{
    if (facts->duration_ms <= 0)
        return mem_string("");
    return mem_printf("%" PRId64, (facts->duration_ms + 500) / 1000);
}

static char *sha256_of(const struct recording_facts *facts)
{
    static const uint8_t unknown[32];
    char hex[65];
    bytes_to_hex(facts->sha256 != NULL ? facts->sha256 : unknown, 32, hex);
    return mem_string(hex);
}

static char *watch_of(const struct recording_facts *facts)
{
    return mem_string(facts->watch != NULL ? facts->watch : "");
}

static char *host_of(const struct recording_facts *facts)
{
    return mem_string(facts->host != NULL ? facts->host : "");
}

static const struct {
    const char *name;
    char *(*value)(const struct recording_facts *facts);
} fields[] = {{"path", path_of},   {"file", file_of},   {"stem", stem_of},
              {"ext", ext_of},     {"dir", dir_of},     {"parent", parent_of},
              {"size", size_of},   {"mtime", mtime_of}, {"sha256", sha256_of},
              {"watch", watch_of}, {"host", host_of},   {"duration", duration_of}};
enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };

bool field_exists(const char *name)
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (strcmp(fields[i].name, name) == 0)
            return true;
    }
    return false;
}

char *field_value(const char *name, const struct recording_facts *facts)
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (strcmp(fields[i].name, name) == 0)
            return fields[i].value(facts);
    }
    return NULL;
}

const char *field_names(void)
{
    return "path file stem ext dir parent size mtime sha256 watch host duration";
}
