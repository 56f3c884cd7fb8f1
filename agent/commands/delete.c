/* delete: writes a control file; with --wait follows it to its result. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/commands/command.h"
#include "agent/commands/deletion_result.h"
#include "agent/control/control_dir.h"
#include "agent/control/request.h"
#include "agent/control/target.h"

struct asked {
    const char *reason, *requested_by, *expect;
    bool local, force, dry_run, wait;
};

/* --- the control file's text --- */

/* A line of text: nothing in it that would begin another one. */
static bool is_one_line(const char *text)
{
    for (size_t n; *text != '\0'; text += n) {
        n = bytes_utf8_length(text);
        if (n == 0 || (unsigned char)*text < 0x20 || *text == 0x7f ||
            (n == 2 && (unsigned char)text[0] == 0xc2 && (unsigned char)text[1] < 0xa0))
            return false;
    }
    return true;
}

/* Bytes as they may stand in a control file. What is an escape already is left as it is. */
static char *protect(const char *argument)
{
    char *line = mem_zalloc(4 * strlen(argument) + 1), *to = line;
    while (*argument != '\0') {
        size_t n = bytes_utf8_length(argument);
        char unit[5] = {0};
        memcpy(unit, argument, *argument == '\\' ? strnlen(argument, 4) : n > 0 ? n : 1);
        char *byte = *argument == '\\' ? bytes_unescape(unit) : NULL;
        if (*argument == '\\' && byte == NULL)
            unit[1] = '\0';
        argument += strlen(unit);
        char *escaped = byte != NULL ? mem_string(unit) : bytes_escape(unit);
        to = stpcpy(to, escaped);
        free(escaped);
        free(byte);
    }
    return line;
}

/* A path as it is recorded: absolute. */
static char *path_line(const char *argument)
{
    char *path = command_absolute_path(argument);
    char *line = bytes_escape(path);
    free(path);
    return line;
}

/* The line for one TARGET; NULL: told what is wrong with it. */
static char *target_line(const char *argument)
{
    struct stat st;
    char *value;
    const char *problem;
    char *line = argument[0] == '/' ? path_line(argument) : protect(argument);
    enum target_kind kind = target_read(line, &value, &problem);
    free(value);
    if (kind == TARGET_BAD && argument[0] != '/' && lstat(argument, &st) == 0) {
        mem_replace(&line, path_line(argument));
        kind = target_read(line, &value, &problem);
        free(value);
    }
    if (kind == TARGET_BAD) {
        command_say("%s: %s; a relative path has to exist", line, problem);
        mem_replace(&line, NULL);
    }
    return line;
}

static void add_line(char **text, const char *directive, const char *value)
{
    mem_replace(text,
                mem_printf("%s%s%s%s\n", *text, directive, value[0] != '\0' ? " " : "", value));
}

/* Text from outside is one line, or it could bring directives of its own. False: told. */
static bool add_text(char **text, const char *directive, const char *value)
{
    if (value == NULL)
        return true;
    if (!is_one_line(value)) {
        command_say("the text for %s has to be one line of UTF-8", directive);
        return false;
    }
    add_line(text, directive, value);
    return true;
}

static char *compose(const struct asked *asked, char **targets, int count)
{
    char *text = mem_string("");
    bool good = add_text(&text, "@reason", asked->reason) &&
                add_text(&text, "@requested-by", asked->requested_by) &&
                add_text(&text, "@expect", asked->expect);
    if (asked->local)
        add_line(&text, "@local", "delete");
    if (asked->force)
        add_line(&text, "@force", "");
    if (asked->dry_run)
        add_line(&text, "@dry-run", "");
    for (int i = 0; good && i < count; i++) {
        char *line = target_line(targets[i]);
        good = line != NULL;
        if (good)
            add_line(&text, line, "");
        free(line);
    }
    if (!good)
        mem_replace(&text, NULL);
    return text;
}

/* As the service will read it. */
static bool is_accepted(const char *text)
{
    struct request_facts facts;
    struct request_reader *reader = request_reader_new(NULL, NULL);
    request_reader_feed(reader, text, strlen(text));
    char *refusal = request_reader_end(reader, &facts);
    if (refusal != NULL)
        command_say("%s", refusal);
    bool accepted = refusal == NULL && facts.bad == 0;
    request_reader_free(reader);
    request_facts_clear(&facts);
    free(refusal);
    return accepted;
}

/* --- writing it --- */

