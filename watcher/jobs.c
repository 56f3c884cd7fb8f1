/* What runs on the pool, and how its results come back. Each job opens the watched folder anew and
 * compares it with the one that is known: no descriptor keeps a mount busy, and a folder that was
 * replaced is found out at once. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "watcher/beneath.h"
#include "watcher/work.h"

/* File systems on which others write without an event here; magic numbers of statfs(2). */
static const struct {
    uint32_t magic;
    const char *name;
} networks[] = {
    {0x6969, "NFS"},          {0xFF534D42, "SMB"},   {0xFE534D42, "SMB"},    {0x517B, "SMB"},
    {0x65735546, "FUSE"},     {0x01021997, "9P"},    {0x00C36400, "Ceph"},   {0x0BD00BD0, "Lustre"},
    {0x5346414F, "AFS"},      {0x6B414653, "AFS"},   {0x73757245, "Coda"},   {0x47504653, "GPFS"},
    {0x01161970, "GFS2"},     {0x7461636F, "OCFS2"}, {0x19830326, "BeeGFS"}, {0x786F4256, "vboxsf"},
    {0x20030528, "OrangeFS"},
};

static const char *network_of(const struct statfs *fs)
{
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        if ((uint32_t)fs->f_type == networks[i].magic) {
            return networks[i].name;
        }
    }
    return NULL;
}

const char *watch_network_of(const char *path)
{
    struct statfs fs;
    return statfs(path, &fs) == 0 ? network_of(&fs) : NULL;
}

static bool is_bare(int fd)
{
    bool bare = true;
    int copy = beneath_open(fd, "", O_DIRECTORY);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    if (!dir) {
        if (copy >= 0) {
            close(copy);
        }
        return false;
    }
    const struct dirent *entry;
    while (bare && (entry = readdir(dir))) {
        bare = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    }
    closedir(dir);
    return bare;
}

int job_open_root(const char *path, struct root *root)
{
    struct stat st;
    struct statfs fs;
    int fd = beneath_root(path);
    if (fd < 0) {
        return fd;
    }
    int error = fstat(fd, &st) != 0 || fstatfs(fd, &fs) != 0 ? -errno : 0;
    if (!error && faccessat(fd, ".", X_OK, AT_EACCESS) != 0) {
        error = -errno;
    }
    if (error) {
        close(fd);
        return error;
    }
    root->dev = (uint64_t)st.st_dev;
    root->ino = (uint64_t)st.st_ino;
    root->network = network_of(&fs);
    root->bare = is_bare(fd);
    return fd;
}

/* The known folder, opened, or negative errno. */
static int open_known(const struct job *job)
{
    struct stat st;
    int fd = beneath_root(job->options->options.path);
    if (fd < 0) {
        return fd;
    }
    int error = fstat(fd, &st) != 0 ? -errno : 0;
    if (!error && ((uint64_t)st.st_dev != job->root.dev || (uint64_t)st.st_ino != job->root.ino)) {
        error = -ESTALE;
    }
    if (error) {
        close(fd);
        return error;
    }
    return fd;
}

/* Length of the folder in a path. */
static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

/* One folder is looked through once a batch. */
static void check_folder(int root, struct job *job, struct probe_item *item, char *folder,
                         unsigned *signs)
{
    size_t n = folder_length(item->path);
    if (*signs == UINT32_MAX || strlen(folder) != n || strncmp(folder, item->path, n) != 0) {
        if (n >= PATH_MAX) {
            return;
        }
        memcpy(folder, item->path, n);
        folder[n] = '\0';
        int64_t believed_ms = job->options->limits.open_quiet_ms;
        int64_t since_ns =
            believed_ms > job->wall_ns / MS_NS ? 0 : job->wall_ns - believed_ms * MS_NS;
        *signs = probe_signs(root, folder, since_ns);
    }
    item->signs = *signs != 0;
    for (int sign = NAMES_SIGN_ZOOM; sign <= NAMES_SIGN_TMP; sign++) {
        if ((*signs & 1u << sign) &&
            names_sign_holds((enum names_sign)sign, n == 0, names_base(item->path))) {
            item->probe.sample.folder_open = true;
        }
    }
}

static void probe_all(int root, struct job *job)
{
    char folder[PATH_MAX] = "";
    unsigned signs = UINT32_MAX; /* none looked through yet */
    for (size_t i = 0; i < job->item_count; i++) {
        struct probe_item *item = &job->items[i];
        item->at = watch_now(); /* before the look: what comes after it is no part of it */
        probe_look(root, item->path, &item->probe);
        turn_moved(&job->turn);
        if (item->probe.error == 0 && item->check_folder) {
            check_folder(root, job, item, folder, &signs);
        }
    }
}

