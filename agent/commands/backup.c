/* backup: a copy of the ledger into a new file, also while the service runs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/commands/command.h"

/* The bytes of `from` into `to`, durable. 0 or a positive errno. */
static int copy_bytes(int from, int to)
{
    static char buffer[1 << 16];
    ssize_t n;
    while ((n = read(from, buffer, sizeof buffer)) > 0) {
        for (ssize_t at = 0; at < n;) {
            ssize_t written = write(to, buffer + at, (size_t)(n - at));
            if (written < 0)
                return errno;
            at += written;
        }
    }
    return n < 0 || fsync(to) != 0 ? errno : 0;
}

/* SQLite opens files by name, as the service's user, who may not enter where the copy goes: it is
 * made beside the ledger, and then copied through a descriptor that was opened before. */
static int back_up(struct ledger *ledger, const char *state_dir, const char *file, int to)
{
    char *beside = mem_printf("%s/.backup-%ld", state_dir, (long)getpid()), *why = NULL;
    int fd = open(beside, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int error = fd < 0 ? errno : 0;
    if (error != 0)
        command_say("%s cannot be made: %s", beside, strerror(error));
    if (error == 0 && (error = -ledger_backup(ledger, beside, &why)) != 0)
        command_say("the ledger cannot be copied: %s", why);
    if (error == 0 && (error = copy_bytes(fd, to)) != 0)
        command_say("%s cannot be written: %s", file, strerror(error));
    if (fd >= 0) {
        close(fd);
        unlink(beside);
    }
    free(beside);
    free(why);
    return error == 0 ? EX_OK : EX_IOERR;
}

static int open_and_back_up(const struct config *config, const char *file, int to)
{
    struct ledger *ledger;
    int code = command_enter_state_dir(config, false);
    if (code == 0)
        code = command_open_ledger(config, &ledger);
    if (code == 1) {
        command_say("there is no ledger in %s yet", config->state_dir);
        return EX_NOINPUT;
    }
    if (code != 0)
        return code;
    code = back_up(ledger, config->state_dir, file, to);
    ledger_close(ledger);
    return code;
}

int command_backup(const struct invocation *invocation)
{
    struct config *config;
    struct stat st;
    if (invocation->argc != 2 || invocation->argv[1][0] == '-')
        return command_usage(invocation, "it takes one FILE");
    int code = command_load_config(invocation, CONFIG_TO_LOOK, &config);
    if (code != 0)
        return code;
    char *file = command_absolute_path(invocation->argv[1]);
    /* the folder is opened before root is given up, so that what failed can be taken away again */
    char *slash = strrchr(file, '/');
    char *folder = mem_bytes_string(file, slash == file ? 1 : (size_t)(slash - file));
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int to = dir < 0 ? -1
                     : openat(dir, slash + 1, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                              0600);
    if (to < 0) {
        command_say("%s cannot be made: %s", file, strerror(errno));
        code = EX_CANTCREAT;
    } else {
        code = open_and_back_up(config, file, to);
        if (code == 0 && (fsync(dir) != 0 || fstat(to, &st) != 0)) {
            command_say("%s cannot be written: %s", file, strerror(errno));
            code = EX_IOERR;
        }
        if (code == 0)
            printf("wrote %s, %lld bytes\n", file, (long long)st.st_size);
        else if (ftruncate(to, 0) != 0 || unlinkat(dir, slash + 1, 0) != 0)
            command_say("%s is no backup: remove it", file);
        close(to);
    }
    if (dir >= 0)
        close(dir);
    free(folder);
    free(file);
    config_free(config);
    return code;
}
