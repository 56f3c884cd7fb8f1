/* Rules applied to files, and what is held resolved anew when configuration or tables change. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/base/mutant.h"
#include "agent/base/when.h"
#include "agent/service/internal.h"

enum { WALK = 64 };

void service_resolve(struct service *service, const struct watch_config *watch, const char *path,
                     size_t root_length, const struct file_identity *identity,
                     const uint8_t *sha256, const char *owner, struct resolution *resolution)
{
    struct recording_facts facts = {
        .path = path,
        .root_length = root_length,
        .size = identity->size,
        .mtime_ms = identity->mtime_ns / 1000000,
        .sha256 = sha256,
        .watch = watch->name,
        .host = service->host,
    };
    rules_resolve(watch->rules, service->tables, &facts, owner, NULL, NULL, resolution);
}

const struct watch_config *service_watch_of(const struct service *service, struct ledger *ledger,
                                            int64_t watch)
{
    char *name, *path;
    const struct watch_config *found = NULL;
    if (ledger_watch_names(ledger, watch, &name, &path))
        found = config_watch(service->config, name);
    if (found != NULL && strcmp(found->path, path) != 0)
        found = NULL;
    free(name);
    free(path);
    return found;
}

const struct watch_config *service_watch(const struct service *service, struct ledger *ledger,
                                         int64_t watch)
{
    char *name, *path;
    if (!ledger_watch_by_id(ledger, watch, &name, &path))
        return NULL;
    const struct watch_config *found = config_watch(service->config, name);
    if (found != NULL && strcmp(found->path, path) != 0)
        found =
            NULL; /* another folder bears the name now: its rules are not for this one's files */
    free(name);
    free(path);
    return found;
}

int64_t service_not_before(const struct watch_config *watch, const struct file_identity *identity)
{
    return watch->delay_ms > 0 ? identity->mtime_ns / 1000000 + watch->delay_ms : 0;
}

/* A walk over what is held, a few recordings a transaction. */
struct walk {
    struct service *service;
    uint64_t digest;     /* as it was when the walk began */
    int64_t after, last; /* apart, for a step whose commit failed is applied again */
    size_t count;
};

static void resolve_held(struct service *service, struct ledger *ledger, int64_t recording)
{
    struct ledger_job job;
    if (ledger_job(ledger, recording, &job) != 0)
        return;
    const struct watch_config *watch = service_watch_of(service, ledger, job.watch);
    if (watch != NULL && job.path != NULL) {
        struct resolution resolution;
        service_resolve(service, watch, job.path, job.root_length, &job.identity, job.sha256, NULL,
                        &resolution);
        ledger_resolve(ledger, recording, job.path_id, &resolution, service->digest,
                       service_not_before(watch, &job.identity), when_now_ms());
        resolution_clear(&resolution);
    }
    ledger_job_clear(&job);
}

static void apply_walk(void *ctx, struct ledger *ledger)
{
    struct walk *walk = ctx;
    int64_t recordings[WALK];
    walk->last = walk->after;
    walk->count =
        ledger_held_otherwise(ledger, walk->service->digest, walk->after, recordings, WALK);
    for (size_t i = 0; i < walk->count; i++) {
        resolve_held(walk->service, ledger, recordings[i]);
        walk->last = recordings[i];
    }
    walk->count += ledger_forget_skips(ledger, walk->service->digest, WALK);
    if (mutant("walk-not-repeatable"))
        walk->after = walk->last;
}

static void walk_dropped(void *ctx)
{
    struct walk *walk = ctx;
    walk->service->walking_held = false;
    free(walk);
}

static void walk_on(void *ctx)
{
    struct walk *walk = ctx;
    struct service *service = walk->service;
    service_moved(service);
    bool over = walk->count == 0;
    walk->after = walk->last;
    if (over && walk->digest != service->digest) {
        /* it changed under way: what was passed before that is passed again */
        walk->digest = service->digest;
        walk->after = 0;
        over = false;
    }
    if (!over && !service->stopping) {
        journal_add(service->journal,
                    &(struct journal_step){apply_walk, walk_on, walk_dropped, walk});
        return;
    }
    walk_dropped(walk);
    for (struct folder *folder = service->folders; folder != NULL; folder = folder->next) {
        if (!folder->closing)
            watch_rescan(folder->watch);
    }
}

static uint64_t digest_now(const struct service *service)
{
    uint64_t digest;
    memcpy(&digest, service->config->digest, sizeof digest);
    digest ^= table_set_digest(service->tables);
    return digest > LEDGER_OWNER_GIVEN ? digest : digest + 2;
}

void service_redigest(struct service *service)
{
    service->digest = digest_now(service);
    if (service->walking_held)
        return; /* the walk under way goes by the new digest, and begins again at its end */
    struct walk *walk = mem_zalloc(sizeof *walk);
    walk->service = service;
    walk->digest = service->digest;
    service->walking_held = true;
    journal_add(service->journal, &(struct journal_step){apply_walk, walk_on, walk_dropped, walk});
}
