#include "agent/rules/template.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/rules/fields.h"
#include "agent/rules/filters.h"
#include "agent/rules/sidecar.h"

/* Plain text, or a field with its filters. */
struct piece {
    char *text;
    char *field;
    char **filters;
    size_t filter_count;
};

struct template
{
    struct piece *pieces;
    size_t count;
};

static bool is_among(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

static struct piece *add_piece(struct template *compiled)
{
    compiled->pieces =
        mem_resize(compiled->pieces, compiled->count + 1, sizeof compiled->pieces[0]);
    struct piece *piece = &compiled->pieces[compiled->count++];
    *piece = (struct piece){0};
    return piece;
}

static void add_text(struct template *compiled, const char *text, size_t length)
{
    struct piece *last = compiled->count > 0 ? &compiled->pieces[compiled->count - 1] : NULL;
    if (last == NULL || last->text == NULL)
        last = add_piece(compiled);
    char *before = last->text;
    last->text = mem_printf("%s%.*s", before != NULL ? before : "", (int)length, text);
    free(before);
}

/* " word a b c", or nothing where there are none. */
static char *list_of(const char *word, const char *const *names, size_t count)
{
    if (count == 0)
        return mem_string("");
    char *list = mem_printf("; %s:", word);
    for (size_t i = 0; i < count; i++)
        mem_replace(&list, mem_printf("%s %s", list, names[i]));
    return list;
}

static bool check_field(const char *name, const struct template_scope *scope, char **why)
{
    if (is_among(name, scope->groups, scope->group_count) || field_exists(name) ||
        (scope->any_field && sidecar_is_field_name(name)))
        return true;
    char *shown = bytes_escape(name);
    char *groups = list_of("groups of the pattern", scope->groups, scope->group_count);
    *why = mem_printf("no field {%s}; fields: %s%s", shown, field_names(), groups);
    free(groups);
    free(shown);
    return false;
}

static bool check_filter(const char *name, const struct template_scope *scope, char **why)
{
    if (filter_exists(name) || is_among(name, scope->tables, scope->table_count))
        return true;
    char *shown = bytes_escape(name);
    char *tables = list_of("tables", scope->tables, scope->table_count);
    *why = mem_printf("no filter or table \"%s\"; filters: %s%s", shown, filter_names(), tables);
    free(tables);
    free(shown);
    return false;
}

/* `inside` is what stands between the braces: field|filter|filter. */
static bool add_field(struct template *compiled, char *inside, const struct template_scope *scope,
                      char **why)
{
    struct piece *piece = add_piece(compiled);
    char *rest = inside;
    piece->field = mem_string(strsep(&rest, "|"));
    if (!check_field(piece->field, scope, why))
        return false;
    while (rest != NULL) {
        const char *name = strsep(&rest, "|");
        if (!check_filter(name, scope, why))
            return false;
        piece->filters =
            mem_resize(piece->filters, piece->filter_count + 1, sizeof piece->filters[0]);
        piece->filters[piece->filter_count++] = mem_string(name);
    }
    return true;
}

/* Takes one brace at *at and what belongs to it. */
static bool take_brace(struct template *compiled, const char **at,
                       const struct template_scope *scope, char **why)
{
    const char *s = *at;
    if (s[1] == s[0]) {
        add_text(compiled, s, 1);
        *at = s + 2;
        return true;
    }
    size_t length = strcspn(s + 1, "{}");
    if (*s == '}' || s[1 + length] != '}') {
        *why = mem_printf("a \"%c\" alone; fields are written {field}, and a brace as %s", *s,
                          *s == '{' ? "{{" : "}}");
        return false;
    }
    char *inside = mem_bytes_string(s + 1, length);
    bool good = add_field(compiled, inside, scope, why);
    free(inside);
    *at = s + length + 2;
    return good;
}

struct template *template_compile(const char *text, const struct template_scope *scope, char **why)
{
    struct template *compiled = mem_zalloc(sizeof *compiled);
    bool good = true;
    while (good && *text != '\0') {
        size_t plain = strcspn(text, "{}");
        if (plain > 0) {
            add_text(compiled, text, plain);
            text += plain;
        } else {
            good = take_brace(compiled, &text, scope, why);
        }
    }
    if (good)
        return compiled;
    template_free(compiled);
    return NULL;
}

void template_free(struct template *compiled)
{
    if (compiled == NULL)
        return;
    for (size_t i = 0; i < compiled->count; i++) {
        struct piece *piece = &compiled->pieces[i];
        free(piece->text);
        free(piece->field);
        for (size_t k = 0; k < piece->filter_count; k++)
            free(piece->filters[k]);
        free(piece->filters);
    }
    free(compiled->pieces);
    free(compiled);
}

const char *template_constant(const struct template *compiled)
{
    if (compiled->count == 0)
        return "";
    /* Text beside text is one piece, so anything longer holds a field. */
    return compiled->count == 1 ? compiled->pieces[0].text : NULL;
}

size_t template_field_count(const struct template *compiled)
{
    size_t count = 0;
    for (size_t i = 0; i < compiled->count; i++)
        count += compiled->pieces[i].field != NULL;
    return count;
}

const char *template_field_at(const struct template *compiled, size_t i, bool *filtered)
{
    for (size_t k = 0; k < compiled->count; k++) {
        const struct piece *piece = &compiled->pieces[k];
        if (piece->field == NULL || i-- > 0)
            continue;
        *filtered = piece->filter_count > 0;
        return piece->field;
    }
    return NULL;
}

char *template_glob(const struct template *compiled)
{
    size_t room = 1;
    for (size_t i = 0; i < compiled->count; i++)
        room += compiled->pieces[i].text != NULL ? 2 * strlen(compiled->pieces[i].text) : 1;
    char *glob = mem_zalloc(room), *to = glob;
    for (size_t i = 0; i < compiled->count; i++) {
        const char *text = compiled->pieces[i].text;
        if (text == NULL)
            *to++ = '*';
        for (; text != NULL && *text != '\0'; text++) {
            if (strchr("*?[]\\", *text) != NULL)
                *to++ = '\\';
            *to++ = *text;
        }
    }
    return glob;
}

static char *raw_value(const char *field, const struct template_values *values)
{
    for (size_t i = 0; i < values->group_count; i++) {
        if (strcmp(values->groups[i].name, field) == 0)
            return mem_string(values->groups[i].value);
    }
    char *value = field_value(field, values->facts);
    return value != NULL ? value : mem_string("");
}

static void trace_look_up(const struct template_values *values, const char *table, const char *key,
                          const char *found, int line)
{
    if (values->trace == NULL)
        return;
    char *shown_key = bytes_escape(key);
    char *shown = bytes_escape(found != NULL ? found : "");
    char *text = found != NULL
                     ? mem_printf("table %s: %s -> %s (line %d)", table, shown_key, shown, line)
                     : mem_printf("table %s: %s -> nothing", table, shown_key);
    values->trace(values->trace_ctx, text);
    free(text);
    free(shown);
    free(shown_key);
}

static char *why_missing(const char *field, const char *table, const char *key,
                         const struct template_values *values, int index)
{
    if (*key == '\0')
        return mem_printf("table %s has nothing to look up: {%s} came out empty", table, field);
    char *why = index < 0 ? mem_string("not been given")
                          : table_set_why(values->tables, (size_t)index, key);
    char *text = mem_printf("table %s has %s", table, why);
    free(why);
    return text;
}

/* New string, or NULL and *missing is set unless something was missing before. */
static char *look_up(const char *field, const char *table, const char *key,
                     const struct template_values *values, char **missing)
{
    int line = 0;
    int index = values->tables != NULL ? table_set_find(values->tables, table) : -1;
    const char *found = NULL;
    if (index >= 0 && *key != '\0')
        found = table_set_look_up(values->tables, (size_t)index, key, &line);
    trace_look_up(values, table, key, found, line);
    if (found != NULL)
        return mem_string(found);
    if (*missing == NULL)
        *missing = why_missing(field, table, key, values, index);
    return NULL;
}

static void note_empty(struct expansion *expansion, const char *field)
{
    if (expansion->empty == NULL)
        expansion->empty = mem_string(field);
}

/* The value of one field behind all its filters; NULL if a look-up found nothing. */
static char *expand_field(const struct piece *piece, const struct template_values *values,
                          struct expansion *expansion)
{
    char *value = raw_value(piece->field, values);
    for (size_t i = 0; value != NULL && i < piece->filter_count; i++) {
        const char *filter = piece->filters[i];
        if (*value == '\0')
            note_empty(expansion, piece->field);
        if (filter_exists(filter))
            mem_replace(&value, filter_apply(filter, value));
        else
            mem_replace(&value, look_up(piece->field, filter, value, values, &expansion->missing));
    }
    if (value != NULL && *value == '\0')
        note_empty(expansion, piece->field);
    return value;
}

static void append(char **text, size_t *length, const char *more)
{
    size_t n = more != NULL ? strlen(more) : 0;
    *text = mem_resize(*text, *length + n + 1, 1);
    if (n > 0)
        memcpy(*text + *length, more, n);
    *length += n;
    (*text)[*length] = '\0';
}

void template_expand(const struct template *compiled, const struct template_values *values,
                     struct expansion *expansion)
{
    *expansion = (struct expansion){.text = mem_string("")};
    size_t length = 0;
    for (size_t i = 0; i < compiled->count; i++) {
        const struct piece *piece = &compiled->pieces[i];
        char *value = piece->field != NULL ? expand_field(piece, values, expansion) : NULL;
        append(&expansion->text, &length, piece->field == NULL ? piece->text : value);
        free(value);
    }
}

void expansion_clear(struct expansion *expansion)
{
    free(expansion->text);
    free(expansion->missing);
    free(expansion->empty);
    *expansion = (struct expansion){0};
}