static void fingerprint_all(int root, struct job *job)
{
    for (size_t i = 0; i < job->fingerprint_count; i++) {
        fingerprint_run(job->fingerprints[i], root, job->buffer, &job->turn);
    }
}

void job_throw_away_scan(struct watch *w, struct scan *scan)
{
    if (scan && scan->dir) {
        scan->next = w->litter.scans;
        w->litter.scans = scan;
    } else {
        scan_free(scan);
    }
}

void job_throw_away_fingerprint(struct watch *w, struct fingerprint *f)
{
    if (f && f->fd >= 0) {
        f->next = w->litter.fingerprints;
        w->litter.fingerprints = f;
    } else {
        fingerprint_free(f);
    }
}

static void clear(struct litter *litter)
{
    for (struct scan *scan; (scan = litter->scans);) {
        litter->scans = scan->next;
        scan_free(scan);
    }
    for (struct fingerprint *f; (f = litter->fingerprints);) {
        litter->fingerprints = f->next;
        fingerprint_free(f);
    }
}

/* What a job that was never begun has not cleared. */
static void take_litter_back(struct watch *w, struct litter *litter)
{
    for (struct scan *scan; (scan = litter->scans);) {
        litter->scans = scan->next;
        job_throw_away_scan(w, scan);
    }
    for (struct fingerprint *f; (f = litter->fingerprints);) {
        litter->fingerprints = f->next;
        job_throw_away_fingerprint(w, f);
    }
}

static void run(uv_work_t *request)
{
    struct watch *w = request->data;
    struct job *job = &w->job; /* the one part of the watch that is ours here */
    clear(&job->litter);
    if (job->kind == JOB_NONE) {
        return;
    }
    int root = job->kind == JOB_ROOT ? job_open_root(job->options->options.path, &job->root)
                                     : open_known(job);
    job->root_error = root < 0 ? root : 0;
    if (root < 0) {
        return;
    }
    switch (job->kind) {
    case JOB_PROBE:
        probe_all(root, job);
        break;
    case JOB_SUBTREE:
    case JOB_SCAN:
        scan_run(job->scan, root, &job->options->options, job->inotify, &job->slice, &job->turn);
        break;
    case JOB_HASH:
        fingerprint_all(root, job);
        break;
    case JOB_NONE:
    case JOB_ROOT:
        break;
    }
    close(root);
}

/* Descriptors or memory are short: the same again in a while. */
static bool is_transient(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -EINTR;
}

static void discard(struct watch *w, struct job *job)
{
    for (size_t i = 0; i < job->item_count; i++) {
        free(job->items[i].path);
    }
    job->item_count = 0;
    scan_slice_clear(&job->slice);
    job_throw_away_scan(w, job->scan);
    job->scan = NULL;
    while (job->fingerprint_count > 0) {
        job_throw_away_fingerprint(w, job->fingerprints[--job->fingerprint_count]);
    }
    free(job->buffer);
    job->buffer = NULL;
}

/* What the job took along goes back to the watch. */
static void give_back(struct watch *w, struct job *job)
{
    if (job->kind == JOB_SCAN) {
        w->scan = job->scan;
        job->scan = NULL;
    } else if (job->kind == JOB_SUBTREE) {
        w->subtree = job->scan;
        job->scan = NULL;
    }
}

static void take_fingerprints(struct watch *w, struct job *job)
{
    for (size_t i = 0; i < job->fingerprint_count && !w->closing; i++) {
        struct fingerprint *f = job->fingerprints[i];
        job->fingerprints[i] = NULL;
        hashing_result(w, f);
    }
}

static void put_off(struct watch *w, struct job *job)
{
    w->pause_ns = watch_now().steady_ns + 1000 * MS_NS;
    for (size_t i = 0; i < job->item_count; i++) {
        struct candidate *c = table_find_id(&w->table, job->items[i].path, job->items[i].id);
        if (c) {
            c->in_job = false;
            table_due(&w->table, c, w->pause_ns);
        }
    }
    take_fingerprints(w, job);
}

static void found_root(struct watch *w, const struct root *found)
{
    bool other_device = w->root_known && found->dev != w->root.dev;
    if (other_device && found->bare) {
        watch_go_offline(w, ENODEV, NULL); /* an empty mount point is not an empty folder */
        return;
    }
    w->root = *found;
    w->root_known = true;
    w->retry_pause_ns = 0;
    w->stage = STAGE_ONLINE;
    w->rescan_wanted = true;
    w->kept_error = 0;
    intake_events_open(w);
    tell_state(w);
}

