/* control_dir and its `done` and `rejected`: made where missing, and judged. Blocks shortly; any
 * thread. */
#ifndef CHORUS_CONTROL_CONTROL_DIR_H
#define CHORUS_CONTROL_CONTROL_DIR_H

#include <stdbool.h>
#include <sys/types.h>

/* Whether the group has this name; its id. */
bool control_group_find(const char *name, gid_t *gid);

/* Makes what is missing, 2770 for `uid` (as root; else it stays ours) and the group (`gid` where
 * `group` is "" or no group). What is there is left as it is. New string: why it cannot be made or
 * used, and what to do; NULL: all is well. */
char *control_dir_make(const char *path, const char *group, uid_t uid, gid_t gid);

/* The same judgement without making anything. *missing: it is not there. */
char *control_dir_judge(const char *path, const char *group, bool *missing);

#endif
