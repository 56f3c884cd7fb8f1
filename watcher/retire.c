#include "watcher/retire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watcher/beneath.h"
#include "watcher/digest.h"
#include "watcher/reader.h"
#include "watcher/turns.h"

#define PRIVATE_FOLDER ".chorus-agent"
/* More, and a folder full of namesakes costs seconds a file. */
enum { MOST_NAMES = 9999, BLOCK = 1 << 18, NAME_ROOM = 300, PRIVATE_NAME_ROOM = 64 };

/* What one retirement has open; -1: nothing. */
struct work {
    const struct retirement *what;
    int root, parent, private; /* parent: nothing, too, where it has left */
    const char *name;          /* the file's, in parent */
    char private_name[PRIVATE_NAME_ROOM];
    int error;
};

static enum retire_result fail(struct work *work, int error)
{
    work->error = error;
    return RETIRE_FAILED;
}

/* --- the folders --- */

/* The folder of a file below the root; `name` gets the file's in it. A descriptor or negative
 * errno. */
static int open_folder_of(int root, const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
    *name = slash != NULL ? slash + 1 : path;
    char *folder = strndup(path, (size_t)(*name - path));
    if (folder == NULL)
        return -ENOMEM;
    int fd = beneath_open(root, folder, O_DIRECTORY);
    free(folder);
    return fd;
}

static int open_private(struct work *work)
{
    if (work->private >= 0)
        close(work->private);
    work->private = -1;
    if (mkdirat(work->root, PRIVATE_FOLDER, 0700) == 0)
        fsync(work->root);
    else if (errno != EEXIST)
        return -errno;
    work->private = beneath_open(work->root, PRIVATE_FOLDER, O_DIRECTORY);
    if (work->private < 0)
        return work->private;
    /* the same name at every try, so that a try after a crash finds the file */
    const uint8_t *s = work->what->sha256;
    snprintf(work->private_name, sizeof work->private_name, "%02x%02x%02x%02x%02x%02x%02x%02x-%llu",
             s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7],
             (unsigned long long)work->what->identity.ino);
    return 0;
}

/* --- what stands there --- */

/* ctime aside: our own rename moved it. The device's number a mount may have given anew. */
static bool is_same_file(const struct retirement *what, const struct stat *st)
{
    struct file_identity identity;
    file_identity_of(st, &identity);
    identity.ctime_ns = what->identity.ctime_ns;
    return S_ISREG(st->st_mode) && file_identity_equal_elsewhere(&identity, &what->identity);
}

static bool has_writer(int fd)
{
    if (fcntl(fd, F_SETLEASE, F_RDLCK) != 0)
        return errno == EAGAIN;
    fcntl(fd, F_SETLEASE, F_UNLCK);
    return false;
}

/* 0: these bytes; 1: others; negative errno. */
static int compare_bytes(int fd, const struct retirement *what)
{
    uint8_t found[32];
    struct reader reader;
    struct digest *digest = digest_new();
    char *block = malloc(BLOCK);
    uint64_t at = 0;
    ssize_t n = -1;
    int error = digest == NULL || block == NULL ? -ENOMEM : 0;
    reader_begin(&reader, fd, what->identity.size);
    while (error == 0 && (n = reader_read(&reader, block, BLOCK, at)) > 0) {
        error = digest_update(digest, block, (size_t)n);
        at += (uint64_t)n;
        turn_moved(what->turn);
    }
    if (error == 0 && n < 0)
        error = (int)n;
    reader_end(&reader);
    if (error == 0)
        error = digest_final(digest, found);
    free(block);
    digest_free(digest);
    return error != 0 ? error : memcmp(found, what->sha256, sizeof found) != 0;
}

