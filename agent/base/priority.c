#include "agent/base/priority.h"

#include <errno.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/ioprio.h, which glibc has no call for. */
enum {
    IO_WHO_PROCESS = 1,
    IO_CLASS_SHIFT = 13,
    IO_CLASS_NONE = 0, /* goes by the nice value: a fifth of it */
    IO_CLASS_REALTIME = 1,
    IO_CLASS_BEST_EFFORT = 2,
    IO_LOWEST = 7,
};

enum { NICE_LOWEST = 19 };

static void lower_cpu(void)
{
    struct sched_param none = {0};
    int policy = sched_getscheduler(0);
    if (policy == SCHED_OTHER) /* batch: it never takes a core from one that has just woken up */
        sched_setscheduler(0, SCHED_BATCH, &none);
    errno = 0;
    int nice_now = getpriority(PRIO_PROCESS, 0);
    if (errno == 0 && nice_now < NICE_LOWEST)
        setpriority(PRIO_PROCESS, 0, NICE_LOWEST);
}

static void lower_io(void)
{
    const int lowest = IO_CLASS_BEST_EFFORT << IO_CLASS_SHIFT | IO_LOWEST;
    long now = syscall(SYS_ioprio_get, IO_WHO_PROCESS, 0);
    long class = now >> IO_CLASS_SHIFT;
    if (now >= 0 && class <= IO_CLASS_BEST_EFFORT && now != lowest)
        syscall(SYS_ioprio_set, IO_WHO_PROCESS, 0, lowest);
}

void priority_lower(void)
{
    lower_cpu();
    lower_io();
}
