/*
 * The service: joins watcher, uploader, ledger and plan on one loop, and runs until it is told to
 * end (`run`) or until what it was asked to take is done (`once`).
 */
#ifndef CHORUS_SERVICE_H
#define CHORUS_SERVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/config/config.h"
#include "agent/ledger/ledger.h"

/* What a bulk run is to take: `watch` NULL: every watch (or, with paths, the watch that each is
 * below). */
struct bulk_request {
    const char *watch;
    const char *owner;  /* NULL: by the rules */
    char *const *paths; /* absolute */
    size_t path_count;
};

/* How a bulk run stands. */
struct bulk_progress {
    struct ledger_counts counts; /* of what it took */
    size_t settling, hashing;    /* on their way in */
    unsigned long long known;    /* met, and dealt with before */
    unsigned long long bytes_sent;
    bool looking;               /* folders are still being read */
    const char *paused_because; /* "" if nothing is */
    bool token_refused;
};

struct service_options {
    const char *version;
    const struct bulk_request *bulk; /* NULL: `run` */
    /* `once`: called about four times a second, and once more with `ended`. */
    void (*progress)(void *ctx, const struct bulk_progress *progress, bool ended);
    void *ctx;
};

/* Runs to the end on its own loop. Takes `config` over; holds the lock already (`lock_fd`, closed
 * at the end). Returns the exit code of interface.md. */
int service_run(struct config *config, int lock_fd, const struct service_options *options);

/* Where status.json is written: $RUNTIME_DIRECTORY, else state_dir. New string. */
char *service_status_path(const struct config *config);

#endif
