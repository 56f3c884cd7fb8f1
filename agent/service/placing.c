#include "agent/service/placing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/base/mutant.h"
#include "agent/control/result.h"
#include "agent/ledger/ledger.h"
#include "watcher/digest.h"

enum { BLOCK = 65536 };

char *placing_folder(const char *control_dir, const struct ledger_request *request)
{
    return mem_printf("%s/%s", control_dir,
                      request->stage == REQUEST_REFUSING ? "rejected" : "done");
}

/* --- the result --- */

static void add_finding(void *ctx, const struct ledger_finding *finding)
{
    result_add(ctx, finding);
}

static int add_findings(const struct placing *placing, struct result *result)
{
    struct ledger *ledger;
    if (placing->request->stage == REQUEST_REFUSING)
        return 0;
    int error = ledger_open(placing->state_dir, LEDGER_READ, &ledger, NULL);
    if (error != 0)
        return error;
    ledger_request_findings(ledger, placing->request->id, add_finding, result);
    error = ledger_error(ledger);
    ledger_close(ledger);
    return error;
}

static int write_result(const struct placing *placing, const char *folder, const char *name)
{
    const struct ledger_request *request = placing->request;
    const struct result_head head = {.request = request->file,
                                     .reason = request->facts.reason,
                                     .requested_by = request->facts.requested_by,
                                     .refusal = request->refusal,
                                     .dry_run = request->facts.dry_run,
                                     .taken_ms = request->taken_ms};
    struct result *result = result_begin(folder, name, &head);
    if (result == NULL)
        return -errno;
    int error = add_findings(placing, result);
    if (error == 0)
        return result_end(result);
    result_drop(result);
    return error;
}

static bool stands(const char *folder, const char *name)
{
    struct stat st;
    char *path = mem_printf("%s/%s", folder, name);
    bool there = lstat(path, &st) == 0;
    free(path);
    return there;
}

static int place_result(const struct placing *placing, const char *folder)
{
    char *name = result_name(placing->request->placed_as);
    int error = 0;
    if (placing->first || !stands(folder, name) || mutant("result-again"))
        error = write_result(placing, folder, name);
    free(name);
    return error;
}

/* --- the control file --- */

static int digest_content(const char *path, uint8_t sha256[32])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    struct digest *digest = digest_new();
    char *block = mem_zalloc(BLOCK);
    ssize_t n = 0;
    int error = digest == NULL ? -ENOMEM : 0;
    while (error == 0 && (n = read(fd, block, BLOCK)) > 0)
        error = digest_update(digest, block, (size_t)n);
    if (error == 0 && n < 0)
        error = -errno;
    if (error == 0)
        error = digest_final(digest, sha256);
    digest_free(digest);
    free(block);
    close(fd);
    return error;
}

/* Another request may stand under its name by now. What could not be read is known by its
 * identity. */
static bool is_the_one(const char *path, const uint8_t digest[32])
{
    struct stat st;
    struct file_identity identity;
    uint8_t found[32];
    if (lstat(path, &st) != 0)
        return false;
    memset(&identity, 0, sizeof identity);
    file_identity_of(&st, &identity);
    if (digest_of(&identity, sizeof identity, found) == 0 && memcmp(found, digest, 32) == 0)
        return true;
    return S_ISREG(st.st_mode) && digest_content(path, found) == 0 &&
           memcmp(found, digest, 32) == 0;
}

static int sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return error;
}

/* Moved by an earlier try, or taken away by somebody: then there is nothing to do. */
static int move_control_file(const struct placing *placing, const char *folder)
{
    const struct ledger_request *request = placing->request;
    char *from = mem_printf("%s/%s", placing->control_dir, request->file);
    char *to = mem_printf("%s/%s", folder, request->placed_as);
    int error = 0;
    if (is_the_one(from, request->digest) &&
        renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) != 0 && errno != ENOENT &&
        errno != EEXIST)
        error = -errno;
    if (error == 0)
        error = sync_folder(folder);
    if (error == 0)
        error = sync_folder(placing->control_dir);
    free(from);
    free(to);
    return error;
}

/* The control file first: whoever sees the result finds its request beside it. */
int placing_run(const struct placing *placing, char **what)
{
    char *folder = placing_folder(placing->control_dir, placing->request);
    *what = NULL;
    int error = move_control_file(placing, folder);
    if (error != 0) {
        *what = mem_printf("the control file cannot be moved to %s: %s", folder, strerror(-error));
        error = error == -EEXIST ? -EIO : error;
    } else if ((error = place_result(placing, folder)) != 0 && error != -EEXIST) {
        *what = mem_printf("its result cannot be written in %s: %s", folder, strerror(-error));
    }
    free(folder);
    return error;
}
