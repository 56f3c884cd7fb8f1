/*
 * Times as HTTP headers write them. Pure.
 */
#ifndef CHORUS_UPLOADER_RETRY_AFTER_H
#define CHORUS_UPLOADER_RETRY_AFTER_H

#include <stdbool.h>
#include <stdint.h>

/* The three forms of RFC 9110, 5.6.7; Unix seconds. False: unreadable, *out untouched. */
bool http_date_read(const char *text, int64_t *out_s);

/* Value of a Retry-After header, seconds or a date; `now_s` is Unix time, best the server's own
 * Date. Milliseconds from now, 0 for a date gone by, INT64_MAX if they do not fit; -1: none or
 * unreadable. */
int64_t retry_after_ms(const char *value, int64_t now_s);

#endif
