#include "watcher/names.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "watcher/watcher.h"

static const char *const taken[] = {"wav", "mp3", "ogg", "oga", "opus", "mp4", "m4a", "m4v",
                                    "mov", "3gp", "3g2", "au",  "avi",  "flv", "mkv", "webm"};

static const struct {
    const char *extension, *name;
} unsupported[] = {
    {"gsm", "gsm"},    {"flac", "flac"},   {"wma", "wma"},      {"asf", "wma"},   {"ul", "ulaw"},
    {"ulaw", "ulaw"},  {"mulaw", "ulaw"},  {"pcmu", "ulaw"},    {"al", "alaw"},   {"alaw", "alaw"},
    {"pcma", "alaw"},  {"sln", "sln"},     {"slin", "sln"},     {"sln12", "sln"}, {"sln16", "sln"},
    {"sln24", "sln"},  {"sln32", "sln"},   {"sln44", "sln"},    {"sln48", "sln"}, {"sln96", "sln"},
    {"sln192", "sln"}, {"g729", "g729"},   {"g722", "g722"},    {"g723", "g723"}, {"g726", "g726"},
    {"g719", "g719"},  {"siren7", "g722"}, {"siren14", "g722"}, {"ilbc", "ilbc"}, {"vox", "vox"},
    {"amr", "amr"},    {"awb", "amr"},     {"aac", "aac"},      {"aif", "aiff"},  {"aiff", "aiff"},
    {"ape", "ape"},
};

static const char *const temporary[] = {".tmp", ".part", ".partial", ".filepart", ".crdownload"};

static unsigned char lower(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? (unsigned char)(u + ('a' - 'A')) : u;
}

/* A set that begins behind '[': its end behind ']', or NULL where there is none. */
static const char *set_end(const char *set)
{
    const char *p = set;
    if (*p == '!' || *p == '^') {
        p++;
    }
    if (*p == ']') {
        p++;
    }
    p = strchr(p, ']');
    return p ? p + 1 : NULL;
}

static bool in_set(const char *set, const char *end, char c)
{
    bool negated = *set == '!' || *set == '^';
    const char *p = negated ? set + 1 : set;
    const char *last = end - 1;
    bool found = false;
    while (p < last) {
        unsigned char from = lower(*p++), to = from;
        if (p + 1 < last && *p == '-') {
            to = lower(p[1]);
            p += 2;
        }
        found = found || (lower(c) >= from && lower(c) <= to);
    }
    return found != negated && c != '/';
}

/* One part of the glob against one byte: where the glob goes on, or NULL. */
static const char *match_one(const char *glob, char c)
{
    if (*glob == '?') {
        return c != '/' ? glob + 1 : NULL;
    }
    if (*glob == '[') {
        const char *end = set_end(glob + 1);
        if (end) {
            return in_set(glob + 1, end, c) ? end : NULL;
        }
    }
    if (*glob == '\\' && glob[1]) {
        glob++;
    }
    return *glob && lower(*glob) == lower(c) ? glob + 1 : NULL;
}

/* Going back to the last star is enough: an earlier one ends at a '/' or is covered by the last. */
bool names_match(const char *glob, const char *text)
{
    const char *star = NULL, *from = NULL;
    while (*text) {
        if (*glob == '*') {
            star = ++glob;
            from = text;
            continue;
        }
        const char *next = match_one(glob, *text);
        if (next) {
            glob = next;
            text++;
        } else if (star && *from != '/') {
            text = ++from;
            glob = star;
        } else {
            return false;
        }
    }
    while (*glob == '*') {
        glob++;
    }
    return *glob == '\0';
}

const char *names_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

const char *names_extension(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : "";
}

const char *names_unsupported(const char *name)
{
    const char *extension = names_extension(name);
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++) {
        if (strcasecmp(extension, unsupported[i].extension) == 0) {
            return unsupported[i].name;
        }
    }
    return NULL;
}

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcasecmp(name + n - m, end) == 0;
}

static bool is_temporary(const char *name)
{
    for (size_t i = 0; i < sizeof temporary / sizeof *temporary; i++) {
        if (ends_with(name, temporary[i])) {
            return true;
        }
    }
    return strncasecmp(name, "~syncthing~", 11) == 0;
}

bool names_folder_passed_over(const char *name)
{
    return name[0] == '.' || strcmp(name, "lost+found") == 0;
}

/* Every folder on the way may be entered: NULL, or why not. */
static const char *judge_folders(const struct watch_options *options, const char *path)
{
    int depth = 0;
    const char *part = path;
    for (const char *slash; (slash = strchr(part, '/')); part = slash + 1) {
        if (!options->recursive) {
            return "it lies in a folder below, and the watch is not recursive";
        }
        if (slash == part || part[0] == '.') {
            return "it lies in a folder whose name begins with a dot";
        }
        if ((size_t)(slash - part) == strlen("lost+found") &&
            strncmp(part, "lost+found", (size_t)(slash - part)) == 0) {
            return "it lies in lost+found";
        }
        if (++depth > NAMES_DEPTH) {
            return "it lies deeper than 128 folders";
        }
    }
    return NULL;
}

static bool any_matches(const char *const *globs, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++) {
        if (names_match(globs[i], strchr(globs[i], '/') ? path : names_base(path))) {
            return true;
        }
    }
    return false;
}

static bool in_default_list(const char *name)
{
    const char *extension = names_extension(name);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        if (strcasecmp(extension, taken[i]) == 0) {
            return true;
        }
    }
    return names_unsupported(name) != NULL;
}

bool names_beside(const struct watch_options *options, const char *path)
{
    return any_matches(options->beside, options->beside_count, path);
}

const char *names_pass_over(const struct watch_options *options, const char *path)
{
    const char *name = names_base(path);
    const char *why = judge_folders(options, path);
    if (why) {
        return why;
    }
    if (name[0] == '\0') {
        return "it has no name";
    }
    if (name[0] == '.') {
        return "its name begins with a dot";
    }
    if (is_temporary(name)) {
        return "its name is a temporary one";
    }
    if (names_beside(options, path)) {
        return NULL;
    }
    if (options->include ? !any_matches(options->include, options->include_count, path)
                         : !in_default_list(name)) {
        return options->include ? "no include pattern matches it"
                                : "its name is not that of a recording";
    }
    if (any_matches(options->exclude, options->exclude_count, path)) {
        return "an exclude pattern matches it";
    }
    return NULL;
}

enum names_sign names_sign(const char *name)
{
    if (ends_with(name, ".zoom")) {
        return NAMES_SIGN_ZOOM;
    }
    return ends_with(name, ".tmp") ? NAMES_SIGN_TMP : NAMES_NO_SIGN;
}

bool names_sign_holds(enum names_sign sign, bool at_top, const char *name)
{
    switch (sign) {
    case NAMES_SIGN_ZOOM:
        return true;
    case NAMES_SIGN_TMP:
        return !at_top && (ends_with(name, ".mp4") || ends_with(name, ".m4a"));
    case NAMES_NO_SIGN:
        break;
    }
    return false;
}
