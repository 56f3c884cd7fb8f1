/* run: the service. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/commands/command.h"
#include "agent/commands/hold.h"
#include "agent/service/service.h"

int command_run(const struct invocation *invocation)
{
    struct config *config;
    int lock;
    if (invocation->argc > 1)
        return command_usage(invocation, "it takes no arguments");
    int code = command_load_config(invocation, CONFIG_TO_RUN, &config);
    if (code != 0)
        return code;
    log_configure(config->log_level, config->log_json);
    log_redact(config->log_redact);
    code = command_enter_state_dir(config, true);
    if (code == 0)
        code = hold_state_dir(config, &lock, NULL);
    if (code != 0) {
        config_free(config);
        return code;
    }
    struct service_options options = {.version = command_version};
    return service_run(config, lock, &options);
}
