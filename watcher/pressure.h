/*
 * Whether the machine has other things to do: I/O pressure (PSI) and load, as the kernel tells
 * them, and what follows from them. Two figures and the verdict before decide; no clock.
 * Any thread.
 */
#ifndef CHORUS_WATCHER_PRESSURE_H
#define CHORUS_WATCHER_PRESSURE_H

#include <stdbool.h>

enum pressure_verdict {
    PRESSURE_NONE,
    PRESSURE_SLOW, /* others wait for the disk */
    PRESSURE_STOP, /* the load is above the limit */
};

/* In hundredths; negative: the kernel does not tell (no PSI, no /proc). */
struct pressure {
    int io;   /* percent of the last 10 s in which some task waited for I/O */
    int load; /* 1-minute load average of the machine, as uptime(1) shows it; not per core */
};

/* Reads PROC/pressure/io and PROC/loadavg; "/proc" but in tests. A few microseconds. */
void pressure_read(const char *proc, struct pressure *pressure);

/* What follows, after `before`. `max_load` in hundredths; 0: any load will do. */
enum pressure_verdict pressure_judge(const struct pressure *pressure, int max_load,
                                     enum pressure_verdict before);

#endif
