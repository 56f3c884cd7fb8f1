/*
 * hangfs: a mount that mirrors a folder, read-only, and stops answering on command, as a file
 * server that has gone does. For tests; speaks FUSE's protocol itself, and needs root and
 * /dev/fuse.
 *
 *     hangfs FOLDER MOUNTPOINT
 *
 * Reads commands from its input, one a line: "hang OPERATION" (open, read, stat, folder, or all)
 * keeps every such request without an answer, "go" answers all of them and hangs no more; each is
 * confirmed by a line "ok". At the end of its input it unmounts and ends; what hangs then fails.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { MOST_NODES = 4096, MOST_HELD = 256, BUFFER = 1 << 17, ANSWER = 1 << 16 };

struct request {
    struct fuse_in_header head;
    char body[BUFFER];
};

static struct {
    int fuse;
    const char *folder, *mountpoint;
    char *paths[MOST_NODES]; /* by node number; 1 is the folder */
    uint64_t nodes;
    bool hangs[FUSE_READDIRPLUS + 1];
    struct request *held[MOST_HELD];
    size_t held_count;
} fs;

static void answer(const struct request *request, int error, const void *body, size_t size)
{
    static char bytes[ANSWER + sizeof(struct fuse_out_header)];
    struct fuse_out_header head = {
        .len = (uint32_t)(sizeof head + size), .error = -error, .unique = request->head.unique};
    memcpy(bytes, &head, sizeof head);
    if (size > 0)
        memcpy(bytes + sizeof head, body, size);
    if (write(fs.fuse, bytes, head.len) < 0 && errno != ENOENT)
        perror("hangfs: answer");
}

/* --- nodes --- */

static void path_of(uint64_t node, const char *name, char out[PATH_MAX])
{
    const char *path = node <= fs.nodes ? fs.paths[node] : "";
    if (snprintf(out, PATH_MAX, "%s%s%s", path, name[0] != '\0' ? "/" : "", name) >= PATH_MAX)
        out[0] = '\0';
}

static uint64_t node_of(const char *path)
{
    for (uint64_t node = 1; node <= fs.nodes; node++) {
        if (strcmp(fs.paths[node], path) == 0)
            return node;
    }
    if (fs.nodes + 1 == MOST_NODES)
        return 0;
    fs.paths[++fs.nodes] = strdup(path);
    return fs.nodes;
}

static int look(uint64_t node, const char *path, struct fuse_attr *attr)
{
    struct stat st;
    memset(attr, 0, sizeof *attr);
    if (lstat(path, &st) != 0)
        return errno;
    attr->ino = node == 1 ? 1 : st.st_ino;
    attr->size = (uint64_t)st.st_size;
    attr->blocks = (uint64_t)st.st_blocks;
    attr->atime = (uint64_t)st.st_atim.tv_sec;
    attr->mtime = (uint64_t)st.st_mtim.tv_sec;
    attr->ctime = (uint64_t)st.st_ctim.tv_sec;
    attr->atimensec = (uint32_t)st.st_atim.tv_nsec;
    attr->mtimensec = (uint32_t)st.st_mtim.tv_nsec;
    attr->ctimensec = (uint32_t)st.st_ctim.tv_nsec;
    attr->mode = st.st_mode;
    attr->nlink = (uint32_t)st.st_nlink;
    attr->uid = st.st_uid;
    attr->gid = st.st_gid;
    attr->blksize = 4096;
    return 0;
}

/* --- what is asked: nothing is kept by the kernel, so that everything is asked again --- */

static void on_lookup(const struct request *request)
{
    char path[PATH_MAX];
    struct fuse_entry_out out = {0};
    path_of(request->head.nodeid, request->body, path);
    int error = look(0, path, &out.attr);
    if (error == 0 && (out.nodeid = node_of(path)) == 0)
        error = ENOMEM;
    answer(request, error, &out, error == 0 ? sizeof out : 0);
}

static void on_getattr(const struct request *request)
{
    char path[PATH_MAX];
    struct fuse_attr_out out = {0};
    path_of(request->head.nodeid, "", path);
    int error = look(request->head.nodeid, path, &out.attr);
    answer(request, error, &out, error == 0 ? sizeof out : 0);
}

