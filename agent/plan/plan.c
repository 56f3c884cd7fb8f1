/*
 * The plan's step. Three things decide whether anything starts: a pause (the token is refused), a
 * hold (until a steady time: Retry-After, or a network that is down), and the window of transfers.
 * Each ending is turned into one move of its recording by endings.c; here stands what it means for
 * all others.
 *
 * A recording is in one place at a time: in a lane, in `sending`, in `parked` (403: is it the
 * token, or this owner?), or in the ledger alone.
 */
#include "agent/plan/plan.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/base/mutant.h"
#include "agent/plan/backoff.h"
#include "agent/plan/endings.h"
#include "agent/plan/lanes.h"
#include "agent/plan/window.h"

/* Chorus is asked again at most so rarely while the token is refused, and sent to while it cannot
 * be reached: higher, and uploads resume late after the cure; lower, and a dead link is hammered.
 */
enum { TOKEN_PROBE_MOST_MS = 60000, NETWORK_PROBE_MOST_MS = 30000, PROBE_FIRST_MS = 1000 };

struct transfer {
    struct plan_item item;
    uint64_t number; /* of its start, for the window */
};

struct plan {
    struct plan_options options;
    uint64_t random;
    struct lanes lanes;
    struct window window;
    struct transfer sending[PLAN_MOST_TRANSFERS];
    size_t sending_count;
    struct {
        struct plan_item item;
        char reason[PLAN_REASON];
    } parked[PLAN_MOST_TRANSFERS];
    size_t parked_count;
    struct plan_item looking[PLAN_MOST_TRANSFERS];
    size_t looking_count;

    bool stopped;
    char wanted_pause[PLAN_REASON]; /* why nothing is to start; "": it may */
    int64_t paused_since_ms;        /* steady */
    bool token_paused, token_missing;
    bool probing;
    int probe_tries;
    int64_t probe_at_ms; /* steady; 0: none is due */

    bool network_down;
    int network_tries;
    int64_t hold_until_ms; /* steady; 0: none */
    /* Due times are wall times. Where the wall clock cannot be trusted to have kept resend_after
     * (at the start, and after it jumped), what may have arrived waits so long once more. */
    bool clock_known;
    int64_t clock_gap_ms;    /* wall less steady, at the last step */
    int64_t doubts_until_ms; /* steady; 0: none */
    int64_t next_due_ms;     /* wall: the earliest recording that waits; 0: none */
    int64_t woken_at_ms;     /* steady: the last EFFECT_WAKE; 0: none */
    int64_t retry_since_ms;  /* wall: retry_for counts from here at the earliest; 0: no matter */
    char paused_because[PLAN_REASON];
};

struct plan *plan_new(const struct plan_options *options, uint64_t seed)
{
    struct plan *plan = mem_zalloc(sizeof *plan);
    plan->options = *options;
    plan->random = seed;
    lanes_init(&plan->lanes, options->back_lane);
    window_init(&plan->window, options->concurrency);
    return plan;
}

void plan_free(struct plan *plan)
{
    free(plan);
}

static struct plan_effect *emit(struct plan_effects *effects, enum plan_effect_kind kind)
{
    assert(effects->count < PLAN_MOST_EFFECTS);
    struct plan_effect *effect = &effects->items[effects->count++];
    effect->kind = kind;
    effect->recording = 0;
    effect->said = "";
    return effect;
}

static void tell(struct plan_effects *effects, enum plan_news news, int64_t at_ms, const char *said)
{
    struct plan_effect *effect = emit(effects, EFFECT_TELL);
    effect->news = news;
    effect->at_ms = at_ms;
    effect->said = said;
}

static void note_due(struct plan *plan, int64_t due_ms)
{
    if (due_ms < 1)
        due_ms = 1;
    if (plan->next_due_ms == 0 || due_ms < plan->next_due_ms)
        plan->next_due_ms = due_ms;
}

/* The ledger has more that is queued than the lanes know of. */
static void note_queued(struct plan *plan)
{
    plan->lanes.lane[LANE_ORDER].more = true;
    plan->lanes.lane[LANE_BACK].more = plan->options.back_lane;
}

static void move(struct plan *plan, struct plan_effects *effects, int64_t recording,
                 const struct plan_move *what)
{
    struct plan_effect *effect = emit(effects, EFFECT_MOVE);
    effect->recording = recording;
    effect->move = *what;
    if (what->to == STATE_WAITING || what->to == STATE_UNCERTAIN)
        note_due(plan, what->next_attempt_ms);
    if (what->to == STATE_QUEUED)
        note_queued(plan);
}

