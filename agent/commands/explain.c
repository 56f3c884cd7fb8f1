/* explain: what would happen to a file and why, and its story so far. Changes nothing; needs
 * neither service nor network. */
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
#include "agent/base/priority.h"
#include "agent/base/when.h"
#include "agent/chorus/users.h"
#include "agent/commands/explain.h"
#include "agent/rules/file_bytes.h"
#include "agent/rules/sidecar.h"
#include "agent/service/watch_options.h"
#include "watcher/digest.h"
#include "watcher/reader.h"
#include "watcher/watcher.h"

static void line(const char *label, const char *text)
{
    printf("  %-11s %s\n", label, text);
}

/* What rules_resolve puts for {sha256} where the content is not known. */
static const char unknown_digest[] =
    "0000000000000000000000000000000000000000000000000000000000000000";

static void line_bytes(const char *label, const char *bytes)
{
    char *escaped = bytes_escape(bytes);
    char *unknown = strstr(escaped, unknown_digest);
    if (unknown != NULL) {
        char *told = mem_printf("%.*s<checksum>%s", (int)(unknown - escaped), escaped,
                                unknown + sizeof unknown_digest - 1);
        mem_replace(&escaped, told);
    }
    line(label, escaped);
    free(escaped);
}

/* --- the file --- */

static bool take_digest(const char *path, uint8_t sha256[32])
{
    static char buffer[READER_BLOCK];
    struct stat st;
    struct reader reader;
    struct digest *digest = digest_new();
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    uint64_t at = 0;
    ssize_t n = -1;
    reader_begin(&reader, fd, fd >= 0 && fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0);
    while (fd >= 0 && digest != NULL && (n = reader_read(&reader, buffer, sizeof buffer, at)) > 0) {
        digest_update(digest, buffer, (size_t)n);
        at += (uint64_t)n;
    }
    reader_end(&reader);
    bool taken = n == 0 && digest_final(digest, sha256) == 0;
    digest_free(digest);
    if (fd >= 0)
        close(fd);
    return taken;
}

struct file {
    bool exists, regular, finished, has_digest;
    struct file_identity identity;
    int64_t duration_ms; /* 0: not known */
    uint8_t sha256[32];
    const char *would_skip; /* static, NULL: not */
};

const char *explain_would_skip(const struct watch_config *watch,
                               const struct watch_finding *finding)
{
    if (finding->media == WATCH_EMPTY)
        return "empty: nothing was recorded";
    if (finding->media == WATCH_UNSUPPORTED)
        return "a format that Chorus does not take";
    if (finding->identity.size < watch->min_size)
        return "smaller than min_size";
    if (finding->duration_ms >= 0 && finding->duration_ms < watch->min_duration_ms)
        return "shorter than min_duration";
    return NULL;
}

static void explain_finding(const struct watch_config *watch, const struct watch_finding *finding,
                            struct file *file)
{
    file->identity = finding->identity;
    file->duration_ms = finding->duration_ms > 0 ? finding->duration_ms : 0;
    file->would_skip = explain_would_skip(watch, finding);
    if (finding->media == WATCH_UNSUPPORTED)
        line("format", finding->media_name);
}

static void look_at_file(const struct watch_config *watch, const char *path, size_t root_length,
                         struct file *file)
{
    struct stat st;
    struct watch_finding finding;
    const char *waits_for = NULL;
    memset(file, 0, sizeof *file);
    file->exists = lstat(path, &st) == 0;
    if (!file->exists) {
        line("file", "does not exist: judged by its name alone");
        return;
    }
    file->regular = S_ISREG(st.st_mode);
    file_identity_of(&st, &file->identity);
    if (!file->regular) {
        line("file", "is no regular file (a link, folder or device): never taken");
        return;
    }
    struct watch_options options;
    watch_options_of(watch, watch->path, false, &options);
    int result = watch_look_once(&options, path + root_length + 1, &finding, &waits_for);
    if (result < 0) {
        line("file", strerror(-result));
        return;
    }
    file->finished = result == 0;
    if (result == 0)
        explain_finding(watch, &finding, file);
    char size[COMMAND_SIZE_TEXT];
    command_size_text((unsigned long long)st.st_size, size);
    printf("  %-11s %s, %s%s\n", "file", size,
           file->finished ? "finished" : "not finished: waits for ",
           file->finished ? "" : waits_for);
    file->has_digest = take_digest(path, file->sha256);
    if (file->has_digest) {
        char hex[65];
        bytes_to_hex(file->sha256, 32, hex);
        line("sha256", hex);
    }
}

