/* Control files: which line is what, and what refuses the whole file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "agent/base/mem.h"
#include "agent/control/request.h"

#define ID "0123456789abcdef0123456789ABCDEF"
#define OTHER "fedcba9876543210fedcba9876543210"
#define HASH "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"

enum { MOST_LINES = 16 };

struct read_file {
    char *refusal;
    struct request_facts facts;
    struct {
        unsigned line;
        enum target_kind kind;
        char *text, *value, *problem;
    } lines[MOST_LINES];
    size_t count;
};

static void keep(void *ctx, const struct request_line *line)
{
    struct read_file *file = ctx;
    assert_true(file->count < MOST_LINES);
    assert_true((line->kind == TARGET_BAD) == (line->value == NULL));
    assert_true((line->kind == TARGET_BAD) == (line->problem != NULL));
    file->lines[file->count].line = line->line;
    file->lines[file->count].kind = line->kind;
    file->lines[file->count].text = mem_string(line->text);
    file->lines[file->count].value = mem_string(line->value);
    file->lines[file->count].problem = mem_string(line->problem);
    file->count++;
}

/* In pieces of `piece` bytes. */
static void read_pieces(struct read_file *file, const char *bytes, size_t n, size_t piece)
{
    memset(file, 0, sizeof *file);
    struct request_reader *reader = request_reader_new(keep, file);
    for (size_t at = 0; at < n; at += piece)
        request_reader_feed(reader, bytes + at, n - at < piece ? n - at : piece);
    file->refusal = request_reader_end(reader, &file->facts);
    request_reader_free(reader);
}

static void clear(struct read_file *file)
{
    for (size_t i = 0; i < file->count; i++) {
        free(file->lines[i].text);
        free(file->lines[i].value);
        free(file->lines[i].problem);
    }
    free(file->refusal);
    request_facts_clear(&file->facts);
}

static void expect_text(const char *got, const char *wanted)
{
    if (got == NULL || wanted == NULL)
        assert_true(got == wanted);
    else
        assert_string_equal(got, wanted);
}

/* One target line is of this kind and value; TARGET_BAD: `value` is a part of the problem. */
static void expect_target(const char *line, enum target_kind kind, const char *value)
{
    struct read_file file;
    char *bytes = mem_printf("%s\n", line);
    read_pieces(&file, bytes, strlen(bytes), 7);
    if (file.refusal != NULL || file.count != 1 || file.lines[0].kind != kind)
        print_error("'%s': %s\n", line, file.refusal != NULL ? file.refusal : "of another kind");
    assert_null(file.refusal);
    assert_int_equal(file.count, 1);
    assert_int_equal(file.lines[0].kind, kind);
    assert_int_equal(file.facts.targets, kind != TARGET_BAD);
    assert_int_equal(file.facts.bad, kind == TARGET_BAD);
    assert_string_equal(file.lines[0].text, line);
    if (kind == TARGET_BAD)
        assert_non_null(strstr(file.lines[0].problem, value));
    else
        assert_string_equal(file.lines[0].value, value);
    clear(&file);
    free(bytes);
}

/* The whole file is refused, and the reason holds `part`. */
static void expect_refused_bytes(const char *bytes, size_t n, const char *part)
{
    struct read_file file;
    read_pieces(&file, bytes, n, 3);
    if (file.refusal == NULL || strstr(file.refusal, part) == NULL)
        print_error("'%.60s' should be refused for: %s; %s\n", bytes, part,
                    file.refusal != NULL ? file.refusal : "it is not");
    assert_non_null(file.refusal);
    assert_non_null(strstr(file.refusal, part));
    clear(&file);
}

static void expect_refused(const char *text, const char *part)
{
    expect_refused_bytes(text, strlen(text), part);
}

