#include "watcher/settle.h"

#include <string.h>

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)

/* Pause between two looks at an open file. Too short: a busy dialer's files are opened all the
 * time; too long: where no event comes, a finished call waits that much longer. */
#define PAUSE_LEAST (100 * MS)
#define PAUSE_MOST (30 * SECOND)

/* A stamp that is older than the look before the change by more than this comes from a slow clock.
 */
#define SKEW (2 * SECOND)

#define FOREVER (INT64_MAX / 4)

static int64_t nanoseconds(int64_t ms)
{
    return ms > FOREVER / MS ? FOREVER : ms * MS;
}

/* Age of the last change by the wall clock; 0 when it lies in the future. */
static int64_t age_of(const struct file_identity *identity, int64_t wall_ns)
{
    int64_t newest =
        identity->mtime_ns > identity->ctime_ns ? identity->mtime_ns : identity->ctime_ns;
    int64_t age;
    if (newest >= wall_ns) {
        return 0;
    }
    if (__builtin_sub_overflow(wall_ns, newest, &age) || age > FOREVER) {
        return FOREVER;
    }
    return age;
}

void settle_init(struct settle *s)
{
    memset(s, 0, sizeof *s);
}

void settle_note(struct settle *s, enum settle_hint hint, struct settle_moment now)
{
    s->touched = true;
    s->pause_ns = 0;
    if (hint == SETTLE_HINT_CLOSED) {
        s->closed = true;
        s->hinted = true;
        s->seen_open = false;
        s->base_ns = now.steady_ns;
    }
}

/* A chmod, chown or rename moves ctime alone: nobody wrote, so a close that was seen still holds.
 */
static bool same_content(const struct file_identity *was, const struct file_identity *is)
{
    return was->dev == is->dev && was->ino == is->ino && was->size == is->size &&
           was->mtime_ns == is->mtime_ns;
}

static void note_identity(struct settle *s, const struct file_identity *identity,
                          struct settle_moment now)
{
    bool first = !s->sampled;
    if (first || !file_identity_equal(&s->identity, identity)) {
        int64_t age = age_of(identity, now.wall_ns);
        if (!first) {
            s->touched = true;
            s->closed = s->hinted || (s->closed && same_content(&s->identity, identity));
            s->skewed = s->skewed || age > now.steady_ns - s->looked_ns + SKEW;
            s->pause_ns = 0;
        }
        s->identity = *identity;
        s->sampled = true;
        s->age_ns = s->skewed ? 0 : age;
        s->since_ns = now.steady_ns;
        s->base_ns = now.steady_ns;
    }
    s->hinted = false;
    s->looked_ns = now.steady_ns;
}

static void note_lease(struct settle *s, enum settle_lease lease, struct settle_moment now)
{
    if (lease == SETTLE_LEASE_OPEN) {
        s->touched = true;
        s->seen_open = true;
        s->closed = false;
    } else if (s->seen_open) { /* closed at some time since the last look */
        s->seen_open = false;
        s->base_ns = now.steady_ns;
    }
}

static int64_t growing_pause(struct settle *s, const struct settle_limits *limits)
{
    if (s->pause_ns == 0) {
        s->pause_ns = nanoseconds(limits->settle_ms);
        if (s->pause_ns < PAUSE_LEAST) {
            s->pause_ns = PAUSE_LEAST;
        }
    } else {
        s->pause_ns *= 2;
    }
    if (s->pause_ns > PAUSE_MOST) {
        s->pause_ns = PAUSE_MOST;
    }
    return s->pause_ns;
}

static struct settle_answer wait_for(enum settle_wait wait, int64_t due_ns)
{
    return (struct settle_answer){.wait = wait, .due_ns = due_ns};
}

static struct settle_answer unless_reached(enum settle_wait wait, int64_t reached, int64_t needed,
                                           int64_t now_ns)
{
    if (reached >= needed) {
        return wait_for(SETTLE_FINISHED, now_ns);
    }
    return wait_for(wait, now_ns + (needed - reached));
}

static struct settle_answer believe_header(struct settle *s, int64_t unchanged,
                                           struct settle_moment now,
                                           const struct settle_limits *limits)
{
    int64_t needed = nanoseconds(limits->open_quiet_ms);
    struct settle_answer answer =
        unless_reached(SETTLE_WAITS_HEADER, unchanged, needed, now.steady_ns);
    if (answer.wait != SETTLE_FINISHED) {
        s->touched = true;
        int64_t sooner = now.steady_ns + growing_pause(s, limits); /* it may be completed unseen */
        answer.due_ns = sooner < answer.due_ns ? sooner : answer.due_ns;
    }
    return answer;
}

struct settle_answer settle_look(struct settle *s, const struct settle_sample *sample,
                                 struct settle_moment now, const struct settle_limits *limits)
{
    note_identity(s, &sample->identity, now);
    note_lease(s, sample->lease, now);
    if (sample->lease == SETTLE_LEASE_OPEN) {
        return wait_for(SETTLE_WAITS_WRITER, now.steady_ns + growing_pause(s, limits));
    }
    if (sample->folder_open) {
        s->touched = true;
        return wait_for(SETTLE_WAITS_FOLDER, now.steady_ns + growing_pause(s, limits));
    }
    int64_t unchanged = s->age_ns + (now.steady_ns - s->since_ns);
    if (sample->says_open) {
        return believe_header(s, unchanged, now, limits);
    }
    if (sample->lease == SETTLE_LEASE_GRANTED || s->closed) {
        int64_t quiet_for = s->touched ? now.steady_ns - s->base_ns : unchanged;
        return unless_reached(SETTLE_WAITS_SETTLE, quiet_for, nanoseconds(limits->settle_ms),
                              now.steady_ns);
    }
    return unless_reached(SETTLE_WAITS_QUIET, unchanged, nanoseconds(limits->quiet_ms),
                          now.steady_ns);
}

const char *settle_words(enum settle_wait wait)
{
    switch (wait) {
    case SETTLE_FINISHED:
        return "nothing: it is finished";
    case SETTLE_WAITS_LOOK:
        return "its first look";
    case SETTLE_WAITS_WRITER:
        return "its writer to close it";
    case SETTLE_WAITS_FOLDER:
        return "its folder: a *.zoom or *.tmp stands in it (believed for open_quiet)";
    case SETTLE_WAITS_HEADER:
        return "its header, which says that it is still being written (believed for open_quiet)";
    case SETTLE_WAITS_SETTLE:
        return "no change for settle after its writer closed it";
    case SETTLE_WAITS_QUIET:
        return "no change for quiet, as neither a close nor a lease can be seen";
    }
    return "";
}