static void on_open(const struct request *request)
{
    char path[PATH_MAX];
    struct fuse_open_out out = {.open_flags = FOPEN_DIRECT_IO};
    path_of(request->head.nodeid, "", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    out.fh = (uint64_t)fd;
    answer(request, fd < 0 ? errno : 0, &out, fd < 0 ? 0 : sizeof out);
}

static void on_read(const struct request *request)
{
    static char bytes[ANSWER];
    struct fuse_read_in in;
    memcpy(&in, request->body, sizeof in);
    size_t size = in.size < ANSWER ? in.size : ANSWER;
    ssize_t got = pread((int)in.fh, bytes, size, (off_t)in.offset);
    answer(request, got < 0 ? errno : 0, bytes, got < 0 ? 0 : (size_t)got);
}

static size_t add_entry(char *bytes, size_t room, const struct dirent *entry, uint64_t number)
{
    size_t n = strlen(entry->d_name), size = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + n);
    struct fuse_dirent out = {.ino = entry->d_ino,
                              .off = number,
                              .namelen = (uint32_t)n,
                              .type = (uint32_t)entry->d_type};
    if (size > room)
        return 0;
    memset(bytes, 0, size);
    memcpy(bytes, &out, FUSE_NAME_OFFSET);
    memcpy(bytes + FUSE_NAME_OFFSET, entry->d_name, n);
    return size;
}

static void on_readdir(const struct request *request)
{
    static char bytes[ANSWER];
    char path[PATH_MAX];
    struct fuse_read_in in;
    memcpy(&in, request->body, sizeof in);
    path_of(request->head.nodeid, "", path);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        answer(request, errno, NULL, 0);
        return;
    }
    size_t room = in.size < ANSWER ? in.size : ANSWER, used = 0, size = 1;
    const struct dirent *entry;
    for (uint64_t number = 1; size > 0 && (entry = readdir(dir)) != NULL; number++) {
        if (number > in.offset)
            used += size = add_entry(bytes + used, room - used, entry, number);
    }
    closedir(dir);
    answer(request, 0, bytes, used);
}

static void on_statfs(const struct request *request)
{
    struct statvfs st;
    struct fuse_statfs_out out = {0};
    int error = statvfs(fs.folder, &st) != 0 ? errno : 0;
    out.st.bsize = out.st.frsize = 4096;
    out.st.namelen = NAME_MAX;
    out.st.blocks = error == 0 ? st.f_blocks : 0;
    answer(request, error, &out, error == 0 ? sizeof out : 0);
}

static void on_release(const struct request *request, bool file)
{
    struct fuse_release_in in;
    memcpy(&in, request->body, sizeof in);
    if (file)
        close((int)in.fh);
    answer(request, 0, NULL, 0);
}

static void on_init(const struct request *request)
{
    struct fuse_init_in in;
    memcpy(&in, request->body, sizeof in);
    struct fuse_init_out out = {
        .major = FUSE_KERNEL_VERSION,
        .minor = in.minor < FUSE_KERNEL_MINOR_VERSION ? in.minor : FUSE_KERNEL_MINOR_VERSION,
        .max_readahead = in.max_readahead,
        .max_background = 64,
        .congestion_threshold = 48,
        .max_write = 4096};
    answer(request, 0, &out, sizeof out);
}

static void handle(const struct request *request)
{
    static const struct fuse_open_out opened;
    switch (request->head.opcode) {
    case FUSE_INIT:
        on_init(request);
        break;
    case FUSE_LOOKUP:
        on_lookup(request);
        break;
    case FUSE_GETATTR:
        on_getattr(request);
        break;
    case FUSE_OPEN:
        on_open(request);
        break;
    case FUSE_OPENDIR:
        answer(request, 0, &opened, sizeof opened);
        break;
    case FUSE_READ:
        on_read(request);
        break;
    case FUSE_READDIR:
        on_readdir(request);
        break;
    case FUSE_STATFS:
        on_statfs(request);
        break;
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
        on_release(request, request->head.opcode == FUSE_RELEASE);
        break;
    case FUSE_FLUSH:
    case FUSE_ACCESS:
        answer(request, 0, NULL, 0);
        break;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
        break; /* no answer is due */
    default:
        answer(request, ENOSYS, NULL, 0);
    }
}

/* --- hanging --- */

