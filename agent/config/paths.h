/* Which folder a path is below, by its text alone. Paths are absolute and normal (values.h). Any
 * thread. */
#ifndef CHORUS_CONFIG_PATHS_H
#define CHORUS_CONFIG_PATHS_H

#include <stdbool.h>
#include <stddef.h>

/* Whether `path` is `folder` itself or below it. */
bool path_is_within(const char *path, const char *folder);

/* Length of the folder in a path that is below it, without the slash after: 0 for "/". */
size_t path_root_length(const char *folder);

#endif