static bool in_motion(const struct plan *plan, int64_t recording)
{
    for (size_t i = 0; i < plan->sending_count; i++) {
        if (plan->sending[i].item.recording == recording)
            return true;
    }
    for (size_t i = 0; i < plan->parked_count; i++) {
        if (plan->parked[i].item.recording == recording)
            return true;
    }
    for (size_t i = 0; i < plan->looking_count; i++) {
        if (plan->looking[i].recording == recording)
            return true;
    }
    return false;
}

/* --- pauses --- */

static void hold(struct plan *plan, int64_t until_ms)
{
    if (until_ms > plan->hold_until_ms)
        plan->hold_until_ms = until_ms;
}

static void probe(struct plan *plan, struct plan_effects *effects)
{
    if (plan->probing || plan->stopped)
        return;
    plan->probing = true;
    plan->probe_at_ms = 0;
    emit(effects, EFFECT_READ_TOKEN);
    emit(effects, EFFECT_PROBE);
}

static void probe_later(struct plan *plan, struct plan_time now)
{
    plan->probe_tries++;
    int64_t ceiling = PROBE_FIRST_MS;
    for (int i = 1; i < plan->probe_tries && ceiling < TOKEN_PROBE_MOST_MS; i++)
        ceiling *= 2;
    plan->probe_at_ms =
        now.steady_ms + (ceiling < TOKEN_PROBE_MOST_MS ? ceiling : TOKEN_PROBE_MOST_MS);
}

static void pause_for_token(struct plan *plan, struct plan_effects *effects, struct plan_time now,
                            bool missing, const char *said)
{
    snprintf(plan->paused_because, sizeof plan->paused_because, "%s%s%.400s",
             missing ? "there is no token" : "Chorus refused the token",
             said[0] != '\0' ? ": " : "", said);
    if (!plan->token_paused)
        tell(effects, NEWS_TOKEN_PAUSE, 0, said);
    plan->token_paused = true;
    plan->token_missing = missing;
    if (plan->probe_at_ms == 0 && !plan->probing)
        probe_later(plan, now);
}

static void resume_from_token(struct plan *plan, struct plan_effects *effects)
{
    if (plan->token_paused)
        tell(effects, NEWS_TOKEN_RESUMED, 0, "");
    plan->token_paused = false;
    plan->token_missing = false;
    plan->probe_tries = 0;
    plan->probe_at_ms = 0;
    plan->paused_because[0] = '\0';
}

static void network_is_down(struct plan *plan, struct plan_effects *effects, struct plan_time now,
                            const char *said)
{
    if (!plan->network_down) {
        plan->network_down = true;
        plan->network_tries = 0;
        tell(effects, NEWS_NETWORK_DOWN, 0, said);
    }
    /* those that were under way when it went down say it once more: that is no further try */
    if (now.steady_ms < plan->hold_until_ms)
        return;
    plan->network_tries++;
    hold(plan, now.steady_ms + backoff_delay(&plan->random, plan->options.retry_first_ms,
                                             NETWORK_PROBE_MOST_MS, plan->network_tries));
}

static void network_is_up(struct plan *plan, struct plan_effects *effects)
{
    if (!plan->network_down)
        return;
    plan->network_down = false;
    tell(effects, NEWS_NETWORK_UP, 0, "");
}

/* --- starts --- */

static void fetch_what_is_wanted(struct plan *plan, struct plan_effects *effects)
{
    for (int i = 0; i < LANE_COUNT; i++) {
        size_t wanted = (size_t)plan->window.most;
        size_t count = lanes_wants(&plan->lanes, (enum plan_lane)i, wanted);
        if (count == 0)
            continue;
        plan->lanes.lane[i].fetching = true;
        if (i == LANE_DUE)
            plan->next_due_ms = 0; /* the answer tells */
        struct plan_effect *effect = emit(effects, EFFECT_FETCH);
        effect->lane = (enum plan_lane)i;
        /* what is in memory already comes back too, and is passed over */
        effect->count = count + plan->parked_count + plan->looking_count +
                        plan->lanes.lane[LANE_ORDER].count + plan->lanes.lane[LANE_BACK].count +
                        plan->lanes.lane[LANE_DUE].count;
    }
}

