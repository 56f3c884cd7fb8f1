#include "agent/rules/tables.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/rules/csv_rows.h"
#include "agent/rules/file_bytes.h"
#include "agent/rules/fold.h"
#include "watcher/digest.h"

static const size_t FILE_MAX_BYTES = (size_t)256 << 20;
/* More of a kind are only counted: a log is no copy of the table. */
enum { TOLD_MAX = 5 };

/* A row; key and value are offsets into `text`. */
struct entry {
    uint32_t key, value;
    int line;
    int rival_line; /* of the first row that has another value for this key; 0: none */
};

struct table {
    char *name, *path;
    /* the version in force; nothing before the first load */
    bool loaded;
    char *text;
    size_t text_length, text_room; /* the room only while it is read */
    struct entry *entries;
    size_t count, room;
    uint32_t *slots; /* index + 1 of an entry, 0: free; a power of two of them */
    size_t slot_count;
    uint8_t sha256[32];
};

struct table_set {
    struct table *tables;
    size_t count;
};

struct table_set *table_set_new(const char *const *names, const char *const *paths, size_t count)
{
    struct table_set *set = mem_zalloc(sizeof *set);
    set->tables = mem_array(count, sizeof set->tables[0]);
    set->count = count;
    for (size_t i = 0; i < count; i++) {
        set->tables[i].name = mem_string(names[i]);
        set->tables[i].path = mem_string(paths[i]);
    }
    return set;
}

static void clear_version(struct table *table)
{
    free(table->text);
    free(table->entries);
    free(table->slots);
}

void table_set_free(struct table_set *tables)
{
    if (tables == NULL)
        return;
    for (size_t i = 0; i < tables->count; i++) {
        clear_version(&tables->tables[i]);
        free(tables->tables[i].name);
        free(tables->tables[i].path);
    }
    free(tables->tables);
    free(tables);
}

size_t table_set_count(const struct table_set *tables)
{
    return tables->count;
}

const char *table_set_name(const struct table_set *tables, size_t index)
{
    return tables->tables[index].name;
}

const char *table_set_path(const struct table_set *tables, size_t index)
{
    return tables->tables[index].path;
}

void table_set_inherit(struct table_set *tables, struct table_set *from)
{
    for (size_t i = 0; i < tables->count; i++) {
        struct table *table = &tables->tables[i];
        int index = table_set_find(from, table->name);
        struct table *old = index >= 0 ? &from->tables[index] : NULL;
        if (old == NULL || strcmp(old->path, table->path) != 0)
            continue;
        struct table empty = {.name = old->name, .path = old->path};
        char *name = table->name, *path = table->path;
        clear_version(table);
        *table = *old;
        table->name = name;
        table->path = path;
        *old = empty;
    }
}

