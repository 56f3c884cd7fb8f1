#include "agent/commands/hold.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "agent/commands/command.h"
#include "agent/service/lock.h"
#include "agent/service/service.h"

int hold_state_dir(const struct config *config, int *lock_fd, bool *held)
{
    struct lock_holder holder;
    int fd = lock_take(config->state_dir, &holder);
    if (held != NULL)
        *held = fd == -EWOULDBLOCK;
    if (fd == -EWOULDBLOCK) {
        if (held == NULL)
            command_say("another chorus-agent (process %ld) holds %s; there can be one only",
                        (long)holder.pid, config->state_dir);
        lock_holder_clear(&holder);
        return EX_TEMPFAIL;
    }
    if (fd < 0) {
        command_say("cannot lock %s: %s", config->state_dir, strerror(-fd));
        return EX_CANTCREAT;
    }
    char *status_path = service_status_path(config);
    lock_name(fd, status_path);
    free(status_path);
    *lock_fd = fd;
    return 0;
}
