/*
 * One holder: whoever holds the lock on `state_dir` acts. The lock is the kernel's (flock), so a
 * kill leaves none behind; the file `lock` says who holds it and where its status.json is. Blocks
 * shortly; any thread.
 */
#ifndef CHORUS_SERVICE_LOCK_H
#define CHORUS_SERVICE_LOCK_H

#include <stdbool.h>
#include <sys/types.h>

struct lock_holder {
    pid_t pid;         /* 0: unknown */
    char *status_path; /* NULL: unknown; new string */
};

/* Takes it: a descriptor >= 0 that holds it until closed (O_CLOEXEC); -EWOULDBLOCK: held by
 * `holder`; else negative errno. */
int lock_take(const char *state_dir, struct lock_holder *holder);

/* Writes our pid and the place of our status.json into it. 0 or negative errno. */
int lock_name(int fd, const char *status_path);

/* Whether anybody holds it, and who. */
bool lock_is_held(const char *state_dir, struct lock_holder *holder);

void lock_holder_clear(struct lock_holder *holder);

#endif
