#include "agent/commands/online.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "agent/base/mem.h"
#include "agent/commands/command.h"
#include "uploader/uploader.h"

enum { MOST_BYTES = 16 * 1024 * 1024, MOST_PAGES = 1000 };

struct asking {
    struct uploader *uploader;
    struct online_answer *answer;
};

static void on_closed(void *ctx)
{
    (void)ctx;
}

static void on_answer(void *ctx, const struct question_answer *answer)
{
    struct asking *asking = ctx;
    asking->answer->status = answer->status;
    mem_replace(&asking->answer->body, mem_string(answer->body));
    mem_replace(&asking->answer->said, mem_string(answer->said));
    mem_replace(&asking->answer->date, mem_string(answer->date));
    uploader_close(asking->uploader, on_closed, NULL);
}

int online_get(const struct config *config, const char *token, const char *target,
               struct online_answer *answer)
{
    struct uploader_options options = {
        .url = config->chorus.url,
        .ca_file = config->chorus.ca_file,
        .proxy = config->chorus.proxy,
        .bearer = config->chorus.bearer,
        .stall_timeout_ms = config->upload.stall_timeout_ms,
        .user_agent = "chorus-agent",
    };
    struct asking asking = {.answer = answer};
    struct question *question;
    uv_loop_t loop;
    *answer = (struct online_answer){
        .body = mem_string(""), .said = mem_string(""), .date = mem_string("")};
    int error = uv_loop_init(&loop);
    if (error != 0) {
        mem_replace(&answer->said, mem_string(uv_strerror(error)));
        return -1;
    }
    error = uploader_new(&loop, &options, &asking.uploader);
    if (error == 0) {
        error = uploader_set_token(asking.uploader, token);
        if (error == 0)
            error = uploader_ask(asking.uploader, "GET", target, MOST_BYTES, on_answer, &asking,
                                 &question);
        if (error != 0)
            uploader_close(asking.uploader, on_closed, NULL);
        uv_run(&loop, UV_RUN_DEFAULT);
    }
    uv_loop_close(&loop);
    if (error != 0)
        mem_replace(&answer->said, mem_string(strerror(-error)));
    return error == 0 ? 0 : -1;
}

void online_clear(struct online_answer *answer)
{
    free(answer->body);
    free(answer->said);
    free(answer->date);
}

/* One page; `target` becomes the next one's, NULL: this was the last. A page without anybody new is
 * the last, too: a list that goes in a circle ends. */
static int get_page(const struct config *config, const char *token, struct users *users,
                    char **target, struct online_answer *answer)
{
    char *next = NULL;
    online_get(config, token, *target, answer);
    long added = answer->status == 200 ? users_add_answer(users, answer->body, &next) : -1;
    if (added <= 0)
        mem_replace(&next, NULL);
    mem_replace(target, next);
    return added >= 0 ? 0 : -1;
}

int online_get_users(const struct config *config, const char *token, struct users *users,
                     struct online_answer *answer)
{
    char *target = mem_string(USERS_TARGET);
    int error = get_page(config, token, users, &target, answer);
    for (int page = 1; error == 0 && target != NULL && page < MOST_PAGES; page++) {
        online_clear(answer);
        error = get_page(config, token, users, &target, answer);
    }
    free(target);
    return error;
}
