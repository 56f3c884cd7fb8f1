/*
 * When is a file finished? A pure answer from what was seen of it, and when: no clock, no I/O.
 *
 * A lease refused with EAGAIN outweighs all else: somebody has the file open for writing. A header
 * that says "still being written" is believed for `open_quiet`. Else a close, a move into place or
 * a granted lease, and then `settle` without a change; where none of these can be seen, `quiet`
 * since the last change.
 *
 * The wall clock is asked once for each version of a file, for its age when it was first seen; from
 * then on the steady clock counts, so that a clock that jumps finishes nothing. Any thread.
 */
#ifndef CHORUS_WATCHER_SETTLE_H
#define CHORUS_WATCHER_SETTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "watcher/identity.h"

struct settle_limits {
    int64_t settle_ms, quiet_ms, open_quiet_ms;
};

struct settle_moment {
    int64_t steady_ns; /* never jumps; counts a suspended machine's sleep too */
    int64_t wall_ns;   /* since the epoch; may be wrong */
};

enum settle_lease {
    SETTLE_LEASE_UNKNOWN, /* not for us to ask (another owner, a network folder) */
    SETTLE_LEASE_GRANTED, /* nobody has it open for writing */
    SETTLE_LEASE_OPEN,    /* somebody has */
};

/* One look. */
struct settle_sample {
    struct file_identity identity;
    enum settle_lease lease;
    bool says_open;   /* its header says that it is still being written */
    bool folder_open; /* a sign in its folder says so for the whole folder */
};

enum settle_hint {
    SETTLE_HINT_SEEN = 1, /* created, or somebody asks to look again */
    SETTLE_HINT_CLOSED,   /* closed after writing, or moved into place */
};

enum settle_wait {
    SETTLE_FINISHED,
    SETTLE_WAITS_LOOK,   /* not looked at yet */
    SETTLE_WAITS_WRITER, /* open for writing */
    SETTLE_WAITS_FOLDER,
    SETTLE_WAITS_HEADER, /* open_quiet */
    SETTLE_WAITS_SETTLE,
    SETTLE_WAITS_QUIET,
};

/* Fields are settle.c's own, but `touched`. */
struct settle {
    struct file_identity identity;
    bool sampled;
    bool closed;       /* a close was seen, and no change that it does not explain */
    bool hinted;       /* ... since the last sample: it explains a change in the next one */
    bool seen_open;    /* refused the lease when last looked at */
    bool skewed;       /* its time stamps come from a clock that is behind ours */
    bool touched;      /* open, changed or named by an event since we know it: it did not just stand
                          there */
    int64_t looked_ns; /* last sample */
    int64_t since_ns;  /* first sample of this identity */
    int64_t base_ns;   /* from then on `settle` counts */
    int64_t age_ns;    /* how old its last change was at since_ns */
    int64_t pause_ns;  /* growing pause between two looks at an open file */
};

struct settle_answer {
    enum settle_wait wait; /* SETTLE_FINISHED, or what for */
    int64_t due_ns;        /* steady: when to look again, where it waits */
};

void settle_init(struct settle *settle);

/* An event named the file at `now`. Look again at once. */
void settle_note(struct settle *settle, enum settle_hint hint, struct settle_moment now);

/* A look was taken at `now`. */
struct settle_answer settle_look(struct settle *settle, const struct settle_sample *sample,
                                 struct settle_moment now, const struct settle_limits *limits);

/* What it waits for, in words; static storage. */
const char *settle_words(enum settle_wait wait);

#endif