int table_set_find(const struct table_set *tables, const char *name)
{
    for (size_t i = 0; i < tables->count; i++) {
        if (strcmp(tables->tables[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

size_t table_set_rows(const struct table_set *tables, size_t index)
{
    return tables->tables[index].count;
}

static uint64_t hash_of(const char *key)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (; *key != '\0'; key++)
        hash = (hash ^ (unsigned char)*key) * 0x100000001b3u;
    return hash ^ hash >> 29;
}

/* The slot of this folded key, or the free one where it would go. */
static uint32_t *slot_of(const struct table *table, const char *folded)
{
    size_t i = hash_of(folded) & (table->slot_count - 1);
    while (table->slots[i] != 0 &&
           strcmp(table->text + table->entries[table->slots[i] - 1].key, folded) != 0)
        i = (i + 1) & (table->slot_count - 1);
    return &table->slots[i];
}

static const struct entry *find_entry(const struct table *table, const char *key)
{
    if (table->count == 0 || *key == '\0')
        return NULL;
    char *folded = fold_lower(key);
    uint32_t at = *slot_of(table, folded);
    free(folded);
    return at == 0 ? NULL : &table->entries[at - 1];
}

const char *table_set_look_up(const struct table_set *tables, size_t index, const char *key,
                              int *line)
{
    const struct table *table = &tables->tables[index];
    const struct entry *entry = find_entry(table, key);
    if (entry == NULL || entry->rival_line != 0)
        return NULL;
    if (line != NULL)
        *line = entry->line;
    return table->text + entry->value;
}

char *table_set_why(const struct table_set *tables, size_t index, const char *key)
{
    const struct table *table = &tables->tables[index];
    const struct entry *entry = find_entry(table, key);
    char *shown = bytes_escape(key);
    char *why;
    if (entry != NULL && entry->rival_line != 0)
        why = mem_printf("two values for %s (lines %d and %d)", shown, entry->line,
                         entry->rival_line);
    else if (*key == '\0')
        why = mem_string("nothing to look up");
    else
        why = mem_printf("no row for %s%s", shown, table->loaded ? "" : ": it is not read yet");
    free(shown);
    return why;
}

uint64_t table_set_digest(const struct table_set *tables)
{
    uint8_t sha256[32] = {0};
    uint64_t digest = 0;
    struct digest *sum = digest_new();
    int status = sum == NULL ? -ENOMEM : 0;
    for (size_t i = 0; status == 0 && i < tables->count; i++) {
        const struct table *table = &tables->tables[i];
        status = digest_update(sum, table->name, strlen(table->name) + 1);
        if (status == 0)
            status = digest_update(sum, table->sha256, sizeof table->sha256);
    }
    if (status != 0 || digest_final(sum, sha256) != 0)
        mem_exhausted(); /* a constant would hide every change from then on */
    digest_free(sum);
    memcpy(&digest, sha256, sizeof digest);
    return digest;
}

/* One load: the new version and what was noticed. */
struct loading {
    struct table *fresh;
    bool replaces; /* a version is in force already */
    table_tell tell;
    void *ctx;
    size_t bad, torn, disagreeing;
};

__attribute__((format(printf, 2, 3))) static void tell(const struct loading *loading,
                                                       const char *format, ...)
{
    if (loading->tell == NULL)
        return;
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n >= 0)
        loading->tell(loading->ctx, text);
    free(text);
}

static uint32_t store(struct table *table, const char *s)
{
    size_t n = strlen(s) + 1;
    if (table->text_room - table->text_length < n) {
        table->text_room = (table->text_room + n) * 2;
        table->text = mem_resize(table->text, table->text_room, 1);
    }
    memcpy(table->text + table->text_length, s, n);
    table->text_length += n;
    return (uint32_t)(table->text_length - n);
}

static void grow(struct table *table)
{
    table->room = table->room > 0 ? 2 * table->room : 256;
    table->entries = mem_resize(table->entries, table->room, sizeof table->entries[0]);
    free(table->slots);
    table->slot_count = 2 * table->room;
    table->slots = mem_array(table->slot_count, sizeof table->slots[0]);
    for (size_t i = 0; i < table->count; i++)
        *slot_of(table, table->text + table->entries[i].key) = (uint32_t)(i + 1);
}

static void note_rival(struct loading *loading, struct entry *entry, int line, const char *key)
{
    if (entry->rival_line == 0)
        entry->rival_line = line;
    if (++loading->disagreeing > TOLD_MAX)
        return;
    char *shown = bytes_escape(key);
    tell(loading, "line %d: another value for %s than in line %d; neither is used", line, shown,
         entry->line);
    free(shown);
}

static void take_row(void *ctx, int line, const char *key, const char *value)
{
    struct loading *loading = ctx;
    struct table *table = loading->fresh;
    if (table->count == table->room)
        grow(table);
    char *folded = fold_lower(key);
    uint32_t *slot = slot_of(table, folded);
    if (*slot == 0) {
        struct entry *entry = &table->entries[table->count];
        *entry = (struct entry){.line = line};
        entry->key = store(table, folded);
        entry->value = store(table, value);
        *slot = (uint32_t)++table->count;
    } else if (strcmp(table->text + table->entries[*slot - 1].value, value) != 0) {
        note_rival(loading, &table->entries[*slot - 1], line, key);
    }
    free(folded);
}

static void take_bad(void *ctx, int line, const char *why)
{
    struct loading *loading = ctx;
    if (++loading->bad <= TOLD_MAX)
        tell(loading, "line %d: %s; this row is not used", line, why);
}

static void take_torn(void *ctx, int line, const char *why)
{
    struct loading *loading = ctx;
    loading->torn++;
    take_bad(ctx, line, why);
}

static void take_cut(void *ctx, int line)
{
    const struct loading *loading = ctx;
    tell(loading, "line %d: the last row has no line end: is the file cut? This row is not used",
         line);
}

/* A version that is torn, or mostly rows that cannot be used, does not take the place of a good
 * one; where there is none, what is good in it is better than nothing. */
static bool is_broken(const struct loading *loading)
{
    if (loading->bad > 0 && loading->fresh->count == 0)
        return true;
    return loading->replaces && (loading->torn > 0 || loading->bad > loading->fresh->count);
}

static int parse(struct loading *loading, const char *bytes, size_t n)
{
    static const struct csv_rows_callbacks callbacks = {take_row, take_bad, take_torn, take_cut};
    const char *zero = memchr(bytes, '\0', n);
    if (zero != NULL) {
        int line = 1;
        for (const char *s = bytes; s < zero; s++)
            line += *s == '\n';
        tell(loading, "line %d: a byte 0: this is no text table; allowed: UTF-8 text, a row a line",
             line);
        return -EINVAL;
    }
    csv_rows_read(bytes, n, &callbacks, loading);
    if (loading->bad > TOLD_MAX)
        tell(loading, "%zu rows in all are not used", loading->bad);
    if (loading->disagreeing > TOLD_MAX)
        tell(loading, "%zu rows in all disagree with an earlier one", loading->disagreeing);
    return is_broken(loading) ? -EINVAL : 0;
}

/* Reads one version into `fresh`; what it holds on an error is to be cleared as well. */
static int read_version(struct loading *loading, const char *path)
{
    char *bytes;
    size_t n;
    int status = file_bytes_read(path, FILE_MAX_BYTES, &bytes, &n);
    if (status == -EINVAL)
        tell(loading, "this is no regular file");
    if (status == -EFBIG)
        tell(loading, "the file is too large; allowed: up to %zu MiB", FILE_MAX_BYTES >> 20);
    if (status == 0)
        status = parse(loading, bytes, n);
    if (status == 0)
        status = digest_of(bytes, n, loading->fresh->sha256);
    free(bytes);
    return status;
}

int table_set_load(struct table_set *tables, size_t index, table_tell tell_it, void *ctx)
{
    struct table *table = &tables->tables[index];
    struct table fresh = {.name = table->name, .path = table->path, .loaded = true};
    struct loading loading = {
        .fresh = &fresh, .replaces = table->loaded, .tell = tell_it, .ctx = ctx};
    int status = read_version(&loading, table->path);
    if (status != 0) {
        clear_version(&fresh);
        return status;
    }
    fresh.text = mem_resize(fresh.text, fresh.text_length, 1);
    clear_version(table);
    *table = fresh;
    return 0;
}