static void take_results(struct watch *w, struct job *job)
{
    switch (job->kind) {
    case JOB_ROOT:
        found_root(w, &job->root);
        break;
    case JOB_PROBE:
        intake_samples(w, job);
        break;
    case JOB_SUBTREE:
    case JOB_SCAN:
        intake_slice(w, job);
        break;
    case JOB_HASH:
        take_fingerprints(w, job);
        break;
    case JOB_NONE:
        break;
    }
}

static void deliver(struct watch *w, struct job *job)
{
    w->root_due_ns = watch_now().steady_ns + ROOT_MS * MS_NS;
    give_back(w, job);
    if (is_transient(job->root_error)) {
        put_off(w, job);
    } else if (job->root_error == -ESTALE && job->kind != JOB_ROOT) {
        w->stage = STAGE_LOOKING;
        watch_drop_work(w, ESTALE);
        if (!w->closing) {
            intake_events_close(w);
        }
    } else if (job->root_error != 0) {
        watch_go_offline(w, -job->root_error, NULL);
    } else {
        take_results(w, job);
    }
}

static void after(uv_work_t *request, int status)
{
    struct watch *w = request->data;
    struct job *job = &w->job;
    bool current = job->epoch == w->epoch && status == 0;
    take_litter_back(w, &job->litter);
    /* busy until the end: a callback may call us, and no new job may begin over this one */
    shared_options_drop(job->options);
    if (job->inotify >= 0) {
        close(job->inotify);
    }
    if (!w->closing) {
        uv_timer_stop(&w->patience);
        if (w->hung) {
            w->hung = false;
            w->retry_ns = 0;
        }
        if (current) {
            deliver(w, job);
        }
    }
    discard(w, job);
    w->busy = false;
    turns_give_back(w->turns, &job->turn);
    watch_continue(w);
}

static bool load_items(struct watch *w, struct job *job)
{
    int64_t now_ns = watch_now().steady_ns;
    while (!w->hold && job->item_count < BATCH) {
        struct candidate *c = table_first_due(&w->table);
        if (!c || c->due_ns > now_ns) {
            break;
        }
        struct probe_item *item = &job->items[job->item_count];
        item->path = strdup(c->path);
        if (!item->path) {
            return job->item_count > 0;
        }
        item->id = c->id;
        item->signs = false;
        item->check_folder = intake_folder_signed(w, c->path);
        job->item_count++;
        c->in_job = true;
        table_not_due(&w->table, c);
    }
    return true;
}

/* A scan watches the folders it enters, where events are used. */
static void load_scan(struct watch *w, struct job *job, struct scan **scan)
{
    job->scan = *scan;
    *scan = NULL;
    if (w->events) {
        job->inotify = events_copy(w->events);
        if (job->inotify < 0) {
            w->watch_error = -job->inotify;
        }
    }
}

static bool load(struct watch *w, struct job *job)
{
    switch (job->kind) {
    case JOB_PROBE:
        return load_items(w, job);
    case JOB_SUBTREE:
        load_scan(w, job, &w->subtree);
        return true;
    case JOB_SCAN:
        load_scan(w, job, &w->scan);
        return true;
    case JOB_HASH:
        job->buffer = malloc(READER_BLOCK);
        job->fingerprint_count = job->buffer ? hashing_take(w, job->fingerprints, BATCH) : 0;
        return job->fingerprint_count > 0;
    case JOB_NONE:
    case JOB_ROOT:
        break;
    }
    return true;
}

void job_start(struct watch *w, enum job_kind kind)
{
    struct job *job = &w->job;
    job->kind = kind;
    job->epoch = w->epoch;
    job->root = w->root;
    job->root_error = 0;
    job->inotify = -1;
    job->litter = w->litter;
    w->litter = (struct litter){0};
    job->wall_ns = watch_now().wall_ns;
    if (!load(w, job)) {
        w->litter = job->litter;
        discard(w, job);
        w->pause_ns = watch_now().steady_ns + 1000 * MS_NS;
        return;
    }
    job->options = shared_options_hold(w->options);
    job->request.data = w;
    w->busy = true;
    if (!w->closing) {
        uv_timer_start(&w->patience, watch_on_patience, (uint64_t)w->patience_ms, 0);
    }
    uv_queue_work(w->loop, &job->request, run, after); /* fails on a NULL callback only */
}
