/* The trace: a hash of everything that happened, and the same in words with --trace. The log of the
 * program under test goes there, too. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/log.h"
#include "tests/sim/sim.h"

static void mix(const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < n; i++)
        sim.hash = (sim.hash ^ at[i]) * UINT64_C(0x100000001b3);
}

static void begin_line(void)
{
    int64_t ms = sim.steady_ms;
    printf("%3" PRId64 "d %02d:%02d:%02d.%03d ", ms / DAY, (int)(ms / HOUR % 24),
           (int)(ms / MINUTE % 60), (int)(ms / S % 60), (int)(ms % S));
}

void trace(const char *what, int64_t a, int64_t b, int64_t c)
{
    int64_t all[4] = {sim.steady_ms, a, b, c};
    mix(what, strlen(what));
    mix(all, sizeof all);
    if (!sim.trace)
        return;
    begin_line();
    printf("%s %" PRId64 " %" PRId64 " %" PRId64 "\n", what, a, b, c);
}

void trace_text(const char *what, const char *text)
{
    mix(what, strlen(what));
    mix(text, strlen(text));
    if (!sim.trace)
        return;
    begin_line();
    printf("%s %s\n", what, text);
}

void violated(const char *format, ...)
{
    if (sim.failed)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(sim.violation, sizeof sim.violation, format, args);
    va_end(args);
    sim.failed = true;
    if (sim.trace) {
        begin_line();
        printf("VIOLATED: %s\n", sim.violation);
    }
}

/* --- the program's log --- */

static void say(const char *event, va_list args)
{
    mix(event, strlen(event));
    if (!sim.trace)
        return;
    begin_line();
    printf("  log: %s", event);
    for (const char *key = va_arg(args, const char *); key != NULL;
         key = va_arg(args, const char *)) {
        const char *value = va_arg(args, const char *);
        if (value != NULL)
            printf(" %s=\"%s\"", key, value);
    }
    printf("\n");
}

void log_configure(enum log_level level, bool json)
{
    (void)level, (void)json;
}

void log_event(enum log_level level, const char *event, ...)
{
    (void)level;
    va_list args;
    va_start(args, event);
    say(event, args);
    va_end(args);
}

void log_trouble(enum log_level level, const char *event, ...)
{
    (void)level;
    va_list args;
    va_start(args, event);
    say(event, args);
    va_end(args);
}
