#include "agent/service/quiet.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/mem.h"
#include "agent/base/when.h"
#include "agent/service/internal.h"

/* In hours: how long is too long, how often it is said again, how often files are judged. */
enum {
    HELD_HOURS = 24,
    WAITING_HOURS = 1,
    AGAIN_HOURS = 24,
    APPEARED_HOURS = 1,
    LOOKS_AN_HOUR = 60
};

struct quiet {
    struct service *service;
    uv_timer_t timer;
    int64_t hour_ms;
    struct quiet_alarm held, waiting;
};

/* True: it is to be told now. */
static bool rings(const struct quiet *quiet, struct quiet_alarm *alarm)
{
    int64_t now_ms = when_steady_ms();
    if (alarm->on && now_ms - alarm->told_ms < AGAIN_HOURS * quiet->hour_ms)
        return false;
    alarm->on = true;
    alarm->told_ms = now_ms;
    return true;
}

static void over(struct quiet_alarm *alarm, const char *event)
{
    if (alarm->on)
        log_event(LOG_INFO, event, "reason", "that is over", NULL);
    alarm->on = false;
}

static void look_at_held(struct quiet *quiet, const struct ledger_counts *counts)
{
    char count[24], age[WHEN_TEXT];
    int64_t age_ms = counts->oldest_held_ms != 0 ? when_now_ms() - counts->oldest_held_ms : 0;
    if (age_ms <= HELD_HOURS * quiet->hour_ms) {
        over(&quiet->held, "held-long");
        return;
    }
    if (!rings(quiet, &quiet->held))
        return;
    snprintf(count, sizeof count, "%" PRId64, counts->state[STATE_HELD]);
    when_about(age_ms, age);
    log_event(LOG_WARNING, "held-long", "recordings", count, "oldest", age, "reason",
              "they wait for a table or a person", "to-do",
              "chorus-agent list --state held shows each with its reason", NULL);
}

static void look_at_waiting(struct quiet *quiet, const struct ledger_counts *counts)
{
    char count[24], age[WHEN_TEXT];
    struct service *service = quiet->service;
    int64_t age_ms = counts->oldest_waiting_ms != 0 ? when_now_ms() - counts->oldest_waiting_ms : 0;
    if (age_ms <= WAITING_HOURS * quiet->hour_ms || uplink_is_held_for_a_time(service->uplink)) {
        over(&quiet->waiting, "waiting-long");
        return;
    }
    if (!rings(quiet, &quiet->waiting))
        return;
    const char *paused = plan_paused_because(service->plan);
    snprintf(count, sizeof count, "%" PRId64,
             counts->state[STATE_QUEUED] + counts->state[STATE_WAITING] +
                 counts->state[STATE_UNCERTAIN]);
    when_about(age_ms, age);
    log_event(LOG_WARNING, "waiting-long", "recordings", count, "oldest", age, "reason",
              paused[0] != '\0' ? paused : service->last_error, "to-do",
              "chorus-agent status says what holds them up", NULL);
}

static void tell_unaccepted(struct quiet *quiet, struct folder *folder)
{
    char appeared[24], passed_over[24];
    bool by_name = folder->appeared == 0;
    if (!rings(quiet, &folder->unaccepted))
        return;
    snprintf(appeared, sizeof appeared, "%" PRIu64, folder->appeared);
    snprintf(passed_over, sizeof passed_over, "%" PRIu64, folder->passed_over);
    log_event(LOG_WARNING, "none-accepted", "watch", folder->watch_name, "path", folder->root,
              "appeared", by_name ? NULL : appeared, "passed-over", by_name ? passed_over : NULL,
              "reason",
              by_name ? "files are there, and none has a name that this watch takes"
                      : "files appeared, and every one of them was skipped",
              "to-do",
              by_name ? "mend include and exclude; chorus-agent explain FILE"
                      : "chorus-agent list --state skipped shows each with its reason",
              NULL);
}

/* Hour by hour: what appeared, and whether any of it became a recording. A folder in which only
 * files with other names lie is looked at as it stands. */
static void look_at_folder(struct quiet *quiet, struct folder *folder)
{
    int64_t now_ms = when_steady_ms();
    if (folder->bulk != NULL || folder->closing || !folder->scanned)
        return;
    if (folder->judged_ms == 0)
        folder->judged_ms = now_ms;
    if (now_ms - folder->judged_ms < APPEARED_HOURS * quiet->hour_ms)
        return;
    bool none_by_name = folder->candidates == 0 && folder->passed_over > 0;
    if (folder->accepted == 0 && (folder->appeared > 0 || none_by_name))
        tell_unaccepted(quiet, folder);
    else if (folder->accepted > 0)
        over(&folder->unaccepted, "none-accepted");
    folder->judged_ms = now_ms;
    folder->appeared = folder->accepted = 0;
}

static void on_timer(uv_timer_t *timer)
{
    struct quiet *quiet = timer->data;
    struct ledger_counts counts;
    struct ledger *ledger = journal_ledger(quiet->service->journal);
    if (ledger == NULL || quiet->service->stopping)
        return;
    ledger_count(ledger, &counts);
    look_at_held(quiet, &counts);
    look_at_waiting(quiet, &counts);
    for (struct folder *f = quiet->service->folders; f != NULL; f = f->next)
        look_at_folder(quiet, f);
}

static int64_t hour_ms(void)
{
#ifdef CHORUS_MUTANTS
    const char *shorter = getenv("CHORUS_HOUR_MS"); /* a test cannot wait for a day */
    if (shorter != NULL)
        return strtoll(shorter, NULL, 10);
#endif
    return 3600000;
}

struct quiet *quiet_new(struct service *service)
{
    struct quiet *quiet = mem_zalloc(sizeof *quiet);
    quiet->service = service;
    quiet->hour_ms = hour_ms();
    uv_timer_init(&service->loop, &quiet->timer);
    quiet->timer.data = quiet;
    uint64_t every_ms = (uint64_t)(quiet->hour_ms / LOOKS_AN_HOUR + 1);
    uv_timer_start(&quiet->timer, on_timer, every_ms, every_ms);
    return quiet;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void quiet_close(struct quiet *quiet)
{
    if (quiet != NULL)
        uv_close((uv_handle_t *)&quiet->timer, on_closed);
}
