/*
 * Erasures carried out: what is due is asked of Chorus, in batches, one question of each kind at a
 * time, and each answer is a step of erasure.h, saved before the next question. Before a DELETE
 * leaves, the intent of each is durable; its tombstones have been since it was marked.
 *
 * Pauses of the plan (token, network, Retry-After) hold here, too. Ids come from control files:
 * they are encoded, and compared without case.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/base/mem.h"
#include "agent/base/mutant.h"
#include "agent/base/when.h"
#include "agent/chorus/engagements.h"
#include "agent/ledger/deletions.h"
#include "agent/plan/backoff.h"
#include "agent/service/internal.h"
#include "agent/service/search.h"

enum {
    ANSWER_LIMIT = 4 * 1024 * 1024,
    LONGEST_SLEEP_MS = 60000,
    PAUSED_AGAIN_MS = 1000,
    ERROR_AGAIN_MS = 2000,
    TOKEN_AGAIN_MS = 5000,
    MOST_FOUND = 8, /* named in the reason of an ambiguous one */
};

/* What is asked of Chorus for the erasures of one phase. */
struct lane {
    struct erasures *all;
    enum erasure_phase phase;
    struct erasure batch[ENGAGEMENTS_A_BATCH];
    struct erasure_event events[ENGAGEMENTS_A_BATCH]; /* what the answer means for each */
    size_t count;
    bool busy;
    struct question *question;
    char *said; /* the events' */
};

struct erasures {
    struct service *service;
    uv_timer_t timer;
    struct lane sees, sends, confirms, finds;
    struct search *search;
    struct ledger_sought sought;
    char *found[MOST_FOUND];
    size_t found_count;    /* may be more than are kept */
    int64_t hold_until_ms; /* steady: Chorus asked to wait */
    bool closing;
};

/* --- lanes --- */

static void look(struct erasures *all);

static void clear_lane(void *ctx)
{
    struct lane *lane = ctx;
    lane->count = 0;
    lane->busy = false;
    mem_replace(&lane->said, NULL);
}

static void lane_ended(void *ctx)
{
    struct lane *lane = ctx;
    struct service *service = lane->all->service;
    clear_lane(lane);
    service_moved(service);
    deletions_look_soon(service);
    removals_look_soon(service);
    forgetting_look_soon(service);
    look(lane->all);
}

static void set_event(struct lane *lane, size_t i, enum erasure_event_kind kind)
{
    lane->events[i] = (struct erasure_event){.kind = kind, .retry_after_ms = -1};
}

/* What happened meanwhile holds: the erasure is read anew, and only stepped where it still is in
 * the phase that was asked about. */
static void apply_events(void *ctx, struct ledger *ledger)
{
    struct lane *lane = ctx;
    const struct config *config = lane->all->service->config;
    const struct erasure_options options = service_erasure_options(config);
    int64_t now_ms = when_now_ms();
    for (size_t i = 0; i < lane->count; i++) {
        struct erasure erasure;
        if (!ledger_erasure(ledger, lane->batch[i].id, &erasure) || erasure.phase != lane->phase)
            continue;
        erasure_step(&erasure, &lane->events[i], &options, now_ms);
        ledger_erasure_save(ledger, &erasure, now_ms);
        lane->batch[i] = erasure;
    }
}

static void log_erasure(const struct erasure *erasure)
{
    const char *outcome = erasure_outcome_name(erasure->outcome);
    bool bad = erasure->outcome != OUTCOME_DELETED;
    if (erasure->phase == ERASURE_OVER)
        log_event(bad ? LOG_WARNING : LOG_INFO, "deletion", "engagement_id",
                  erasure->engagement_id[0] != '\0' ? erasure->engagement_id : NULL, "outcome",
                  outcome, "reason", erasure->reason[0] != '\0' ? erasure->reason : NULL, NULL);
}

static void events_done(void *ctx)
{
    struct lane *lane = ctx;
    for (size_t i = 0; i < lane->count; i++)
        log_erasure(&lane->batch[i]);
    lane_ended(lane);
}

static void save_events(struct lane *lane)
{
    journal_add(lane->all->service->journal,
                &(struct journal_step){apply_events, events_done, clear_lane, lane});
}

static void nothing_came(struct lane *lane)
{
    for (size_t i = 0; i < lane->count; i++)
        set_event(lane, i, ERASURE_NO_ANSWER);
    save_events(lane);
}

/* --- what all of Chorus is asked to wait for --- */

