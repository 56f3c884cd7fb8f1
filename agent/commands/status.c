/* status: counts by state, what is in flight, watches, trouble; also as a monitoring plug-in. Works
 * whether or not the service runs: what only the running program knows comes from its status.json,
 * all else from the ledger. */
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <cjson/cJSON.h>

#include "agent/base/bytes.h"
#include "agent/base/json.h"
#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/commands/command.h"
#include "agent/commands/running.h"
#include "agent/service/pause.h"

enum { MONITOR_OK = 0, MONITOR_WARNING = 1, MONITOR_CRITICAL = 2 };

struct facts {
    const struct config *config;
    cJSON *running; /* NULL: the service does not run */
    struct ledger_counts counts;
    char *pause;      /* that a person asked for; NULL: none */
    cJSON *bandwidth; /* what is in force, as bandwidth_add_json has it */
    char *last_error;
    int64_t last_error_ms;
};

/* The running service's own view; else what the timetable says. */
static cJSON *read_bandwidth(const struct facts *facts)
{
    const cJSON *in_force = cJSON_GetObjectItemCaseSensitive(facts->running, "bandwidth");
    if (in_force != NULL)
        return cJSON_Duplicate(in_force, 1);
    cJSON *root = cJSON_CreateObject();
    struct bandwidth_now now = bandwidth_in_force(&facts->config->bandwidth, when_now_ms());
    bandwidth_add_json(root, &now);
    cJSON *bandwidth = cJSON_DetachItemFromObjectCaseSensitive(root, "bandwidth");
    cJSON_Delete(root);
    return bandwidth;
}

static void read_facts(const struct config *config, struct ledger *ledger, struct facts *facts)
{
    memset(facts, 0, sizeof *facts);
    facts->config = config;
    facts->running = running_status(config->state_dir);
    if (ledger != NULL) {
        ledger_count(ledger, &facts->counts);
        facts->last_error = ledger_last_error(ledger, &facts->last_error_ms);
        facts->pause = pause_words(ledger, when_now_ms());
    }
    facts->bandwidth = read_bandwidth(facts);
    if (facts->running == NULL)
        return;
    facts->counts.state[STATE_SETTLING] = (int64_t)json_number(facts->running, "settling");
    facts->counts.state[STATE_HASHING] = (int64_t)json_number(facts->running, "hashing");
    const char *error = json_text(facts->running, "last_error");
    if (error[0] != '\0')
        mem_replace(&facts->last_error, mem_string(error));
}

static void clear_facts(struct facts *facts)
{
    cJSON_Delete(facts->running);
    free(facts->pause);
    cJSON_Delete(facts->bandwidth);
    free(facts->last_error);
}

/* In words, "" if nothing is paused. Without a service, a pause holds for the next one. */
static const char *paused_because(const struct facts *facts)
{
    const char *paused = json_text(facts->running, "paused_because");
    return paused[0] == '\0' && facts->pause != NULL ? facts->pause : paused;
}

/* --- JSON --- */

/* The running program's own view, or an empty one. */
static void add_from_running(cJSON *root, const struct facts *facts, const char *key)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(facts->running, key);
    cJSON_AddItemToObject(root, key,
                          array != NULL ? cJSON_Duplicate(array, 1) : cJSON_CreateArray());
}

static void add_watches(cJSON *root, const struct facts *facts)
{
    if (facts->running != NULL &&
        cJSON_GetObjectItemCaseSensitive(facts->running, "watches") != NULL) {
        add_from_running(root, facts, "watches");
        return;
    }
    cJSON *watches = cJSON_AddArrayToObject(root, "watches");
    for (size_t i = 0; i < facts->config->watch_count; i++) {
        cJSON *item = cJSON_CreateObject();
        char *path = bytes_escape(facts->config->watches[i].path);
        cJSON_AddStringToObject(item, "name", facts->config->watches[i].name);
        cJSON_AddStringToObject(item, "path", path);
        cJSON_AddBoolToObject(item, "online", false);
        cJSON_AddStringToObject(item, "mode", "none");
        cJSON_AddStringToObject(item, "reason", "the service does not run");
        cJSON_AddItemToArray(watches, item);
        free(path);
    }
}

