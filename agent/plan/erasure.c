#include "agent/plan/erasure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/plan/backoff.h"

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)

/* What was just stored may be read only some time later (read-after-write lag). Shorter, and what
 * is there is taken for private; longer, and a deletion of a fresh call waits. */
#define LAG_MS (2 * MINUTE_MS)
#define LAG_STEP_MS (2 * SECOND_MS)
/* An answer that did not come, or proved nothing. */
#define AGAIN_FIRST_MS (2 * SECOND_MS)
#define AGAIN_MOST_MS (10 * MINUTE_MS)
/* While the token is refused: it may be a good one any moment. */
#define TOKEN_AGAIN_MS (10 * SECOND_MS)
/* After acceptance it is read again after half as long as it has waited already. */
#define CONFIRM_LEAST_MS (1 * SECOND_MS)
#define CONFIRM_MOST_MS HOUR_MS
enum {
    LAG_TRIES = 7,   /* 2 + 4 + ... + 64 s: all of the lag, also where clocks differ */
    BATCH_TRIES = 3, /* answers that prove nothing, and then each goes alone: one id may be why */
};

const char *erasure_outcome_name(enum erasure_outcome outcome)
{
    static const char *const names[] = {
        [OUTCOME_NONE] = "",
        [OUTCOME_DELETED] = "deleted",
        [OUTCOME_UNCONFIRMED] = "accepted-unconfirmed",
        [OUTCOME_ALREADY] = "already-deleted",
        [OUTCOME_NEVER_UPLOADED] = "never-uploaded",
        [OUTCOME_NOT_FOUND] = "not-found",
        [OUTCOME_REFUSED] = "refused",
        [OUTCOME_DRY_RUN] = "dry-run",
    };
    return names[outcome];
}

/* --- moving on --- */

__attribute__((format(printf, 2, 3))) static void because(struct erasure *erasure,
                                                          const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(erasure->reason, sizeof erasure->reason, format, args);
    va_end(args);
}

static void enter(struct erasure *erasure, enum erasure_phase phase, int64_t due_ms)
{
    erasure->phase = phase;
    erasure->tries = 0;
    erasure->due_ms = due_ms;
}

static void end(struct erasure *erasure, enum erasure_outcome outcome)
{
    erasure->outcome = outcome;
    enter(erasure, ERASURE_OVER, 0);
}

static int64_t growing(int64_t first_ms, int64_t most_ms, int tries)
{
    int64_t delay = first_ms;
    for (int i = 0; i < tries && delay < most_ms; i++)
        delay *= 2;
    return delay < most_ms ? delay : most_ms;
}

static void again_at(struct erasure *erasure, int64_t due_ms)
{
    erasure->tries++;
    erasure->due_ms = due_ms;
}

static void again(struct erasure *erasure, int64_t now_ms)
{
    again_at(erasure, now_ms + growing(AGAIN_FIRST_MS, AGAIN_MOST_MS, erasure->tries));
}

