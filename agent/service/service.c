/*
 * The service's life: starts its parts, takes signals, reads the configuration again, ends.
 *
 * It ends in order: nothing new is started, transfers are broken off (what may have arrived is
 * recorded as uncertain), what was said is committed, then everything is closed. A part that hangs
 * (a mount that does not answer) does not keep it from ending.
 */
#include "agent/service/service.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/base/priority.h"
#include "agent/base/when.h"
#include "agent/chorus/users.h"
#include "agent/ledger/place.h"
#include "agent/service/file_work.h"
#include "agent/service/heartbeat.h"
#include "agent/service/history.h"
#include "agent/service/internal.h"
#include "watcher/turns.h"

enum { END_LOOK_MS = 10, END_AT_MOST_MS = 4000, MOST_THREADS = 512 };

/* --- starting --- */

static struct uploader_options uploader_options_of(const struct service *service, char **user_agent)
{
    const struct config *config = service->config;
    *user_agent = mem_printf("chorus-agent/%s", service->options->version);
    return (struct uploader_options){
        .url = config->chorus.url,
        .ca_file = config->chorus.ca_file,
        .proxy = config->chorus.proxy,
        .bearer = config->chorus.bearer,
        .id_fields = (const char *const *)config->chorus.id_fields.items,
        .id_field_count = config->chorus.id_fields.count,
        .stall_timeout_ms = config->upload.stall_timeout_ms,
        .user_agent = *user_agent,
    };
}

static uint64_t seed(void)
{
    uint64_t value = (uint64_t)when_steady_ms() ^ (uint64_t)getpid() << 32;
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t ignored = read(fd, &value, sizeof value);
        (void)ignored;
        close(fd);
    }
    return value;
}

static void on_committed(void *ctx)
{
    service_feed_plan(ctx);
    bulk_may_be_over(ctx);
    blocks_file(ctx);
}

static void on_ledger_trouble(void *ctx, const char *words)
{
    struct service *service = ctx;
    log_event(
        LOG_ERROR, "ledger", "reason", words, "to-do",
        "make room or mend the disk under state_dir: nothing is lost, and it goes on by itself",
        "state_dir", service->config->state_dir, NULL);
    service_note_error(service, NULL, words);
    for (struct folder *f = service->folders; f != NULL; f = f->next) {
        if (!f->closing)
            watch_throttle(f->watch, true);
    }
    service_moved(service);
}

static void on_ledger_recovered(void *ctx)
{
    struct service *service = ctx;
    log_event(LOG_INFO, "ledger", "reason", "it can be written again", NULL);
    for (struct folder *f = service->folders; f != NULL; f = f->next) {
        if (f->closing)
            continue;
        watch_throttle(f->watch, false);
        watch_rescan(f->watch);
    }
    /* what became ready in a commit that seemed to fail was not told to the plan: it fetches anew
     */
    struct plan_options options = service_plan_options(service->config);
    struct plan_event event = {.kind = PLAN_CONFIGURED, .options = &options};
    service_plan(service, &event);
    service_moved(service);
}

static void on_ledger_broken(void *ctx)
{
    struct service *service = ctx;
    log_event(LOG_ERROR, "ledger-broken", "state_dir", service->config->state_dir, "to-do",
              "start it again: the broken ledger is then moved aside and built anew", NULL);
    service_end(service, EX_IOERR);
}

/* Nothing is lost by it but the memory of what was sent: derived keys make a resend harmless, other
 * keys are held or looked up. */
static int replace_broken_ledger(struct service *service, struct ledger **ledger, char **why)
{
    char *aside;
    int error = ledger_set_aside(service->config->state_dir, when_now_ms(), &aside);
    log_event(LOG_ERROR, "ledger-broken", "reason", *why, "moved-to", aside, "to-do",
              "nothing: a new one is built from the folders; Chorus refuses what it has already. "
              "Have the disk checked",
              NULL);
    free(aside);
    mem_replace(why, NULL);
    return error != 0 ? error : ledger_open(service->config->state_dir, LEDGER_WRITE, ledger, why);
}

