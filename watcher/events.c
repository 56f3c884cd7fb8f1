#include "watcher/events.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>
#include <uv.h>

enum {
    BUCKETS = 4096,
    /* Events kept for directories that the loop does not know yet: what happens in a tree while it
     * is being entered. More, and it is told as an overflow. */
    EARLY_MOST = 4096,
    /* Reads in a row before others on the loop get their turn. */
    READS = 16,
};

/* No IN_MODIFY: a busy dialer's writes would be a storm, and prove nothing. */
#define MASK                                                                                       \
    (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_MOVE_SELF |         \
     IN_ONLYDIR | IN_EXCL_UNLINK)

struct folder {
    int wd;
    struct folder *next;
    char path[];
};

struct early {
    struct early *next;
    int wd;
    uint32_t mask;
    char name[];
};

struct events {
    uv_poll_t poll;
    int fd;
    struct events_callbacks callbacks;
    void *ctx;
    bool closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
    struct folder *buckets[BUCKETS];
    size_t folders;
    struct early *early, **early_end;
    size_t early_count;
    uint64_t count, drop_after;
};

static struct folder **find(struct events *events, int wd)
{
    struct folder **link = &events->buckets[(unsigned)wd % BUCKETS];
    while (*link && (*link)->wd != wd) {
        link = &(*link)->next;
    }
    return link;
}

static void drop(struct events *events, struct folder **link)
{
    struct folder *folder = *link;
    *link = folder->next;
    free(folder);
    events->folders--;
}

static void drop_early(struct events *events, int wd, bool all)
{
    for (struct early **link = &events->early; *link;) {
        struct early *early = *link;
        if (all || early->wd == wd) {
            *link = early->next;
            free(early);
            events->early_count--;
        } else {
            link = &early->next;
        }
    }
    events->early_end = &events->early;
    while (*events->early_end) {
        events->early_end = &(*events->early_end)->next;
    }
}

/* False when there are too many to remember. */
static bool note_early(struct events *events, const struct inotify_event *event)
{
    size_t n = strlen(event->name) + 1;
    struct early *early = events->early_count < EARLY_MOST ? malloc(sizeof *early + n) : NULL;
    if (!early) {
        drop_early(events, 0, true);
        return false;
    }
    early->wd = event->wd;
    early->mask = event->mask;
    early->next = NULL;
    memcpy(early->name, event->name, n);
    *events->early_end = early;
    events->early_end = &early->next;
    events->early_count++;
    return true;
}

/* The first one of this wd, out of the list; the caller frees. */
static struct early *take_early(struct events *events, int wd)
{
    for (struct early **link = &events->early; *link; link = &(*link)->next) {
        struct early *early = *link;
        if (early->wd == wd) {
            *link = early->next;
            if (!early->next) {
                events->early_end = link;
            }
            events->early_count--;
            return early;
        }
    }
    return NULL;
}

static void lose(struct events *events, int wd)
{
    struct folder **link = find(events, wd);
    if (!*link) {
        drop_early(events, wd, false);
        return;
    }
    struct folder *folder = *link; /* out of the map first: the callback may close or learn */
    *link = folder->next;
    events->folders--;
    events->callbacks.lost(events->ctx, folder->path);
    free(folder);
}

/* The path outlives what the callback does to the map. */
static void tell(struct events *events, const struct folder *folder,
                 const struct inotify_event *event)
{
    char *path = strdup(folder->path);
    if (path) {
        events->callbacks.event(events->ctx, path, event->name, event->mask);
        free(path);
    } else {
        events->callbacks.overflow(events->ctx);
    }
}

static void handle(struct events *events, const struct inotify_event *event)
{
    struct folder *folder = event->wd >= 0 ? *find(events, event->wd) : NULL;
    if (event->mask & IN_Q_OVERFLOW) {
        events->callbacks.overflow(events->ctx);
    } else if (event->mask & (IN_IGNORED | IN_UNMOUNT)) {
        lose(events, event->wd);
    } else if (!folder) {
        if (event->len > 0 && !note_early(events, event)) {
            events->callbacks.overflow(events->ctx);
        }
    } else if (event->mask & IN_MOVE_SELF) {
        if (folder->path[0] == '\0') { /* others are named by their parent */
            events->callbacks.lost(events->ctx, "");
        }
    } else if (event->len > 0) {
        tell(events, folder, event);
    }
}