/* Nobody's name so far: time, process, and chance. */
static char *new_name(void)
{
    char time[WHEN_TEXT];
    unsigned chance = 0;
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t ignored = read(fd, &chance, sizeof chance);
        (void)ignored;
        close(fd);
    }
    when_compact(when_now_ms(), time);
    return mem_printf("delete-%s-%ld-%08x", time, (long)getpid(), chance);
}

/* The service has to read it, and nobody else needs to. */
static mode_t mode_in(const char *folder)
{
    struct stat st;
    bool ours = stat(folder, &st) != 0 || st.st_uid == geteuid();
    return !ours && (st.st_mode & 07) == 0 ? 0644 : 0640;
}

static int write_whole(int fd, const char *text)
{
    size_t n = strlen(text);
    while (n > 0) {
        ssize_t written = write(fd, text, n);
        if (written < 0 && errno != EINTR)
            return -errno;
        text += written > 0 ? written : 0;
        n -= written > 0 ? (size_t)written : 0;
    }
    return fsync(fd) != 0 ? -errno : 0;
}

static void sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

/* Whole or not at all: it gets its name once it is written. 0 or negative errno. */
static int put(const char *folder, const char *name, const char *text)
{
    char *fresh = mem_printf("%s/.%s.new", folder, name);
    char *file = mem_printf("%s/%s.delete", folder, name);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int error = fd < 0 ? -errno : write_whole(fd, text);
    if (error == 0 && fchmod(fd, mode_in(folder)) != 0)
        error = -errno;
    if (fd >= 0 && close(fd) != 0 && error == 0)
        error = -errno;
    if (error == 0 && rename(fresh, file) != 0)
        error = -errno;
    if (error != 0 && fd >= 0)
        unlink(fresh);
    if (error == 0)
        sync_folder(folder);
    free(fresh);
    free(file);
    return error;
}

/* Made here only by whoever may write state_dir: the service's user. */
static void make_folder(const struct config *config)
{
    if (access(config->state_dir, W_OK | X_OK) == 0)
        free(control_dir_make(config->control_dir, config->control_group, geteuid(), getegid()));
}

static int request(const struct config *config, const struct asked *asked, const char *text)
{
    if (asked->wait && !deletion_service_is_there(config)) {
        command_say("no service holds %s: nothing was requested; start it, or leave --wait out",
                    config->state_dir);
        return EX_UNAVAILABLE;
    }
    char *name = new_name();
    make_folder(config);
    int error = put(config->control_dir, name, text);
    int code = 0;
    if (error != 0) {
        command_say("no control file can be written in %s: %s", config->control_dir,
                    strerror(-error));
        code = EX_CANTCREAT;
    } else if (asked->wait) {
        code = deletion_follow(config, name);
    } else {
        printf("%s/%s.delete\n", config->control_dir, name);
        if (!deletion_service_is_there(config))
            command_say("no service runs: it is carried out once one does");
    }
    free(name);
    return code;
}

static bool read_option(struct asked *asked, int option, const char *value)
{
    switch (option) {
    case 'r':
        asked->reason = value;
        return true;
    case 'b':
        asked->requested_by = value;
        return true;
    case 'e':
        asked->expect = value;
        return true;
    case 'l':
        asked->local = true;
        return true;
    case 'f':
        asked->force = true;
        return true;
    case 'd':
        asked->dry_run = true;
        return true;
    case 'w':
        asked->wait = true;
        return true;
    default:
        return false;
    }
}

int command_delete(const struct invocation *invocation)
{
    static const struct option options[] = {
        {"reason", required_argument, NULL, 'r'}, {"requested-by", required_argument, NULL, 'b'},
        {"expect", required_argument, NULL, 'e'}, {"local", no_argument, NULL, 'l'},
        {"force", no_argument, NULL, 'f'},        {"dry-run", no_argument, NULL, 'd'},
        {"wait", no_argument, NULL, 'w'},         {0}};
    struct asked asked = {0};
    int option;
    while ((option = getopt_long(invocation->argc, invocation->argv, "", options, NULL)) != -1) {
        if (!read_option(&asked, option, optarg))
            return command_usage(invocation, "unknown option");
    }
    if (optind == invocation->argc)
        return command_usage(invocation, "say what: TARGETs");
    char *text = compose(&asked, invocation->argv + optind, invocation->argc - optind);
    if (text == NULL || !is_accepted(text)) {
        free(text);
        return EX_USAGE;
    }
    struct config *config;
    int code = command_load_config(invocation, CONFIG_TO_LOOK, &config);
    if (code == 0) {
        code = command_enter_state_dir(config, false);
        if (code == 0)
            code = request(config, &asked, text);
        config_free(config);
    }
    free(text);
    return code;
}
