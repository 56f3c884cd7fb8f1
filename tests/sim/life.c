#include "tests/sim/life.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/control/inbox.h"
#include "agent/plan/plan.h"
#include "agent/service/file_work.h"
#include "agent/service/first_start.h"
#include "agent/service/internal.h"
#include "agent/service/journal.h"
#include "agent/service/placing.h"
#include "agent/service/retry.h"
#include "agent/service/token.h"
#include "agent/service/tombstones.h"
#include "tests/sim/checks.h"
#include "tests/sim/sim.h"
#include "tests/sim/watch.h"
#include "tests/sim/wire.h"

enum { LOOK_MS = 10, STOP_AT_MOST_MS = 4000 };

static struct {
    struct service *service;
    struct config *config;
    int token_file;
    unsigned count;
} life;

void life_configure(struct config *config)
{
    life.config = config;
    life.count = 0;
}

void life_token_file(int token)
{
    life.token_file = token;
}

/* --- the journal's hooks, as in service.c --- */

static void on_committed(void *ctx)
{
    struct service *service = ctx;
    if (sim.dead)
        return;
    sim.commits++;
    checks_committed(journal_ledger(service->journal));
    sim_point();
    service_feed_plan(service);
}

static void on_trouble(void *ctx, const char *words)
{
    struct service *service = ctx;
    trace_text("ledger: in trouble", words);
    for (struct folder *f = service->folders; f != NULL; f = f->next) {
        if (!f->closing)
            watch_throttle(f->watch, true);
    }
}

static void on_recovered(void *ctx)
{
    struct service *service = ctx;
    trace("ledger: recovered", 0, 0, 0);
    for (struct folder *f = service->folders; f != NULL; f = f->next) {
        if (f->closing)
            continue;
        watch_throttle(f->watch, false);
        watch_rescan(f->watch);
    }
    struct plan_options options = service_plan_options(service->config);
    struct plan_event event = {.kind = PLAN_CONFIGURED, .options = &options};
    service_plan(service, &event);
}

static void on_broken(void *ctx)
{
    (void)ctx;
    if (!sim.dead)
        violated("the ledger is broken after a failure of the disk");
}

/* --- its beginning --- */

static bool open_ledger(struct service *service)
{
    struct ledger *ledger;
    char *why = NULL;
    int error = ledger_open(service->config->state_dir, LEDGER_WRITE, &ledger, &why);
    if (error != 0) {
        trace_text("ledger: cannot be opened", why != NULL ? why : "");
        if (!sim.dead && (error == -EUCLEAN || error == -EPROTO))
            violated("the ledger is broken after a crash: %s", why != NULL ? why : "no words");
        free(why);
        return false;
    }
    if (!sim.dead)
        checks_opened(ledger, dice_one_in(8));
    ledger_mind_leaps(ledger, service->config->upload.retry_for_ms, when_now_ms());
    size_t cut_off = ledger_recover(ledger, service->config->upload.resend_after_ms, when_now_ms());
    checks_cut_off(cut_off); /* at most: the commit may be durable and its answer lost */
    error = ledger_commit(ledger);
    if (error != 0 || sim.dead) {
        ledger_close(ledger);
        return false;
    }
    checks_committed(ledger);
    trace("ledger: open; cut off", (int64_t)cut_off, 0, 0);
    struct journal_hooks hooks = {on_committed, on_trouble, on_recovered, on_broken, service};
    service->journal = journal_new(&service->loop, ledger, service->config->state_dir, &hooks);
    return true;
}

bool life_start(void)
{
    sim.dead = sim.ended = false;
    sim.life = ++life.count;
    loop_end_life();
    watch_begin_life();
    wire_begin();
    trace("--- the program starts", (int64_t)sim.life, 0, 0);
    struct service *service = mem_zalloc(sizeof *service);
    life.service = service;
    service->config = life.config;
    strcpy(service->host, "host");
    if (!open_ledger(service))
        return false;
    uv_timer_init(&service->loop, &service->wake);
    service->wake.data = service;
    file_works_init(service);
    struct plan_options options = service_plan_options(service->config);
    service->plan = plan_new(&options, dice_next());
    service->tables = config_new_tables(service->config);
    service->retirements = retirements_new(service);
    service->readback = readback_new(service);
    service_redigest(service);
    service_read_token(service);
    service_start_plan(service);
    for (size_t i = 0; i < service->config->watch_count; i++)
        folder_open_watch(service, &service->config->watches[i]);
    return true;
}

/* --- its end --- */

static void on_part_closed(void *ctx)
{
    (void)ctx;
    sim.ended = true;
}

static void on_stopping(uv_timer_t *timer)
{
    struct service *service = timer->data;
    bool quiet = service->transfer_count == 0 && service->open_parts == 0 &&
                 retirements_are_idle(service->retirements) && file_works_are_idle(service) &&
                 readback_is_idle(service->readback) && service->lookups == NULL &&
                 (journal_is_idle(service->journal) || journal_in_trouble(service->journal));
    if (quiet && !service->ending) {
        service->ending = true;
        uv_timer_stop(timer);
        journal_close(service->journal, on_part_closed, service);
        service->journal = NULL;
        retirements_close(service->retirements);
        readback_close(service->readback);
        file_works_close(service);
    } else if (!service->ending && sim.steady_ms - service->stop_at > STOP_AT_MOST_MS) {
        sim_die(); /* end_by_force */
    }
}

