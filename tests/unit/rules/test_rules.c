/* Rules: which one decides, what holds a recording and in which words, and what is sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/mem.h"
#include "agent/rules/rules.h"

static const char *const table_names[] = {"agents", "reclog"};

struct fixture {
    char folder[64];
    char *paths[2];
    struct table_set *tables;
    struct rule_set *rules;
    struct resolution resolution;
    char *heard; /* problems while compiling, trace lines while resolving */
};

static void write_table(struct fixture *fixture, size_t i, const char *text)
{
    FILE *file = fopen(fixture->paths[i], "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(table_set_load(fixture->tables, i, NULL, NULL), 0);
}

static int setup(void **state)
{
    struct fixture *fixture = mem_zalloc(sizeof *fixture);
    snprintf(fixture->folder, sizeof fixture->folder, "/tmp/chorus-rules-XXXXXX");
    if (mkdtemp(fixture->folder) == NULL)
        return -1;
    for (size_t i = 0; i < 2; i++)
        fixture->paths[i] = mem_printf("%s/%s.csv", fixture->folder, table_names[i]);
    fixture->tables = table_set_new(table_names, (const char *const *)fixture->paths, 2);
    fixture->heard = mem_string("");
    write_table(fixture, 0,
                "6666,ann@example.com\n0007,bob@example.com\nbad,nobody\n"
                "two,a@example.com\ntwo,b@example.com\n");
    write_table(fixture, 1, "call-1,6666\ncall-2,9999\n");
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 2; i++) {
        remove(fixture->paths[i]);
        free(fixture->paths[i]);
    }
    rmdir(fixture->folder);
    table_set_free(fixture->tables);
    rules_free(fixture->rules);
    resolution_clear(&fixture->resolution);
    free(fixture->heard);
    free(fixture);
    return 0;
}

static void hear_problem(void *ctx, int line, const char *text)
{
    struct fixture *fixture = ctx;
    mem_replace(&fixture->heard, mem_printf("%s%d: %s\n", fixture->heard, line, text));
}

static void hear_step(void *ctx, const char *text)
{
    struct fixture *fixture = ctx;
    mem_replace(&fixture->heard, mem_printf("%s%s\n", fixture->heard, text));
}

/* True if it compiles. */
static bool compile_set(struct fixture *fixture, struct rule_set_source *source)
{
    rules_free(fixture->rules);
    mem_replace(&fixture->heard, mem_string(""));
    source->tables = table_names;
    source->table_count = 2;
    fixture->rules = rules_compile(source, hear_problem, fixture);
    assert_true((fixture->rules == NULL) == (*fixture->heard != '\0'));
    return fixture->rules != NULL;
}

static bool compile(struct fixture *fixture, const struct rule_source *rules, size_t count)
{
    struct rule_set_source source = {.rules = rules, .rule_count = count};
    return compile_set(fixture, &source);
}

static bool compile_one(struct fixture *fixture, struct rule_source rule)
{
    return compile(fixture, &rule, 1);
}

static const uint8_t sha256[32] = {0x12, [31] = 0xef};
#define SHA256_HEX "12000000000000000000000000000000000000000000000000000000000000ef"

static const struct resolution *resolve_for(struct fixture *fixture, const char *below,
                                            const char *owner)
{
    char *path = mem_printf("/srv/calls/%s", below);
    struct recording_facts facts = {.path = path,
                                    .root_length = strlen("/srv/calls"),
                                    .size = 1000,
                                    .sha256 = sha256,
                                    .watch = "calls",
                                    .host = "pbx"};
    resolution_clear(&fixture->resolution);
    mem_replace(&fixture->heard, mem_string(""));
    rules_resolve(fixture->rules, fixture->tables, &facts, owner, hear_step, fixture,
                  &fixture->resolution);
    free(path);
    return &fixture->resolution;
}

static const struct resolution *resolve(struct fixture *fixture, const char *below)
{
    return resolve_for(fixture, below, NULL);
}

static void expect_held(struct fixture *fixture, const char *below, const char *reason)
{
    const struct resolution *resolution = resolve(fixture, below);
    assert_int_equal(resolution->outcome, RESOLVED_HELD);
    assert_string_equal(resolution->reason, reason);
}

#define AGENT_PATTERN                                                                              \
    "(?:^|/)(?<stamp>\\d{8}-\\d{6})_(?<phone>\\d+)_(?<agent>[^_]+?)(?:-all)?\\.\\w+$"