static int64_t sooner(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

static int64_t later(int64_t a_ms, int64_t b_ms)
{
    return a_ms > b_ms ? a_ms : b_ms;
}

static const char *words(const struct erasure_event *event)
{
    return event->said != NULL && event->said[0] != '\0' ? event->said : "no further words";
}

/* --- its beginning --- */

static void look_for_it(struct erasure *erasure, int64_t now_ms)
{
    enter(erasure, erasure->engagement_id[0] != '\0' ? ERASURE_SEES : ERASURE_FINDS, now_ms);
}

void erasure_begin(struct erasure *erasure, bool in_flight, int64_t now_ms)
{
    erasure->begun_ms = now_ms;
    if (in_flight)
        enter(erasure, ERASURE_WAITS, 0);
    else
        look_for_it(erasure, now_ms);
}

static void name_it(struct erasure *erasure, const char *engagement_id)
{
    if (engagement_id != NULL && engagement_id[0] != '\0')
        snprintf(erasure->engagement_id, sizeof erasure->engagement_id, "%s", engagement_id);
}

void erasure_transfer_ended(struct erasure *erasure, bool arrived, const char *engagement_id,
                            int64_t now_ms)
{
    if (!arrived) {
        end(erasure, OUTCOME_NEVER_UPLOADED);
        return;
    }
    name_it(erasure, engagement_id);
    erasure->uploaded_ms = now_ms;
    look_for_it(erasure, now_ms);
}

/* --- looking it up --- */

static void not_found(struct erasure *erasure, const struct erasure_options *options,
                      int64_t now_ms)
{
    int64_t until_ms = later(erasure->begun_ms, erasure->uploaded_ms) + options->confirm_for_ms;
    if (now_ms >= until_ms) {
        because(erasure, "its upload's answer was lost and no row is found (it may be private)");
        end(erasure, OUTCOME_REFUSED);
        return;
    }
    again(erasure, now_ms);
    erasure->due_ms = sooner(erasure->due_ms, until_ms);
}

static void find(struct erasure *erasure, const struct erasure_event *event,
                 const struct erasure_options *options, int64_t now_ms)
{
    switch (event->kind) {
    case ERASURE_FOUND:
        name_it(erasure, event->engagement_id);
        look_for_it(erasure, now_ms);
        break;
    case ERASURE_NOT_FOUND:
        not_found(erasure, options, now_ms);
        break;
    case ERASURE_AMBIGUOUS:
        because(erasure,
                "its upload's answer was lost and more than one engagement may be it; name the one "
                "that is (engagement:ID): %s",
                words(event));
        end(erasure, OUTCOME_REFUSED);
        break;
    default:
        again(erasure, now_ms);
    }
}

/* --- the proof before --- */

/* What was just uploaded may be there without being seen yet. */
static bool is_fresh(const struct erasure *erasure, const struct erasure_options *options,
                     int64_t now_ms)
{
    int64_t lag_ms = sooner(LAG_MS, options->confirm_for_ms);
    return now_ms - erasure->uploaded_ms < lag_ms && erasure->tries < LAG_TRIES;
}

static void again_within_lag(struct erasure *erasure, int64_t now_ms)
{
    again_at(erasure, now_ms + growing(LAG_STEP_MS, LAG_MS, erasure->tries));
}

static void see(struct erasure *erasure, const struct erasure_event *event,
                const struct erasure_options *options, int64_t now_ms)
{
    if (event->kind != ERASURE_READ) {
        again(erasure, now_ms);
        return;
    }
    if (!event->visible && is_fresh(erasure, options, now_ms)) {
        again_within_lag(erasure, now_ms);
        return;
    }
    erasure->read_before = true;
    if (event->visible) {
        name_it(erasure, event->engagement_id); /* as it was asked for, case may differ */
        erasure->visible_ms = now_ms;
    } else {
        erasure->alone = true; /* a 404 for it would say nothing of others */
    }
    enter(erasure, ERASURE_SENDS, now_ms);
}

/* --- the DELETE --- */

void erasure_intend(struct erasure *erasure, int64_t now_ms)
{
    /* an intent that no answer followed: the program ended in between */
    if (erasure->sent_ms != 0 && erasure->accepted_ms == 0)
        erasure->may_be_sent = true;
    erasure->sent_ms = now_ms;
}

static void accepted(struct erasure *erasure, int status, int64_t now_ms)
{
    /* one that was first seen after an acceptance was accepted anew */
    if (erasure->accepted_ms == 0 || erasure->accepted_ms < erasure->visible_ms)
        erasure->accepted_ms = now_ms;
    erasure->status = status;
    enter(erasure, ERASURE_CONFIRMS, now_ms);
}

/* It surely did nothing: the intent counts for nothing, if none before it does. */
static void did_nothing(struct erasure *erasure)
{
    if (!erasure->may_be_sent)
        erasure->sent_ms = 0;
}

static void refused(struct erasure *erasure, const struct erasure_event *event)
{
    because(erasure, "Chorus refused it (%d): %s", event->status, words(event));
    end(erasure, OUTCOME_REFUSED);
}

/* A DELETE of ours is why, or it may be too early, or there is none. */
static void unknown_there(struct erasure *erasure, const struct erasure_event *event,
                          const struct erasure_options *options, int64_t now_ms)
{
    bool may_be_ours =
        erasure->may_be_sent || (erasure->alone && !erasure->force && erasure->visible_ms != 0);
    if (may_be_ours) {
        accepted(erasure, event->status, now_ms);
        return;
    }
    did_nothing(erasure);
    if (is_fresh(erasure, options, now_ms)) {
        again_within_lag(erasure, now_ms);
        return;
    }
    because(erasure, "Chorus does not know it (%d): %s", event->status, words(event));
    end(erasure, OUTCOME_NOT_FOUND);
}

/* Nobody knows what it did. Asking for the same again does no harm. */
static void unclear(struct erasure *erasure, const struct erasure_event *event,
                    const struct erasure_options *options, int64_t now_ms)
{
    erasure->may_be_sent = true;
    if (event->status != 0 && !event->batch && now_ms - erasure->begun_ms >= options->ask_for_ms) {
        refused(erasure, event);
        return;
    }
    again(erasure, now_ms);
    if (event->batch && erasure->tries >= BATCH_TRIES)
        erasure->alone = true;
}

static void refused_by_status(struct erasure *erasure, const struct erasure_event *event,
                              const struct erasure_options *options, int64_t now_ms)
{
    if (event->batch) {
        /* another one may be why; and part of it may be done */
        did_nothing(erasure);
        erasure->alone = true;
        enter(erasure, ERASURE_SENDS, now_ms);
    } else if (event->status == 404 || event->status == 410) {
        unknown_there(erasure, event, options, now_ms);
    } else {
        refused(erasure, event);
    }
}

static bool asks_to_wait(const struct erasure_event *event)
{
    return event->status == 429 || (event->status == 503 && event->retry_after_ms >= 0);
}

static void answered(struct erasure *erasure, const struct erasure_event *event,
                     const struct erasure_options *options, int64_t now_ms)
{
    if (event->status != 0)
        erasure->status = event->status;
    if (event->kind != ERASURE_ANSWERED) {
        did_nothing(erasure);
        again(erasure, now_ms);
    } else if (event->status == 401) {
        did_nothing(erasure);
        erasure->due_ms = now_ms + TOKEN_AGAIN_MS;
    } else if (asks_to_wait(event)) {
        did_nothing(erasure);
        again(erasure, now_ms);
        erasure->due_ms =
            now_ms + backoff_retry_after(event->retry_after_ms, erasure->due_ms - now_ms);
    } else if (event->status / 100 == 4 && event->status != 408) {
        refused_by_status(erasure, event, options, now_ms);
    } else if (event->status / 100 == 3) {
        did_nothing(erasure);
        again(erasure, now_ms);
    } else {
        unclear(erasure, event, options, now_ms);
    }
}

/* --- the proof after --- */

static int64_t report_by(const struct erasure *erasure, const struct erasure_options *options)
{
    return erasure->accepted_ms + options->confirm_for_ms;
}

static void confirm_again(struct erasure *erasure, const struct erasure_options *options,
                          int64_t now_ms)
{
    int64_t wait_ms = (now_ms - erasure->accepted_ms) / 2, by_ms = report_by(erasure, options);
    wait_ms = later(sooner(wait_ms, CONFIRM_MOST_MS), CONFIRM_LEAST_MS);
    again_at(erasure, now_ms + wait_ms);
    if (now_ms < by_ms)
        erasure->due_ms = sooner(erasure->due_ms, by_ms);
    else
        erasure->outcome = OUTCOME_UNCONFIRMED;
}

/* Sent again at growing intervals: as long after the last one as that was after the acceptance. */
static bool is_to_be_sent_again(const struct erasure *erasure,
                                const struct erasure_options *options, int64_t now_ms)
{
    int64_t since_ms = now_ms - erasure->sent_ms;
    return now_ms >= report_by(erasure, options) && since_ms >= MINUTE_MS &&
           2 * since_ms >= now_ms - erasure->accepted_ms;
}

static void still_visible(struct erasure *erasure, const struct erasure_options *options,
                          int64_t now_ms)
{
    because(erasure, "Chorus accepted it, but still shows it");
    if (erasure->visible_ms == 0) {
        /* it was private, or too fresh to be seen: now it can be proven after all */
        erasure->visible_ms = now_ms;
        erasure->outcome = OUTCOME_NONE;
        enter(erasure, ERASURE_SENDS, now_ms);
    } else if (now_ms - erasure->accepted_ms >=
               later(options->ask_for_ms, options->confirm_for_ms)) {
        end(erasure, OUTCOME_UNCONFIRMED);
    } else if (is_to_be_sent_again(erasure, options, now_ms)) {
        erasure->outcome = OUTCOME_UNCONFIRMED;
        enter(erasure, ERASURE_SENDS, now_ms);
    } else {
        confirm_again(erasure, options, now_ms);
    }
}

static void not_visible(struct erasure *erasure, const struct erasure_options *options,
                        int64_t now_ms)
{
    if (erasure->visible_ms != 0) {
        erasure->gone_ms = now_ms;
        erasure->reason[0] = '\0';
        end(erasure, OUTCOME_DELETED);
        return;
    }
    because(erasure, "Chorus accepted it, but never showed it before: it is private, or was not "
                     "there");
    if (now_ms - erasure->accepted_ms >= options->ask_for_ms) {
        end(erasure, OUTCOME_UNCONFIRMED);
        return;
    }
    confirm_again(erasure, options, now_ms);
    erasure->outcome = OUTCOME_UNCONFIRMED; /* no later read is likely to prove more */
}

static void confirm(struct erasure *erasure, const struct erasure_event *event,
                    const struct erasure_options *options, int64_t now_ms)
{
    if (event->kind != ERASURE_READ)
        confirm_again(erasure, options, now_ms);
    else if (event->visible)
        still_visible(erasure, options, now_ms);
    else
        not_visible(erasure, options, now_ms);
}

/* --- one step --- */

static void hear(struct erasure *erasure, const struct erasure_event *event,
                 const struct erasure_options *options, int64_t now_ms)
{
    bool done = event->status / 100 == 2;
    if (done) {
        accepted(erasure, event->status, now_ms);
    } else if (erasure->accepted_ms != 0) {
        /* one of those that are sent again: it was accepted, whatever is said now */
        erasure->alone = erasure->alone || event->status / 100 == 4;
        enter(erasure, ERASURE_CONFIRMS, now_ms);
        confirm_again(erasure, options, now_ms);
    } else {
        answered(erasure, event, options, now_ms);
    }
}

void erasure_step(struct erasure *erasure, const struct erasure_event *event,
                  const struct erasure_options *options, int64_t now_ms)
{
    switch (erasure->phase) {
    case ERASURE_FINDS:
        find(erasure, event, options, now_ms);
        break;
    case ERASURE_SEES:
        see(erasure, event, options, now_ms);
        break;
    case ERASURE_SENDS:
        hear(erasure, event, options, now_ms);
        break;
    case ERASURE_CONFIRMS:
        confirm(erasure, event, options, now_ms);
        break;
    default:
        break; /* nothing is asked for it */
    }
}

/* --- what can be reported --- */

int64_t erasure_report_by(const struct erasure *erasure, const struct erasure_options *options)
{
    return erasure->accepted_ms != 0 ? report_by(erasure, options) : 0;
}

bool erasure_is_reportable(const struct erasure *erasure, const struct erasure_options *options,
                           int64_t now_ms, enum erasure_outcome *outcome)
{
    *outcome = erasure->outcome;
    if (erasure->phase == ERASURE_OVER)
        return true;
    if (erasure->accepted_ms == 0)
        return false;
    bool reportable =
        erasure->outcome == OUTCOME_UNCONFIRMED || now_ms >= report_by(erasure, options);
    *outcome = OUTCOME_UNCONFIRMED;
    return reportable;
}
