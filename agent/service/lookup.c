/*
 * Looking an uncertain recording up in Chorus: engagements of the time since its first attempt,
 * newest first, with its owner and its name; then the meeting id of each that fits. Only a positive
 * read counts: private recordings are never returned, lists lag, so absence proves nothing.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/base/mem.h"
#include "agent/base/mutant.h"
#include "agent/base/when.h"
#include "agent/chorus/engagements.h"
#include "agent/service/internal.h"

/* Clocks differ; and more pages than this of one owner's calls since one attempt are no window any
 * more. */
#define CLOCK_SLACK_MS (INT64_C(15) * 60000)
enum { MOST_PAGES = 100, MOST_CANDIDATES = 20, ANSWER_LIMIT = 4 * 1024 * 1024 };

struct lookup {
    struct service *service;
    struct lookup *next;
    int64_t recording;
    char *owner, *name, *meeting_id;
    int64_t from_ms, to_ms;
    bool found_job, is_anothers;
    char *candidates[MOST_CANDIDATES];
    size_t candidate_count, asked;
    char *last_key; /* of the page before, to notice a list that goes round */
    unsigned pages;
    struct question *question;
};

static void end(struct lookup *lookup, enum plan_evidence evidence, const char *id)
{
    struct service *service = lookup->service;
    struct plan_event event = {.kind = PLAN_LOOKED_UP, .recording = lookup->recording};
    char *copy = mem_string(id != NULL ? id : "");
    struct lookup **link = &service->lookups;
    while (*link != lookup)
        link = &(*link)->next;
    *link = lookup->next;
    for (size_t i = 0; i < lookup->candidate_count; i++)
        free(lookup->candidates[i]);
    free(lookup->owner);
    free(lookup->name);
    free(lookup->meeting_id);
    free(lookup->last_key);
    free(lookup);
    event.looked_up.evidence = evidence;
    event.looked_up.engagement_id = copy;
    service_plan(service, &event);
    free(copy);
}

static void lookup_dropped(void *ctx)
{
    end(ctx, EVIDENCE_NO_ANSWER, NULL);
}

static void ask(struct lookup *lookup, char *target, question_done done)
{
    int error = uploader_ask(lookup->service->uploader, "GET", target, ANSWER_LIMIT, done, lookup,
                             &lookup->question);
    free(target);
    if (error != 0)
        end(lookup, EVIDENCE_NO_ANSWER, NULL);
}

/* --- the candidates' meeting ids --- */

static void ask_next_candidate(struct lookup *lookup);

/* Owner, name and meeting id agree; but two recordings of ours may share all three. */
static void apply_claim(void *ctx, struct ledger *ledger)
{
    struct lookup *lookup = ctx;
    lookup->is_anothers = ledger_engagement_may_be_anothers(ledger, lookup->recording,
                                                            lookup->candidates[lookup->asked]);
}

static void claim_done(void *ctx)
{
    struct lookup *lookup = ctx;
    if (!lookup->is_anothers) {
        end(lookup, EVIDENCE_FOUND, lookup->candidates[lookup->asked]);
        return;
    }
    lookup->asked++;
    ask_next_candidate(lookup);
}

static void on_conversation(void *ctx, const struct question_answer *answer)
{
    struct lookup *lookup = ctx;
    lookup->question = NULL;
    char *meeting_id = answer->status == 200 ? conversation_meeting_id(answer->body) : NULL;
    bool ours = meeting_id != NULL && strcmp(meeting_id, lookup->meeting_id) == 0;
    free(meeting_id);
    if (ours)
        journal_add(lookup->service->journal,
                    &(struct journal_step){apply_claim, claim_done, lookup_dropped, lookup});
    else if (answer->status != 200 && answer->status != 404)
        end(lookup, EVIDENCE_NO_ANSWER, NULL);
    else {
        lookup->asked++;
        ask_next_candidate(lookup);
    }
}

