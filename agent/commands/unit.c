#include "agent/commands/unit.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/commands/command.h"

/* A manager that does not answer by then is none. */
enum { PATIENCE_MS = 5000, ANSWER_ROOM = 1 << 16 };

struct unit {
    char *answer; /* one line a property: Name=value */
};

/* Everything the child says until it closes its output; true: it did so in time. */
static bool read_all(int fd, char *room, size_t size)
{
    size_t n = 0;
    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        ssize_t got = poll(&ready, 1, PATIENCE_MS) == 1 ? read(fd, room + n, size - 1 - n) : -1;
        if (got <= 0 || (n += (size_t)got) == size - 1) {
            room[n] = '\0';
            return got == 0;
        }
    }
}

/* What systemctl says, new string; NULL: it cannot say it. */
static char *ask_systemctl(void)
{
    static char *const argv[] = {
        "systemctl", "show", "chorus-agent.service",
        "--property=ExecStart,ProtectSystem,ProtectHome,PrivateTmp,ReadWritePaths", NULL};
    static char *const nothing[] = {NULL}; /* no token that stands in the environment */
    int ends[2];
    pid_t child;
    posix_spawn_file_actions_t actions;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return NULL;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    int error = posix_spawnp(&child, argv[0], &actions, NULL, argv, nothing);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    char *answer = error == 0 ? mem_zalloc(ANSWER_ROOM) : NULL;
    int status = -1;
    if (answer != NULL && !read_all(ends[0], answer, ANSWER_ROOM))
        kill(child, SIGKILL);
    close(ends[0]);
    if (answer != NULL && (waitpid(child, &status, 0) != child || status != 0))
        mem_replace(&answer, NULL);
    return answer;
}

/* The value of a property, not ended by NUL; *length gets its bytes. */
static const char *value_of(const struct unit *unit, const char *name, size_t *length)
{
    size_t n = strlen(name);
    for (const char *line = unit->answer; *line != '\0'; line += strspn(line, "\n")) {
        size_t end = strcspn(line, "\n");
        if (strncmp(line, name, n) == 0 && line[n] == '=') {
            *length = end - n - 1;
            return line + n + 1;
        }
        line += end;
    }
    *length = 0;
    return "";
}

static bool is(const struct unit *unit, const char *name, const char *value)
{
    size_t n;
    const char *found = value_of(unit, name, &n);
    return strlen(value) == n && memcmp(found, value, n) == 0;
}

/* The unit's own command line names its configuration, or means the default one. */
static bool is_of(const struct unit *unit, const char *config_file)
{
    size_t n;
    const char *found = value_of(unit, "ExecStart", &n);
    char *command = mem_bytes_string(found, n);
    char *begin = strstr(command, "argv[]="), *rest = NULL;
    bool matches = false, named = false;
    for (char *word = begin != NULL ? strtok_r(begin, " ;", &rest) : NULL; word != NULL && !named;
         word = strtok_r(NULL, " ;", &rest)) {
        named = strcmp(word, "-c") == 0 || strcmp(word, "--config") == 0;
        if (named) {
            word = strtok_r(NULL, " ;", &rest);
            matches = word != NULL && strcmp(word, config_file) == 0;
        }
    }
    matches = named ? matches : begin != NULL && strcmp(config_file, COMMAND_DEFAULT_CONFIG) == 0;
    free(command);
    return matches;
}

struct unit *unit_ask(const char *config_file)
{
    struct unit *unit = mem_zalloc(sizeof *unit);
    unit->answer = ask_systemctl();
    if (unit->answer != NULL && is_of(unit, config_file))
        return unit;
    unit_free(unit);
    return NULL;
}

void unit_free(struct unit *unit)
{
    if (unit == NULL)
        return;
    free(unit->answer);
    free(unit);
}

static bool is_below(const char *path, const char *folder, size_t length)
{
    while (length > 1 && folder[length - 1] == '/')
        length--;
    return length == 1 ||
           (strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0'));
}

/* Whether one of the folders of a list of them, each perhaps after `-` or `+`, holds it. */
static bool list_holds(const char *list, size_t length, const char *path)
{
    for (size_t i = 0; i < length;) {
        size_t n = 0;
        i += strspn(list + i, " -+");
        while (i + n < length && list[i + n] != ' ')
            n++;
        if (n > 0 && is_below(path, list + i, n))
            return true;
        i += n;
    }
    return false;
}

bool unit_shows(const struct unit *unit, const char *path)
{
    static const char homes[] = "/home /root /run/user", temporary[] = "/tmp /var/tmp";
    bool home = !is(unit, "ProtectHome", "no") && !is(unit, "ProtectHome", "read-only") &&
                list_holds(homes, sizeof homes - 1, path);
    bool tmp = !is(unit, "PrivateTmp", "no") && list_holds(temporary, sizeof temporary - 1, path);
    return !home && !tmp;
}

bool unit_may_write(const struct unit *unit, const char *path)
{
    size_t n;
    const char *writable = value_of(unit, "ReadWritePaths", &n);
    return !is(unit, "ProtectSystem", "strict") || list_holds(writable, n, path);
}