/* Every key is always there: a script need not ask first. */
static void add_text_or_null(cJSON *root, const char *key, const char *text)
{
    if (text[0] != '\0')
        cJSON_AddStringToObject(root, key, text);
    else
        cJSON_AddNullToObject(root, key);
}

static void add_time(cJSON *root, const char *key, int64_t ms)
{
    char text[WHEN_TEXT] = "";
    if (ms != 0)
        when_rfc3339(ms, text);
    add_text_or_null(root, key, text);
}

static void print_json(const struct facts *facts)
{
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "version", command_version);
    cJSON_AddBoolToObject(root, "running", facts->running != NULL);
    add_text_or_null(root, "since", json_text(facts->running, "since"));
    if (facts->running != NULL)
        cJSON_AddNumberToObject(root, "pid", json_number(facts->running, "pid"));
    cJSON *counts = cJSON_AddObjectToObject(root, "counts");
    for (int i = 0; i < STATE_COUNT; i++)
        cJSON_AddNumberToObject(counts, state_name((enum recording_state)i),
                                (double)facts->counts.state[i]);
    cJSON_AddNumberToObject(root, "bytes_uploaded", (double)facts->counts.bytes_uploaded);
    const cJSON *throughput = cJSON_GetObjectItemCaseSensitive(facts->running, "throughput");
    if (throughput != NULL)
        cJSON_AddItemToObject(root, "throughput", cJSON_Duplicate(throughput, 1));
    add_from_running(root, facts, "in_flight");
    add_watches(root, facts);
    add_time(root, "oldest_waiting_at", facts->counts.oldest_waiting_ms);
    cJSON_AddStringToObject(root, "paused_because", paused_because(facts));
    cJSON_AddStringToObject(root, "slowed_because", json_text(facts->running, "slowed_because"));
    cJSON_AddItemToObject(root, "bandwidth", cJSON_Duplicate(facts->bandwidth, 1));
    cJSON_AddStringToObject(root, "last_error", facts->last_error != NULL ? facts->last_error : "");
    char *text = cJSON_Print(root);
    puts(text);
    free(text);
    cJSON_Delete(root);
}

/* --- text --- */

static void print_throughput(const cJSON *running)
{
    const cJSON *throughput = cJSON_GetObjectItemCaseSensitive(running, "throughput");
    char rate[COMMAND_SIZE_TEXT];
    double bytes_per_s = json_number(throughput, "bytes_per_s");
    if (bytes_per_s < 1)
        return;
    command_size_text((unsigned long long)bytes_per_s, rate);
    printf("  last min   %.0f recordings, %s/s\n", json_number(throughput, "recordings_last_min"),
           rate);
}

static void print_in_flight(const cJSON *running)
{
    const cJSON *file;
    cJSON_ArrayForEach(file, cJSON_GetObjectItemCaseSensitive(running, "in_flight"))
    {
        double size = json_number(file, "size");
        char text[COMMAND_SIZE_TEXT];
        command_size_text((unsigned long long)size, text);
        printf("  sending    %3.0f %% of %s  %s\n",
               size > 0 ? 100 * json_number(file, "sent") / size : 100, text,
               json_text(file, "path"));
    }
}

static void print_watches(const struct facts *facts)
{
    const cJSON *watch;
    if (facts->running == NULL) {
        for (size_t i = 0; i < facts->config->watch_count; i++)
            printf("  watch      %s  %s\n", facts->config->watches[i].name,
                   facts->config->watches[i].path);
        return;
    }
    cJSON_ArrayForEach(watch, cJSON_GetObjectItemCaseSensitive(facts->running, "watches"))
    {
        const char *reason = json_text(watch, "reason");
        bool online = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(watch, "online"));
        printf("  watch      %s  %s  %s%s%s\n", json_text(watch, "name"), json_text(watch, "path"),
               online ? json_text(watch, "mode") : "OFFLINE", reason[0] != '\0' ? ": " : "",
               reason);
    }
}

