/* Taking the lock on state_dir, for the commands that act. */
#ifndef CHORUS_COMMANDS_HOLD_H
#define CHORUS_COMMANDS_HOLD_H

#include <stdbool.h>

#include "agent/config/config.h"

/* 0 and *lock_fd; EX_TEMPFAIL: another process holds it: `held` set, or, where that is NULL, told
 * who it is; EX_CANTCREAT: it cannot be made, told. */
int hold_state_dir(const struct config *config, int *lock_fd, bool *held);

#endif
