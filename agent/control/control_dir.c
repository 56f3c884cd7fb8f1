#include "agent/control/control_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/mem.h"

enum { MODE = 02770, MOST_GROUP = 1024 * 1024 };

bool control_group_find(const char *name, gid_t *gid)
{
    struct group group, *found = NULL;
    char *room = NULL;
    int error = ERANGE;
    for (size_t n = 4096; error == ERANGE && n <= MOST_GROUP; n *= 4) {
        room = mem_resize(room, n, 1);
        error = getgrnam_r(name, &group, room, n, &found);
    }
    if (found != NULL)
        *gid = group.gr_gid;
    free(room);
    return found != NULL;
}

/* Through the descriptor: what stands under the name may be another by now. */
static int own(int fd, uid_t uid, gid_t gid)
{
    uid_t owner = geteuid() == 0 ? uid : (uid_t)-1;
    if (fchown(fd, owner, gid) != 0)
        return -errno;
    return fchmod(fd, MODE) != 0 ? -errno : 0;
}

/* One folder below `parent` (or AT_FDCWD). A descriptor, or negative errno. */
static int make_one(int parent, const char *name, int follow, uid_t uid, gid_t gid)
{
    bool made = mkdirat(parent, name, 0700) == 0;
    if (!made && errno != EEXIST)
        return -errno;
    int fd =
        openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (made ? O_NOFOLLOW : follow));
    if (fd < 0)
        return -errno;
    int error = made ? own(fd, uid, gid) : 0;
    if (error == 0)
        return fd;
    close(fd);
    return error;
}

static char *cannot(const char *path, const char *below, const char *what, int error)
{
    return mem_printf("%s%s cannot be %s: %s; make it 2770, owned by the service's user and of the "
                      "group control_group",
                      path, below, what, strerror(error));
}

char *control_dir_make(const char *path, const char *group, uid_t uid, gid_t gid)
{
    static const char *const below[] = {"done", "rejected"};
    bool missing;
    gid_t named = gid;
    if (group[0] != '\0')
        control_group_find(group, &named);
    int fd = make_one(AT_FDCWD, path, 0, uid, named);
    if (fd == -EPERM && named != gid) /* we are no member of it: ours at least */
        fd = make_one(AT_FDCWD, path, 0, uid, gid);
    if (fd < 0)
        return cannot(path, "", "made", -fd);
    for (size_t i = 0; i < 2; i++) {
        int one = make_one(fd, below[i], O_NOFOLLOW, uid, named);
        if (one >= 0)
            close(one);
    }
    close(fd);
    return control_dir_judge(path, group, &missing);
}

/* A missing folder below it is made by the service. */
static char *judge_folder(const char *path, const char *below)
{
    struct stat st;
    char *folder = mem_printf("%s%s", path, below);
    int error = stat(folder, &st) != 0 ? errno : 0;
    if (error == 0 && !S_ISDIR(st.st_mode))
        error = ENOTDIR;
    if (error == 0 && faccessat(AT_FDCWD, folder, R_OK | W_OK | X_OK, AT_EACCESS) != 0)
        error = errno;
    free(folder);
    if (error == ENOENT && below[0] != '\0')
        error = 0;
    return error != 0 ? cannot(path, below, "used", error) : NULL;
}

char *control_dir_judge(const char *path, const char *group, bool *missing)
{
    struct stat st;
    gid_t gid;
    *missing = stat(path, &st) != 0 && errno == ENOENT;
    char *problem = judge_folder(path, "");
    if (problem == NULL)
        problem = judge_folder(path, "/done");
    if (problem == NULL)
        problem = judge_folder(path, "/rejected");
    if (problem == NULL && (st.st_mode & S_IWOTH) != 0)
        problem = mem_printf("everybody may write to %s: chmod o-w", path);
    if (problem == NULL && group[0] != '\0' && !control_group_find(group, &gid))
        problem = mem_printf("control_group %s is no group of this system; root and the service's "
                             "user may drop requests",
                             group);
    return problem;
}
