#include "agent/commands/deletion_result.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/commands/command.h"
#include "agent/ledger/deletions.h"
#include "agent/service/lock.h"

enum { LOOK_EVERY_MS = 100, TELL_EVERY = 10 };

static volatile sig_atomic_t stopped;

static void on_signal(int signal)
{
    (void)signal;
    stopped = 1;
}

bool deletion_service_is_there(const struct config *config)
{
    struct lock_holder holder;
    if (access(config->state_dir, X_OK) != 0 && errno == EACCES)
        return true;
    bool held = lock_is_held(config->state_dir, &holder);
    lock_holder_clear(&holder);
    return held;
}

/* --- the result --- */

/* Which outcomes a result holds. */
struct outcomes {
    bool refused, unconfirmed;
};

static bool is_word(const char *at, const char *end, const char *word)
{
    size_t n = strlen(word);
    return (size_t)(end - at) > n && strncmp(at, word, n) == 0 && at[n] == '"';
}

/* In a string a quote stands behind a backslash, so this key cannot be met within one. */
static void find_outcomes(const char *text, size_t n, struct outcomes *found)
{
    static const char key[] = "\"outcome\"";
    const char *end = text + n;
    for (const char *at; (at = memmem(text, (size_t)(end - text), key, sizeof key - 1)) != NULL;) {
        text = at + sizeof key - 1;
        while (text < end && strchr(" \t\r\n:", *text) != NULL)
            text++;
        text += text < end && *text == '"';
        if (is_word(text, end, "refused") || is_word(text, end, "not-found"))
            found->refused = true;
        if (is_word(text, end, "accepted-unconfirmed"))
            found->unconfirmed = true;
    }
}

/* Prints the file, which may be large. -ENOENT: there is none; or another negative errno. */
static int print_result(const char *file, struct outcomes *found)
{
    struct stat st;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    int error = fstat(fd, &st) != 0 ? -errno : 0;
    size_t n = error == 0 ? (size_t)st.st_size : 0;
    char *text = n > 0 ? mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (error == 0 && n > 0 && text == MAP_FAILED)
        error = -errno;
    if (text != MAP_FAILED) {
        find_outcomes(text, n, found);
        fwrite(text, 1, n, stdout);
        if (text[n - 1] != '\n')
            putchar('\n');
        munmap(text, n);
    }
    close(fd);
    return fflush(stdout) != 0 && error == 0 ? -errno : error;
}

/* Whether the result is there; then *code. */
static bool take_result(const struct config *config, const char *name, int *code)
{
    struct outcomes found = {false, false};
    char *done = mem_printf("%s/done/%s.result.json", config->control_dir, name);
    char *rejected = mem_printf("%s/rejected/%s.result.json", config->control_dir, name);
    int error = print_result(done, &found);
    *code = found.refused ? 1 : found.unconfirmed ? EX_TEMPFAIL : 0;
    if (error == -ENOENT) {
        error = print_result(rejected, &found);
        *code = 1;
    }
    if (error != 0 && error != -ENOENT) {
        command_say("the result of %s.delete cannot be read: %s", name, strerror(-error));
        *code = EX_IOERR;
    }
    free(done);
    free(rejected);
    return error != -ENOENT;
}

/* --- how it goes --- */

struct progress {
    struct ledger *ledger; /* NULL: not ours to read */
    char *told;
};

/* What the ledger says of the request, in words; NULL: it does not know it yet. New string. */
static char *describe(struct ledger *ledger, const char *name)
{
    static const char *const stages[] = {
        [REQUEST_READING] = "being read",
        [REQUEST_RESOLVING] = "looking for what it names",
        [REQUEST_MARKING] = "blocking what it names",
        [REQUEST_AT_WORK] = "asking Chorus",
        [REQUEST_REPORTING] = "writing the result",
        [REQUEST_REFUSING] = "refused",
    };
    struct ledger_request request;
    char *file = mem_printf("%s.delete", name), *words = NULL;
    for (int64_t after = 0; words == NULL && ledger_request_next(ledger, after, &request);) {
        after = request.id;
        if (strcmp(request.file, file) == 0 && request.stage <= REQUEST_REFUSING &&
            stages[request.stage] != NULL) {
            int64_t matched = 0, bad = 0;
            if (request.stage >= REQUEST_MARKING)
                ledger_request_extent(ledger, request.id, &matched, &bad);
            words = matched > 0
                        ? mem_printf("%s: %" PRId64 " recordings", stages[request.stage], matched)
                        : mem_string(stages[request.stage]);
        }
        ledger_request_clear(&request);
    }
    free(file);
    return words;
}

static void tell(struct progress *progress, const struct config *config, const char *name)
{
    if (progress->ledger == NULL && access(config->state_dir, R_OK | X_OK) == 0)
        command_open_ledger(config, &progress->ledger);
    char *words = progress->ledger != NULL ? describe(progress->ledger, name) : NULL;
    if (words != NULL && (progress->told == NULL || strcmp(words, progress->told) != 0)) {
        command_say("%s", words);
        mem_replace(&progress->told, words);
        return;
    }
    free(words);
}

static int wait_for_result(const struct config *config, const char *name, struct progress *progress)
{
    const struct timespec pause = {.tv_nsec = LOOK_EVERY_MS * 1000000L};
    for (unsigned looks = 0;; looks++) {
        int code;
        bool there = deletion_service_is_there(config);
        if (take_result(config, name, &code))
            return code;
        if (stopped) {
            command_say("no longer following: %s.delete is carried out all the same", name);
            return EX_TEMPFAIL;
        }
        if (!there) {
            command_say("the service ended meanwhile; it goes on with %s.delete once it runs again",
                        name);
            return EX_UNAVAILABLE;
        }
        if (looks % TELL_EVERY == 0)
            tell(progress, config, name);
        nanosleep(&pause, NULL);
    }
}

int deletion_follow(const struct config *config, const char *name)
{
    struct progress progress = {NULL, NULL};
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    command_say("requested: %s/%s.delete", config->control_dir, name);
    int code = wait_for_result(config, name, &progress);
    ledger_close(progress.ledger);
    free(progress.told);
    return code;
}
