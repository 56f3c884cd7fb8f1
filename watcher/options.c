#include "watcher/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void free_list(const char *const *list, size_t count)
{
    if (!list) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)list[i]);
    }
    free((void *)(uintptr_t)list);
}

static int copy_list(const char *const *list, size_t count, const char *const **out)
{
    *out = NULL;
    if (!list) {
        return 0;
    }
    const char **copy = calloc(count + 1, sizeof *copy); /* an empty list is not NULL */
    if (!copy) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        copy[i] = strdup(list[i]);
        if (!copy[i]) {
            free_list(copy, i);
            return -ENOMEM;
        }
    }
    *out = copy;
    return 0;
}

static bool valid(const struct watch_options *o)
{
    return o->path && o->path[0] == '/' && o->settle_ms >= 0 && o->quiet_ms >= 0 &&
           o->open_quiet_ms >= 0 && o->rescan_ms >= 0;
}

/* A century is for ever, and far from overflowing when it is counted in nanoseconds. */
static int64_t at_most_a_century(int64_t ms)
{
    const int64_t century_ms = INT64_C(36525) * 86400000;
    return ms < century_ms ? ms : century_ms;
}

int shared_options_new(const struct watch_options *options, struct shared_options **out)
{
    if (!valid(options)) {
        return -EINVAL;
    }
    struct shared_options *shared = calloc(1, sizeof *shared);
    if (!shared) {
        return -ENOMEM;
    }
    struct watch_options *o = &shared->options;
    *o = *options;
    o->settle_ms = at_most_a_century(o->settle_ms);
    o->quiet_ms = at_most_a_century(o->quiet_ms);
    o->open_quiet_ms = at_most_a_century(o->open_quiet_ms);
    o->rescan_ms = at_most_a_century(o->rescan_ms);
    o->include = NULL;
    o->exclude = NULL;
    o->beside = NULL;
    o->path = strdup(options->path);
    shared->references = 1;
    if (!o->path || copy_list(options->include, options->include_count, &o->include) != 0 ||
        copy_list(options->exclude, options->exclude_count, &o->exclude) != 0 ||
        copy_list(options->beside, options->beside_count, &o->beside) != 0) {
        shared_options_drop(shared);
        return -ENOMEM;
    }
    shared->limits.settle_ms = o->settle_ms;
    shared->limits.quiet_ms = o->quiet_ms;
    shared->limits.open_quiet_ms = o->open_quiet_ms;
    *out = shared;
    return 0;
}

struct shared_options *shared_options_hold(struct shared_options *shared)
{
    shared->references++;
    return shared;
}

void shared_options_drop(struct shared_options *shared)
{
    if (!shared || --shared->references > 0) {
        return;
    }
    struct watch_options *o = &shared->options;
    free((void *)(uintptr_t)o->path);
    free_list(o->include, o->include_count);
    free_list(o->exclude, o->exclude_count);
    free_list(o->beside, o->beside_count);
    free(shared);
}
