#include "agent/commands/dialers.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/rules/pattern.h"
#include "watcher/watcher.h"

enum { MOST_ENTRIES = 20000, MOST_DEPTH = 6 };

#define STAMP "\\d{8}-\\d{6}"
#define ENDING "(?:-all)?\\.\\w+$"
#define BY_AGENT .owner = "{agent|agents}"
#define BY_RECORDING .owner = "{recording|recordings|agents}"

/* Where an agent's id does not stand in the name, the dialer's own list of recordings knows it. */
static const struct dialer dialers[] = {
    {.name = "VICIdial",
     .watch = "vicidial",
     .marks = {"/etc/astguiclient.conf", "/var/spool/asterisk/monitorDONE"},
     /* mixed, compressed, in this order of stages; never monitor/ itself, where the legs grow */
     .folders = {"/var/spool/asterisk/monitorDONE/MP3", "/var/spool/asterisk/monitorDONE/OGG",
                 "/var/spool/asterisk/monitorDONE/FTP", "/var/spool/asterisk/monitorDONE"},
     .exclude = "[\"*-in.*\", \"*-out.*\"]",
     .agents_hint = "SELECT user,email FROM vicidial_users WHERE email<>''",
     .recordings_hint = "SELECT filename,user FROM recording_log WHERE start_time>=...",
     .rules = {{.title = "phone-agent-lead",
                .pattern = "(?:^|/)(?<stamp>" STAMP
                           ")_(?<phone>\\d{6,15})_(?<agent>[^_]+)_(?<lead>\\d+)" ENDING,
                BY_AGENT,
                .name = "{agent} {phone|last4} {stamp}"},
               {.title = "campaign-agent-phone",
                .pattern = "(?:^|/)(?<stamp>" STAMP
                           ")_(?<campaign>[^/]*)_(?<agent>[^_]+)_(?<phone>\\d{6,15})" ENDING,
                BY_AGENT,
                .name = "{agent} {phone|last4} {stamp}"},
               {.title = "phone-agent",
                .pattern = "(?:^|/)(?<stamp>" STAMP ")_(?<phone>\\d{6,15})_(?<agent>[^_]+?)" ENDING,
                BY_AGENT,
                .name = "{agent} {phone|last4} {stamp}"},
               {.title = "phone",
                .pattern = "(?:^|/)(?<recording>(?<stamp>" STAMP ")_(?<phone>\\d{9,15}))" ENDING,
                BY_RECORDING,
                .name = "{phone|last4} {stamp}"},
               {.title = "agent",
                .pattern = "(?:^|/)(?<stamp>" STAMP ")_(?<agent>[^_]+?)" ENDING,
                BY_AGENT,
                .name = "{agent} {stamp}"},
               {.title = "campaign-phone",
                .pattern = "(?:^|/)(?<recording>(?<campaign>[^/"
                           "]+)_(?<stamp>\\d{10,12})_(?<phone>\\d{6,15}))" ENDING,
                BY_RECORDING,
                .name = "{campaign} {phone|last4} {stamp}"}}},
    {.name = "Issabel",
     .watch = "issabel",
     .marks = {"/etc/issabel.conf", "/etc/issabel.d"},
     .folders = {"/var/spool/asterisk/monitor"},
     .agents_hint = "one line for each extension: 412,ann@example.com",
     .rules = {{.title = "outgoing",
                .pattern = "(?:^|/)out-(?<phone>[^-]+)-(?<ext>[^-]+)-(?<stamp>" STAMP ")-",
                .owner = "{ext|agents}",
                .name = "{ext} out {phone|last4} {stamp}"},
               {.title = "incoming",
                .pattern = "(?:^|/"
                           ")(?<kind>exten|external|internal|rg|q)-(?<ext>[^-]+)-(?<phone>[^-]+)-(?"
                           "<stamp>" STAMP ")-",
                .owner = "{ext|agents}",
                .name = "{ext} {kind} {phone|last4} {stamp}"}}},
    {.name = "FreePBX",
     .watch = "freepbx",
     .marks = {"/etc/freepbx.conf", "/etc/amportal.conf",
               "/etc/asterisk/freepbx_module_admin.conf"},
     .folders = {"/var/spool/asterisk/monitor"},
     .agents_hint = "one line for each extension: 412,ann@example.com",
     .rules = {{.title = "outgoing",
                .pattern = "(?:^|/)out-(?<phone>[^-]+)-(?<ext>[^-]+)-(?<stamp>" STAMP ")-",
                .owner = "{ext|agents}",
                .name = "{ext} out {phone|last4} {stamp}"},
               {.title = "incoming",
                .pattern = "(?:^|/"
                           ")(?<kind>exten|external|internal|rg|q)-(?<ext>[^-]+)-(?<phone>[^-]+)-(?"
                           "<stamp>" STAMP ")-",
                .owner = "{ext|agents}",
                .name = "{ext} {kind} {phone|last4} {stamp}"}}},
    {.name = "FusionPBX",
     .watch = "fusionpbx",
     .marks = {"/etc/fusionpbx/config.conf", "/etc/fusionpbx/config.php", "/var/www/fusionpbx"},
     .folders = {"/var/lib/freeswitch/recordings", "/usr/local/freeswitch/recordings"},
     .agents_hint = "one line for each extension: 412,ann@example.com",
     .recordings_hint = "the uuid of each call and its extension, from v_xml_cdr",
     .rules = {{.title = "uuid",
                .pattern =
                    "(?:^|/)(?<recording>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\\.\\w+$",
                BY_RECORDING},
               {.title = "by-extension",
                .pattern = "(?:^|/)(?<ext>\\d{2,6})[-_.][^/]*$",
                .owner = "{ext|agents}"}}},
    {.name = "FreeSWITCH",
     .watch = "freeswitch",
     .marks = {"/etc/freeswitch", "/usr/local/freeswitch/conf"},
     .folders = {"/var/lib/freeswitch/recordings", "/usr/local/freeswitch/recordings",
                 "/var/spool/freeswitch/recordings"},
     .agents_hint = "one line for each extension: 412,ann@example.com",
     .recordings_hint = "the name of each recording, without its ending, and its extension",
     .rules = {{.title = "by-name",
                .pattern = "(?:^|/)(?<recording>[^/]+)\\.\\w+$",
                BY_RECORDING}}},
    {.name = "3CX",
     .watch = "3cx",
     .marks = {"/var/lib/3cxpbx", "/usr/sbin/3CXLaunchWizard"},
     .folders = {"/var/lib/3cxpbx/Instance1/Data/Recordings"},
     .agents_hint = "one line for each extension: 100,ann@example.com",
     .rules = {{.title = "by-extension",
                .pattern = "^(?<ext>\\d+)/\\[(?<who>[^\\]]*)\\]_(?<phone_a>[^-/]*)-(?<phone_b>[^_/"
                           "]*)_(?<stamp>\\d{14})\\((?<callid>\\d+)\\)\\.\\w+$",
                .owner = "{ext|agents}",
                .name = "{ext} {phone_a|last4} {phone_b|last4} {stamp}"}}},
    {.name = "Asterisk",
     .watch = "asterisk",
     .marks = {"/etc/asterisk/asterisk.conf", "/var/spool/asterisk/monitor"},
     .folders = {"/var/spool/asterisk/monitor"},
     .agents_hint = "one line for each extension: 412,ann@example.com",
     .recordings_hint = "the name of each recording, without its ending, and its extension",
     .rules = {{.title = "by-name",
                .pattern = "(?:^|/)(?<recording>[^/]+)\\.\\w+$",
                BY_RECORDING}}},
};
enum { DIALER_COUNT = sizeof dialers / sizeof dialers[0] };
_Static_assert((int)DIALER_COUNT <= (int)DIALERS_MOST, "each may be found");

