/* A real folder under a real loop, and a caller that remembers what the watch told it. */
#ifndef CHORUS_TESTS_WATCHER_FOLDER_H
#define CHORUS_TESTS_WATCHER_FOLDER_H

#include <stdbool.h>
#include <uv.h>

#include "watcher/watcher.h"

enum { TOLD_MOST = 10000, GUARD_MS = 30000 };

struct told {
    char path[300];
    struct watch_finding finding; /* its path is NULL */
    int64_t at_ms;
};

struct folder {
    char root[128];
    uv_loop_t loop;
    uv_timer_t guard;
    struct watch *watch;
    struct watch_options options;
    /* what the caller does */
    bool release;     /* at once, and known from then on */
    bool fingerprint; /* asks for it, then releases */
    /* what it was told */
    struct told *told;
    size_t told_count, judged, known;
    struct watch_fingerprint printed;
    size_t printed_count;
    size_t gone_count;
    char gone[300];
    size_t scans;
    struct watch_scan scan;
    size_t first_judged;
    size_t findings_at_first_judged;
    bool online, events;
    size_t states;
    size_t shown; /* in work, when it was last told that this had changed */
    char reason[1024];
    bool closed, overtime;
};

/* A new folder, with a settle of 100 ms, events, everything scanned at the start only. Not started.
 */
int folder_set_up(void **state);
int folder_tear_down(void **state);
void folder_start(struct folder *f);
void folder_close(struct folder *f);
/* Runs the loop until `reached`, or fails after GUARD_MS. */
void folder_until(struct folder *f, bool (*reached)(const struct folder *f));
/* Runs the loop for so long. */
void folder_for(struct folder *f, int ms);
/* How often this path was reported finished; the last of it. */
size_t folder_told(const struct folder *f, const char *path);
const struct told *folder_last(const struct folder *f, const char *path);

/* In the folder. */
const char *at(struct folder *f, const char *path); /* absolute; one of four static buffers */
void put(struct folder *f, const char *path, const char *text);
int64_t now_ms(void);

#endif
