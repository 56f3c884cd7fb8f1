#include "agent/service/busy.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

#include "agent/base/log.h"
#include "agent/base/mem.h"

/* linux/close_range.h; Linux 5.11, and older ones refuse it. */
enum { CLOSE_RANGE_ON_EXEC = 1 << 2 };

/* One run of the program. */
struct run {
    struct busy *busy;
    bool wanted; /* its answer: it is in time, and of the present configuration */
    uv_process_t process;
};

struct busy {
    uv_loop_t *loop;
    void (*changed)(void *ctx);
    void *ctx;
    uv_timer_t timer; /* for the next run; while one is out, for its end */
    char **command;   /* ended by NULL; NULL: none */
    int64_t every_ms;
    struct run *run; /* NULL: none is out */
    bool so, stopped;
    char *words;
};

/* --- what it said --- */

static void conclude(struct busy *busy, bool so, char *words)
{
    if (so == busy->so && strcmp(words, busy->words) == 0) {
        free(words); /* whoever shows them has the others */
        return;
    }
    busy->so = so;
    mem_replace(&busy->words, words);
    busy->changed(busy->ctx);
}

/* Takes `how` over. */
static void conclude_nothing(struct busy *busy, char *how)
{
    char *reason = mem_printf("bandwidth.busy_command %s", how);
    log_trouble(LOG_WARNING, "busy-command", "reason", reason, "command", busy->command[0], "to-do",
                "let it end with 0 when calls are many and with 1 when they are not: as long as it "
                "does neither, they count as many",
                NULL);
    free(how);
    conclude(busy, true, reason);
}

static void take_answer(struct busy *busy, int64_t status, int signal)
{
    if (signal != 0)
        conclude_nothing(busy, mem_printf("was ended by signal %d", signal));
    else if (status == 0)
        conclude(busy, true, mem_string("calls are many, says bandwidth.busy_command"));
    else if (status == 1)
        conclude(busy, false, mem_string(""));
    else
        conclude_nothing(busy, mem_printf("ended with %d", (int)status));
}

/* --- one run --- */

static void on_timer(uv_timer_t *timer);

static void run_in(struct busy *busy, int64_t ms)
{
    if (!busy->stopped && busy->command != NULL && busy->run == NULL)
        uv_timer_start(&busy->timer, on_timer, (uint64_t)ms, 0);
}

static void on_run_closed(uv_handle_t *handle)
{
    struct run *run = handle->data;
    struct busy *busy = run->busy;
    bool wanted = run->wanted;
    busy->run = NULL;
    free(run);
    run_in(busy, wanted ? busy->every_ms : 0);
}

static void on_ended(uv_process_t *process, int64_t status, int signal)
{
    const struct run *run = process->data;
    struct busy *busy = run->busy;
    uv_timer_stop(&busy->timer);
    if (run->wanted)
        take_answer(busy, status, signal);
    uv_close((uv_handle_t *)process, on_run_closed);
}

/* With all that it started: it leads a group of its own. */
static void kill_run(const struct run *run)
{
    uv_kill(-uv_process_get_pid(&run->process), SIGKILL);
}

/* Whatever the program inherits from us is ours alone: nothing of it is open in there, not even
 * what a library forgot to mark. */
static void keep_descriptors(void)
{
#ifdef SYS_close_range
    syscall(SYS_close_range, 3U, ~0U, (unsigned)CLOSE_RANGE_ON_EXEC);
#endif
}

static void start(struct busy *busy)
{
    static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    static char language[] = "LC_ALL=C";
    char *environment[] = {path, language, NULL};
    uv_stdio_container_t nothing[3] = {
        {.flags = UV_IGNORE}, {.flags = UV_IGNORE}, {.flags = UV_IGNORE}};
    struct run *run = mem_zalloc(sizeof *run);
    uv_process_options_t options = {.exit_cb = on_ended,
                                    .file = busy->command[0],
                                    .args = busy->command,
                                    .env = environment,
                                    .cwd = "/",
                                    .flags = UV_PROCESS_DETACHED,
                                    .stdio_count = 3,
                                    .stdio = nothing};
    run->busy = busy;
    run->wanted = true;
    run->process.data = run;
    busy->run = run;
    keep_descriptors();
    int error = uv_spawn(busy->loop, &run->process, &options);
    if (error != 0) {
        conclude_nothing(busy, mem_printf("cannot be started: %s", uv_strerror(error)));
        uv_close((uv_handle_t *)&run->process, on_run_closed);
        return;
    }
    uv_timer_start(&busy->timer, on_timer, BUSY_LIMIT_MS, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct busy *busy = timer->data;
    if (busy->run == NULL) {
        start(busy);
        return;
    }
    kill_run(busy->run);
    if (busy->run->wanted)
        conclude_nothing(busy, mem_printf("did not end within %d s", BUSY_LIMIT_MS / 1000));
    busy->run->wanted = false;
}

/* --- its life --- */

static void free_command(char **command)
{
    for (size_t i = 0; command != NULL && command[i] != NULL; i++)
        free(command[i]);
    free(command);
}

static char **copy_command(char *const *command, size_t count)
{
    char **copy = count > 0 ? mem_array(count + 1, sizeof *copy) : NULL;
    for (size_t i = 0; i < count; i++)
        copy[i] = mem_string(command[i]);
    if (copy != NULL)
        copy[count] = NULL;
    return copy;
}

static bool is_same(char *const *now, char *const *wanted, size_t count)
{
    size_t i = 0;
    while (now != NULL && now[i] != NULL && i < count && strcmp(now[i], wanted[i]) == 0)
        i++;
    return i == count && (now == NULL || now[i] == NULL);
}

static void drop_run(struct busy *busy)
{
    uv_timer_stop(&busy->timer);
    if (busy->run == NULL)
        return;
    busy->run->wanted = false;
    if (!uv_is_closing((uv_handle_t *)&busy->run->process))
        kill_run(busy->run);
}

void busy_configure(struct busy *busy, char *const *command, size_t count, int64_t every_ms)
{
    if (is_same(busy->command, command, count) && busy->every_ms == every_ms)
        return;
    drop_run(busy);
    free_command(busy->command);
    busy->command = copy_command(command, count);
    busy->every_ms = every_ms;
    busy->so = count > 0;
    mem_replace(&busy->words,
                mem_string(count > 0 ? "bandwidth.busy_command has not answered yet" : ""));
    run_in(busy, 0);
}

bool busy_is_so(const struct busy *busy)
{
    return busy->so;
}

const char *busy_words(const struct busy *busy)
{
    return busy->words;
}

struct busy *busy_new(struct uv_loop_s *loop, void (*changed)(void *ctx), void *ctx)
{
    struct busy *busy = mem_zalloc(sizeof *busy);
    busy->loop = loop;
    busy->changed = changed;
    busy->ctx = ctx;
    busy->words = mem_string("");
    uv_timer_init(loop, &busy->timer);
    busy->timer.data = busy;
    return busy;
}

void busy_stop(struct busy *busy)
{
    busy->stopped = true;
    drop_run(busy);
}

bool busy_is_idle(const struct busy *busy)
{
    return busy->run == NULL;
}

static void on_closed(uv_handle_t *handle)
{
    struct busy *busy = handle->data;
    free_command(busy->command);
    free(busy->words);
    free(busy);
}

void busy_close(struct busy *busy)
{
    assert(busy->run == NULL);
    uv_close((uv_handle_t *)&busy->timer, on_closed);
}
