/* The filters that are no tables: lower upper digits last4 sha8. Any thread. */
#ifndef CHORUS_RULES_FILTERS_H
#define CHORUS_RULES_FILTERS_H

#include <stdbool.h>

bool filter_exists(const char *name);

/* What the filter of that name, which exists, makes of `value` (bytes); new string. */
char *filter_apply(const char *name, const char *value);

/* "lower upper ...", for messages; static. */
const char *filter_names(void);

#endif
