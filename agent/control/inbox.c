#include "agent/control/inbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <uv.h>

#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/control/control_dir.h"
#include "agent/control/control_file.h"
#include "watcher/watcher.h"

/* interface.md: settled as a table is. A full look costs one folder without its subfolders. */
enum { SETTLE_MS = 1000, QUIET_MS = 10000, RESCAN_MS = 5000 };

/* A file that is waiting to be read, or was handed over and still stands there. */
struct entry {
    struct entry *next;
    struct file_identity identity;
    unsigned mode;
    bool is_odd;  /* no regular file: found by our own look */
    bool waiting; /* to be read or handed over */
    bool met;     /* by the present scan or look */
    char name[];
};

enum job_kind { JOB_LOOK, JOB_READ };

/* The one job on the pool, which owns it meanwhile. */
struct job {
    uv_work_t request;
    struct inbox *inbox;
    enum job_kind kind;
    char *group;
    /* JOB_READ */
    struct control_file *file;
    enum control_file_result result;
    /* JOB_LOOK: what is no regular file, and what is wrong with the folder (NULL: nothing) */
    struct entry *odd;
    char *problem;
};

struct inbox {
    uv_loop_t *loop;
    char *control_dir, *control_group;
    struct inbox_hooks hooks;
    struct watch *watch;
    struct entry *entries;
    bool busy;    /* the job is on the pool */
    unsigned out; /* files that the receiver has */
    bool look_wanted, online;
    char *reason; /* as last told; NULL: not yet */
    bool closing, watch_closed, pumping;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static void pump(struct inbox *inbox);

/* ---- entries ---- */

static struct entry *entry_new(const char *name, const struct file_identity *identity)
{
    size_t n = strlen(name) + 1;
    struct entry *entry = mem_zalloc(sizeof *entry + n);
    memcpy(entry->name, name, n);
    entry->identity = *identity;
    return entry;
}

static struct entry *find(const struct inbox *inbox, const char *name)
{
    struct entry *entry = inbox->entries;
    while (entry != NULL && strcmp(entry->name, name) != 0)
        entry = entry->next;
    return entry;
}

static void drop(struct inbox *inbox, const char *name)
{
    for (struct entry **link = &inbox->entries; *link != NULL; link = &(*link)->next) {
        struct entry *entry = *link;
        if (strcmp(entry->name, name) != 0)
            continue;
        *link = entry->next;
        free(entry);
        return;
    }
}

/* At the end of the queue: in the order in which they came. */
static void append(struct inbox *inbox, struct entry *entry)
{
    struct entry **link = &inbox->entries;
    while (*link != NULL)
        link = &(*link)->next;
    entry->next = NULL;
    *link = entry;
}

/* Forgets what the last complete scan or look did not meet. */
static void sweep(struct inbox *inbox, bool odd)
{
    for (struct entry **link = &inbox->entries; *link != NULL;) {
        struct entry *entry = *link;
        if (entry->is_odd == odd && !entry->met && !entry->waiting) {
            *link = entry->next;
            free(entry);
            continue;
        }
        if (entry->is_odd == odd)
            entry->met = false;
        link = &entry->next;
    }
}

static bool is_request_name(const char *name)
{
    size_t n = strlen(name);
    return name[0] != '.' && n > 7 && strcmp(name + n - 7, ".delete") == 0;
}

/* ---- the state of the folder ---- */

static void tell_state(struct inbox *inbox, bool usable, const char *reason)
{
    if (inbox->reason != NULL && strcmp(inbox->reason, reason) == 0)
        return;
    mem_replace(&inbox->reason, mem_string(reason));
    inbox->hooks.state(inbox->hooks.ctx, usable, reason);
}

/* ---- the job: on the pool ---- */

static void look(struct job *job)
{
    const char *folder = job->inbox->control_dir;
    bool missing;
    struct dirent *found;
    DIR *dir = opendir(folder);
    free(control_dir_make(folder, job->group, geteuid(), getegid()));
    job->problem = control_dir_judge(folder, job->group, &missing);
    while (dir != NULL && (found = readdir(dir)) != NULL) {
        struct stat st;
        struct file_identity identity;
        if (!is_request_name(found->d_name) || found->d_type == DT_REG ||
            fstatat(dirfd(dir), found->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            S_ISREG(st.st_mode))
            continue;
        file_identity_of(&st, &identity);
        struct entry *entry = entry_new(found->d_name, &identity);
        entry->mode = st.st_mode;
        entry->next = job->odd;
        job->odd = entry;
    }
    if (dir != NULL)
        closedir(dir);
}

static void work(uv_work_t *request)
{
    struct job *job = request->data;
    if (job->kind == JOB_LOOK)
        look(job);
    else
        job->result = control_file_read(job->inbox->control_dir, job->group, job->file);
}

/* ---- and back on the loop ---- */

/* Whether it stands there still: what was moved away meanwhile was dealt with. */
static bool still_stands(const struct inbox *inbox, const struct control_file *file)
{
    struct stat st;
    struct file_identity there;
    char *path = mem_printf("%s/%s", inbox->control_dir, file->name);
    bool is = lstat(path, &st) == 0;
    free(path);
    if (!is)
        return false;
    file_identity_of(&st, &there);
    return file_identity_equal(&there, &file->identity);
}

static void hand_over(struct inbox *inbox, struct control_file *file)
{
    inbox->out++;
    inbox->hooks.take(inbox->hooks.ctx, file);
}

static void discard(struct control_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    request_facts_clear(&file->facts);
    free(file->refusal);
    free(file->name);
    free(file);
}

static void after_read(struct inbox *inbox, struct job *job)
{
    struct control_file *file = job->file;
    struct entry *entry = find(inbox, file->name);
    bool same = entry != NULL && file_identity_equal(&entry->identity, &file->identity);
    if (inbox->closing || !same) {
        discard(file);
        return;
    }
    entry->waiting = false;
    if (job->result == CONTROL_FILE_READ && still_stands(inbox, file)) {
        watch_release(inbox->watch, file->name);
        hand_over(inbox, file);
        return;
    }
    drop(inbox, file->name);
    watch_release(inbox->watch, file->name);
    if (job->result != CONTROL_FILE_GONE)
        watch_look_again(inbox->watch, file->name);
    discard(file);
}

/* What was met before is known; what is new waits to be handed over. */
static void merge_odd(struct inbox *inbox, struct entry *found)
{
    for (struct entry *next; found != NULL; found = next) {
        next = found->next;
        struct entry *entry = find(inbox, found->name);
        if (entry != NULL && file_identity_equal(&entry->identity, &found->identity)) {
            entry->met = true;
            free(found);
            continue;
        }
        if (entry != NULL)
            drop(inbox, found->name);
        found->is_odd = found->waiting = found->met = true;
        append(inbox, found);
    }
    sweep(inbox, true);
}

static void after_look(struct inbox *inbox, struct job *job)
{
    merge_odd(inbox, job->odd);
    if (!inbox->closing && inbox->online)
        tell_state(inbox, job->problem == NULL, job->problem != NULL ? job->problem : "");
}

static void close_if_over(struct inbox *inbox);

static void worked(uv_work_t *request, int status)
{
    struct job *job = request->data;
    struct inbox *inbox = job->inbox;
    (void)status;
    inbox->busy = false;
    if (job->kind == JOB_LOOK)
        after_look(inbox, job);
    else
        after_read(inbox, job);
    free(job->problem);
    free(job->group);
    free(job);
    pump(inbox);
    close_if_over(inbox);
}

static void start(struct inbox *inbox, enum job_kind kind, struct control_file *file)
{
    struct job *job = mem_zalloc(sizeof *job);
    job->request.data = job;
    job->inbox = inbox;
    job->kind = kind;
    job->group = mem_string(inbox->control_group);
    job->file = file;
    inbox->busy = true;
    if (uv_queue_work(inbox->loop, &job->request, work, worked) != 0)
        abort(); /* only a missing function is refused */
}

static struct control_file *file_of(struct inbox *inbox, const struct entry *entry)
{
    struct control_file *file = mem_zalloc(sizeof *file);
    file->name = mem_string(entry->name);
    file->identity = entry->identity;
    file->fd = -1;
    file->inbox = inbox;
    return file;
}

/* One job, and one file with the receiver, at a time. Returns whether there may be more to do. */
static bool begin_next(struct inbox *inbox)
{
    struct entry *entry = inbox->entries;
    while (entry != NULL && !entry->waiting)
        entry = entry->next;
    if (inbox->closing || inbox->busy)
        return false;
    if (inbox->look_wanted) {
        inbox->look_wanted = false;
        start(inbox, JOB_LOOK, NULL);
        return false;
    }
    if (entry == NULL || inbox->out > 0)
        return false;
    struct control_file *file = file_of(inbox, entry);
    if (!entry->is_odd) {
        start(inbox, JOB_READ, file);
        return false;
    }
    entry->waiting = false;
    control_file_refuse_kind(file, entry->mode);
    hand_over(inbox, file);
    return true;
}

/* The receiver may free a file at once, and so come back here. */
static void pump(struct inbox *inbox)
{
    if (inbox->pumping)
        return;
    inbox->pumping = true;
    while (begin_next(inbox))
        ;
    inbox->pumping = false;
}

void control_file_free(struct control_file *file)
{
    struct inbox *inbox = file->inbox;
    discard(file);
    if (inbox == NULL)
        return;
    inbox->out--;
    pump(inbox);
    close_if_over(inbox);
}

/* ---- what the watch says ---- */

static void on_judge(void *ctx, struct watch_entry *entries, size_t count)
{
    struct inbox *inbox = ctx;
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = find(inbox, entries[i].path);
        entries[i].known = !is_request_name(entries[i].path);
        if (entry == NULL)
            continue;
        entry->met = true;
        entries[i].known = file_identity_equal(&entry->identity, &entries[i].identity);
    }
}

static void on_finished(void *ctx, const struct watch_finding *finding)
{
    struct inbox *inbox = ctx;
    struct entry *entry = find(inbox, finding->path);
    bool known = entry != NULL && file_identity_equal(&entry->identity, &finding->identity);
    if (known || !is_request_name(finding->path)) {
        if (!known || !entry->waiting)
            watch_release(inbox->watch, finding->path);
        return;
    }
    if (entry != NULL)
        drop(inbox, finding->path);
    entry = entry_new(finding->path, &finding->identity);
    entry->waiting = entry->met = true;
    append(inbox, entry);
    pump(inbox);
}

static void on_fingerprinted(void *ctx, const struct watch_fingerprint *fingerprint)
{
    (void)ctx;
    (void)fingerprint;
}

/* A hint only: the next scan forgets it. */
static void on_gone(void *ctx, const char *path)
{
    (void)ctx;
    (void)path;
}

static void on_scanned(void *ctx, const struct watch_scan *scan)
{
    struct inbox *inbox = ctx;
    if (scan->complete)
        sweep(inbox, false);
    inbox->look_wanted = true;
    pump(inbox);
}

static void on_first_scan_judged(void *ctx)
{
    (void)ctx;
}

static void on_state_changed(void *ctx, const struct watch_state *state)
{
    struct inbox *inbox = ctx;
    inbox->online = state->online;
    if (!state->online)
        tell_state(inbox, false, state->reason);
    inbox->look_wanted = true; /* which makes what is missing */
    pump(inbox);
}

/* ---- life ---- */

struct inbox *inbox_new(struct uv_loop_s *loop, const char *control_dir, const char *control_group,
                        const struct inbox_hooks *hooks)
{
    static const char *const include[] = {"*.delete"};
    static const struct watch_callbacks callbacks = {
        .judge = on_judge,
        .finished = on_finished,
        .fingerprinted = on_fingerprinted,
        .gone = on_gone,
        .scanned = on_scanned,
        .first_scan_judged = on_first_scan_judged,
        .state_changed = on_state_changed,
    };
    const struct watch_options options = {.path = control_dir,
                                          .include = include,
                                          .include_count = 1,
                                          .settle_ms = SETTLE_MS,
                                          .quiet_ms = QUIET_MS,
                                          .open_quiet_ms = QUIET_MS,
                                          .rescan_ms = RESCAN_MS,
                                          .events = true};
    struct inbox *inbox = mem_zalloc(sizeof *inbox);
    inbox->loop = loop;
    inbox->control_dir = mem_string(control_dir);
    inbox->control_group = mem_string(control_group);
    inbox->hooks = *hooks;
    if (watch_new(loop, &options, &callbacks, inbox, &inbox->watch) != 0 ||
        watch_start(inbox->watch) != 0)
        mem_exhausted();
    return inbox;
}

void inbox_configure(struct inbox *inbox, const char *control_group)
{
    mem_replace(&inbox->control_group, mem_string(control_group));
    inbox->look_wanted = true;
    pump(inbox);
}

static void close_if_over(struct inbox *inbox)
{
    if (!inbox->closing || !inbox->watch_closed || inbox->busy)
        return;
    if (inbox->closed != NULL)
        inbox->closed(inbox->closed_ctx);
    inbox->closed = NULL;
    if (inbox->out > 0)
        return;
    for (struct entry *entry = inbox->entries, *next; entry != NULL; entry = next) {
        next = entry->next;
        free(entry);
    }
    free(inbox->control_dir);
    free(inbox->control_group);
    free(inbox->reason);
    free(inbox);
}

static void on_watch_closed(void *ctx)
{
    struct inbox *inbox = ctx;
    inbox->watch_closed = true;
    close_if_over(inbox);
}

void inbox_close(struct inbox *inbox, void (*closed)(void *ctx), void *ctx)
{
    inbox->closing = true;
    inbox->closed = closed;
    inbox->closed_ctx = ctx;
    watch_close(inbox->watch, on_watch_closed, inbox);
}
