/*
 * watcher: what is on disk. Finds finished recordings below one folder and says what they are.
 *
 * A `watch` is one folder. It scans (the truth) and listens to inotify (hints), lets every file
 * settle, and reports each one once it is finished. It knows no network and no ledger: whether a
 * file is already known is asked of the caller.
 *
 * Thread: every function is called, and every callback runs, on the loop's thread. File work
 * (readdir, stat, leases, reads) runs on libuv's thread pool, never more than one job a watch at a
 * time, so that a mount that hangs stalls its own watch and nothing else. A callback never runs
 * before the call that started it has returned.
 *
 * Paths are bytes, relative to the folder, without a leading slash, ended by NUL, and valid during
 * the callback only. Times are nanoseconds since the epoch, durations milliseconds.
 *
 * Errors: negative errno. Trouble with one file or with the folder is no error of a call: it is
 * reported by a callback and tried again.
 */
#ifndef CHORUS_WATCHER_H
#define CHORUS_WATCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "watcher/identity.h"

struct uv_loop_s;
struct turns; /* watcher/turns.h */
struct watch;

/* Everything is copied by watch_new, but for `turns`. */
struct watch_options {
    const char *path; /* absolute; may itself be a symlink, nothing below it is followed */
    bool recursive;
    /* Globs, case ignored; one without '/' is tried on the name, with '/' on the relative path.
     * include NULL: the default list of interface.md, and then audio that Chorus does not take is
     * found too and reported as WATCH_UNSUPPORTED. */
    const char *const *include;
    size_t include_count;
    const char *const *exclude;
    size_t exclude_count;
    /* Globs, as above, of files that are no recordings and are reported all the same, as `beside`,
     * once they have settled; include and exclude do not touch them. */
    const char *const *beside;
    size_t beside_count;
    int64_t settle_ms;     /* after the writer closed it */
    int64_t quiet_ms;      /* where neither a close nor a lease can be seen */
    int64_t open_quiet_ms; /* how long a header that says "still being written" is believed */
    int64_t rescan_ms;     /* between two full looks; 0: only when asked or needed */
    bool events;           /* false: never use inotify (a single look, or a test) */
    struct turns *turns;   /* by which all watches take turns; outlives the watch; NULL: none */
    /* Test builds only: after so many events drop the rest and report an overflow; 0: never. */
    uint64_t drop_events_after;
    /* Test builds only: how long a job may take before the folder counts as hanging; 0: 30 s. */
    int64_t patience_ms;
};

/* One file as a scan saw it. The callback sets `known` on those that need no further work: the same
 * identity has been dealt with before. */
struct watch_entry {
    const char *path;
    struct file_identity identity;
    bool known;
    bool beside; /* no recording: see watch_options.beside */
};

enum watch_media {
    WATCH_TAKEN,       /* a format Chorus takes, or one we do not recognise: Chorus decides */
    WATCH_EMPTY,       /* 0 bytes, or a WAV of header only */
    WATCH_UNSUPPORTED, /* audio that Chorus does not take (gsm flac wma ul sln g729), by content or
                          name */
};

/* A finished file. */
struct watch_finding {
    const char *path;
    struct file_identity identity;
    enum watch_media media;
    const char *media_name; /* "gsm", "flac", ... for WATCH_UNSUPPORTED, else "" ; static storage */
    int64_t duration_ms;    /* of the audio, where its header says it exactly; -1: not known */
    uint64_t scan;          /* number of the scan that found it (1 is the first), 0: an event did */
    bool stood;  /* finished when first looked at: never seen open, never changed since */
    bool beside; /* no recording: see watch_options.beside */
};

enum watch_fingerprint_result {
    WATCH_FINGERPRINT_TAKEN,
    WATCH_FINGERPRINT_CHANGED, /* no longer the identity asked for: the file settles again by itself
                                */
    WATCH_FINGERPRINT_GONE,
    WATCH_FINGERPRINT_UNREADABLE, /* error says why; it is tried again at the next scan */
};

struct watch_fingerprint {
    const char *path;
    enum watch_fingerprint_result result;
    int error; /* errno, for UNREADABLE */
    struct file_identity identity;
    uint8_t sha256[32];
    int64_t duration_ms; /* as in watch_finding */
    bool zeros; /* nothing but zero bytes: what a power cut leaves of data that was never written */
};

struct watch_state {
    bool online;
    bool events; /* false: polling (scans alone) */
    const char
        *reason; /* in words: why offline, why polling, what cannot be read; "" if all is well */
    struct root_identity root; /* while it is online */
};

