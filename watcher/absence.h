/* Whether files have left their paths. Blocks; for a pool thread. */
#ifndef CHORUS_WATCHER_ABSENCE_H
#define CHORUS_WATCHER_ABSENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "watcher/identity.h"

/* Looks for `count` paths below `root`; absent[i]: nothing stands there. *found gets the folder
 * that was looked in: only in the right one does absence mean anything. 0 or negative errno, where
 * the folder cannot be opened; then nothing else is written. */
int absence_look(const char *root, const char *const *paths, size_t count,
                 struct root_identity *found, bool *absent);

#endif
