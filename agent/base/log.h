/*
 * The log: one line an event on stderr, logfmt or JSON, with stable keys. Where stderr is the
 * journal, entries with a priority and a field for each key instead (CHORUS_EVENT, CHORUS_PATH,
 * ...), and the same line as MESSAGE. Values that are names are escaped (bytes_escape); nothing
 * secret is ever passed in. The same trouble again and again is one line, then one a minute with a
 * count and the time it began. Thread: one.
 */
#ifndef CHORUS_BASE_LOG_H
#define CHORUS_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

void log_configure(enum log_level level, bool json);

/* Masks runs of 7 and more digits in values from now on: a phone number is one. */
void log_redact(bool redact);

/* `event` is a short stable word ("uploaded"); then pairs of key and value, ended by NULL; a NULL
 * value leaves its pair out. */
void log_event(enum log_level level, const char *event, ...) __attribute__((sentinel));

/* The same, at most once a minute for each event and first value; the next line bears
 * repeated=COUNT and began=TIME. */
void log_trouble(enum log_level level, const char *event, ...) __attribute__((sentinel));

#endif