static void print_text(const struct facts *facts)
{
    char size[COMMAND_SIZE_TEXT], age[WHEN_TEXT];
    const char *paused = paused_because(facts);
    const char *slowed = json_text(facts->running, "slowed_because");
    if (facts->running != NULL)
        printf("chorus-agent %s runs since %s (process %.0f)\n", command_version,
               json_text(facts->running, "since"), json_number(facts->running, "pid"));
    else
        printf("chorus-agent %s: the service does not run\n", command_version);
    if (paused[0] != '\0')
        printf("  PAUSED     %s\n", paused);
    if (slowed[0] != '\0')
        printf("  SLOWED     %s\n", slowed);
    for (int i = 0; i < STATE_COUNT; i++) {
        if (facts->counts.state[i] > 0)
            printf("  %-10s %" PRId64 "\n", state_name((enum recording_state)i),
                   facts->counts.state[i]);
    }
    command_size_text((unsigned long long)facts->counts.bytes_uploaded, size);
    printf("  sent       %s in all\n", size);
    print_throughput(facts->running);
    printf("  bandwidth  %s\n", json_text(facts->bandwidth, "in_words"));
    print_in_flight(facts->running);
    if (facts->counts.oldest_waiting_ms != 0) {
        when_about(when_now_ms() - facts->counts.oldest_waiting_ms, age);
        printf("  oldest     waits for %s\n", age);
    }
    print_watches(facts);
    if (facts->last_error != NULL && facts->last_error[0] != '\0')
        printf("  last error %s\n", facts->last_error);
}

/* --- monitoring --- */

struct monitor {
    int level;
    char text[512];
};

__attribute__((format(printf, 3, 4))) static void complain(struct monitor *monitor, int level,
                                                           const char *format, ...)
{
    va_list args;
    size_t n = strlen(monitor->text);
    if (level > monitor->level)
        monitor->level = level;
    if (n + 4 < sizeof monitor->text && n > 0)
        n += (size_t)snprintf(monitor->text + n, sizeof monitor->text - n, "; ");
    va_start(args, format);
    vsnprintf(monitor->text + n, sizeof monitor->text - n, format, args);
    va_end(args);
}

static void complain_of_watches(struct monitor *monitor, const cJSON *running)
{
    const cJSON *watch;
    cJSON_ArrayForEach(watch, cJSON_GetObjectItemCaseSensitive(running, "watches"))
    {
        /* without a reason it has not been looked at yet: the service has just started */
        if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(watch, "online")) &&
            json_text(watch, "reason")[0] != '\0')
            complain(monitor, MONITOR_CRITICAL, "watch %s is offline", json_text(watch, "name"));
    }
}

/* How bad it is that recordings wait: what the timetable wants is no trouble, what a person wants
 * may have been forgotten. */
static int lateness(const struct facts *facts, const char *paused)
{
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(facts->running, "paused_by_timetable")))
        return MONITOR_OK;
    bool wanted = facts->pause != NULL && strcmp(paused, facts->pause) == 0;
    bool by_calls =
        cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(facts->running, "paused_by_calls"));
    return wanted || by_calls ? MONITOR_WARNING : MONITOR_CRITICAL;
}

