/*
 * Looking an uncertain recording up in Chorus (search.h). Only a positive read counts, and one that
 * may be another recording's of ours is none.
 */
#include <stdlib.h>

#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/service/internal.h"
#include "agent/service/search.h"

struct lookup {
    struct service *service;
    struct lookup *next;
    int64_t recording;
    char *owner, *name, *meeting_id;
    int64_t from_ms;
    bool found_job, is_anothers;
    char *found; /* the engagement that is asked about */
    struct search *search;
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
    if (lookup->search != NULL)
        search_free(lookup->search);
    free(lookup->owner);
    free(lookup->name);
    free(lookup->meeting_id);
    free(lookup->found);
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

/* Owner, name and meeting id agree; but two recordings of ours may share all three. */
static void apply_claim(void *ctx, struct ledger *ledger)
{
    struct lookup *lookup = ctx;
    lookup->is_anothers =
        ledger_engagement_may_be_anothers(ledger, lookup->recording, lookup->found);
}

static void claim_done(void *ctx)
{
    struct lookup *lookup = ctx;
    if (!lookup->is_anothers)
        end(lookup, EVIDENCE_FOUND, lookup->found);
    else
        search_go_on(lookup->search);
}

static void on_found(void *ctx, const char *engagement_id)
{
    struct lookup *lookup = ctx;
    mem_replace(&lookup->found, mem_string(engagement_id));
    journal_add(lookup->service->journal,
                &(struct journal_step){apply_claim, claim_done, lookup_dropped, lookup});
}

static void on_ended(void *ctx, enum search_end how)
{
    end(ctx, how == SEARCH_CUT_OFF ? EVIDENCE_NO_ANSWER : EVIDENCE_NOT_FOUND, NULL);
}

static void apply_begin(void *ctx, struct ledger *ledger)
{
    struct lookup *lookup = ctx;
    struct ledger_job job;
    lookup->found_job = ledger_job(ledger, lookup->recording, &job) == 0 && job.owner != NULL &&
                        job.name != NULL && job.meeting_id != NULL;
    mem_replace(&lookup->owner, mem_string(job.owner));
    mem_replace(&lookup->name, mem_string(job.name));
    mem_replace(&lookup->meeting_id, mem_string(job.meeting_id));
    lookup->from_ms = job.first_attempt_ms != 0 ? job.first_attempt_ms : when_now_ms();
    ledger_job_clear(&job);
}

static void begin_done(void *ctx)
{
    struct lookup *lookup = ctx;
    const struct search_for what = {.owner = lookup->owner,
                                    .name = lookup->name,
                                    .meeting_id = lookup->meeting_id,
                                    .from_ms = lookup->from_ms,
                                    .to_ms = when_now_ms()};
    const struct search_hooks hooks = {on_found, on_ended, lookup};
    if (lookup->found_job && !lookup->service->stopping)
        lookup->search = search_begin(lookup->service->uploader, &what, &hooks);
    if (lookup->search == NULL)
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
        if (lookup->search != NULL)
            search_abort(lookup->search);
    }
}
