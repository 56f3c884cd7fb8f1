/* A configuration without a file: rules are compiled by the program's own compiler, once each. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/files.h"
#include "tests/sim/sim.h"
#include "tests/sim/world.h"

enum { KINDS = 3, KEPT = KINDS * 2 * 2 };

static struct {
    struct config config;
    struct watch_config watches[MOST_ROOTS];
    struct {
        int kind;
        bool call_key;
    } drawn[MOST_ROOTS];
    struct rule_set *kept[KEPT];
} all;

static void problem(void *ctx, int line, const char *text)
{
    (void)ctx, (void)line;
    violated("the simulation's own rules: %s", text);
}

static struct rule_set *rules_of(int kind, bool call_key, bool complete)
{
    static const char *const keys[KINDS] = {"", "m-{call}", "sha256-{sha256}"};
    struct rule_set **kept = &all.kept[(kind * 2 + call_key) * 2 + complete];
    struct rule_source rule = {.title = "calls",
                               .pattern = complete ? "^c(?<call>\\d+)-a(?<agent>\\d)"
                                                   : "^c(?<call>\\d+)-a(?<agent>[0-3])",
                               .owner = "a{agent}@example.com"};
    struct rule_set_source source = {.rules = &rule,
                                     .rule_count = 1,
                                     .meeting_id = keys[kind],
                                     .call_key = call_key ? "{call}" : NULL};
    if (*kept == NULL)
        *kept = rules_compile(&source, problem, NULL);
    return *kept;
}

struct config *config_of_world(bool complete)
{
    struct config *config = &all.config;
    static char nothing[] = "", state_dir[] = "state";
    config->state_dir = state_dir;
    config->chorus.url = config->chorus.token_file = nothing;
    config->watches = all.watches;
    memset(config->digest, 0, sizeof config->digest);
    config->digest[0] = complete ? 77 : 66;
    for (size_t i = 0; i < config->watch_count; i++)
        all.watches[i].rules = rules_of(all.drawn[i].kind, all.drawn[i].call_key, complete);
    return config;
}

int64_t config_retry_for_ms(void)
{
    return all.config.upload.retry_for_ms;
}

void config_draw(int watches)
{
    static char move_to[] = "/srv/done";
    struct config *config = &all.config;
    config->watch_count = (size_t)watches;
    config->upload.concurrency = (int)dice_between(1, 4);
    config->upload.retry_first_ms = S;
    config->upload.retry_max_ms = dice_one_in(2) ? 15 * MINUTE : MINUTE;
    config->upload.retry_for_ms = dice_one_in(4) ? 30 * MINUTE : 7 * DAY;
    config->upload.resend_after_ms = MINUTE;
    config->upload.order = (enum upload_order)dice_below(3);
    /* every other copy of a call */
    static char preferred[] = "*[02468].*", none[] = "";
    for (int i = 0; i < watches; i++) {
        struct watch_config *watch = &all.watches[i];
        all.drawn[i].kind = (int)dice_below(KINDS);
        all.drawn[i].call_key = dice_one_in(4);
        *watch = (struct watch_config){
            .name = files.roots[i].name,
            .path = files.roots[i].path,
            .include_is_default = true,
            .since = SINCE_ALL,
            .settle_ms = 2 * S,
            .rescan_ms = dice_one_in(2) ? 5 * MINUTE : HOUR,
            .delay_ms = dice_one_in(6) ? 5 * MINUTE : 0,
            .keep_for_ms = dice_one_in(3) ? 10 * MINUTE : 0,
            .after_upload = (enum after_upload)dice_below(3),
            .move_to = move_to,
            .prefer = all.drawn[i].call_key ? preferred : none,
            .prefer_wait_ms = MINUTE,
        };
    }
}
