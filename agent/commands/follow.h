/* Following a request that was handed to the running service. */
#ifndef CHORUS_COMMANDS_FOLLOW_H
#define CHORUS_COMMANDS_FOLLOW_H

#include <cjson/cJSON.h>

/* Hands `request` over and waits for its result; `news` (may be NULL) gets each progress. 0 and
 * *result (new); else *result NULL and an exit code, told: EX_CANTCREAT it cannot be written,
 * EX_UNAVAILABLE the service ended, EX_TEMPFAIL interrupted, EX_USAGE refused by the service, or
 * the code of follow_stop. */
int follow(const char *state_dir, const cJSON *request, void (*news)(void *ctx, const cJSON *json),
           void *ctx, cJSON **result);

/* From `news`: stop following, with this exit code. */
void follow_stop(int exit_code);

#endif