static void a_call_finds_its_owner(void **state)
{
    struct fixture *fixture = *state;
    assert_true(
        compile_one(fixture, (struct rule_source){.title = "by-agent",
                                                  .pattern = AGENT_PATTERN,
                                                  .owner = "{agent|agents}",
                                                  .name = "{agent} {phone|last4} {stamp}"}));
    const struct resolution *found =
        resolve(fixture, "2026/20260318-140532_5551234567_6666-all.mp3");
    assert_int_equal(found->outcome, RESOLVED);
    assert_string_equal(found->rule, "by-agent");
    assert_string_equal(found->owner, "ann@example.com");
    assert_string_equal(found->name, "6666 4567 20260318-140532");
    assert_string_equal(found->meeting_id, "sha256-" SHA256_HEX);
    assert_int_equal(found->key_kind, KEY_DERIVED);
    assert_null(found->crm_account_id);
    assert_null(found->call_key);
    assert_null(found->reason);
    assert_int_equal(found->field_count, 3);
    assert_string_equal(found->fields[1].name, "phone");
    assert_string_equal(found->fields[1].value, "5551234567");
    assert_string_equal(fixture->heard,
                        "rule 1 by-agent: matches: stamp=\"20260318-140532\", "
                        "phone=\"5551234567\", agent=\"6666\"\n"
                        "table agents: 6666 -> ann@example.com (line 1)\n"
                        "owner: ann@example.com\n"
                        "name: 6666 4567 20260318-140532\n"
                        "meeting_id: sha256-" SHA256_HEX " (derived from the content)\n"
                        "call_key: none\n");
}

static void the_first_rule_that_matches_decides(void **state)
{
    static const struct rule_source rules[] = {
        {.title = "tests", .pattern = "TESTCAMP", .skip = "test campaign"},
        {.pattern = "^sales/", .owner = "sales@example.com"},
        {.title = "rest", .owner = "team@example.com"},
    };
    struct fixture *fixture = *state;
    assert_true(compile(fixture, rules, 3));
    const struct resolution *found = resolve(fixture, "sales/TESTCAMP_1.wav");
    assert_int_equal(found->outcome, RESOLVED_SKIP);
    assert_string_equal(found->rule, "tests");
    assert_string_equal(found->reason, "test campaign");
    found = resolve(fixture, "sales/1.wav");
    assert_string_equal(found->rule, "rule 2");
    assert_string_equal(found->owner, "sales@example.com");
    assert_non_null(
        strstr(fixture->heard, "rule 1 tests: pattern does not match\nrule 2: matches\n"));
    found = resolve(fixture, "other/sales/1.wav");
    assert_string_equal(found->rule, "rest");
    assert_string_equal(found->owner, "team@example.com");
    assert_non_null(strstr(fixture->heard, "rule 3 rest: no pattern, takes everything\n"));
    assert_true(compile(fixture, rules, 2));
    expect_held(fixture, "other/1.wav", "no rule matches other/1.wav");
    assert_null(fixture->resolution.rule);
}

static void what_finds_no_owner_is_held(void **state)
{
    struct fixture *fixture = *state;
    struct rule_source rule = {
        .title = "by-agent", .pattern = "^(?<agent>[^.]*)", .owner = "{agent|agents}"};
    assert_true(compile_one(fixture, rule));
    expect_held(fixture, "8888.wav", "table agents has no row for 8888 (rule by-agent, owner)");
    assert_null(fixture->resolution.owner);
    assert_string_equal(fixture->resolution.name, "8888");
    expect_held(fixture, "7.wav", "table agents has no row for 7 (rule by-agent, owner)");
    expect_held(
        fixture, ".wav",
        "table agents has nothing to look up: {agent} came out empty (rule by-agent, owner)");
    expect_held(fixture, "two.wav",
                "table agents has two values for two (lines 4 and 5) (rule by-agent, owner)");
    expect_held(fixture, "bad.wav", "owner \"nobody\" is no e-mail address (rule by-agent, owner)");
    assert_string_equal(resolve(fixture, "0007.wav")->owner, "bob@example.com");
    rule.title = NULL;
    rule.owner = "{agent}";
    assert_true(compile_one(fixture, rule));
    expect_held(fixture, "a\nb.wav", "owner \"a\\x0ab\" is no e-mail address (rule 1, owner)");
}

