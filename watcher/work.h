/*
 * Inside of a watch: shared by watch.c (calls, life, whose turn it is), jobs.c (the pool), intake.c
 * (what was seen becomes candidates and findings), hashing.c (fingerprints) and tell.c (state in
 * words). Loop thread, but for what a job owns while it is under way.
 */
#ifndef CHORUS_WATCHER_WORK_H
#define CHORUS_WATCHER_WORK_H

#include <uv.h>

#include "watcher/events.h"
#include "watcher/fingerprint.h"
#include "watcher/options.h"
#include "watcher/probe.h"
#include "watcher/scan.h"
#include "watcher/table.h"
#include "watcher/turns.h"

enum {
    BATCH = 64, /* files looked at, or hashed, by one job: a few milliseconds */
    HASH_BATCH_BYTES = 8 * 1024 * 1024, /* and so many bytes of several files */
    BACKLOG = 2048,  /* candidates that wait for us or the caller, from which on a scan waits */
    TABLE = 65536,   /* candidates from which on an event only asks for a scan: memory stays flat */
    SUBTREES = 1024, /* folders asked for one by one, from which on everything is looked at */
    SIGNS = 256,     /* unfinished folders remembered, from which on each folder may be one */
    SETTLE_COUNTED_MS = 10000, /* a longer settle must not hold scans back */
    PATIENCE_MS = 30000,
    ROOT_MS = 10000, /* the folder itself is looked for so often, whatever else happens */
};

#define MS_NS INT64_C(1000000)

/* A year: longer is as good as never, and its nanoseconds still fit. */
#define RESCAN_MOST_MS (INT64_C(366) * 24 * 3600 * 1000)

enum stage {
    STAGE_NEW,
    STAGE_LOOKING, /* for the folder */
    STAGE_ONLINE,
    STAGE_OFFLINE, /* until retry_ns */
};

enum job_kind { JOB_NONE, JOB_ROOT, JOB_PROBE, JOB_SUBTREE, JOB_SCAN, JOB_HASH };

struct root {
    uint64_t dev, ino;
    const char *network; /* what kind of file system without events of others; NULL: a local one */
    bool bare;           /* nothing in it */
};

struct probe_item {
    char *path; /* owned */
    uint64_t id;
    bool check_folder;
    bool signs; /* found there */
    struct settle_moment at;
    struct probe probe;
};

/* Work that is no longer wanted, with files open in it: to close one may hang as well, so the next
 * job does it. */
struct litter {
    struct scan *scans;
    struct fingerprint *fingerprints;
};

/* The one job on the pool. While `busy` the pool owns all but the request. */
struct job {
    uv_work_t request;
    enum job_kind kind;
    uint64_t epoch;
    struct shared_options *options;
    struct root root; /* expected; found, after JOB_ROOT */
    int root_error;   /* negative errno; -ESTALE: another directory stands there */
    struct probe_item items[BATCH];
    size_t item_count;
    int64_t wall_ns;
    struct scan *scan;
    struct scan_slice slice;
    int inotify;
    struct fingerprint *fingerprints[BATCH];
    size_t fingerprint_count;
    unsigned char *buffer; /* for them all */
    struct litter litter;
    struct turn turn;
};

/* A path to answer for or to enter, in order. */
struct note {
    struct note *next;
    char path[];
};
struct notes {
    struct note *first, **end;
    size_t count;
};

struct watch {
    uv_loop_t *loop;
    struct watch_callbacks callbacks;
    void *ctx;
    struct turns *turns;
    struct shared_options *options;
    uv_timer_t timer, patience;
    unsigned handles; /* that the loop still has */
    bool closing, hold;
    void (*closed)(void *ctx);
    void *closed_ctx;

    enum stage stage;
    uint64_t
        epoch; /* one more each time all work is dropped: what a job brings back is stale then */
    struct root root;
    bool root_known;
    int64_t retry_ns, retry_pause_ns, root_due_ns;
    int64_t pause_ns; /* descriptors or memory are short: nothing before */

    struct job job;
    struct litter litter;
    bool busy, hung;
    int64_t patience_ms;
    enum job_kind last_kind, last_bulk;

    struct table table;
    size_t phases[PHASES];
    size_t backlog, standing;
    char *signs[SIGNS];
    size_t sign_count;
    bool signs_everywhere;

