/* The state of a watch in words an operator can act upon. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "watcher/work.h"

/* Most bytes of a name in a reason. */
enum { NAME_SHOWN = 96 };

struct text {
    char *at;
    size_t left;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int n = vsnprintf(text->at, text->left, format, list);
    va_end(list);
    if (n > 0) {
        size_t used = (size_t)n < text->left ? (size_t)n : text->left - 1;
        text->at += used;
        text->left -= used;
    }
}

/* Names are bytes: what is not plain ASCII is written \xHH, so that no log line is forged. */
static void add_name(struct text *text, const char *name)
{
    size_t shown = 0;
    for (const char *p = name; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (shown++ >= NAME_SHOWN) {
            add(text, "...");
            return;
        }
        if (c < 0x20 || c >= 0x7F || c == '\\') {
            add(text, "\\x%02X", c);
        } else {
            add(text, "%c", c);
        }
    }
}

static void add_duration(struct text *text, int64_t ms)
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "min"}, {1000, "s"}, {1, "ms"}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (ms % units[i].ms == 0 && ms > 0) {
            add(text, "%" PRId64 "%s", ms / units[i].ms, units[i].unit);
            return;
        }
    }
    add(text, "%" PRId64 "ms", ms);
}

static void begin_part(struct text *text, const char *whole)
{
    if (text->at != whole) {
        add(text, "; ");
    }
}

static void add_polling(const struct watch *w, struct text *text)
{
    int error = w->kept_error;
    if (!w->options->options.events) {
        add(text, "events are not used: looked at every ");
    } else if (w->root.network) {
        add(text, "%s tells nothing of changes made elsewhere: looked at every ", w->root.network);
    } else if (error == ENOSPC) {
        add(text, "inotify limit reached (fs.inotify.max_user_watches): looked at every ");
    } else if (error == EMFILE) {
        add(text, "inotify limit reached (fs.inotify.max_user_instances): looked at every ");
    } else {
        add(text, "inotify does not work here (%s): looked at every ", strerror(error));
    }
    add_duration(text, w->options->options.rescan_ms);
    add(text, " instead");
}

static void add_unreadable(const struct watch *w, struct text *text, const char *whole)
{
    if (w->unreadable_folders > 0) {
        begin_part(text, whole);
        add(text, "%zu folder%s cannot be read, the first is ", w->unreadable_folders,
            w->unreadable_folders == 1 ? "" : "s");
        add_name(text, !w->unreadable_folder   ? "?"
                       : *w->unreadable_folder ? w->unreadable_folder
                                               : ".");
        add(text, ": %s", strerror(w->unreadable_error));
    }
    if (w->phases[PHASE_UNREADABLE] > 0) {
        begin_part(text, whole);
        add(text, "%zu file%s cannot be read", w->phases[PHASE_UNREADABLE],
            w->phases[PHASE_UNREADABLE] == 1 ? "" : "s");
        if (w->unreadable_file) {
            add(text, ", one is ");
            add_name(text, w->unreadable_file);
            add(text, ": %s", strerror(w->unreadable_file_error));
        }
    }
    if (w->too_deep > 0) {
        begin_part(text, whole);
        add(text, "%zu folder%s passed over: deeper than %d, or within themselves", w->too_deep,
            w->too_deep == 1 ? "" : "s", NAMES_DEPTH);
    }
}

void tell_root_error(const struct watch *w, int error, char *words, size_t n)
{
    struct text text = {words, n};
    add_name(&text, w->options->options.path);
    switch (error) {
    case ENOENT:
        add(&text, " does not exist");
        break;
    case ENOTDIR:
        add(&text, " is not a directory");
        break;
    case EACCES:
    case EPERM:
        add(&text, " cannot be read: %s; the service's user needs r-x", strerror(error));
        break;
    case ENODEV:
        add(&text, " has become an empty folder on another file system: is its mount missing?");
        break;
    case ETIMEDOUT:
        add(&text, " does not answer");
        break;
    default:
        add(&text, " cannot be read: %s", strerror(error));
        break;
    }
}

void tell_state(struct watch *w)
{
    char reason[sizeof w->reason] = "";
    struct text text = {reason, sizeof reason};
    bool online = w->stage == STAGE_ONLINE;
    bool events = online && w->events && w->kept_error == 0;
    if (w->closing || w->stage == STAGE_NEW || w->stage == STAGE_LOOKING) {
        return;
    }
    if (!online) {
        add(&text, "%s", w->offline);
    } else {
        if (!events) {
            add_polling(w, &text);
        }
        add_unreadable(w, &text, reason);
    }
    if (w->told && w->told_online == online && w->told_events == events &&
        strcmp(w->reason, reason) == 0) {
        return;
    }
    w->told = true;
    w->told_online = online;
    w->told_events = events;
    memcpy(w->reason, reason, sizeof reason);
    struct watch_state state = {
        .online = online, .events = events, .reason = reason, .root = {w->root.dev, w->root.ino}};
    w->callbacks.state_changed(w->ctx, &state);
}
