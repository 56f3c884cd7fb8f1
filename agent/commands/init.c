/* init: writes a configuration, after looking around; never over one that is there. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
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
#include "agent/commands/dialers.h"
#include "agent/rules/email.h"

/* What the packages make: the service's user and its group. */
static const char service_group[] = "chorus-agent";

static const char agents_columns[] = "agent or extension,e-mail of the Chorus user";
static const char recordings_columns[] = "recording,agent or extension";

/* A text that grows. */
struct draft {
    char *text;
};

__attribute__((format(printf, 2, 3))) static void add(struct draft *draft, const char *format, ...)
{
    va_list args;
    char *more;
    va_start(args, format);
    int n = vasprintf(&more, format, args);
    va_end(args);
    if (n < 0)
        return;
    mem_replace(&draft->text, mem_printf("%s%s", draft->text, more));
    free(more);
}

/* In single quotes, where YAML could read it as anything else. NULL: no YAML text holds it. */
static char *yaml_text(const char *value)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._@+-";
    char *escaped = bytes_escape(value);
    bool odd = strcmp(escaped, value) != 0;
    free(escaped);
    if (odd)
        return NULL;
    if (value[strspn(value, plain)] == '\0' && (value[0] == '/' || strchr(value, '@') != NULL) &&
        value[0] != '@')
        return mem_string(value);
    char *quoted = mem_zalloc(2 * strlen(value) + 3), *to = quoted;
    *to++ = '\'';
    for (; *value != '\0'; value++) {
        if (*value == '\'')
            *to++ = '\'';
        *to++ = *value;
    }
    *to = '\'';
    return quoted;
}

/* --- what is written --- */

static void add_head(struct draft *draft)
{
    add(draft, "# Configuration of chorus-agent, written by `chorus-agent init`. All keys: "
               "chorus-agent.yaml(5).\n"
               "# Try a change with `chorus-agent check`; `systemctl reload chorus-agent` puts it "
               "in force.\n\n");
}

static void add_rule(struct draft *draft, const struct dialer_rule *rule)
{
    add(draft, "      - title: %s\n        pattern: '%s'\n", rule->title, rule->pattern);
    if (rule->owner != NULL)
        add(draft, "        owner: \"%s\"\n", rule->owner);
    if (rule->name != NULL)
        add(draft, "        name: \"%s\"\n", rule->name);
}

static bool uses(const struct dialer_find *find, size_t i)
{
    return find->dialer->rules[i].title != NULL && (find->fits[i] || !find->any_fits);
}

static bool needs_table(const struct dialer_find *find, const char *table)
{
    for (size_t i = 0; i < DIALER_RULES; i++) {
        if (uses(find, i) && strstr(find->dialer->rules[i].owner, table) != NULL)
            return true;
    }
    return false;
}

static bool need_table(const struct dialer_find *finds, size_t count, const char *table)
{
    for (size_t i = 0; i < count; i++) {
        if (needs_table(&finds[i], table))
            return true;
    }
    return false;
}

/* The table, and how each dialer that needs it fills it. */
static void add_table(struct draft *draft, const struct dialer_find *finds, size_t count,
                      const char *table, const char *columns, const char *folder)
{
    if (!need_table(finds, count, table))
        return;
    add(draft, "  # %s\n", columns);
    for (size_t i = 0; i < count; i++) {
        const struct dialer *dialer = finds[i].dialer;
        if (needs_table(&finds[i], table))
            add(draft, "  # %s: %s\n", dialer->name,
                strcmp(table, "agents") == 0 ? dialer->agents_hint : dialer->recordings_hint);
    }
    add(draft, "  %s: %s/%s.csv\n", table, folder, table);
}

static void add_tables(struct draft *draft, const struct dialer_find *finds, size_t count,
                       const char *folder)
{
    add(draft, "# Files of two columns, separated by a comma; read again by themselves when they "
               "change.\ntables:\n");
    add_table(draft, finds, count, "agents", agents_columns, folder);
    add_table(draft, finds, count, "recordings", recordings_columns, folder);
    add(draft, "\n");
}

static void add_since(struct draft *draft)
{
    add(draft, "    since: start               # what stands there already is left alone; `all` "
               "takes it too\n");
}

