/* How scans and checksums yield to the calls: the one turns of all watches, and what is said of it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/mem.h"
#include "agent/service/internal.h"
#include "watcher/turns.h"

static struct turns_options options_of(const struct service *service)
{
    struct turns_options options = {.max_load = service->config->max_load, .proc = "/proc"};
#ifdef CHORUS_MUTANTS
    const char *proc = getenv("CHORUS_PROC");
    if (proc != NULL)
        options.proc = proc;
#endif
    return options;
}

static void on_changed(void *ctx)
{
    struct service *service = ctx;
    enum pressure_verdict verdict = turns_verdict(service->turns);
    if (verdict == PRESSURE_NONE)
        log_event(LOG_INFO, "calm", "reason",
                  "the machine is calm again: scans and checksums go on as usual", NULL);
    else
        log_event(verdict == PRESSURE_STOP ? LOG_WARNING : LOG_INFO,
                  verdict == PRESSURE_STOP ? "stopped-by-load" : "slowed", "reason",
                  turns_words(service->turns), NULL);
    service_moved(service);
}

void yielding_begin(struct service *service)
{
    struct turns_options options = options_of(service);
    struct pressure pressure;
    if (turns_new(&service->loop, &options, on_changed, service, &service->turns) != 0)
        mem_exhausted();
    pressure_read(options.proc, &pressure);
    if (options.max_load > 0 && pressure.load < 0)
        log_event(LOG_WARNING, "load", "reason",
                  "max_load has no effect: the load of the machine cannot be read", NULL);
}

void yielding_configure(struct service *service)
{
    struct turns_options options = options_of(service);
    turns_configure(service->turns, &options);
}
