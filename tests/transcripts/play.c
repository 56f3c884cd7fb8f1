#include "tests/transcripts/play.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/mem.h"

enum { FETCH_ROOM = 512 };

#define MUST(play, condition, ...)                                                                 \
    do {                                                                                           \
        if (!(condition))                                                                          \
            play_fail(play, __VA_ARGS__);                                                          \
    } while (0)

void play_fail(struct play *play, const char *format, ...)
{
    char words[256];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    if (play->seed != 0)
        print_error("after %lld ms: %s; again with CHORUS_SEED=%llu\n",
                    (long long)(play->now.steady_ms - STEADY), words,
                    (unsigned long long)play->seed);
    else
        print_error("after %lld ms: %s\n", (long long)(play->now.steady_ms - STEADY), words);
    fail();
    abort();
}

/* --- beginning and ending ----------------------------------------------------------------------
 */

void play_begin(struct play *play, int concurrency)
{
    struct plan_options options = {.concurrency = concurrency,
                                   .retry_first_ms = S,
                                   .retry_max_ms = 15 * MIN,
                                   .retry_for_ms = 7 * DAY,
                                   .resend_after_ms = 60 * S,
                                   .back_lane = true};
    play_begin_with(play, &options, 0);
}

void play_begin_with(struct play *play, const struct plan_options *options, uint64_t seed)
{
    memset(play, 0, sizeof *play);
    play->seed = seed;
    play->options = *options;
    play->now = (struct plan_time){.steady_ms = STEADY, .wall_ms = WALL};
    play->call_count = 1;
    play->oldest_queued = SIZE_MAX;
    play->token_number = play->token_read_number = 1;
    play->flights = mem_array(2 * PLAN_MOST_TRANSFERS, sizeof *play->flights);
    play->plan = plan_new(options, seed != 0 ? seed : 42);
}

void play_end(struct play *play)
{
    for (size_t i = 1; i < play->call_count; i++)
        free(play->calls[i].reason);
    for (size_t i = 0; i < play->journal_count; i++)
        free(play->journal[i].items);
    free(play->calls);
    free(play->journal);
    free(play->ready);
    free(play->flights);
    free(play->starts);
    plan_free(play->plan);
    memset(play, 0, sizeof *play);
}

/* --- the ledger in memory ------------------------------------------------------------------------
 */

struct call *call_of(struct play *play, int64_t id)
{
    MUST(play, id > 0 && (size_t)id < play->call_count, "there is no recording %lld",
         (long long)id);
    return &play->calls[id];
}

static bool is_waiting(enum recording_state state)
{
    return state == STATE_WAITING || state == STATE_UNCERTAIN;
}

static bool is_to_be_sent(enum recording_state state)
{
    return state == STATE_QUEUED || is_waiting(state);
}

static void note_ready(struct play *play, int64_t id)
{
    if (play->ready_count == play->ready_room) {
        play->ready_room = 2 * play->ready_room + 64;
        play->ready = mem_resize(play->ready, play->ready_room, sizeof *play->ready);
    }
    play->ready[play->ready_count++] = id;
}

static void set_state(struct play *play, int64_t id, enum recording_state state)
{
    struct call *call = call_of(play, id);
    play->waiting += (size_t)is_waiting(state);
    play->waiting -= (size_t)is_waiting(call->state);
    call->state = state;
    if (state == STATE_QUEUED) {
        play->oldest_queued = (size_t)id < play->oldest_queued ? (size_t)id : play->oldest_queued;
        play->newest_queued = (size_t)id > play->newest_queued ? (size_t)id : play->newest_queued;
    }
    if (is_to_be_sent(state))
        note_ready(play, id);
}

static int64_t add_call(struct play *play, enum key_kind key)
{
    if (play->call_count + 1 > play->call_room) {
        play->call_room = 2 * play->call_room + 64;
        play->calls = mem_resize(play->calls, play->call_room, sizeof *play->calls);
    }
    int64_t id = (int64_t)play->call_count++;
    play->calls[id] = (struct call){.state = STATE_HASHING, .key = key};
    set_state(play, id, STATE_QUEUED);
    return id;
}

