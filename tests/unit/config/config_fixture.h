/* A folder of our own for each test, with what the full example names in it, and shorthands for
 * loading. */
#ifndef CHORUS_TESTS_CONFIG_FIXTURE_H
#define CHORUS_TESTS_CONFIG_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/config/config.h"

struct fixture {
    char folder[64];
    struct config *config;
    struct config_problems problems;
    int status;
};

int fixture_setup(void **state);
int fixture_teardown(void **state);

/* A file in the folder. */
void fixture_write(const struct fixture *fixture, const char *name, const char *text,
                   unsigned mode);

/* Loads this text, in which every /etc/chorus-agent stands for the folder. What was loaded before
 * is freed. */
void fixture_load(struct fixture *fixture, const char *text);

/* `body` below a watch `calls` that has a path; its first line is line 4. */
void fixture_load_watch(struct fixture *fixture, const char *body);

/* The problem in this line whose text holds `word`, else the test fails and prints all. */
const struct config_problem *fixture_expect(const struct fixture *fixture, int line,
                                            const char *word);
bool fixture_has(const struct fixture *fixture, int line, const char *word);
/* No problem but these many. */
void fixture_expect_count(const struct fixture *fixture, size_t count);

/* A file beside the tests as a string; free it. */
char *fixture_read(const char *name);

#endif
