/* Opens one control file, judges whose it is, and reads it once through. Blocks; on the pool. */
#ifndef CHORUS_CONTROL_CONTROL_FILE_H
#define CHORUS_CONTROL_CONTROL_FILE_H

#include "agent/control/inbox.h"

enum control_file_result {
    CONTROL_FILE_READ,    /* *file is filled: it may be carried out, or refused */
    CONTROL_FILE_CHANGED, /* it is not, or no longer, what had settled */
    CONTROL_FILE_GONE,
};

/* `file` holds name and identity; the rest is filled. `group` as in the configuration. */
enum control_file_result control_file_read(const char *control_dir, const char *group,
                                           struct control_file *file);

/* For what is no regular file (`mode` of lstat): refused as what it is. */
void control_file_refuse_kind(struct control_file *file, unsigned mode);

#endif