static void heed_retry_after(struct erasures *all, const struct question_answer *answer)
{
    bool asked = answer->status == 429 || (answer->status == 503 && answer->retry_after_ms >= 0);
    if (asked)
        all->hold_until_ms =
            when_steady_ms() + backoff_retry_after(answer->retry_after_ms, ERROR_AGAIN_MS);
}

/* --- reads --- */

static void mark_visible(struct lane *lane, const struct engagement_page *page)
{
    for (size_t row = 0; row < page->count; row++) {
        for (size_t i = 0; i < lane->count; i++) {
            if (strcasecmp(lane->batch[i].engagement_id, page->rows[row].id) == 0) {
                struct erasure *shown = &lane->batch[i];
                snprintf(shown->engagement_id, sizeof shown->engagement_id, "%s",
                         page->rows[row].id);
                lane->events[i] = (struct erasure_event){
                    .kind = ERASURE_READ, .visible = true, .engagement_id = shown->engagement_id};
            }
        }
    }
}

/* Absence from a page is only absence where all that was asked for is on it. */
static void on_read(void *ctx, const struct question_answer *answer)
{
    struct lane *lane = ctx;
    struct engagement_page page;
    lane->question = NULL;
    heed_retry_after(lane->all, answer);
    if (answer->status == 401) {
        /* the plan's pause, which it may not know of yet: no step */
        lane->all->hold_until_ms = when_steady_ms() + TOKEN_AGAIN_MS;
        clear_lane(lane);
        look(lane->all);
        return;
    }
    bool read = answer->status == 200 && !answer->truncated;
    if (!read || engagements_read(answer->body, &page) != 0) {
        nothing_came(lane);
        return;
    }
    bool whole = page.continuation_key == NULL || mutant("page-is-whole");
    for (size_t i = 0; i < lane->count; i++)
        set_event(lane, i, whole ? ERASURE_READ : ERASURE_NO_ANSWER);
    mark_visible(lane, &page);
    engagements_clear(&page);
    save_events(lane);
}

static char *ids_of(const struct lane *lane, char *(*target_of)(char *const *ids, size_t count))
{
    char *ids[ENGAGEMENTS_A_BATCH];
    for (size_t i = 0; i < lane->count; i++)
        ids[i] = (char *)lane->batch[i].engagement_id;
    return target_of(ids, lane->count);
}

static void ask(struct lane *lane, const char *method, char *target, question_done done)
{
    int error = uploader_ask(lane->all->service->uploader, method, target, ANSWER_LIMIT, done, lane,
                             &lane->question);
    free(target);
    if (error != 0)
        nothing_came(lane);
}

static void apply_reads(void *ctx, struct ledger *ledger)
{
    struct lane *lane = ctx;
    lane->count =
        ledger_erasures_due(ledger, lane->phase, when_now_ms(), lane->batch, ENGAGEMENTS_A_BATCH);
}

static void reads_done(void *ctx)
{
    struct lane *lane = ctx;
    if (lane->count > 0 && !lane->all->closing)
        ask(lane, "GET", ids_of(lane, engagements_target_by_id), on_read);
    else
        clear_lane(lane);
}

/* --- DELETEs --- */

static bool goes_alone(const struct erasure *erasure)
{
    return erasure->alone || erasure->force;
}

/* The oldest, and with it all that may go in one request. */
static void choose_batch(struct lane *lane, size_t count)
{
    lane->count = 0;
    if (count > 0 && goes_alone(&lane->batch[0])) {
        lane->count = 1;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (!goes_alone(&lane->batch[i]))
            lane->batch[lane->count++] = lane->batch[i];
    }
}

static void apply_intent(void *ctx, struct ledger *ledger)
{
    struct lane *lane = ctx;
    int64_t now_ms = when_now_ms();
    choose_batch(
        lane, ledger_erasures_due(ledger, lane->phase, now_ms, lane->batch, ENGAGEMENTS_A_BATCH));
    for (size_t i = 0; i < lane->count; i++) {
        erasure_intend(&lane->batch[i], now_ms);
        ledger_erasure_save(ledger, &lane->batch[i], now_ms);
    }
}

static void on_deleted(void *ctx, const struct question_answer *answer)
{
    struct lane *lane = ctx;
    lane->question = NULL;
    heed_retry_after(lane->all, answer);
    mem_replace(&lane->said, mem_string(answer->said));
    bool left = answer->status != 0 || answer->request_left;
    for (size_t i = 0; i < lane->count; i++)
        lane->events[i] =
            (struct erasure_event){.kind = left ? ERASURE_ANSWERED : ERASURE_NO_ANSWER,
                                   .status = answer->status,
                                   .batch = lane->count > 1,
                                   .retry_after_ms = answer->retry_after_ms,
                                   .said = lane->said};
    save_events(lane);
}