/* A person mends one thing after the other; the owner comes first. */
static void the_first_reason_stands(void **state)
{
    struct fixture *fixture = *state;
    assert_true(compile_one(fixture, (struct rule_source){.title = "t",
                                                          .owner = "{stem|agents}",
                                                          .name = "{stem|reclog}",
                                                          .meeting_id = "{stem|reclog}"}));
    expect_held(fixture, "x.wav", "table agents has no row for x (rule t, owner)");
    assert_non_null(strstr(fixture->heard, "held: table reclog has no row for x (rule t, name)"));
}

static void tables_may_be_chained(void **state)
{
    struct fixture *fixture = *state;
    assert_true(
        compile_one(fixture, (struct rule_source){.title = "t", .owner = "{stem|reclog|agents}"}));
    assert_string_equal(resolve(fixture, "CALL-1.wav")->owner, "ann@example.com");
    expect_held(fixture, "call-2.wav", "table agents has no row for 9999 (rule t, owner)");
    expect_held(fixture, "call-3.wav", "table reclog has no row for call-3 (rule t, owner)");
    write_table(fixture, 0, "9999,zoe@example.com\n");
    assert_string_equal(resolve(fixture, "call-2.wav")->owner, "zoe@example.com");
}

static void a_look_up_holds_only_what_needs_it(void **state)
{
    struct fixture *fixture = *state;
    struct rule_source rule = {.title = "t", .owner = "a@example.com", .name = "{stem|agents}"};
    assert_true(compile_one(fixture, rule));
    expect_held(fixture, "x.wav", "table agents has no row for x (rule t, name)");
    rule.name = NULL;
    rule.meeting_id = "{stem|agents}";
    assert_true(compile_one(fixture, rule));
    expect_held(fixture, "x.wav", "table agents has no row for x (rule t, meeting_id)");
    rule.meeting_id = NULL;
    rule.crm_account_id = "{stem|agents}";
    rule.crm_opportunity_id = "opp-{stem}";
    assert_true(compile_one(fixture, rule));
    const struct resolution *found = resolve(fixture, "x.wav");
    assert_int_equal(found->outcome, RESOLVED);
    assert_null(found->crm_account_id);
    assert_string_equal(found->crm_opportunity_id, "opp-x");
    assert_string_equal(resolve(fixture, "6666.wav")->crm_account_id, "ann@example.com");
}

static void the_template_of_the_meeting_id_decides_its_kind(void **state)
{
    static const struct {
        const char *meeting_id;
        enum key_kind kind;
        const char *value;
    } cases[] = {
        {NULL, KEY_DERIVED, "sha256-" SHA256_HEX},
        {"{sha256}", KEY_DERIVED, SHA256_HEX},
        {"a-{sha256}-b", KEY_DERIVED, "a-" SHA256_HEX "-b"},
        {"{stem}", KEY_SCHEDULED, "x"},
        {"{{sha256}}", KEY_SCHEDULED, "{sha256}"},
        {"sales", KEY_SCHEDULED, "sales"},
        {"", KEY_NONE, NULL},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(compile_one(fixture, (struct rule_source){.owner = "a@example.com",
                                                              .meeting_id = cases[i].meeting_id}));
        const struct resolution *found = resolve(fixture, "x.wav");
        assert_int_equal(found->outcome, RESOLVED);
        assert_int_equal(found->key_kind, cases[i].kind);
        assert_string_equal(found->meeting_id != NULL ? found->meeting_id : "-",
                            cases[i].value != NULL ? cases[i].value : "-");
    }
}

static void sha256_in_a_meeting_id_stands_alone(void **state)
{
    static const char *const bad[] = {"{sha256|sha8}", "{sha256}{stem}", "{stem}-{sha256}",
                                      "{sha256}{sha256|lower}", "{sha256}{host}"};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(compile_one(fixture, (struct rule_source){.owner = "a@example.com",
                                                               .meeting_id = bad[i],
                                                               .meeting_id_line = 7}));
        assert_non_null(strstr(fixture->heard, "7: meeting_id: {sha256} stands without filter"));
        struct rule_source rules[] = {{.owner = "a@example.com"}, {.owner = "b@example.com"}};
        struct rule_set_source source = {
            .rules = rules, .rule_count = 2, .meeting_id = bad[i], .meeting_id_line = 3};
        assert_false(compile_set(fixture, &source));
        assert_memory_equal(fixture->heard, "3: meeting_id", 13);
        assert_ptr_equal(strchr(fixture->heard, '\n'), strrchr(fixture->heard, '\n'));
    }
}