static int open_ledger(struct service *service)
{
    struct ledger *ledger;
    char *why = NULL;
    int error = ledger_open(service->config->state_dir, LEDGER_WRITE, &ledger, &why);
    if (error == -EUCLEAN)
        error = replace_broken_ledger(service, &ledger, &why);
    if (error != 0) {
        log_event(LOG_ERROR, "ledger", "reason", why != NULL ? why : strerror(-error), "state_dir",
                  service->config->state_dir, NULL);
        free(why);
        return error == -EPROTO || error == -ENOTSUP ? EX_CONFIG : EX_IOERR;
    }
    ledger_mind_leaps(ledger, service->config->upload.retry_for_ms, when_now_ms());
    if (blocks_restore(ledger, service->config->state_dir) != 0) {
        ledger_close(ledger);
        return EX_IOERR;
    }
    bool restored = ledger_restored(ledger, when_now_ms());
    size_t interrupted =
        ledger_recover(ledger, service->config->upload.resend_after_ms, when_now_ms());
    error = ledger_commit(ledger);
    if (error != 0) {
        log_event(LOG_ERROR, "ledger", "reason", ledger_error_words(ledger), "state_dir",
                  service->config->state_dir, NULL);
        ledger_close(ledger);
        return EX_IOERR;
    }
    if (restored)
        log_event(LOG_WARNING, "ledger-restored", "state_dir", service->config->state_dir, "reason",
                  "it is a backup that was put back: what was sent since is sent again under the "
                  "same key, and Chorus refuses what it has; without a meeting_id it is held",
                  NULL);
    if (interrupted > 0) {
        char count[24];
        snprintf(count, sizeof count, "%zu", interrupted);
        log_event(LOG_WARNING, "interrupted", "recordings", count, "reason",
                  "they were being sent when the program last ended: they are sent again under the "
                  "same key after upload.resend_after",
                  NULL);
    }
    struct journal_hooks hooks = {on_committed, on_ledger_trouble, on_ledger_recovered,
                                  on_ledger_broken, service};
    service->journal = journal_new(&service->loop, ledger, service->config->state_dir, &hooks);
    return 0;
}

static int open_uploader(struct service *service)
{
    char *user_agent;
    struct uploader_options options = uploader_options_of(service, &user_agent);
    int error = uploader_new(&service->loop, &options, &service->uploader);
    free(user_agent);
    if (error == 0)
        return 0;
    log_event(LOG_ERROR, "uploader", "url", service->config->chorus.url, "reason", strerror(-error),
              NULL);
    return error == -EINVAL ? EX_CONFIG : EX_SOFTWARE;
}

/* --- reading the configuration again --- */

static void keep_text(const char *key, char **now, char **before)
{
    if (strcmp(*now, *before) != 0)
        log_event(LOG_WARNING, "reload", "key", key, "reason",
                  "this key changes at a restart only; the old value stays", NULL);
    mem_replace(now, mem_string(*before));
}

static struct folder *folder_of_watch(struct service *service, const struct watch_config *watch)
{
    struct folder *f = service->folders;
    while (f != NULL && (f->bulk != NULL || f->closing || strcmp(f->watch_name, watch->name) != 0 ||
                         strcmp(f->root, watch->path) != 0))
        f = f->next;
    return f;
}

static void reconfigure_folders(struct service *service)
{
    for (struct folder *f = service->folders; f != NULL; f = f->next) {
        const struct watch_config *watch = config_watch(service->config, f->watch_name);
        if (f->bulk == NULL && (watch == NULL || strcmp(watch->path, f->root) != 0))
            folder_close(f);
    }
    for (size_t i = 0; i < service->config->watch_count; i++) {
        const struct watch_config *watch = &service->config->watches[i];
        struct folder *folder = folder_of_watch(service, watch);
        if (folder != NULL)
            folder_configure(folder, watch);
        else
            folder_open_watch(service, watch);
    }
}

static void log_problems(const struct config_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        char *line = config_problem_line(problems, &problems->items[i]);
        log_event(problems->items[i].warning ? LOG_WARNING : LOG_ERROR, "configuration", "reason",
                  line, NULL);
        free(line);
    }
}

