/* Sidecars: what is taken out of them, what is a problem, and how they win over rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/mem.h"
#include "agent/rules/sidecar.h"

static struct sidecar sidecar;

static int teardown(void **state)
{
    (void)state;
    sidecar_clear(&sidecar);
    return 0;
}

static void take(const char *text, const char *field, const char *path)
{
    char *own_field = mem_string(field), *own_path = mem_string(path);
    const struct sidecar_pick pick = {own_field, own_path};
    sidecar_clear(&sidecar);
    sidecar_read(text, strlen(text), &pick, field != NULL, &sidecar);
    free(own_field);
    free(own_path);
}

static void expect(const char *field, const char *value)
{
    const char *found = sidecar_field(&sidecar, field);
    if (value == NULL)
        assert_null(found);
    else
        assert_string_equal(found != NULL ? found : "(none)", value);
}

static void scalars_at_the_top_are_fields(void **state)
{
    (void)state;
    take("{\"user\":\"ann@example.com\",\"n\":42,\"f\":1.5,\"t\":true,\"nil\":null,\"e\":\"\","
         "\"list\":[1],\"o\":{\"x\":1},\"a b\":\"c\",\"id\":9007199254740991} \n",
         NULL, NULL);
    assert_null(sidecar.problem);
    assert_int_equal(sidecar.field_count, 5);
    expect("user", "ann@example.com");
    expect("n", "42");
    expect("f", "1.5");
    expect("t", "true");
    expect("id", "9007199254740991");
}

static void a_place_names_a_field_and_takes_the_place_of_another(void **state)
{
    static const char text[] =
        "{\"user\":\"x\",\"p\":[{\"email\":\"a@b.de\"},{\"email\":\"c@d.de\"}],"
        "\"d\":{\"k\":1,\"k\":2}}";
    (void)state;
    take(text, "user", "p.1.email");
    expect("user", "c@d.de");
    take(text, "user", "p.7.email");
    expect("user", NULL);
    take(text, "agent", "d.k"); /* twice there: neither */
    expect("agent", NULL);
    expect("user", "x");
    take(text, "agent", "p.1x.email");
    expect("agent", NULL);
    take(text, "agent", "p");
    expect("agent", NULL);
    assert_null(sidecar.problem);
}