/* A group named sha256 is text from a name, not the content; the default is always the content. */
static void a_group_may_hide_sha256(void **state)
{
    struct fixture *fixture = *state;
    struct rule_source rule = {
        .pattern = "^(?<sha256>[a-z]+)", .owner = "a@example.com", .meeting_id = "{sha256}-{stem}"};
    assert_true(compile_one(fixture, rule));
    assert_string_equal(resolve(fixture, "abc.wav")->meeting_id, "abc-abc");
    assert_int_equal(fixture->resolution.key_kind, KEY_SCHEDULED);
    rule.meeting_id = NULL;
    assert_true(compile_one(fixture, rule));
    assert_string_equal(resolve(fixture, "abc.wav")->meeting_id, "sha256-" SHA256_HEX);
    assert_int_equal(fixture->resolution.key_kind, KEY_DERIVED);
}

static void an_empty_field_holds_a_scheduled_meeting(void **state)
{
    struct fixture *fixture = *state;
    assert_true(compile_one(fixture, (struct rule_source){.title = "t",
                                                          .pattern = "^x(?<room>\\d+)?",
                                                          .owner = "a@example.com",
                                                          .meeting_id = "room-{room}"}));
    assert_string_equal(resolve(fixture, "x12.wav")->meeting_id, "room-12");
    expect_held(fixture, "x.wav", "{room} is empty (rule t, meeting_id)");
    assert_int_equal(fixture->resolution.key_kind, KEY_SCHEDULED);
    assert_null(fixture->resolution.meeting_id);
}

static void a_call_key_needs_all_its_fields(void **state)
{
    struct rule_source rules[] = {
        {.title = "a", .pattern = "^a(?<id>\\d*)", .owner = "a@example.com"},
        {.title = "b", .owner = "{ext|agents}"}};
    struct rule_set_source source = {
        .rules = rules, .rule_count = 2, .call_key = "{watch}-{id|sha8}"};
    struct fixture *fixture = *state;
    assert_true(compile_set(fixture, &source));
    assert_string_equal(resolve(fixture, "a1.wav")->call_key, "calls-6b86b273");
    assert_null(resolve(fixture, "a.wav")->call_key);
    assert_int_equal(fixture->resolution.outcome, RESOLVED);
    assert_null(resolve(fixture, "b.wav")->call_key);
    source.call_key = "{stem|reclog}{id}";
    assert_true(compile_set(fixture, &source));
    expect_held(fixture, "a1.wav", "table reclog has no row for a1 (rule a, call_key)");
    assert_null(resolve(fixture, "a.wav")->call_key);
    assert_int_equal(fixture->resolution.outcome, RESOLVED);
    source.call_key = "{stem}";
    assert_true(compile_set(fixture, &source));
    assert_int_equal(resolve(fixture, "b.wav")->outcome, RESOLVED_HELD);
    assert_string_equal(fixture->resolution.call_key, "b");
}

static void templates_of_the_watch_hold_for_rules_that_name_none(void **state)
{
    struct rule_source rules[] = {{.pattern = "^a(?<id>\\d)", .owner = "a@example.com"},
                                  {.pattern = "^b(?<ext>x)",
                                   .owner = "b@example.com",
                                   .name = "own {ext}",
                                   .crm_account_id = ""},
                                  {.owner = "c@example.com"}};
    struct rule_set_source source = {.rules = rules,
                                     .rule_count = 3,
                                     .name = "[{id}] {ext}",
                                     .crm_account_id = "acme",
                                     .meeting_id = "m-{stem}"};
    struct fixture *fixture = *state;
    assert_true(compile_set(fixture, &source));
    assert_string_equal(resolve(fixture, "a1.wav")->name, "[1] wav");
    assert_string_equal(fixture->resolution.crm_account_id, "acme");
    assert_string_equal(fixture->resolution.meeting_id, "m-a1");
    assert_string_equal(resolve(fixture, "bx.wav")->name, "own x");
    assert_null(fixture->resolution.crm_account_id);
    assert_string_equal(resolve(fixture, "c.wav")->name, "[] wav");
}

static void the_command_line_may_name_the_owner(void **state)
{
    struct fixture *fixture = *state;
    assert_true(compile_one(fixture, (struct rule_source){.owner = "{stem|agents}"}));
    const struct resolution *found = resolve_for(fixture, "x.wav", "boss@example.com");
    assert_int_equal(found->outcome, RESOLVED);
    assert_string_equal(found->owner, "boss@example.com");
    assert_null(strstr(fixture->heard, "table"));
    assert_int_equal(resolve_for(fixture, "x.wav", "boss")->outcome, RESOLVED_HELD);
}