static void take_configuration(struct service *service, struct config *config)
{
    struct config *before = service->config;
    keep_text("state_dir", &config->state_dir, &before->state_dir);
    keep_text("control_dir", &config->control_dir, &before->control_dir);
    keep_text("chorus.url", &config->chorus.url, &before->chorus.url);
    struct table_set *tables = service->tables;
    service->reloaded = true;
    service->config = config;
    service->tables = config_new_tables(config);
    table_set_inherit(service->tables, tables);
    table_set_free(tables);
    log_configure(config->log_level, config->log_json);
    log_redact(config->log_redact);

    char *user_agent;
    struct uploader_options options = uploader_options_of(service, &user_agent);
    uploader_configure(service->uploader, &options);
    free(user_agent);
    uplink_configure(service->uplink);
    struct plan_options plan = service_plan_options(config);
    struct plan_event event = {.kind = PLAN_CONFIGURED, .options = &plan};
    service_plan(service, &event);
    side_files_configure(service->side_files);
    owners_configure(service->owners);
    yielding_configure(service);
    service_read_token(service);
    reconfigure_folders(service);
    control_configure(service->control);
    service_redigest(service);
    deletions_look_soon(service);
    forgetting_look_soon(service);
    config_free(before);
}

static void on_hup(uv_signal_t *handle, int signal)
{
    struct service *service = handle->data;
    struct config *config;
    struct config_problems problems = {0};
    (void)signal;
    if (service->stopping)
        return;
    heartbeat_reloading(service->heartbeat);
    int code = config_load(service->config->file, &config, &problems);
    log_problems(&problems);
    config_problems_clear(&problems);
    heartbeat_ready(service->heartbeat); /* in force again, the new one or the old */
    if (code != 0) {
        log_event(LOG_ERROR, "reload", "reason",
                  "the configuration has errors: nothing is changed, the old one stays in force",
                  NULL);
        return;
    }
    take_configuration(service, config);
    log_event(LOG_INFO, "reload", "reason", "the configuration was read again", NULL);
    service_moved(service);
}

/* --- ending --- */

void service_part_closed(void *ctx)
{
    struct service *service = ctx;
    service->open_parts--;
}

static void close_timers(struct service *service)
{
    uv_handle_t *const handles[] = {
        (uv_handle_t *)&service->wake,       (uv_handle_t *)&service->status_timer,
        (uv_handle_t *)&service->bulk_timer, (uv_handle_t *)&service->end_timer,
        (uv_handle_t *)&service->on_term,    (uv_handle_t *)&service->on_int,
        (uv_handle_t *)&service->on_hup,
    };
    for (size_t i = 0; i < sizeof handles / sizeof handles[0]; i++)
        uv_close(handles[i], NULL);
}

static void end_last_parts(struct service *service)
{
    service->ending = true;
    service_write_status(service, false);
    service->open_parts += 2;
    uploader_close(service->uploader, service_part_closed, service);
    journal_close(service->journal, service_part_closed, service);
    retirements_close(service->retirements);
    readback_close(service->readback);
    sidecars_close(service->sidecars);
    owners_close(service->owners);
    erasures_close(service->erasures);
    deletions_close(service->deletions);
    removals_close(service->removals);
    forgetting_close(service->forgetting);
    uplink_close(service->uplink);
    heartbeat_close(service->heartbeat);
    quiet_close(service->quiet);
    history_close(service->history);
    turns_close(service->turns);
    pausing_close(service->pausing);
    file_works_close(service);
    close_timers(service);
}

/* A job on the pool that does not come back (a hung mount) cannot be waited for. */
static void end_by_force(struct service *service)
{
    log_event(LOG_WARNING, "stopped", "reason",
              "a folder does not answer; ended without waiting for it", NULL);
    service_write_status(service, false);
    _exit(service->exit_code);
}

static void on_end_timer(uv_timer_t *timer)
{
    struct service *service = timer->data;
    bool quiet = service->transfer_count == 0 && service->open_parts == 0 &&
                 retirements_are_idle(service->retirements) && file_works_are_idle(service) &&
                 readback_is_idle(service->readback) && sidecars_are_idle(service->sidecars) &&
                 owners_are_idle(service->owners) && erasures_are_idle(service->erasures) &&
                 deletions_are_idle(service->deletions) && removals_are_idle(service->removals) &&
                 forgetting_is_idle(service->forgetting) && uplink_is_idle(service->uplink) &&
                 service->lookups == NULL &&
                 (journal_is_idle(service->journal) || journal_in_trouble(service->journal));
    if (!service->ending && quiet)
        end_last_parts(service);
    else if (!service->ending &&
             uv_now(&service->loop) - (uint64_t)service->stop_at > END_AT_MOST_MS)
        end_by_force(service);
}