static void give_item(struct play *play, int64_t id, int64_t rank, struct plan_item *item)
{
    struct call *call = call_of(play, id);
    *item = (struct plan_item){.recording = id,
                               .rank = rank,
                               .state = call->state,
                               .key_kind = call->key,
                               .attempts = call->attempts,
                               .uncertain = call->uncertain,
                               .conflict = call->conflict,
                               .first_attempt_ms = call->first_attempt_ms,
                               .due_ms = call->due_ms};
}

static int64_t rank_in_order(const struct play *play, int64_t id)
{
    return play->options.back_lane ? -id : id;
}

static void fetch_newest(struct play *play, struct journal_entry *entry, size_t most)
{
    while (play->newest_queued > 0 && play->calls[play->newest_queued].state != STATE_QUEUED)
        play->newest_queued--;
    for (size_t id = play->newest_queued; id > 0 && entry->count < most; id--) {
        if (play->calls[id].state == STATE_QUEUED)
            give_item(play, (int64_t)id, -(int64_t)id, &entry->items[entry->count++]);
    }
}

static void fetch_oldest(struct play *play, struct journal_entry *entry, size_t most)
{
    while (play->oldest_queued < play->call_count &&
           play->calls[play->oldest_queued].state != STATE_QUEUED)
        play->oldest_queued++;
    for (size_t id = play->oldest_queued; id < play->call_count && entry->count < most; id++) {
        if (play->calls[id].state == STATE_QUEUED)
            give_item(play, (int64_t)id, (int64_t)id, &entry->items[entry->count++]);
    }
}

