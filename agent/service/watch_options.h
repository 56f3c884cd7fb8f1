/* The settings of a watch as the watcher takes them. */
#ifndef CHORUS_SERVICE_WATCH_OPTIONS_H
#define CHORUS_SERVICE_WATCH_OPTIONS_H

#include <stdbool.h>

#include "agent/config/config.h"
#include "watcher/watcher.h"

/* `options` points into `watch` and `root`. */
void watch_options_of(const struct watch_config *watch, const char *root, bool events,
                      struct watch_options *options);

/* Whether the file at this path, below the watch's, is the preferred copy of its call. */
bool watch_prefers(const struct watch_config *watch, const char *below);

#endif