void service_end(struct service *service, int exit_code)
{
    if (service->stopping)
        return;
    service->stopping = true;
    service->exit_code = exit_code;
    service->stop_at = (int64_t)uv_now(&service->loop);
    heartbeat_stopping(service->heartbeat);
    service_plan_simple(service, PLAN_STOP);
    bulk_stop_all(service);
    history_stop(service->history);
    requests_close(service->requests);
    side_files_close(service->side_files);
    control_close(service->control);
    service->control = NULL;
    retirements_stop(service->retirements);
    readback_stop(service->readback);
    sidecars_stop(service->sidecars);
    owners_stop(service->owners);
    erasures_stop(service->erasures);
    deletions_stop(service->deletions);
    removals_stop(service->removals);
    forgetting_stop(service->forgetting);
    uplink_stop(service->uplink);
    lookups_abort(service);
    for (struct folder *f = service->folders; f != NULL; f = f->next)
        folder_close(f);
    service_abort_transfers(service);
    file_works_stop(service);
    uv_timer_start(&service->end_timer, on_end_timer, 0, END_LOOK_MS);
}

static void on_stop_signal(uv_signal_t *handle, int signal)
{
    struct service *service = handle->data;
    bool once = service->options->bulk != NULL;
    log_event(LOG_INFO, "stopping", "signal", signal == SIGINT ? "SIGINT" : "SIGTERM", NULL);
    service_end(service, once ? EX_TEMPFAIL : 0);
}

/* --- running --- */

static void on_bulk_report(void *ctx, const struct bulk_progress *progress, bool ended)
{
    struct service *service = ctx;
    if (progress == NULL)
        return;
    service->options->progress(service->options->ctx, progress, ended);
    if (ended)
        service_end(service, progress->counts.state[STATE_FAILED] > 0 ||
                                     progress->counts.state[STATE_HELD] > 0
                                 ? 1
                                 : 0);
    else if (progress->token_refused)
        service_end(service, EX_NOPERM);
}

static void start_handles(struct service *service)
{
    uv_loop_t *loop = &service->loop;
    uv_timer_init(loop, &service->wake);
    uv_timer_init(loop, &service->status_timer);
    uv_timer_init(loop, &service->bulk_timer);
    uv_timer_init(loop, &service->end_timer);
    service->wake.data = service->status_timer.data = service->bulk_timer.data = service;
    service->end_timer.data = service->on_term.data = service->on_int.data = service;
    service->on_hup.data = service;
    uv_signal_start(&service->on_term, on_stop_signal, SIGTERM);
    uv_signal_start(&service->on_int, on_stop_signal, SIGINT);
    uv_signal_start(&service->on_hup, on_hup, SIGHUP);
}

static int start_bulk(struct service *service)
{
    char *problem;
    if (bulk_start(service, service->options->bulk, on_bulk_report, service, &problem) != NULL)
        return 0;
    fprintf(stderr, "chorus-agent: %s\n", problem);
    free(problem);
    return EX_USAGE;
}

static void note_own_folders(struct service *service)
{
    const char *const own[] = {service->config->state_dir, service->config->control_dir};
    for (size_t i = 0; i < 2; i++)
        service->not_watched_count +=
            place_lineage(own[i], &service->not_watched[service->not_watched_count], MOST_ABOVE);
}

static void start_parts(struct service *service)
{
    struct plan_options options = service_plan_options(service->config);
    file_works_init(service);
    yielding_begin(service);
    note_own_folders(service);
    service->plan = plan_new(&options, seed());
    service->tables = config_new_tables(service->config);
    if (service->tables == NULL)
        mem_exhausted();
    service->side_files = side_files_new(service);
    service->requests = requests_new(service);
    service->retirements = retirements_new(service);
    service->readback = readback_new(service);
    service->sidecars = sidecars_new(service);
    service->owners = owners_new(service);
    service->erasures = erasures_new(service);
    service->removals = removals_new(service);
    service->deletions = deletions_new(service);
    service->forgetting = forgetting_new(service);
    service_redigest(service);
    service_read_token(service);
    service->pausing = pausing_new(service);
    service->uplink = uplink_new(service);
    pausing_look(service->pausing);
    uplink_configure(service->uplink);
    service_start_plan(service);
}

