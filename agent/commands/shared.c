#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/commands/command.h"
#include "agent/control/control_dir.h"

const char command_version[] = CHORUS_VERSION;

void command_say(const char *format, ...)
{
    va_list args;
    fputs("chorus-agent: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

int command_usage(const struct invocation *invocation, const char *problem)
{
    command_say("%s: %s; see `chorus-agent %s --help`", invocation->argv[0], problem,
                invocation->argv[0]);
    return EX_USAGE;
}

int command_load_config(const struct invocation *invocation, enum config_use use,
                        struct config **config)
{
    struct config_problems problems = {0};
    int code = use == CONFIG_TO_LOOK
                   ? config_load_to_look(invocation->config_file, config, &problems)
                   : config_load(invocation->config_file, config, &problems);
    for (size_t i = 0; i < problems.count; i++) {
        if (use != CONFIG_TO_RUN && problems.items[i].warning)
            continue;
        char *line = config_problem_line(&problems, &problems.items[i]);
        fprintf(stderr, "%s\n", line);
        free(line);
    }
    config_problems_clear(&problems);
    return code == 0 ? 0 : EX_CONFIG;
}

static int become_owner(const struct stat *st, const char *state_dir)
{
    if (geteuid() != 0 || st->st_uid == 0)
        return 0;
    const struct passwd *user = getpwuid(st->st_uid);
    int groups = user != NULL ? initgroups(user->pw_name, st->st_gid) : setgroups(0, NULL);
    if (groups == 0 && setgid(st->st_gid) == 0 && setuid(st->st_uid) == 0)
        return 0;
    command_say("cannot become the owner of %s: %s", state_dir, strerror(errno));
    return EX_NOPERM;
}

int command_enter_state_dir(const struct config *config, bool make)
{
    struct stat st;
    umask(0077); /* what is written below state_dir is for its owner only */
    if (make && mkdir(config->state_dir, 0700) != 0 && errno != EEXIST) {
        command_say("cannot make state_dir %s: %s; make it, owned by the service's user, or name "
                    "another",
                    config->state_dir, strerror(errno));
        return EX_CANTCREAT;
    }
    if (stat(config->state_dir, &st) != 0) {
        if (!make)
            return 0;
        command_say("cannot look at state_dir %s: %s", config->state_dir, strerror(errno));
        return EX_CANTCREAT;
    }
    /* its folder need not be ours to write to, once we are that owner */
    if (make && geteuid() == 0 && st.st_uid != 0)
        free(control_dir_make(config->control_dir, config->control_group, st.st_uid, st.st_gid));
    return become_owner(&st, config->state_dir);
}

int command_open_ledger(const struct config *config, struct ledger **ledger)
{
    char *why = NULL;
    *ledger = NULL;
    char *file = mem_printf("%s/ledger.db", config->state_dir);
    bool there = access(file, F_OK) == 0;
    int access_error = errno;
    free(file);
    if (!there && access_error == ENOENT)
        return 1;
    int error = ledger_open(config->state_dir, LEDGER_READ, ledger, &why);
    if (error == -ENOENT) {
        free(why);
        return 1;
    }
    if (error != 0) {
        command_say("the ledger in %s cannot be read: %s", config->state_dir,
                    why != NULL ? why : strerror(-error));
        free(why);
        return EX_IOERR;
    }
    free(why);
    return 0;
}

int command_open_ledger_to_write(const struct config *config, struct ledger **ledger)
{
    char *why = NULL;
    int error = ledger_open(config->state_dir, LEDGER_WRITE, ledger, &why);
    if (error != 0)
        command_say("the ledger in %s cannot be opened: %s", config->state_dir,
                    why != NULL ? why : strerror(-error));
    free(why);
    return error != 0 ? EX_IOERR : 0;
}

int command_commit(struct ledger *ledger)
{
    if (ledger_commit(ledger) == 0)
        return 0;
    command_say("the ledger cannot be written: %s; nothing was changed",
                ledger_error_words(ledger));
    return EX_IOERR;
}

/* As the shell gave it; where nothing has that name, it may be as `list` and the log show it. */
static char *path_bytes(const char *argument)
{
    struct stat st;
    char *bytes = lstat(argument, &st) != 0 ? bytes_unescape(argument) : NULL;
    return bytes != NULL ? bytes : mem_string(argument);
}

char *command_absolute_path(const char *argument)
{
    char *path = path_bytes(argument);
    char *here = path[0] != '/' ? getcwd(NULL, 0) : NULL;
    char *whole = mem_printf("%s/%s", here != NULL ? here : "", path);
    char *clean = mem_zalloc(strlen(whole) + 2);
    size_t n = 0;
    for (char *save, *part = strtok_r(whole, "/", &save); part != NULL;
         part = strtok_r(NULL, "/", &save)) {
        if (strcmp(part, ".") == 0)
            continue;
        if (strcmp(part, "..") == 0) {
            while (n > 0 && clean[--n] != '/')
                ;
            continue;
        }
        clean[n++] = '/';
        memcpy(clean + n, part, strlen(part));
        n += strlen(part);
    }
    if (n == 0)
        clean[n++] = '/';
    clean[n] = '\0';
    free(here);
    free(whole);
    free(path);
    return clean;
}

char **command_absolute_paths(const struct invocation *invocation, int from, size_t *count)
{
    char **paths = mem_array((size_t)(invocation->argc - from) + 1, sizeof *paths);
    *count = 0;
    for (int i = from; i < invocation->argc; i++)
        paths[(*count)++] = command_absolute_path(invocation->argv[i]);
    return paths;
}

void command_free_paths(char **paths, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(paths[i]);
    free(paths);
}

void command_size_text(unsigned long long bytes, char text[COMMAND_SIZE_TEXT])
{
    static const char *const units[] = {"kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t i = 0;
    if (bytes < 1000) {
        snprintf(text, COMMAND_SIZE_TEXT, "%llu B", bytes);
        return;
    }
    for (value /= 1000; value >= 1000 && i + 1 < sizeof units / sizeof units[0]; i++)
        value /= 1000;
    snprintf(text, COMMAND_SIZE_TEXT, "%.1f %s", value, units[i]);
}
