#include "agent/config/schema.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/config/draft.h"

#define TOP(member) .section = IN_TOP, .offset = offsetof(struct config, member)
#define CHORUS(member) .section = IN_CHORUS, .offset = offsetof(struct config, chorus.member)
#define UPLOAD(member) .section = IN_UPLOAD, .offset = offsetof(struct config, upload.member)
#define DELETE(member) .section = IN_DELETE, .offset = offsetof(struct config, delete_.member)
#define BANDWIDTH(member)                                                                          \
    .section = IN_BANDWIDTH, .offset = offsetof(struct config, bandwidth.member)
#define WINDOW(member) .section = IN_WINDOW, .offset = offsetof(struct bandwidth_window, member)
#define WATCH(member) .section = IN_WATCH, .offset = offsetof(struct watch_draft, watch.member)
#define SHARED(member) .section = IN_WATCH, .offset = offsetof(struct watch_draft, member)
#define RULE(member) .section = IN_RULE, .offset = offsetof(struct rule_draft, member)
#define SECTION(name)                                                                              \
    {                                                                                              \
        name, IN_TOP, .type = IS_SECTION                                                           \
    }

static const struct schema_key keys[] = {
    {"state_dir", TOP(state_dir), .type = IS_PATH, .default_text = "/var/lib/chorus-agent",
     .help = "the ledger; created 0700"},
    {"control_dir", TOP(control_dir), .type = IS_PATH, .default_text = "/var/spool/chorus-agent",
     .help = "delete requests are dropped here; created 2770"},
    {"control_group", TOP(control_group), .type = IS_TEXT, .default_text = "",
     .help = "its members may drop requests; empty: root and the service's user only"},
    {"log_level", TOP(log_level), .type = IS_CHOICE, .default_text = "info",
     .allowed = "error, warning, info, debug", .help = "how much is logged"},
    {"log_format", TOP(log_json), .type = IS_SWITCH, .default_text = "text",
     .allowed = "text, json", .help = "text (logfmt) or json"},
    {"log_redact", TOP(log_redact), .type = IS_BOOL, .default_text = "false",
     .help = "runs of 7 and more digits are masked in the log"},
    {"history", TOP(history_ms), .type = IS_DURATION, .default_text = "400d",
     .help = "so long attempts and answers are remembered; what was uploaded is never forgotten"},
    {"max_load", TOP(max_load), .type = IS_LOAD, .default_text = "0",
     .help =
         "above this 1-minute load average of the machine (as uptime shows it, not per core) no "
         "scan and no checksum begins; transfers in flight go on; 0: off"},

    SECTION("chorus"),
    {"chorus.url", CHORUS(url), .type = IS_URL, .default_text = "https://chorus.ai",
     .help = "https only, unless the host is loopback"},
    {"chorus.token_file", CHORUS(token_file), .type = IS_PATH_OR_NONE,
     .default_text = "/etc/chorus-agent/token",
     .help = "the API token; refused when everybody may read it; read again when it changes"},
    {"chorus.auth", CHORUS(bearer), .type = IS_SWITCH, .default_text = "raw",
     .allowed = "raw, bearer", .help = "how the token stands in the Authorization header"},
    {"chorus.ca_file", CHORUS(ca_file), .type = IS_PATH_OR_NONE, .default_text = "",
     .help = "extra CA bundle"},
    {"chorus.proxy", CHORUS(proxy), .type = IS_TEXT, .default_text = "",
     .help = "proxy to use; empty: the usual *_proxy variables"},
    {"chorus.verify_owners", CHORUS(verify_owners), .type = IS_BOOL, .default_text = "false",
     .help = "hold what belongs to nobody on Chorus's list of users, instead of having it refused"},
    {"chorus.id_fields", CHORUS(id_fields), .type = IS_LIST,
     .default_text = "engagement_id, id, data.id, callid",
     .help = "where a 200 to an upload may carry the new id"},

    SECTION("upload"),
    {"upload.concurrency", UPLOAD(concurrency), .type = IS_NUMBER, .default_text = "8",
     .allowed = "1 to 64", .min = 1, .max = 64, .help = "most transfers at once"},
    {"upload.retry_first", UPLOAD(retry_first_ms), .type = IS_DURATION, .default_text = "1s",
     .help = "first delay; doubles, with full jitter"},
    {"upload.retry_max", UPLOAD(retry_max_ms), .type = IS_DURATION, .default_text = "15min",
     .help = "longest delay between two attempts"},
    {"upload.retry_for", UPLOAD(retry_for_ms), .type = IS_DURATION, .default_text = "7d",
     .help = "after so long without success a recording is failed"},
    {"upload.resend_after", UPLOAD(resend_after_ms), .type = IS_DURATION, .default_text = "60s",
     .help = "an uncertain recording is not sent again before; longer than Chorus needs for one "
             "upload"},
    {"upload.stall_timeout", UPLOAD(stall_timeout_ms), .type = IS_DURATION, .default_text = "60s",
     .help = "no byte moved for so long: the attempt is over"},
    {"upload.order", UPLOAD(order), .type = IS_CHOICE, .default_text = "newest",
     .allowed = "newest, oldest, smallest", .help = "which waiting recording goes first"},

    SECTION("delete"),
    {"delete.confirm_for", DELETE(confirm_for_ms), .type = IS_DURATION, .default_text = "1h",
     .help = "a result is written at the latest so long after Chorus accepted the deletion"},
    {"delete.max", DELETE(max), .type = IS_COUNT, .default_text = "1000",
     .allowed = "0 to 1000000000", .min = 0, .max = 1000000000,
     .help =
         "a request that matches more is refused whole unless its @expect states the true number"},
    {"delete.keep_details", DELETE(keep_details_ms), .type = IS_DURATION, .default_text = "30d",
     .help = "so long after the last proof the details of a deleted recording are wiped"},

    SECTION("bandwidth"),
    {"bandwidth.rate", BANDWIDTH(rate), .type = IS_RATE, .default_text = "unlimited",
     .help =
         "most that all uploads together send, counted on the wire, with headers and TLS; auto: "
         "what calls and others leave free, found out by the delay of packets"},
    {"bandwidth.ceiling", BANDWIDTH(ceiling), .type = IS_CEILING, .default_text = "unlimited",
     .help = "with rate: auto, most that it ever takes"},
    {"bandwidth.dscp", BANDWIDTH(dscp), .type = IS_DSCP, .default_text = "cs1",
     .help = "class that packets are marked with, so that routers let calls go first"},

    {"bandwidth.busy_command", .section = IN_BANDWIDTH,
     .offset = offsetof(struct config, busy.command), .type = IS_LIST,
     .help = "a program (absolute path) and its arguments, run without a shell: exit status 0 says "
             "that "
             "calls are many and only busy_rate may be used, 1 that they are not; anything else is "
             "told "
             "and counts as 0"},
    {"bandwidth.busy_every", .section = IN_BANDWIDTH,
     .offset = offsetof(struct config, busy.every_ms), .type = IS_DURATION, .default_text = "10s",
     .help = "so long after its end it is run again"},
    {"bandwidth.busy_rate", BANDWIDTH(busy_rate), .type = IS_RATE, .default_text = "0",
     .help = "most that uploads send while calls are many; for busy_command; 0: nothing leaves"},

    {"bandwidth.windows", .section = IN_BANDWIDTH, .type = IS_SECTION},
    {"bandwidth.windows.NAME.days", WINDOW(days), .type = IS_DAYS, .default_text = "mon-sun",
     .help = "days on which it begins"},
    {"bandwidth.windows.NAME.from", WINDOW(from), .type = IS_CLOCK, .default_text = "00:00",
     .allowed = "local time, 00:00 to 23:59", .max = 1439, .help = "when it begins"},
    {"bandwidth.windows.NAME.to", WINDOW(to), .type = IS_CLOCK, .default_text = "24:00",
     .allowed = "local time, 00:00 to 24:00", .max = 1440,
     .help = "when it ends; at or before `from`: on the next day"},
    {"bandwidth.windows.NAME.rate", WINDOW(rate), .type = IS_RATE,
     .help =
         "in force instead of bandwidth.rate; of several windows the lowest; 0: nothing leaves"},

    SECTION("tables"),
    {"tables.NAME", .section = IN_TABLES, .type = IS_PATH,
     .help = "a key,value file (comma or tab) that templates use as a filter"},

    SECTION("watches"),
    {"watches.NAME.path", WATCH(path), .type = IS_PATH, .help = "the folder"},
    {"watches.NAME.recursive", WATCH(recursive), .type = IS_BOOL, .default_text = "true",
     .help = "folders below it as well"},
    {"watches.NAME.include", WATCH(include), .type = IS_LIST,
     .help = "globs of the files to take, case ignored; default: wav mp3 ogg oga opus mp4 m4a m4v "
             "mov 3gp 3g2 au avi flv mkv webm"},
    {"watches.NAME.exclude", WATCH(exclude), .type = IS_LIST,
     .help = "globs of the files to pass over, case ignored"},
    {"watches.NAME.since", WATCH(since), .type = IS_SINCE, .default_text = "start",
     .help = "start, all, or a date: what was there before is not taken"},
    {"watches.NAME.settle", WATCH(settle_ms), .type = IS_DURATION_OR_0, .default_text = "2s",
     .help = "unchanged for so long after its writer closed it"},
    {"watches.NAME.quiet", WATCH(quiet_ms), .type = IS_DURATION, .default_text = "5min",
     .help = "instead of settle where neither a close nor a lease can be seen, against the last "
             "change"},
    {"watches.NAME.open_quiet", WATCH(open_quiet_ms), .type = IS_DURATION, .default_text = "1h",
     .help = "a header that says \"still being written\" is believed for so long"},
    {"watches.NAME.delay", WATCH(delay_ms), .type = IS_DURATION_OR_0, .default_text = "0s",
     .help = "not uploaded before so long after its last change"},
    {"watches.NAME.min_size", WATCH(min_size), .type = IS_SIZE, .default_text = "0",
     .help = "smaller ones are skipped; empty recordings always are"},
    {"watches.NAME.min_duration", WATCH(min_duration_ms), .type = IS_DURATION_OR_0,
     .default_text = "0s",
     .help = "shorter ones are skipped, where the header says the length exactly (WAV, AU, MP4)"},
    {"watches.NAME.rescan", WATCH(rescan_ms), .type = IS_DURATION, .default_text = "5min",
     .help = "full look at the tree, whatever the events said"},
    {"watches.NAME.call_key", SHARED(call_key), .type = IS_TEMPLATE, .default_text = "",
     .help = "two recordings with one call key are one call; none if any field in it is empty"},
    {"watches.NAME.prefer", WATCH(prefer), .type = IS_TEXT, .default_text = "",
     .help = "glob of the copy of a call (call_key) that is sent where several appear together"},
    {"watches.NAME.prefer_wait", WATCH(prefer_wait_ms), .type = IS_DURATION, .default_text = "30s",
     .help = "another copy waits so long for the preferred one"},
    {"watches.NAME.sidecar", SHARED(sidecar), .type = IS_TEMPLATE, .default_text = "",
     .help = "name of a JSON file beside the recording that says whose call it is, such as "
             "\"{stem}.json\"; its user, name, meeting_id, crm_account_id, crm_opportunity_id win "
             "over rules, all else in it are fields"},
    {"watches.NAME.sidecar_wait", WATCH(sidecar_wait_ms), .type = IS_DURATION,
     .default_text = "30s", .help = "a recording waits so long for its sidecar"},
    {"watches.NAME.sidecar_required", WATCH(sidecar_required), .type = IS_BOOL,
     .default_text = "false",
     .help = "without its sidecar a recording is held; else it goes on by the rules alone"},
    {"watches.NAME.sidecar_fields", .section = IN_WATCH, .type = IS_FIELDS,
     .help = "fields by their place in the sidecar: { user: participants.0.email }"},
    {"watches.NAME.after_upload", WATCH(after_upload), .type = IS_CHOICE, .default_text = "keep",
     .allowed = "keep, delete, move", .help = "what becomes of the file"},
    {"watches.NAME.move_to", WATCH(move_to), .type = IS_PATH_OR_NONE, .default_text = "",
     .help = "for after_upload: move; outside every watch"},
    {"watches.NAME.keep_for", WATCH(keep_for_ms), .type = IS_DURATION_OR_0, .default_text = "0s",
     .help = "delete or move only so long after Chorus accepted it"},
    {"watches.NAME.owner", SHARED(owner), .type = IS_TEMPLATE,
     .help = "e-mail of the Chorus user, for a watch without rules"},
    {"watches.NAME.name", SHARED(name), .type = IS_TEMPLATE, .default_text = "{stem}",
     .help = "name of the recording in Chorus, for every rule that names none"},
    {"watches.NAME.meeting_id", SHARED(meeting_id), .type = IS_TEMPLATE,
     .default_text = "sha256-{sha256}",
     .help = "the key that makes a resend harmless, for every rule that names none"},
    {"watches.NAME.crm_account_id", SHARED(crm_account_id), .type = IS_TEMPLATE, .default_text = "",
     .help = "left out where empty; for every rule that names none"},
    {"watches.NAME.crm_opportunity_id", SHARED(crm_opportunity_id), .type = IS_TEMPLATE,
     .default_text = "", .help = "left out where empty; for every rule that names none"},
    {"watches.NAME.rules", .section = IN_WATCH, .type = IS_RULES,
     .help = "in order; the first whose pattern matches decides"},

    {"watches.NAME.rules.title", RULE(title), .type = IS_TEXT,
     .help = "what the rule is called in messages"},
    {"watches.NAME.rules.pattern", RULE(pattern), .type = IS_PATTERN,
     .help = "searched in the path below the watch's path; without it a rule takes everything"},
    {"watches.NAME.rules.skip", RULE(skip), .type = IS_TEXT,
     .help = "these recordings are skipped; the reason in words"},
    {"watches.NAME.rules.owner", RULE(owner), .type = IS_TEMPLATE,
     .help = "e-mail of the Chorus user"},
    {"watches.NAME.rules.name", RULE(name), .type = IS_TEMPLATE,
     .default_text = "that of the watch", .help = "name of the recording in Chorus"},
    {"watches.NAME.rules.meeting_id", RULE(meeting_id), .type = IS_TEMPLATE,
     .default_text = "that of the watch", .help = "the key that makes a resend harmless"},
    {"watches.NAME.rules.crm_account_id", RULE(crm_account_id), .type = IS_TEMPLATE,
     .default_text = "that of the watch", .help = "left out where empty"},
    {"watches.NAME.rules.crm_opportunity_id", RULE(crm_opportunity_id), .type = IS_TEMPLATE,
     .default_text = "that of the watch", .help = "left out where empty"},
};

