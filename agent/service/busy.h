/*
 * bandwidth.busy_command: a program of the administrator's says whether calls are many now. It is
 * run without a shell every so often, with nothing of ours but its arguments: no token, no
 * descriptor, an environment of PATH and LC_ALL.
 *
 *     exit status 0   calls are many: only bandwidth.busy_rate may be used
 *     exit status 1   they are not
 *     anything else   (another status, a signal, no end within BUSY_LIMIT_MS, it cannot be
 *                     started) is told, and counts as busy: that does no harm to a call
 *
 * Thread: the loop's.
 */
#ifndef CHORUS_SERVICE_BUSY_H
#define CHORUS_SERVICE_BUSY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uv_loop_s;
struct busy;

enum {
    /* Longer, and an answer speaks of calls that are over; shorter, and a machine at its limit, to
     * which this matters most, cannot answer in time. It is then killed, with all that it started.
     */
    BUSY_LIMIT_MS = 5000,
};

/* `changed` when busy_is_so or busy_words are others; not within a call. Runs nothing yet. */
struct busy *busy_new(struct uv_loop_s *loop, void (*changed)(void *ctx), void *ctx);
/* From now on this program (its path is absolute) every so often, at once for the first time;
 * `count` 0: none. Copied. The same as before: nothing changes. */
void busy_configure(struct busy *busy, char *const *command, size_t count, int64_t every_ms);

/* Whether only busy_rate may be used. Without a command it is not so; with one that has not
 * answered yet it is. */
bool busy_is_so(const struct busy *busy);
/* Why, for people; "" if it is not. Valid until they change. */
const char *busy_words(const struct busy *busy);

/* Nothing is run any more; what runs is killed. */
void busy_stop(struct busy *busy);
/* Nothing runs. */
bool busy_is_idle(const struct busy *busy);
/* Stopped and idle. */
void busy_close(struct busy *busy);

#endif
