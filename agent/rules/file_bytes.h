/* A regular file's bytes as a whole, with a bound. Blocks; any thread. */
#ifndef CHORUS_RULES_FILE_BYTES_H
#define CHORUS_RULES_FILE_BYTES_H

#include <stddef.h>

/* 0: *bytes (new memory, not ended by NUL) holds *n bytes. Else negative errno (-EINVAL: no regular
 * file, -EISDIR, -EFBIG: more than `max_bytes`) and *bytes is NULL. Never hangs on a FIFO. */
int file_bytes_read(const char *path, size_t max_bytes, char **bytes, size_t *n);

#endif