static bool is_held(uint32_t opcode)
{
    return opcode <= FUSE_READDIRPLUS && fs.hangs[opcode];
}

/* A process that is killed lets go, as it does with a file server that has gone. */
static void interrupt(const struct request *request)
{
    struct fuse_interrupt_in in;
    memcpy(&in, request->body, sizeof in);
    for (size_t i = 0; i < fs.held_count; i++) {
        if (fs.held[i]->head.unique != in.unique)
            continue;
        answer(fs.held[i], EINTR, NULL, 0);
        free(fs.held[i]);
        fs.held[i] = fs.held[--fs.held_count];
        return;
    }
}

static void take(const struct request *request, size_t size)
{
    if (request->head.opcode == FUSE_INTERRUPT) {
        interrupt(request);
        return;
    }
    if (!is_held(request->head.opcode) || fs.held_count == MOST_HELD) {
        handle(request);
        return;
    }
    struct request *copy = malloc(sizeof *copy);
    if (copy == NULL)
        abort();
    memcpy(copy, request, size);
    fs.held[fs.held_count++] = copy;
}

static void go(void)
{
    memset(fs.hangs, 0, sizeof fs.hangs);
    for (size_t i = 0; i < fs.held_count; i++) {
        handle(fs.held[i]);
        free(fs.held[i]);
    }
    fs.held_count = 0;
}

static void hang(const char *what)
{
    bool all = strcmp(what, "all") == 0;
    if (all || strcmp(what, "open") == 0)
        fs.hangs[FUSE_OPEN] = true;
    if (all || strcmp(what, "read") == 0)
        fs.hangs[FUSE_READ] = true;
    if (all || strcmp(what, "stat") == 0)
        fs.hangs[FUSE_GETATTR] = fs.hangs[FUSE_LOOKUP] = true;
    if (all || strcmp(what, "folder") == 0)
        fs.hangs[FUSE_OPENDIR] = fs.hangs[FUSE_READDIR] = true;
    if (all)
        fs.hangs[FUSE_FLUSH] = fs.hangs[FUSE_STATFS] = fs.hangs[FUSE_ACCESS] = true;
}

/* False: the input has ended. */
static bool obey(void)
{
    char line[64] = "";
    size_t n = 0;
    ssize_t got;
    while (n + 1 < sizeof line && (got = read(STDIN_FILENO, line + n, 1)) == 1 && line[n] != '\n')
        n++;
    if (line[n] != '\n')
        return false;
    line[n] = '\0';
    if (strncmp(line, "hang ", 5) == 0)
        hang(line + 5);
    else
        go();
    puts("ok");
    fflush(stdout);
    return true;
}

/* --- its life --- */

static int mount_it(void)
{
    char options[128];
    fs.fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fs.fuse < 0)
        return errno;
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other",
             fs.fuse);
    return mount("hangfs", fs.mountpoint, "fuse.hangfs", MS_NOSUID | MS_NODEV, options) != 0 ? errno
                                                                                             : 0;
}

static void serve(void)
{
    static struct request request;
    struct pollfd polls[] = {{.fd = fs.fuse, .events = POLLIN},
                             {.fd = STDIN_FILENO, .events = POLLIN}};
    for (;;) {
        if (poll(polls, 2, -1) < 0 && errno != EINTR)
            return;
        if (polls[0].revents != 0) {
            ssize_t size = read(fs.fuse, &request, sizeof request);
            if (size < 0 && errno == ENODEV)
                return; /* somebody unmounted it */
            if (size > 0)
                take(&request, (size_t)size);
        }
        if (polls[1].revents != 0 && !obey())
            return;
    }
}

int main(int count, char **arguments)
{
    if (count != 3) {
        fprintf(stderr, "usage: hangfs FOLDER MOUNTPOINT\n");
        return 64;
    }
    fs.folder = arguments[1];
    fs.mountpoint = arguments[2];
    fs.nodes = 1;
    fs.paths[1] = strdup(fs.folder);
    int error = mount_it();
    if (error != 0) {
        fprintf(stderr, "hangfs: %s: %s\n", fs.mountpoint, strerror(error));
        return 77;
    }
    puts("ok");
    fflush(stdout);
    serve();
    umount2(fs.mountpoint, MNT_DETACH);
    close(fs.fuse); /* what still waits fails */
    return 0;
}
