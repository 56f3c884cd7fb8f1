/* The progress of a bulk run for people: one line that is renewed on a terminal, plain lines
 * otherwise. */
#ifndef CHORUS_COMMANDS_PROGRESS_H
#define CHORUS_COMMANDS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/service/service.h"

struct progress_line {
    bool on_terminal;
    bool shown; /* a line stands on the terminal that has to be ended */
    int64_t started_ms, last_ms;
    unsigned long long first_bytes; /* sent when it began */
    bool begun;
    char last_pause[200];
};

void progress_begin(struct progress_line *line);
void progress_show(struct progress_line *line, const struct bulk_progress *progress);
/* The closing summary. */
void progress_end(struct progress_line *line, const struct bulk_progress *progress);

#endif