static void add_find(struct draft *draft, const struct dialer_find *find, const char *owner)
{
    const struct dialer *dialer = find->dialer;
    add(draft, "  # %s%s\n", dialer->name,
        find->any_fits || owner != NULL
            ? ""
            : ": no recording was there to judge by; the rules are for its usual names");
    add(draft, "  %s:\n    path: %s   # and all folders below it\n", dialer->watch, find->folder);
    if (dialer->exclude != NULL)
        add(draft, "    exclude: %s   # the two legs of a call: only the mixed one is taken\n",
            dialer->exclude);
    add_since(draft);
    if (owner != NULL) {
        add(draft, "    owner: %s   # all of it belongs to this Chorus user\n", owner);
        return;
    }
    add(draft,
        "    # In order; the first whose pattern is found in the path decides. {agent|agents}: "
        "what the table\n"
        "    # agents says of the pattern's group agent. An owner that no table knows is never "
        "guessed: the\n"
        "    # recording is held until one does. name: what Chorus shows. Try: chorus-agent "
        "explain FILE\n"
        "    rules:\n");
    for (size_t i = 0; i < DIALER_RULES; i++) {
        if (uses(find, i))
            add_rule(draft, &dialer->rules[i]);
    }
}

static void add_nothing_found(struct draft *draft)
{
    add(draft, "# No dialer was found here. Name the folder of the recordings, and whose they "
               "are:\n"
               "#\n"
               "# watches:\n"
               "#   calls:\n"
               "#     path: /srv/recordings\n"
               "#     owner: team@example.com\n");
}

/* --- writing --- */

/* Whoever is in the service's group may read it, nobody else. 0 or a positive errno. */
static int write_new(const char *file, const char *text)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (fd < 0)
        return errno;
    const struct group *group = geteuid() == 0 ? getgrnam(service_group) : NULL;
    int error = 0;
    size_t n = strlen(text);
    if (write(fd, text, n) != (ssize_t)n || fsync(fd) != 0 || fchmod(fd, 0640) != 0 ||
        (group != NULL && fchown(fd, 0, group->gr_gid) != 0))
        error = errno;
    if (close(fd) != 0 && error == 0)
        error = errno;
    if (error != 0)
        unlink(file);
    return error;
}

static char *folder_of_file(const char *file)
{
    char *absolute = command_absolute_path(file);
    char *slash = strrchr(absolute, '/');
    slash[slash == absolute] = '\0';
    return absolute;
}

static int say_unwritten(const char *file, int error)
{
    command_say("%s cannot be written: %s%s", file, strerror(error),
                error == EEXIST ? "; init never overwrites: change it, or move it away first" : "");
    return EX_CANTCREAT;
}

static int write_config(const char *file, const char *text)
{
    char *folder = folder_of_file(file);
    if (mkdir(folder, 0750) == 0) {
        const struct group *group = geteuid() == 0 ? getgrnam(service_group) : NULL;
        if (group != NULL && chown(folder, 0, group->gr_gid) != 0)
            command_say("%s: %s", folder, strerror(errno));
    }
    free(folder);
    int error = write_new(file, text);
    if (error == 0) {
        printf("wrote %s\n", file);
        return 0;
    }
    return say_unwritten(file, error);
}

static void write_table(const char *folder, const char *name, const char *what)
{
    char *file = mem_printf("%s/%s", folder, name);
    int error = write_new(file, "");
    if (error == 0)
        printf("wrote %s, empty: fill it with lines of %s\n", file, what);
    else if (error != EEXIST)
        command_say("%s cannot be written: %s", file, strerror(error));
    free(file);
}

/* --- what is said --- */

static void say_rights(const char *folder, bool readable, const char *group)
{
    if (readable)
        return;
    if (group[0] != '\0' && strcmp(group, "root") != 0)
        printf("  not everybody may read it: usermod -a -G %s chorus-agent\n", group);
    else
        printf(
            "  the service's user cannot read it: give it a group that may, and add chorus-agent "
            "to it (%s)\n",
            folder);
}

static void say_find(const struct dialer_find *find)
{
    printf("found %s: %s, %s%zu recording%s\n", find->dialer->name, find->folder,
           find->more ? "more than " : "", find->recordings, find->recordings == 1 ? "" : "s");
    for (size_t i = 0; i < DIALER_RULES; i++) {
        if (find->fits[i])
            printf("  names as of the rule %s\n", find->dialer->rules[i].title);
    }
    say_rights(find->folder, find->readable, find->group);
}

