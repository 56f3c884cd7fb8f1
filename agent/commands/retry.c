/* retry: recordings go back into the queue. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/base/json.h"
#include "agent/commands/command.h"
#include "agent/commands/follow.h"
#include "agent/commands/hold.h"
#include "agent/service/handover.h"
#include "agent/service/retry.h"

static int tell(const struct retry_request *request, const struct retry_outcome *outcome)
{
    printf("%zu put back in the queue\n", outcome->queued);
    if (outcome->untouched > 0)
        command_say("%zu left as they are: %s", outcome->untouched,
                    request->undelete ? "no deletion blocks them, or one is still under way"
                                      : "neither failed, held, waiting nor gone");
    if (outcome->unknown > 0)
        command_say("%zu of the paths are not known to the ledger", outcome->unknown);
    return outcome->unknown > 0 ? EX_NOINPUT : 0;
}

static int hand_over(const struct config *config, const struct retry_request *request)
{
    cJSON *json = cJSON_CreateObject(), *result;
    cJSON_AddStringToObject(json, "command", "retry");
    cJSON_AddItemToObject(json, "paths", handover_paths(request->paths, request->path_count));
    cJSON_AddBoolToObject(json, "failed", request->failed);
    cJSON_AddBoolToObject(json, "held", request->held);
    cJSON_AddBoolToObject(json, "undelete", request->undelete);
    int code = follow(config->state_dir, json, NULL, NULL, &result);
    cJSON_Delete(json);
    if (result == NULL)
        return code;
    struct retry_outcome outcome = {(size_t)json_number(result, "queued"),
                                    (size_t)json_number(result, "untouched"),
                                    (size_t)json_number(result, "unknown"), 0};
    cJSON_Delete(result);
    return tell(request, &outcome);
}

static int act(const struct config *config, const struct retry_request *request)
{
    struct ledger *ledger;
    struct retry_outcome outcome;
    int code = command_open_ledger_to_write(config, &ledger);
    if (code != 0)
        return code;
    retry_apply(ledger, config->state_dir, request, &outcome);
    code = command_commit(ledger);
    ledger_close(ledger);
    char *problem = code == 0 ? retry_problem(&outcome) : NULL;
    if (problem != NULL)
        command_say("%s", problem);
    free(problem);
    return code != 0 || outcome.error != 0 ? EX_IOERR : tell(request, &outcome);
}

static int run(const struct config *config, const struct retry_request *request)
{
    int lock;
    bool held;
    int code = command_enter_state_dir(config, true);
    if (code == 0)
        code = hold_state_dir(config, &lock, &held);
    if (code == EX_TEMPFAIL && held)
        return hand_over(config, request);
    if (code != 0)
        return code;
    code = act(config, request);
    close(lock);
    return code;
}

int command_retry(const struct invocation *invocation)
{
    static const struct option options[] = {{"failed", no_argument, NULL, 'f'},
                                            {"held", no_argument, NULL, 'h'},
                                            {"undelete", no_argument, NULL, 'u'},
                                            {0}};
    struct retry_request request = {0};
    int option;
    while ((option = getopt_long(invocation->argc, invocation->argv, "", options, NULL)) != -1) {
        if (option == 'f')
            request.failed = true;
        else if (option == 'h')
            request.held = true;
        else if (option == 'u')
            request.undelete = true;
        else
            return command_usage(invocation, "unknown option");
    }
    if (request.undelete && (request.failed || request.held || optind == invocation->argc))
        return command_usage(invocation, "--undelete takes PATHs, and stands alone");
    if (optind == invocation->argc && !request.failed && !request.held)
        return command_usage(invocation, "say which: PATHs, --failed or --held");
    struct config *config;
    int code = command_load_config(invocation, CONFIG_TO_LOOK, &config);
    if (code != 0)
        return code;
    request.paths = command_absolute_paths(invocation, optind, &request.path_count);
    code = run(config, &request);
    command_free_paths(request.paths, request.path_count);
    config_free(config);
    return code;
}
