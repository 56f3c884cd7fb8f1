/*
 * Nothing goes quiet without saying so: the log warns by itself when recordings are held longer
 * than a day, when the oldest waits longer than an hour, and when files appear in a watch but none
 * is accepted. Once, then once a day with the count, and once more when it is over. Thread: the
 * loop's.
 */
#ifndef CHORUS_SERVICE_QUIET_H
#define CHORUS_SERVICE_QUIET_H

#include <stdbool.h>
#include <stdint.h>

struct quiet;
struct service;

/* One kind of trouble: whether it is there, and when it was last told. */
struct quiet_alarm {
    bool on;
    int64_t told_ms; /* steady */
};

struct quiet *quiet_new(struct service *service);
void quiet_close(struct quiet *quiet); /* may be NULL */

#endif