/* The answer was lost, and there is no key under which to send it again. */
static void hold_without_key(struct plan *plan, struct plan_effects *effects,
                             const struct plan_item *item)
{
    struct plan_move what = {.to = STATE_HELD, .held = HELD_DOUBT};
    snprintf(what.reason, sizeof what.reason,
             "its upload was cut off, and without a meeting_id a resend could double it; look in "
             "Chorus, then `retry` or leave it");
    move(plan, effects, item->recording, &what);
}

static void send(struct plan *plan, struct plan_effects *effects, const struct plan_item *item)
{
    struct transfer *transfer = &plan->sending[plan->sending_count++];
    transfer->item = *item;
    transfer->number = window_start(&plan->window);
    emit(effects, EFFECT_SEND)->recording = item->recording;
}

/* With a scheduled key even a 409 proves nothing: ask first. */
static void look_up(struct plan *plan, struct plan_effects *effects, const struct plan_item *item)
{
    plan->looking[plan->looking_count++] = *item;
    emit(effects, EFFECT_LOOK_UP)->recording = item->recording;
}

static void start_what_may_start(struct plan *plan, struct plan_effects *effects,
                                 struct plan_time now)
{
    if (plan->stopped || plan->token_paused || plan->wanted_pause[0] != '\0')
        return;
    if (now.steady_ms < plan->hold_until_ms)
        return;
    /* parked and looked-up ones count, so that a flood of 403 asks one question and not a thousand
     */
    int most = plan->network_down ? 1 : plan->window.now;
    struct plan_item item;
    while ((int)(plan->sending_count + plan->parked_count + plan->looking_count) < most &&
           effects->count + 8 < PLAN_MOST_EFFECTS && lanes_take(&plan->lanes, &item)) {
        if (item.state == STATE_UNCERTAIN && item.key_kind == KEY_NONE &&
            !mutant("resend-without-key"))
            hold_without_key(plan, effects, &item);
        else if (item.state == STATE_UNCERTAIN && item.key_kind == KEY_SCHEDULED && !item.looked_up)
            look_up(plan, effects, &item);
        else
            send(plan, effects, &item);
    }
    fetch_what_is_wanted(plan, effects);
}

/* --- events --- */

static void fetched(struct plan *plan, const struct plan_event *event)
{
    struct lane *lane = &plan->lanes.lane[event->fetched.lane];
    bool stale = lane->stale;
    lane->fetching = lane->stale = false;
    lane->more = event->fetched.more || stale;
    for (size_t i = 0; !stale && i < event->fetched.count; i++) {
        if (!in_motion(plan, event->fetched.items[i].recording))
            lanes_put(&plan->lanes, event->fetched.lane, &event->fetched.items[i]);
    }
    /* what was noted while the ledger was asked counts, too */
    if (event->fetched.lane == LANE_DUE && event->fetched.next_due_ms != 0)
        note_due(plan, event->fetched.next_due_ms);
}

static void ready(struct plan *plan, const struct plan_item *item)
{
    struct lane *lane = &plan->lanes.lane[LANE_ORDER];
    if (in_motion(plan, item->recording))
        return;
    if (item->state != STATE_QUEUED) {
        note_due(plan, item->due_ms);
        return;
    }
    plan->lanes.lane[LANE_BACK].more = plan->options.back_lane;
    /* Where the ledger may hold some that go before it, a fetch brings it in its turn. */
    bool before_others = lane->count > 0 && item->rank < lane->items[lane->count - 1].rank;
    if (!lane->fetching && (!lane->more || before_others))
        lanes_put(&plan->lanes, LANE_ORDER, item);
    else
        lane->more = true;
}

static struct transfer take_transfer(struct plan *plan, int64_t recording)
{
    size_t i = 0;
    while (plan->sending[i].item.recording != recording) {
        i++;
        assert(i < plan->sending_count);
    }
    struct transfer taken = plan->sending[i];
    plan->sending[i] = plan->sending[--plan->sending_count];
    return taken;
}

static void park(struct plan *plan, struct plan_effects *effects, const struct plan_item *item,
                 const char *said)
{
    assert(plan->parked_count < PLAN_MOST_TRANSFERS);
    plan->parked[plan->parked_count].item = *item;
    snprintf(plan->parked[plan->parked_count].reason, PLAN_REASON,
             "Chorus refused it for this owner (403): %.400s", said);
    plan->parked_count++;
    probe(plan, effects);
}

