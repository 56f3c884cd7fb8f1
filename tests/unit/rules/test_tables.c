/* Tables as administrators write and export them, good and bad. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/mem.h"
#include "agent/rules/tables.h"

struct fixture {
    char folder[64];
    char *path;
    struct table_set *tables;
    char *told; /* all that was told, a line each */
};

static int setup(void **state)
{
    struct fixture *fixture = mem_zalloc(sizeof *fixture);
    snprintf(fixture->folder, sizeof fixture->folder, "/tmp/chorus-tables-XXXXXX");
    if (mkdtemp(fixture->folder) == NULL)
        return -1;
    fixture->path = mem_printf("%s/t.csv", fixture->folder);
    const char *names[] = {"agents", "other"};
    const char *paths[] = {fixture->path, "/nowhere/other.csv"};
    fixture->tables = table_set_new(names, paths, 2);
    fixture->told = mem_string("");
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    remove(fixture->path);
    rmdir(fixture->folder);
    table_set_free(fixture->tables);
    free(fixture->told);
    free(fixture->path);
    free(fixture);
    return 0;
}

static void hear(void *ctx, const char *text)
{
    struct fixture *fixture = ctx;
    mem_replace(&fixture->told, mem_printf("%s%s\n", fixture->told, text));
}

static int load_bytes(struct fixture *fixture, const char *bytes, size_t n)
{
    FILE *file = fopen(fixture->path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
    mem_replace(&fixture->told, mem_string(""));
    return table_set_load(fixture->tables, 0, hear, fixture);
}

static int load(struct fixture *fixture, const char *text)
{
    return load_bytes(fixture, text, strlen(text));
}

static const char *look_up(const struct fixture *fixture, const char *key)
{
    return table_set_look_up(fixture->tables, 0, key, NULL);
}

static void expect(const struct fixture *fixture, const char *key, const char *value)
{
    const char *found = look_up(fixture, key);
    if (found == NULL)
        fail_msg("%s finds nothing; told: %s", key, fixture->told);
    else
        assert_string_equal(found, value);
}

static void expect_told(const struct fixture *fixture, const char *words)
{
    if (strstr(fixture->told, words) == NULL)
        fail_msg("\"%s\" is not among what was told: %s", words, fixture->told);
}

static void nothing_is_found_before_the_first_load(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(table_set_count(fixture->tables), 2);
    assert_string_equal(table_set_name(fixture->tables, 1), "other");
    assert_string_equal(table_set_path(fixture->tables, 1), "/nowhere/other.csv");
    assert_int_equal(table_set_find(fixture->tables, "other"), 1);
    assert_int_equal(table_set_find(fixture->tables, "Other"), -1);
    assert_null(look_up(fixture, "6666"));
    char *why = table_set_why(fixture->tables, 0, "6666");
    assert_string_equal(why, "no row for 6666: it is not read yet");
    free(why);
    assert_int_equal(table_set_load(fixture->tables, 1, hear, fixture), -ENOENT);
}

static void keys_are_compared_without_case_and_keep_their_zeros(void **state)
{
    struct fixture *fixture = *state;
    int line = 0;
    assert_int_equal(load(fixture, "0042,zero@example.com\n42,plain@example.com\nAgent7,x@a.de\n"
                                   "M\xc3\x9cLLER,m@a.de\n"),
                     0);
    expect(fixture, "0042", "zero@example.com");
    expect(fixture, "42", "plain@example.com");
    expect(fixture, "aGENT7", "x@a.de");
    expect(fixture, "m\xc3\xbcller", "m@a.de");
    assert_null(look_up(fixture, "042"));
    assert_null(look_up(fixture, ""));
    assert_non_null(table_set_look_up(fixture->tables, 0, "agent7", &line));
    assert_int_equal(line, 3);
    assert_int_equal(table_set_rows(fixture->tables, 0), 4);
    assert_string_equal(fixture->told, "");
    char *why = table_set_why(fixture->tables, 0, "n\n");
    assert_string_equal(why, "no row for n\\x0a");
    free(why);
}

static void quotes_are_those_of_csv(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, "\"Doe, John\",j@a.de\n\"say \"\"hi\"\"\",\"h@a.de\"\n"
                                   "\"two\nlines\",l@a.de\n  spaced  ,  s@a.de \n"
                                   "\" kept \",k@a.de\nlast,\"\"\n"),
                     0);
    assert_string_equal(fixture->told, "");
    expect(fixture, "doe, john", "j@a.de");
    expect(fixture, "say \"hi\"", "h@a.de");
    expect(fixture, "two\nlines", "l@a.de");
    expect(fixture, "spaced", "s@a.de");
    expect(fixture, " kept ", "k@a.de");
    int line = 0;
    assert_string_equal(table_set_look_up(fixture->tables, 0, "last", &line), "");
    assert_int_equal(line, 7);
}

