/*
 * The plan: decides what is sent when, and what each ending means. A pure core: plan_step takes one
 * event and the time and returns effects; it calls no clock, no library and does no I/O, so a
 * simulation can run it through millions of seeds.
 *
 * What it holds: the transfers in flight, a small window of the next recordings (asked for by
 * EFFECT_FETCH, so memory does not grow with the queue), the window of concurrent transfers, and
 * the pauses (somebody wants one, a refused token, a dead network, Retry-After). The ledger holds
 * everything else.
 *
 * The caller carries effects out in order. EFFECT_MOVE and the intent of EFFECT_SEND are durable
 * before anything that comes after them happens; the caller owes each EFFECT_SEND exactly one
 * PLAN_ENDED (or PLAN_NOT_SENT), each EFFECT_FETCH one PLAN_FETCHED, each EFFECT_LOOK_UP one
 * PLAN_LOOKED_UP, each EFFECT_PROBE one PLAN_PROBED.
 *
 * Thread: one.
 */
#ifndef CHORUS_PLAN_H
#define CHORUS_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/plan/states.h"
#include "agent/rules/rules.h"
#include "uploader/verdict.h"

enum {
    PLAN_MOST_TRANSFERS = 64, /* upload.concurrency is at most this */
    PLAN_REASON = 512,        /* bytes of a reason */
};

/* A due time further off than this, and than the longest wait of the configuration, was written
 * under another clock: it is due. */
#define PLAN_FAR_OFF_MS (INT64_C(8) * 86400000)

/* steady never jumps (pauses, delays inside one run); wall is what is stored and compared across
 * runs. */
struct plan_time {
    int64_t steady_ms, wall_ms;
};

struct plan_options {
    int concurrency; /* most transfers at once, 1 .. PLAN_MOST_TRANSFERS */
    int64_t retry_first_ms, retry_max_ms, retry_for_ms, resend_after_ms;
    int64_t longest_wait_ms; /* the longest delay that the configuration sets */
    bool back_lane; /* the order could starve the backlog: every eighth start takes its other end */
};

/* One recording that may be sent. */
struct plan_item {
    int64_t recording;
    int64_t rank;               /* lower goes first in its lane */
    enum recording_state state; /* QUEUED, WAITING or UNCERTAIN */
    enum key_kind key_kind;
    int attempts;             /* POSTs so far */
    int uncertain;            /* of them, those that may have arrived whole */
    int64_t first_attempt_ms; /* wall; 0: none yet */
    int64_t due_ms;           /* wall: not before; 0: at once */
    bool conflict;  /* the last attempt met a 409 that proves nothing: only a positive read helps */
    bool looked_up; /* the plan's own: nothing was found, it may be sent again */
};

/* Where the next recordings come from. */
enum plan_lane {
    LANE_ORDER, /* queued, in upload.order */
    LANE_BACK,  /* queued, from the other end */
    LANE_DUE,   /* waiting and uncertain ones whose time has come */
    LANE_COUNT,
};

enum plan_event_kind {
    PLAN_START,      /* once, first */
    PLAN_WAKE,       /* the time of the last EFFECT_WAKE has come */
    PLAN_READY,      /* `item` became queued, or waits for its due time */
    PLAN_FETCHED,    /* answer to EFFECT_FETCH */
    PLAN_ENDED,      /* a transfer ended */
    PLAN_NOT_SENT,   /* an EFFECT_SEND was not carried out: the ledger took the recording back by
                        itself */
    PLAN_PROBED,     /* answer to EFFECT_PROBE */
    PLAN_LOOKED_UP,  /* answer to EFFECT_LOOK_UP */
    PLAN_TOKEN,      /* the token was read: changed, or there is none */
    PLAN_DROP,       /* `recording` is no longer to be sent (gone, held, superseded) */
    PLAN_CONFIGURED, /* `options` are in force from now on */
    PLAN_PAUSE,      /* nothing is to start, for the reason in `said`; "": it may again */
    PLAN_STOP,       /* nothing is started any more */
};

struct plan_ending {
    enum verdict verdict;
    int status;
    bool request_left;
    bool timed_out;
    int64_t retry_after_ms; /* -1: none */
    const char *said;       /* "": nothing; never NULL */
    const char *engagement_id;
};

/* What a look-up of an uncertain recording brought. Absence proves nothing. */
enum plan_evidence {
    EVIDENCE_FOUND,
    EVIDENCE_NOT_FOUND,
    EVIDENCE_NO_ANSWER, /* it could not be asked to the end */
};