/* What an ending means for everything else. Returns how long all is held, in ms; 0: it is not. */
static int64_t heed(struct plan *plan, struct plan_effects *effects,
                    const struct transfer *transfer, const struct plan_ending *ending,
                    struct plan_time now)
{
    bool busy = ending->verdict == VERDICT_BUSY || ending->status == 503;
    int64_t hold_ms = 0;
    if (ending->request_left)
        network_is_up(plan, effects);
    if (busy || ending->timed_out)
        window_congested(&plan->window, transfer->number);
    if (busy || ending->retry_after_ms >= 0) {
        hold_ms = backoff_retry_after(ending->retry_after_ms, 0);
        if (hold_ms > 0) {
            hold(plan, now.steady_ms + hold_ms);
            tell(effects, NEWS_HOLD, plan->hold_until_ms, ending->said);
        }
    }
    switch (ending->verdict) {
    case VERDICT_ACCEPTED:
    case VERDICT_KNOWN:
        window_succeeded(&plan->window);
        break;
    case VERDICT_TOKEN_REFUSED:
        pause_for_token(plan, effects, now, ending->status == 0, ending->said);
        break;
    case VERDICT_UNREACHABLE:
        network_is_down(plan, effects, now, ending->said);
        break;
    default:
        break;
    }
    return hold_ms;
}

static void count_retry_for_from(struct plan_item *item, int64_t since_ms, struct plan_time now)
{
    if (since_ms > now.wall_ms) /* the clock was set back a little since */
        since_ms = now.wall_ms;
    if (item->first_attempt_ms < since_ms)
        item->first_attempt_ms = since_ms;
}

static void ended(struct plan *plan, struct plan_effects *effects, const struct plan_event *event,
                  struct plan_time now)
{
    struct transfer transfer = take_transfer(plan, event->recording);
    if (!mutant("stale-key"))
        transfer.item = *event->item;
    count_retry_for_from(&transfer.item, plan->retry_since_ms, now);
    const struct plan_ending *ending = &event->ending;
    int64_t hold_ms = heed(plan, effects, &transfer, ending, now);
    struct plan_move what;
    ending_to_move(&plan->options, &transfer.item, ending, now, hold_ms, &plan->random, &what);
    move(plan, effects, event->recording, &what);
    if (ending->verdict == VERDICT_FORBIDDEN)
        park(plan, effects, &transfer.item, ending->said);
}

static void drop_parked(struct plan *plan, int64_t recording)
{
    for (size_t i = 0; i < plan->parked_count; i++) {
        if (plan->parked[i].item.recording == recording) {
            plan->parked[i] = plan->parked[--plan->parked_count];
            return;
        }
    }
}

/* What was parked on a 403 is held for its owner (the token is good), or goes back to the queue. */
static void unpark(struct plan *plan, struct plan_effects *effects, bool held)
{
    for (size_t i = 0; held && i < plan->parked_count; i++) {
        struct plan_move what = {.to = STATE_HELD, .held = HELD_FORBIDDEN, .status = 403};
        memcpy(what.reason, plan->parked[i].reason, PLAN_REASON);
        move(plan, effects, plan->parked[i].item.recording, &what);
    }
    plan->parked_count = 0;
    lanes_overtake(&plan->lanes);
    for (int i = 0; i < LANE_COUNT; i++)
        plan->lanes.lane[i].more = i != LANE_BACK || plan->options.back_lane;
}

static struct plan_item take_looking(struct plan *plan, int64_t recording)
{
    size_t i = 0;
    while (plan->looking[i].recording != recording) {
        i++;
        assert(i < plan->looking_count);
    }
    struct plan_item taken = plan->looking[i];
    plan->looking[i] = plan->looking[--plan->looking_count];
    return taken;
}

static void looked_up(struct plan *plan, struct plan_effects *effects,
                      const struct plan_event *event, struct plan_time now)
{
    struct plan_item item = take_looking(plan, event->recording);
    struct plan_move what = {0};
    lanes_overtake(&plan->lanes);
    switch (event->looked_up.evidence) {
    case EVIDENCE_FOUND:
        what.to = STATE_UPLOADED;
        what.engagement_id = event->looked_up.engagement_id;
        snprintf(what.reason, sizeof what.reason,
                 "an earlier attempt had arrived: Chorus shows it");
        break;
    case EVIDENCE_NOT_FOUND:
        if (!item.conflict) {
            item.looked_up = true;
            lanes_put(&plan->lanes, LANE_DUE, &item);
            return;
        }
        what.to = STATE_HELD;
        what.held = HELD_DOUBT;
        snprintf(what.reason, sizeof what.reason,
                 "Chorus knows this meeting_id already (409), and shows no recording of this owner "
                 "and name under it; look in Chorus, then `retry` or leave it");
        break;
    case EVIDENCE_NO_ANSWER:
        what.to = STATE_UNCERTAIN;
        what.conflict = item.conflict;
        what.next_attempt_ms =
            now.wall_ms + backoff_delay(&plan->random, plan->options.resend_after_ms,
                                        plan->options.retry_max_ms, 1);
        snprintf(what.reason, sizeof what.reason, "Chorus could not be asked whether it arrived");
        break;
    }
    move(plan, effects, event->recording, &what);
}

