#include "agent/commands/doctor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/commands/command.h"
#include "watcher/watcher.h"

enum {
    MOST_FOLDERS = 200000, /* counted in one tree */
    MOST_DEPTH = 64,
    MOST_NAMES = 5000, /* read to find a recording to ask a lease for */
    SKEW_S = 300,      /* Chorus compares times of day at most by the minute */
    LEAST_INODES = 1000,
};
static const uint64_t LEAST_BYTES = UINT64_C(256) << 20;

enum level { OK, ADVICE, FAULT };

__attribute__((format(printf, 2, 3))) static unsigned say(enum level level, const char *format, ...)
{
    static const char *const names[] = {"ok", "advice", "FAULT"};
    va_list args;
    va_start(args, format);
    printf("%-7s ", names[level]);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
    return level == FAULT;
}

/* The first line of a small file; "" where it cannot be read. */
static const char *first_line(const char *file, char *text, int size)
{
    FILE *stream = fopen(file, "re");
    text[0] = '\0';
    if (stream != NULL && fgets(text, size, stream) != NULL)
        text[strcspn(text, "\n")] = '\0';
    if (stream != NULL)
        fclose(stream);
    return text;
}

/* --- inotify --- */

/* Folders at and below `dir`, which is taken over; no link is followed. */
static void count_folders(int dir, int depth, uint64_t *count)
{
    DIR *stream = fdopendir(dir);
    if (stream == NULL) {
        close(dir);
        return;
    }
    ++*count;
    for (const struct dirent *entry; *count < MOST_FOLDERS && (entry = readdir(stream)) != NULL;) {
        if (entry->d_name[0] == '.' || (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN) ||
            depth >= MOST_DEPTH)
            continue;
        int fd = openat(dirfd(stream), entry->d_name,
                        O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0)
            count_folders(fd, depth + 1, count);
    }
    closedir(stream);
}

