/* once: bulk mode; by itself, or handed to the running service and followed to the end. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/commands/command.h"
#include "agent/commands/follow.h"
#include "agent/commands/hold.h"
#include "agent/commands/progress.h"
#include "agent/rules/email.h"
#include "agent/service/handover.h"
#include "agent/service/pause.h"
#include "agent/service/service.h"
#include "agent/service/token.h"

struct once {
    struct bulk_request request;
    struct progress_line line;
};

static void on_progress(void *ctx, const struct bulk_progress *progress, bool ended)
{
    struct once *once = ctx;
    if (ended)
        progress_end(&once->line, progress);
    else
        progress_show(&once->line, progress);
    if (progress->token_refused)
        command_say("%s; the rest stays queued", progress->paused_because);
}

static int exit_code_of(const struct bulk_progress *progress)
{
    return progress->counts.state[STATE_FAILED] > 0 || progress->counts.state[STATE_HELD] > 0 ? 1
                                                                                              : 0;
}

/* --- beside a running service --- */

static void on_news(void *ctx, const cJSON *json)
{
    struct once *once = ctx;
    struct bulk_progress progress;
    handover_read_progress(json, &progress);
    progress_show(&once->line, &progress);
    if (progress.token_refused) {
        command_say("%s; the rest stays queued", progress.paused_because);
        follow_stop(EX_NOPERM);
    }
}

static int hand_over(const struct config *config, struct once *once)
{
    cJSON *request = cJSON_CreateObject();
    cJSON_AddStringToObject(request, "command", "once");
    if (once->request.watch != NULL)
        cJSON_AddStringToObject(request, "watch", once->request.watch);
    if (once->request.owner != NULL)
        cJSON_AddStringToObject(request, "owner", once->request.owner);
    cJSON_AddItemToObject(request, "paths",
                          handover_paths(once->request.paths, once->request.path_count));
    command_say("the service is running: it does the work, this shows how it goes");
    cJSON *result;
    int code = follow(config->state_dir, request, on_news, once, &result);
    cJSON_Delete(request);
    if (result != NULL) {
        struct bulk_progress progress;
        handover_read_progress(result, &progress);
        progress_end(&once->line, &progress);
        code = exit_code_of(&progress);
        cJSON_Delete(result);
    }
    return code;
}

/* --- by itself --- */

/* Whoever paused it wants the uplink free. Beside a service one can wait for the end; here nobody
 * else would ever see it. */
static int refuse_while_paused(const struct config *config)
{
    struct ledger *ledger;
    int code = command_open_ledger(config, &ledger);
    if (code != 0)
        return code == 1 ? 0 : code;
    char *words = pause_words(ledger, when_now_ms());
    ledger_close(ledger);
    if (words != NULL)
        command_say("%s; `chorus-agent resume` ends it", words);
    code = words != NULL ? EX_TEMPFAIL : 0;
    free(words);
    return code;
}

static int act(struct config *config, int lock, struct once *once)
{
    char *token, *problem;
    int no_token = token_read(config->chorus.token_file, &token, &problem);
    token_clear(&token);
    if (no_token) {
        command_say("%s", problem);
        free(problem);
        config_free(config);
        return EX_NOPERM;
    }
    /* the progress tells what matters; the log only what went wrong */
    log_configure(config->log_level > LOG_WARNING && !once->line.on_terminal ? config->log_level
                                                                             : LOG_ERROR,
                  config->log_json);
    log_redact(config->log_redact);
    struct service_options options = {
        .version = command_version, .bulk = &once->request, .progress = on_progress, .ctx = once};
    return service_run(config, lock, &options);
}

static int run_once(struct config *config, struct once *once)
{
    int lock;
    bool held;
    int code = command_enter_state_dir(config, true);
    if (code == 0)
        code = hold_state_dir(config, &lock, &held);
    if (code == 0) {
        code = refuse_while_paused(config);
        if (code == 0)
            return act(config, lock, once);
        close(lock);
    } else if (code == EX_TEMPFAIL && held) {
        code = hand_over(config, once);
    }
    config_free(config);
    return code;
}

int command_once(const struct invocation *invocation)
{
    static const struct option options[] = {
        {"watch", required_argument, NULL, 'w'}, {"owner", required_argument, NULL, 'o'}, {0}};
    struct once once = {0};
    int option;
    while ((option = getopt_long(invocation->argc, invocation->argv, "", options, NULL)) != -1) {
        if (option == 'w')
            once.request.watch = optarg;
        else if (option == 'o')
            once.request.owner = optarg;
        else
            return command_usage(invocation, "unknown option");
    }
    if (once.request.owner != NULL && !email_is_valid(once.request.owner))
        return command_usage(invocation, "--owner needs an e-mail address");
    struct config *config;
    int code = command_load_config(invocation, CONFIG_TO_ACT, &config);
    if (code != 0)
        return code;
    if (once.request.watch != NULL && config_watch(config, once.request.watch) == NULL) {
        command_say("there is no watch named %s in %s", once.request.watch, config->file);
        config_free(config);
        return EX_USAGE;
    }
    char **paths = command_absolute_paths(invocation, optind, &once.request.path_count);
    for (size_t i = 0; i < once.request.path_count; i++) {
        if (access(paths[i], F_OK) != 0) {
            command_say("%s: %s", invocation->argv[optind + (int)i], strerror(errno));
            code = EX_NOINPUT;
        }
    }
    once.request.paths = paths;
    progress_begin(&once.line);
    if (code == 0)
        code = run_once(config, &once);
    else
        config_free(config);
    command_free_paths(paths, once.request.path_count);
    return code;
}