    struct events *events;
    int watch_error, kept_error; /* errno of inotify: in this scan; as told */
    uint64_t events_before;      /* counted by descriptors that are closed */
    uint64_t overflows;

    struct scan *scan, *subtree; /* suspended; NULL also while the job has it */
    bool scanning, in_subtree, scan_spoilt, rescan_wanted;
    struct notes subtrees;
    int64_t rescan_ns;
    uint64_t scan_number, scans_ended, scan_files;
    bool first_complete, first_told;

    struct candidate *hash_first, *hash_last;
    struct fingerprint *fingerprint; /* suspended; NULL also while the job has it */
    struct notes changed;            /* fingerprints asked for what is not finished any more */

    char *unreadable_folder; /* of the last scan; NULL: none */
    int unreadable_error;
    size_t unreadable_folders, too_deep;
    char *unreadable_file;
    int unreadable_file_error;
    char offline[320];
    char reason[1024]; /* as told */
    bool told, told_online, told_events;
};

/* watch.c */
struct settle_moment watch_now(void);
/* Starts what is to be done next, or the timer for it. */
void watch_pump(struct watch *watch);
/* All work is dropped without a word to the caller, but for fingerprints, which are answered with
 * UNREADABLE and this errno. */
void watch_drop_work(struct watch *watch, int error);
void watch_go_offline(struct watch *watch, int error, const char *words);
/* The pool gave the job back: goes on, or ends a watch that is being closed. */
void watch_continue(struct watch *watch);
void watch_on_patience(uv_timer_t *timer);
/* Test only: how long a job may take. */
void watch_set_patience(struct watch *watch, int64_t ms);
/* Queue of paths. False when memory is short. */
bool notes_add(struct notes *notes, const char *path);
struct note *notes_take(struct notes *notes); /* the caller frees; NULL: none */

/* jobs.c */
/* Hands the job to the pool; its results come back to intake.c and hashing.c. */
void job_start(struct watch *watch, enum job_kind kind);
/* Frees it, on the pool if that may block. NULL: nothing. */
void job_throw_away_scan(struct watch *watch, struct scan *scan);
void job_throw_away_fingerprint(struct watch *watch, struct fingerprint *fingerprint);
/* The pool's part of JOB_ROOT, also for watch_look_once. A descriptor or negative errno. */
int job_open_root(const char *path, struct root *root);

/* intake.c */
void intake_events_open(struct watch *watch);
void intake_events_close(struct watch *watch);
/* Named by an event or by the caller. */
void intake_note(struct watch *watch, const char *path, enum settle_hint hint, int64_t delay_ns);
void intake_samples(struct watch *watch, struct job *job);
void intake_slice(struct watch *watch, struct job *job);
void intake_phase(struct watch *watch, struct candidate *candidate, enum phase phase);
/* It did not just stand there, or was told: first_scan_judged does not wait for it. */
void intake_not_standing(struct watch *watch, struct candidate *candidate);
/* Out of the table and of every queue; freed. */
void intake_drop(struct watch *watch, struct candidate *candidate);
void intake_settle_again(struct watch *watch, struct candidate *candidate);
void intake_unreadable(struct watch *watch, struct candidate *candidate, int error);
void intake_tell_first_scan(struct watch *watch);
/* Whether a sign of unfinished work may stand in the folder of this path. */
bool intake_folder_signed(const struct watch *watch, const char *path);
/* A folder to look through. */
void intake_subtree(struct watch *watch, const char *folder);

/* hashing.c */
void hashing_begin(struct watch *watch, struct candidate *candidate);
/* No longer wanted: no answer. */
void hashing_cancel(struct watch *watch, struct candidate *candidate);
/* The suspended fingerprint, or new ones of the first in the queue: a large file alone, small ones
 * together, since what is answered together is remembered together. How many; 0 when memory is
 * short. */
size_t hashing_take(struct watch *watch, struct fingerprint **fingerprints, size_t most);
/* Answers it, or keeps it until its turn comes again. Takes it over. */
void hashing_result(struct watch *watch, struct fingerprint *fingerprint);
void hashing_answer(struct watch *watch, const char *path, enum watch_fingerprint_result result,
                    int error);

/* tell.c */
void tell_state(struct watch *watch);
/* Why the folder is offline, in words. */
void tell_root_error(const struct watch *watch, int error, char *words, size_t n);

#endif