void life_stop(void)
{
    struct service *service = life.service;
    if (service == NULL || service->stopping || sim.dead)
        return;
    trace("--- the program is told to end", (int64_t)sim.life, 0, 0);
    service->stopping = true;
    service->stop_at = sim.steady_ms;
    service_plan_simple(service, PLAN_STOP);
    retirements_stop(service->retirements);
    readback_stop(service->readback);
    lookups_abort(service);
    for (struct folder *f = service->folders; f != NULL; f = f->next)
        folder_close(f);
    service_abort_transfers(service);
    file_works_stop(service);
    uv_timer_init(&service->loop, &service->end_timer);
    service->end_timer.data = service;
    uv_timer_start(&service->end_timer, on_stopping, 0, LOOK_MS);
}

/* The small things it held are lost with the process that runs some seeds. */
void life_bury(void)
{
    struct service *service = life.service;
    if (service == NULL)
        return;
    checks_program_ended();
    sim.dead = true; /* closing has no effect */
    if (service->journal != NULL)
        ledger_close(journal_ledger(service->journal));
    plan_free(service->plan);
    table_set_free(service->tables);
    free(service->token);
    free(service);
    life.service = NULL;
    sim.life = 0;
    sim.dead = sim.ended = false;
    sim.dies_in = 0;
    loop_end_life();
}

/* --- what happens to it --- */

struct ledger *life_ledger(void)
{
    return life.service != NULL && life.service->journal != NULL
               ? journal_ledger(life.service->journal)
               : NULL;
}

static bool is_up(void)
{
    return life.service != NULL && !sim.dead && life.service->journal != NULL &&
           !life.service->stopping;
}

void life_token_changed(void)
{
    if (is_up())
        service_read_token(life.service);
}

void life_read_configuration(void)
{
    if (!is_up())
        return;
    struct plan_options plan = service_plan_options(life.config);
    struct plan_event event = {.kind = PLAN_CONFIGURED, .options = &plan};
    service_plan(life.service, &event);
    service_read_token(life.service);
    for (struct folder *f = life.service->folders; f != NULL; f = f->next)
        folder_configure(f, config_watch(life.config, f->watch_name));
    service_redigest(life.service);
}

static void apply_retry(void *ctx, struct ledger *ledger)
{
    const int64_t *recording = ctx;
    ledger_retry(ledger, *recording, when_now_ms());
}

void life_retry(int64_t recording)
{
    if (!is_up())
        return;
    int64_t *copy = mem_zalloc(sizeof *copy);
    *copy = recording;
    journal_add(life.service->journal, &(struct journal_step){apply_retry, free, free, copy});
}

/* --- parts of the service that are not here --- */

int token_read(const char *token_file, char **token, char **problem)
{
    (void)token_file;
    *token = *problem = NULL;
    if (life.token_file == 0) {
        *problem = mem_string("there is no token file");
        return -1;
    }
    *token = mem_printf("%d", life.token_file);
    return 0;
}

void token_clear(char **token)
{
    free(*token);
    *token = NULL;
}

int first_start_of(const char *state_dir, const char *name, const char *path, int64_t now_ms,
                   int64_t *first_start_ms, bool *recorded)
{
    (void)state_dir, (void)name, (void)path;
    *first_start_ms = now_ms;
    *recorded = false;
    return 0;
}

void uplink_upload_began(struct uplink *uplink)
{
    (void)uplink;
}

void service_moved(struct service *service)
{
    (void)service;
    sim_point();
}

/* Its watches have none. */
void sidecars_look(struct sidecars *sidecars, const struct watch_config *watch, const char *path)
{
    (void)sidecars;
    (void)watch;
    (void)path;
}

void service_note_error(struct service *service, const char *path, const char *reason)
{
    (void)service, (void)path, (void)reason;
}

void service_end(struct service *service, int exit_code)
{
    (void)service, (void)exit_code;
}

void service_part_closed(void *ctx)
{
    struct service *service = ctx;
    service->open_parts--;
}

int64_t bulk_number(const struct bulk *bulk)
{
    (void)bulk;
    return 0;
}

const char *bulk_owner(const struct bulk *bulk)
{
    (void)bulk;
    return NULL;
}

void bulk_met_known(struct bulk *bulk)
{
    (void)bulk;
}

void bulk_look_over(struct bulk *bulk)
{
    (void)bulk;
}

/* Nobody asks for a deletion here. */

int tombstones_append(const char *state_dir, const struct ledger_tombstone *tombstones,
                      size_t count, int generation)
{
    (void)state_dir, (void)tombstones, (void)count, (void)generation;
    return 0;
}

int placing_run(const struct placing *placing, char **what)
{
    (void)placing;
    *what = NULL;
    return 0;
}

void forgetting_look_soon(struct service *service)
{
    (void)service;
}

char *placing_folder(const char *control_dir, const struct ledger_request *request)
{
    (void)request;
    return mem_string(control_dir);
}

bool control_file_is_unchanged(const struct control_file *file)
{
    (void)file;
    return true;
}

void control_file_free(struct control_file *file)
{
    free(file);
}
