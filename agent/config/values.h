/*
 * Texts of the file into values. Each function returns NULL and fills its results, or says in words
 * what is wrong and what is allowed (new string) and leaves them. Any thread.
 */
#ifndef CHORUS_CONFIG_VALUES_H
#define CHORUS_CONFIG_VALUES_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/config/config.h"

/* "2s"; at least 1ms, or also 0 where `zero_allowed`. */
char *value_duration(const char *text, bool zero_allowed, int64_t *ms);
/* "4096", "10k", "1M", "2G". */
char *value_size(const char *text, uint64_t *bytes);
char *value_number(const char *text, int64_t min, int64_t max, int64_t *number);
/* "4", "0.9", "12.75": in hundredths. */
char *value_load(const char *text, int *hundredths);
char *value_bool(const char *text, bool *truth);
/* `choices` is "error, warning, info"; *index is the place among them. */
char *value_choice(const char *text, const char *choices, int *index);
char *value_since(const char *text, enum since_kind *kind, int64_t *ms);
/* Absolute; *path is a new string without // and without a slash at its end. */
char *value_path(const char *text, char **path);
/* scheme://host[:port], https unless the host is loopback; *url is a new string without a slash at
 * its end. */
char *value_url(const char *text, char **url);
/* "8 Mbit/s", "0", "unlimited". */
char *value_rate(const char *text, struct rate *rate);
/* Likewise, but never auto or 0. */
char *value_ceiling(const char *text, struct rate *rate);
/* "mon-fri"; "sat,sun". */
char *value_days(const char *text, unsigned *days);
/* "18:30", at most so many minutes. */
char *value_clock(const char *text, int most, int *minutes);
/* A class of service by its name, none that calls have. */
char *value_dscp(const char *text, int *dscp);
/* Of a watch or a table. */
char *value_name(const char *text);

#endif