enum { KEY_COUNT = sizeof keys / sizeof keys[0] };
static_assert((int)KEY_COUNT <= (int)SCHEMA_KEYS_MAX, "struct filled has a line for each key");

size_t schema_count(void)
{
    return KEY_COUNT;
}

const struct schema_key *schema_at(size_t i)
{
    return &keys[i];
}

size_t schema_index(const struct schema_key *key)
{
    return (size_t)(key - keys);
}

const char *schema_name(const struct schema_key *key)
{
    const char *dot = strrchr(key->key, '.');
    return dot == NULL ? key->key : dot + 1;
}

const char *schema_place(enum schema_section section)
{
    static const char *const places[] = {"the top level", "chorus",       "upload",
                                         "delete",        "bandwidth",    "bandwidth.windows.NAME",
                                         "tables",        "watches.NAME", "watches.NAME.rules"};
    return places[section];
}

const char *schema_type_name(const struct schema_key *key)
{
    static const char *const names[] = {
        [IS_SECTION] = "section",
        [IS_TEXT] = "text",
        [IS_TEMPLATE] = "template",
        [IS_PATTERN] = "PCRE2 pattern",
        [IS_PATH] = "absolute path",
        [IS_PATH_OR_NONE] = "absolute path, or empty",
        [IS_URL] = "https URL",
        [IS_DURATION] = "duration (ms s min h d), at least 1ms",
        [IS_DURATION_OR_0] = "duration (ms s min h d), or 0",
        [IS_SIZE] = "size (bytes, k M G)",
        [IS_BOOL] = "true or false",
        [IS_LOAD] = "load, such as 4 or 0.9",
        [IS_SINCE] = "start, all, or a date",
        [IS_LIST] = "list of texts",
        [IS_RATE] = "number with its unit (" RATE_UNITS "), 0, auto, unlimited",
        [IS_CEILING] = "number with its unit (" RATE_UNITS "), unlimited",
        [IS_DAYS] = "days: mon tue wed thu fri sat sun, mon-fri, \"sat,sun\"",
        [IS_RULES] = "list of rules",
        [IS_FIELDS] = "FIELD: path.in.the.sidecar",
    };
    if (key->type == IS_DSCP)
        return dscp_names();
    return key->allowed != NULL ? key->allowed : names[key->type];
}