static void names_are_escaped_and_bounded(void **state)
{
    struct fixture *fixture = *state;
    assert_true(compile_one(fixture, (struct rule_source){.title = "t", .owner = "a@example.com"}));
    assert_string_equal(resolve(fixture, "a\nb\xff\\c \xc3\xa4.wav")->name,
                        "a\\x0ab\\xff\\x5cc \xc3\xa4");
    expect_held(fixture, "  .wav", "the name came out empty (rule t, name)");
    char name[1024] = {0};
    for (int i = 0; i < 249; i++)
        strcat(name, "\xc3\xa4");
    strcat(name, "xyz.wav");
    assert_int_equal(strlen(resolve(fixture, name)->name), 2 * 249 + 1);
    name[0] = '\0';
    for (int i = 0; i < 248; i++)
        strcat(name, "a");
    strcat(name, "\xff"
                 "b.wav");
    const struct resolution *found = resolve(fixture, name);
    assert_int_equal(found->outcome, RESOLVED);
    assert_int_equal(strlen(found->name), 248);
    name[246] = '\0';
    strcat(name, "\xff"
                 "b.wav");
    assert_string_equal(resolve(fixture, name)->name + 246, "\\xff");
}

/* A byte that is no UTF-8 matches nothing, and does not keep the rest from matching. */
static void patterns_work_on_bytes(void **state)
{
    static const struct rule_source rules[] = {
        {.title = "end", .pattern = "_(?<agent>\\w+)\\.wav$", .owner = "a@example.com"},
        {.title = "rest", .owner = "b@example.com"}};
    struct fixture *fixture = *state;
    assert_true(compile(fixture, rules, 2));
    assert_string_equal(resolve(fixture, "\xff\xfe_ann.wav")->rule, "end");
    assert_string_equal(fixture->resolution.fields[0].value, "ann");
    assert_string_equal(resolve(fixture, "x_a\xffn.wav")->rule, "rest");
    assert_string_equal(resolve(fixture, "x_ann.wav\n")->rule, "rest"); /* $ is the very end */
    assert_string_equal(resolve(fixture, "a\nb_ann.wav")->rule, "end");
}

static void a_group_that_stands_twice_is_one(void **state)
{
    struct fixture *fixture = *state;
    assert_true(compile_one(fixture,
                            (struct rule_source){.pattern = "(?J)^(?:a(?<n>\\d)|b(?<z>.)(?<n>\\d))",
                                                 .owner = "a@example.com"}));
    const struct resolution *found = resolve(fixture, "bx7.wav");
    assert_int_equal(found->field_count, 2);
    assert_string_equal(found->fields[0].name, "n");
    assert_string_equal(found->fields[0].value, "7");
    assert_string_equal(found->fields[1].value, "x");
}

static double seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void a_pattern_that_costs_too_much_holds_one_recording(void **state)
{
    static const struct rule_source rules[] = {
        {.title = "slow", .pattern = "^(a+)+$", .owner = "a@example.com"},
        {.title = "rest", .owner = "b@example.com"}};
    struct fixture *fixture = *state;
    char name[256] = {0};
    memset(name, 'a', 200);
    strcat(name, "!");
    assert_true(compile(fixture, rules, 2));
    double begin = seconds();
    expect_held(fixture, name, "pattern of rule slow is too costly for this name (match limit)");
    double took = seconds() - begin;
    print_message("given up after %.0f ms\n", took * 1000);
    assert_true(took < 2);
    assert_string_equal(fixture->resolution.rule, "slow");
    assert_string_equal(resolve(fixture, "b.wav")->rule, "rest");
    /* The longest path there is is no trouble for a pattern that is honest. */
    char *path = mem_zalloc(4096);
    memset(path, '_', 4000);
    strcat(path, "20260615-101240_A_B_ann_5550351410-all.mp3");
    assert_true(compile_one(
        fixture,
        (struct rule_source){
            .pattern =
                "(?:^|/|_)(?<date>\\d{8})-(?<time>\\d{6})_(?<campaign>[^/]*)_(?<agent>[^_]+)_"
                "(?<phone>\\d{6,15})(?:-all)?\\.(?:wav|mp3|ogg)$",
            .owner = "a@example.com"}));
    assert_int_equal(resolve(fixture, path)->outcome, RESOLVED);
    /* Nor is a long name that it does not match, although it tries every way. */
    memset(path, '_', 240);
    strcpy(path + 240, "5550351410.mp3");
    assert_true(compile_one(
        fixture, (struct rule_source){
                     .pattern = "^(?<a>[^/]*)_(?<b>[^/]*)_(?<phone>\\d{6,15})\\.(?:wav|ogg|mp4)$",
                     .owner = "a@example.com"}));
    resolve(fixture, path);
    assert_memory_equal(fixture->resolution.reason, "no rule matches", 15);
    free(path);
}

