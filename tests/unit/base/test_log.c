/* The log: one line an event, whatever its values hold; the same trouble again is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "agent/base/bytes.h"
#include "agent/base/log.h"
#include "agent/base/when.h"

/* The clocks of these tests; see CMakeLists.txt. */
int64_t __wrap_when_steady_ms(void);
int64_t __wrap_when_now_ms(void);
static int64_t steady_ms = 1000000;

int64_t __wrap_when_now_ms(void)
{
    return INT64_C(1795000000000) + steady_ms;
}

int64_t __wrap_when_steady_ms(void)
{
    return steady_ms;
}

/* --- what was written to stderr -----------------------------------------------------------------
 */

static int pipe_ends[2], stderr_before;
static char text[200000];

static void catch_stderr(void)
{
    fflush(stderr);
    assert_int_equal(pipe(pipe_ends), 0);
    stderr_before = dup(STDERR_FILENO);
    dup2(pipe_ends[1], STDERR_FILENO);
    close(pipe_ends[1]);
}

/* One line without its end, or "". */
static const char *caught(void)
{
    dup2(stderr_before, STDERR_FILENO);
    close(stderr_before);
    size_t length = 0;
    ssize_t n;
    while ((n = read(pipe_ends[0], text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)n;
    close(pipe_ends[0]);
    text[length] = '\0';
    if (length > 0) {
        assert_int_equal(text[length - 1], '\n');
        text[length - 1] = '\0';
    }
    assert_null(strchr(text, '\n'));
    return text;
}

#define LINE_OF(call) (catch_stderr(), (call), caught())

static void expect_end(const char *line, const char *end)
{
    assert_true(strlen(line) >= strlen(end));
    assert_string_equal(line + strlen(line) - strlen(end), end);
}

/* The value of a key in a line of JSON. */
static void expect_json(const char *line, const char *key, const char *value)
{
    cJSON *object = cJSON_ParseWithOpts(line, NULL, 1);
    if (object == NULL)
        print_error("no JSON: %s\n", line);
    assert_non_null(object);
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    assert_non_null(item);
    assert_string_equal(cJSON_GetStringValue(item), value);
    cJSON_Delete(object);
}

/* --- logfmt */

static void a_line_of_text(void **state)
{
    (void)state;
    log_configure(LOG_INFO, false);
    const char *line = LINE_OF(
        log_event(LOG_WARNING, "uploaded", "path", "/a.wav", "nothing", NULL, "took", "3s", NULL));
    assert_memory_equal(line, "time=2", 6);
    expect_end(line, "Z level=warning event=uploaded path=/a.wav took=3s");
}

static void values_are_quoted_where_needed(void **state)
{
    (void)state;
    log_configure(LOG_INFO, false);
    expect_end(LINE_OF(log_event(LOG_INFO, "e", "k", "two words", NULL)), " k=\"two words\"");
    expect_end(LINE_OF(log_event(LOG_INFO, "e", "k", "a=b", NULL)), " k=\"a=b\"");
    expect_end(LINE_OF(log_event(LOG_INFO, "e", "k", "say \"x\"", NULL)), " k=\"say \\\"x\\\"\"");
    expect_end(LINE_OF(log_event(LOG_INFO, "e", "k", "", NULL)), " k=\"\"");
}

static void values_cannot_forge_a_line(void **state)
{
    (void)state;
    log_configure(LOG_INFO, false);
    expect_end(LINE_OF(log_event(LOG_INFO, "e", "path", "/a\nlevel=error", NULL)),
               " path=\"/a\\x0alevel=error\"");
    expect_end(LINE_OF(log_event(LOG_INFO, "e", "path", "J\xfcr\x1b[2J\\", NULL)),
               " path=J\\xfcr\\x1b[2J\\x5c");
}

static void levels(void **state)
{
    (void)state;
    log_configure(LOG_WARNING, false);
    assert_string_equal(LINE_OF(log_event(LOG_INFO, "e", NULL)), "");
    assert_string_equal(LINE_OF(log_event(LOG_DEBUG, "e", NULL)), "");
    expect_end(LINE_OF(log_event(LOG_ERROR, "e", NULL)), "level=error event=e");
    log_configure(LOG_DEBUG, false);
    expect_end(LINE_OF(log_event(LOG_DEBUG, "e", NULL)), "level=debug event=e");
}

/* --- JSON */

static void a_line_of_json(void **state)
{
    static const char *const values[] = {"plain", "two words", "say \"x\"", "", "J\xc3\xbcrgen"};
    (void)state;
    log_configure(LOG_INFO, true);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        expect_json(LINE_OF(log_event(LOG_INFO, "e", "k", values[i], "l", "last", NULL)), "k",
                    values[i]);
    const char *line = LINE_OF(log_event(LOG_INFO, "e", "k", "v", NULL));
    expect_json(line, "level", "info");
    expect_json(line, "event", "e");
}

static void every_byte_is_valid_json(void **state)
{
    char all[256];
    (void)state;
    for (int i = 1; i < 256; i++)
        all[i - 1] = (char)i;
    all[255] = '\0';
    char *escaped = bytes_escape(all);
    log_configure(LOG_INFO, true);
    expect_json(LINE_OF(log_event(LOG_INFO, "e", "k", all, NULL)), "k", escaped);
    free(escaped);
}

/* A path of PATH_MAX bytes, each of them odd, and a reason behind it. */
static void the_longest_path_is_valid_json(void **state)
{
    static const char fills[] = {'a', '\xfc', '"', '\\'};
    static char path[4096];
    (void)state;
    log_configure(LOG_INFO, true);
    for (size_t i = 0; i < sizeof fills; i++) {
        memset(path, fills[i], sizeof path - 1);
        char *escaped = bytes_escape(path);
        expect_json(LINE_OF(log_event(LOG_INFO, "e", "path", path, "reason", "because", NULL)),
                    "path", escaped);
        expect_json(LINE_OF(log_event(LOG_INFO, "e", "path", path, "reason", "because", NULL)),
                    "reason", "because");
        free(escaped);
    }
}

/* Beyond any bound the line is cut, and is a line all the same. */
static void a_monstrous_value_is_cut(void **state)
{
    static const char *const fills[] = {"a", "\xfc", "\"", "\xe2\x82\xac", "\xf0\x9f\x8e\xa7"};
    (void)state;
    for (size_t i = 0; i < sizeof fills / sizeof fills[0]; i++) {
        for (size_t extra = 0; extra < 8; extra++) {
            static char value[100001];
            size_t n = strlen(fills[i]), at = 0;
            memset(value, 'x', extra);
            for (at = extra; at + n < sizeof value; at += n)
                memcpy(value + at, fills[i], n);
            value[at] = '\0';
            log_configure(LOG_INFO, true);
            expect_json(LINE_OF(log_event(LOG_INFO, "e", "k", value, "l", "v", NULL)), "event",
                        "e");
            expect_json(LINE_OF(log_event(LOG_INFO, "e", "k", value, "l", value, "m", value, "n",
                                          value, "last", "v", NULL)),
                        "event", "e");
            log_configure(LOG_INFO, false);
            assert_true(strlen(LINE_OF(log_event(LOG_INFO, "e", "k", value, NULL))) < 70000);
            for (const char *c = text; *c != '\0'; c += bytes_utf8_length(c))
                assert_true(bytes_utf8_length(c) > 0);
        }
    }
}

static void what_is_cut_keeps_its_beginning(void **state)
{
    static char value[100001];
    (void)state;
    memset(value, 'a', sizeof value - 1);
    log_configure(LOG_INFO, true);
    cJSON *line = cJSON_Parse(LINE_OF(log_event(LOG_INFO, "e", "k", value, "l", "v", NULL)));
    const char *kept = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(line, "k"));
    assert_non_null(kept);
    assert_in_range(strlen(kept), 4096, sizeof value - 2);
    assert_memory_equal(kept, value, strlen(kept));
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(line, "l")), "v");
    cJSON_Delete(line);
}

