/* What the running program says of itself (status.json), for status and list. */
#ifndef CHORUS_COMMANDS_RUNNING_H
#define CHORUS_COMMANDS_RUNNING_H

#include <cjson/cJSON.h>

/* The holder's status.json; NULL: nobody holds the lock, or it has not been written yet. New. */
cJSON *running_status(const char *state_dir);

#endif
