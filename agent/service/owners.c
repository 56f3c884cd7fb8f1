/*
 * The owners that exist: with chorus.verify_owners the list of Chorus's users is kept, asked for at
 * the start and on interval. While it cannot be had, the older one is good enough; without any, no
 * owner is known and recordings are held.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/chorus/users.h"
#include "agent/service/internal.h"

enum {
    EVERY_MS = 600000,
    AGAIN_MS = 30000, /* it could not be had */
    SOON_MS = 1000,   /* uploads are paused: it would not be had either */
    ANSWER_LIMIT = 16 * 1024 * 1024,
    MOST_PAGES = 1000
};

struct owners {
    struct service *service;
    uv_timer_t timer;
    struct question *question;
    struct users *fresh; /* as far as it is read */
    unsigned pages;
    bool stopping;
};

static void on_timer(uv_timer_t *timer);

static void sleep_for(struct owners *owners, uint64_t ms)
{
    if (!owners->stopping)
        uv_timer_start(&owners->timer, on_timer, ms, 0);
}

static void give_up(struct owners *owners, const char *reason)
{
    users_free(owners->fresh);
    owners->fresh = NULL;
    if (!owners->stopping)
        log_trouble(LOG_WARNING, "users", "reason", reason, "to-do",
                    owners->service->users != NULL
                        ? "nothing: the list that was read before stays in force"
                        : "nothing: recordings are held until it is read",
                    NULL);
    sleep_for(owners, AGAIN_MS);
}

static void take_over(struct owners *owners)
{
    struct service *service = owners->service;
    char count[24];
    snprintf(count, sizeof count, "%zu", users_count(owners->fresh));
    int error = users_save(owners->fresh, service->config->state_dir);
    if (error != 0)
        log_trouble(LOG_WARNING, "users", "reason", strerror(-error), NULL);
    users_free(service->users);
    service->users = owners->fresh;
    owners->fresh = NULL;
    log_event(LOG_INFO, "users", "count", count, NULL);
    service_redigest(service);
    sleep_for(owners, EVERY_MS);
}

static void ask(struct owners *owners, const char *target);

static void on_answer(void *ctx, const struct question_answer *answer)
{
    struct owners *owners = ctx;
    char *next = NULL;
    owners->question = NULL;
    bool good = answer->status == 200 && !answer->truncated;
    long added = good ? users_add_answer(owners->fresh, answer->body, &next) : -1;
    if (added < 0)
        give_up(owners, answer->status == 200     ? "Chorus answered what is no list of users"
                        : answer->said[0] != '\0' ? answer->said
                                                  : "Chorus gives no list of users");
    else if (next != NULL && added > 0 && ++owners->pages < MOST_PAGES)
        ask(owners, next);
    else if (users_count(owners->fresh) == 0)
        give_up(owners, "Chorus answered a list without users");
    else
        take_over(owners);
    free(next);
}

static void ask(struct owners *owners, const char *target)
{
    if (owners->stopping || uploader_ask(owners->service->uploader, "GET", target, ANSWER_LIMIT,
                                         on_answer, owners, &owners->question) != 0)
        give_up(owners, "it cannot be asked for");
}

static void on_timer(uv_timer_t *timer)
{
    struct owners *owners = timer->data;
    if (owners->question != NULL || !owners->service->config->chorus.verify_owners)
        return;
    if (plan_paused_because(owners->service->plan)[0] != '\0') {
        sleep_for(owners, SOON_MS);
        return;
    }
    users_free(owners->fresh);
    owners->fresh = users_new();
    owners->pages = 0;
    ask(owners, USERS_TARGET);
}

void owners_configure(struct owners *owners)
{
    struct service *service = owners->service;
    if (!service->config->chorus.verify_owners)
        return;
    if (service->users == NULL)
        service->users = users_load(service->config->state_dir);
    sleep_for(owners, 0);
}

struct owners *owners_new(struct service *service)
{
    struct owners *owners = mem_zalloc(sizeof *owners);
    owners->service = service;
    uv_timer_init(&service->loop, &owners->timer);
    owners->timer.data = owners;
    owners_configure(owners);
    return owners;
}

void owners_stop(struct owners *owners)
{
    owners->stopping = true;
    uv_timer_stop(&owners->timer);
    if (owners->question != NULL)
        uploader_ask_abort(owners->question);
}

bool owners_are_idle(const struct owners *owners)
{
    return owners->question == NULL;
}

static void on_closed(uv_handle_t *handle)
{
    struct owners *owners = handle->data;
    users_free(owners->fresh);
    free(owners);
}

void owners_close(struct owners *owners)
{
    uv_close((uv_handle_t *)&owners->timer, on_closed);
}
