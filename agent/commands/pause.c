/* pause and resume: nothing is sent until a time, or until it is resumed. */
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/base/bytes.h"
#include "agent/base/json.h"
#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/commands/command.h"
#include "agent/commands/follow.h"
#include "agent/commands/hold.h"
#include "agent/service/pause.h"

/* Who asks, for the words: behind sudo, whoever used it. New string. */
static char *who(void)
{
    const char *name = getenv("SUDO_USER");
    const struct passwd *user = name == NULL || name[0] == '\0' ? getpwuid(getuid()) : NULL;
    if (user != NULL)
        name = user->pw_name;
    return name != NULL && name[0] != '\0' ? bytes_escape(name)
                                           : mem_printf("user %ld", (long)getuid());
}

static void tell(const struct pause_request *request, const char *words)
{
    if (words != NULL)
        printf("%s\n", words);
    else
        printf("%s\n", request->resume ? "resumed" : "the pause is over already");
}

static int hand_over(const struct config *config, const struct pause_request *request)
{
    cJSON *json = cJSON_CreateObject(), *result;
    cJSON_AddStringToObject(json, "command", request->resume ? "resume" : "pause");
    cJSON_AddNumberToObject(json, "for_ms", (double)request->for_ms);
    cJSON_AddStringToObject(json, "by", request->by);
    int code = follow(config->state_dir, json, NULL, NULL, &result);
    cJSON_Delete(json);
    if (result == NULL)
        return code;
    const char *words = json_text(result, "words");
    tell(request, words[0] != '\0' ? words : NULL);
    cJSON_Delete(result);
    return 0;
}

static int act(const struct config *config, const struct pause_request *request)
{
    struct ledger *ledger;
    int code = command_open_ledger_to_write(config, &ledger);
    if (code != 0)
        return code;
    pause_apply(ledger, request, when_now_ms());
    code = command_commit(ledger);
    if (code == 0) {
        char *words = pause_words(ledger, when_now_ms());
        tell(request, words);
        command_say("no service runs; this holds for the next one, too");
        free(words);
    }
    ledger_close(ledger);
    return code;
}

static int run(const struct invocation *invocation, struct pause_request *request)
{
    struct config *config;
    int lock;
    bool held = false;
    char *by = who(); /* before root becomes the service's user */
    int code = command_load_config(invocation, CONFIG_TO_LOOK, &config);
    request->by = by;
    if (code == 0) {
        code = command_enter_state_dir(config, true);
        if (code == 0)
            code = hold_state_dir(config, &lock, &held);
        if (code == EX_TEMPFAIL && held) {
            code = hand_over(config, request);
        } else if (code == 0) {
            code = act(config, request);
            close(lock);
        }
        config_free(config);
    }
    free(by);
    return code;
}

static bool has_options(const struct invocation *invocation)
{
    static const struct option none[] = {{0}};
    return getopt_long(invocation->argc, invocation->argv, "", none, NULL) != -1;
}

int command_pause(const struct invocation *invocation)
{
    struct pause_request request = {0};
    if (has_options(invocation))
        return command_usage(invocation, "unknown option");
    if (invocation->argc - optind > 1)
        return command_usage(invocation, "it takes one DURATION, or none");
    if (optind < invocation->argc &&
        (!when_parse_duration(invocation->argv[optind], false, &request.for_ms) ||
         request.for_ms == 0))
        return command_usage(invocation, "DURATION is a number with ms, s, min, h or d, as 2h");
    return run(invocation, &request);
}

int command_resume(const struct invocation *invocation)
{
    struct pause_request request = {.resume = true};
    if (has_options(invocation))
        return command_usage(invocation, "unknown option");
    if (optind < invocation->argc)
        return command_usage(invocation, "it takes no argument");
    return run(invocation, &request);
}