/* A phone number is seven digits and more; what is shorter says nothing of a person. */
static void long_runs_of_digits_are_masked(void **state)
{
    (void)state;
    log_configure(LOG_INFO, false);
    expect_end(LINE_OF(log_event(LOG_INFO, "e", "path", "/a/15550100_555010.wav", NULL)),
               "path=/a/15550100_555010.wav");
    log_redact(true);
    expect_end(
        LINE_OF(log_event(LOG_INFO, "e", "path", "/a/15550100_555010.wav", "k", "5550100", NULL)),
        "path=/a/********_555010.wav k=*******");
    log_redact(false);
}

/* --- trouble */

static void the_same_trouble_is_told_once_a_minute(void **state)
{
    (void)state;
    log_configure(LOG_INFO, false);
    expect_end(LINE_OF(log_trouble(LOG_WARNING, "held", "reason", "no owner", NULL)),
               "event=held reason=\"no owner\"");
    for (int i = 0; i < 5; i++) {
        steady_ms += 10000;
        assert_string_equal(LINE_OF(log_trouble(LOG_WARNING, "held", "reason", "no owner", NULL)),
                            "");
    }
    steady_ms += 10000;
    expect_end(LINE_OF(log_trouble(LOG_WARNING, "held", "reason", "no owner", NULL)),
               "reason=\"no owner\" repeated=5 began=2026-11-18T11:23:20Z");
    steady_ms += 60000;
    expect_end(LINE_OF(log_trouble(LOG_WARNING, "held", "reason", "no owner", NULL)),
               "reason=\"no owner\"");
}