/* --- rules --- */

static void on_trace(void *ctx, const char *text)
{
    (void)ctx;
    line_bytes("rules", text);
}

static void print_duplicates(const struct explaining *explaining, const char *path,
                             const struct file *file, const struct resolution *resolution)
{
    enum recording_state state = STATE_GONE;
    if (explaining->ledger == NULL || !file->has_digest)
        return;
    char *twin = ledger_path_of_content(explaining->ledger, file->sha256, &state);
    if (twin != NULL && strcmp(twin, path) != 0) {
        char *text = mem_printf("the same content as %s (%s)",
                                twin[0] != '\0' ? twin : "a recording whose details were wiped",
                                state_name(state));
        line_bytes("duplicate", text);
        free(text);
    }
    free(twin);
    if (resolution->call_key == NULL)
        return;
    twin = ledger_path_of_call_key(explaining->ledger, resolution->call_key, file->sha256);
    if (twin != NULL) {
        char *text = mem_printf("the same call (call_key %s) as %s", resolution->call_key, twin);
        line_bytes("duplicate", text);
        free(text);
    }
    free(twin);
}

static void print_form(const struct resolution *resolution)
{
    for (size_t i = 0; i < resolution->field_count; i++) {
        char *text = mem_printf("%s = %s", resolution->fields[i].name, resolution->fields[i].value);
        line_bytes("field", text);
        free(text);
    }
    if (resolution->owner != NULL)
        line("owner", resolution->owner);
    if (resolution->name != NULL)
        line("name", resolution->name);
    if (resolution->meeting_id != NULL)
        line_bytes("meeting_id", resolution->meeting_id);
    if (resolution->crm_account_id != NULL)
        line("crm_account_id", resolution->crm_account_id);
    if (resolution->crm_opportunity_id != NULL)
        line("crm_opportunity_id", resolution->crm_opportunity_id);
    if (resolution->call_key != NULL)
        line_bytes("call_key", resolution->call_key);
}

static void print_verdict(const struct file *file, const struct resolution *resolution)
{
    if (resolution->outcome == RESOLVED_SKIP)
        printf("  %-11s skipped: %s\n", "so it is", resolution->reason);
    else if (file->would_skip != NULL)
        printf("  %-11s skipped: %s\n", "so it is", file->would_skip);
    else if (resolution->outcome == RESOLVED_HELD)
        printf("  %-11s held: %s\n", "so it is", resolution->reason);
    else
        printf("  %-11s uploaded%s\n", "so it is",
               file->exists && !file->finished ? " once it is finished" : "");
}

void explain_read_sidecar(const struct watch_config *watch, const struct recording_facts *facts,
                          struct explain_sidecar *beside)
{
    char *bytes = NULL;
    size_t n = 0;
    *beside = (struct explain_sidecar){.path = rules_sidecar_path(watch->rules, facts)};
    if (beside->path == NULL)
        return;
    int error = file_bytes_read(beside->path, SIDECAR_MAX_BYTES, &bytes, &n);
    beside->read = error != -ENOENT && error != -ENOTDIR;
    if (error == 0)
        sidecar_read(bytes, n, watch->sidecar_picks, watch->sidecar_pick_count, &beside->sidecar);
    else if (beside->read)
        sidecar_fail(error == -EFBIG ? "it is larger than 256 KiB" : strerror(-error),
                     &beside->sidecar);
    free(bytes);
}

