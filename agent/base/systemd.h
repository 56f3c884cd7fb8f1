/*
 * What systemd gives a service, through its own library: the one place that names libsystemd. Built
 * without it, or started by anything else, each call does nothing and says so. Thread: one.
 */
#ifndef CHORUS_BASE_SYSTEMD_H
#define CHORUS_BASE_SYSTEMD_H

#include <stdbool.h>
#include <stdint.h>

struct iovec;

/* Lines of sd_notify(3), such as "READY=1\nSTATUS=..."; nothing happens without $NOTIFY_SOCKET. */
void systemd_notify(const char *state);

/* How often it has to be fed ("WATCHDOG=1"), 0: there is none. */
int64_t systemd_watchdog_ms(void);

/* Whether stderr is the journal (as $JOURNAL_STREAM says) and fields can be sent to it. */
bool systemd_takes_fields(void);

/* One entry of "KEY=value" fields. False: it was not taken. */
bool systemd_send_fields(const struct iovec *fields, int count);

#endif