static void the_first_row_that_has_one_decides_the_separator(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, "a\tx@a.de\nb, c\ty@a.de\n"), 0);
    expect(fixture, "b, c", "y@a.de");
    assert_int_equal(load(fixture, "# a,b\n\nDoe, J\tx@a.de\n"), 0);
    expect(fixture, "doe, j", "x@a.de");
    assert_int_equal(load(fixture, "\"a\tb\",x@a.de\nc,y@a.de\n"), 0);
    expect(fixture, "a\tb", "x@a.de");
    assert_int_equal(load(fixture, "lonely\na\tx@a.de\n"), 0);
    expect(fixture, "a", "x@a.de");
    expect_told(fixture, "line 1: 1 column instead of 2 (key<TAB>value)");
}

static void what_programs_put_around_rows_is_tolerated(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, "\xef\xbb\xbf# agents\r\n\r\na,x@a.de\r\n  \r\nb,y@a.de\r\n"),
                     0);
    assert_string_equal(fixture->told, "");
    assert_int_equal(table_set_rows(fixture->tables, 0), 2);
    int line = 0;
    assert_string_equal(table_set_look_up(fixture->tables, 0, "b", &line), "y@a.de");
    assert_int_equal(line, 5);
    assert_int_equal(load(fixture, "a,x@a.de\rb,y@a.de\r"), 0);
    expect(fixture, "b", "y@a.de");
    assert_int_equal(load(fixture, ""), 0);
    assert_int_equal(table_set_rows(fixture->tables, 0), 0);
    assert_int_equal(load(fixture, "a\xff,x@a.de\n"), 0);
    expect(fixture, "a\xff", "x@a.de");
}

static void a_last_row_without_line_end_is_not_used(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, "a,x@a.de\nb,y@a.d"), 0);
    assert_null(look_up(fixture, "b"));
    expect(fixture, "a", "x@a.de");
    expect_told(fixture, "line 2: the last row has no line end");
    assert_int_equal(load(fixture, "a,x@a.de\n\"b,y@a.d"), 0);
    expect_told(fixture, "line 2: the last row has no line end");
    assert_int_equal(load(fixture, "a,x@a.de\n# the end"), 0);
    assert_string_equal(fixture->told, "");
    assert_int_equal(load(fixture, "a,x@a.de"), 0);
    assert_int_equal(table_set_rows(fixture->tables, 0), 0);
}

static void bad_rows_cost_themselves_only(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, "a,x@a.de\nb\nc,y@a.de,more\n,z@a.de\nd,d@a.de\n"), 0);
    expect_told(fixture, "line 2: 1 column instead of 2 (key,value); this row is not used");
    expect_told(fixture, "line 3: 3 columns instead of 2");
    expect_told(fixture, "line 4: the key is empty");
    assert_int_equal(table_set_rows(fixture->tables, 0), 2);
    expect(fixture, "d", "d@a.de");
}

