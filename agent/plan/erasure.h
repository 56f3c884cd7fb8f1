/*
 * An erasure: one engagement that is to vanish from Chorus, and the proofs of it. Pure: one event
 * and the time go in, the erasure is changed in place; the service loads it, asks Chorus, and saves
 * it in the ledger, and every question follows the commit of what came before.
 *
 *     waits -> finds -> sees -> sends -> confirms -> over
 *
 * The three proofs: visible before, accepted (202), not visible after. A 404 or an absent row
 * proves nothing by itself, for private recordings are never returned (API document).
 */
#ifndef CHORUS_PLAN_ERASURE_H
#define CHORUS_PLAN_ERASURE_H

#include <stdbool.h>
#include <stdint.h>

enum erasure_phase {
    ERASURE_WAITS = 0,    /* its recording is in flight: the end of the transfer goes on with it */
    ERASURE_FINDS = 1,    /* uploaded, or perhaps, under an id we do not know: it is looked up */
    ERASURE_SEES = 2,     /* is it visible now? */
    ERASURE_SENDS = 3,    /* a DELETE is to leave */
    ERASURE_CONFIRMS = 4, /* accepted; is it still visible? */
    ERASURE_OVER = 5,
};

/* As the result names them (interface.md). OUTCOME_NONE: not known yet. */
enum erasure_outcome {
    OUTCOME_NONE = 0,
    OUTCOME_DELETED = 1,
    OUTCOME_UNCONFIRMED = 2, /* "accepted-unconfirmed" */
    OUTCOME_ALREADY = 3,     /* "already-deleted" */
    OUTCOME_NEVER_UPLOADED = 4,
    OUTCOME_NOT_FOUND = 5,
    OUTCOME_REFUSED = 6,
    OUTCOME_DRY_RUN = 7,
};
const char *erasure_outcome_name(enum erasure_outcome outcome);

enum { ERASURE_REASON = 512, ERASURE_ID = 128 };

/* Times are wall-clock ms, 0: not yet. */
struct erasure {
    int64_t id;
    int64_t recording; /* 0: an engagement that the ledger does not know */
    enum erasure_phase phase;
    enum erasure_outcome outcome; /* from ERASURE_OVER on; OUTCOME_UNCONFIRMED also while it goes on
                                     being asked after confirm_for */
    char engagement_id[ERASURE_ID]; /* "": not known */
    bool force;                     /* by the conversation, with force_delete */
    bool alone;       /* a request of its own: its batch was refused, or it was not seen
                         before, and then an answer would prove nothing of others */
    bool may_be_sent; /* a DELETE left and its answer was lost */
    bool read_before; /* the read before the DELETE was answered */
    int64_t begun_ms, uploaded_ms, due_ms;
    int64_t visible_ms, sent_ms, accepted_ms, gone_ms;
    int status; /* HTTP, of the last answer to a DELETE; 0: none */
    int tries;  /* in this phase */
    char reason[ERASURE_REASON];
};

enum erasure_event_kind {
    ERASURE_FOUND,     /* looked up: `engagement_id` */
    ERASURE_NOT_FOUND, /* looked up to the end, and no row fits */
    ERASURE_AMBIGUOUS, /* more than one fits: `said` lists them */
    ERASURE_READ,      /* Chorus answered a read by id: `visible` or not */
    ERASURE_ANSWERED,  /* to a DELETE: `status`, `batch`, `said`; 0: no answer, it may have left */
    ERASURE_NO_ANSWER, /* a read or look-up could not be done to its end, or a DELETE never left:
                          again later */
};
struct erasure_event {
    enum erasure_event_kind kind;
    const char *engagement_id; /* FOUND; READ and visible: as Chorus writes it, or NULL */
    bool visible;
    int status;
    bool batch;             /* the DELETE named others, too */
    int64_t retry_after_ms; /* -1: none */
    const char *said;
};

struct erasure_options {
    int64_t confirm_for_ms;
    int64_t ask_for_ms; /* after acceptance; a day */
};

/* A new one. `in_flight`: its recording is being sent. */
void erasure_begin(struct erasure *erasure, bool in_flight, int64_t now_ms);
/* Its transfer has ended. `arrived`: it is, or may be, at Chorus (then its id may be known), else
 * it is over, as never uploaded. */
void erasure_transfer_ended(struct erasure *erasure, bool arrived, const char *engagement_id,
                            int64_t now_ms);
/* Just before a DELETE leaves: saved and committed first. */
void erasure_intend(struct erasure *erasure, int64_t now_ms);
void erasure_step(struct erasure *erasure, const struct erasure_event *event,
                  const struct erasure_options *options, int64_t now_ms);
/* By when a result may no longer wait for it, 0: not known yet (nothing was accepted so far). */
int64_t erasure_report_by(const struct erasure *erasure, const struct erasure_options *options);
/* Whether a result can be written as far as this one goes; gives what it then says. */
bool erasure_is_reportable(const struct erasure *erasure, const struct erasure_options *options,
                           int64_t now_ms, enum erasure_outcome *outcome);

#endif