static int print_monitor(const struct facts *facts, int64_t waiting_ms, int64_t held_ms)
{
    static const char *const words[] = {"OK", "WARNING", "CRITICAL"};
    struct monitor monitor = {0};
    char age[WHEN_TEXT];
    const struct ledger_counts *counts = &facts->counts;
    int64_t now_ms = when_now_ms();
    const char *paused = paused_because(facts);
    int late = lateness(facts, paused);
    if (facts->running == NULL)
        complain(&monitor, MONITOR_CRITICAL, "the service does not run");
    if (paused[0] != '\0')
        complain(&monitor, late, "%s%.200s", late == MONITOR_CRITICAL ? "paused: " : "", paused);
    complain_of_watches(&monitor, facts->running);
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(facts->running, "stopped_by_load")))
        complain(&monitor, MONITOR_WARNING, "%s", json_text(facts->running, "slowed_because"));
    if (counts->oldest_waiting_ms != 0 && now_ms - counts->oldest_waiting_ms > waiting_ms) {
        when_about(now_ms - counts->oldest_waiting_ms, age);
        complain(&monitor, late, "the oldest waits for %s", age);
    }
    if (counts->oldest_held_ms != 0 && now_ms - counts->oldest_held_ms > held_ms) {
        when_about(now_ms - counts->oldest_held_ms, age);
        complain(&monitor, MONITOR_WARNING, "%" PRId64 " held, the oldest for %s",
                 counts->state[STATE_HELD], age);
    }
    if (counts->state[STATE_FAILED] > 0)
        complain(&monitor, MONITOR_WARNING, "%" PRId64 " failed", counts->state[STATE_FAILED]);
    printf("CHORUS %s - %s%s%" PRId64 " uploaded, %" PRId64 " waiting, %" PRId64 " held\n",
           words[monitor.level], monitor.text, monitor.text[0] != '\0' ? "; " : "",
           counts->state[STATE_UPLOADED],
           counts->state[STATE_QUEUED] + counts->state[STATE_WAITING] +
               counts->state[STATE_UNCERTAIN],
           counts->state[STATE_HELD]);
    return monitor.level;
}

/* --- the command --- */

struct wish {
    bool json, check;
    int64_t waiting_ms, held_ms;
};

static int read_wish(const struct invocation *invocation, struct wish *wish)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"check", no_argument, NULL, 'c'},
                                            {"waiting", required_argument, NULL, 'w'},
                                            {"held", required_argument, NULL, 'h'},
                                            {0}};
    int option;
    *wish = (struct wish){.waiting_ms = 3600000, .held_ms = 86400000};
    while ((option = getopt_long(invocation->argc, invocation->argv, "", options, NULL)) != -1) {
        bool good = true;
        if (option == 'j')
            wish->json = true;
        else if (option == 'c')
            wish->check = true;
        else if (option == 'w')
            good = when_parse_duration(optarg, true, &wish->waiting_ms);
        else if (option == 'h')
            good = when_parse_duration(optarg, true, &wish->held_ms);
        else
            return command_usage(invocation, "unknown option");
        if (!good)
            return command_usage(invocation, "an age is a number with ms, s, min, h or d, as 1h");
    }
    return optind < invocation->argc ? command_usage(invocation, "it takes no PATH") : 0;
}

static int report(const struct config *config, const struct wish *wish)
{
    struct ledger *ledger;
    struct facts facts;
    int code = command_open_ledger(config, &ledger);
    if (code == EX_IOERR)
        return code;
    code = 0;
    read_facts(config, ledger, &facts);
    if (wish->check)
        code = print_monitor(&facts, wish->waiting_ms, wish->held_ms);
    else if (wish->json)
        print_json(&facts);
    else
        print_text(&facts);
    clear_facts(&facts);
    ledger_close(ledger);
    return code;
}

int command_status(const struct invocation *invocation)
{
    struct wish wish;
    struct config *config;
    int code = read_wish(invocation, &wish);
    if (code == 0)
        code = command_load_config(invocation, CONFIG_TO_LOOK, &config);
    if (code != 0)
        return code;
    code = command_enter_state_dir(config, false);
    if (code == 0)
        code = report(config, &wish);
    config_free(config);
    return code;
}