static void a_wrong_quote_costs_its_row_only_where_there_is_no_older_version(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, "a,x@a.de\n\"b,y@a.de\nc,z@a.de\n\"d\",w@a.de\ne,e@a.de\n"), 0);
    expect_told(fixture, "line 2: a quote");
    assert_null(strstr(fixture->told, "line 3"));
    assert_int_equal(table_set_rows(fixture->tables, 0), 4);
    expect(fixture, "c", "z@a.de");

    assert_int_equal(load(fixture, "c,changed@a.de\na\"b,x@a.de\n"), -EINVAL);
    expect_told(fixture, "line 2: a quote inside a field");
    expect(fixture, "c", "z@a.de");
}

static void a_version_of_mostly_bad_rows_leaves_the_old_one_in_force(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, "a,x@a.de\nb,b@a.de\n"), 0);
    assert_int_equal(load(fixture, "a,y@a.de\nERROR 1045\n"), 0);
    expect(fixture, "a", "y@a.de");
    assert_int_equal(load(fixture, "a,z@a.de\nERROR 1045\nat line 1\n"), -EINVAL);
    expect_told(fixture, "line 2: 1 column");
    expect(fixture, "a", "y@a.de");
}

static void a_new_set_inherits_what_is_in_force(void **state)
{
    struct fixture *fixture = *state;
    const char *names[] = {"more", "agents"};
    const char *paths[] = {"/nowhere/more.csv", fixture->path};
    struct table_set *next = table_set_new(names, paths, 2);
    assert_int_equal(load(fixture, "a,x@a.de\n"), 0);
    table_set_inherit(next, fixture->tables);
    assert_string_equal(table_set_look_up(next, 1, "A", NULL), "x@a.de");
    assert_null(look_up(fixture, "a"));
    assert_null(table_set_look_up(next, 0, "a", NULL));
    table_set_free(next);
}

/* Or a slip at the top would swallow the table up to the next quote. */
static void a_quote_may_stay_open_for_some_lines_only(void **state)
{
    struct fixture *fixture = *state;
    char text[4096] = "\"a\n";
    for (int i = 0; i < 70; i++)
        sprintf(text + strlen(text), "k%d,v\n", i);
    strcat(text, "z\",x\n");
    assert_int_equal(load(fixture, text), 0);
    expect_told(fixture, "line 1: a quote is not closed");
    expect_told(fixture, "line 72: a quote inside a field");
    assert_int_equal(table_set_rows(fixture->tables, 0), 70);
}

static void many_bad_rows_are_counted(void **state)
{
    struct fixture *fixture = *state;
    char text[4096] = "good,x@a.de\n";
    for (int i = 0; i < 40; i++)
        strcat(text, "bad\n");
    assert_int_equal(load(fixture, text), 0);
    expect_told(fixture, "line 6: 1 column");
    assert_null(strstr(fixture->told, "line 7"));
    expect_told(fixture, "40 rows in all are not used");
}

static void rows_that_disagree_find_nothing(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, "a,x@a.de\nb,b@a.de\nB,b@a.de\nA,y@a.de\na,x@a.de\na,z@a.de\n"),
                     0);
    assert_null(look_up(fixture, "a"));
    expect(fixture, "b", "b@a.de");
    expect_told(fixture, "line 4: another value for A than in line 1; neither is used");
    expect_told(fixture, "line 6: another value for a than in line 1");
    char *why = table_set_why(fixture->tables, 0, "a");
    assert_string_equal(why, "two values for a (lines 1 and 4)");
    free(why);
}

static void a_broken_version_leaves_the_old_one_in_force(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture, "a,x@a.de\n"), 0);
    uint64_t digest = table_set_digest(fixture->tables);
    assert_int_equal(load_bytes(fixture, "PK\x03\x04\n\0\0", 7), -EINVAL);
    expect_told(fixture, "line 2: a byte 0: this is no text table");
    expect(fixture, "a", "x@a.de");
    assert_int_equal(load(fixture, "no rows at all\n<html>\n"), -EINVAL);
    expect_told(fixture, "line 1: 1 column");
    expect(fixture, "a", "x@a.de");
    remove(fixture->path);
    assert_int_equal(table_set_load(fixture->tables, 0, hear, fixture), -ENOENT);
    assert_int_equal(mkfifo(fixture->path, 0600), 0);
    assert_int_equal(table_set_load(fixture->tables, 0, hear, fixture), -EINVAL);
    expect_told(fixture, "no regular file");
    remove(fixture->path);
    expect(fixture, "a", "x@a.de");
    assert_true(table_set_digest(fixture->tables) == digest);
}

