/* check: the configuration, the folders, the token; with --online also Chorus. Findings go to
 * stdout. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/chorus/users.h"
#include "agent/commands/command.h"
#include "agent/commands/doctor.h"
#include "agent/commands/online.h"
#include "agent/commands/unit.h"
#include "agent/control/control_dir.h"
#include "agent/ledger/place.h"
#include "agent/rules/email.h"
#include "agent/service/token.h"

/* How many errors were found; warnings do not count. */
struct findings {
    unsigned errors;
};

__attribute__((format(printf, 2, 3))) static void finding(struct findings *findings,
                                                          const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    findings->errors++;
}

static struct config *check_file(const char *file, struct findings *findings)
{
    struct config *config;
    struct config_problems problems = {0};
    config_load(file, &config, &problems);
    for (size_t i = 0; i < problems.count; i++) {
        char *line = config_problem_line(&problems, &problems.items[i]);
        printf("%s\n", line);
        free(line);
    }
    findings->errors += (unsigned)problems.errors;
    config_problems_clear(&problems);
    return config;
}

/* Where recordings are moved or deleted, their place has to be writable. */
static void check_place(const struct config *config, const struct watch_config *watch,
                        const char *place, struct findings *findings)
{
    if (access(place, W_OK | X_OK) == 0)
        return;
    if (errno == EROFS)
        finding(findings,
                "%s:%d: watch %s: after_upload: %s is read-only here; where the service's unit "
                "makes it "
                "so: systemctl edit chorus-agent, [Service], ReadWritePaths=%s",
                config->file, watch->line, watch->name, place, place);
    else
        finding(
            findings,
            "%s:%d: watch %s: after_upload: %s cannot be written: %s; the service's user has to "
            "write there",
            config->file, watch->line, watch->name, place, strerror(errno));
}

static void check_watch(const struct config *config, const struct watch_config *watch,
                        struct findings *findings)
{
    struct stat st;
    if (stat(watch->path, &st) != 0)
        finding(findings,
                "%s:%d: watch %s: %s cannot be reached: %s; make the folder, or mend `path`",
                config->file, watch->line, watch->name, watch->path, strerror(errno));
    else if (!S_ISDIR(st.st_mode))
        finding(findings, "%s:%d: watch %s: %s is no folder", config->file, watch->line,
                watch->name, watch->path);
    else if (access(watch->path, R_OK | X_OK) != 0)
        finding(
            findings,
            "%s:%d: watch %s: %s cannot be read: %s; the service's user needs to read and enter it",
            config->file, watch->line, watch->name, watch->path, strerror(errno));
    else if (watch->after_upload != AFTER_KEEP)
        check_place(config, watch, watch->path, findings);
    if (watch->after_upload == AFTER_MOVE && access(watch->move_to, F_OK) == 0)
        check_place(config, watch, watch->move_to, findings);
}

static void check_under_unit(const struct config *config, const struct watch_config *watch,
                             const struct unit *unit, struct findings *findings)
{
    const char *places[] = {watch->path, watch->after_upload == AFTER_MOVE ? watch->move_to : NULL};
    for (size_t i = 0; i < 2 && places[i] != NULL; i++) {
        if (!unit_shows(unit, places[i]))
            finding(findings,
                    "%s:%d: watch %s: the service does not see %s: its unit has its own; systemctl "
                    "edit chorus-agent, [Service], ProtectHome=read-only, or PrivateTmp=no for "
                    "/tmp, and restart it",
                    config->file, watch->line, watch->name, places[i]);
        else if (watch->after_upload != AFTER_KEEP && !unit_may_write(unit, places[i]))
            finding(findings,
                    "%s:%d: watch %s: after_upload: the service's unit makes %s read-only: "
                    "systemctl edit chorus-agent, [Service], ReadWritePaths=%s, and restart it",
                    config->file, watch->line, watch->name, places[i], places[i]);
    }
}

/* By whatever way: a symlink, too, may lead from one into the other. */
static void check_apart(const struct config *config, const struct watch_config *watch,
                        const char *key, const char *own, struct findings *findings)
{
    struct root_identity above[64], root[1];
    size_t count = place_lineage(own, above, 64);
    if (place_lineage(watch->path, root, 1) == 0)
        return;
    for (size_t i = 0; i < count; i++) {
        if (above[i].dev == root->dev && above[i].ino == root->ino) {
            finding(findings,
                    "%s:%d: watch %s: %s holds %s (%s); allowed: a folder outside every watch",
                    config->file, watch->line, watch->name, watch->path, key, own);
            return;
        }
    }
}

/* state_dir, or the folder in which it would be made. */
static void check_state_dir(const struct config *config, struct findings *findings)
{
    char *folder = mem_string(config->state_dir);
    while (access(folder, F_OK) != 0 && errno == ENOENT && strcmp(folder, "/") != 0) {
        char *slash = strrchr(folder, '/');
        slash[slash == folder] = '\0';
    }
    if (access(folder, W_OK | X_OK) != 0)
        finding(findings, "%s: state_dir %s: %s cannot be written: %s", config->file,
                config->state_dir, folder, strerror(errno));
    char *problem = place_problem(folder);
    if (problem != NULL)
        finding(findings, "%s: state_dir %s: %s", config->file, config->state_dir, problem);
    free(problem);
    free(folder);
}

