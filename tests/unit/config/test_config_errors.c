/* Each class of error: its line, its words, and that one error hides no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/mem.h"
#include "tests/unit/config/config_fixture.h"

/* Below a watch with a path, whose first own line is 4: one error, in this line, with this word. */
struct one_error {
    const char *body;
    int line;
    const char *word;
};

static void expect_each(struct fixture *fixture, const struct one_error *errors, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fixture_load_watch(fixture, errors[i].body);
        fixture_expect(fixture, errors[i].line, errors[i].word);
        fixture_expect_count(fixture, 1);
        assert_int_equal(fixture->status, 78);
    }
}

#define OWNER "    owner: team@example.com\n"
#define EXPECT_EACH(fixture, errors)                                                               \
    expect_each(fixture, errors, sizeof(errors) / sizeof((errors)[0]))

static void syntax_ends_the_reading_with_a_hint(void **state)
{
    static const struct one_error errors[] = {
        {"    owner: @team\n", 4, "put the value in quotes: it begins with @"},
        {"    owner: %team\n", 4, "put the value in quotes: it begins with %"},
        {"    owner: *.x\n", 4, "put the value in quotes: it begins with *"},
        {"    owner: {agent|agents}@example.com\n", 4, "put the value in quotes: it begins with {"},
        {OWNER "    include: [*.wav]\n", 5, "put the value in quotes: it begins with *"},
        {OWNER "    name: call: {stem}\n", 5, "put the value in quotes: it holds \": \""},
        {"    rules:\n      - pattern: [^/]+x\n        owner: a@example.com\n", 5,
         "put the value in quotes: it begins with ["},
        {"    rules:\n      - pattern: \"\\d+\"\n        owner: a@example.com\n", 5,
         "single quotes"},
        {"    owner: \"team@example.com\n    settle: 1s\n", 4, "not closed"},
        {"    owner: [team\n", 4, "begins with ["},
        {"\towner: team@example.com\n", 4, "not with tabs"},
        {OWNER "   settle: 1s\n", 5, "indentation"},
        {OWNER "---\nwatches: {}\n", 6, "a second document"},
        {OWNER "    name: \"a\x01\"\n", 5, "control characters"},
        {OWNER "    name: \"a\xff\"\n", 5, "UTF-8"},
    };
    EXPECT_EACH(*state, errors);
}

static void yaml_beyond_text_is_refused(void **state)
{
    static const struct one_error errors[] = {
        {"    owner: &a team@example.com\n", 4, "anchors"},
        {"    owner: !str team@example.com\n", 4, "tags"},
        {"    owner: *a\n", 4, "aliases"},
        {OWNER "    ? [a]\n    : b\n", 5, "a key must be text"},
        {OWNER "    name: \"a\\0b\"\n", 5, "byte 0"},
        {OWNER "    settle: 1s\n    settle: 1s\n", 6, "stands in line 5 already"},
    };
    EXPECT_EACH(*state, errors);
}

static void the_wrong_kind_of_value_is_told(void **state)
{
    static const struct one_error errors[] = {
        {"    owner: {agent|agents}\n", 4, "put the value in quotes: it begins with {"},
        {"    owner: [agent]\n", 4, "put the value in quotes: it begins with ["},
        {"    owner:\n      a: b\n", 5, "expected text, found keys"},
        {OWNER "    name:\n", 5, "no value"},
        {"    rules:\n      - pattern: [x]\n        owner: \"{n}@example.com\"\n", 5,
         "expected text"},
        {"    rules:\n      - owner: [x]\n", 5, "expected text"},
        {"    rules:\n      - skip: [x]\n", 5, "expected text"},
        {OWNER "    meeting_id:\n", 5, "no value"},
        {OWNER "    include: x\n", 5, "expected a list, found text"},
        {OWNER "    include: []\n", 5, "an empty list"},
        {OWNER "    include: [\"\"]\n", 5, "an empty item"},
        {OWNER "    include: [\"a\", {b: c}]\n", 5, "expected text"},
        {"    rules: x\n", 4, "expected a list of rules"},
        {"    rules: []\n", 4, "expected a list of rules"},
    };
    EXPECT_EACH(*state, errors);
}