struct plan_event {
    enum plan_event_kind kind;
    int64_t recording; /* ENDED, NOT_SENT, LOOKED_UP, DROP */
    /* READY; ENDED: the recording as it was sent, for the rules may have made another key of it
     * since it was planned; this attempt is counted, and first_attempt_ms is set. */
    const struct plan_item *item;
    struct { /* FETCHED */
        enum plan_lane lane;
        const struct plan_item *items;
        size_t count;
        bool more;           /* the ledger has more in this lane right now */
        int64_t next_due_ms; /* LANE_DUE: wall time of the next one not yet due; 0: none */
    } fetched;
    int64_t retry_since_ms;    /* START: at_ms of the last EFFECT_RETRY_ANEW (wall), 0: none */
    struct plan_ending ending; /* ENDED */
    struct {                   /* LOOKED_UP */
        enum plan_evidence evidence;
        const char *engagement_id;
    } looked_up;
    int status;            /* PROBED: HTTP status, 0: no answer */
    const char *said;      /* PROBED; TOKEN: why there is none; PAUSE: why; never NULL */
    bool present, changed; /* TOKEN */
    const struct plan_options *options; /* CONFIGURED */
};

enum plan_effect_kind {
    EFFECT_FETCH, /* up to `count` recordings of `lane` */
    EFFECT_SEND,  /* record the intent, then send */
    EFFECT_MOVE,
    EFFECT_LOOK_UP, /* did an earlier attempt of `recording` arrive: by owner, name, meeting_id */
    EFFECT_PROBE,   /* GET /api/v1/users/me */
    EFFECT_READ_TOKEN,
    EFFECT_WAKE, /* at steady `at_ms`; the latest replaces any before */
    /* The wall clock leapt: upload.retry_for counts from at_ms (wall) for all that is being
     * retried. To be kept for the next PLAN_START. */
    EFFECT_RETRY_ANEW,
    EFFECT_TELL,
};

enum plan_news {
    NEWS_TOKEN_PAUSE, /* refused or missing token: everything waits */
    NEWS_TOKEN_RESUMED,
    NEWS_NETWORK_DOWN, /* Chorus cannot be reached: everything waits */
    NEWS_NETWORK_UP,
    NEWS_HOLD, /* Retry-After: everything waits until at_ms (steady) */
};

/* What becomes of the attempt that the intent of EFFECT_SEND recorded. */
enum plan_attempt {
    ATTEMPT_NONE,       /* this move ends no attempt */
    ATTEMPT_COUNTS,     /* a POST left */
    ATTEMPT_FREE,       /* a POST left, but it uses up no attempt (401) */
    ATTEMPT_NEVER_LEFT, /* no byte left */
};

/* One transition of one recording; the ledger appends it to the story. */
struct plan_move {
    enum recording_state to;
    enum held_kind held;
    enum plan_attempt attempt;
    bool was_uncertain; /* this attempt may have arrived whole */
    bool known_by_409;
    bool conflict;             /* as in plan_item */
    int64_t next_attempt_ms;   /* wall; 0: none */
    int status;                /* HTTP, 0: none */
    const char *engagement_id; /* NULL: unchanged; lives as long as the event */
    char reason[PLAN_REASON];
};

struct plan_effect {
    enum plan_effect_kind kind;
    int64_t recording;
    enum plan_lane lane;
    size_t count;
    int64_t at_ms;
    enum plan_news news;
    const char *said; /* TELL; lives as long as the event */
    struct plan_move move;
};

enum { PLAN_MOST_EFFECTS = 4 * PLAN_MOST_TRANSFERS };
struct plan_effects {
    struct plan_effect items[PLAN_MOST_EFFECTS];
    size_t count;
};

struct plan;

/* `seed` feeds the jitter. Never NULL. Free with plan_free. */
struct plan *plan_new(const struct plan_options *options, uint64_t seed);
void plan_free(struct plan *plan);

/* Takes one event; `effects` is emptied first and then holds what is to be done, in order. */
void plan_step(struct plan *plan, const struct plan_event *event, struct plan_time now,
               struct plan_effects *effects);

/* Whether a pause, or a leap of the wall clock, is so long that retry_for counts anew after it:
 * time that passed without an attempt is not time that it was tried for. */
bool plan_is_leap(int64_t by_ms, int64_t retry_for_ms);

/* In words why nothing is sent now; "" if nothing is paused. Valid until the next step. */
const char *plan_paused_because(const struct plan *plan);
bool plan_token_is_refused(const struct plan *plan);
int plan_window(const struct plan *plan);
int plan_in_flight(const struct plan *plan);

#endif