static void what_is_not_surely_meant_is_a_problem(void **state)
{
    static const struct {
        const char *text, *problem;
    } cases[] = {
        {"", "it is no JSON, or cut"},
        {"{\"user\":\"a\"", "it is no JSON, or cut"},
        {"{\"user\":\"a\"} x", "it is no JSON, or cut"},
        {"[]", "it is no JSON object"},
        {"\"user\"", "it is no JSON object"},
        {"{\"user\":\"a\",\"user\":\"b\"}", "user stands in it twice"},
        {"{\"a\":\"\\u0000\"}", "a text in it holds a byte 0"},
        {"{\"call\":12345678901234567890}",
         "call is a number too large to be exact; it must stand in quotes"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        take(cases[i].text, NULL, NULL);
        assert_string_equal(sidecar.problem != NULL ? sidecar.problem : cases[i].text,
                            cases[i].problem);
    }
    take("{\"a\":\"\\\\u0000\"}", NULL, NULL); /* a backslash, and no escape behind it */
    expect("a", "\\u0000");
}

static void depth_and_size_are_bounded(void **state)
{
    char text[256] = "{\"a\":";
    (void)state;
    for (int i = 0; i < SIDECAR_MAX_DEPTH; i++)
        strcat(text, "[");
    take(text, NULL, NULL);
    assert_string_equal(sidecar.problem, "it is nested deeper than 32");
    char *huge = mem_zalloc(SIDECAR_MAX_BYTES + 2);
    memset(huge, ' ', SIDECAR_MAX_BYTES + 1);
    take(huge, NULL, NULL);
    assert_string_equal(sidecar.problem, "it is larger than 256 KiB");
    free(huge);
    char *many = mem_string("{\"a\":1");
    for (int i = 0; i < SIDECAR_MAX_FIELDS; i++)
        mem_replace(&many, mem_printf("%s,\"f%d\":1", many, i));
    mem_replace(&many, mem_printf("%s}", many));
    take(many, NULL, NULL);
    assert_string_equal(sidecar.problem, "it has more than 200 fields");
    free(many);
}

/* --- with rules --- */

static char *heard;

static void hear(void *ctx, int line, const char *text)
{
    (void)ctx;
    mem_replace(&heard, mem_printf("%d: %s", line, text));
}

static struct resolution resolve_with(const struct rule_source *rule, const char *text)
{
    const struct rule_set_source source = {.rules = rule,
                                           .rule_count = 1,
                                           .sidecar = "{stem}.json",
                                           .call_key = "{call}",
                                           .meeting_id = "sha256-{sha256}"};
    static const uint8_t sha256[32] = {0x12};
    struct resolution resolution;
    struct rule_set *rules = rules_compile(&source, hear, NULL);
    assert_non_null(rules);
    take(text, NULL, NULL);
    const struct recording_facts facts = {.path = "/calls/x/a.wav",
                                          .root_length = 6,
                                          .sha256 = sha256,
                                          .watch = "calls",
                                          .host = "pbx",
                                          .sidecar = &sidecar};
    rules_resolve(rules, NULL, &facts, NULL, NULL, NULL, &resolution);
    char *path = rules_sidecar_path(rules, &facts);
    assert_string_equal(path, "/calls/x/a.json");
    assert_string_equal(rules_sidecar_globs(rules)[0], "*.json");
    free(path);
    rules_free(rules);
    return resolution;
}

static void a_sidecar_wins_and_groups_hide_its_fields(void **state)
{
    const struct rule_source rule = {.title = "r",
                                     .pattern = "(?<agent>a)\\.wav$",
                                     .owner = "team@example.com",
                                     .name = "{agent} {queue} {sha256|sha8}{missing}"};
    (void)state;
    struct resolution r = resolve_with(
        &rule, "{\"user\":\"ann@example.com\",\"agent\":\"z\",\"queue\":\"q\",\"sha256\":\"0\","
               "\"call\":\"c-1\",\"crm_account_id\":\"001\"}");
    assert_int_equal(r.outcome, RESOLVED);
    assert_string_equal(r.owner, "ann@example.com");
    assert_int_equal(strncmp(r.name, "a q ", 4), 0);
    assert_string_equal(r.call_key, "c-1");
    assert_string_equal(r.crm_account_id, "001");
    assert_int_equal(r.key_kind, KEY_DERIVED);
    assert_int_equal(strncmp(r.meeting_id, "sha256-1200", 11), 0);
    assert_int_equal(r.field_count, 5); /* not agent a second time, nor sha256 */
    resolution_clear(&r);

    r = resolve_with(&rule, "{\"meeting_id\":\"m-1\",\"name\":\"a call\"}");
    assert_string_equal(r.owner, "team@example.com");
    assert_string_equal(r.name, "a call");
    assert_string_equal(r.meeting_id, "m-1");
    assert_int_equal(r.key_kind, KEY_SCHEDULED);
    resolution_clear(&r);
}

static void a_sidecar_decides_where_no_rule_does(void **state)
{
    const struct rule_source rule = {.pattern = "^never$", .owner = "team@example.com"};
    (void)state;
    struct resolution r = resolve_with(&rule, "{\"user\":\"ann@example.com\"}");
    assert_int_equal(r.outcome, RESOLVED);
    assert_string_equal(r.owner, "ann@example.com");
    assert_string_equal(r.name, "a");
    assert_int_equal(r.key_kind, KEY_DERIVED);
    resolution_clear(&r);
    r = resolve_with(&rule, "{\"name\":\"ann\"}");
    assert_int_equal(r.outcome, RESOLVED_HELD);
    assert_string_equal(r.reason, "no rule matches x/a.wav");
    resolution_clear(&r);
}

static void a_broken_sidecar_holds_and_a_skip_still_skips(void **state)
{
    const struct rule_source owner = {.owner = "team@example.com"};
    const struct rule_source skip = {.skip = "tests"};
    (void)state;
    struct resolution r = resolve_with(&owner, "{");
    assert_int_equal(r.outcome, RESOLVED_HELD);
    assert_string_equal(r.reason, "its sidecar cannot be used: it is no JSON, or cut");
    resolution_clear(&r);
    r = resolve_with(&owner, "{\"user\":\"Ann\"}");
    assert_string_equal(r.reason, "owner \"Ann\" is no e-mail address (the sidecar's user, owner)");
    resolution_clear(&r);
    r = resolve_with(&skip, "{");
    assert_int_equal(r.outcome, RESOLVED_SKIP);
    resolution_clear(&r);
}

static void a_sidecar_lies_beside_and_is_told_apart(void **state)
{
    static const char *const bad[] = {"x/{stem}.json", "{path}.json",   "{stem}",
                                      "{stem}.{ext}",  "{sha256}.json", "{dir}.json"};
    const struct rule_source rule = {.owner = "team@example.com"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct rule_set_source source = {
            .rules = &rule, .rule_count = 1, .sidecar = bad[i], .sidecar_line = 7};
        assert_null(rules_compile(&source, hear, NULL));
        assert_int_equal(strncmp(heard, "7: sidecar: it lies beside", 26), 0);
    }
    mem_replace(&heard, NULL);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(scalars_at_the_top_are_fields),
        TEST(a_place_names_a_field_and_takes_the_place_of_another),
        TEST(what_is_not_surely_meant_is_a_problem),
        TEST(depth_and_size_are_bounded),
        TEST(a_sidecar_wins_and_groups_hide_its_fields),
        TEST(a_sidecar_decides_where_no_rule_does),
        TEST(a_broken_sidecar_holds_and_a_skip_still_skips),
        TEST(a_sidecar_lies_beside_and_is_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
