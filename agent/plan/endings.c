#include "agent/plan/endings.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/mutant.h"
#include "agent/plan/backoff.h"

/* What was just stored may be read only some seconds later. */
enum { CONFLICT_LOOK_MS = 5000 };

__attribute__((format(printf, 2, 3))) static void because(struct plan_move *move,
                                                          const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(move->reason, sizeof move->reason, format, args);
    va_end(args);
}

static const char *words(const struct plan_ending *ending)
{
    return ending->said[0] != '\0' ? ending->said : "no further words";
}

void ending_again(const struct plan_item *item, int64_t due_ms, struct plan_move *move)
{
    move->next_attempt_ms = due_ms;
    if (item->uncertain > 0)
        move->to = STATE_UNCERTAIN;
    else
        move->to = due_ms > 0 ? STATE_WAITING : STATE_QUEUED;
}

static void accepted(const struct plan_ending *ending, struct plan_move *move)
{
    move->to = STATE_UPLOADED;
    move->engagement_id = ending->engagement_id;
    because(move, "accepted by Chorus (%d)", ending->status);
}

/* A 409 is proof only where the key is made of the content (reliability.md, F3). */
static void known(const struct plan_item *item, const struct plan_ending *ending,
                  struct plan_time now, struct plan_move *move)
{
    if (item->key_kind == KEY_SCHEDULED && !mutant("any-409-done") &&
        !(mutant("own-409-done") && item->uncertain > 0)) {
        move->to = STATE_UNCERTAIN;
        move->conflict = true;
        move->next_attempt_ms = now.wall_ms + CONFLICT_LOOK_MS;
        because(move,
                "Chorus knows this meeting_id already (409): looking whether it is this recording");
    } else if (item->key_kind == KEY_NONE) {
        move->to = STATE_HELD;
        move->held = HELD_DOUBT;
        because(move,
                "Chorus knows this meeting_id already (409), and nothing proves that it is this "
                "recording; look in Chorus, then `retry` or leave it: %s",
                words(ending));
    } else if (item->uncertain > 0) {
        move->to = STATE_UPLOADED;
        because(move, "an earlier attempt had arrived: Chorus knows this content (409)");
    } else {
        move->to = STATE_DUPLICATE;
        move->known_by_409 = true;
        because(move, "Chorus has this content already (409)");
    }
}

static void uncertain(const struct plan_options *options, const struct plan_item *item,
                      const struct plan_ending *ending, struct plan_time now, int64_t delay_ms,
                      struct plan_move *move)
{
    move->was_uncertain = true;
    if (item->key_kind == KEY_NONE) {
        move->to = STATE_HELD;
        move->held = HELD_DOUBT;
        because(move,
                "sent, but no answer proves that it arrived, and without a meeting_id a resend "
                "could double it; look in Chorus, then `retry` or leave it: %s",
                words(ending));
        return;
    }
    if (delay_ms < options->resend_after_ms && !mutant("no-settle"))
        delay_ms = options->resend_after_ms;
    move->to = mutant("5xx-final") && ending->status >= 500 ? STATE_FAILED : STATE_UNCERTAIN;
    move->next_attempt_ms = now.wall_ms + delay_ms;
    if (ending->status != 0)
        because(move, "sent, but the answer %d proves nothing: %s", ending->status, words(ending));
    else
        because(move, "sent, but no answer came: %s", words(ending));
}

static void later(const struct plan_item *item, const struct plan_ending *ending,
                  struct plan_time now, int64_t delay_ms, struct plan_move *move)
{
    ending_again(item, now.wall_ms + delay_ms, move);
    if (ending->status != 0)
        because(move, "Chorus answered %d: %s", ending->status, words(ending));
    else
        because(move, "%s", words(ending));
}

/* `retry_for` is over: failed, never forgotten. Not by an ending that says nothing of the
 * recording: a dead network, a refused token, a 403 before it is known whose it is. */
static void give_up_if_over(const struct plan_options *options, const struct plan_item *item,
                            const struct plan_ending *ending, struct plan_time now,
                            struct plan_move *move)
{
    bool again = move->to == STATE_WAITING || move->to == STATE_UNCERTAIN;
    if (!again || move->attempt != ATTEMPT_COUNTS || ending->verdict == VERDICT_FORBIDDEN ||
        ending->verdict == VERDICT_KNOWN ||
        now.wall_ms - item->first_attempt_ms <= options->retry_for_ms)
        return;
    char last[PLAN_REASON];
    snprintf(last, sizeof last, "%s", move->reason);
    move->to = STATE_FAILED;
    move->next_attempt_ms = 0;
    because(move, "upload.retry_for is over; last: %.400s", last);
}

void ending_to_move(const struct plan_options *options, const struct plan_item *item,
                    const struct plan_ending *ending, struct plan_time now, int64_t hold_ms,
                    uint64_t *random, struct plan_move *move)
{
    memset(move, 0, sizeof *move);
    move->status = ending->status;
    move->attempt = ending->request_left ? ATTEMPT_COUNTS : ATTEMPT_NEVER_LEFT;
    int64_t delay_ms = hold_ms > 0 ? hold_ms
                                   : backoff_delay(random, options->retry_first_ms,
                                                   options->retry_max_ms, item->attempts);
    switch (ending->verdict) {
    case VERDICT_ACCEPTED:
        accepted(ending, move);
        break;
    case VERDICT_KNOWN:
        known(item, ending, now, move);
        break;
    case VERDICT_REFUSED:
        move->to = STATE_FAILED;
        because(move, "Chorus refused it (%d): %s", ending->status, words(ending));
        break;
    case VERDICT_TOKEN_REFUSED:
        if (move->attempt == ATTEMPT_COUNTS)
            move->attempt = ATTEMPT_FREE;
        ending_again(item, 0, move);
        because(move, "Chorus refused the token (%d)", ending->status);
        break;
    case VERDICT_FORBIDDEN:
        ending_again(item, 0, move);
        because(move, "Chorus refused it (403), asking whether the token is good: %s",
                words(ending));
        break;
    case VERDICT_UNREACHABLE:
    case VERDICT_ABORTED:
        ending_again(item, 0, move);
        because(move, "%s", words(ending));
        break;
    case VERDICT_BUSY:
    case VERDICT_ODD_REFUSAL:
    case VERDICT_INTERRUPTED:
    case VERDICT_SOURCE_CHANGED:
        later(item, ending, now, delay_ms, move);
        break;
    case VERDICT_UNCERTAIN:
        uncertain(options, item, ending, now, delay_ms, move);
        break;
    }
    give_up_if_over(options, item, ending, now, move);
}
