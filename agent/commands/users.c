/* users: the owners that a recording can be given to, as Chorus lists them. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <cjson/cJSON.h>

#include "agent/chorus/users.h"
#include "agent/commands/command.h"
#include "agent/commands/online.h"
#include "agent/service/token.h"

enum form { FORM_TEXT, FORM_JSON, FORM_CSV };

static void print_json(const char *email)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "email", email);
    char *text = cJSON_PrintUnformatted(object);
    puts(text != NULL ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(object);
}

static void print_users(const struct users *users, enum form form)
{
    if (form == FORM_CSV)
        puts("# agent,e-mail: put what the dialer calls each of them into the first column");
    for (size_t i = 0; i < users_count(users); i++) {
        const char *email = users_at(users, i);
        if (form == FORM_JSON)
            print_json(email);
        else if (form == FORM_CSV)
            printf("%.*s,%s\n", (int)strcspn(email, "@"), email, email);
        else
            puts(email);
    }
}

/* 0, or an exit code, told. */
static int ask(const struct config *config, struct users *users)
{
    char *token, *problem;
    if (token_read(config->chorus.token_file, &token, &problem) != 0) {
        command_say("no token: %s", problem);
        free(problem);
        return EX_NOPERM;
    }
    struct online_answer answer;
    int code = 0;
    if (online_get_users(config, token, users, &answer) != 0) {
        code = answer.status == 401 || answer.status == 403 ? EX_NOPERM : EX_UNAVAILABLE;
        command_say("%s: no list of users: status %d%s%s", config->chorus.url, answer.status,
                    answer.said[0] != '\0' ? ": " : "", answer.said);
    }
    online_clear(&answer);
    token_clear(&token);
    return code;
}

/* Where Chorus cannot be reached, the list that the service has kept is better than none. */
static int print_list(const struct config *config, enum form form)
{
    struct users *users = users_new();
    int code = ask(config, users);
    if (code == EX_UNAVAILABLE) {
        struct users *kept = users_load(config->state_dir);
        if (kept != NULL) {
            command_say("this is the list that was kept");
            users_free(users);
            users = kept;
            code = 0;
        }
    }
    if (code == 0)
        print_users(users, form);
    users_free(users);
    return code;
}

int command_users(const struct invocation *invocation)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"csv", no_argument, NULL, 'c'}, {0}};
    enum form form = FORM_TEXT;
    struct config *config;
    int option;
    while ((option = getopt_long(invocation->argc, invocation->argv, "", options, NULL)) != -1) {
        if (option != 'j' && option != 'c')
            return command_usage(invocation, "unknown option");
        form = option == 'j' ? FORM_JSON : FORM_CSV;
    }
    if (optind < invocation->argc)
        return command_usage(invocation, "it takes no PATH");
    int code = command_load_config(invocation, CONFIG_TO_ACT, &config);
    if (code != 0)
        return code;
    code = command_enter_state_dir(config, false);
    if (code == 0)
        code = print_list(config, form);
    config_free(config);
    return code;
}