static void name_host(struct service *service)
{
    if (gethostname(service->host, sizeof service->host - 1) != 0)
        strcpy(service->host, "localhost");
    service->host[strcspn(service->host, ".")] = '\0';
}

static void free_service(struct service *service)
{
    plan_free(service->plan);
    table_set_free(service->tables);
    users_free(service->users);
    if (service->token != NULL)
        explicit_bzero(service->token, strlen(service->token));
    free(service->token);
    free(service->status_path);
    free(service->last_error);
    config_free(service->config);
    close(service->lock_fd);
    free(service);
}

static int run_loop(struct service *service)
{
    start_handles(service);
    start_parts(service);
    int code = 0;
    if (service->options->bulk != NULL) {
        code = start_bulk(service);
    } else {
        for (size_t i = 0; i < service->config->watch_count; i++)
            folder_open_watch(service, &service->config->watches[i]);
        service->control = control_new(service);
        log_event(LOG_INFO, "started", "version", service->options->version, "url",
                  service->config->chorus.url, NULL);
        service->heartbeat = heartbeat_new(service);
        service->quiet = quiet_new(service);
        service->history = history_new(service);
    }
    if (code != 0)
        service_end(service, code);
    service_write_status(service, true);
    uv_run(&service->loop, UV_RUN_DEFAULT);
    if (service->options->bulk == NULL)
        log_event(LOG_INFO, "stopped", NULL);
    return service->exit_code;
}

/* Each watch has threads of its own, for its looks, for what is read and sent, for sidecars and for
 * retiring, so that a mount that hangs stalls its own watch and nothing else; and there are some to
 * spare. */
static void size_pool(const struct config *config)
{
    char text[16];
    unsigned watches = (unsigned)config->watch_count;
    unsigned threads = watches + file_work_threads(watches) + 2 * watches + 4;
    snprintf(text, sizeof text, "%u", threads < MOST_THREADS ? threads : MOST_THREADS);
    setenv("UV_THREADPOOL_SIZE", text, 0);
}

/* The loop and its signals need descriptors; nothing is open yet but the lock. */
static void init_loop(struct service *service)
{
    int error = uv_loop_init(&service->loop);
    if (error == 0)
        error = uv_signal_init(&service->loop, &service->on_term);
    if (error == 0)
        error = uv_signal_init(&service->loop, &service->on_int);
    if (error == 0)
        error = uv_signal_init(&service->loop, &service->on_hup);
    if (error == 0)
        return;
    log_event(LOG_ERROR, "not-started", "reason", uv_strerror(error), "to-do",
              "let it have more file descriptors (LimitNOFILE=, ulimit -n)", NULL);
    _exit(EX_OSERR);
}

static void close_unstarted(struct service *service)
{
    uv_close((uv_handle_t *)&service->on_term, NULL);
    uv_close((uv_handle_t *)&service->on_int, NULL);
    uv_close((uv_handle_t *)&service->on_hup, NULL);
    uv_run(&service->loop, UV_RUN_DEFAULT);
}

int service_run(struct config *config, int lock_fd, const struct service_options *options)
{
    struct service *service = mem_zalloc(sizeof *service);
    service->config = config;
    service->lock_fd = lock_fd;
    service->options = options;
    service->started_ms = when_now_ms();
    service->status_path = service_status_path(config);
    name_host(service);
    signal(SIGPIPE, SIG_IGN);
    priority_lower();
    size_pool(config);
    init_loop(service);
    int code = open_ledger(service);
    if (code == 0 && (code = open_uploader(service)) != 0)
        journal_close(service->journal, service_part_closed, service);
    if (code == 0)
        code = run_loop(service);
    else
        close_unstarted(service);
    uv_loop_close(&service->loop);
    free_service(service);
    return code;
}
