#include "agent/base/systemd.h"

#ifdef HAVE_LIBSYSTEMD

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>
#define SD_JOURNAL_SUPPRESS_LOCATION /* the same line for every event: no help to anybody */
#include <systemd/sd-journal.h>

void systemd_notify(const char *state)
{
    (void)sd_notify(0, state); /* whoever listens may have gone: that must not stop the service */
}

int64_t systemd_watchdog_ms(void)
{
    uint64_t us = 0;
    return sd_watchdog_enabled(0, &us) > 0 ? (int64_t)(us / 1000) : 0;
}

/* Somebody may have sent stderr elsewhere since: device and inode tell. */
bool systemd_takes_fields(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long dev, ino;
    struct stat st;
    return stream != NULL && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == (dev_t)dev && st.st_ino == (ino_t)ino;
}

bool systemd_send_fields(const struct iovec *fields, int count)
{
    return sd_journal_sendv(fields, count) == 0;
}

#else

void systemd_notify(const char *state)
{
    (void)state;
}

int64_t systemd_watchdog_ms(void)
{
    return 0;
}

bool systemd_takes_fields(void)
{
    return false;
}

bool systemd_send_fields(const struct iovec *fields, int count)
{
    (void)fields;
    (void)count;
    return false;
}

#endif