/* Uploads do not need it: that it is missing, and cannot be made from here, is no error. */
static void check_control_dir(const struct config *config, struct findings *findings)
{
    bool missing;
    char *problem = control_dir_judge(config->control_dir, config->control_group, &missing);
    char *parent = mem_string(config->control_dir);
    *strrchr(parent, '/') = '\0';
    if (problem != NULL && !missing)
        finding(findings, "%s: control_dir: %s", config->file, problem);
    else if (missing && access(parent[0] != '\0' ? parent : "/", W_OK | X_OK) != 0)
        printf("%s: warning: control_dir: %s; until then no deletion can be requested\n",
               config->file, problem);
    free(parent);
    free(problem);
}

static char *check_token(const struct config *config, struct findings *findings)
{
    char *token, *problem;
    if (token_read(config->chorus.token_file, &token, &problem) != 0)
        finding(findings, "%s: no token: %s", config->file, problem);
    free(problem);
    return token;
}

/* No error: it may have been made a moment ago, and is read again once it is filled. */
static void check_tables(const struct config *config)
{
    struct stat st;
    for (size_t i = 0; i < config->table_count; i++) {
        const struct table_config *table = &config->tables[i];
        if (stat(table->path, &st) == 0 && st.st_size == 0)
            printf("%s: table %s: %s is empty: a recording whose owner it should tell is held\n",
                   config->file, table->name, table->path);
    }
}

/* --- online --- */

static int judge(const struct config *config, const char *what, const struct online_answer *answer)
{
    if (answer->status / 100 == 2)
        return 0;
    bool refused = answer->status == 401 || answer->status == 403;
    printf("%s: %s: ", config->chorus.url, what);
    if (answer->status != 0)
        printf("Chorus answered %d", answer->status);
    else
        printf("no answer");
    printf("%s%s%s\n", answer->said[0] != '\0' ? ": " : "", answer->said,
           refused ? "; the token is not valid (any more), or its user may not do this" : "");
    return refused ? EX_NOPERM : EX_UNAVAILABLE;
}

static void check_owners(const struct config *config, const struct users *users,
                         struct findings *findings)
{
    for (size_t i = 0; i < config->watch_count; i++) {
        const struct watch_config *watch = &config->watches[i];
        for (size_t k = 0; k < rules_count(watch->rules); k++) {
            const char *owner = rules_constant_owner(watch->rules, k);
            if (owner != NULL && !users_has(users, owner))
                finding(findings,
                        "%s:%d: watch %s: owner %s is no user of Chorus that this token may see",
                        config->file, watch->line, watch->name, owner);
        }
    }
}

static int check_users(const struct config *config, const char *token, struct findings *findings)
{
    struct users *users = users_new();
    struct online_answer answer;
    int code = 0;
    if (online_get_users(config, token, users, &answer) == 0) {
        check_owners(config, users, findings);
    } else if (answer.status / 100 == 2) {
        printf("%s: GET " USERS_TARGET ": the answer (%d) is no list of users: it is not JSON\n",
               config->chorus.url, answer.status);
        code = EX_UNAVAILABLE;
    } else {
        code = judge(config, "GET " USERS_TARGET, &answer);
    }
    online_clear(&answer);
    users_free(users);
    return code;
}

static int check_online(const struct config *config, const char *token, struct findings *findings)
{
    struct online_answer answer;
    int64_t asked_ms = when_now_ms();
    online_get(config, token, "/api/v1/users/me", &answer);
    if (answer.status != 0) {
        findings->errors += doctor_look_at_tls(config);
        findings->errors += doctor_look_at_clock(answer.date, asked_ms);
    }
    int code = judge(config, "GET /api/v1/users/me", &answer);
    online_clear(&answer);
    if (code != 0)
        return code;
    return check_users(config, token, findings);
}

/* --- the command --- */

static int check(const struct invocation *invocation, bool online)
{
    struct findings findings = {0};
    struct config *config = check_file(invocation->config_file, &findings);
    if (config == NULL)
        return EX_CONFIG;
    int code = command_enter_state_dir(config, false);
    if (code != 0) {
        config_free(config);
        return code;
    }
    check_state_dir(config, &findings);
    check_control_dir(config, &findings);
    struct unit *unit = unit_ask(config->file);
    for (size_t i = 0; i < config->watch_count; i++) {
        check_watch(config, &config->watches[i], &findings);
        if (unit != NULL)
            check_under_unit(config, &config->watches[i], unit, &findings);
        check_apart(config, &config->watches[i], "state_dir", config->state_dir, &findings);
        check_apart(config, &config->watches[i], "control_dir", config->control_dir, &findings);
    }
    unit_free(unit);
    check_tables(config);
    char *token = check_token(config, &findings);
    if (online)
        findings.errors += doctor_look(config);
    code = online && token != NULL ? check_online(config, token, &findings) : 0;
    token_clear(&token);
    if (code == 0 && findings.errors > 0)
        code = EX_CONFIG;
    if (code == 0)
        printf("%s: all well: %zu watch%s%s\n", config->file, config->watch_count,
               config->watch_count == 1 ? "" : "es", online ? ", token and owners proven" : "");
    config_free(config);
    return code;
}

int command_check(const struct invocation *invocation)
{
    static const struct option options[] = {{"online", no_argument, NULL, 'o'}, {0}};
    bool online = false;
    int option;
    while ((option = getopt_long(invocation->argc, invocation->argv, "", options, NULL)) != -1) {
        if (option != 'o')
            return command_usage(invocation, "unknown option");
        online = true;
    }
    if (optind < invocation->argc)
        return command_usage(invocation, "it takes no PATH");
    return check(invocation, online);
}

int command_doctor(const struct invocation *invocation)
{
    if (invocation->argc > 1)
        return command_usage(invocation, "it takes no arguments");
    return check(invocation, true);
}
