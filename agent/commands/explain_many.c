/*
 * explain --names FILE and explain --dir PATH: what would become of many recordings, so that a site
 * tries its rules on last month's before the first upload. A list of names is judged by the names
 * alone; of a tree each file is looked at as well, without taking its checksum.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "agent/base/bytes.h"
#include "agent/base/json.h"
#include "agent/base/mem.h"
#include "agent/commands/explain.h"
#include "agent/service/watch_options.h"
#include "watcher/watcher.h"

enum outcome { OUT_UPLOADED, OUT_HELD, OUT_SKIPPED, OUT_SETTLING, OUT_PASSED_OVER, OUTCOMES };
static const char *const outcome_names[OUTCOMES] = {"uploaded", "held", "skipped", "settling",
                                                    "passed over"};
/* Folders below each other; the watcher goes no deeper. */
enum { DEPTH_MAX = 128 };

struct many {
    const struct explaining *explaining;
    const struct explain_many *what;
    const struct watch_config *fallback;
    size_t foreign_root; /* of a tree that is below no watch; 0: none */
    size_t counts[OUTCOMES], in_all;
    int code;
};

/* One of them, judged. */
struct judged {
    const char *path;  /* bytes */
    const char *shown; /* as it was given, or below the tree */
    const struct watch_config *watch;
    size_t root_length;
    const struct file_identity *identity; /* NULL: by its name alone */
    int64_t duration_ms;
    enum outcome outcome;
    const char *reason;
    struct resolution resolution;
};

/* --- printing --- */

static void print_json(const struct judged *judged)
{
    const struct resolution *r = &judged->resolution;
    cJSON *object = cJSON_CreateObject();
    json_add_bytes(object, "path", judged->path);
    json_add_text(object, "outcome", outcome_names[judged->outcome]);
    json_add_text(object, "watch", judged->watch != NULL ? judged->watch->name : NULL);
    json_add_text(object, "rule", r->rule);
    json_add_text(object, "owner", r->owner);
    json_add_text(object, "name", r->name);
    json_add_text(object, "meeting_id", judged->identity == NULL ? NULL : r->meeting_id);
    json_add_text(object, "call_key", r->call_key);
    json_add_text(object, "reason", judged->reason);
    cJSON *fields = cJSON_AddObjectToObject(object, "fields");
    for (size_t i = 0; i < r->field_count; i++)
        json_add_bytes(fields, r->fields[i].name, r->fields[i].value);
    char *text = cJSON_PrintUnformatted(object);
    puts(text != NULL ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(object);
}

static void print_line(const struct judged *judged)
{
    const struct resolution *r = &judged->resolution;
    char *shown = bytes_escape(judged->shown);
    printf("%-11s  %-28s  %-20s  %s", outcome_names[judged->outcome],
           r->owner != NULL && judged->outcome == OUT_UPLOADED ? r->owner : "-",
           r->rule != NULL ? r->rule : "-", shown);
    if (judged->reason != NULL)
        printf("  (%s)", judged->reason);
    else if (r->name != NULL)
        printf("  as \"%s\"", r->name);
    putchar('\n');
    free(shown);
}

static void print_counts(const struct many *many)
{
    FILE *to = many->what->json ? stderr : stdout;
    fprintf(to, "%s%zu in all\n", many->what->json ? "" : "\n", many->in_all);
    for (int i = 0; i < OUTCOMES; i++) {
        if (many->counts[i] > 0)
            fprintf(to, "%9zu %s\n", many->counts[i], outcome_names[i]);
    }
}

/* --- judging --- */

static void judge_by_rules(const struct many *many, struct judged *judged)
{
    static const struct file_identity unknown;
    const struct file_identity *identity = judged->identity != NULL ? judged->identity : &unknown;
    struct recording_facts facts = {
        .path = judged->path,
        .root_length = judged->root_length,
        .size = identity->size,
        .mtime_ms = identity->mtime_ns / 1000000,
        .duration_ms = judged->duration_ms,
        .watch = judged->watch->name,
        .host = many->explaining->host,
        .verify_owner = many->explaining->config->chorus.verify_owners,
        .users = many->explaining->users,
    };
    struct explain_sidecar beside = {0};
    if (judged->identity != NULL)
        explain_read_sidecar(judged->watch, &facts, &beside);
    facts.sidecar = beside.read ? &beside.sidecar : NULL;
    rules_resolve(judged->watch->rules, many->explaining->tables, &facts, NULL, NULL, NULL,
                  &judged->resolution);
    explain_judge_without(judged->watch, &beside, &judged->resolution);
    explain_clear_sidecar(&beside);
    static const enum outcome outcomes[] = {
        [RESOLVED] = OUT_UPLOADED, [RESOLVED_SKIP] = OUT_SKIPPED, [RESOLVED_HELD] = OUT_HELD};
    judged->outcome = outcomes[judged->resolution.outcome];
    judged->reason = judged->resolution.reason;
}

/* The watcher's look at the file; true: it decides. */
static bool judge_by_look(struct judged *judged, struct watch_options *options,
                          struct watch_finding *finding)
{
    const char *waits_for = NULL;
    int result =
        watch_look_once(options, judged->path + judged->root_length + 1, finding, &waits_for);
    if (result != 0) {
        judged->outcome = OUT_SETTLING;
        judged->reason = result > 0 ? waits_for : strerror(-result);
        return true;
    }
    judged->identity = &finding->identity;
    judged->duration_ms = finding->duration_ms > 0 ? finding->duration_ms : 0;
    judged->outcome = OUT_SKIPPED;
    judged->reason = explain_would_skip(judged->watch, finding);
    return judged->reason != NULL;
}

static void judge(struct many *many, const char *path, const char *shown, bool look)
{
    struct judged judged = {.path = path, .shown = shown};
    struct watch_options options;
    struct watch_finding finding;
    judged.watch = config_watch_of_path(many->explaining->config, path, &judged.root_length);
    if (judged.watch == NULL && many->foreign_root > 0) {
        judged.watch = many->fallback;
        judged.root_length = many->foreign_root;
    }
    if (judged.watch == NULL || path[judged.root_length] == '\0') {
        judged.outcome = OUT_PASSED_OVER;
        judged.reason = "it is below no watch's path";
    } else {
        char *root = mem_bytes_string(path, judged.root_length);
        watch_options_of(judged.watch, root, false, &options);
        judged.outcome = OUT_PASSED_OVER;
        judged.reason = watch_passes_over(&options, path + judged.root_length + 1);
        if (judged.reason == NULL && watch_is_beside(&options, path + judged.root_length + 1))
            judged.reason = "it is a sidecar";
        if (judged.reason == NULL && (!look || !judge_by_look(&judged, &options, &finding)))
            judge_by_rules(many, &judged);
        free(root);
    }
    many->in_all++;
    many->counts[judged.outcome]++;
    if (many->what->json)
        print_json(&judged);
    else
        print_line(&judged);
    resolution_clear(&judged.resolution);
}

/* --- names --- */

/* A name alone is taken as one below the watch's path. */
static void judge_name(struct many *many, const char *text)
{
    char *bytes = bytes_unescape(text);
    const char *name = bytes != NULL ? bytes : text;
    if (name[0] == '/') {
        judge(many, name, name, false);
    } else if (many->fallback == NULL) {
        command_say("%s: not an absolute path, and there are several watches; say which by "
                    "--watch NAME",
                    text);
        many->code = EX_USAGE;
    } else {
        while (strncmp(name, "./", 2) == 0)
            name += 2;
        char *path = mem_printf("%s/%s", many->fallback->path, name);
        judge(many, path, name, false);
        free(path);
    }
    free(bytes);
}

static void judge_names(struct many *many)
{
    const char *file_name = many->what->names;
    bool from_stdin = strcmp(file_name, "-") == 0;
    FILE *file = from_stdin ? stdin : fopen(file_name, "re");
    char *line = NULL;
    size_t room = 0;
    if (file == NULL) {
        command_say("%s: %s", file_name, strerror(errno));
        many->code = EX_NOINPUT;
        return;
    }
    for (ssize_t n; many->code == 0 && (n = getline(&line, &room, file)) > 0;) {
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            line[--n] = '\0';
        if (n > 0)
            judge_name(many, line);
    }
    free(line);
    if (!from_stdin)
        fclose(file);
}

/* --- a tree --- */

static void judge_folder(struct many *many, const char *path, size_t top_length, int depth);

static void judge_entry(struct many *many, const char *path, size_t top_length, int depth)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return; /* it has just left */
    if (S_ISDIR(st.st_mode))
        judge_folder(many, path, top_length, depth + 1);
    else if (S_ISREG(st.st_mode))
        judge(many, path, path + top_length + 1, true);
}