static void the_digest_follows_the_content(void **state)
{
    struct fixture *fixture = *state;
    uint64_t none = table_set_digest(fixture->tables);
    load(fixture, "a,x@a.de\n");
    uint64_t one = table_set_digest(fixture->tables);
    load(fixture, "a,y@a.de\n");
    uint64_t two = table_set_digest(fixture->tables);
    load(fixture, "a,x@a.de\n");
    assert_true(none != one && one != two && none != two);
    assert_true(table_set_digest(fixture->tables) == one);
    assert_int_equal(table_set_load(fixture->tables, 0, NULL, NULL), 0);
}

static double seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void two_hundred_thousand_rows(void **state)
{
    enum { ROWS = 200000 };
    struct fixture *fixture = *state;
    char *text = mem_zalloc((size_t)ROWS * 64);
    size_t n = 0;
    for (int i = 0; i < ROWS; i++)
        n += (size_t)sprintf(text + n, "20260318-140532_55512%05d_agent%06d,a%d@example.com\n",
                             i % 100000, i, i);
    double begin = seconds();
    assert_int_equal(load_bytes(fixture, text, n), 0);
    char key[64], value[64];
    for (int i = 0; i < ROWS; i++) {
        snprintf(key, sizeof key, "20260318-140532_55512%05d_AGENT%06d", i % 100000, i);
        snprintf(value, sizeof value, "a%d@example.com", i);
        const char *found = look_up(fixture, key);
        assert_non_null(found);
        assert_string_equal(found, value);
    }
    double took = seconds() - begin;
    print_message("%d rows read and looked up in %.2f s\n", ROWS, took);
    assert_int_equal(table_set_rows(fixture->tables, 0), ROWS);
    assert_true(took < 20); /* under sanitizers on a busy machine; quadratic would take hours */
    free(text);
}

/* Every row opens a quote that no row closes. */
static void hostile_quotes_take_no_longer(void **state)
{
    enum { ROWS = 100000 };
    struct fixture *fixture = *state;
    char *text = mem_zalloc((size_t)ROWS * 8 + 16);
    size_t n = 0;
    for (int i = 0; i < ROWS; i++)
        n += (size_t)sprintf(text + n, i % 2 == 0 ? "\"a\"\"\n" : "b,\"\"\"\n");
    n += (size_t)sprintf(text + n, "c,c@a.de\n");
    double begin = seconds();
    load_bytes(fixture, text, n);
    assert_true(seconds() - begin < 20);
    expect_told(fixture, "rows in all are not used");
    expect(fixture, "c", "c@a.de");
    free(text);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_found_before_the_first_load),
        TEST(keys_are_compared_without_case_and_keep_their_zeros),
        TEST(quotes_are_those_of_csv),
        TEST(the_first_row_that_has_one_decides_the_separator),
        TEST(what_programs_put_around_rows_is_tolerated),
        TEST(a_last_row_without_line_end_is_not_used),
        TEST(bad_rows_cost_themselves_only),
        TEST(a_wrong_quote_costs_its_row_only_where_there_is_no_older_version),
        TEST(a_version_of_mostly_bad_rows_leaves_the_old_one_in_force),
        TEST(a_new_set_inherits_what_is_in_force),
        TEST(a_quote_may_stay_open_for_some_lines_only),
        TEST(many_bad_rows_are_counted),
        TEST(rows_that_disagree_find_nothing),
        TEST(a_broken_version_leaves_the_old_one_in_force),
        TEST(the_digest_follows_the_content),
        TEST(two_hundred_thousand_rows),
        TEST(hostile_quotes_take_no_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
