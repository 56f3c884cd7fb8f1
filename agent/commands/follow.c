#include "agent/commands/follow.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "agent/commands/command.h"
#include "agent/service/handover.h"
#include "agent/service/lock.h"

enum { LOOK_EVERY_MS = 100 };

static volatile sig_atomic_t stop_code;

static void on_signal(int signal)
{
    (void)signal;
    stop_code = EX_TEMPFAIL;
}

void follow_stop(int exit_code)
{
    stop_code = exit_code;
}

static bool service_is_there(const char *state_dir)
{
    struct lock_holder holder;
    bool held = lock_is_held(state_dir, &holder);
    lock_holder_clear(&holder);
    return held;
}

static int wait_for_result(const char *state_dir, const char *name,
                           void (*news)(void *ctx, const cJSON *json), void *ctx, cJSON **result)
{
    const struct timespec pause = {.tv_nsec = LOOK_EVERY_MS * 1000000L};
    for (;;) {
        cJSON *progress;
        bool there = service_is_there(state_dir);
        if (handover_poll(state_dir, name, &progress, result))
            return 0;
        if (progress != NULL && news != NULL)
            news(ctx, progress);
        cJSON_Delete(progress);
        if (stop_code == EX_TEMPFAIL)
            command_say("no longer following: what the service took goes on");
        if (stop_code != 0)
            return stop_code;
        if (!there) {
            command_say("the service ended meanwhile; what it took stays queued");
            return EX_UNAVAILABLE;
        }
        nanosleep(&pause, NULL);
    }
}

int follow(const char *state_dir, const cJSON *request, void (*news)(void *ctx, const cJSON *json),
           void *ctx, cJSON **result)
{
    *result = NULL;
    char *name = handover_send(state_dir, request);
    if (name == NULL) {
        command_say("the request cannot be written below %s: %s", state_dir, strerror(errno));
        return EX_CANTCREAT;
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    int code = wait_for_result(state_dir, name, news, ctx, result);
    handover_forget(state_dir, name);
    free(name);
    const cJSON *problem = cJSON_GetObjectItemCaseSensitive(*result, "problem");
    if (cJSON_IsString(problem)) {
        command_say("%s", problem->valuestring);
        cJSON_Delete(*result);
        *result = NULL;
        return EX_USAGE;
    }
    return code;
}
