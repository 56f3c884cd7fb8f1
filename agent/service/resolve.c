/* Rules applied to files, and what is held resolved anew when configuration or tables change. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/base/mutant.h"
#include "agent/base/when.h"
#include "agent/chorus/users.h"
#include "agent/ledger/deletions.h"
#include "agent/service/internal.h"
#include "agent/service/watch_options.h"

enum { WALK = 64 };

/* After a deletion was lifted: Chorus may not free the key it knew. */
static void apply_generation(struct service *service, const uint8_t *sha256,
                             struct resolution *resolution)
{
    struct ledger *ledger = journal_ledger(service->journal);
    if (sha256 == NULL || resolution->meeting_id == NULL || ledger == NULL)
        return;
    int generation = ledger_generation(ledger, sha256);
    if (generation > 1)
        mem_replace(&resolution->meeting_id,
                    mem_printf("%s-%d", resolution->meeting_id, generation));
}

void service_resolve(struct service *service, const struct watch_config *watch, const char *path,
                     size_t root_length, const struct file_identity *identity,
                     const uint8_t *sha256, int64_t duration_ms, const char *owner,
                     const struct sidecar *sidecar, struct resolution *resolution)
{
    struct recording_facts facts = {
        .path = path,
        .root_length = root_length,
        .size = identity->size,
        .mtime_ms = identity->mtime_ns / 1000000,
        .sha256 = sha256,
        .duration_ms = duration_ms,
        .watch = watch->name,
        .host = service->host,
        .verify_owner = service->config->chorus.verify_owners,
        .users = service->users,
        .sidecar = sidecar,
    };
    rules_resolve(watch->rules, service->tables, &facts, owner, NULL, NULL, resolution);
    apply_generation(service, sha256, resolution);
}

const struct watch_config *service_watch(const struct service *service, struct ledger *ledger,
                                         int64_t watch)
{
    char *name, *path;
    if (!ledger_watch_by_id(ledger, watch, &name, &path))
        return NULL;
    const struct watch_config *found = config_watch(service->config, name);
    /* another folder may bear the name now: its rules are not for this one's files */
    if (found != NULL && strcmp(found->path, path) != 0)
        found = NULL;
    free(name);
    free(path);
    return found;
}

int64_t service_not_before(const struct watch_config *watch, const struct file_identity *identity)
{
    return watch->delay_ms > 0 ? identity->mtime_ns / 1000000 + watch->delay_ms : 0;
}

/* --- waiting --- */

static int64_t first_seen(struct ledger *ledger, int64_t recording)
{
    struct ledger_job job;
    if (ledger_job(ledger, recording, &job) != 0)
        return 0;
    int64_t ms = job.first_seen_ms;
    ledger_job_clear(&job);
    return ms;
}

/* Until then, counted from when it was first seen; 0: that is over. */
static int64_t wait_ends(int64_t first_seen_ms, int64_t wait_ms)
{
    int64_t now_ms = when_now_ms(), until_ms = first_seen_ms + wait_ms;
    if (until_ms > now_ms + wait_ms)
        until_ms = now_ms + wait_ms; /* it was seen under another clock */
    return until_ms > now_ms ? until_ms : 0;
}

/* --- sidecars --- */

/* What is known of the sidecar of one recording. */
struct beside {
    char *path; /* NULL: its watch has none */
    bool read;
    struct sidecar sidecar; /* where it is read */
    char *waits;            /* why nothing is decided yet, in words; NULL: it is */
    int64_t until_ms;
};

enum { LOOK_AGAIN_MS = 2000 };

