/* The examples of the documentation load without a word, and an error planted in any line of the
 * full one is told with this line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/mem.h"
#include "tests/unit/config/config_fixture.h"

enum { EXAMPLE_LINES = 64 };

/* What the line is replaced by, and a word of what is then told of it. */
static const struct planted {
    int line;
    const char *text, *word;
} planted[] = {
    {1, "state_dir: var/lib/chorus-agent", "no absolute path"},
    {2, "control_dir: /srv/recordings/drop", "inside watch plain"},
    {3, "control_group: [a, b]", "put the value in quotes"},
    {4, "log_level: verbose", "error, warning, info, debug"},
    {5, "log_format: xml", "text, json"},
    {6, "chorus_url: https://chorus.ai", "unknown key"},
    {7, "chorys:", "did you mean \"chorus\""},
    {8, "  url: http://chorus.ai", "not encrypted"},
    {9, "  token_file: /tmp", "is no file"},
    {10, "  state_dir: /var/lib/other", "belongs to the top level"},
    {11, "  auth: basic", "raw, bearer"},
    {12, "  ca_file: ca.pem", "no absolute path"},
    {13, "  proxy:", "no value"},
    {14, "  id_fields: engagement_id", "expected a list"},
    {15, "resend_after: 60s", "belongs to upload"},
    {16, "uploads:", "did you mean \"upload\""},
    {17, "  concurrency: 65", "1 to 64"},
    {18, "  retry_first: 1", "no duration"},
    {19, "  retry_max: 15m", "no duration"},
    {20, "  retry_for: 7 d", "no duration"},
    {21, "  resend_after: -60s", "no duration"},
    {22, "  stall_timeout: 0s", "at least 1ms"},
    {23, "  order: biggest", "newest, oldest, smallest"},
    {24, "log_level: debug", "stands in line 4 already"},
    {25, "deleted:", "did you mean \"delete\""},
    {26, "  confirm_for: 99999999d", "too long"},
    {27, "  max: many", "no number"},
    {28, "  keep_details: 30days", "no duration"},
    {29, "max: 1000", "belongs to delete"},
    {30, "tabels:", "did you mean \"tables\""},
    {31, "  agents: /etc/chorus-agent/nowhere.csv", "No such file"},
    {32, "&top", "this is no YAML"},
    {33, "watch:", "did you mean \"watches\""},
    {34, "  in bound:", "letters, digits"},
    {35, "    path: recordings", "no absolute path"},
    {36, "    recursive: yes", "true or false"},
    {37, "    include: [*.wav]", "put the value in quotes: it begins with *"},
    {38, "    exclude: \"*-in.*\"", "expected a list"},
    {39, "    since: 2026-02-30", "start, all, or a date"},
    {40, "    settle: soon", "no duration"},
    {41, "    concurrency: 2", "belongs to upload"},
    {42, "    quiet: 0", "no duration"},
    {43, "    open_quiet: 1 h", "no duration"},
    {44, "    delay: 1w", "no duration"},
    {45, "    min_size: 10kb", "k, M or G"},
    {46, "    rescan: 0s", "at least 1ms"},
    {47, "    call_key: \"{uniqueid}\"", "groups of the pattern: stamp phone agent"},
    {48, "    pattern: x", "belongs to watches.NAME.rules"},
    {49, "    after_upload: move", "needs move_to"},
    {50, "    move_to: /srv/done", "without after_upload: move"},
    {51, "    keep_for: forever", "no duration"},
    {52, "    name: \"{stem\"", "fields are written {field}"},
    {53, "    rulez:", "did you mean \"rules\""},
    {54, "      - titel: by-agent", "did you mean \"title\""},
    {55, "        pattern: '(?<stamp>\\d{8}'", "missing closing parenthesis"},
    {56, "        owner: {agent|agents}", "put the value in quotes: it begins with {"},
    {57, "        name: \"{agent|loud}\"", "no filter or table \"loud\""},
    {58, "        meeting_id: \"{sha256|sha8}\"", "without filter"},
    {59, "      - setle: 2s", "unknown key"},
    {60, "        pattern: *.wav", "put the value in quotes: it begins with *"},
    {61, "        skip: \"\"", "the reason in words"},
    {62, "  inbound:", "stands in line 34 already"},
    {63, "    path: /var/spool/asterisk/monitorDONE/MP3/FTP", "inside that of watch inbound"},
    {64, "    owner: team", "no e-mail address"},
};

/* The text with that line replaced; new string. */
static char *with_line(const char *text, int line, const char *replacement)
{
    const char *begin = text;
    for (int i = 1; i < line; i++)
        begin = strchr(begin, '\n') + 1;
    const char *end = strchr(begin, '\n');
    return mem_printf("%.*s%s%s", (int)(begin - text), text, replacement, end);
}

static void the_full_example_loads(void **state)
{
    struct fixture *fixture = *state;
    char *text = fixture_read("example.yaml");
    fixture_load(fixture, text);
    free(text);
    fixture_expect_count(fixture, 0);
    const struct config *config = fixture->config;
    assert_non_null(config);
    assert_int_equal(config->watch_count, 2);
    assert_int_equal(config->table_count, 1);
    const struct watch_config *inbound = config_watch(config, "inbound");
    assert_non_null(inbound);
    assert_int_equal(inbound->line, 34);
    assert_false(inbound->include_is_default);
    assert_int_equal(inbound->include.count, 2);
    assert_string_equal(inbound->include.items[1], "*.mp3");
    assert_int_equal(inbound->quiet_ms, 300000);
    assert_string_equal(config_watch(config, "plain")->path, "/srv/recordings");
    assert_null(config_watch(config, "nobody"));
}

