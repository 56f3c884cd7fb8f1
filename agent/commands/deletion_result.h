/* What `delete --wait` does once its control file is written: waits, tells, prints the result. */
#ifndef CHORUS_COMMANDS_DELETION_RESULT_H
#define CHORUS_COMMANDS_DELETION_RESULT_H

#include <stdbool.h>

#include "agent/config/config.h"

/* Whether a service holds the lock, or state_dir is not ours to look at. */
bool deletion_service_is_there(const struct config *config);

/* Follows NAME.delete to its result, prints that to stdout and how it goes to stderr. The exit code
 * of interface.md. */
int deletion_follow(const struct config *config, const char *name);

#endif
