#include "agent/service/watch_options.h"

#include <string.h>

#include "watcher/names.h"

void watch_options_of(const struct watch_config *watch, const char *root, bool events,
                      struct watch_options *options)
{
    const char *const *beside = rules_sidecar_globs(watch->rules);
    *options = (struct watch_options){
        .path = root,
        .recursive = watch->recursive,
        .include = watch->include_is_default ? NULL : (const char *const *)watch->include.items,
        .include_count = watch->include_is_default ? 0 : watch->include.count,
        .exclude = (const char *const *)watch->exclude.items,
        .exclude_count = watch->exclude.count,
        .beside = beside,
        .beside_count = beside != NULL,
        .settle_ms = watch->settle_ms,
        .quiet_ms = watch->quiet_ms,
        .open_quiet_ms = watch->open_quiet_ms,
        .rescan_ms = watch->rescan_ms,
        .events = events,
    };
}

bool watch_prefers(const struct watch_config *watch, const char *below)
{
    bool whole = strchr(watch->prefer, '/') != NULL;
    return names_match(watch->prefer, whole ? below : names_base(below));
}
