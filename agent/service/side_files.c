/*
 * The token file and the tables: looked at again when their folders change (a hint) and every few
 * seconds (the truth), and read once they have settled. A broken new table leaves the old one in
 * force.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/service/internal.h"

/* interface.md, "Tables": 1 s after close or lease; where neither can be seen, 10 s after the last
 * change. */
enum { SETTLE_MS = 1000, QUIET_MS = 10000, LOOK_MS = 5000, LOOK_SOON_MS = 100 };

struct side_file {
    char *path;
    int table; /* its index, -1: the token */
    bool there;
    struct file_identity looked;
    int64_t changed_ms; /* steady: when it last changed; 0: it is read */
    char *told;         /* the first thing said of the version being read */
};

struct folder_event {
    uv_fs_event_t handle;
    struct side_files *files;
    char *path;
};

struct side_files {
    struct service *service;
    struct side_file *items;
    size_t count;
    struct folder_event **events;
    size_t event_count;
    uv_timer_t timer;
    bool closing;
};

static void look_soon(struct side_files *files, uint64_t after_ms);

static void told(void *ctx, const char *text)
{
    struct side_file *file = ctx;
    if (file->told == NULL)
        file->told = mem_string(text);
    log_event(LOG_WARNING, "table", "path", file->path, "reason", text, NULL);
}

/* A new version that cannot be used. */
static void tell_refused(struct service *service, const struct side_file *file, int error)
{
    char *reason =
        mem_printf("this version cannot be used (%s); what was read before stays in force",
                   file->told != NULL ? file->told : strerror(-error));
    log_event(LOG_ERROR, "table", "path", file->path, "reason", reason, NULL);
    service_note_error(service, file->path, reason);
    free(reason);
}

static void load(struct side_files *files, struct side_file *file)
{
    struct service *service = files->service;
    file->changed_ms = 0;
    if (file->table < 0) {
        service_read_token(service);
        return;
    }
    mem_replace(&file->told, NULL);
    int error = table_set_load(service->tables, (size_t)file->table, told, file);
    if (error != 0) {
        tell_refused(service, file, error);
        return;
    }
    log_event(LOG_INFO, "table", "path", file->path, "reason", "read", NULL);
    service_redigest(service);
}

/* Whether nobody is writing it any more. */
static bool is_settled(const struct side_file *file)
{
    const char *slash = strrchr(file->path, '/');
    char *folder = mem_bytes_string(file->path, (size_t)(slash - file->path));
    struct watch_options options = {.path = folder[0] != '\0' ? folder : "/",
                                    .include = (const char *const[]){"*"},
                                    .include_count = 1,
                                    .settle_ms = SETTLE_MS,
                                    .quiet_ms = QUIET_MS,
                                    .open_quiet_ms = QUIET_MS};
    struct watch_finding finding;
    const char *waits_for;
    int result = watch_look_once(&options, slash + 1, &finding, &waits_for);
    free(folder);
    return result != 1;
}

/* Returns whether it has to be looked at again soon. */
static bool look_at(struct side_files *files, struct side_file *file)
{
    struct stat st;
    struct file_identity identity = {0};
    bool there = stat(file->path, &st) == 0;
    if (there)
        file_identity_of(&st, &identity);
    if (there != file->there || !file_identity_equal(&identity, &file->looked)) {
        file->there = there;
        file->looked = identity;
        file->changed_ms = when_steady_ms();
    }
    if (file->changed_ms == 0)
        return false;
    if (file->table < 0) {
        load(files, file); /* a token is one short line: half a one is refused and read again */
        return false;
    }
    if (!there) {
        log_trouble(LOG_ERROR, "table", "reason", "it is gone; what was read before stays in force",
                    "path", file->path, NULL);
        file->changed_ms = 0;
        return false;
    }
    if (!is_settled(file))
        return true;
    load(files, file);
    return false;
}

static void on_timer(uv_timer_t *timer)
{
    struct side_files *files = timer->data;
    bool soon = false;
    for (size_t i = 0; i < files->count; i++)
        soon = look_at(files, &files->items[i]) || soon;
    look_soon(files, soon ? LOOK_SOON_MS : LOOK_MS);
}

static void look_soon(struct side_files *files, uint64_t after_ms)
{
    if (!files->closing)
        uv_timer_start(&files->timer, on_timer, after_ms, 0);
}

static void on_folder_event(uv_fs_event_t *handle, const char *name, int events, int status)
{
    struct folder_event *event = handle->data;
    (void)name;
    (void)events;
    (void)status;
    if (uv_timer_get_due_in(&event->files->timer) > LOOK_SOON_MS)
        look_soon(event->files, LOOK_SOON_MS);
}

static void on_event_closed(uv_handle_t *handle)
{
    struct folder_event *event = handle->data;
    free(event->path);
    free(event);
}

static void listen_to(struct side_files *files, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = mem_bytes_string(path, slash == path ? 1 : (size_t)(slash - path));
    for (size_t i = 0; i < files->event_count; i++) {
        if (strcmp(files->events[i]->path, folder) == 0) {
            free(folder);
            return;
        }
    }
    struct folder_event *event = mem_zalloc(sizeof *event);
    event->files = files;
    event->path = folder;
    event->handle.data = event;
    uv_fs_event_init(&files->service->loop, &event->handle);
    /* without events the timer alone notices */
    uv_fs_event_start(&event->handle, on_folder_event, folder, 0);
    files->events =
        mem_resize(files->events, files->event_count + 1, sizeof(struct folder_event *));
    files->events[files->event_count++] = event;
}

static void drop_all(struct side_files *files)
{
    for (size_t i = 0; i < files->event_count; i++)
        uv_close((uv_handle_t *)&files->events[i]->handle, on_event_closed);
    for (size_t i = 0; i < files->count; i++) {
        free(files->items[i].path);
        free(files->items[i].told);
    }
    free(files->events);
    free(files->items);
    files->events = NULL;
    files->items = NULL;
    files->event_count = files->count = 0;
}

static void add(struct side_files *files, const char *path, int table)
{
    struct stat st;
    struct side_file *file = &files->items[files->count++];
    *file = (struct side_file){.path = mem_string(path), .table = table};
    /* as it stands at the start it is read at once (tables: by service.c) */
    file->there = stat(path, &st) == 0;
    if (file->there)
        file_identity_of(&st, &file->looked);
    listen_to(files, path);
}

void side_files_configure(struct side_files *files)
{
    const struct config *config = files->service->config;
    drop_all(files);
    files->items = mem_array(config->table_count + 1, sizeof *files->items);
    add(files, config->chorus.token_file, -1);
    for (size_t i = 0; i < config->table_count; i++) {
        struct side_file *file = &files->items[files->count];
        add(files, config->tables[i].path, (int)i);
        if (!file->there)
            continue;
        if (is_settled(file))
            table_set_load(files->service->tables, i, told, file);
        else
            file->changed_ms = when_steady_ms();
    }
    look_soon(files, LOOK_SOON_MS);
}

struct side_files *side_files_new(struct service *service)
{
    struct side_files *files = mem_zalloc(sizeof *files);
    files->service = service;
    uv_timer_init(&service->loop, &files->timer);
    files->timer.data = files;
    side_files_configure(files);
    return files;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void side_files_close(struct side_files *files)
{
    files->closing = true;
    drop_all(files);
    uv_close((uv_handle_t *)&files->timer, on_closed);
}