static unsigned look_at_inotify(const struct config *config)
{
    char text[32];
    uint64_t folders = 0;
    for (size_t i = 0; i < config->watch_count; i++) {
        const struct watch_config *watch = &config->watches[i];
        int fd = watch_network_of(watch->path) == NULL
                     ? open(watch->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                     : -1;
        if (fd >= 0 && watch->recursive) {
            count_folders(fd, 0, &folders);
        } else if (fd >= 0) {
            folders++;
            close(fd);
        }
    }
    uint64_t allowed =
        strtoull(first_line("/proc/sys/fs/inotify/max_user_watches", text, sizeof text), NULL, 10);
    if (allowed == 0)
        return say(ADVICE,
                   "inotify: its limit cannot be read; without events the folders are looked "
                   "at every `rescan`");
    if (folders > allowed / 2)
        return say(ADVICE,
                   "inotify: %" PRIu64 " folders are to be watched and %" PRIu64
                   " are allowed for each user: sysctl -w fs.inotify.max_user_watches=%" PRIu64
                   ", and the same in /etc/sysctl.d; without it they are looked at every `rescan`",
                   folders, allowed, 4 * folders);
    return say(OK, "inotify: %" PRIu64 " folder%s to watch, %" PRIu64 " allowed", folders,
               folders == 1 ? "" : "s", allowed);
}

/* --- folders --- */

/* A lease is asked for and given back at once. 0 or errno. */
static int try_lease(int fd)
{
    signal(SIGIO, SIG_IGN); /* sent to its holder when a writer comes */
    if (fcntl(fd, F_SETLEASE, F_RDLCK) != 0)
        return errno;
    fcntl(fd, F_SETLEASE, F_UNLCK);
    return 0;
}

/* A file in the folder or below it, opened to read; -1: none was met, or none may be read. */
static int open_some_file(int dir, int depth, int *names)
{
    int found = -1;
    DIR *stream = fdopendir(dir);
    if (stream == NULL) {
        close(dir);
        return -1;
    }
    for (const struct dirent *entry; found < 0 && (entry = readdir(stream)) != NULL;) {
        if (entry->d_name[0] == '.' || ++*names > MOST_NAMES)
            continue;
        struct stat st;
        if (fstatat(dirfd(stream), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
        if (S_ISREG(st.st_mode))
            found = openat(dirfd(stream), entry->d_name, flags);
        else if (S_ISDIR(st.st_mode) && depth < MOST_DEPTH) {
            int below = openat(dirfd(stream), entry->d_name, flags | O_DIRECTORY);
            found = below >= 0 ? open_some_file(below, depth + 1, names) : -1;
        }
    }
    closedir(stream);
    return found;
}

static unsigned look_at_lease(const struct watch_config *watch)
{
    char quiet[WHEN_TEXT];
    int names = 0;
    int dir = open(watch->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = dir >= 0 ? open_some_file(dir, 0, &names) : -1;
    if (fd < 0)
        return 0;
    int error = try_lease(fd);
    close(fd);
    when_duration(watch->quiet_ms, quiet);
    if (error == 0 || error == EAGAIN)
        return say(OK, "watch %s: a lease tells whether a recording is still being written",
                   watch->name);
    return say(
        ADVICE,
        "watch %s: no lease (%s): the recordings are another user's. The unit's CAP_LEASE gives "
        "it to the service, which this command has not; without it they are taken after "
        "`quiet` (%s)",
        watch->name, strerror(error), quiet);
}

static unsigned look_at_room(const char *what, const char *path, const char *consequence)
{
    struct statvfs fs;
    char free_text[COMMAND_SIZE_TEXT];
    if (statvfs(path, &fs) != 0)
        return 0;
    uint64_t bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    command_size_text(bytes, free_text);
    if (bytes < LEAST_BYTES)
        return say(ADVICE, "%s: %s free at %s: make room; %s", what, free_text, path, consequence);
    if (fs.f_files > 0 && fs.f_favail < LEAST_INODES)
        return say(ADVICE, "%s: %ju inodes free at %s: remove small files; %s", what,
                   (uintmax_t)fs.f_favail, path, consequence);
    return say(OK, "%s: %s free at %s", what, free_text, path);
}

static unsigned look_at_watch(const struct watch_config *watch)
{
    char quiet[WHEN_TEXT], rescan[WHEN_TEXT];
    struct stat st;
    unsigned faults = 0;
    if (stat(watch->path, &st) != 0)
        return 0; /* check has told it */
    const char *network = watch_network_of(watch->path);
    when_duration(watch->quiet_ms, quiet);
    when_duration(watch->rescan_ms, rescan);
    if (network != NULL)
        faults +=
            say(ADVICE,
                "watch %s: %s: what other machines write there makes no events; it is looked at "
                "every `rescan` (%s), and a recording is taken after `quiet` (%s)",
                watch->name, network, rescan, quiet);
    else
        faults += look_at_lease(watch);
    char *what = mem_printf("watch %s", watch->name);
    faults += look_at_room(what, watch->path, "when it is full, the dialer stops recording");
    free(what);
    return faults;
}

/* --- the way to Chorus --- */

static char *host_of(const char *url)
{
    const char *at = strstr(url, "://");
    at = at != NULL ? at + 3 : url;
    const char *user = strchr(at, '@'), *slash = strchr(at, '/');
    if (user != NULL && (slash == NULL || user < slash))
        at = user + 1;
    if (*at == '[')
        return mem_bytes_string(at + 1, strcspn(at + 1, "]"));
    return mem_bytes_string(at, strcspn(at, ":/"));
}

/* What libcurl would use; the first that is set. */
static const char *proxy_of(const struct config *config)
{
    static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
    if (config->chorus.proxy[0] != '\0')
        return config->chorus.proxy;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && value[0] != '\0')
            return value;
    }
    return NULL;
}

static unsigned look_at_name(const char *what, const char *host)
{
    struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_STREAM};
    int64_t began_ms = when_steady_ms();
    int error = getaddrinfo(host, "443", &hints, &found);
    int64_t took_ms = when_steady_ms() - began_ms;
    if (error != 0)
        return say(FAULT, "DNS: %s %s is not found: %s; look at /etc/resolv.conf", what, host,
                   gai_strerror(error));
    freeaddrinfo(found);
    if (took_ms > 2000)
        return say(ADVICE, "DNS: %s %s took %" PRId64 " ms: is the first name server dead?", what,
                   host, took_ms);
    return say(OK, "DNS: %s %s is found", what, host);
}

static unsigned look_at_way(const struct config *config)
{
    const char *proxy = proxy_of(config);
    char *host = host_of(proxy != NULL ? proxy : config->chorus.url);
    unsigned faults = 0;
    if (proxy != NULL)
        faults += say(OK, "proxy: %s (%s)", host,
                      config->chorus.proxy[0] != '\0' ? "chorus.proxy" : "the environment's");
    faults += look_at_name(proxy != NULL ? "proxy" : "host", host);
    free(host);
    return faults;
}

unsigned doctor_look_at_tls(const struct config *config)
{
    if (strncmp(config->chorus.url, "https:", 6) != 0)
        return 0;
    char *host = host_of(config->chorus.url);
    bool own = config->chorus.ca_file[0] != '\0';
    unsigned faults =
        say(OK, "TLS: the certificate of %s is proven by the system's authorities%s%s", host,
            own ? " or those of " : "", own ? config->chorus.ca_file : "");
    free(host);
    return faults;
}

unsigned doctor_look_at_clock(const char *date, int64_t asked_ms)
{
    struct tm tm = {0};
    char by[WHEN_TEXT];
    if (date[0] == '\0' || strptime(date, "%a, %d %b %Y %H:%M:%S GMT", &tm) == NULL)
        return say(ADVICE, "clock: the answer bears no Date to compare with");
    int64_t ahead_s = asked_ms / 1000 - (int64_t)timegm(&tm);
    when_about(1000 * (ahead_s < 0 ? -ahead_s : ahead_s), by);
    if (ahead_s > SKEW_S || ahead_s < -SKEW_S)
        return say(
            ADVICE,
            "clock: this machine is %s %s Chorus: let it follow a time server; look-ups by time "
            "and TLS depend on it",
            by, ahead_s > 0 ? "ahead of" : "behind");
    return say(OK, "clock: as that of Chorus");
}

/* --- the ledger, and what systemd allows --- */

static unsigned look_at_ledger(const struct config *config)
{
    struct ledger *ledger;
    char *why = NULL;
    int code = command_open_ledger(config, &ledger);
    if (code == 1)
        return say(OK, "ledger: there is none yet in %s", config->state_dir);
    if (code != 0)
        return say(FAULT,
                   "ledger: it cannot be read; a start moves a broken one aside and builds it "
                   "anew");
    bool sound = ledger_is_sound(ledger, &why);
    ledger_close(ledger);
    unsigned faults =
        sound ? say(OK, "ledger: every page of it is sound")
              : say(FAULT, "ledger: %s; have the disk checked; a start moves a broken ledger aside",
                    why);
    free(why);
    return faults;
}

/* "max" or a number of bytes. */
static unsigned look_at_systemd(void)
{
    static const char group[] = "/sys/fs/cgroup/system.slice/chorus-agent.service";
    char most[32], used[32], tasks[32], killed[64];
    if (access("/run/systemd/system", F_OK) != 0)
        return say(ADVICE, "systemd: it does not run here: something else has to start the service "
                           "anew");
    char *file = mem_printf("%s/memory.max", group);
    first_line(file, most, sizeof most);
    mem_replace(&file, mem_printf("%s/memory.current", group));
    first_line(file, used, sizeof used);
    mem_replace(&file, mem_printf("%s/pids.max", group));
    first_line(file, tasks, sizeof tasks);
    mem_replace(&file, mem_printf("%s/memory.events", group));
    FILE *events = fopen(file, "re");
    unsigned long kills = 0;
    while (events != NULL && fgets(killed, sizeof killed, events) != NULL)
        sscanf(killed, "oom_kill %lu", &kills);
    if (events != NULL)
        fclose(events);
    free(file);
    if (access(group, F_OK) != 0)
        return say(ADVICE,
                   "systemd: chorus-agent.service does not run: systemctl status chorus-agent");
    if (kills > 0)
        return say(ADVICE,
                   "systemd: its memory limit (%s) has ended it %lu times: systemctl edit "
                   "chorus-agent, MemoryMax=",
                   most, kills);
    if (most[0] == '\0')
        return say(
            OK, "systemd: chorus-agent.service runs; this kernel does not tell its limits there");
    return say(OK, "systemd: memory %s of %s bytes, at most %s tasks", used, most, tasks);
}

unsigned doctor_look(const struct config *config)
{
    unsigned faults = look_at_inotify(config);
    for (size_t i = 0; i < config->watch_count; i++)
        faults += look_at_watch(&config->watches[i]);
    faults +=
        look_at_room("state_dir", config->state_dir, "without room for the ledger nothing is sent");
    faults += look_at_ledger(config);
    faults += look_at_systemd();
    return faults + look_at_way(config);
}
