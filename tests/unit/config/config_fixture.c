#include "tests/unit/config/config_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/mem.h"
#include "agent/rules/file_bytes.h"

static const char *const files[] = {"agents.csv", "token", "config.yaml", "folder"};

void fixture_write(const struct fixture *fixture, const char *name, const char *text, unsigned mode)
{
    char *path = mem_printf("%s/%s", fixture->folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_not_equal(fputs(text, file), EOF);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
    free(path);
}

int fixture_setup(void **state)
{
    struct fixture *fixture = mem_zalloc(sizeof *fixture);
    snprintf(fixture->folder, sizeof fixture->folder, "/tmp/chorus-config-XXXXXX");
    if (mkdtemp(fixture->folder) == NULL)
        return -1;
    fixture_write(fixture, "agents.csv", "6666,ann@example.com\n", 0600);
    fixture_write(fixture, "token", "t\n", 0600);
    *state = fixture;
    return 0;
}

static void unload(struct fixture *fixture)
{
    config_free(fixture->config);
    config_problems_clear(&fixture->problems);
    fixture->config = NULL;
}

int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    unload(fixture);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char *path = mem_printf("%s/%s", fixture->folder, files[i]);
        remove(path);
        free(path);
    }
    rmdir(fixture->folder);
    free(fixture);
    return 0;
}

static char *in_folder(const struct fixture *fixture, const char *text)
{
    static const char placeholder[] = "/etc/chorus-agent";
    char *whole = mem_string("");
    for (const char *at; (at = strstr(text, placeholder)) != NULL;
         text = at + sizeof placeholder - 1)
        mem_replace(&whole, mem_printf("%s%.*s%s", whole, (int)(at - text), text, fixture->folder));
    mem_replace(&whole, mem_printf("%s%s", whole, text));
    return whole;
}

void fixture_load(struct fixture *fixture, const char *text)
{
    char *path = mem_printf("%s/config.yaml", fixture->folder);
    char *whole = in_folder(fixture, text);
    fixture_write(fixture, "config.yaml", whole, 0600);
    unload(fixture);
    fixture->status = config_load(path, &fixture->config, &fixture->problems);
    assert_true((fixture->status == 0) == (fixture->config != NULL));
    assert_true((fixture->status == 0) == (fixture->problems.errors == 0));
    for (size_t i = 1; i < fixture->problems.count; i++)
        assert_true(fixture->problems.items[i - 1].line <= fixture->problems.items[i].line);
    free(whole);
    free(path);
}

void fixture_load_watch(struct fixture *fixture, const char *body)
{
    char *text = mem_printf("watches:\n  calls:\n    path: /srv/recordings\n%s", body);
    fixture_load(fixture, text);
    free(text);
}

static const struct config_problem *find(const struct fixture *fixture, int line, const char *word)
{
    for (size_t i = 0; i < fixture->problems.count; i++) {
        const struct config_problem *problem = &fixture->problems.items[i];
        if (problem->line == line && strstr(problem->text, word) != NULL)
            return problem;
    }
    return NULL;
}

bool fixture_has(const struct fixture *fixture, int line, const char *word)
{
    return find(fixture, line, word) != NULL;
}

static void print_all(const struct fixture *fixture)
{
    for (size_t i = 0; i < fixture->problems.count; i++) {
        char *text = config_problem_line(&fixture->problems, &fixture->problems.items[i]);
        print_error("    %s\n", text);
        free(text);
    }
}

const struct config_problem *fixture_expect(const struct fixture *fixture, int line,
                                            const char *word)
{
    const struct config_problem *problem = find(fixture, line, word);
    if (problem == NULL) {
        print_error("line %d: no problem with \"%s\" among these:\n", line, word);
        print_all(fixture);
        fail();
    }
    return problem;
}

void fixture_expect_count(const struct fixture *fixture, size_t count)
{
    if (fixture->problems.count == count)
        return;
    print_error("%zu problems instead of %zu:\n", fixture->problems.count, count);
    print_all(fixture);
    fail();
}

char *fixture_read(const char *name)
{
    char *path = mem_printf("%s/%s", TEST_FIXTURES, name);
    char *bytes = NULL;
    size_t n = 0;
    assert_int_equal(file_bytes_read(path, 1 << 20, &bytes, &n), 0);
    char *text = mem_bytes_string(bytes, n);
    free(bytes);
    free(path);
    return text;
}