/* It was over for an hour: what comes then began then. */
static void a_trouble_that_was_over_begins_anew(void **state)
{
    (void)state;
    log_configure(LOG_INFO, false);
    LINE_OF(log_trouble(LOG_WARNING, "again", "reason", "a", NULL));
    LINE_OF(log_trouble(LOG_WARNING, "again", "reason", "a", NULL));
    steady_ms += 3600000;
    expect_end(LINE_OF(log_trouble(LOG_WARNING, "again", "reason", "a", NULL)), "reason=a");
    LINE_OF(log_trouble(LOG_WARNING, "again", "reason", "a", NULL));
    char began[64], time[WHEN_TEXT];
    when_rfc3339(__wrap_when_now_ms(), time);
    snprintf(began, sizeof began, "repeated=1 began=%s", time);
    steady_ms += 60000;
    expect_end(LINE_OF(log_trouble(LOG_WARNING, "again", "reason", "a", NULL)), began);
}

static void other_trouble_is_told_at_once(void **state)
{
    (void)state;
    log_configure(LOG_INFO, false);
    expect_end(LINE_OF(log_trouble(LOG_WARNING, "waiting", "reason", "a", "path", "/1", NULL)),
               "path=/1");
    /* the first value decides, not what follows */
    assert_string_equal(
        LINE_OF(log_trouble(LOG_WARNING, "waiting", "reason", "a", "path", "/2", NULL)), "");
    expect_end(LINE_OF(log_trouble(LOG_WARNING, "waiting", "reason", "b", "path", "/3", NULL)),
               "path=/3");
    expect_end(LINE_OF(log_trouble(LOG_WARNING, "queued", "reason", "a", "path", "/4", NULL)),
               "path=/4");
    expect_end(LINE_OF(log_trouble(LOG_WARNING, "bare", NULL)), "event=bare");
    assert_string_equal(LINE_OF(log_trouble(LOG_WARNING, "bare", NULL)), "");
    expect_end(LINE_OF(log_trouble(LOG_WARNING, "odd", "reason", NULL, NULL)), "event=odd");
}