static void owner_and_rules_are_one_or_the_other(void **state)
{
    static const struct one_error errors[] = {
        {"    settle: 1s\n", 2, "neither owner nor rules"},
        {OWNER "    rules:\n      - owner: a@example.com\n", 4, "owner stands beside rules"},
        {"    owner: team\n", 4, "no e-mail address"},
        {"    owner: \"\"\n", 4, "no e-mail address"},
        {"    owner: \"{agent}\"\n", 4, "no field {agent}"},
        {"    rules:\n      - pattern: x\n", 5, "neither names an owner nor skips"},
        {"    rules:\n      - pattern: x\n        skip: test\n        owner: a@example.com\n", 7,
         "names an owner and skips"},
        {"    rules:\n      - skip: \"\"\n", 5, "the reason in words"},
        {"    rules:\n      - owner: team\n", 5, "no e-mail address"},
    };
    EXPECT_EACH(*state, errors);
}

static void templates_and_patterns_are_judged(void **state)
{
    static const struct one_error errors[] = {
        {OWNER "    name: \"{stam}\"\n", 5, "fields: path file stem"},
        {OWNER "    name: \"{stem|uper}\"\n", 5, "filters: lower upper digits last4 sha8"},
        {OWNER "    name: \"{stem|}\"\n", 5, "no filter or table \"\""},
        {OWNER "    name: \"{}\"\n", 5, "no field {}"},
        {OWNER "    name: \"a}b\"\n", 5, "a brace as }}"},
        {OWNER "    crm_account_id: \"{x}\"\n", 5, "crm_account_id: no field {x}"},
        {OWNER "    crm_opportunity_id: \"{x}\"\n", 5, "crm_opportunity_id: no field {x}"},
        {OWNER "    call_key: \"{x}\"\n", 5, "call_key: no field {x}"},
        {OWNER "    meeting_id: \"{sha256|lower}\"\n", 5, "without filter"},
        {OWNER "    meeting_id: \"{sha256}-{stem}\"\n", 5, "constant text only"},
        {"    rules:\n      - pattern: 'a(b'\n        owner: a@example.com\n", 5, "(offset 3)"},
        {"    rules:\n      - pattern: '*'\n        owner: a@example.com\n", 5,
         "quantifier does not follow a repeatable item"},
        {"    rules:\n      - pattern: 'a\\Cb'\n        owner: a@example.com\n", 5, "\\C"},
        {"    name: \"{n}\"\n    rules:\n      - pattern: '(?<n>a'\n        owner: a@example.com\n"
         "        name: \"{n}\"\n",
         6, "missing closing parenthesis"},
        {"    rules:\n      - pattern: '(?<n>a)'\n        owner: a@example.com\n"
         "      - name: \"{n}\"\n        owner: b@example.com\n",
         7, "no field {n}"},
    };
    EXPECT_EACH(*state, errors);
}

/* Groups of any rule are good in a template of the watch. */
static void a_watch_may_name_groups_of_any_rule(void **state)
{
    struct fixture *fixture = *state;
    fixture_load_watch(fixture, "    name: \"{n} {stem}\"\n    call_key: \"{n}\"\n    rules:\n"
                                "      - pattern: '(?<n>a)'\n        owner: a@example.com\n"
                                "      - owner: b@example.com\n");
    fixture_expect_count(fixture, 0);
}