struct watch_scan {
    uint64_t number;      /* 1 for the first since watch_new */
    uint64_t files;       /* candidates seen, known or not */
    uint64_t passed_over; /* other files, whose names the options do not take */
    bool complete; /* false: the folder went away or a directory could not be read; absence then
                      proves nothing */
};

/* `ctx` of watch_new comes back in each. */
struct watch_callbacks {
    /* A slice of a scan: mark the known ones. */
    void (*judge)(void *ctx, struct watch_entry *entries, size_t count);
    /* Finished. The caller either asks for watch_fingerprint, or is done with it: watch_release.
     * Until then the file counts as in work and is not reported again unless it changes. */
    void (*finished)(void *ctx, const struct watch_finding *finding);
    /* Answer to watch_fingerprint. On TAKEN the caller calls watch_release once it remembers the
     * file. */
    void (*fingerprinted)(void *ctx, const struct watch_fingerprint *fingerprint);
    /* An event said that a file left its path (a hint; settling entries are dropped by then). */
    void (*gone)(void *ctx, const char *path);
    /* A full look ended. */
    void (*scanned)(void *ctx, const struct watch_scan *scan);
    /* Once: every file that the first complete scan met as unknown was reported finished, or is no
     * longer `stood`. */
    void (*first_scan_judged)(void *ctx);
    /* A file entered or left work: what watch_each_in_work shows has changed. May run within
     * watch_look_again, watch_release and watch_configure. NULL: not wanted. */
    void (*stirred)(void *ctx);
    /* Went online or offline, changed between events and polling, or the reason changed. */
    void (*state_changed)(void *ctx, const struct watch_state *state);
};

/* A candidate in work, for status: called with each by watch_each_in_work. */
enum watch_phase { WATCH_SETTLING, WATCH_HASHING };
struct watch_in_work {
    const char *path;
    uint64_t size;
    enum watch_phase phase;
    int64_t first_seen_ns; /* wall clock */
    uint64_t scan;         /* as in watch_finding */
    const char *waits_for; /* in words: "its writer to close it", "no change for 2s", ...; static */
};

struct watch_counts {
    size_t settling, hashing;
    uint64_t events, overflows, scans;
    size_t directories; /* watched by inotify */
};

/* Makes a watch and copies the options. Nothing is looked at before watch_start. The callbacks
 * struct is copied. 0, -ENOMEM, or -EINVAL. */
int watch_new(struct uv_loop_s *loop, const struct watch_options *options,
              const struct watch_callbacks *callbacks, void *ctx, struct watch **out);

/* Begins with a first scan. A folder that is missing or unreadable is reported as offline, and
 * looked for again by itself. */
int watch_start(struct watch *watch);

/* A full look as soon as the present one is over (asked again meanwhile: still one). */
void watch_rescan(struct watch *watch);

/* Takes over options that may change while it runs (everything but path). 0 or -ENOMEM. */
int watch_configure(struct watch *watch, const struct watch_options *options);

/* Holds scanning, settling and hashing back (true) or lets them go on (false): the caller is full.
 */
void watch_throttle(struct watch *watch, bool hold);

/* SHA-256 of the file as it is now, if it still has the identity of its finding. One fingerprint at
 * a time, in the order asked; a second request for the same path and identity is one. 0 or -ENOMEM.
 */
int watch_fingerprint(struct watch *watch, const char *path);

/* The caller is done with this file: it will answer `known` for it, or does not want it. */
void watch_release(struct watch *watch, const char *path);

/* Look at this path again as if an event had named it (a file that changed under an upload). */
void watch_look_again(struct watch *watch, const char *path);

void watch_get_counts(const struct watch *watch, struct watch_counts *counts);
void watch_each_in_work(const struct watch *watch,
                        void (*each)(void *ctx, const struct watch_in_work *file), void *ctx);

/* Stops everything, waits for a job on the pool without blocking the loop, frees, then calls
 * `done`. No callback of the watch runs after this call. */
void watch_close(struct watch *watch, void (*done)(void *ctx), void *ctx);

/* One look at one file without a watch: what a watch would say of it now. Blocks; for `explain`.
 * 0 and *finding (path is `path`), 1 and *waits_for (not finished; static), or negative errno. */
int watch_look_once(const struct watch_options *options, const char *path,
                    struct watch_finding *finding, const char **waits_for);

/* Whether this relative path is one of those beside recordings. */
bool watch_is_beside(const struct watch_options *options, const char *path);

/* What kind of network file system this folder lies on, where events of other machines are not seen
 * ("NFS", "SMB", ...; static); NULL: a local one, or it cannot be asked. Blocks. */
const char *watch_network_of(const char *path);

/* Whether the options would take this relative path by its name, as a recording or beside one:
 * NULL, or why not (static). */
const char *watch_passes_over(const struct watch_options *options, const char *path);

#endif