static void targets_of_every_kind(void **state)
{
    (void)state;
    expect_target("/srv/a b[1].wav", TARGET_PATH, "/srv/a b[1].wav");
    expect_target("/srv/\\xe9\\x5c.wav", TARGET_PATH, "/srv/\xe9\\.wav");
    expect_target("/srv/\xc3\xa9.wav ", TARGET_PATH, "/srv/\xc3\xa9.wav ");
    expect_target("glob:/srv/*/[ab]?.mp3", TARGET_GLOB, "/srv/*/[ab]?.mp3");
    expect_target("glob:/srv/\\x5b1\\x5d-*\\x0a", TARGET_GLOB, "/srv/\\[1]-*\n");
    expect_target("name:20240102_555 0100.wav", TARGET_NAME, "20240102_555 0100.wav");
    expect_target("sha256:" HASH, TARGET_SHA256,
                  "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
    expect_target("engagement:" ID, TARGET_ENGAGEMENT, ID);
    expect_target("engagement:a-B_7.x", TARGET_ENGAGEMENT, "a-B_7.x");
    expect_target("phone:+1 (555) 010-0123", TARGET_PHONE, "15550100123");
    expect_target("phone:5550100", TARGET_PHONE, "5550100");
    expect_target("field:campaign=Spring = \\x5c", TARGET_FIELD, "campaign=Spring = \\");
}

static void links_in_every_form(void **state)
{
    static const char *const links[] = {
        "https://chorus.ai/meeting/" ID,
        "https://chorus.ai/meeting/" ID "/",
        "https://chorus.ai/meeting/" ID "?tab=summary&call=" ID,
        "https://chorus.ai/meeting/" ID "?t=12#notes",
        "https://chorus.ai/meeting/" ID "#" OTHER,
        "https://chorus.ai/meeting/1234567?tab=summary&call=" ID,
        "https://chorus.ai/meeting/1234567?call=" ID "&t=3",
        "https://chorus.ai/meeting/1234567/?call=" ID "#x",
        "HTTPS://Chorus.AI/meeting/" ID,
        "http://www.chorus.ai:443/meeting/" ID,
        "chorus.ai/meeting/" ID,
    };
    static const char *const bad[] = {
        "https://chorus.ai/",
        "https://chorus.ai/meeting/",
        "https://chorus.ai/meeting/1234567",
        "https://chorus.ai/meeting/1234567?call=12",
        "https://chorus.ai/meeting/1234567?recall=" ID,
        "https://chorus.ai/meeting/1234567?call=" ID "&call=" OTHER,
        "https://chorus.ai/meeting/1234567#call=" ID,
        "https://chorus.ai/meeting/" ID "0",
        "https://chorus.ai/meeting/" ID "/" OTHER,
        "https://chorus.ai/meeting/x?call=" ID,
        "https://chorus.ai/users/" ID,
        "https://chorus.ai.example.com/meeting/" ID,
        "https://chorus.ai:8443/meeting/" ID,
        "https://example.com/chorus.ai/meeting/" ID,
        "https://me@chorus.ai/meeting/" ID,
    };
    (void)state;
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
        expect_target(links[i], TARGET_ENGAGEMENT, ID);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_target(bad[i], TARGET_BAD, "a link to a call is");
    expect_target("https://chorus.ai/meeting/" ID "?call=" OTHER, TARGET_BAD, "two different");
}

static void bad_lines(void **state)
{
    (void)state;
    expect_target("a.wav", TARGET_BAD, "unknown kind");
    expect_target(" /srv/a.wav", TARGET_BAD, "unknown kind");
    expect_target("file:/srv/a.wav", TARGET_BAD, "unknown kind");
    expect_target("Phone:5550100", TARGET_BAD, "unknown kind");
    expect_target("phone:555010", TARGET_BAD, "fewer than 7");
    expect_target("phone:5550100 ext 7", TARGET_BAD, "a phone number is");
    expect_target("phone:", TARGET_BAD, "empty");
    expect_target("name:", TARGET_BAD, "empty");
    expect_target("name:a/b", TARGET_BAD, "no /");
    expect_target("glob:*.wav", TARGET_BAD, "begins with /");
    expect_target("glob:/srv/\\*", TARGET_BAD, "backslash");
    expect_target("/srv/a\\b.wav", TARGET_BAD, "backslash");
    expect_target("/srv/\\x00", TARGET_BAD, "backslash");
    expect_target("sha256:" ID, TARGET_BAD, "64 hex");
    expect_target("engagement:", TARGET_BAD, "empty");
    expect_target("engagement:a,b", TARGET_BAD, "id is");
    expect_target("engagement:..", TARGET_BAD, "id is");
    expect_target("field:phone", TARGET_BAD, "NAME=VALUE");
    expect_target("field:=x", TARGET_BAD, "NAME=VALUE");
    expect_target("field:phone=", TARGET_BAD, "empty");
}

static void a_whole_file(void **state)
{
    static const char text[] = "\xef\xbb\xbf# a request\r\n"
                               "@reason  GDPR, ticket 4711 \r\n"
                               "\r\n"
                               "/srv/a.wav\r\n"
                               "phone:123\n"
                               "  \t\n"
                               "name:b\\x0d\r\n"
                               "@requested-by\tj.doe@example.com\n"
                               "@local delete\n@force\n@dry-run\n"
                               "name:last";
    (void)state;
    for (size_t piece = 1; piece < sizeof text; piece += 5) {
        struct read_file file;
        read_pieces(&file, text, sizeof text - 1, piece);
        assert_null(file.refusal);
        assert_int_equal(file.count, 4);
        assert_int_equal(file.lines[0].line, 4);
        assert_string_equal(file.lines[0].value, "/srv/a.wav");
        assert_int_equal(file.lines[1].line, 5);
        assert_int_equal(file.lines[1].kind, TARGET_BAD);
        assert_string_equal(file.lines[2].value, "b\r");
        assert_int_equal(file.lines[3].line, 12);
        assert_int_equal(file.lines[3].kind, TARGET_BAD);
        assert_non_null(strstr(file.lines[3].problem, "no line end"));
        expect_text(file.facts.reason, "GDPR, ticket 4711");
        expect_text(file.facts.requested_by, "j.doe@example.com");
        assert_true(file.facts.local && file.facts.force && file.facts.dry_run);
        assert_int_equal(file.facts.expect, -1);
        assert_int_equal(file.facts.targets, 2);
        assert_int_equal(file.facts.bad, 2);
        clear(&file);
    }
}

static void directives_refuse_the_file(void **state)
{
    (void)state;
    expect_refused("@dryrun\n/srv/a\n", "line 1: @dryrun: unknown directive");
    expect_refused("/srv/a\n@DRY-RUN\n", "line 2: @DRY-RUN: unknown");
    expect_refused("/srv/a\n@\n", "unknown directive");
    expect_refused("/srv/a\n@ dry-run\n", "unknown directive");
    expect_refused("/srv/a\n@dry-run now\n", "malformed");
    expect_refused("/srv/a\n@force yes\n", "malformed");
    expect_refused("/srv/a\n@local\n", "@local delete");
    expect_refused("/srv/a\n@local remove\n", "@local delete");
    expect_refused("/srv/a\n@reason\n", "@reason TEXT");
    expect_refused("/srv/a\n@reason   \n", "@reason TEXT");
    expect_refused("/srv/a\n@expect\n", "@expect NUMBER");
    expect_refused("/srv/a\n@expect -1\n", "@expect NUMBER");
    expect_refused("/srv/a\n@expect 1 2\n", "@expect NUMBER");
    expect_refused("/srv/a\n@expect 12345678901\n", "@expect NUMBER");
    expect_refused("/srv/a\n@from yesterday\n", "@from YYYY-MM-DD");
    expect_refused("/srv/a\n@from 2026-02-30\n", "@from YYYY-MM-DD");
    expect_refused("/srv/a\n@to 2026-1-1\n", "@to YYYY-MM-DD");
    expect_refused("/srv/a\n@to 1969-01-01\n", "@to YYYY-MM-DD");
    expect_refused("@force\n/srv/a\n@force\n", "line 3: @force: this directive stands here for");
    expect_refused("@from 2026-01-02\n@to 2026-01-01\n/srv/a\n", "later than");
    /* each problem is told, not only the first */
    expect_refused("@a\n@b\n/srv/a\n", "line 1: @a: unknown directive");
    expect_refused("@a\n@b\n/srv/a\n", "line 2: @b: unknown directive");
    expect_refused("@a\n@b\n@c\n@d\n@e\n@f\n@g\n/srv/a\n", "and 2 more");
}

/* A directive that is taken for a target would be left undone, and the rest deleted. */
static void what_was_meant_as_a_directive(void **state)
{
    (void)state;
    expect_refused("/srv/a\n @dry-run\n", "meant to be a directive");
    expect_refused("/srv/a\ndry-run\n", "meant to be a directive");
    expect_refused("/srv/a\n--dry-run\n", "meant to be a directive");
    expect_refused("/srv/a\nDryRun:\n", "meant to be a directive");
    expect_refused("/srv/a\nexpect 12\n", "meant to be a directive");
    expect_refused("/srv/a\nto=2026-01-01\n", "meant to be a directive");
    expect_refused("/srv/a\n\xe2\x80\x8b@dry-run\n", "meant to be a directive");
    expect_refused("/srv/a\n\xc2\xa0@unknown\n", "meant to be a directive");
    expect_target("tomorrow.wav", TARGET_BAD, "unknown kind");
    expect_target("forced", TARGET_BAD, "unknown kind");
}

static void a_directive_that_is_cut(void **state)
{
    (void)state;
    expect_refused("/srv/a\n@expect 1", "cut?");
    expect_refused("/srv/a\n@dry-run", "cut?");
}

static void expect_and_bad_lines(void **state)
{
    struct read_file file;
    (void)state;
    expect_refused("@expect 1\n/srv/a\nphone:1\n", "line 3: a phone number of fewer than 7");
    expect_refused("@expect 1\n/srv/a\n/srv/b", "line 3: the last line has no line end");
    read_pieces(&file, "/srv/a\n@expect 0001\n", 20, 20);
    assert_null(file.refusal);
    assert_int_equal(file.facts.expect, 1);
    clear(&file);
}

static void what_is_no_text(void **state)
{
    (void)state;
    expect_refused("", "empty");
    expect_refused("\n", "names no target");
    expect_refused("# nothing\n@force\n", "names no target");
    expect_refused("\xef\xbb\xbf", "names no target");
    expect_refused_bytes("/srv/a\n/srv/\0b\n", 15, "line 2: a control character");
    expect_refused("/srv/a\n/srv/\xe9.wav\n", "line 2: this is no UTF-8");
    expect_refused("\xff\xfe/srv\n", "line 1: this is no UTF-8");
    expect_refused("/srv/\xed\xa0\x80\n", "no UTF-8");
    expect_refused("/srv/\xc0\xaf\n", "no UTF-8");
    expect_refused("/srv/a\n/srv/\xc3", "inside a character");
    expect_refused("# \x1b[31m\n/srv/a\n", "a control character");
    expect_refused("/srv/\xc2\x85.wav\n", "a control character");
    expect_refused("# a comment\r/srv/a\r@dry-run\r", "carriage return");
    expect_refused("/srv/a\r\r\n", "carriage return");
    expect_refused("/srv/a\n\xef\xbb\xbf@dry-run\n", "byte order mark");
}

static void a_cut_carriage_return(void **state)
{
    struct read_file file;
    (void)state;
    read_pieces(&file, "/srv/a\n/srv/b\r", 14, 1);
    assert_null(file.refusal);
    assert_int_equal(file.facts.bad, 1);
    assert_string_equal(file.lines[1].text, "/srv/b");
    clear(&file);
}

/* A line of `n` bytes between two others. */
static char *with_line(const char *begin, size_t n, const char *end)
{
    char *line = mem_zalloc(n + 1);
    memset(line, 'a', n);
    memcpy(line, begin, strlen(begin));
    char *text = mem_printf("/srv/1\n%s%s/srv/2\n", line, end);
    free(line);
    return text;
}

static void long_lines(void **state)
{
    struct read_file file;
    (void)state;
    char *text = with_line("/", REQUEST_MOST_LINE, "\r\n");
    read_pieces(&file, text, strlen(text), 1000);
    assert_null(file.refusal);
    assert_int_equal(file.facts.targets, 3);
    assert_int_equal(strlen(file.lines[1].value), REQUEST_MOST_LINE);
    clear(&file);
    free(text);
    text = with_line("/", REQUEST_MOST_LINE + 1, "\n");
    read_pieces(&file, text, strlen(text), 1000);
    assert_null(file.refusal);
    assert_int_equal(file.lines[1].kind, TARGET_BAD);
    assert_non_null(strstr(file.lines[1].problem, "4 KiB"));
    assert_true(strlen(file.lines[1].text) <= 200);
    assert_int_equal(file.lines[2].line, 3);
    assert_int_equal(file.facts.targets, 2);
    clear(&file);
    free(text);
    text = with_line("#", 100000, "\n");
    read_pieces(&file, text, strlen(text), 4096);
    assert_null(file.refusal);
    assert_int_equal(file.count, 2);
    clear(&file);
    free(text);
    text = with_line("@reason ", 5000, "\n");
    expect_refused(text, "longer than 4 KiB");
    free(text);
}

static char *too_many(const char *line, size_t times)
{
    struct request_facts facts;
    struct request_reader *reader = request_reader_new(NULL, NULL);
    for (size_t i = 0; i < times; i++)
        request_reader_feed(reader, line, strlen(line));
    char *refusal = request_reader_end(reader, &facts);
    request_reader_free(reader);
    request_facts_clear(&facts);
    return refusal;
}

static void limits(void **state)
{
    (void)state;
    char *refusal = too_many("/a\n", REQUEST_MOST_TARGETS);
    assert_null(refusal);
    refusal = too_many("/a\n", REQUEST_MOST_TARGETS + 1);
    assert_non_null(strstr(refusal, "more than 1000000 targets"));
    free(refusal);
    char *comment = mem_zalloc(65537);
    memset(comment, '#', 65536);
    comment[65535] = '\n';
    refusal = too_many(comment, 1024);
    assert_string_equal(refusal, "the file names no target");
    free(refusal);
    refusal = too_many(comment, 1025);
    assert_non_null(strstr(refusal, "larger than 64 MiB"));
    free(refusal);
    free(comment);
}

static void dates_are_local_days(void **state)
{
    static const char text[] = "@from 2026-03-29\n@to 2026-03-29\n/srv/a\n";
    struct read_file file;
    (void)state;
    setenv("TZ", "Europe/Berlin", 1);
    tzset();
    read_pieces(&file, text, sizeof text - 1, 100);
    assert_null(file.refusal);
    /* 23 hours: the clock goes forward */
    assert_int_equal(file.facts.from_ms, INT64_C(1774738800000));
    assert_int_equal(file.facts.to_ms - file.facts.from_ms, INT64_C(23) * 3600000);
    clear(&file);
    setenv("TZ", "UTC", 1);
    tzset();
    read_pieces(&file, text, sizeof text - 1, 100);
    assert_int_equal(file.facts.from_ms, INT64_C(1774742400000));
    assert_int_equal(file.facts.to_ms - file.facts.from_ms, INT64_C(24) * 3600000);
    clear(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_of_every_kind),
        cmocka_unit_test(links_in_every_form),
        cmocka_unit_test(bad_lines),
        cmocka_unit_test(a_whole_file),
        cmocka_unit_test(directives_refuse_the_file),
        cmocka_unit_test(what_was_meant_as_a_directive),
        cmocka_unit_test(a_directive_that_is_cut),
        cmocka_unit_test(expect_and_bad_lines),
        cmocka_unit_test(what_is_no_text),
        cmocka_unit_test(a_cut_carriage_return),
        cmocka_unit_test(long_lines),
        cmocka_unit_test(limits),
        cmocka_unit_test(dates_are_local_days),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
