/* The fields that every file has, whatever the rules say: {path}, {stem}, {mtime}, ... Any thread.
 */
#ifndef CHORUS_RULES_FIELDS_H
#define CHORUS_RULES_FIELDS_H

#include <stdbool.h>

struct recording_facts;

bool field_exists(const char *name);

/* The value (bytes, new string), or NULL if there is no such field. */
char *field_value(const char *name, const struct recording_facts *facts);

/* "path file stem ...", for messages; static. */
const char *field_names(void);

/* Where the path below the watch's folder begins, without leading slash. */
const char *field_path_below(const struct recording_facts *facts);

#endif
