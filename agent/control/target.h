/* One line of a control file that is no directive: what it names. Pure; any thread. */
#ifndef CHORUS_CONTROL_TARGET_H
#define CHORUS_CONTROL_TARGET_H

#include "agent/control/request.h"

/* The kind of the line and *value (new string); or TARGET_BAD and *problem (static). */
enum target_kind target_read(const char *text, char **value, const char **problem);

/* Whether a bad line was rather meant to be a directive: one of their names stands first in it, or
 * an `@` behind blanks. */
bool target_is_like_directive(const char *text);

#endif
