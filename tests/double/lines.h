/* A file of JSON lines that is only ever appended to, and read back at the next start. */
#ifndef DOUBLE_LINES_H
#define DOUBLE_LINES_H

#include <stdbool.h>

struct cJSON;
struct lines;

/* One line of an earlier life; `line` belongs to the reader of the file. */
typedef void lines_reader(void *context, const struct cJSON *line);

/* Opens (or makes) the file, hands every line in it to `read`, and cuts off a last line that a
 * crash left unfinished. Without a path nothing is kept. Ends the program when it cannot. */
struct lines *lines_open(const char *path, lines_reader *read, void *context);
void lines_close(struct lines *lines);

enum lines_sync { LINES_UNSYNCED, LINES_SYNCED };

/* Appends one line with a single write(2), so that a kill leaves it whole or not at all.
 * LINES_SYNCED: it is on the disk when this returns. `line` is deleted. Any thread. */
void lines_append(struct lines *lines, struct cJSON *line, enum lines_sync sync);

#endif
