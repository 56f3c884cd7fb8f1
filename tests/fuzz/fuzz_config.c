/* The configuration: read as a whole; what passes is then applied to a file of each watch. */
#include <string.h>
#include <sysexits.h>

#include "agent/base/mem.h"
#include "agent/config/config.h"
#include "agent/rules/email.h"
#include "fuzz.h"
#include "watcher/names.h"

static void look_at_problems(int status, const struct config *config,
                             const struct config_problems *problems)
{
    MUST(status == 0 || status == EX_CONFIG);
    MUST((status == 0) == (config != NULL) && (status == 0) == (problems->errors == 0));
    MUST(status == 0 || problems->count > 0);
    int before = 0;
    for (size_t i = 0; i < problems->count; i++) {
        char *line = config_problem_line(problems, &problems->items[i]);
        MUST(fuzz_is_showable(line));
        MUST(problems->items[i].line >= before);
        before = problems->items[i].line;
        free(line);
    }
}

static void trace(void *ctx, const char *text)
{
    (void)ctx;
    MUST(fuzz_is_showable(text));
}

static bool is_absent_or_showable(const char *text)
{
    return text == NULL || (*text != '\0' && fuzz_is_showable(text));
}

static void look_at_resolution(const struct resolution *resolution)
{
    MUST(is_absent_or_showable(resolution->meeting_id));
    MUST(is_absent_or_showable(resolution->crm_account_id));
    MUST(is_absent_or_showable(resolution->crm_opportunity_id));
    MUST(is_absent_or_showable(resolution->call_key));
    if (resolution->outcome == RESOLVED)
        MUST(email_is_valid(resolution->owner) && is_absent_or_showable(resolution->name) &&
             resolution->name != NULL);
    else
        MUST(resolution->reason != NULL && fuzz_is_showable(resolution->reason));
}

static void resolve(const struct config *config, const struct watch_config *watch,
                    const struct table_set *tables, const char *below)
{
    const char *between = strcmp(watch->path, "/") == 0 ? "" : "/";
    char *path = mem_printf("%s%s%s", watch->path, between, below);
    size_t root_length = 0;
    const struct watch_config *found = config_watch_of_path(config, path, &root_length);
    MUST(found == watch && strncmp(path, watch->path, root_length) == 0);
    struct recording_facts facts = {.path = path,
                                    .root_length = root_length,
                                    .size = 4096,
                                    .mtime_ms = 1700000000000,
                                    .watch = watch->name,
                                    .host = "host"};
    struct resolution resolution = {0};
    rules_resolve(watch->rules, tables, &facts, NULL, trace, NULL, &resolution);
    look_at_resolution(&resolution);
    resolution_clear(&resolution);
    free(path);
}

static void look_at_watch(const struct config *config, const struct watch_config *watch,
                          const struct table_set *tables)
{
    size_t length = strlen(watch->path);
    MUST(config_watch(config, watch->name) == watch);
    MUST(watch->path[0] == '/' && (length == 1 || watch->path[length - 1] != '/'));
    MUST(watch->rules != NULL && rules_count(watch->rules) > 0);
    MUST(watch->settle_ms >= 0 && watch->delay_ms >= 0 && watch->rescan_ms > 0);
    for (size_t i = 0; i < watch->include.count; i++)
        names_match(watch->include.items[i], "20240102-030405_5551234_agent7-all.wav");
    resolve(config, watch, tables, "20240102-030405_5551234_agent7-all.wav");
    resolve(config, watch, tables, "a/TESTCAMP \xff\n{x}.mp3");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct config *config, *looked_at;
    struct config_problems problems;
    const char *file = fuzz_file(0, data, n);
    int status = config_load(file, &config, &problems);
    look_at_problems(status, config, &problems);
    config_problems_clear(&problems);
    int look_status = config_load_to_look(file, &looked_at, &problems);
    look_at_problems(look_status, looked_at, &problems);
    MUST(status != 0 || look_status == 0);
    config_problems_clear(&problems);
    if (looked_at != NULL) {
        struct table_set *tables = config_new_tables(looked_at);
        for (size_t i = 0; i < looked_at->watch_count; i++)
            look_at_watch(looked_at, &looked_at->watches[i], tables);
        table_set_free(tables);
    }
    config_free(looked_at);
    config_free(config);
    return 0;
}