static void whole_files(void **state)
{
    static const struct {
        const char *text;
        int line;
        const char *word;
    } files[] = {
        {"", 1, "no watches"},
        {"# nothing\n", 1, "no watches"},
        {"log_level: info\nwatches:\n", 2, "no watches"},
        {"watches: {}\n", 1, "no watches"},
        {"watches: [a]\n", 1, "expected watches"},
        {"- a\n", 1, "expected keys of the top level"},
        {"text\n", 1, "expected keys of the top level"},
        {"watches:\n  a: text\n", 2, "expected keys of watches.NAME"},
        {"watches:\n  a b:\n    path: /a\n    owner: a@example.com\n", 2, "letters, digits"},
        {"watches:\n  a:\n    owner: a@example.com\n", 2, "no path"},
        {"watches:\n  a:\n    path: a\n    owner: a@example.com\n", 3, "no absolute path"},
        {"watches:\n  a:\n    path: /a\n    owner: a@example.com\n  b:\n    path: /a/\n"
         "    owner: a@example.com\n",
         6, "the folder of watch a already"},
        {"watches:\n  a:\n    path: /a\n    owner: a@example.com\n  b:\n    path: /a/b\n"
         "    owner: a@example.com\n",
         6, "inside that of watch a"},
        {"watches:\n  a:\n    path: /a/b\n    owner: a@example.com\n  b:\n    path: /a\n"
         "    owner: a@example.com\n",
         6, "that of watch a (/a/b) lies inside it"},
        {"state_dir: /a/b\nwatches:\n  a:\n    path: /a\n    owner: a@example.com\n", 1,
         "inside watch a"},
        {"watches:\n  a:\n    path: /var/lib\n    owner: a@example.com\n", 3,
         "state_dir: /var/lib/chorus-agent lies inside watch a"},
        {"watches:\n  a:\n    path: /var/lib/chorus-agent/a\n    owner: a@example.com\n", 3,
         "path: /var/lib/chorus-agent/a lies inside state_dir"},
        {"tables:\n  a.b: /etc/chorus-agent/agents.csv\nwatches:\n  a:\n    path: /a\n"
         "    owner: a@example.com\n",
         2, "letters, digits"},
        {"tables:\n  lower: /etc/chorus-agent/agents.csv\nwatches:\n  a:\n    path: /a\n"
         "    owner: a@example.com\n",
         2, "is a filter already"},
        {"tables:\n  t: agents.csv\nwatches:\n  a:\n    path: /a\n    owner: \"{stem|t}\"\n", 2,
         "no absolute path"},
        {"tables:\n  t: /etc/chorus-agent/none\nwatches:\n  a:\n    path: /a\n"
         "    owner: \"{stem|t}\"\n",
         2, "No such file"},
        {"tables:\n  t: /etc\nwatches:\n  a:\n    path: /a\n    owner: \"{stem|t}\"\n", 2,
         "is no file"},
        {"tables:\n  t: [a]\nwatches:\n  a:\n    path: /a\n    owner: \"{stem|t}\"\n", 2,
         "expected the path"},
        {"chorus:\n  url: https://u:p@chorus.ai\nwatches:\n  a:\n    path: /a\n"
         "    owner: a@example.com\n",
         2, "with a user"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        fixture_load(fixture, files[i].text);
        fixture_expect(fixture, files[i].line, files[i].word);
        fixture_expect_count(fixture, 1);
    }
}

static void move_needs_both_halves(void **state)
{
    struct fixture *fixture = *state;
    fixture_load_watch(fixture, OWNER "    after_upload: move\n");
    fixture_expect(fixture, 5, "needs move_to");
    fixture_load_watch(fixture, OWNER "    after_upload: move\n    move_to: \"\"\n");
    fixture_expect(fixture, 5, "needs move_to");
    fixture_load_watch(fixture, OWNER "    move_to: /srv/done\n");
    fixture_expect(fixture, 5, "without after_upload");
    fixture_load_watch(fixture,
                       OWNER "    after_upload: move\n    move_to: /srv/recordings/done/\n");
    fixture_expect(fixture, 6, "inside watch calls");
    fixture_load_watch(fixture, OWNER "    after_upload: move\n    move_to: /srv/done\n");
    assert_int_equal(fixture->problems.errors, 0);
    assert_string_equal(fixture->config->watches[0].move_to, "/srv/done");
}

/* The order is that of the lines, whichever part of the program finds an error. */
static void all_errors_are_told_at_once(void **state)
{
    struct fixture *fixture = *state;
    fixture_load(fixture, "log_level: loud\n"
                          "logformat: text\n"
                          "upload:\n"
                          "  concurrency: 0\n"
                          "  settle: 2s\n"
                          "tables:\n"
                          "  agents: /nowhere/agents.csv\n"
                          "watches:\n"
                          "  a:\n"
                          "    path: /srv/a\n"
                          "    since: yesterday\n"
                          "    rules:\n"
                          "      - pattern: '('\n"
                          "        owner: nobody\n"
                          "      - owner: \"{stem|agent}\"\n"
                          "        name: \"{nam}\"\n"
                          "  b:\n"
                          "    path: /srv/a/b\n"
                          "  c:\n"
                          "    owner: c@example.com\n"
                          "    owner: &x c@example.com\n");
    static const int lines[] = {1, 2, 4, 5, 7, 11, 13, 15, 16, 17, 18, 19, 21, 21};
    fixture_expect_count(fixture, sizeof lines / sizeof lines[0]);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        assert_int_equal(fixture->problems.items[i].line, lines[i]);
    assert_non_null(strstr(fixture->problems.items[12].text, "anchors"));
    assert_non_null(strstr(fixture->problems.items[13].text, "repeated"));
}

static void bandwidth_is_stated_with_units_and_in_no_class_of_calls(void **state)
{
    static const struct one_error errors[] = {
        {OWNER "bandwidth:\n  rate: 8\n", 6, "\"8\" is no rate; allowed: a number with its unit"},
        {OWNER "bandwidth:\n  rate: 8 Mbps\n", 6, "such as 8 Mbit/s"},
        {OWNER "bandwidth:\n  dscp: EF\n", 6, "a class meant for calls"},
        {OWNER "bandwidth:\n  dscp: cs9\n", 6,
         "no class of service; allowed: none, le, cs1, cs2, af11"},
        {OWNER "bandwidth:\n  rates: 8 Mbit/s\n", 6, "did you mean \"rate\""},
        {OWNER "bandwidth: 8 Mbit/s\n", 5, "expected keys of bandwidth"},
        {OWNER "rate: 8 Mbit/s\n", 5, "it belongs to bandwidth"},
        {OWNER "bandwidth:\n  windows:\n    a: { days: mon-fri }\n", 7, "window a has no rate"},
        {OWNER "bandwidth:\n  windows:\n    a:\n", 7, "window a has no rate"},
        {OWNER "bandwidth:\n  windows:\n    a b: { rate: 0 }\n", 7, "letters, digits"},
        {OWNER "bandwidth:\n  windows:\n    a: { rate: 0, days: monday }\n", 7,
         "\"monday\" is no days; allowed: mon tue"},
        {OWNER "bandwidth:\n  windows:\n    a: { rate: 0, days: [] }\n", 7, "no days"},
        {OWNER "bandwidth:\n  windows:\n    a: { rate: 0, days: [[sat]] }\n", 7, "expected text"},
        {OWNER "bandwidth:\n  windows:\n    a: { rate: 0, from: \"24:00\" }\n", 7,
         "00:00 to 23:59"},
        {OWNER "bandwidth:\n  windows:\n    a: { rate: 0, to: \"24:01\" }\n", 7, "00:00 to 24:00"},
        {OWNER "bandwidth:\n  windows:\n    a: { rate: 5 }\n", 7, "is no rate"},
        {OWNER "bandwidth:\n  windows:\n    a: { rate: 0, until: \"1:00\" }\n", 7,
         "unknown key \"until\" in bandwidth.windows.NAME"},
        {OWNER "bandwidth:\n  windows:\n    a: { rate: 0 }\n    a: { rate: 0 }\n", 8, "repeated"},
        {OWNER "bandwidth:\n  windows:\n    a: { rate: 0, days: sat,sun }\n", 7, "stand in quotes"},
        {OWNER "bandwidth:\n  windows: [a]\n", 6, "expected windows"},
    };
    EXPECT_EACH(*state, errors);
}

static void bandwidth_is_unlimited_and_cs1_by_default(void **state)
{
    struct fixture *fixture = *state;
    fixture_load_watch(fixture, OWNER);
    assert_int_equal(fixture->config->bandwidth.rate.kind, RATE_UNLIMITED);
    assert_int_equal(fixture->config->bandwidth.dscp, 8);
    fixture_load_watch(fixture, OWNER "bandwidth: { rate: 8 Mbit/s, dscp: le }\n");
    assert_int_equal(fixture->config->bandwidth.rate.kind, RATE_FIXED);
    assert_int_equal(fixture->config->bandwidth.rate.bytes_per_s, 1000000);
    assert_int_equal(fixture->config->bandwidth.dscp, 1);
}

static void a_rate_may_follow_the_link_below_a_ceiling(void **state)
{
    struct fixture *fixture = *state;
    fixture_load_watch(fixture, OWNER "bandwidth: { rate: auto }\n");
    fixture_expect_count(fixture, 0);
    assert_int_equal(fixture->config->bandwidth.rate.kind, RATE_AUTO);
    assert_int_equal(fixture->config->bandwidth.ceiling.kind, RATE_UNLIMITED);
    fixture_load_watch(fixture, OWNER "bandwidth: { rate: auto, ceiling: 8 Mbit/s }\n");
    fixture_expect_count(fixture, 0);
    assert_int_equal(fixture->config->bandwidth.ceiling.bytes_per_s, 1000000);
    fixture_load_watch(fixture, OWNER "bandwidth: { ceiling: 8 Mbit/s, windows: { night: { rate: "
                                      "auto } } }\n");
    fixture_expect_count(fixture, 0);
    fixture_load_watch(fixture, OWNER "bandwidth: { ceiling: 8 Mbit/s }\n");
    assert_true(fixture_expect(fixture, 5, "ceiling")->warning);
    fixture_load_watch(fixture, OWNER "bandwidth: { rate: auto, ceiling: 0 }\n");
    assert_false(fixture_expect(fixture, 5, "ceiling")->warning);
    fixture_load_watch(fixture, OWNER "bandwidth: { rate: auto, ceiling: auto }\n");
    assert_false(fixture_expect(fixture, 5, "ceiling")->warning);
}

static void a_window_has_days_and_times(void **state)
{
    struct fixture *fixture = *state;
    fixture_load_watch(
        fixture,
        OWNER "bandwidth:\n  windows:\n"
              "    office: { days: mon-fri, from: \"08:00\", to: 18:30, rate: 512 kbit/s }\n"
              "    weekend: { days: [sat, sun], rate: unlimited }\n"
              "    night: { from: 22:00, to: 6:00, rate: 0 }\n");
    fixture_expect_count(fixture, 0);
    const struct bandwidth *bandwidth = &fixture->config->bandwidth;
    assert_int_equal(bandwidth->window_count, 3);
    const struct bandwidth_window *office = &bandwidth->windows[0];
    assert_string_equal(office->name, "office");
    assert_int_equal(office->days, 62);
    assert_int_equal(office->from, 480);
    assert_int_equal(office->to, 1110);
    assert_int_equal(office->rate.bytes_per_s, 64000);
    assert_int_equal(bandwidth->windows[1].days, 65);
    assert_int_equal(bandwidth->windows[1].from, 0);
    assert_int_equal(bandwidth->windows[1].to, 1440);
    assert_int_equal(bandwidth->windows[1].rate.kind, RATE_UNLIMITED);
    assert_int_equal(bandwidth->windows[2].days, 127);
    assert_true(rate_is_none(&bandwidth->windows[2].rate));
}

static void a_problem_reads_as_file_line_text(void **state)
{
    struct fixture *fixture = *state;
    fixture_load_watch(fixture, OWNER "    settle: x\n    quiet: 1ms\n");
    char *whole = config_problem_line(&fixture->problems, &fixture->problems.items[0]);
    char *expected = mem_printf("%s/config.yaml:5: settle: \"x\" is no duration; allowed: 0, or a "
                                "number with ms, s, min, h or d, such as 2s",
                                fixture->folder);
    assert_string_equal(whole, expected);
    free(expected);
    free(whole);
    whole = config_problem_line(&fixture->problems, &fixture->problems.items[1]);
    assert_non_null(strstr(whole, ".yaml:6: warning: quiet"));
    free(whole);
}

static void unreadable_files(void **state)
{
    struct fixture *fixture = *state;
    static const char *const paths[][2] = {{"/nowhere/chorus.yaml", "No such file"},
                                           {"/etc", "Is a directory"},
                                           {"/dev/null", "no regular file"}};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        config_problems_clear(&fixture->problems);
        assert_int_equal(config_load(paths[i][0], &fixture->config, &fixture->problems), 78);
        assert_null(fixture->config);
        fixture_expect(fixture, 0, paths[i][1]);
        fixture_expect_count(fixture, 1);
    }
    char *large = mem_zalloc(((size_t)4 << 20) + 2);
    memset(large, '#', ((size_t)4 << 20) + 1);
    fixture_load(fixture, large);
    fixture_expect(fixture, 0, "too large");
    free(large);
}

