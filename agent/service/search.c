#include "agent/service/search.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/base/mem.h"
#include "agent/base/mutant.h"
#include "agent/chorus/engagements.h"
#include "uploader/uploader.h"

/* Clocks differ; and more pages than this of one owner's calls since one attempt are no window any
 * more. */
#define CLOCK_SLACK_MS (INT64_C(15) * 60000)
enum { MOST_PAGES = 100, MOST_CANDIDATES = 20, ANSWER_LIMIT = 4 * 1024 * 1024 };

struct search {
    struct uploader *uploader;
    struct search_hooks hooks;
    char *owner, *name, *meeting_id;
    int64_t from_ms, to_ms;
    char *candidates[MOST_CANDIDATES];
    size_t candidate_count, asked;
    bool limited, aborted;
    char *last_key; /* of the page before, to notice a list that goes round */
    unsigned pages;
    struct question *question;
};

static bool ask(struct search *search, char *target, question_done done)
{
    int error = uploader_ask(search->uploader, "GET", target, ANSWER_LIMIT, done, search,
                             &search->question);
    free(target);
    return error == 0;
}

static void end(struct search *search, enum search_end how)
{
    search->hooks.ended(search->hooks.ctx, how);
}

/* --- the candidates' meeting ids --- */

static void on_conversation(void *ctx, const struct question_answer *answer);

/* An engagement without a meeting id to compare fits as it is. */
static void take_next_candidate(struct search *search)
{
    if (search->aborted) {
        end(search, SEARCH_CUT_OFF);
        return;
    }
    if (search->asked == search->candidate_count) {
        end(search, search->limited ? SEARCH_LIMITED : SEARCH_WHOLE);
        return;
    }
    const char *id = search->candidates[search->asked];
    if (search->meeting_id == NULL) {
        search->asked++;
        search->hooks.found(search->hooks.ctx, id);
    } else if (!ask(search, conversation_target(id), on_conversation)) {
        end(search, SEARCH_CUT_OFF);
    }
}

static void on_conversation(void *ctx, const struct question_answer *answer)
{
    struct search *search = ctx;
    search->question = NULL;
    char *meeting_id = answer->status == 200 ? conversation_meeting_id(answer->body) : NULL;
    bool fits = meeting_id != NULL && strcmp(meeting_id, search->meeting_id) == 0;
    free(meeting_id);
    if (answer->status != 200 && answer->status != 404) {
        end(search, SEARCH_CUT_OFF);
        return;
    }
    const char *id = search->candidates[search->asked++];
    if (fits)
        search->hooks.found(search->hooks.ctx, id);
    else
        take_next_candidate(search);
}

void search_go_on(struct search *search)
{
    take_next_candidate(search);
}

/* --- the list --- */

static void add_candidate(struct search *search, const char *id)
{
    for (size_t i = 0; i < search->candidate_count; i++) {
        if (strcmp(search->candidates[i], id) == 0)
            return; /* rows may repeat across pages */
    }
    if (search->candidate_count < MOST_CANDIDATES && id[0] != '\0')
        search->candidates[search->candidate_count++] = mem_string(id);
    else
        search->limited = true;
}

/* Returns whether rows older than the window were met: then the rest is older still. */
static bool take_rows(struct search *search, const struct engagement_page *page)
{
    bool older = false;
    for (size_t i = 0; i < page->count; i++) {
        const struct engagement *row = &page->rows[i];
        if (row->date_time_ms != 0 && row->date_time_ms < search->from_ms)
            older = true;
        if (mutant("look-up-by-key-alone") || (strcasecmp(row->user_email, search->owner) == 0 &&
                                               strcmp(row->subject, search->name) == 0))
            add_candidate(search, row->id);
    }
    return older;
}

static void on_page(void *ctx, const struct question_answer *answer);

static bool ask_page(struct search *search, const char *key)
{
    return ask(search, engagements_target_by_time(search->from_ms, search->to_ms, key), on_page);
}

static void on_page(void *ctx, const struct question_answer *answer)
{
    struct search *search = ctx;
    struct engagement_page page;
    search->question = NULL;
    if (answer->status != 200 || answer->truncated || engagements_read(answer->body, &page) != 0) {
        end(search, SEARCH_CUT_OFF);
        return;
    }
    bool older = take_rows(search, &page);
    char *key = mem_string(page.continuation_key);
    engagements_clear(&page);
    bool round = key != NULL && search->last_key != NULL && strcmp(key, search->last_key) == 0;
    bool last = key == NULL || older || round;
    if (!last && ++search->pages == MOST_PAGES)
        last = search->limited = true;
    if (last) {
        free(key);
        take_next_candidate(search);
        return;
    }
    mem_replace(&search->last_key, key);
    if (!ask_page(search, key))
        end(search, SEARCH_CUT_OFF);
}

/* --- its life --- */

struct search *search_begin(struct uploader *uploader, const struct search_for *what,
                            const struct search_hooks *hooks)
{
    struct search *search = mem_zalloc(sizeof *search);
    search->uploader = uploader;
    search->hooks = *hooks;
    search->owner = mem_string(what->owner);
    search->name = mem_string(what->name);
    search->meeting_id = mem_string(what->meeting_id);
    search->from_ms = what->from_ms - CLOCK_SLACK_MS;
    search->to_ms = what->to_ms + CLOCK_SLACK_MS;
    if (ask_page(search, NULL))
        return search;
    search_free(search);
    return NULL;
}

void search_abort(struct search *search)
{
    search->aborted = true;
    if (search->question != NULL)
        uploader_ask_abort(search->question);
}

void search_free(struct search *search)
{
    for (size_t i = 0; i < search->candidate_count; i++)
        free(search->candidates[i]);
    free(search->owner);
    free(search->name);
    free(search->meeting_id);
    free(search->last_key);
    free(search);
}
