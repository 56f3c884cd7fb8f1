/* What no key alone can say, and the two looks at the disk: the token file's mode, and that tables
 * are there. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/config/draft.h"
#include "agent/config/paths.h"
#include "agent/config/problems.h"

static int watch_line(const struct watch_draft *watch, const char *key)
{
    int line = filled_line(&watch->filled, IN_WATCH, key);
    return line > 0 ? line : watch->watch.line;
}

/* Two watches that see one file would both take it in. */
static void check_nested(const struct config_draft *draft, size_t i)
{
    const struct watch_draft *watch = &draft->watches[i];
    for (size_t k = 0; watch->watch.path != NULL && k < i; k++) {
        const struct watch_config *other = &draft->watches[k].watch;
        if (other->path == NULL)
            continue;
        int line = watch_line(watch, "path");
        if (strcmp(watch->watch.path, other->path) == 0)
            problems_error(
                draft->problems, line,
                "path: %s is the folder of watch %s already; allowed: one watch a folder",
                other->path, other->name);
        else if (path_is_within(watch->watch.path, other->path))
            problems_error(draft->problems, line,
                           "path: %s lies inside that of watch %s; allowed: folders side by side",
                           watch->watch.path, other->name);
        else if (path_is_within(other->path, watch->watch.path))
            problems_error(
                draft->problems, line,
                "path: that of watch %s (%s) lies inside it; allowed: folders side by side",
                other->name, other->path);
    }
}

/* The watch whose folder `path` is in, or NULL. */
static const struct watch_draft *watch_around(const struct config_draft *draft, const char *path)
{
    for (size_t i = 0; i < draft->watch_count; i++) {
        const char *folder = draft->watches[i].watch.path;
        if (folder != NULL && path_is_within(path, folder))
            return &draft->watches[i];
    }
    return NULL;
}

static void check_move(const struct config_draft *draft, const struct watch_draft *watch)
{
    const char *move_to = watch->watch.move_to;
    bool moves = watch->watch.after_upload == AFTER_MOVE;
    bool names_folder = *move_to != '\0';
    if (moves && !names_folder)
        problems_error(draft->problems, watch_line(watch, "after_upload"),
                       "after_upload: move needs move_to; allowed: move_to: /FOLDER");
    if (!moves && names_folder)
        problems_error(draft->problems, watch_line(watch, "move_to"),
                       "move_to stands without after_upload: move; allowed: both or neither");
    const struct watch_draft *around = names_folder ? watch_around(draft, move_to) : NULL;
    if (around != NULL)
        problems_error(draft->problems, watch_line(watch, "move_to"),
                       "move_to: %s lies inside watch %s; allowed: a folder outside every watch",
                       move_to, around->watch.name);
}

/* What the agent writes itself must not look like a recording, nor the other way round. */
static void check_own_folder(const struct config_draft *draft, const char *key, const char *path)
{
    const struct watch_draft *around = watch_around(draft, path);
    for (size_t i = 0; i < draft->watch_count; i++) {
        const struct watch_config *watch = &draft->watches[i].watch;
        if (watch->path != NULL && around != &draft->watches[i] &&
            path_is_within(watch->path, path))
            problems_error(draft->problems, watch_line(&draft->watches[i], "path"),
                           "path: %s lies inside %s (%s); allowed: folders side by side",
                           watch->path, key, path);
    }
    if (around == NULL)
        return;
    int line = filled_line(&draft->top, IN_TOP, key);
    problems_error(draft->problems, line > 0 ? line : watch_line(around, "path"),
                   "%s: %s lies inside watch %s; allowed: a folder outside every watch", key, path,
                   around->watch.name);
}

static void check_tables(const struct config_draft *draft)
{
    struct stat st;
    for (size_t i = 0; i < draft->config->table_count; i++) {
        const struct table_config *table = &draft->config->tables[i];
        if (table->path == NULL)
            continue;
        if (stat(table->path, &st) != 0)
            problems_about_file(draft->problems, draft->table_lines[i],
                                "table %s: %s: %s; allowed: a file of rows key,value", table->name,
                                table->path, strerror(errno));
        else if (!S_ISREG(st.st_mode))
            problems_about_file(draft->problems, draft->table_lines[i],
                                "table %s: %s is no file; allowed: a file of rows key,value",
                                table->name, table->path);
    }
}

/* A program that somebody else may change would run as the service. */
static void check_busy_program(const struct config_draft *draft, const char *path, int line)
{
    struct stat st;
    if (stat(path, &st) != 0)
        problems_about_file(draft->problems, line,
                            "busy_command: %s: %s; allowed: a program that can be run", path,
                            strerror(errno));
    else if (!S_ISREG(st.st_mode) || (st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) == 0)
        problems_about_file(draft->problems, line,
                            "busy_command: %s cannot be run; allowed: a program (chmod 755)", path);
    else if ((st.st_mode & S_IWOTH) != 0)
        problems_about_file(draft->problems, line,
                            "busy_command: everybody may write %s (mode %04o); allowed: 0755", path,
                            (unsigned)st.st_mode & 07777u);
}

