/* Times and durations in words. Wall-clock times are milliseconds since the epoch unless named _ns.
 */
#ifndef CHORUS_BASE_WHEN_H
#define CHORUS_BASE_WHEN_H

#include <stdbool.h>
#include <stdint.h>

enum { WHEN_TEXT = 32 }; /* bytes that hold any text made here */

int64_t when_now_ms(void);    /* wall clock: only to show, and to compare with file times */
int64_t when_steady_ms(void); /* CLOCK_BOOTTIME: never jumps */

/* RFC 3339 UTC, "2026-11-23T14:05:01Z". */
void when_rfc3339(int64_t ms, char text[WHEN_TEXT]);
/* "2026-11-23 14:05", local time, for people. */
void when_local(int64_t ms, char text[WHEN_TEXT]);
/* "20261123T140501Z", the template field {mtime}. */
void when_compact(int64_t ms, char text[WHEN_TEXT]);
/* "1h", "90s", "250ms": the largest unit that divides it. */
void when_duration(int64_t ms, char text[WHEN_TEXT]);
/* "3s", "12min", "2h 5min", "4d": rounded, for people. */
void when_about(int64_t ms, char text[WHEN_TEXT]);
/* Reads "2s", "250ms", "5min", "1h", "7d" and, where `bare_zero`, "0". */
bool when_parse_duration(const char *text, bool bare_zero, int64_t *ms);
/* Local midnight of "2026-11-23". */
bool when_parse_date(const char *text, int64_t *ms);

#endif