static void ask_next_candidate(struct lookup *lookup)
{
    if (lookup->asked == lookup->candidate_count)
        end(lookup, EVIDENCE_NOT_FOUND, NULL);
    else
        ask(lookup, conversation_target(lookup->candidates[lookup->asked]), on_conversation);
}

/* --- the list --- */

static void add_candidate(struct lookup *lookup, const char *id)
{
    for (size_t i = 0; i < lookup->candidate_count; i++) {
        if (strcmp(lookup->candidates[i], id) == 0)
            return; /* rows may repeat across pages */
    }
    if (lookup->candidate_count < MOST_CANDIDATES && id[0] != '\0')
        lookup->candidates[lookup->candidate_count++] = mem_string(id);
}

/* Returns whether rows older than the attempt were met: then the rest is older still. */
static bool take_rows(struct lookup *lookup, const struct engagement_page *page)
{
    bool older = false;
    for (size_t i = 0; i < page->count; i++) {
        const struct engagement *row = &page->rows[i];
        if (row->date_time_ms != 0 && row->date_time_ms < lookup->from_ms)
            older = true;
        if (mutant("look-up-by-key-alone") || (strcasecmp(row->user_email, lookup->owner) == 0 &&
                                               strcmp(row->subject, lookup->name) == 0))
            add_candidate(lookup, row->id);
    }
    return older;
}

static void on_page(void *ctx, const struct question_answer *answer);

static void ask_page(struct lookup *lookup, const char *key)
{
    ask(lookup, engagements_target_by_time(lookup->from_ms, lookup->to_ms, key), on_page);
}

static void on_page(void *ctx, const struct question_answer *answer)
{
    struct lookup *lookup = ctx;
    struct engagement_page page;
    lookup->question = NULL;
    if (answer->status != 200 || answer->truncated || engagements_read(answer->body, &page) != 0) {
        end(lookup, EVIDENCE_NO_ANSWER, NULL);
        return;
    }
    bool older = take_rows(lookup, &page);
    char *key = mem_string(page.continuation_key);
    engagements_clear(&page);
    bool round = key != NULL && lookup->last_key != NULL && strcmp(key, lookup->last_key) == 0;
    if (key == NULL || older || round || ++lookup->pages == MOST_PAGES) {
        free(key);
        ask_next_candidate(lookup);
        return;
    }
    mem_replace(&lookup->last_key, key);
    ask_page(lookup, key);
}

/* --- its beginning --- */

static void apply_begin(void *ctx, struct ledger *ledger)
{
    struct lookup *lookup = ctx;
    struct ledger_job job;
    lookup->found_job = ledger_job(ledger, lookup->recording, &job) == 0 && job.owner != NULL &&
                        job.name != NULL && job.meeting_id != NULL;
    mem_replace(&lookup->owner, mem_string(job.owner));
    mem_replace(&lookup->name, mem_string(job.name));
    mem_replace(&lookup->meeting_id, mem_string(job.meeting_id));
    lookup->from_ms =
        (job.first_attempt_ms != 0 ? job.first_attempt_ms : when_now_ms()) - CLOCK_SLACK_MS;
    lookup->to_ms = when_now_ms() + CLOCK_SLACK_MS;
    ledger_job_clear(&job);
}

static void begin_done(void *ctx)
{
    struct lookup *lookup = ctx;
    if (lookup->found_job && !lookup->service->stopping)
        ask_page(lookup, NULL);
    else
        end(lookup, EVIDENCE_NO_ANSWER, NULL);
}

void lookup_begin(struct service *service, int64_t recording)
{
    struct lookup *lookup = mem_zalloc(sizeof *lookup);
    lookup->service = service;
    lookup->recording = recording;
    lookup->next = service->lookups;
    service->lookups = lookup;
    journal_add(service->journal,
                &(struct journal_step){apply_begin, begin_done, lookup_dropped, lookup});
}

void lookups_abort(struct service *service)
{
    for (struct lookup *lookup = service->lookups; lookup != NULL; lookup = lookup->next) {
        if (lookup->question != NULL)
            uploader_ask_abort(lookup->question);
    }
}