static void check_busy(const struct config_draft *draft)
{
    const struct string_list *command = &draft->config->busy.command;
    int line = filled_line(&draft->bandwidth, IN_BANDWIDTH, "busy_command");
    int rate_line = filled_line(&draft->bandwidth, IN_BANDWIDTH, "busy_rate");
    if ((line > 0) != (rate_line > 0))
        problems_error(draft->problems, line > 0 ? line : rate_line,
                       "busy_%s stands alone; allowed: busy_command and busy_rate together",
                       line > 0 ? "command" : "rate");
    if (command->count == 0)
        return;
    if (command->items[0][0] != '/')
        problems_error(draft->problems, line,
                       "busy_command: \"%.200s\" is no absolute path; allowed: [\"/PROGRAM\", "
                       "\"ARGUMENT\"]",
                       command->items[0]);
    else
        check_busy_program(draft, command->items[0], line);
}

/* A missing token file is no error here: the token may come from elsewhere, or later. */
static void check_token_file(const struct config_draft *draft)
{
    struct stat st;
    const char *path = draft->config->chorus.token_file;
    if (path == NULL || *path == '\0' || stat(path, &st) != 0)
        return;
    int line = filled_line(&draft->chorus, IN_CHORUS, "token_file");
    unsigned mode = (unsigned)st.st_mode & 07777u;
    if (!S_ISREG(st.st_mode))
        problems_about_file(draft->problems, line,
                            "token_file: %s is no file; allowed: a file of mode 0600", path);
    else if ((mode & (S_IROTH | S_IWOTH)) != 0)
        problems_about_file(
            draft->problems, line,
            "token_file: everybody may %s %s (mode %04o); allowed: 0600, or 0640 with the "
            "service's group",
            (mode & S_IROTH) != 0 ? "read" : "write", path, mode);
}

/* One duration is shorter than another that it should outlast. */
struct unwise {
    const char *shorter, *longer, *why;
};

static void warn_pair(const struct config_draft *draft, const struct filled *filled,
                      enum schema_section section, const struct unwise *unwise, int64_t value,
                      int64_t other)
{
    int line = filled_line(filled, section, unwise->shorter);
    if (line == 0)
        line = filled_line(filled, section, unwise->longer);
    if (value < other && line > 0)
        problems_warn(draft->problems, line, "%s is shorter than %s: %s", unwise->shorter,
                      unwise->longer, unwise->why);
}

static void warn_upload(const struct config_draft *draft)
{
    static const struct unwise resend = {
        "resend_after", "stall_timeout",
        "a transfer that Chorus is still taking may be sent again"};
    static const struct unwise max = {"retry_max", "retry_first", "delays cannot grow"};
    static const struct unwise retry_for = {"retry_for", "retry_max",
                                            "a recording fails before its next attempt"};
    const struct config *config = draft->config;
    const struct filled *filled = &draft->upload;
    warn_pair(draft, filled, IN_UPLOAD, &resend, config->upload.resend_after_ms,
              config->upload.stall_timeout_ms);
    warn_pair(draft, filled, IN_UPLOAD, &max, config->upload.retry_max_ms,
              config->upload.retry_first_ms);
    warn_pair(draft, filled, IN_UPLOAD, &retry_for, config->upload.retry_for_ms,
              config->upload.retry_max_ms);
    int line = filled_line(filled, IN_UPLOAD, "stall_timeout");
    if (line > 0 && config->upload.stall_timeout_ms < 1000)
        problems_warn(draft->problems, line,
                      "stall_timeout is under 1s: a slow line looks like a dead one");
}

static void warn_watch(const struct config_draft *draft, const struct watch_draft *watch)
{
    static const struct unwise quiet = {"quiet", "settle",
                                        "what is seen less clearly should be waited for longer"};
    static const struct unwise open_quiet = {"open_quiet", "quiet",
                                             "a header that says so is better proof than silence"};
    static const int64_t long_delay_ms = (int64_t)30 * 24 * 3600 * 1000;
    const struct watch_config *config = &watch->watch;
    warn_pair(draft, &watch->filled, IN_WATCH, &quiet, config->quiet_ms, config->settle_ms);
    warn_pair(draft, &watch->filled, IN_WATCH, &open_quiet, config->open_quiet_ms,
              config->quiet_ms);
    if (config->rescan_ms < 1000)
        problems_warn(draft->problems, watch_line(watch, "rescan"),
                      "rescan is under 1s: full looks at the tree would never end");
    if (config->delay_ms > long_delay_ms)
        problems_warn(draft->problems, watch_line(watch, "delay"),
                      "delay is over 30d: every recording waits that long");
}

static void warn_bandwidth(const struct config_draft *draft)
{
    const struct bandwidth *bandwidth = &draft->config->bandwidth;
    bool follows = bandwidth->rate.kind == RATE_AUTO || bandwidth->busy_rate.kind == RATE_AUTO;
    for (size_t i = 0; i < bandwidth->window_count; i++)
        follows = follows || bandwidth->windows[i].rate.kind == RATE_AUTO;
    int line = filled_line(&draft->bandwidth, IN_BANDWIDTH, "ceiling");
    if (line > 0 && !follows)
        problems_warn(draft->problems, line, "ceiling bounds rate: auto only, and no rate is auto");
}

void check_all(struct config_draft *draft)
{
    for (size_t i = 0; i < draft->watch_count; i++) {
        check_nested(draft, i);
        check_move(draft, &draft->watches[i]);
        warn_watch(draft, &draft->watches[i]);
    }
    check_own_folder(draft, "state_dir", draft->config->state_dir);
    check_own_folder(draft, "control_dir", draft->config->control_dir);
    check_tables(draft);
    check_token_file(draft);
    check_busy(draft);
    warn_upload(draft);
    warn_bandwidth(draft);
}