static char *delete_target(const struct lane *lane)
{
    const struct erasure *first = &lane->batch[0];
    if (first->force)
        return conversation_delete_target(first->engagement_id);
    if (lane->count == 1)
        return engagement_delete_target(first->engagement_id);
    return ids_of(lane, engagements_target_by_id);
}

static void intent_done(void *ctx)
{
    struct lane *lane = ctx;
    if (lane->count == 0)
        clear_lane(lane);
    else if (lane->all->closing)
        nothing_came(lane);
    else
        ask(lane, "DELETE", delete_target(lane), on_deleted);
}

/* --- looking up what has no id --- */

static void free_found(struct erasures *all)
{
    for (size_t i = 0; i < all->found_count && i < MOST_FOUND; i++)
        mem_replace(&all->found[i], NULL);
    all->found_count = 0;
}

static char *list_found(const struct erasures *all)
{
    char *list = mem_string("");
    for (size_t i = 0; i < all->found_count && i < MOST_FOUND; i++)
        mem_replace(&list, mem_printf("%s%s%s", list, i > 0 ? ", " : "", all->found[i]));
    if (all->found_count > MOST_FOUND)
        mem_replace(&list, mem_printf("%s, ...", list));
    return list;
}

/* One alone is no guess where all was seen, or where the meeting id, too, is its own. */
static void judge_found(struct lane *lane, enum search_end how)
{
    struct erasures *all = lane->all;
    struct erasure_event *event = &lane->events[0];
    bool sure = how == SEARCH_WHOLE || all->sought.meeting_id != NULL;
    mem_replace(&lane->said, all->found_count == 1 ? mem_string(all->found[0]) : list_found(all));
    if (how == SEARCH_CUT_OFF)
        set_event(lane, 0, ERASURE_NO_ANSWER);
    else if (all->found_count == 0)
        set_event(lane, 0, ERASURE_NOT_FOUND);
    else if (all->found_count == 1 && sure)
        set_event(lane, 0, ERASURE_FOUND);
    else
        set_event(lane, 0, ERASURE_AMBIGUOUS);
    event->engagement_id = event->said = lane->said;
}

static void on_searched(void *ctx, enum search_end how)
{
    struct lane *lane = ctx;
    struct erasures *all = lane->all;
    search_free(all->search);
    all->search = NULL;
    judge_found(lane, how);
    free_found(all);
    ledger_sought_clear(&all->sought);
    save_events(lane);
}

static void search_dropped(void *ctx)
{
    on_searched(ctx, SEARCH_CUT_OFF);
}

/* It may be known as another recording's. */
static void apply_found(void *ctx, struct ledger *ledger)
{
    struct lane *lane = ctx;
    struct erasures *all = lane->all;
    size_t last = all->found_count - 1;
    if (last < MOST_FOUND &&
        ledger_engagement_is_anothers(ledger, lane->batch[0].recording, all->found[last]))
        all->found[last][0] = '\0';
}

static void found_done(void *ctx)
{
    struct lane *lane = ctx;
    struct erasures *all = lane->all;
    size_t last = all->found_count - 1;
    if (last < MOST_FOUND && all->found[last][0] == '\0') {
        mem_replace(&all->found[last], NULL);
        all->found_count--;
    }
    search_go_on(all->search);
}

static void on_found(void *ctx, const char *engagement_id)
{
    struct lane *lane = ctx;
    struct erasures *all = lane->all;
    if (all->found_count < MOST_FOUND)
        all->found[all->found_count] = mem_string(engagement_id);
    all->found_count++;
    journal_add(all->service->journal,
                &(struct journal_step){apply_found, found_done, search_dropped, lane});
}

static void apply_sought(void *ctx, struct ledger *ledger)
{
    struct lane *lane = ctx;
    ledger_sought_clear(&lane->all->sought);
    lane->count = ledger_erasures_due(ledger, lane->phase, when_now_ms(), lane->batch, 1);
    if (lane->count > 0)
        ledger_erasure_sought(ledger, lane->batch[0].id, &lane->all->sought);
}

