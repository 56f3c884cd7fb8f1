/* The steady clock of the watcher's own patience. Any thread. */
#ifndef CHORUS_WATCHER_STEADY_H
#define CHORUS_WATCHER_STEADY_H

#include <stdint.h>

/* Milliseconds since some moment; never set, never back. */
int64_t steady_ms(void);

#endif