static int by_rank(const void *a, const void *b)
{
    const struct plan_item *x = a, *y = b;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

static void fetch_due(struct play *play, struct journal_entry *entry, size_t most)
{
    struct plan_item *due = mem_array(play->waiting + 1, sizeof *due);
    size_t count = 0, seen = 0;
    for (size_t id = 1; id < play->call_count && seen < play->waiting; id++) {
        struct call *call = &play->calls[id];
        if (!is_waiting(call->state))
            continue;
        seen++;
        bool far_off = call->due_ms > play->now.wall_ms + PLAN_FAR_OFF_MS;
        if (call->due_ms <= play->now.wall_ms || far_off)
            give_item(play, (int64_t)id, call->due_ms, &due[count++]);
        else if (entry->next_due_ms == 0 || call->due_ms < entry->next_due_ms)
            entry->next_due_ms = call->due_ms;
    }
    qsort(due, count, sizeof *due, by_rank);
    entry->count = count < most ? count : most;
    memcpy(entry->items, due, entry->count * sizeof *due);
    free(due);
}

static void apply_fetch(struct play *play, struct journal_entry *entry)
{
    size_t most = entry->effect.count < FETCH_ROOM ? entry->effect.count : FETCH_ROOM;
    entry->items = mem_array(most, sizeof *entry->items);
    if (entry->effect.lane == LANE_DUE)
        fetch_due(play, entry, most);
    else if (entry->effect.lane == LANE_ORDER && play->options.back_lane)
        fetch_newest(play, entry, most);
    else
        fetch_oldest(play, entry, most);
    entry->more = entry->count == most;
}

static void apply_send(struct play *play, struct journal_entry *entry)
{
    struct call *call = call_of(play, entry->effect.recording);
    if (call->cannot_be_opened && is_to_be_sent(call->state)) {
        set_state(play, entry->effect.recording, STATE_GONE);
        return;
    }
    if (!is_to_be_sent(call->state))
        return;
    MUST(play, call->state != STATE_UNCERTAIN || call->key != KEY_NONE,
         "%lld is sent again without a key", (long long)entry->effect.recording);
    set_state(play, entry->effect.recording, STATE_UPLOADING);
    call->attempts++;
    if (call->first_attempt_ms == 0)
        call->first_attempt_ms = play->now.wall_ms;
    call->due_ms = 0;
    entry->intended = true;
}

static void apply_move(struct play *play, const struct plan_effect *effect)
{
    struct call *call = call_of(play, effect->recording);
    const struct plan_move *move = &effect->move;
    if (call->state == STATE_GONE && !state_may_move(STATE_GONE, move->to))
        return; /* it vanished meanwhile */
    MUST(play, state_may_move(call->state, move->to), "%lld may not go from %s to %s",
         (long long)effect->recording, state_name(call->state), state_name(move->to));
    if (move->attempt == ATTEMPT_FREE || move->attempt == ATTEMPT_NEVER_LEFT) {
        call->attempts--;
        if (call->attempts == 0)
            call->first_attempt_ms = 0;
    }
    call->uncertain += move->was_uncertain;
    call->due_ms = move->next_attempt_ms;
    call->held = move->held;
    call->known_by_409 = move->known_by_409;
    call->conflict = move->conflict;
    call->status = move->status;
    if (move->engagement_id != NULL)
        call->engagement_id = move->engagement_id;
    mem_replace(&call->reason, mem_string(move->reason));
    set_state(play, effect->recording, move->to);
}

/* --- what must hold after every step
 * --------------------------------------------------------------- */

static void check_counts(struct play *play)
{
    size_t counts[EFFECT_TELL + 1] = {0};
    for (size_t i = 0; i < play->effects.count; i++)
        counts[play->effects.items[i].kind]++;
    MUST(play, play->effects.count <= PLAN_MOST_EFFECTS, "too many effects");
    MUST(play,
         counts[EFFECT_FETCH] <= LANE_COUNT && counts[EFFECT_PROBE] <= 1 &&
             counts[EFFECT_READ_TOKEN] <= 1 && counts[EFFECT_WAKE] <= 1 && counts[EFFECT_TELL] <= 4,
         "too many effects of one kind");
    MUST(play, counts[EFFECT_SEND] <= (size_t)play->options.concurrency, "too many starts");
}

static void check_concurrency(struct play *play)
{
    size_t most = play->network_down ? 1 : (size_t)plan_window(play->plan);
    bool started = false;
    for (size_t i = 0; i < play->effects.count; i++)
        started = started || play->effects.items[i].kind == EFFECT_SEND ||
                  play->effects.items[i].kind == EFFECT_LOOK_UP;
    MUST(play, (size_t)plan_in_flight(play->plan) == play->flight_count,
         "the plan believes that %d are in flight, and %zu are", plan_in_flight(play->plan),
         play->flight_count);
    MUST(play, !started || play->flight_count + play->looking_count <= most,
         "%zu are in flight, and %zu may be", play->flight_count + play->looking_count, most);
    MUST(play, plan_window(play->plan) >= 1 && plan_window(play->plan) <= play->options.concurrency,
         "a window of %d", plan_window(play->plan));
}

static bool something_is_left(const struct play *play)
{
    if (play->waiting > 0)
        return true;
    for (size_t id = play->oldest_queued; id < play->call_count; id++) {
        if (play->calls[id].state == STATE_QUEUED)
            return true;
    }
    return false;
}

static void check_no_stall(struct play *play)
{
    bool asked = play->flight_count > 0 || play->looking_count > 0 || play->probe_open ||
                 play->journal_count > 0 || play->ready_count > 0;
    for (int i = 0; i < LANE_COUNT; i++)
        asked = asked || play->fetching[i];
    if (play->stopped || play->wanted_pause || asked || play->wake_at_ms != 0)
        return;
    MUST(play, !something_is_left(play),
         "a quiet stall: nothing is in flight or asked for, no alarm is set");
}

/* --- the journal
 * ------------------------------------------------------------------------------------ */

static void take_off(struct play *play, int64_t id)
{
    for (size_t i = 0; i < play->flight_count; i++) {
        if (play->flights[i] != id)
            continue;
        play->flight_count--;
        memmove(&play->flights[i], &play->flights[i + 1],
                (play->flight_count - i) * sizeof *play->flights);
        return;
    }
    play_fail(play, "%lld ends, and is not in flight", (long long)id);
}

static void note_start(struct play *play, int64_t id)
{
    struct call *call = call_of(play, id);
    MUST(play, !call->sending, "%lld is sent twice at once", (long long)id);
    MUST(play, !play->stopped, "%lld is started after the stop", (long long)id);
    MUST(play, !play->wanted_pause, "%lld is started during a pause", (long long)id);
    MUST(play, !play->token_paused, "%lld is started without a good token", (long long)id);
    MUST(play, play->now.steady_ms >= play->hold_until_ms,
         "%lld is started before the end of Retry-After", (long long)id);
    MUST(play, play->now.steady_ms >= call->not_again_before_ms,
         "%lld is sent again before resend_after", (long long)id);
    MUST(play, !call->looking, "%lld is sent while it is looked for", (long long)id);
    MUST(play, call->state != STATE_UNCERTAIN || call->key != KEY_SCHEDULED || call->looked_up,
         "%lld is sent again, and nobody has looked whether it is there", (long long)id);
    call->sending = true;
    call->looked_up = false;
    call->sent_at_ms = play->now.steady_ms;
    play->flights[play->flight_count++] = id;
    if (play->start_count == play->start_room) {
        play->start_room = 2 * play->start_room + 64;
        play->starts = mem_resize(play->starts, play->start_room, sizeof *play->starts);
    }
    play->starts[play->start_count++] = id;
}

static void note_look_up(struct play *play, int64_t id)
{
    struct call *call = call_of(play, id);
    MUST(play, !call->looking && !call->sending, "%lld is looked for twice, or while it is sent",
         (long long)id);
    MUST(play, !play->stopped && !play->token_paused && !play->wanted_pause,
         "%lld is looked for during a pause", (long long)id);
    call->looking = true;
    play->looking_count++;
}

static void note_move(struct play *play, const struct plan_effect *effect)
{
    struct call *call = call_of(play, effect->recording);
    bool ended = call->ended, held = effect->move.to == STATE_HELD && !call->sending;
    MUST(play, ended || held, "%lld is moved, and nothing of it has ended",
         (long long)effect->recording);
    MUST(play, strlen(effect->move.reason) > 0, "a move without a reason");
    call->ended = false;
}

static void note_news(struct play *play, const struct plan_effect *effect)
{
    play->told[effect->news]++;
    if (effect->news == NEWS_TOKEN_PAUSE || effect->news == NEWS_TOKEN_RESUMED)
        play->token_paused = effect->news == NEWS_TOKEN_PAUSE;
    if (effect->news == NEWS_NETWORK_DOWN || effect->news == NEWS_NETWORK_UP)
        play->network_down = effect->news == NEWS_NETWORK_DOWN;
}

static void queue(struct play *play, const struct plan_effect *effect)
{
    if (play->journal_count == play->journal_room) {
        play->journal_room = 2 * play->journal_room + 64;
        play->journal = mem_resize(play->journal, play->journal_room, sizeof *play->journal);
    }
    play->journal[play->journal_count++] = (struct journal_entry){.effect = *effect};
}

static void carry_out(struct play *play, const struct plan_effect *effect)
{
    switch (effect->kind) {
    case EFFECT_SEND:
        note_start(play, effect->recording);
        break;
    case EFFECT_MOVE:
        note_move(play, effect);
        break;
    case EFFECT_LOOK_UP:
        note_look_up(play, effect->recording);
        break;
    case EFFECT_FETCH:
        MUST(play, effect->count > 0 && effect->count <= FETCH_ROOM, "a fetch of %zu",
             effect->count);
        MUST(play, !play->fetching[effect->lane], "two fetches of one lane at once");
        play->fetching[effect->lane] = true;
        break;
    case EFFECT_PROBE:
        MUST(play, !play->probe_open, "two probes at once");
        play->probe_open = true;
        play->probes++;
        play->probed_at_ms = play->now.steady_ms;
        break;
    case EFFECT_READ_TOKEN:
        play->token_reads++;
        break;
    case EFFECT_WAKE:
        MUST(play, effect->at_ms > play->now.steady_ms, "an alarm for a time that is over");
        play->wake_at_ms = effect->at_ms;
        return;
    case EFFECT_RETRY_ANEW:
        return;
    case EFFECT_TELL:
        note_news(play, effect);
        return;
    }
    queue(play, effect);
}

static void step(struct play *play, const struct plan_event *event)
{
    if (event->kind == PLAN_WAKE)
        play->wake_at_ms = 0;
    plan_step(play->plan, event, play->now, &play->effects);
    check_counts(play);
    for (size_t i = 0; i < play->effects.count; i++)
        carry_out(play, &play->effects.items[i]);
    check_concurrency(play);
    check_no_stall(play);
}

static void step_simple(struct play *play, enum plan_event_kind kind)
{
    struct plan_event event = {.kind = kind};
    step(play, &event);
}

static void read_token(struct play *play)
{
    struct plan_event event = {.kind = PLAN_TOKEN, .said = ""};
    event.present = play->token != TOKEN_MISSING;
    event.changed = event.present && play->token_number != play->token_read_number;
    play->token_read_number = event.present ? play->token_number : 0;
    step(play, &event);
}

static void fetched(struct play *play, const struct journal_entry *entry)
{
    struct plan_event event = {.kind = PLAN_FETCHED};
    play->fetching[entry->effect.lane] = false;
    if (entry->count > play->most_fetched)
        play->most_fetched = entry->count;
    event.fetched.lane = entry->effect.lane;
    event.fetched.items = entry->items;
    event.fetched.count = entry->count;
    event.fetched.more = entry->more;
    event.fetched.next_due_ms = entry->next_due_ms;
    step(play, &event);
}

static void probed(struct play *play, int status)
{
    struct plan_event event = {.kind = PLAN_PROBED, .status = status, .said = "words of Chorus"};
    play->probe_open = false;
    step(play, &event);
}

static void finish(struct play *play, struct journal_entry *entry)
{
    int64_t id = entry->effect.recording;
    switch (entry->effect.kind) {
    case EFFECT_SEND:
        if (!entry->intended) {
            struct plan_event event = {.kind = PLAN_NOT_SENT, .recording = id};
            take_off(play, id);
            call_of(play, id)->sending = false;
            step(play, &event);
        }
        break;
    case EFFECT_FETCH:
        fetched(play, entry);
        break;
    case EFFECT_PROBE:
        if (play->token == TOKEN_MISSING)
            probed(play, 0);
        break;
    case EFFECT_READ_TOKEN:
        read_token(play);
        break;
    default:
        break;
    }
}

static void tell_ready(struct play *play)
{
    int64_t *ready = play->ready;
    size_t count = play->ready_count;
    play->ready = NULL;
    play->ready_count = play->ready_room = 0;
    for (size_t i = 0; i < count; i++) {
        struct plan_item item;
        struct plan_event event = {.kind = PLAN_READY, .item = &item};
        give_item(play, ready[i], rank_in_order(play, ready[i]), &item);
        if (is_to_be_sent(item.state))
            step(play, &event);
    }
    free(ready);
}

static void apply(struct play *play, struct journal_entry *entry)
{
    if (entry->effect.kind == EFFECT_FETCH)
        apply_fetch(play, entry);
    else if (entry->effect.kind == EFFECT_SEND)
        apply_send(play, entry);
    else if (entry->effect.kind == EFFECT_MOVE)
        apply_move(play, &entry->effect);
}

void play_flush(struct play *play)
{
    size_t count = play->journal_count;
    for (size_t i = 0; i < count; i++)
        apply(play, &play->journal[i]);
    for (size_t i = 0; i < count; i++) {
        struct journal_entry entry = play->journal[0]; /* finishing it may queue others */
        play->journal_count--;
        memmove(&play->journal[0], &play->journal[1], play->journal_count * sizeof entry);
        finish(play, &entry);
        free(entry.items);
    }
    tell_ready(play);
    check_no_stall(play);
}

void play_settle(struct play *play)
{
    for (int rounds = 0; play->journal_count > 0 || play->ready_count > 0; rounds++) {
        MUST(play, rounds < 10000, "it turns in a circle");
        play_flush(play);
    }
}

static void go_on(struct play *play)
{
    if (!play->lazy)
        play_settle(play);
}

/* --- what happens
 * ----------------------------------------------------------------------------------- */

int64_t calls_are_there(struct play *play, size_t n, enum key_kind key)
{
    int64_t first = (int64_t)play->call_count;
    for (size_t i = 0; i < n; i++)
        add_call(play, key);
    play->ready_count = 0;
    return first;
}

int64_t calls_come(struct play *play, size_t n, enum key_kind key)
{
    int64_t first = (int64_t)play->call_count;
    for (size_t i = 0; i < n; i++)
        add_call(play, key);
    go_on(play);
    return first;
}

int64_t call_comes(struct play *play, enum key_kind key)
{
    return calls_come(play, 1, key);
}

int64_t call_was_interrupted(struct play *play, enum key_kind key)
{
    int64_t id = add_call(play, key);
    struct call *call = call_of(play, id);
    set_state(play, id, STATE_UNCERTAIN);
    call->attempts = call->uncertain = 1;
    call->first_attempt_ms = play->now.wall_ms;
    call->due_ms = play->now.wall_ms + play->options.resend_after_ms;
    call->not_again_before_ms = play->now.steady_ms + play->options.resend_after_ms;
    return id;
}

void call_vanishes(struct play *play, int64_t id, bool told)
{
    struct call *call = call_of(play, id);
    if (!is_to_be_sent(call->state) && call->state != STATE_HELD) {
        call->cannot_be_opened = true;
        return;
    }
    set_state(play, id, STATE_GONE);
    if (told) {
        struct plan_event event = {.kind = PLAN_DROP, .recording = id};
        step(play, &event);
        go_on(play);
    }
}

void call_is_retried(struct play *play, int64_t id)
{
    struct call *call = call_of(play, id);
    call->due_ms = call->first_attempt_ms = 0;
    call->held = HELD_NOT;
    if (call->key != KEY_DERIVED)
        call->uncertain = 0;
    set_state(play, id, STATE_QUEUED);
    go_on(play);
}

void play_start(struct play *play)
{
    step_simple(play, PLAN_START);
    go_on(play);
}

void play_stop(struct play *play)
{
    play->stopped = true;
    step_simple(play, PLAN_STOP);
    go_on(play);
}

void play_pause(struct play *play, const char *why)
{
    struct plan_event event = {.kind = PLAN_PAUSE, .said = why};
    play->wanted_pause = why[0] != '\0';
    step(play, &event);
    go_on(play);
}

void play_configure(struct play *play, const struct plan_options *options)
{
    struct plan_event event = {.kind = PLAN_CONFIGURED, .options = options};
    play->options = *options;
    step(play, &event);
    go_on(play);
}

static void note_ending(struct play *play, struct call *call, const struct plan_ending *ending)
{
    int64_t asked = ending->retry_after_ms;
    if (asked >= 0) {
        int64_t clamped = asked < S ? S : asked > HOUR ? HOUR : asked;
        if (play->now.steady_ms + clamped > play->hold_until_ms)
            play->hold_until_ms = play->now.steady_ms + clamped;
    }
    if (ending->verdict == VERDICT_UNCERTAIN)
        call->not_again_before_ms = play->now.steady_ms + play->options.resend_after_ms;
    call->posts += ending->request_left;
    call->sending = false;
    call->ended = true;
}

void ends(struct play *play, int64_t id, struct plan_ending ending)
{
    struct plan_item item;
    struct plan_event event = {
        .kind = PLAN_ENDED, .recording = id, .item = &item, .ending = ending};
    struct call *call = call_of(play, id);
    give_item(play, id, 0, &item);
    MUST(play, call->state == STATE_UPLOADING, "%lld ends, and its intent was not recorded",
         (long long)id);
    take_off(play, id);
    note_ending(play, call, &ending);
    step(play, &event);
    MUST(play, !call_of(play, id)->ended, "%lld has ended, and was not moved", (long long)id);
    go_on(play);
}

static struct plan_ending ending_of(struct exchange exchange, const char *said)
{
    return (struct plan_ending){.verdict = verdict_judge(&exchange),
                                .status = exchange.status,
                                .request_left = exchange.request_left,
                                .retry_after_ms = -1,
                                .said = said,
                                .engagement_id = ""};
}

struct plan_ending accepted(const char *engagement_id)
{
    struct plan_ending ending = ending_of(
        (struct exchange){
            .request_left = true, .body_handed_out = true, .status = 200, .answer_is_object = true},
        "");
    ending.engagement_id = engagement_id;
    return ending;
}

struct plan_ending answer(int status, const char *said)
{
    return ending_of(
        (struct exchange){.request_left = true, .body_handed_out = true, .status = status}, said);
}

struct plan_ending answer_retry_after(int status, int64_t retry_after_ms)
{
    struct plan_ending ending = answer(status, "slow down");
    ending.retry_after_ms = retry_after_ms;
    return ending;
}

struct plan_ending lost(void)
{
    return ending_of((struct exchange){.request_left = true, .body_handed_out = true},
                     "connection reset");
}

struct plan_ending lost_after_a_stall(void)
{
    struct plan_ending ending = lost();
    ending.timed_out = true;
    return ending;
}

struct plan_ending cut_off(void)
{
    return ending_of((struct exchange){.request_left = true}, "connection reset");
}

struct plan_ending stalled(void)
{
    struct plan_ending ending = cut_off();
    ending.timed_out = true;
    return ending;
}

struct plan_ending unreachable(void)
{
    return ending_of((struct exchange){0}, "connection refused");
}

struct plan_ending no_token(void)
{
    return (struct plan_ending){
        .verdict = VERDICT_TOKEN_REFUSED, .retry_after_ms = -1, .said = "no token"};
}

void probe_answers(struct play *play, int status)
{
    MUST(play, play->probe_open, "nobody has asked whether the token is good");
    probed(play, status);
    go_on(play);
}

void look_up_answers(struct play *play, int64_t id, enum plan_evidence evidence)
{
    struct plan_event event = {.kind = PLAN_LOOKED_UP, .recording = id};
    struct call *call = call_of(play, id);
    MUST(play, call->looking, "nobody looks for %lld", (long long)id);
    event.looked_up.evidence = evidence;
    event.looked_up.engagement_id = evidence == EVIDENCE_FOUND ? "found" : NULL;
    call->looking = false;
    call->looked_up = evidence == EVIDENCE_NOT_FOUND && !call->conflict;
    call->ended = true;
    play->looking_count--;
    step(play, &event);
    call_of(play, id)->ended = false;
    go_on(play);
}

void token_becomes(struct play *play, enum fake_token token)
{
    play->token = token;
    play->token_number++;
    read_token(play);
    go_on(play);
}

static void pass(struct play *play, int64_t ms)
{
    play->now.steady_ms += ms;
    play->now.wall_ms += ms;
}

static void ring(struct play *play)
{
    step_simple(play, PLAN_WAKE);
    go_on(play);
}

void time_passes(struct play *play, int64_t ms)
{
    int64_t until = play->now.steady_ms + ms;
    while (play->wake_at_ms != 0 && play->wake_at_ms <= until) {
        if (play->wake_at_ms > play->now.steady_ms)
            pass(play, play->wake_at_ms - play->now.steady_ms);
        ring(play);
    }
    pass(play, until - play->now.steady_ms);
}

int64_t until_the_alarm(struct play *play)
{
    MUST(play, play->wake_at_ms != 0, "no alarm is set");
    int64_t wait = play->wake_at_ms - play->now.steady_ms;
    time_passes(play, wait);
    return wait;
}

void alarm_rings_early(struct play *play, int64_t early_ms)
{
    MUST(play, play->wake_at_ms != 0, "no alarm is set");
    int64_t wait = play->wake_at_ms - early_ms - play->now.steady_ms;
    if (wait > 0)
        pass(play, wait);
    ring(play);
}

void wall_clock_jumps(struct play *play, int64_t by_ms)
{
    play->now.wall_ms += by_ms;
}

/* --- what is to be seen
 * ------------------------------------------------------------------------------ */

size_t in_flight(const struct play *play)
{
    return play->flight_count;
}

bool is_in_flight(struct play *play, int64_t id)
{
    return call_of(play, id)->sending;
}

bool is_looked_for(struct play *play, int64_t id)
{
    return call_of(play, id)->looking;
}

int64_t first_in_flight(const struct play *play)
{
    assert_true(play->flight_count > 0);
    return play->flights[0];
}

size_t count_of(const struct play *play, enum recording_state state)
{
    size_t count = 0;
    for (size_t id = 1; id < play->call_count; id++)
        count += play->calls[id].state == state;
    return count;
}

int64_t waits_for(struct play *play, int64_t id)
{
    return call_of(play, id)->due_ms - play->now.wall_ms;
}

void expect_state(struct play *play, int64_t id, enum recording_state state)
{
    enum recording_state is = call_of(play, id)->state;
    MUST(play, is == state, "%lld is %s, not %s", (long long)id, state_name(is), state_name(state));
}

void expect_reason(struct play *play, int64_t id, const char *part)
{
    const char *reason = call_of(play, id)->reason;
    MUST(play, reason != NULL && strstr(reason, part) != NULL, "%lld says '%s', not '%s'",
         (long long)id, reason != NULL ? reason : "nothing", part);
}