static enum retire_result verify(struct work *work)
{
    struct stat st;
    int fd =
        openat(work->private, work->private_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == EAGAIN ? RETIRE_IN_USE : fail(work, errno);
    enum retire_result result = RETIRE_DONE;
    if (fstat(fd, &st) != 0) {
        result = fail(work, errno);
    } else if (!is_same_file(work->what, &st)) {
        result = RETIRE_NOT_SAME;
    } else if (has_writer(fd)) {
        result = RETIRE_IN_USE;
    } else {
        int different = compare_bytes(fd, work->what);
        if (different < 0)
            result = fail(work, -different);
        else if (different > 0)
            result = RETIRE_NOT_SAME;
    }
    close(fd);
    return result;
}

/* --- into the private folder, and back --- */

static enum retire_result into_private(struct work *work)
{
    struct stat st;
    if (fstatat(work->private, work->private_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return RETIRE_DONE; /* an earlier try was cut off after this point */
    if (work->parent < 0)
        return RETIRE_GONE;
    if (fstatat(work->parent, work->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? RETIRE_GONE : fail(work, errno);
    if (!is_same_file(work->what, &st))
        return RETIRE_NOT_SAME;
    /* its name there is for this very file */
    if (renameat(work->parent, work->name, work->private, work->private_name) != 0)
        return errno == ENOENT ? RETIRE_GONE : fail(work, errno);
    fsync(work->private);
    fsync(work->parent);
    return RETIRE_DONE;
}

static bool is_still_there(const struct work *work)
{
    struct stat st;
    return work->parent >= 0 && fstatat(work->parent, work->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Another retirement below the same root takes the private folder away once it is empty, and this
 * one may be about to enter it: then it is made anew. */
static enum retire_result take_aside(struct work *work)
{
    enum { TRIES = 3 };
    for (int i = 0; i < TRIES; i++) {
        int error = open_private(work);
        if (error != 0 && error != -ENOENT)
            return fail(work, -error);
        enum retire_result result = error == 0 ? into_private(work) : RETIRE_GONE;
        if (result != RETIRE_GONE || !is_still_there(work))
            return result;
    }
    return RETIRE_IN_USE;
}

/* A name of which `number` is a further version: "a.wav", "a-2.wav". */
static void numbered(const char *name, int number, char out[NAME_ROOM])
{
    const char *dot = strrchr(name, '.');
    size_t stem = dot != NULL && dot != name ? (size_t)(dot - name) : strlen(name);
    if (number == 1)
        snprintf(out, NAME_ROOM, "%s", name);
    else
        snprintf(out, NAME_ROOM, "%.*s-%d%s", (int)stem, name, number, name + stem);
}

/* Renames, and overwrites nothing. 0 or negative errno. NFS cannot do both in one step: there an
 * empty file takes the name first (no link: of another user's file it may be forbidden). */
static int rename_new(int from, const char *name, int to, const char *new_name)
{
    if (renameat2(from, name, to, new_name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL)
        return -errno;
    int taken = openat(to, new_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (taken < 0)
        return -errno;
    close(taken);
    if (renameat(from, name, to, new_name) == 0)
        return 0;
    int error = -errno;
    unlinkat(to, new_name, 0);
    return error;
}

/* Renames without overwriting; `chosen` gets the name. 0 or negative errno. */
static int rename_free(int from, const char *name, int to, const char *wanted,
                       char chosen[NAME_ROOM])
{
    for (int number = 1; number <= MOST_NAMES; number++) {
        numbered(wanted, number, chosen);
        int error = rename_new(from, name, to, chosen);
        if (error != -EEXIST)
            return error;
    }
    return -EEXIST;
}

static void put_back(struct work *work)
{
    char chosen[NAME_ROOM];
    if (rename_free(work->private, work->private_name, work->parent, work->name, chosen) == 0) {
        fsync(work->parent);
        fsync(work->private);
    }
}

/* --- moving on --- */

/* A folder in `at`, made where it is missing; `at` is closed. A descriptor or negative errno. */
static int enter(int at, const char *name)
{
    enum { FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };
    int folder = openat(at, name, FLAGS);
    if (folder < 0 && errno == ENOENT && mkdirat(at, name, 0777) == 0) {
        fsync(at);
        folder = openat(at, name, FLAGS);
    }
    int error = errno;
    close(at);
    return folder >= 0 ? folder : -error;
}

/* The folder below move_to that keeps the path below root. A descriptor or negative errno. */
static int open_target(const struct retirement *what)
{
    int at = open(what->move_to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0)
        return -errno;
    const char *part = what->path, *slash;
    while (at >= 0 && (slash = strchr(part, '/')) != NULL) {
        char name[NAME_ROOM];
        snprintf(name, sizeof name, "%.*s", (int)(slash - part), part);
        at = enter(at, name);
        part = slash + 1;
    }
    return at;
}

static int copy_bytes(int from, int to, struct turn *turn)
{
    struct stat st;
    struct reader reader;
    char *block = malloc(BLOCK);
    uint64_t at = 0;
    ssize_t n = 0;
    int error = block == NULL ? -ENOMEM : 0;
    reader_begin(&reader, from, fstat(from, &st) == 0 ? (uint64_t)st.st_size : 0);
    while (error == 0 && (n = reader_read(&reader, block, BLOCK, at)) > 0) {
        at += (uint64_t)n;
        turn_moved(turn);
        for (ssize_t done = 0, w; done < n; done += w) {
            w = write(to, block + done, (size_t)(n - done));
            if (w < 0) {
                error = -errno;
                break;
            }
        }
    }
    if (error == 0 && n < 0)
        error = (int)n;
    reader_end(&reader);
    free(block);
    return error;
}

/* Keeps mode and times, as a move does; the owner where we may. */
static void keep_looks(int from, int to)
{
    struct stat st;
    if (fstat(from, &st) != 0)
        return;
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    int unprivileged = fchown(to, st.st_uid, st.st_gid);
    (void)unprivileged;
    fchmod(to, st.st_mode & 07777);
    futimens(to, times);
}

/* A file that goes to another file system: copied, fsynced, verified, and only then taken away. */
struct copy {
    int from, to; /* folders */
    const char *name, *temporary, *wanted;
    const struct retirement *proof; /* whose content it must have; NULL: any */
    struct turn *turn;              /* NULL: none */
};

static int fill(const struct copy *copy, int to)
{
    int from = openat(copy->from, copy->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (from < 0)
        return -errno;
    int error = copy_bytes(from, to, copy->turn);
    if (error == 0) {
        keep_looks(from, to);
        error = fsync(to) != 0 ? -errno : 0;
        posix_fadvise(to, 0, 0, POSIX_FADV_DONTNEED); /* verified as the disk has it */
    }
    close(from);
    if (error == 0 && copy->proof != NULL && compare_bytes(to, copy->proof) != 0)
        error = -EIO;
    return error;
}

/* 0 or negative errno. `chosen` gets the name. */
static int copy_across(const struct copy *copy, char chosen[NAME_ROOM])
{
    int to = openat(copy->to, copy->temporary, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                    0600);
    if (to < 0)
        return -errno;
    const char *made = copy->temporary;
    int error = fill(copy, to);
    close(to);
    if (error == 0)
        error = rename_free(copy->to, copy->temporary, copy->to, copy->wanted, chosen);
    if (error == 0) {
        made = chosen;
        error = fsync(copy->to) != 0 ? -errno : 0;
    }
    if (error != 0)
        unlinkat(copy->to, made, 0);
    else if (unlinkat(copy->from, copy->name, 0) != 0)
        error = -errno; /* the copy stays: the original may be gone all the same */
    return error;
}

static int move_on(struct work *work, char **moved_to)
{
    char chosen[NAME_ROOM], temporary[NAME_ROOM];
    int target = open_target(work->what);
    if (target < 0)
        return target;
    int error = rename_free(work->private, work->private_name, target, work->name, chosen);
    if (error == -EXDEV) {
        snprintf(temporary, sizeof temporary, ".%s.chorus-agent", work->private_name);
        error = copy_across(&(struct copy){.from = work->private,
                                           .to = target,
                                           .name = work->private_name,
                                           .temporary = temporary,
                                           .wanted = work->name,
                                           .proof = work->what,
                                           .turn = work->what->turn},
                            chosen);
    }
    fsync(target);
    close(target);
    int folder = (int)(work->name - work->what->path);
    if (error == 0 &&
        asprintf(moved_to, "%s/%.*s%s", work->what->move_to, folder, work->what->path, chosen) < 0)
        *moved_to = NULL;
    return error;
}

static enum retire_result finish(struct work *work, char **moved_to)
{
    int error = 0;
    if (work->what->move_to != NULL)
        error = move_on(work, moved_to);
    else if (unlinkat(work->private, work->private_name, 0) != 0)
        error = -errno;
    if (error != 0) {
        put_back(work);
        return fail(work, -error);
    }
    fsync(work->private);
    return RETIRE_DONE;
}

/* --- what goes along --- */

/* 0 (also if it is not there: an earlier try was cut off after this), or negative errno. */
static int move_beside(const struct work *work)
{
    struct stat st;
    char chosen[NAME_ROOM];
    const char *name;
    int parent = open_folder_of(work->root, work->what->beside, &name);
    if (parent < 0)
        return parent == -ENOENT ? 0 : parent;
    int target = -1, error = 0;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        error = errno == ENOENT ? 0 : -errno;
    } else if (S_ISREG(st.st_mode)) {
        target = open_target(work->what);
        error = target < 0 ? target : rename_free(parent, name, target, name, chosen);
        if (error == -EXDEV)
            error = copy_across(&(struct copy){.from = parent,
                                               .to = target,
                                               .name = name,
                                               .temporary = ".beside.chorus-agent",
                                               .wanted = name},
                                chosen);
    }
    if (target >= 0) {
        fsync(target);
        close(target);
    }
    fsync(parent);
    close(parent);
    return error;
}

static enum retire_result take_along(struct work *work)
{
    if (work->what->beside == NULL || work->what->move_to == NULL)
        return RETIRE_DONE;
    work->error = -move_beside(work);
    return work->error == 0 ? RETIRE_DONE : RETIRE_BESIDE_FAILED;
}

static enum retire_result retire(struct work *work, char **moved_to)
{
    /* the folder may have left while the file is in the private one */
    work->parent = open_folder_of(work->root, work->what->path, &work->name);
    if (work->parent < 0 && work->parent != -ENOENT)
        return fail(work, -work->parent);
    enum retire_result result = take_aside(work);
    if (result != RETIRE_DONE)
        return result;
    result = verify(work);
    if (result == RETIRE_DONE)
        result = take_along(work);
    if (result != RETIRE_DONE) {
        put_back(work);
        return result;
    }
    return finish(work, moved_to);
}

enum retire_result retire_file(const struct retirement *retirement, char **moved_to, int *error)
{
    struct work work = {.what = retirement, .parent = -1, .private = -1};
    if (moved_to != NULL)
        *moved_to = NULL;
    work.root = beneath_root(retirement->root);
    enum retire_result result = work.root < 0 ? fail(&work, -work.root) : retire(&work, moved_to);
    if (work.private >= 0) {
        unlinkat(work.root, PRIVATE_FOLDER, AT_REMOVEDIR); /* only if it is empty */
        close(work.private);
    }
    if (work.parent >= 0)
        close(work.parent);
    if (work.root >= 0)
        close(work.root);
    *error = work.error;
    return result;
}