void explain_judge_without(const struct watch_config *watch, const struct explain_sidecar *beside,
                           struct resolution *resolution)
{
    bool missing = beside->path != NULL && !beside->read && watch->sidecar_required;
    if (missing && resolution->outcome != RESOLVED_SKIP)
        resolution_hold(resolution, mem_string("its sidecar is missing (sidecar_required)"));
}

void explain_clear_sidecar(struct explain_sidecar *beside)
{
    sidecar_clear(&beside->sidecar);
    free(beside->path);
}

static void print_sidecar(const struct watch_config *watch, const struct explain_sidecar *beside)
{
    line_bytes("sidecar", beside->path);
    if (beside->read)
        return;
    line("", watch->sidecar_required ? "is not there: held without it (sidecar_required)"
                                     : "is not there: the rules alone, once sidecar_wait is over");
}

/* Of several copies of one call. */
static void print_preference(const struct watch_config *watch, const char *below,
                             const struct resolution *resolution)
{
    if (watch->prefer[0] == '\0' || resolution->call_key == NULL)
        return;
    line("prefer", watch_prefers(watch, below)
                       ? "this is the preferred copy of its call"
                       : "waits for the preferred copy of its call, for prefer_wait");
}

static void explain_rules(const struct explaining *explaining, const struct watch_config *watch,
                          const char *path, size_t root_length, const struct file *file)
{
    struct resolution resolution;
    struct recording_facts facts = {
        .path = path,
        .root_length = root_length,
        .size = file->identity.size,
        .mtime_ms = file->identity.mtime_ns / 1000000,
        .duration_ms = file->duration_ms,
        .sha256 = file->has_digest ? file->sha256 : NULL,
        .watch = watch->name,
        .host = explaining->host,
        .verify_owner = explaining->config->chorus.verify_owners,
        .users = explaining->users,
    };
    struct explain_sidecar beside;
    explain_read_sidecar(watch, &facts, &beside);
    if (beside.path != NULL)
        print_sidecar(watch, &beside);
    facts.sidecar = beside.read ? &beside.sidecar : NULL;
    rules_resolve(watch->rules, explaining->tables, &facts, NULL, on_trace, NULL, &resolution);
    explain_judge_without(watch, &beside, &resolution);
    print_form(&resolution);
    print_preference(watch, path + root_length + 1, &resolution);
    print_duplicates(explaining, path, file, &resolution);
    print_verdict(file, &resolution);
    resolution_clear(&resolution);
    explain_clear_sidecar(&beside);
}

/* --- the story --- */

static void on_row(void *ctx, const struct ledger_row *row)
{
    (void)ctx;
    printf("  %-11s %s%s%s%s\n", "ledger", state_name(row->state),
           row->reason != NULL && row->reason[0] != '\0' ? ": " : "",
           row->reason != NULL ? row->reason : "", row->present ? "" : " (no longer there)");
    if (row->engagement_id != NULL)
        line("engagement", row->engagement_id);
    if (row->duplicate_of != NULL)
        line_bytes("twin", row->duplicate_of);
    if (row->next_attempt_ms != 0) {
        char text[WHEN_TEXT];
        when_rfc3339(row->next_attempt_ms, text);
        line("next try", text);
    }
}

static void on_event(void *ctx, const struct ledger_event *event)
{
    char time[WHEN_TEXT];
    (void)ctx;
    when_rfc3339(event->at_ms, time);
    printf("  %-11s %s %s", "story", time, state_name(event->state));
    if (event->attempt > 0)
        printf(", attempt %d", event->attempt);
    if (event->status > 0)
        printf(", HTTP %d", event->status);
    if (event->reason != NULL)
        printf(": %s", event->reason);
    putchar('\n');
}

static bool explain_story(const struct explaining *explaining, const char *path)
{
    if (explaining->ledger == NULL)
        return false;
    size_t rows = ledger_list(explaining->ledger, -1, path, on_row, NULL);
    size_t events = ledger_story(explaining->ledger, path, on_event, NULL);
    return rows + events > 0;
}

/* --- the command --- */