/* --- one folder --- */

/* What is kept while a tree is read. */
struct looking {
    struct dialer_find *find;
    struct pattern *patterns[DIALER_RULES];
    struct watch_options options;
    unsigned entries;
};

static void judge_name(struct looking *looking, const char *path)
{
    struct dialer_find *find = looking->find;
    if (watch_passes_over(&looking->options, path) != NULL)
        return;
    find->recordings++;
    for (size_t i = 0; i < DIALER_RULES && looking->patterns[i] != NULL; i++) {
        size_t count = pattern_group_count(looking->patterns[i]);
        char **values = mem_array(count + 1, sizeof *values);
        if (pattern_search(looking->patterns[i], path, values) == PATTERN_MATCH) {
            find->fits[i] = find->any_fits = true;
            for (size_t k = 0; k < count; k++)
                free(values[k]);
            free(values);
            return; /* the first that matches decides */
        }
        free(values);
    }
}

/* `folder` is taken over. No link is followed. */
static void read_folder(struct looking *looking, int folder, const char *below, int depth)
{
    DIR *stream = fdopendir(folder);
    if (stream == NULL) {
        close(folder);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (looking->entries++ >= MOST_ENTRIES) {
            looking->find->more = true;
            break;
        }
        char *path = mem_printf("%s%s%s", below, below[0] != '\0' ? "/" : "", entry->d_name);
        struct stat st;
        if (fstatat(dirfd(stream), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
            int fd = S_ISDIR(st.st_mode) && depth < MOST_DEPTH
                         ? openat(dirfd(stream), entry->d_name,
                                  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                         : -1;
            if (fd >= 0)
                read_folder(looking, fd, path, depth + 1);
            else if (S_ISREG(st.st_mode))
                judge_name(looking, path);
        }
        free(path);
    }
    closedir(stream);
}

static void look_into(const char *path, struct dialer_find *find)
{
    struct looking looking = {.find = find, .options = {.path = path, .recursive = true}};
    for (size_t i = 0; i < DIALER_RULES && find->dialer->rules[i].title != NULL; i++)
        looking.patterns[i] = pattern_compile(find->dialer->rules[i].pattern, NULL);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        read_folder(&looking, fd, "", 0);
    for (size_t i = 0; i < DIALER_RULES; i++)
        pattern_free(looking.patterns[i]);
}

void dialers_look_at_rights(const char *path, bool *readable, char group[64])
{
    struct stat st;
    *readable = stat(path, &st) != 0 || (st.st_mode & 05) == 05;
    group[0] = '\0';
    if (*readable || (st.st_mode & 050) != 050)
        return;
    const struct group *entry = getgrgid(st.st_gid);
    if (entry != NULL)
        snprintf(group, 64, "%s", entry->gr_name);
}

/* --- the machine --- */

static bool is_there(const char *root, const char *path, bool folder_only)
{
    struct stat st;
    char *whole = mem_printf("%s%s", root, path);
    bool there = stat(whole, &st) == 0 && (!folder_only || S_ISDIR(st.st_mode));
    free(whole);
    return there;
}

static const char *first_there(const char *root, const char *const places[DIALER_PLACES],
                               bool folder_only)
{
    for (size_t i = 0; i < DIALER_PLACES && places[i] != NULL; i++) {
        if (is_there(root, places[i], folder_only))
            return places[i];
    }
    return NULL;
}

/* A folder, or one around it or below it, that another dialer was found to write. */
static bool is_taken(const char *folder, const struct dialer_find *finds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(finds[i].folder, folder) == 0)
            return true;
        /* VICIdial's Asterisk writes its legs there: one stage only is watched */
        if (strcmp(finds[i].dialer->watch, "vicidial") == 0 &&
            strncmp(folder, "/var/spool/asterisk", 19) == 0)
            return true;
    }
    return false;
}

size_t dialers_look(const char *root, struct dialer_find finds[DIALERS_MOST])
{
    size_t count = 0;
    for (size_t i = 0; i < DIALER_COUNT; i++) {
        const char *folder = first_there(root, dialers[i].folders, true);
        if (folder == NULL || first_there(root, dialers[i].marks, false) == NULL ||
            is_taken(folder, finds, count))
            continue;
        struct dialer_find *find = &finds[count++];
        *find = (struct dialer_find){.dialer = &dialers[i], .folder = folder};
        char *path = mem_printf("%s%s", root, folder);
        look_into(path, find);
        dialers_look_at_rights(path, &find->readable, find->group);
        free(path);
    }
    return count;
}