static void judge_folder(struct many *many, const char *path, size_t top_length, int depth)
{
    struct dirent **entries = NULL;
    int count = depth > DEPTH_MAX ? 0 : scandir(path, &entries, NULL, alphasort);
    if (count < 0) {
        command_say("%s: %s", path, strerror(errno));
        many->code = EX_NOINPUT;
    }
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
            char *below = mem_printf("%s/%s", path, name);
            judge_entry(many, below, top_length, depth);
            free(below);
        }
        free(entries[i]);
    }
    free(entries);
}

/* --- the command's part --- */

static const struct watch_config *find_fallback(const struct config *config, const char *name)
{
    if (name != NULL)
        return config_watch(config, name);
    return config->watch_count == 1 ? &config->watches[0] : NULL;
}

static void judge_tree(struct many *many)
{
    char *top = command_absolute_path(many->what->dir);
    size_t root_length;
    const struct watch_config *watch =
        config_watch_of_path(many->explaining->config, top, &root_length);
    if (watch == NULL && many->fallback == NULL) {
        command_say("%s is below no watch's path; say by --watch NAME whose rules to try",
                    many->what->dir);
        many->code = EX_USAGE;
    } else {
        size_t length = strcmp(top, "/") == 0 ? 0 : strlen(top);
        many->foreign_root = watch == NULL ? length : 0;
        judge_folder(many, top, length, 0);
    }
    free(top);
}

int explain_many(const struct explaining *explaining, const struct explain_many *what)
{
    struct many many = {.explaining = explaining, .what = what};
    many.fallback = find_fallback(explaining->config, what->watch);
    if (what->watch != NULL && many.fallback == NULL) {
        command_say("there is no watch named %s in the configuration", what->watch);
        return EX_USAGE;
    }
    if (what->names != NULL)
        judge_names(&many);
    if (what->dir != NULL)
        judge_tree(&many);
    print_counts(&many);
    return many.code;
}
