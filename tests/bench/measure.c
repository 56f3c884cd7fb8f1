/*
 * bench-measure: runs a command, and says on descriptor 3 what it took, all its children included:
 *
 *     bench-measure COMMAND [ARGUMENT]... 3>FILE
 *
 *     {"code": 0, "wall": s, "cpu": s, "peak": KiB of its largest process}
 *
 * A small program, since a process begins with the peak of the one that started it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    struct timespec from, to;
    struct rusage used;
    int status;
    if (argc < 2)
        return 64;
    clock_gettime(CLOCK_MONOTONIC, &from);
    pid_t child = fork();
    if (child == 0) {
        close(3);
        execvp(argv[1], argv + 1);
        fprintf(stderr, "bench-measure: %s: %s\n", argv[1], strerror(errno));
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &used) != child)
        return 71;
    clock_gettime(CLOCK_MONOTONIC, &to);
    double wall = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    dprintf(3, "{\"code\": %d, \"wall\": %.6f, \"cpu\": %.6f, \"peak\": %ld}\n", code, wall,
            seconds(used.ru_utime) + seconds(used.ru_stime), used.ru_maxrss);
    return code;
}