static int explain_path(const struct explaining *explaining, const char *path)
{
    size_t root_length;
    const struct watch_config *watch = config_watch_of_path(explaining->config, path, &root_length);
    char *escaped = bytes_escape(path);
    printf("%s\n", escaped);
    free(escaped);
    if (watch == NULL) {
        line("watch", "none: it is below no watch's path, so it is never looked at");
        return explain_story(explaining, path) || access(path, F_OK) == 0 ? 0 : EX_NOINPUT;
    }
    printf("  %-11s %s (%s)\n", "watch", watch->name, watch->path);
    struct watch_options options;
    watch_options_of(watch, watch->path, false, &options);
    const char *passed_over = watch_passes_over(&options, path + root_length + 1);
    if (passed_over != NULL) {
        line("so it is", "passed over:");
        line("", passed_over);
    } else if (watch_is_beside(&options, path + root_length + 1)) {
        line("so it is", "a sidecar: it says whose recording it lies beside, and is never sent");
    } else {
        struct file file;
        look_at_file(watch, path, root_length, &file);
        explain_rules(explaining, watch, path, root_length, &file);
    }
    explain_story(explaining, path);
    return 0;
}

static void on_table(void *ctx, const char *text)
{
    command_say("table %s: %s", (const char *)ctx, text);
}

static struct table_set *load_tables(const struct config *config)
{
    struct table_set *tables = config_new_tables(config);
    for (size_t i = 0; i < config->table_count; i++)
        table_set_load(tables, i, on_table, config->tables[i].name);
    return tables;
}

static int explain_paths(const struct explaining *explaining, char **paths, size_t count)
{
    int code = 0;
    for (size_t i = 0; i < count; i++) {
        int one = explain_path(explaining, paths[i]);
        code = one != 0 ? one : code;
    }
    return code;
}

static int explain_all(const struct invocation *invocation, const struct config *config,
                       const struct explain_many *many)
{
    struct explaining explaining = {.config = config};
    size_t count;
    int code = command_open_ledger(config, &explaining.ledger);
    if (code == EX_IOERR)
        return code;
    code = 0;
    struct table_set *tables = load_tables(config);
    explaining.tables = tables;
    explaining.users = config->chorus.verify_owners ? users_load(config->state_dir) : NULL;
    if (gethostname(explaining.host, sizeof explaining.host - 1) == 0)
        explaining.host[strcspn(explaining.host, ".")] = '\0';
    char **paths = command_absolute_paths(invocation, optind, &count);
    code = explain_paths(&explaining, paths, count);
    command_free_paths(paths, count);
    if (many->names != NULL || many->dir != NULL) {
        int more = explain_many(&explaining, many);
        code = more != 0 ? more : code;
    }
    table_set_free(tables);
    users_free(explaining.users);
    ledger_close(explaining.ledger);
    return code;
}

static bool read_options(const struct invocation *invocation, struct explain_many *many)
{
    static const struct option options[] = {{"names", required_argument, NULL, 'n'},
                                            {"dir", required_argument, NULL, 'd'},
                                            {"watch", required_argument, NULL, 'w'},
                                            {"json", no_argument, NULL, 'j'},
                                            {0}};
    int option;
    while ((option = getopt_long(invocation->argc, invocation->argv, "", options, NULL)) != -1) {
        if (option == 'n')
            many->names = optarg;
        else if (option == 'd')
            many->dir = optarg;
        else if (option == 'w')
            many->watch = optarg;
        else if (option == 'j')
            many->json = true;
        else
            return false;
    }
    return true;
}

int command_explain(const struct invocation *invocation)
{
    struct config *config;
    struct explain_many many = {0};
    if (!read_options(invocation, &many))
        return command_usage(invocation, "unknown option");
    priority_lower(); /* it may look at many files, and reads the ones that are named */
    if (optind == invocation->argc && many.names == NULL && many.dir == NULL)
        return command_usage(invocation, "say which PATH, or --names FILE, or --dir PATH");
    int code = command_load_config(invocation, CONFIG_TO_LOOK, &config);
    if (code != 0)
        return code;
    code = command_enter_state_dir(config, false);
    if (code == 0)
        code = explain_all(invocation, config, &many);
    config_free(config);
    return code;
}