/* Broken on purpose and as large as may be: an answer comes, soon and of bounded size. */
static void hostile_files(void **state)
{
    struct fixture *fixture = *state;
    char *text = mem_zalloc((size_t)1 << 20);
    memset(text, '[', 100000);
    fixture_load(fixture, text);
    fixture_expect(fixture, 1, "nested too deeply");
    size_t length = 0;
    for (int i = 0; i < 50000; i++)
        length += (size_t)sprintf(text + length, "k%d: 1\n", i % 40000);
    fixture_load(fixture, text);
    fixture_expect_count(fixture, 1001);
    assert_int_equal(fixture->problems.errors, 50001);
    assert_string_equal(fixture->problems.items[1000].text, "there is more; not shown");
    free(text);
}

static void the_token_file_is_private(void **state)
{
    static const char text[] = "chorus:\n  token_file: /etc/chorus-agent/token\n"
                               "watches:\n  a:\n    path: /a\n    owner: a@example.com\n";
    struct fixture *fixture = *state;
    fixture_load(fixture, text);
    fixture_expect_count(fixture, 0);
    fixture_write(fixture, "token", "t\n", 0640);
    fixture_load(fixture, text);
    fixture_expect_count(fixture, 0);
    fixture_write(fixture, "token", "t\n", 0644);
    fixture_load(fixture, text);
    fixture_expect(fixture, 2, "everybody may read");
    fixture_expect(fixture, 2, "mode 0644");
    fixture_write(fixture, "token", "t\n", 0602);
    fixture_load(fixture, text);
    fixture_expect(fixture, 2, "everybody may write");
    char *path = mem_printf("%s/token", fixture->folder);
    assert_int_equal(remove(path), 0);
    free(path);
    fixture_load(fixture, text);
    fixture_expect_count(fixture, 0);
}