/* One read: true when there may be more. */
static bool read_some(struct events *events)
{
    _Alignas(struct inotify_event) char buffer[32768];
    bool dropped = false;
    ssize_t n = read(events->fd, buffer, sizeof buffer);
    if (n <= 0) {
        return n < 0 && errno == EINTR;
    }
    for (char *p = buffer; p < buffer + n && !events->closing;) {
        const struct inotify_event *event = (const void *)p;
        p += sizeof *event + event->len;
        events->count++;
        if (events->drop_after && events->count > events->drop_after) {
            dropped = true;
        } else {
            handle(events, event);
        }
    }
    if (dropped && !events->closing) {
        events->callbacks.overflow(events->ctx);
    }
    return !events->closing;
}

static void on_readable(uv_poll_t *poll, int status, int mask)
{
    struct events *events = poll->data;
    (void)status;
    (void)mask;
    for (int i = 0; i < READS && read_some(events); i++) {
    }
}

int events_open(struct uv_loop_s *loop, uint64_t drop_after,
                const struct events_callbacks *callbacks, void *ctx, struct events **out)
{
    struct events *events = calloc(1, sizeof *events);
    if (!events) {
        return -ENOMEM;
    }
    events->callbacks = *callbacks;
    events->ctx = ctx;
    events->drop_after = drop_after;
    events->early_end = &events->early;
    events->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    int error = events->fd < 0 ? -errno : uv_poll_init(loop, &events->poll, events->fd);
    if (error) {
        if (events->fd >= 0) {
            close(events->fd);
        }
        free(events);
        return error;
    }
    events->poll.data = events;
    uv_poll_start(&events->poll, UV_READABLE, on_readable);
    *out = events;
    return 0;
}

int events_copy(const struct events *events)
{
    int fd = fcntl(events->fd, F_DUPFD_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

int events_watch(int inotify, int directory)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", directory);
    int wd = inotify_add_watch(inotify, path, MASK);
    return wd < 0 ? -errno : wd;
}

static void replay(struct events *events, int wd, const char *path)
{
    for (struct early *early; !events->closing && (early = take_early(events, wd));) {
        events->callbacks.event(events->ctx, path, early->name, early->mask);
        free(early);
    }
}

int events_learn(struct events *events, int wd, const char *path)
{
    struct folder **link = find(events, wd);
    if (*link && strcmp((*link)->path, path) == 0) {
        return 0;
    }
    size_t n = strlen(path) + 1;
    struct folder *folder = malloc(sizeof *folder + n);
    if (!folder) {
        return -ENOMEM;
    }
    if (*link) {
        drop(events, link);
    }
    folder->wd = wd;
    memcpy(folder->path, path, n);
    folder->next = events->buckets[(unsigned)wd % BUCKETS];
    events->buckets[(unsigned)wd % BUCKETS] = folder;
    events->folders++;
    replay(events, wd, path);
    return 0;
}

static bool lies_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return n == 0 || (strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0'));
}

void events_forget(struct events *events, const char *path)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct folder **link = &events->buckets[i]; *link;) {
            if (lies_below((*link)->path, path)) {
                inotify_rm_watch(events->fd, (*link)->wd);
                drop(events, link);
            } else {
                link = &(*link)->next;
            }
        }
    }
}

size_t events_folders(const struct events *events)
{
    return events->folders;
}

uint64_t events_count(const struct events *events)
{
    return events->count;
}

static void on_closed(uv_handle_t *handle)
{
    struct events *events = handle->data;
    close(events->fd);
    if (events->closed) {
        events->closed(events->closed_ctx);
    }
    free(events);
}

void events_close(struct events *events, void (*closed)(void *ctx), void *ctx)
{
    events->closing = true;
    events->closed = closed;
    events->closed_ctx = ctx;
    uv_poll_stop(&events->poll);
    drop_early(events, 0, true);
    for (size_t i = 0; i < BUCKETS; i++) {
        while (events->buckets[i]) {
            drop(events, &events->buckets[i]);
        }
    }
    uv_close((uv_handle_t *)&events->poll, on_closed);
}