static void say_next(bool has_watch)
{
    int step = 1;
    printf("\nnext:\n");
    if (!has_watch)
        printf("  %d. name a folder and its owner in the configuration\n", step++);
    printf("  %d. the token: install -m 640 -g chorus-agent /dev/stdin /etc/chorus-agent/token  "
           "(paste "
           "it, then Ctrl-D)\n",
           step++);
    printf("  %d. chorus-agent check --online\n", step++);
    printf("  %d. systemctl restart chorus-agent\n", step);
}

/* --- the command --- */

struct wish {
    char *watch; /* absolute, NULL: look around */
    const char *owner, *root;
};

static int write_given(const struct invocation *invocation, const struct wish *wish)
{
    struct draft draft = {mem_string("")};
    char *path = yaml_text(wish->watch), *owner = yaml_text(wish->owner);
    bool readable;
    char group[64];
    if (path == NULL) {
        free(draft.text);
        free(owner);
        command_say("%s: a name that no configuration can hold (bytes that are not UTF-8, control "
                    "characters or \\)",
                    wish->watch);
        return EX_USAGE;
    }
    add(&draft, "watches:\n  calls:\n    path: %s\n    owner: %s\n    since: all\n", path, owner);
    int code = write_config(invocation->config_file, draft.text);
    if (code == 0 && access(wish->watch, F_OK) != 0)
        printf("%s is not there yet: %s\n", wish->watch, strerror(errno));
    dialers_look_at_rights(wish->watch, &readable, group);
    if (code == 0) {
        say_rights(wish->watch, readable, group);
        say_next(true);
    }
    free(path);
    free(owner);
    free(draft.text);
    return code;
}

static int write_found(const struct invocation *invocation, const struct wish *wish)
{
    struct dialer_find finds[DIALERS_MOST];
    struct draft draft = {mem_string("")};
    size_t count = dialers_look(wish->root, finds);
    char *owner = wish->owner != NULL ? yaml_text(wish->owner) : NULL;
    char *folder = folder_of_file(invocation->config_file);
    bool agents = owner == NULL && need_table(finds, count, "agents");
    bool recordings = owner == NULL && need_table(finds, count, "recordings");
    add_head(&draft);
    if (agents || recordings)
        add_tables(&draft, finds, count, folder);
    if (count > 0)
        add(&draft, "watches:\n");
    else
        add_nothing_found(&draft);
    for (size_t i = 0; i < count; i++) {
        say_find(&finds[i]);
        add_find(&draft, &finds[i], owner);
    }
    if (count == 0)
        printf("found no dialer: VICIdial, Issabel, FreePBX, FusionPBX, FreeSWITCH, 3CX or "
               "Asterisk\n");
    int code = write_config(invocation->config_file, draft.text);
    if (code == 0 && agents)
        write_table(folder, "agents.csv", agents_columns);
    if (code == 0 && recordings)
        write_table(folder, "recordings.csv", recordings_columns);
    if (code == 0)
        say_next(count > 0);
    free(draft.text);
    free(folder);
    free(owner);
    return code;
}

int command_init(const struct invocation *invocation)
{
    static const struct option options[] = {{"watch", required_argument, NULL, 'w'},
                                            {"owner", required_argument, NULL, 'o'},
                                            {"root", required_argument, NULL, 'r'},
                                            {0}};
    struct wish wish = {.root = ""};
    const char *watch = NULL;
    int option;
    while ((option = getopt_long(invocation->argc, invocation->argv, "", options, NULL)) != -1) {
        if (option == 'w')
            watch = optarg;
        else if (option == 'o')
            wish.owner = optarg;
        else if (option == 'r')
            wish.root = optarg;
        else
            return command_usage(invocation, "unknown option");
    }
    if (optind < invocation->argc)
        return command_usage(invocation, "it takes no PATH");
    if (watch != NULL && wish.owner == NULL)
        return command_usage(invocation, "--watch needs --owner EMAIL beside it");
    if (wish.owner != NULL && !email_is_valid(wish.owner))
        return command_usage(invocation, "--owner is no e-mail address");
    if (access(invocation->config_file, F_OK) == 0)
        return say_unwritten(invocation->config_file, EEXIST);
    if (watch == NULL)
        return write_found(invocation, &wish);
    wish.watch = command_absolute_path(watch);
    int code = write_given(invocation, &wish);
    free(wish.watch);
    return code;
}