const struct schema_key *schema_find(enum schema_section section, const char *name)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (keys[i].section == section && strcmp(schema_name(&keys[i]), name) == 0)
            return &keys[i];
    }
    return NULL;
}

enum { NEAR_MAX_LENGTH = 31 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many letters to insert, drop, change or swap with the next one. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][NEAR_MAX_LENGTH + 1];
    size_t *before_last = rows[0], *last = rows[1], *now = rows[2];
    size_t a_length = strlen(a), b_length = strlen(b);
    for (size_t k = 0; k <= b_length; k++)
        last[k] = k;
    for (size_t i = 1; i <= a_length; i++) {
        now[0] = i;
        for (size_t k = 1; k <= b_length; k++) {
            now[k] = least(last[k - 1] + (a[i - 1] != b[k - 1]), least(last[k], now[k - 1]) + 1);
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
                now[k] = least(now[k], before_last[k - 2] + 1);
        }
        size_t *spare = before_last;
        before_last = last;
        last = now;
        now = spare;
    }
    return last[b_length];
}

const char *schema_nearest(enum schema_section section, const char *name)
{
    const char *nearest = NULL;
    size_t best = least(strlen(name) / 3 + 1, 3) + 1;
    if (strlen(name) > NEAR_MAX_LENGTH)
        return NULL;
    for (size_t i = 0; i < KEY_COUNT; i++) {
        const char *other = schema_name(&keys[i]);
        if (keys[i].section != section || section == IN_TABLES)
            continue;
        size_t far = distance(name, other);
        if (far < best && far < strlen(other)) {
            best = far;
            nearest = other;
        }
    }
    return nearest;
}