/* Every default that the example writes out is what an absent key means. */
static void the_minimal_example_has_the_same_defaults(void **state)
{
    struct fixture *fixture = *state;
    char *text = fixture_read("minimal.yaml");
    fixture_load(fixture, text);
    free(text);
    fixture_expect_count(fixture, 0);
    const struct config *config = fixture->config;
    const struct watch_config *watch = &config->watches[0];
    assert_string_equal(config->state_dir, "/var/lib/chorus-agent");
    assert_string_equal(config->control_dir, "/var/spool/chorus-agent");
    assert_string_equal(config->control_group, "");
    assert_int_equal(config->log_level, LOG_INFO);
    assert_false(config->log_json);
    assert_string_equal(config->chorus.url, "https://chorus.ai");
    assert_string_equal(config->chorus.token_file, "/etc/chorus-agent/token");
    assert_string_equal(config->chorus.ca_file, "");
    assert_string_equal(config->chorus.proxy, "");
    assert_false(config->chorus.bearer);
    assert_int_equal(config->chorus.id_fields.count, 4);
    assert_string_equal(config->chorus.id_fields.items[2], "data.id");
    assert_int_equal(config->upload.concurrency, 8);
    assert_int_equal(config->upload.retry_first_ms, 1000);
    assert_int_equal(config->upload.retry_max_ms, 15 * 60000);
    assert_int_equal(config->upload.retry_for_ms, 7 * 86400000);
    assert_int_equal(config->upload.resend_after_ms, 60000);
    assert_int_equal(config->upload.stall_timeout_ms, 60000);
    assert_int_equal(config->upload.order, ORDER_NEWEST);
    assert_int_equal(config->delete_.confirm_for_ms, 3600000);
    assert_int_equal(config->delete_.max, 1000);
    assert_int_equal(config->delete_.keep_details_ms, (int64_t)30 * 86400000);
    assert_true(watch->recursive);
    assert_true(watch->include_is_default);
    assert_int_equal(watch->since, SINCE_START);
    assert_int_equal(watch->settle_ms, 2000);
    assert_int_equal(watch->quiet_ms, 300000);
    assert_int_equal(watch->open_quiet_ms, 3600000);
    assert_int_equal(watch->delay_ms, 0);
    assert_int_equal(watch->min_size, 0);
    assert_int_equal(watch->rescan_ms, 300000);
    assert_int_equal(watch->after_upload, AFTER_KEEP);
    assert_string_equal(watch->move_to, "");
    assert_int_equal(watch->keep_for_ms, 0);
}

static void every_planted_error_is_told_with_its_line(void **state)
{
    struct fixture *fixture = *state;
    char *text = fixture_read("example.yaml");
    assert_int_equal(sizeof planted / sizeof planted[0], EXAMPLE_LINES);
    for (size_t i = 0; i < EXAMPLE_LINES; i++) {
        assert_int_equal(planted[i].line, (int)i + 1);
        char *faulty = with_line(text, planted[i].line, planted[i].text);
        fixture_load(fixture, faulty);
        free(faulty);
        const struct config_problem *problem =
            fixture_expect(fixture, planted[i].line, planted[i].word);
        assert_false(problem->warning);
        assert_int_equal(fixture->status, 78);
    }
    free(text);
}

/* An error in the line of a key is no reason for errors in other lines. */
static void a_bad_value_is_told_alone(void **state)
{
    static const int lines[] = {1,  4,  5,  8,  11, 12, 13, 14, 17, 18, 19, 20, 21, 22,
                                23, 26, 27, 28, 31, 35, 36, 38, 39, 40, 42, 43, 44, 45,
                                46, 47, 49, 51, 52, 54, 56, 57, 58, 61, 63, 64};
    struct fixture *fixture = *state;
    char *text = fixture_read("example.yaml");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        const struct planted *plant = &planted[lines[i] - 1];
        char *faulty = with_line(text, plant->line, plant->text);
        fixture_load(fixture, faulty);
        free(faulty);
        for (size_t k = 0; k < fixture->problems.count; k++) {
            const struct config_problem *problem = &fixture->problems.items[k];
            if (!problem->warning && problem->line != plant->line)
                fail_msg("line %d: also told of line %d: %s", plant->line, problem->line,
                         problem->text);
        }
    }
    free(text);
}

/* Each key with one letter more is unknown, and the right one is named. */
static void a_slip_in_any_key_is_told_with_its_line(void **state)
{
    struct fixture *fixture = *state;
    char *text = fixture_read("example.yaml");
    size_t slips = 0;
    int line = 0;
    for (const char *at = text; *at != '\0'; at = strchr(at, '\n') + 1) {
        size_t indent = strspn(at, " -");
        size_t length = strspn(at + indent, "abcdefghijklmnopqrstuvwxyz_");
        line++;
        bool chosen = line == 31 || line == 34 || line == 62; /* names, no keys */
        if (length == 0 || at[indent + length] != ':' || chosen)
            continue;
        char *key = mem_bytes_string(at + indent, length);
        char *faulty = mem_printf("%.*sz%s", (int)(at - text + (long)(indent + length)), text,
                                  at + indent + length);
        char *meant = mem_printf("unknown key \"%sz\"", key);
        fixture_load(fixture, faulty);
        fixture_expect(fixture, line, meant);
        fixture_expect(fixture, line, "did you mean");
        free(meant);
        free(faulty);
        free(key);
        slips++;
    }
    assert_int_equal(slips, 53); /* all lines but blank ones, comments and names */
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_full_example_loads, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(the_minimal_example_has_the_same_defaults, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(every_planted_error_is_told_with_its_line, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(a_bad_value_is_told_alone, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_slip_in_any_key_is_told_with_its_line, fixture_setup,
                                        fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