static void every_error_is_told_with_its_line(void **state)
{
    static const struct rule_source rules[] = {
        {.title = "one",
         .line = 10,
         .pattern = "(",
         .pattern_line = 11,
         .owner = "{x}",
         .owner_line = 12},
        {.line = 20, .pattern = "x"},
        {.line = 30, .skip = "s", .skip_line = 31, .owner = "a@example.com", .owner_line = 32},
        {.line = 40, .skip = "", .skip_line = 41},
        {.line = 50,
         .owner = "nobody",
         .owner_line = 51,
         .name = "{y}",
         .name_line = 52,
         .crm_account_id = "{",
         .crm_account_id_line = 53,
         .crm_opportunity_id = "}",
         .crm_opportunity_id_line = 54,
         .meeting_id = "{stem|t}",
         .meeting_id_line = 55},
    };
    static const char *const expected[] = {
        "11: pattern: missing closing parenthesis", "20: rule 2 neither names an owner nor skips",
        "32: rule 3 names an owner and skips",      "41: skip: empty",
        "51: owner: \"nobody\" is no e-mail",       "52: name: no field {y}",
        "53: crm_account_id: a \"{\" alone",        "54: crm_opportunity_id: a \"}\" alone",
        "55: meeting_id: no filter or table \"t\"",
    };
    struct fixture *fixture = *state;
    assert_false(compile(fixture, rules, 5));
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        if (strstr(fixture->heard, expected[i]) == NULL)
            fail_msg("\"%s\" is not among:\n%s", expected[i], fixture->heard);
    }
    size_t lines = 0;
    for (const char *at = fixture->heard; *at != '\0'; at++)
        lines += *at == '\n';
    assert_int_equal(lines, sizeof expected / sizeof expected[0]);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

static const char fifty[] = "0123456789abcdefghijklmnopqrstuvwxyz.0123456789-ABC";

static void what_is_too_long_is_cut_or_held_and_told(void **state)
{
    struct fixture *fixture = *state;
    char *name = mem_printf("%s%s%s%s%.48s\xc3\xa4\xc3\xb6", fifty, fifty, fifty, fifty, fifty);
    char *id = mem_printf("{stem}%s%s%s%s%s%s", fifty, fifty, fifty, fifty, fifty, fifty);
    assert_true(compile_one(
        fixture,
        (struct rule_source){.owner = "team@example.com", .name = name, .crm_account_id = id}));
    const struct resolution *found = resolve(fixture, "call.wav");
    assert_int_equal(found->outcome, RESOLVED);
    assert_true(found->name_cut);
    assert_int_equal(strlen(found->name), strlen(name) > 250 ? 250 : 0);
    assert_non_null(strstr(fixture->heard, "(cut: it was longer than 250 characters)"));
    assert_null(found->crm_account_id);
    assert_non_null(strstr(fixture->heard, "crm_account_id: left out"));
    assert_true(
        compile_one(fixture, (struct rule_source){.owner = "team@example.com", .meeting_id = id}));
    expect_held(fixture, "call.wav", "it is longer than 250 characters (rule 1, meeting_id)");
    free(name);
    free(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_finds_its_owner),
        TEST(the_first_rule_that_matches_decides),
        TEST(what_finds_no_owner_is_held),
        TEST(the_first_reason_stands),
        TEST(tables_may_be_chained),
        TEST(a_look_up_holds_only_what_needs_it),
        TEST(the_template_of_the_meeting_id_decides_its_kind),
        TEST(sha256_in_a_meeting_id_stands_alone),
        TEST(a_group_may_hide_sha256),
        TEST(an_empty_field_holds_a_scheduled_meeting),
        TEST(a_call_key_needs_all_its_fields),
        TEST(templates_of_the_watch_hold_for_rules_that_name_none),
        TEST(the_command_line_may_name_the_owner),
        TEST(names_are_escaped_and_bounded),
        TEST(patterns_work_on_bytes),
        TEST(a_group_that_stands_twice_is_one),
        TEST(a_pattern_that_costs_too_much_holds_one_recording),
        TEST(every_error_is_told_with_its_line),
        TEST(what_is_too_long_is_cut_or_held_and_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
