/*
 * Reading back: whether Chorus has processed what it accepted. Batches of ids, at growing
 * intervals; absence proves nothing (private recordings are never returned), so it is only asked
 * again, and told with a count after a day.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/chorus/engagements.h"
#include "agent/service/internal.h"

#define MINUTE_MS INT64_C(60000)
#define DAY_MS (INT64_C(24) * 60 * MINUTE_MS)
/* Asked again after as long as it has waited already, within these bounds; a month after the upload
 * no more. */
#define SHORTEST_MS MINUTE_MS
#define LONGEST_MS (INT64_C(60) * MINUTE_MS)
#define LONGEST_LATE_MS DAY_MS
#define NO_MORE_MS (30 * DAY_MS)
enum { ANSWER_LIMIT = 4 * 1024 * 1024, LONGEST_SLEEP_MS = 60000, NOT_ASKED_MS = 5000 };

struct readback {
    struct service *service;
    uv_timer_t timer;
    struct question *question;
    struct ledger_check checks[ENGAGEMENTS_A_BATCH];
    bool processed[ENGAGEMENTS_A_BATCH];
    size_t count;
    bool busy, closing;
    int64_t next_ms;     /* wall: when the next check is due, 0: none */
    int64_t unprocessed; /* accepted more than a day ago */
};

static void on_timer(uv_timer_t *timer);

static void sleep_until_due(struct readback *readback)
{
    int64_t wait = readback->next_ms - when_now_ms();
    if (readback->closing || readback->next_ms == 0)
        return;
    wait = wait < 0 ? 0 : wait > LONGEST_SLEEP_MS ? LONGEST_SLEEP_MS : wait;
    uv_timer_start(&readback->timer, on_timer, (uint64_t)wait, 0);
}

static void clear_batch(void *ctx)
{
    struct readback *readback = ctx;
    for (size_t i = 0; i < readback->count; i++)
        free(readback->checks[i].engagement_id);
    readback->count = 0;
    readback->busy = false;
}

static int64_t again_at(int64_t uploaded_ms, int64_t now_ms)
{
    int64_t age = now_ms - uploaded_ms;
    if (age > NO_MORE_MS)
        return 0;
    int64_t longest = age > DAY_MS ? LONGEST_LATE_MS : LONGEST_MS;
    int64_t wait = age < SHORTEST_MS ? SHORTEST_MS : age > longest ? longest : age;
    return now_ms + wait;
}

static void apply_answers(void *ctx, struct ledger *ledger)
{
    struct readback *readback = ctx;
    int64_t now_ms = when_now_ms();
    for (size_t i = 0; i < readback->count; i++) {
        const struct ledger_check *check = &readback->checks[i];
        if (readback->processed[i])
            ledger_processed(ledger, check->recording, now_ms);
        else
            ledger_check_again(ledger, check->recording, again_at(check->uploaded_ms, now_ms));
    }
    readback->next_ms = ledger_next_check(ledger);
    readback->unprocessed = ledger_unprocessed(ledger, now_ms - DAY_MS);
}

static void answers_done(void *ctx)
{
    struct readback *readback = ctx;
    char count[24];
    clear_batch(readback);
    if (readback->unprocessed > 0) {
        snprintf(count, sizeof count, "%" PRId64, readback->unprocessed);
        log_trouble(LOG_WARNING, "unprocessed", "reason",
                    "accepted but never processed by Chorus for more than a day", "recordings",
                    count, NULL);
    }
    service_moved(readback->service);
    retirements_look_soon(readback->service);
    sleep_until_due(readback);
}

static void mark_processed(struct readback *readback, const struct engagement_page *page)
{
    for (size_t row = 0; row < page->count; row++) {
        if (!engagement_is_processed(&page->rows[row]))
            continue;
        for (size_t i = 0; i < readback->count; i++) {
            if (strcmp(readback->checks[i].engagement_id, page->rows[row].id) == 0)
                readback->processed[i] = true;
        }
    }
}

static void on_answer(void *ctx, const struct question_answer *answer)
{
    struct readback *readback = ctx;
    struct engagement_page page;
    readback->question = NULL;
    if (answer->status == 200 && engagements_read(answer->body, &page) == 0) {
        mark_processed(readback, &page);
        engagements_clear(&page);
    }
    journal_add(readback->service->journal,
                &(struct journal_step){apply_answers, answers_done, clear_batch, readback});
}

static void ask(struct readback *readback)
{
    char *ids[ENGAGEMENTS_A_BATCH];
    for (size_t i = 0; i < readback->count; i++)
        ids[i] = readback->checks[i].engagement_id;
    char *target = engagements_target_by_id(ids, readback->count);
    int error = uploader_ask(readback->service->uploader, "GET", target, ANSWER_LIMIT, on_answer,
                             readback, &readback->question);
    free(target);
    if (error != 0) {
        readback->next_ms = when_now_ms() + NOT_ASKED_MS; /* Chorus has no part in that */
        clear_batch(readback);
        sleep_until_due(readback);
    }
}

static void apply_batch(void *ctx, struct ledger *ledger)
{
    struct readback *readback = ctx;
    clear_batch(readback);
    readback->busy = true;
    memset(readback->processed, 0, sizeof readback->processed);
    readback->count =
        ledger_due_checks(ledger, when_now_ms(), readback->checks, ENGAGEMENTS_A_BATCH);
    readback->next_ms = ledger_next_check(ledger);
}

static void batch_done(void *ctx)
{
    struct readback *readback = ctx;
    if (readback->count > 0 && !readback->closing) {
        ask(readback);
        return;
    }
    clear_batch(readback);
    sleep_until_due(readback);
}

static void on_timer(uv_timer_t *timer)
{
    struct readback *readback = timer->data;
    if (readback->busy || readback->closing)
        return;
    /* while nothing gets through, asking again is for the plan */
    if (plan_paused_because(readback->service->plan)[0] != '\0') {
        readback->next_ms = when_now_ms() + SHORTEST_MS;
        sleep_until_due(readback);
        return;
    }
    readback->busy = true;
    journal_add(readback->service->journal,
                &(struct journal_step){apply_batch, batch_done, clear_batch, readback});
}

void readback_look_within(struct readback *readback, int64_t ms)
{
    int64_t at = when_now_ms() + ms;
    if (readback->closing || (readback->next_ms != 0 && readback->next_ms <= at))
        return;
    readback->next_ms = at;
    if (!readback->busy) /* else it sleeps no longer than that once it is not */
        sleep_until_due(readback);
}

struct readback *readback_new(struct service *service)
{
    struct readback *readback = mem_zalloc(sizeof *readback);
    readback->service = service;
    uv_timer_init(&service->loop, &readback->timer);
    readback->timer.data = readback;
    uv_timer_start(&readback->timer, on_timer, 0, 0);
    return readback;
}

void readback_stop(struct readback *readback)
{
    readback->closing = true;
    uv_timer_stop(&readback->timer);
    if (readback->question != NULL)
        uploader_ask_abort(readback->question);
}

bool readback_is_idle(const struct readback *readback)
{
    return readback->question == NULL;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void readback_close(struct readback *readback)
{
    uv_close((uv_handle_t *)&readback->timer, on_closed);
}