static void probed(struct plan *plan, struct plan_effects *effects, const struct plan_event *event,
                   struct plan_time now)
{
    bool refused = event->status == 401 || event->status == 403;
    bool silent = event->status == 0 || event->status >= 500 || event->status == 429;
    plan->probing = false;
    if (silent) {
        if (plan->token_paused || plan->parked_count > 0)
            probe_later(plan, now);
        return;
    }
    if (refused) {
        plan->probe_at_ms = 0;
        pause_for_token(plan, effects, now, plan->token_missing, event->said);
    } else {
        resume_from_token(plan, effects);
    }
    unpark(plan, effects, !refused);
}

static void token_read(struct plan *plan, struct plan_effects *effects,
                       const struct plan_event *event, struct plan_time now)
{
    if (!event->present) {
        pause_for_token(plan, effects, now, true, event->said);
    } else if (event->changed && plan->token_paused) {
        plan->token_missing = false;
        plan->probe_tries = 0;
        if (!plan->probing) {
            plan->probing = true;
            plan->probe_at_ms = 0;
            emit(effects, EFFECT_PROBE);
        }
    }
}

static void configured(struct plan *plan, const struct plan_options *options)
{
    plan->options = *options;
    window_limit(&plan->window, options->concurrency);
    plan->lanes.back_lane = options->back_lane;
    /* the order may be another: what is in the lanes is fetched anew */
    lanes_overtake(&plan->lanes);
    for (int i = 0; i < LANE_COUNT; i++) {
        plan->lanes.lane[i].count = 0;
        plan->lanes.lane[i].more = i != LANE_BACK || options->back_lane;
    }
}

bool plan_is_leap(int64_t by_ms, int64_t retry_for_ms)
{
    enum { SHORT_MS = 3600000 };
    return by_ms > SHORT_MS && by_ms > retry_for_ms / 2 && !mutant("leap-trusted");
}

static void mind_a_leap(struct plan *plan, struct plan_effects *effects, int64_t by_ms,
                        struct plan_time now)
{
    /* back, too: it may undo one leap of several, and what was tried between them counts from now
     */
    if (!plan_is_leap(by_ms > 0 ? by_ms : -by_ms, plan->options.retry_for_ms))
        return;
    plan->retry_since_ms = now.wall_ms;
    emit(effects, EFFECT_RETRY_ANEW)->at_ms = now.wall_ms;
}

/* What waited through a long pause was not tried meanwhile. */
static void pause_or_resume(struct plan *plan, struct plan_effects *effects, const char *said,
                            struct plan_time now)
{
    bool was = plan->wanted_pause[0] != '\0', is = said[0] != '\0';
    snprintf(plan->wanted_pause, sizeof plan->wanted_pause, "%s", said);
    if (!was)
        plan->paused_since_ms = now.steady_ms;
    if (was && !is)
        mind_a_leap(plan, effects, now.steady_ms - plan->paused_since_ms, now);
}

static void mind_the_wall_clock(struct plan *plan, struct plan_effects *effects,
                                struct plan_time now)
{
    enum { TOLERANCE_MS = 1000 }; /* more than it is slewed by between two steps */
    int64_t gap_ms = now.wall_ms - now.steady_ms, by_ms = gap_ms - plan->clock_gap_ms;
    if (!plan->clock_known || by_ms > TOLERANCE_MS || by_ms < -TOLERANCE_MS)
        plan->doubts_until_ms = now.steady_ms + plan->options.resend_after_ms;
    else if (now.steady_ms >= plan->doubts_until_ms)
        plan->doubts_until_ms = 0;
    if (plan->clock_known)
        mind_a_leap(plan, effects, by_ms, now);
    plan->clock_known = true;
    plan->clock_gap_ms = gap_ms;
    plan->lanes.doubts_wait = plan->doubts_until_ms != 0 && !mutant("wall-clock-trusted");
}