static void a_thousand_troubles_take_no_more_room(void **state)
{
    char reason[32];
    (void)state;
    log_configure(LOG_INFO, false);
    for (int i = 0; i < 1000; i++) {
        snprintf(reason, sizeof reason, "number-%d", i);
        assert_true(strlen(LINE_OF(log_trouble(LOG_WARNING, "many", "r", reason, NULL))) > 0);
        steady_ms++;
    }
    /* the last of them are still known */
    assert_string_equal(LINE_OF(log_trouble(LOG_WARNING, "many", "r", "number-999", NULL)), "");
}

/* --- the journal */

bool __wrap_systemd_takes_fields(void);
bool __wrap_systemd_send_fields(const struct iovec *fields, int count);
static bool is_journal, refuses;
static char sent[20000];

bool __wrap_systemd_takes_fields(void)
{
    return is_journal;
}

bool __wrap_systemd_send_fields(const struct iovec *fields, int count)
{
    size_t length = 0;
    for (int i = 0; i < count; i++)
        length += (size_t)snprintf(sent + length, sizeof sent - length, "%.*s|",
                                   (int)fields[i].iov_len, (const char *)fields[i].iov_base);
    return !refuses;
}

static void the_journal_gets_fields_and_a_priority(void **state)
{
    static const char *const priorities[] = {"3", "4", "6", "7"};
    (void)state;
    is_journal = true;
    log_configure(LOG_DEBUG, false);
    for (int i = 0; i < 4; i++) {
        char wanted[300];
        assert_string_equal(LINE_OF(log_event((enum log_level)i, "held", "path", "/a b.wav",
                                              "to-do", "mend\nit", "none", NULL, NULL)),
                            "");
        snprintf(wanted, sizeof wanted,
                 "CHORUS_EVENT=held|CHORUS_PATH=/a b.wav|CHORUS_TO_DO=mend\\x0ait|PRIORITY=%s|"
                 "SYSLOG_IDENTIFIER=chorus-agent|MESSAGE=event=held path=\"/a b.wav\" "
                 "to-do=mend\\x0ait|",
                 priorities[i]);
        assert_string_equal(sent, wanted);
    }
    log_configure(LOG_INFO, true);
    assert_string_equal(LINE_OF(log_event(LOG_INFO, "e", "k", "v", NULL)), "");
    expect_end(sent, "|MESSAGE={\"event\":\"e\",\"k\":\"v\"}|");
    is_journal = false;
}

/* What the journal does not take stands on stderr. */
static void nothing_is_lost_where_the_journal_refuses(void **state)
{
    (void)state;
    is_journal = refuses = true;
    log_configure(LOG_INFO, false);
    assert_string_equal(LINE_OF(log_event(LOG_INFO, "e", "k", "v", NULL)), "event=e k=v");
    is_journal = refuses = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_of_text),
        cmocka_unit_test(values_are_quoted_where_needed),
        cmocka_unit_test(values_cannot_forge_a_line),
        cmocka_unit_test(levels),
        cmocka_unit_test(a_line_of_json),
        cmocka_unit_test(every_byte_is_valid_json),
        cmocka_unit_test(the_longest_path_is_valid_json),
        cmocka_unit_test(a_monstrous_value_is_cut),
        cmocka_unit_test(what_is_cut_keeps_its_beginning),
        cmocka_unit_test(long_runs_of_digits_are_masked),
        cmocka_unit_test(the_same_trouble_is_told_once_a_minute),
        cmocka_unit_test(a_trouble_that_was_over_begins_anew),
        cmocka_unit_test(other_trouble_is_told_at_once),
        cmocka_unit_test(a_thousand_troubles_take_no_more_room),
        cmocka_unit_test(the_journal_gets_fields_and_a_priority),
        cmocka_unit_test(nothing_is_lost_where_the_journal_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
