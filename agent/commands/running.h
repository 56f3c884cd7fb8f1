/* What the running program says of itself (status.json), for status and list. */
#ifndef CHORUS_COMMANDS_RUNNING_H
#define CHORUS_COMMANDS_RUNNING_H

#include <cjson/cJSON.h>

/* The holder's status.json; NULL: nobody holds the lock, or it has not been written yet. New. */
cJSON *running_status(const char *state_dir);

/* Never NULL; "" where it is missing. */
const char *running_text(const cJSON *object, const char *key);
double running_number(const cJSON *object, const char *key);

#endif
