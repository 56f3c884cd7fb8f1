/* The watcher, made up: it finds files by scans and by events that may be lost, waits until their
 * writers are done with them, and takes fingerprints. */
#ifndef CHORUS_SIM_WATCH_H
#define CHORUS_SIM_WATCH_H

/* A program starts: there is no watch yet. */
void watch_begin_life(void);
/* Something happened to the file at this path; the watch of its root hears of it, or not. */
void watch_hears(int path);
/* The root went away, or another one stands there: noticed within ten seconds. */
void watch_hears_of_root(int root);
/* How many files the last scans of all watches met that nobody knew. */
int watch_unknown_at_last_scan(void);
/* Every watch looks at everything once more. */
void watch_rescan_all(void);

#endif
