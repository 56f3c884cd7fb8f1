/* Control files: from the inbox to what carries them out. Trouble with control_dir is told, and
 * stops nothing else. */
#include <stdlib.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/control/control_dir.h"
#include "agent/control/inbox.h"
#include "agent/service/internal.h"

struct control {
    struct service *service;
    struct inbox *inbox;
};

static void on_take(void *ctx, struct control_file *file)
{
    const struct control *control = ctx;
    log_event(LOG_INFO, "control-file", "file", file->name, "reason",
              file->refusal != NULL ? file->refusal : "taken", NULL);
    deletions_take(control->service, file);
}

static void on_state(void *ctx, bool usable, const char *reason)
{
    const struct control *control = ctx;
    struct service *service = control->service;
    log_event(usable ? LOG_INFO : LOG_ERROR, "control-dir", "path", service->config->control_dir,
              "reason", usable ? "control files are taken" : reason, NULL);
    if (!usable)
        service_note_error(service, service->config->control_dir, reason);
}

struct control *control_new(struct service *service)
{
    const struct config *config = service->config;
    struct control *control = mem_zalloc(sizeof *control);
    const struct inbox_hooks hooks = {on_take, on_state, control};
    control->service = service;
    free(control_dir_make(config->control_dir, config->control_group, geteuid(), getegid()));
    control->inbox = inbox_new(&service->loop, config->control_dir, config->control_group, &hooks);
    service->open_parts++;
    return control;
}

void control_configure(struct control *control)
{
    if (control != NULL)
        inbox_configure(control->inbox, control->service->config->control_group);
}

static void on_closed(void *ctx)
{
    struct control *control = ctx;
    service_part_closed(control->service);
    free(control);
}

void control_close(struct control *control)
{
    if (control != NULL)
        inbox_close(control->inbox, on_closed, control);
}
