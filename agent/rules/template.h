/*
 * Templates: text with {field|filter|...} in it, {{ and }} for braces. Compiled once against the
 * fields and tables that exist, then expanded for each file. Values are bytes. Any thread, as long
 * as the tables given to template_expand are not loaded meanwhile.
 */
#ifndef CHORUS_RULES_TEMPLATE_H
#define CHORUS_RULES_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/rules/rules.h"

struct template;

/* What a template may name beside the fields and filters that always exist. */
struct template_scope {
    const char *const *groups; /* named groups; they hide fields of the same name */
    size_t group_count;
    const char *const *tables;
    size_t table_count;
    bool any_field; /* a sidecar may bring fields of any name */
};

/* NULL on an error: *why (new string) says what is wrong and what exists. */
struct template *template_compile(const char *text, const struct template_scope *scope, char **why);
void template_free(struct template *compiled);

/* The text of a template that names no field, else NULL. Valid as long as the template. */
const char *template_constant(const struct template *compiled);

/* The fields that it names, in their order. */
size_t template_field_count(const struct template *compiled);
const char *template_field_at(const struct template *compiled, size_t i, bool *filtered);

/* A glob that matches whatever it expands to: a star for each field. New string. */
char *template_glob(const struct template *compiled);

struct template_values {
    const struct recording_facts *facts;
    const struct resolution_field *groups; /* of the deciding rule, and what a sidecar brought */
    size_t group_count;
    const struct table_set *tables;
    resolve_trace trace; /* told of every look-up; may be NULL */
    void *trace_ctx;
};

struct expansion {
    char *text;    /* bytes; a look-up that found nothing adds nothing */
    char *missing; /* the first look-up that found nothing, in words, or NULL */
    char *empty;   /* the first field that is empty, or that a filter left empty, or NULL */
};

/* Fills *expansion; clear it with expansion_clear. A field that neither the groups nor the file
 * have (a group that the deciding rule lacks) is empty. */
void template_expand(const struct template *compiled, const struct template_values *values,
                     struct expansion *expansion);
void expansion_clear(struct expansion *expansion);

#endif
