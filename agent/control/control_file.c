#include "agent/control/control_file.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/control/control_dir.h"
#include "watcher/digest.h"

enum { BLOCK = 256 * 1024, MOST_USER = 1024 * 1024, MOST_GROUPS = 65536 };

/* ---- whose it is ---- */

/* Whether the user has this group, as primary or as further one. */
static bool user_has_group(uid_t uid, gid_t gid)
{
    struct passwd user, *found = NULL;
    char *room = NULL;
    int error = ERANGE;
    for (size_t n = 4096; error == ERANGE && n <= MOST_USER; n *= 4) {
        room = mem_resize(room, n, 1);
        error = getpwuid_r(uid, &user, room, n, &found);
    }
    bool has = false;
    if (found != NULL) {
        int count = MOST_GROUPS;
        gid_t *groups = mem_array(MOST_GROUPS, sizeof *groups);
        getgrouplist(user.pw_name, user.pw_gid, groups, &count);
        for (int i = 0; i < count && i < MOST_GROUPS; i++)
            has = has || groups[i] == gid;
        free(groups);
    }
    free(room);
    return has;
}

/* Why nobody may give orders by this file; NULL: all is well. */
static char *judge_owner(const struct stat *st, const char *group)
{
    gid_t gid = 0;
    bool has_group = group[0] != '\0' && control_group_find(group, &gid);
    bool known = st->st_uid == 0 || st->st_uid == geteuid();
    if (!known && !(has_group && user_has_group(st->st_uid, gid)))
        return mem_printf("owned by user %u, who is neither root nor the service's user nor a "
                          "member of control_group (%s)",
                          (unsigned)st->st_uid, group[0] != '\0' ? group : "none is configured");
    if ((st->st_mode & S_IWOTH) != 0)
        return mem_string("everybody may write to it: chmod o-w, and drop it again");
    if ((st->st_mode & S_IWGRP) != 0 && !(has_group && st->st_gid == gid))
        return mem_printf("group %u may write to it, and is not control_group: chmod g-w, and drop "
                          "it again",
                          (unsigned)st->st_gid);
    if (st->st_nlink != 1)
        return mem_string("it has more than one name (hard links): copy it instead");
    return NULL;
}

/* ---- reading ---- */

/* Sums up and counts; 0 or negative errno. */
static int read_through(int fd, struct request_reader *reader, struct digest *digest)
{
    char *block = mem_zalloc(BLOCK);
    uint64_t bytes = 0;
    ssize_t n = 1;
    int error = 0;
    while (error == 0 && n != 0 && bytes <= REQUEST_MOST_BYTES) {
        n = read(fd, block, BLOCK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            error = -errno;
        } else if (n > 0) {
            bytes += (uint64_t)n;
            request_reader_feed(reader, block, (size_t)n);
            error = digest_update(digest, block, (size_t)n);
        }
    }
    free(block);
    if (error == 0 && lseek(fd, 0, SEEK_SET) != 0)
        error = -errno;
    return error;
}

static void sum_identity(struct control_file *file)
{
    if (digest_of(&file->identity, sizeof file->identity, file->digest) != 0)
        abort();
}

static void read_content(struct control_file *file)
{
    struct request_reader *reader = request_reader_new(NULL, NULL);
    struct digest *digest = digest_new();
    if (digest == NULL)
        abort();
    int error = read_through(file->fd, reader, digest);
    file->refusal = request_reader_end(reader, &file->facts);
    if (error == 0)
        error = digest_final(digest, file->digest);
    if (error != 0)
        mem_replace(&file->refusal, mem_printf("it cannot be read: %s", strerror(-error)));
    if (error != 0)
        sum_identity(file);
    digest_free(digest);
    request_reader_free(reader);
}

bool control_file_is_unchanged(const struct control_file *file)
{
    struct stat st;
    struct file_identity now;
    if (fstat(file->fd, &st) != 0)
        return false;
    file_identity_of(&st, &now);
    return file_identity_equal(&now, &file->identity);
}

static int open_file(const char *control_dir, const char *name)
{
    char *path = mem_printf("%s/%s", control_dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    int error = fd < 0 ? errno : 0;
    free(path);
    return fd < 0 ? -error : fd;
}

/* From here on there is a refusal, or not: it is told in both cases. */
static void read_or_refuse(struct control_file *file, const struct stat *st, const char *group)
{
    file->refusal = judge_owner(st, group);
    if (file->refusal == NULL && st->st_size > REQUEST_MOST_BYTES)
        file->refusal = mem_string("larger than 64 MiB; split the file");
    if (file->refusal == NULL)
        read_content(file);
    else
        sum_identity(file);
}

enum control_file_result control_file_read(const char *control_dir, const char *group,
                                           struct control_file *file)
{
    struct stat st;
    file->facts.expect = -1;
    file->fd = open_file(control_dir, file->name);
    if (file->fd == -ENOENT || file->fd == -ENOTDIR || file->fd == -ESTALE)
        return CONTROL_FILE_GONE;
    if (file->fd == -ELOOP || file->fd == -ENXIO || file->fd == -EMFILE || file->fd == -ENFILE)
        return CONTROL_FILE_CHANGED;
    if (file->fd < 0) {
        file->refusal = mem_printf("it cannot be read by the service's user: %s; chmod or chgrp "
                                   "it, and drop it again",
                                   strerror(-file->fd));
        file->fd = -1;
        sum_identity(file);
        return CONTROL_FILE_READ;
    }
    if (fstat(file->fd, &st) != 0 || !S_ISREG(st.st_mode) || !control_file_is_unchanged(file))
        return CONTROL_FILE_CHANGED;
    read_or_refuse(file, &st, group);
    if (!control_file_is_unchanged(file))
        return CONTROL_FILE_CHANGED;
    if (file->refusal != NULL) {
        close(file->fd);
        file->fd = -1;
    }
    return CONTROL_FILE_READ;
}

void control_file_refuse_kind(struct control_file *file, unsigned mode)
{
    const char *kind = S_ISLNK(mode)    ? "a symbolic link, and none is followed: copy the file"
                       : S_ISDIR(mode)  ? "a folder"
                       : S_ISFIFO(mode) ? "a pipe"
                       : S_ISSOCK(mode) ? "a socket"
                                        : "a device";
    file->facts.expect = -1;
    file->fd = -1;
    file->refusal = mem_printf("no regular file, but %s", kind);
    sum_identity(file);
}
