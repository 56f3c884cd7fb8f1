/*
 * Look-up tables. The input is two versions of one file, the second behind a line "===": a version
 * that cannot be used leaves the one in force. Then rows are made of the input's lines, written in
 * quotes, and must come back as they were.
 */
#include <string.h>

#include "agent/base/mem.h"
#include "agent/rules/csv_rows.h"
#include "agent/rules/tables.h"
#include "fuzz.h"

static void told(void *ctx, const char *text)
{
    (void)ctx;
    MUST(fuzz_is_showable(text));
}

/* What stands before the separator of each line, looked up. */
static void look_up_all(const struct table_set *tables, const uint8_t *data, size_t n)
{
    struct fuzz_input input = {data, n};
    for (int i = 0; i < 50 && input.n > 0; i++) {
        char *line = fuzz_line(&input);
        line[strcspn(line, ",\t")] = '\0';
        int number = 0;
        const char *value = table_set_look_up(tables, 0, line, &number);
        char *why = table_set_why(tables, 0, line);
        MUST(value == NULL || number > 0);
        MUST(why != NULL && fuzz_is_showable(why));
        free(why);
        free(line);
    }
}

static void load_two(const uint8_t *data, size_t n)
{
    static const char between[] = "\n===\n";
    const uint8_t *cut = n > 0 ? memmem(data, n, between, sizeof between - 1) : NULL;
    size_t first = cut != NULL ? (size_t)(cut - data) + 1 : n;
    size_t skip = cut != NULL ? first + sizeof between - 2 : n;
    const char *name = "table", *path = fuzz_file(0, data, first);
    struct table_set *tables = table_set_new(&name, &path, 1);
    look_up_all(tables, data, first);
    table_set_load(tables, 0, told, NULL);
    look_up_all(tables, data, first);
    uint64_t digest = table_set_digest(tables);
    size_t rows = table_set_rows(tables, 0);
    fuzz_file(0, data + skip, n - skip);
    if (table_set_load(tables, 0, NULL, NULL) != 0)
        MUST(table_set_digest(tables) == digest && table_set_rows(tables, 0) == rows);
    look_up_all(tables, data, n);
    table_set_free(tables);
}

/* ---- rows that come back ---- */

struct row {
    const char *key, *value;
    bool seen;
};

static void take_row(void *ctx, int line, const char *key, const char *value)
{
    struct row *row = ctx;
    MUST(line == 2 && !row->seen);
    MUST(strcmp(key, row->key) == 0 && strcmp(value, row->value) == 0);
    row->seen = true;
}

static void take_bad(void *ctx, int line, const char *why)
{
    (void)ctx, (void)line, (void)why;
    MUST(!"a good row is bad");
}

static void take_cut(void *ctx, int line)
{
    take_bad(ctx, line, "");
}

/* Writes `text` in quotes; returns where it ends. */
static char *put_quoted(char *to, const char *text)
{
    *to++ = '"';
    for (; *text != '\0'; text++) {
        if (*text == '"')
            *to++ = '"';
        *to++ = *text;
    }
    *to++ = '"';
    return to;
}

static void bring_back(const char *key, const char *value)
{
    static const struct csv_rows_callbacks callbacks = {take_row, take_bad, take_bad, take_cut};
    static const char begin[] = "# key,value\n";
    if (*key == '\0')
        return;
    struct row row = {.key = key, .value = value};
    char *file = mem_zalloc(sizeof begin + 2 * strlen(key) + 2 * strlen(value) + 16);
    memcpy(file, begin, sizeof begin - 1);
    char *end = put_quoted(file + sizeof begin - 1, key);
    *end++ = ',';
    end = put_quoted(end, value);
    *end++ = '\n';
    csv_rows_read(file, (size_t)(end - file), &callbacks, &row);
    MUST(row.seen);
    free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input input = {data, n};
    load_two(data, n);
    while (input.n > 0) {
        char *key = fuzz_line(&input), *value = fuzz_line(&input);
        key[strcspn(key, "\r")] = '\0'; /* a row may have a few line ends, not any number */
        value[strcspn(value, "\r")] = '\0';
        bring_back(key, value);
        free(key);
        free(value);
    }
    return 0;
}
