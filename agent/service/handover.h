/*
 * How `once` and `retry` hand their work to the running service: a request file in
 * `state_dir`/requests, written whole (renamed into place), and beside it, while it runs, its
 * progress, and at its end its result. Blocks shortly.
 */
#ifndef CHORUS_SERVICE_HANDOVER_H
#define CHORUS_SERVICE_HANDOVER_H

#include <cjson/cJSON.h>

#include "agent/service/service.h"

/* Writes a request: its name, new string; NULL: it could not be written (errno says why). */
char *handover_send(const char *state_dir, const cJSON *request);

/* What the service says of it: 1 and *result (new): ended; 0 and *progress (new, or NULL if there
 * is no news). */
int handover_poll(const char *state_dir, const char *name, cJSON **progress, cJSON **result);

/* Removes what is left of it. */
void handover_forget(const char *state_dir, const char *name);

/* The folder of requests, made if it is missing; new string. */
char *handover_folder(const char *state_dir);

/* The service's side: reads and takes the request `folder`/`name`.json away; NULL: none, or no
 * request (it is then removed). */
cJSON *handover_take(const char *folder, const char *name);
void handover_tell(const char *folder, const char *name, const char *what, const cJSON *json);

/* Paths as an array of escaped strings, and back: new strings in a new array ended by NULL. */
cJSON *handover_paths(char *const *paths, size_t count);
char **handover_read_paths(const cJSON *array, size_t *count);
void handover_free_paths(char **paths, size_t count);

cJSON *handover_progress(const struct bulk_progress *progress);
/* `paused_because` points into `json`. */
void handover_read_progress(const cJSON *json, struct bulk_progress *progress);

#endif
