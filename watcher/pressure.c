#include "watcher/pressure.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    /* Percent, in hundredths. Lower, and our own slow reading (a tenth of the time) keeps us slow;
     * higher, and the dialer has waited for the disk for long before we yield. */
    IO_SLOW = 2000,
    /* Above what our own slow reading makes; nearer to IO_SLOW, and it swings to and fro. */
    IO_CALM = 1000,
    /* Of max_load: a load that hovers about the limit does not stop and start us each minute. */
    LOAD_CALM_PERCENT = 90,
};

/* The number at `text`, in hundredths; -1: there is none. */
static int hundredths(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || !(value >= 0) || value > INT_MAX / 200) {
        return -1;
    }
    return (int)(value * 100 + 0.5);
}

static bool read_text(const char *proc, const char *name, char *text, size_t room)
{
    char path[512];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", proc, name) >= sizeof path) {
        return false;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, room - 1); /* without PSI a read fails */
    if (fd >= 0) {
        close(fd);
    }
    if (got < 0) {
        return false;
    }
    text[got] = '\0';
    return true;
}

void pressure_read(const char *proc, struct pressure *pressure)
{
    static const char some[] = "some avg10=";
    char text[256];
    *pressure = (struct pressure){-1, -1};
    if (read_text(proc, "pressure/io", text, sizeof text) &&
        strncmp(text, some, sizeof some - 1) == 0) {
        pressure->io = hundredths(text + sizeof some - 1);
    }
    if (read_text(proc, "loadavg", text, sizeof text)) {
        pressure->load = hundredths(text);
    }
}

enum pressure_verdict pressure_judge(const struct pressure *pressure, int max_load,
                                     enum pressure_verdict before)
{
    bool stopped = before == PRESSURE_STOP, slow = before == PRESSURE_SLOW;
    int limit = stopped ? (int)((long long)max_load * LOAD_CALM_PERCENT / 100) : max_load;
    if (max_load > 0 && pressure->load > limit) {
        return PRESSURE_STOP;
    }
    return pressure->io >= (slow ? IO_CALM : IO_SLOW) ? PRESSURE_SLOW : PRESSURE_NONE;
}
