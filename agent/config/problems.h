/* Collecting findings about one file. Any thread; each list by one at a time. */
#ifndef CHORUS_CONFIG_PROBLEMS_H
#define CHORUS_CONFIG_PROBLEMS_H

#include "agent/config/config.h"

/* One finding; `line` 0 is the file as a whole. Behind the first thousand, findings are only
 * counted: the last item says so. */
__attribute__((format(printf, 3, 4))) void problems_error(struct config_problems *problems,
                                                          int line, const char *format, ...);
__attribute__((format(printf, 3, 4))) void problems_warn(struct config_problems *problems, int line,
                                                         const char *format, ...);

/* About a file that the configuration names: an error, or where it is only looked at a warning. */
__attribute__((format(printf, 3, 4))) void problems_about_file(struct config_problems *problems,
                                                               int line, const char *format, ...);

/* In the order of the lines, and of finding within one line. */
void problems_sort(struct config_problems *problems);

#endif