static void unwise_values_are_warnings(void **state)
{
    static const struct one_error unwise[] = {
        {OWNER "    quiet: 1s\n", 5, "quiet is shorter than settle"},
        {OWNER "    settle: 10min\n", 5, "quiet is shorter than settle"},
        {OWNER "    open_quiet: 1min\n", 5, "open_quiet is shorter than quiet"},
        {OWNER "    rescan: 10ms\n", 5, "rescan is under 1s"},
        {OWNER "    delay: 31d\n", 5, "delay is over 30d"},
        {OWNER "    meeting_id: sales\n", 5, "the same for every recording"},
        {OWNER "upload:\n  resend_after: 59s\n", 6, "resend_after is shorter than stall_timeout"},
        {OWNER "upload:\n  retry_max: 500ms\n", 6, "retry_max is shorter than retry_first"},
        {OWNER "upload:\n  retry_for: 1min\n", 6, "retry_for is shorter than retry_max"},
        {OWNER "upload:\n  stall_timeout: 20ms\n", 6, "under 1s"},
        {OWNER "bandwidth:\n  rate: 63 kbit/s\n", 6, "under 64 kbit/s"},
        {OWNER "bandwidth:\n  rate: 0\n", 6, "nothing leaves"},
        {OWNER "bandwidth:\n  windows:\n    a:\n      rate: 8 bit/s\n", 8, "under 64 kbit/s"},
        {"    rules:\n      - owner: a@example.com\n      - pattern: x\n        skip: x\n", 6,
         "never reached"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof unwise / sizeof unwise[0]; i++) {
        fixture_load_watch(fixture, unwise[i].body);
        assert_true(fixture_expect(fixture, unwise[i].line, unwise[i].word)->warning);
        fixture_expect_count(fixture, 1);
        assert_int_equal(fixture->status, 0);
    }
}

/* YAML's own ideas of 2s, true and 0 play no part. */
static void quoted_and_bare_values_are_the_same(void **state)
{
    struct fixture *fixture = *state;
    fixture_load_watch(fixture,
                       OWNER "    settle: '3s'\n    recursive: \"false\"\n"
                             "    min_size: \"1k\"\n    delay: 0\n    since: \"2026-11-23\"\n"
                             "    name: true\n    exclude: []\n");
    fixture_expect_count(fixture, 0);
    const struct watch_config *watch = &fixture->config->watches[0];
    assert_int_equal(watch->settle_ms, 3000);
    assert_false(watch->recursive);
    assert_int_equal(watch->min_size, 1024);
    assert_int_equal(watch->since, SINCE_DATE);
}

static void sections_may_be_empty_and_a_bom_is_taken(void **state)
{
    struct fixture *fixture = *state;
    fixture_load(fixture, "\xef\xbb\xbfupload:\r\ntables:\r\nwatches:\r\n  a:\r\n    path: /a/\r\n"
                          "    owner: a@example.com\r\n");
    fixture_expect_count(fixture, 0);
    assert_string_equal(fixture->config->watches[0].path, "/a");
}

static void the_digest_is_that_of_the_bytes(void **state)
{
    struct fixture *fixture = *state;
    uint8_t first[32];
    fixture_load_watch(fixture, OWNER);
    memcpy(first, fixture->config->digest, sizeof first);
    fixture_load_watch(fixture, OWNER);
    assert_memory_equal(first, fixture->config->digest, sizeof first);
    fixture_load_watch(fixture, OWNER "#\n");
    assert_memory_not_equal(first, fixture->config->digest, sizeof first);
}

static void a_path_finds_its_watch(void **state)
{
    struct fixture *fixture = *state;
    size_t root = 99;
    fixture_load(fixture, "watches:\n  a:\n    path: /srv/a\n    owner: a@example.com\n"
                          "  b:\n    path: /srv/b//c/\n    owner: a@example.com\n");
    assert_null(config_watch_of_path(fixture->config, "/srv/ab/x.wav", &root));
    assert_string_equal(config_watch_of_path(fixture->config, "/srv/b/c/d/x.wav", &root)->name,
                        "b");
    assert_int_equal(root, strlen("/srv/b/c"));
    fixture_load(fixture, "state_dir: /lib\ncontrol_dir: /spool\nwatches:\n  a:\n    path: /\n"
                          "    owner: a@example.com\n");
    fixture_expect(fixture, 1, "inside watch a");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(syntax_ends_the_reading_with_a_hint),
        TEST(yaml_beyond_text_is_refused),
        TEST(the_wrong_kind_of_value_is_told),
        TEST(owner_and_rules_are_one_or_the_other),
        TEST(templates_and_patterns_are_judged),
        TEST(a_watch_may_name_groups_of_any_rule),
        TEST(whole_files),
        TEST(move_needs_both_halves),
        TEST(all_errors_are_told_at_once),
        TEST(bandwidth_is_stated_with_units_and_in_no_class_of_calls),
        TEST(bandwidth_is_unlimited_and_cs1_by_default),
        TEST(a_rate_may_follow_the_link_below_a_ceiling),
        TEST(a_window_has_days_and_times),
        TEST(a_problem_reads_as_file_line_text),
        TEST(unreadable_files),
        TEST(hostile_files),
        TEST(the_token_file_is_private),
        TEST(unwise_values_are_warnings),
        TEST(quoted_and_bare_values_are_the_same),
        TEST(sections_may_be_empty_and_a_bom_is_taken),
        TEST(the_digest_is_that_of_the_bytes),
        TEST(a_path_finds_its_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
