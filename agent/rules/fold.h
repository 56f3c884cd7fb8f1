/* Upper and lower case of bytes that are mostly UTF-8: letters of every script one by one, all
 * other bytes as they are. Whatever the locale of the process is; where the C library brings no
 * C.UTF-8 (glibc before 2.35 unless the distribution added it), ASCII letters only. Any thread. */
#ifndef CHORUS_RULES_FOLD_H
#define CHORUS_RULES_FOLD_H

/* New strings. */
char *fold_lower(const char *bytes);
char *fold_upper(const char *bytes);

#endif
