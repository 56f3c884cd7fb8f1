#include "agent/config/problems.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/mem.h"

/* A file of nothing but errors must not fill the memory with their texts. */
enum { KEPT_MAX = 1000 };

static void append(struct config_problems *problems, struct config_problem problem)
{
    problems->items = mem_resize(problems->items, problems->count + 1, sizeof problems->items[0]);
    problems->items[problems->count++] = problem;
}

static void add(struct config_problems *problems, struct config_problem problem, va_list args,
                const char *format)
{
    problems->errors += !problem.warning;
    if (problems->count > KEPT_MAX)
        return;
    if (problems->count == KEPT_MAX) {
        problem.line = INT_MAX; /* the last, whatever comes */
        problem.text = mem_string("there is more; not shown");
        append(problems, problem);
        return;
    }
    if (vasprintf(&problem.text, format, args) < 0)
        problem.text = mem_string(format);
    append(problems, problem);
}

void problems_error(struct config_problems *problems, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(problems, (struct config_problem){.line = line}, args, format);
    va_end(args);
}

void problems_warn(struct config_problems *problems, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(problems, (struct config_problem){.line = line, .warning = true}, args, format);
    va_end(args);
}

void problems_about_file(struct config_problems *problems, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(problems, (struct config_problem){.line = line, .warning = problems->to_look}, args,
        format);
    va_end(args);
}

/* A stable merge: what is found first in a line stays first. */
static void merge(struct config_problem *items, struct config_problem *scratch, size_t count)
{
    if (count < 2)
        return;
    size_t half = count / 2;
    merge(items, scratch, half);
    merge(items + half, scratch, count - half);
    size_t left = 0, right = half;
    for (size_t i = 0; i < count; i++) {
        bool take_left = right == count || (left < half && items[left].line <= items[right].line);
        scratch[i] = items[take_left ? left++ : right++];
    }
    for (size_t i = 0; i < count; i++)
        items[i] = scratch[i];
}

void problems_sort(struct config_problems *problems)
{
    struct config_problem *scratch = mem_array(problems->count, sizeof scratch[0]);
    merge(problems->items, scratch, problems->count);
    free(scratch);
    if (problems->count > KEPT_MAX)
        problems->items[KEPT_MAX].line = problems->items[KEPT_MAX - 1].line;
}

char *config_problem_line(const struct config_problems *problems,
                          const struct config_problem *problem)
{
    const char *word = problem->warning ? "warning: " : "";
    if (problem->line == 0)
        return mem_printf("%s: %s%s", problems->file, word, problem->text);
    return mem_printf("%s:%d: %s%s", problems->file, problem->line, word, problem->text);
}

void config_problems_clear(struct config_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++)
        free(problems->items[i].text);
    free(problems->items);
    free(problems->file);
    *problems = (struct config_problems){0};
}
