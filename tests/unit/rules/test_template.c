/* Templates: what compiles, what each field and filter gives, and what is noted of empty and
 * missing values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/mem.h"
#include "agent/rules/template.h"

static const char *const groups[] = {"agent", "ext", "none"};
static const char *const tables[] = {"agents"};
static const struct template_scope scope = {groups, 3, tables, 1, false};

static const uint8_t sha256[32] = {0xab, 0xcd, [31] = 0x01};

static struct recording_facts facts_of(const char *path, size_t root_length)
{
    return (struct recording_facts){.path = path,
                                    .root_length = root_length,
                                    .size = 12345678901,
                                    .mtime_ms = INT64_C(1795442701999),
                                    .sha256 = sha256,
                                    .watch = "inbound",
                                    .host = "pbx1"};
}

static char *expand(const char *text, const struct template_values *values)
{
    char *why = NULL;
    struct template *compiled = template_compile(text, &scope, &why);
    if (compiled == NULL)
        fail_msg("%s: %s", text, why);
    struct expansion expansion;
    template_expand(compiled, values, &expansion);
    char *result = expansion.text;
    expansion.text = NULL;
    expansion_clear(&expansion);
    template_free(compiled);
    return result;
}

static void expect(const char *text, const char *path, size_t root_length, const char *expected)
{
    struct recording_facts facts = facts_of(path, root_length);
    struct template_values values = {.facts = &facts};
    char *result = expand(text, &values);
    assert_string_equal(result, expected);
    free(result);
}

static void text_and_braces(void **state)
{
    (void)state;
    expect("", "/r/a.wav", 2, "");
    expect("plain", "/r/a.wav", 2, "plain");
    expect("{{stem}}", "/r/a.wav", 2, "{stem}");
    expect("{{{stem}}}", "/r/a.wav", 2, "{a}");
    expect("a{{b}}c{stem}d", "/r/a.wav", 2, "a{b}cad");
    expect("}}{{", "/r/a.wav", 2, "}{");
}

static void fields_of_a_file(void **state)
{
    (void)state;
    static const char path[] = "/srv/rec/2026/11/Call.One.WAV";
    expect("{path}", path, 8, path);
    expect("{file}", path, 8, "Call.One.WAV");
    expect("{stem}", path, 8, "Call.One");
    expect("{size} {mtime}", path, 8, "12345678901 20261123T140501Z");
    expect("{watch}@{host}", path, 8, "inbound@pbx1");
    expect("{dir}", path, 8, "2026/11");
    expect("{parent}", path, 8, "11");
    expect("{dir}|{parent}", "/srv/rec/a.wav", 8, "|rec");
    expect("{dir}|{parent}", "/a.wav", 0, "|");
    expect("{dir}|{parent}", "/x/a.wav", 0, "x|x");
    expect("{stem}", "/r/noext", 2, "noext");
    expect("{stem}", "/r/.hidden", 2, ".hidden");
    expect("{stem}", "/r/a.", 2, "a");
    expect("{sha256}", path, 8, "abcd000000000000000000000000000000000000000000000000000000000001");
}

static void the_extension_is_lower_case(void **state)
{
    (void)state;
    struct template_scope none = {0};
    char *why = NULL;
    struct template *compiled = template_compile("{ext}", &none, &why);
    static const char *const names[][2] = {
        {"/r/a.WAV", "wav"}, {"/r/a", ""}, {"/r/.b", ""}, {"/r/a.b.Mp3", "mp3"}, {"/r/a.", ""}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct recording_facts facts = facts_of(names[i][0], 2);
        struct template_values values = {.facts = &facts};
        struct expansion expansion;
        template_expand(compiled, &values, &expansion);
        assert_string_equal(expansion.text, names[i][1]);
        expansion_clear(&expansion);
    }
    template_free(compiled);
}

static void groups_hide_fields_of_the_same_name(void **state)
{
    (void)state;
    struct recording_facts facts = facts_of("/r/a.wav", 2);
    struct resolution_field given[] = {{(char *)"agent", (char *)"Zo\xc3\x89"},
                                       {(char *)"ext", (char *)"412"}};
    struct template_values values = {.facts = &facts, .groups = given, .group_count = 2};
    char *result = expand("{agent|lower} {ext} [{none}]", &values);
    assert_string_equal(result, "zo\xc3\xa9 412 []");
    free(result);
    values.group_count = 0;
    result = expand("{agent}{ext}", &values);
    assert_string_equal(result, "wav");
    free(result);
}

static void filters(void **state)
{
    static const char *const cases[][3] = {
        {"{agent|upper}",
         "stra\xc3\x9f"
         "e-\xc3\xa4",
         "STRA\xc3\x9f"
         "E-\xc3\x84"},
        {"{agent|lower}",
         "\xc3\x84"
         "B\xff",
         "\xc3\xa4"
         "b\xff"},
        {"{agent|digits}", "+1 (555) 01-23", "15550123"},
        {"{agent|digits}", "none", ""},
        {"{agent|last4}", "5551234567", "4567"},
        {"{agent|last4}", "67", "67"},
        {"{agent|last4}", "", ""},
        {"{agent|last4}",
         "ab\xc3\xa4\xc3\xb6\xc3\xbc"
         "z",
         "\xc3\xa4\xc3\xb6\xc3\xbc"
         "z"},
        {"{agent|last4}", "1234\xff", "234\xff"},
        {"{agent|digits|last4}", "555-12-34", "1234"},
        {"{agent|sha8}", "abc", "ba7816bf"},
        {"{agent|sha8}", "", "e3b0c442"},
    };
    (void)state;
    struct recording_facts facts = facts_of("/r/a.wav", 2);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct resolution_field agent = {(char *)"agent", (char *)cases[i][1]};
        struct template_values values = {.facts = &facts, .groups = &agent, .group_count = 1};
        char *result = expand(cases[i][0], &values);
        assert_string_equal(result, cases[i][2]);
        free(result);
    }
}

static void errors_name_what_exists(void **state)
{
    static const char *const cases[][2] = {
        {"{nobody}", "no field {nobody}; fields: path file stem ext dir parent size mtime sha256 "
                     "watch host duration; groups of the pattern: agent ext none"},
        {"{agent|agent}", "no filter or table \"agent\"; filters: lower upper digits last4 sha8; "
                          "tables: agents"},
        {"{agent|agents|}", "no filter or table \"\""},
        {"{}", "no field {}"},
        {"{|lower}", "no field {}"},
        {"{ agent }", "no field { agent }"},
        {"{Agent}", "no field {Agent}"},
        {"{agent", "a \"{\" alone; fields are written {field}, and a brace as {{"},
        {"agent}", "a \"}\" alone"},
        {"{ag{ent}", "a \"{\" alone"},
        {"{", "a \"{\" alone"},
        {"{agent}}", "a \"}\" alone"},
        {"{a\nb}", "no field {a\\x0ab}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *why = NULL;
        assert_null(template_compile(cases[i][0], &scope, &why));
        if (strstr(why, cases[i][1]) == NULL)
            fail_msg("%s: %s", cases[i][0], why);
        free(why);
    }
}

static void the_fields_of_a_template_are_known(void **state)
{
    (void)state;
    char *why = NULL;
    bool filtered = true;
    struct template *compiled = template_compile("a{stem}b{sha256|sha8}", &scope, &why);
    assert_int_equal(template_field_count(compiled), 2);
    assert_string_equal(template_field_at(compiled, 0, &filtered), "stem");
    assert_false(filtered);
    assert_string_equal(template_field_at(compiled, 1, &filtered), "sha256");
    assert_true(filtered);
    assert_null(template_field_at(compiled, 2, &filtered));
    assert_null(template_constant(compiled));
    template_free(compiled);
    compiled = template_compile("a{{b", &scope, &why);
    assert_string_equal(template_constant(compiled), "a{b");
    template_free(compiled);
    compiled = template_compile("", &scope, &why);
    assert_string_equal(template_constant(compiled), "");
    template_free(compiled);
}

static void hear(void *ctx, const char *text)
{
    char **heard = ctx;
    mem_replace(heard, mem_printf("%s%s\n", *heard, text));
}

struct noted {
    const char *text, *agent;
    const char *result, *missing, *empty, *traced;
};

static void expect_noted(const struct noted *noted, const struct table_set *set)
{
    char *why = NULL;
    char *heard = mem_string("");
    struct recording_facts facts = facts_of("/r/a.wav", 2);
    struct resolution_field agent = {(char *)"agent", (char *)noted->agent};
    struct template_values values = {.facts = &facts,
                                     .groups = &agent,
                                     .group_count = 1,
                                     .tables = set,
                                     .trace = hear,
                                     .trace_ctx = &heard};
    struct expansion expansion;
    struct template *compiled = template_compile(noted->text, &scope, &why);
    template_expand(compiled, &values, &expansion);
    assert_string_equal(expansion.text, noted->result);
    assert_string_equal(expansion.missing != NULL ? expansion.missing : "-", noted->missing);
    assert_string_equal(expansion.empty != NULL ? expansion.empty : "-", noted->empty);
    assert_string_equal(heard, noted->traced);
    expansion_clear(&expansion);
    template_free(compiled);
    free(heard);
}

static void empty_and_missing_values_are_noted(void **state)
{
    static const struct noted cases[] = {
        {"<{agent|agents}>", "6666", "<Ann>", "-", "-", "table agents: 6666 -> Ann (line 1)\n"},
        {"<{agent|agents}>", "7", "<>", "table agents has no row for 7", "-",
         "table agents: 7 -> nothing\n"},
        {"<{agent|agents}>", "", "<>",
         "table agents has nothing to look up: {agent} came out empty", "agent",
         "table agents:  -> nothing\n"},
        {"<{agent|agents}>", "blank", "<>", "-", "agent", "table agents: blank ->  (line 2)\n"},
        {"<{agent|agents|lower}>", "6666", "<ann>", "-", "-",
         "table agents: 6666 -> Ann (line 1)\n"},
        {"<{agent|agents|agents}>", "chain", "<Ann>", "-", "-",
         "table agents: chain -> 6666 (line 3)\ntable agents: 6666 -> Ann (line 1)\n"},
        {"<{agent|agents|agents}>", "blank", "<>",
         "table agents has nothing to look up: {agent} came out empty", "agent",
         "table agents: blank ->  (line 2)\ntable agents:  -> nothing\n"},
        {"<{agent|sha8}>", "", "<e3b0c442>", "-", "agent", ""},
        {"<{agent|digits}>", "x", "<>", "-", "agent", ""},
        {"<{none}{agent}>", "x", "<x>", "-", "none", ""},
    };
    (void)state;
    char folder[] = "/tmp/chorus-template-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *path = mem_printf("%s/agents.csv", folder);
    FILE *file = fopen(path, "we");
    fputs("6666,Ann\nblank,\nchain,6666\n", file);
    fclose(file);
    const char *paths[] = {path};
    struct table_set *set = table_set_new(tables, paths, 1);
    assert_int_equal(table_set_load(set, 0, NULL, NULL), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_noted(&cases[i], set);
    table_set_free(set);
    remove(path);
    rmdir(folder);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_and_braces),
        cmocka_unit_test(fields_of_a_file),
        cmocka_unit_test(the_extension_is_lower_case),
        cmocka_unit_test(groups_hide_fields_of_the_same_name),
        cmocka_unit_test(filters),
        cmocka_unit_test(errors_name_what_exists),
        cmocka_unit_test(the_fields_of_a_template_are_known),
        cmocka_unit_test(empty_and_missing_values_are_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