static bool is_there(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* It is not read yet. Within its time, or if it is there, it is waited for: an owner by the rules
 * alone would be a guess. */
static void wait_for_sidecar(struct service *service, const struct watch_config *watch,
                             int64_t first_seen_ms, struct beside *beside)
{
    int64_t until_ms = wait_ends(first_seen_ms, watch->sidecar_wait_ms);
    char *shown = bytes_escape(strrchr(beside->path, '/') + 1);
    if (until_ms > 0) {
        beside->until_ms = until_ms;
        beside->waits = mem_printf("waits for its sidecar %s", shown);
    } else if (is_there(beside->path)) {
        beside->until_ms = when_now_ms() + LOOK_AGAIN_MS;
        beside->waits = mem_printf("waits until its sidecar %s has settled", shown);
    }
    free(shown);
    if (beside->waits != NULL)
        sidecars_look(service->sidecars, watch, beside->path);
}

static void look_beside(struct service *service, struct ledger *ledger,
                        const struct watch_config *watch, const struct recording_at *at,
                        struct beside *beside)
{
    struct ledger_sidecar known;
    struct recording_facts facts = {.path = at->path,
                                    .root_length = at->root_length,
                                    .watch = watch->name,
                                    .host = service->host};
    *beside = (struct beside){.path = rules_sidecar_path(watch->rules, &facts)};
    if (beside->path == NULL)
        return;
    ledger_sidecar_expect(ledger, at->recording, beside->path);
    if (ledger_sidecar(ledger, at->recording, &known)) {
        beside->read = known.read;
        if (known.problem != NULL)
            sidecar_fail(known.problem, &beside->sidecar);
        else if (known.body != NULL)
            sidecar_read(known.body, strlen(known.body), watch->sidecar_picks,
                         watch->sidecar_pick_count, &beside->sidecar);
        ledger_sidecar_clear(&known);
    }
    if (!beside->read)
        wait_for_sidecar(service, watch, first_seen(ledger, at->recording), beside);
}

static void beside_clear(struct beside *beside)
{
    free(beside->path);
    free(beside->waits);
    sidecar_clear(&beside->sidecar);
}

/* What a sidecar that is not read means for the outcome of the rules. */
static void judge_without(const struct watch_config *watch, struct beside *beside,
                          struct resolution *resolution)
{
    if (beside->path == NULL || beside->read || resolution->outcome == RESOLVED_SKIP)
        return;
    if (beside->waits != NULL) {
        resolution_wait(resolution, beside->waits);
        beside->waits = NULL;
    } else if (watch->sidecar_required) {
        char *shown = bytes_escape(strrchr(beside->path, '/') + 1);
        resolution_hold(resolution,
                        mem_printf("its sidecar %s is missing (sidecar_required)", shown));
        free(shown);
    }
}

/* --- several copies of one call --- */

/* Whether its wait is over: it is queued already, maybe in the place of a preferred copy that is
 * not sent and, where a rule skips it now, has no call key any more to be met by. */
static bool is_its_turn(struct ledger *ledger, int64_t recording)
{
    struct ledger_job job;
    if (ledger_job(ledger, recording, &job) != 0)
        return false;
    bool queued = job.state == STATE_QUEUED;
    ledger_job_clear(&job);
    return queued;
}

/* A copy that is not the preferred one lets it go first. */
static void wait_for_preferred(struct ledger *ledger, const struct watch_config *watch,
                               const struct recording_at *at, struct resolution *resolution,
                               int64_t *not_before_ms)
{
    if (watch->prefer[0] == '\0' || resolution->call_key == NULL)
        return;
    resolution->preferred = watch_prefers(watch, at->path + at->root_length + 1);
    /* where it was met and is not sent, this copy goes instead */
    if (resolution->preferred || is_its_turn(ledger, at->recording) ||
        ledger_met_preferred(ledger, resolution->call_key, at->recording))
        return;
    int64_t until_ms = wait_ends(first_seen(ledger, at->recording), watch->prefer_wait_ms);
    if (until_ms > *not_before_ms) {
        *not_before_ms = until_ms;
        mem_replace(&resolution->reason,
                    mem_string("waits for the preferred copy of the same call (prefer)"));
    }
}

bool service_resolve_recording(struct service *service, struct ledger *ledger,
                               const struct watch_config *watch, const struct recording_at *at,
                               int64_t path_id, const char *owner, struct resolution *resolution)
{
    struct beside beside = {0};
    if (owner == NULL)
        look_beside(service, ledger, watch, at, &beside);
    service_resolve(service, watch, at->path, at->root_length, at->identity, at->sha256,
                    at->duration_ms, owner, beside.read ? &beside.sidecar : NULL, resolution);
    judge_without(watch, &beside, resolution);
    int64_t not_before_ms = service_not_before(watch, at->identity);
    if (resolution->outcome == RESOLVED)
        wait_for_preferred(ledger, watch, at, resolution, &not_before_ms);
    if (resolution->outcome == RESOLVED_WAIT)
        not_before_ms = beside.until_ms;
    /* digest 0: looked at again before it leaves, for a sidecar may have come */
    uint64_t digest = owner != NULL                         ? LEDGER_OWNER_GIVEN
                      : beside.path != NULL && !beside.read ? 0
                                                            : service->digest;
    ledger_resolve(ledger, at->recording, path_id, resolution, digest, not_before_ms,
                   when_now_ms());
    beside_clear(&beside);
    return not_before_ms > when_now_ms();
}

void service_resolve_held(struct service *service, struct ledger *ledger, int64_t recording)
{
    struct ledger_job job;
    if (ledger_job(ledger, recording, &job) != 0)
        return;
    const struct watch_config *watch = service_watch(service, ledger, job.watch);
    if (watch != NULL && job.path != NULL) {
        struct resolution resolution;
        const struct recording_at at = {recording,     job.path,   job.root_length,
                                        &job.identity, job.sha256, job.duration_ms};
        service_resolve_recording(service, ledger, watch, &at, job.path_id, NULL, &resolution);
        resolution_clear(&resolution);
    }
    ledger_job_clear(&job);
}

/* A walk over what is held, a few recordings a transaction. */
struct walk {
    struct service *service;
    uint64_t digest;     /* as it was when the walk began */
    int64_t after, last; /* apart, for a step whose commit failed is applied again */
    size_t count;
};

static void apply_walk(void *ctx, struct ledger *ledger)
{
    struct walk *walk = ctx;
    int64_t recordings[WALK];
    walk->last = walk->after;
    walk->count =
        ledger_held_otherwise(ledger, walk->service->digest, walk->after, recordings, WALK);
    for (size_t i = 0; i < walk->count; i++) {
        service_resolve_held(walk->service, ledger, recordings[i]);
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
    if (service->config->chorus.verify_owners && service->users != NULL)
        digest ^= users_digest(service->users);
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
