/* Sidecars. The input's first line is a place to pick a field from, the rest is the sidecar. */
#include <string.h>

#include "agent/base/mem.h"
#include "agent/rules/sidecar.h"
#include "fuzz.h"

static void look_at(const struct sidecar *sidecar)
{
    MUST(sidecar->problem == NULL || fuzz_is_showable(sidecar->problem));
    for (size_t i = 0; i < sidecar->field_count; i++) {
        const struct resolution_field *field = &sidecar->fields[i];
        MUST(sidecar_is_field_name(field->name) && *field->value != '\0');
        MUST(sidecar_field(sidecar, field->name) == field->value); /* no name twice */
    }
}

/* What it brings goes through rules, and what comes out may be sent. */
static void resolve(const struct sidecar *sidecar)
{
    static struct rule_set *rules;
    const struct rule_source rule = {.owner = "{agent}@example.com", .name = "{queue} {user}"};
    const struct rule_set_source source = {
        .rules = &rule, .rule_count = 1, .sidecar = "{stem}.json", .call_key = "{call}"};
    if (rules == NULL)
        rules = rules_compile(&source, NULL, NULL);
    MUST(rules != NULL);
    const struct recording_facts facts = {.path = "/calls/a.wav",
                                          .root_length = 6,
                                          .watch = "calls",
                                          .host = "host",
                                          .sidecar = sidecar};
    struct resolution resolution;
    rules_resolve(rules, NULL, &facts, NULL, NULL, NULL, &resolution);
    MUST(resolution.outcome == RESOLVED || resolution.reason != NULL);
    MUST(resolution.outcome != RESOLVED || (resolution.owner != NULL && resolution.name != NULL));
    MUST(resolution.outcome != RESOLVED || sidecar->problem == NULL);
    MUST(resolution.name == NULL || fuzz_is_showable(resolution.name));
    MUST(resolution.meeting_id == NULL || fuzz_is_showable(resolution.meeting_id));
    resolution_clear(&resolution);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const uint8_t *end = memchr(data, '\n', n);
    size_t first = end != NULL ? (size_t)(end - data) : 0;
    char *path = mem_bytes_string((const char *)data, first);
    size_t from = end != NULL ? first + 1 : 0;
    char field[] = "picked";
    const struct sidecar_pick pick = {field, path};
    struct sidecar sidecar;
    sidecar_read((const char *)data + from, n - from, &pick, 1, &sidecar);
    look_at(&sidecar);
    resolve(&sidecar);
    sidecar_clear(&sidecar);
    free(path);
    return 0;
}