static int64_t far_off_ms(const struct plan *plan)
{
    int64_t longest_ms = plan->options.longest_wait_ms;
    return longest_ms > PLAN_FAR_OFF_MS ? longest_ms : PLAN_FAR_OFF_MS;
}

static void look_at_the_time(struct plan *plan, struct plan_effects *effects, struct plan_time now)
{
    if (plan->hold_until_ms != 0 && now.steady_ms >= plan->hold_until_ms)
        plan->hold_until_ms = 0;
    if (plan->probe_at_ms != 0 && now.steady_ms >= plan->probe_at_ms)
        probe(plan, effects);
    if (plan->next_due_ms != 0 &&
        (now.wall_ms >= plan->next_due_ms || plan->next_due_ms - now.wall_ms > far_off_ms(plan))) {
        plan->next_due_ms = 0;
        plan->lanes.lane[LANE_DUE].more = true;
    }
}

static void set_the_alarm(struct plan *plan, struct plan_effects *effects, struct plan_time now)
{
    /* a due time is only as good as the wall clock: looked at once a minute in any case */
    enum { LONGEST_SLEEP_MS = 60000 };
    int64_t at = 0;
    if (plan->next_due_ms != 0) {
        int64_t wait = plan->next_due_ms - now.wall_ms; /* what is due was looked at before */
        assert(wait > 0);
        at = now.steady_ms + (wait < LONGEST_SLEEP_MS ? wait : LONGEST_SLEEP_MS);
    }
    if (plan->hold_until_ms != 0 && (at == 0 || plan->hold_until_ms < at))
        at = plan->hold_until_ms;
    if (plan->probe_at_ms != 0 && (at == 0 || plan->probe_at_ms < at))
        at = plan->probe_at_ms;
    if (plan->lanes.doubts_wait && lanes_hold_doubts(&plan->lanes) &&
        (at == 0 || plan->doubts_until_ms < at))
        at = plan->doubts_until_ms;
    if (plan->stopped || at == 0)
        return;
    if (plan->woken_at_ms <= now.steady_ms || at < plan->woken_at_ms) {
        plan->woken_at_ms = at;
        emit(effects, EFFECT_WAKE)->at_ms = at;
    }
}

void plan_step(struct plan *plan, const struct plan_event *event, struct plan_time now,
               struct plan_effects *effects)
{
    effects->count = 0;
    mind_the_wall_clock(plan, effects, now);
    switch (event->kind) {
    case PLAN_START:
        plan->retry_since_ms = event->retry_since_ms;
        break;
    case PLAN_WAKE: /* perhaps a little early: then it is set again */
        plan->woken_at_ms = 0;
        break;
    case PLAN_READY:
        ready(plan, event->item);
        break;
    case PLAN_FETCHED:
        fetched(plan, event);
        break;
    case PLAN_ENDED:
        ended(plan, effects, event, now);
        break;
    case PLAN_NOT_SENT:
        (void)take_transfer(plan, event->recording);
        break;
    case PLAN_PROBED:
        probed(plan, effects, event, now);
        break;
    case PLAN_LOOKED_UP:
        looked_up(plan, effects, event, now);
        break;
    case PLAN_TOKEN:
        token_read(plan, effects, event, now);
        break;
    case PLAN_DROP:
        lanes_drop(&plan->lanes, event->recording);
        drop_parked(plan, event->recording);
        break;
    case PLAN_CONFIGURED:
        configured(plan, event->options);
        break;
    case PLAN_PAUSE:
        pause_or_resume(plan, effects, event->said, now);
        break;
    case PLAN_STOP:
        plan->stopped = true;
        break;
    }
    look_at_the_time(plan, effects, now);
    start_what_may_start(plan, effects, now);
    set_the_alarm(plan, effects, now);
}

const char *plan_paused_because(const struct plan *plan)
{
    if (plan->wanted_pause[0] != '\0')
        return plan->wanted_pause;
    if (plan->token_paused)
        return plan->paused_because;
    if (plan->network_down)
        return "Chorus cannot be reached";
    return plan->hold_until_ms != 0 ? "Chorus asked to wait" : "";
}

bool plan_token_is_refused(const struct plan *plan)
{
    return plan->token_paused;
}

int plan_window(const struct plan *plan)
{
    return plan->window.now;
}

int plan_in_flight(const struct plan *plan)
{
    return (int)plan->sending_count;
}