static void sought_done(void *ctx)
{
    struct lane *lane = ctx;
    struct erasures *all = lane->all;
    const struct search_hooks hooks = {on_found, on_searched, lane};
    const struct search_for what = {.owner = all->sought.owner,
                                    .name = all->sought.name,
                                    .meeting_id = all->sought.meeting_id,
                                    .from_ms = all->sought.from_ms,
                                    .to_ms = all->sought.to_ms};
    if (lane->count == 0) {
        clear_lane(lane);
        return;
    }
    if (what.owner != NULL && what.name != NULL && !all->closing)
        all->search = search_begin(all->service->uploader, &what, &hooks);
    if (all->search == NULL) {
        ledger_sought_clear(&all->sought);
        nothing_came(lane);
    }
}

/* --- what is due --- */

static bool is_due(struct ledger *ledger, enum erasure_phase phase)
{
    struct erasure first;
    return ledger_erasures_due(ledger, phase, when_now_ms(), &first, 1) > 0;
}

static void begin_if_due(struct lane *lane, struct ledger *ledger,
                         void (*apply)(void *ctx, struct ledger *ledger), void (*done)(void *ctx))
{
    if (lane->busy || !is_due(ledger, lane->phase))
        return;
    lane->busy = true;
    journal_add(lane->all->service->journal, &(struct journal_step){apply, done, clear_lane, lane});
}

static int64_t held_for_ms(const struct erasures *all)
{
    if (plan_paused_because(all->service->plan)[0] != '\0')
        return PAUSED_AGAIN_MS;
    return all->hold_until_ms - when_steady_ms();
}

static void on_timer(uv_timer_t *timer)
{
    look(timer->data);
}

static void sleep_for(struct erasures *all, int64_t ms)
{
    ms = ms < 0 ? 0 : ms > LONGEST_SLEEP_MS ? LONGEST_SLEEP_MS : ms;
    uv_timer_start(&all->timer, on_timer, (uint64_t)ms, 0);
}

/* A lane that is busy looks again when it ends. */
static bool is_busy(const struct erasures *all)
{
    return all->sees.busy || all->sends.busy || all->confirms.busy || all->finds.busy;
}

static void look(struct erasures *all)
{
    struct ledger *ledger = journal_ledger(all->service->journal);
    if (all->closing)
        return;
    int64_t next_ms = ledger != NULL ? ledger_erasures_next(ledger) : 0;
    if (ledger == NULL)
        sleep_for(all, PAUSED_AGAIN_MS);
    if (next_ms == 0)
        return;
    if (next_ms > when_now_ms()) {
        sleep_for(all, next_ms - when_now_ms());
        return;
    }
    int64_t held_ms = held_for_ms(all);
    if (held_ms > 0) {
        sleep_for(all, held_ms);
        return;
    }
    begin_if_due(&all->sees, ledger, apply_reads, reads_done);
    begin_if_due(&all->sends, ledger, apply_intent, intent_done);
    begin_if_due(&all->confirms, ledger, apply_reads, reads_done);
    begin_if_due(&all->finds, ledger, apply_sought, sought_done);
    sleep_for(all, is_busy(all) ? LONGEST_SLEEP_MS : PAUSED_AGAIN_MS);
}

void erasures_look_soon(struct service *service)
{
    struct erasures *all = service->erasures;
    if (all != NULL && !all->closing)
        sleep_for(all, 0);
}

/* --- its life --- */

static void init_lane(struct erasures *all, struct lane *lane, enum erasure_phase phase)
{
    lane->all = all;
    lane->phase = phase;
}

struct erasures *erasures_new(struct service *service)
{
    struct erasures *all = mem_zalloc(sizeof *all);
    all->service = service;
    init_lane(all, &all->sees, ERASURE_SEES);
    init_lane(all, &all->sends, ERASURE_SENDS);
    init_lane(all, &all->confirms, ERASURE_CONFIRMS);
    init_lane(all, &all->finds, ERASURE_FINDS);
    uv_timer_init(&service->loop, &all->timer);
    all->timer.data = all;
    sleep_for(all, 0);
    return all;
}

void erasures_stop(struct erasures *all)
{
    struct lane *const lanes[] = {&all->sees, &all->sends, &all->confirms};
    all->closing = true;
    uv_timer_stop(&all->timer);
    for (size_t i = 0; i < sizeof lanes / sizeof lanes[0]; i++) {
        if (lanes[i]->question != NULL)
            uploader_ask_abort(lanes[i]->question);
    }
    if (all->search != NULL)
        search_abort(all->search);
}

bool erasures_are_idle(const struct erasures *all)
{
    return all->sees.question == NULL && all->sends.question == NULL &&
           all->confirms.question == NULL && all->search == NULL;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void erasures_close(struct erasures *all)
{
    uv_close((uv_handle_t *)&all->timer, on_closed);
}
