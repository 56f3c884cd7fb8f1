/*
 * Dispatch: carries out what the plan wants, each effect after the commit of what came before it,
 * and tells the plan how it ended.
 *
 * A transfer lives from EFFECT_SEND until its PLAN_ENDED or PLAN_NOT_SENT. The body is opened (on
 * the pool) before the intent is recorded, so that a file that has left costs no attempt.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/base/mutant.h"
#include "agent/base/when.h"
#include "agent/plan/endings.h"
#include "agent/service/body.h"
#include "agent/service/file_work.h"
#include "agent/service/internal.h"
#include "agent/service/token.h"

enum {
    READBACK_FIRST_MS = 60000,
    FETCH_ROOM = 512,
    UNREADABLE_AGAIN_MS = 60000,
    OFFLINE_AGAIN_MS = 300000 /* or once its folder is back */
};

static struct plan_time now(void)
{
    return (struct plan_time){.steady_ms = when_steady_ms(), .wall_ms = when_now_ms()};
}

/* --- transfers --- */

struct transfer {
    struct service *service;
    struct transfer *next;
    int64_t recording;
    struct ledger_job job;
    struct plan_item item; /* as it was sent */
    struct body *body;     /* NULL before it is opened and after it is closed */
    struct file_identity opened_as;
    char *opened_at;            /* path */
    struct root_identity found; /* the folder it was looked for in */
    struct upload *upload;      /* NULL until it is sent */
    bool wanted;                /* it is to be sent, as far as the ledger says */
    bool intended;
    bool waits;   /* something that decides may still come */
    bool is_gone; /* its file has left, and no other holds the same content */
    bool look_again;
    bool request_left;
    int body_error; /* what the file answered when it was opened or sent: negative errno */
};

static void link_transfer(struct transfer *transfer)
{
    struct service *service = transfer->service;
    transfer->next = service->transfers;
    service->transfers = transfer;
    service->transfer_count++;
}

static void free_transfer(void *ctx)
{
    struct transfer *transfer = ctx;
    struct transfer **link = &transfer->service->transfers;
    while (*link != NULL && *link != transfer)
        link = &(*link)->next;
    if (*link != NULL) {
        *link = transfer->next;
        transfer->service->transfer_count--;
    }
    if (transfer->body != NULL)
        body_close(transfer->body);
    free(transfer->opened_at);
    ledger_job_clear(&transfer->job);
    free(transfer);
}

static struct folder *folder_of(const struct transfer *transfer)
{
    return folder_of_ledger_watch(transfer->service, transfer->job.watch);
}

static const char *relative_path(const struct ledger_job *job)
{
    return job->path + job->root_length + (job->root_length > 1 ? 1 : 0);
}

static void put_off(struct ledger *ledger, int64_t recording, int64_t delay_ms, const char *reason)
{
    struct ledger_job job;
    if (ledger_job(ledger, recording, &job) != 0)
        return;
    struct plan_move move = {.to = job.state == STATE_UNCERTAIN ? STATE_UNCERTAIN : STATE_WAITING,
                             .next_attempt_ms = when_now_ms() + delay_ms};
    snprintf(move.reason, sizeof move.reason, "%s", reason);
    ledger_move(ledger, recording, &move, when_now_ms());
    ledger_job_clear(&job);
}

/* The watched folder that it lies in; NULL: a bulk run took it from elsewhere. */
static const struct folder *folder_around(const struct transfer *transfer)
{
    const struct folder *folder = folder_of(transfer);
    const struct ledger_job *job = &transfer->job;
    bool ours = folder != NULL && strlen(folder->root) == job->root_length &&
                strncmp(folder->root, job->path, job->root_length) == 0;
    return ours ? folder : NULL;
}

/* Only where its folder is there does the absence of a file mean anything. */
static bool root_is_there(const struct transfer *transfer)
{
    const struct folder *folder = folder_around(transfer);
    return folder != NULL ? folder_is(folder, &transfer->found) : transfer->found.ino != 0;
}

static void put_off_offline(const struct transfer *transfer, struct ledger *ledger)
{
    put_off(ledger, transfer->recording, OFFLINE_AGAIN_MS, LEDGER_OFFLINE);
    ledger_try_other_path(ledger, transfer->recording);
}

/* The file could not be opened: what that means for the recording. */
static void body_failed(struct transfer *transfer, struct ledger *ledger)
{
    char reason[PLAN_REASON];
    switch (transfer->body_error) {
    case -ENOENT:
    case -ENOTDIR:
        if (root_is_there(transfer))
            transfer->is_gone = ledger_absent(ledger, transfer->job.path, when_now_ms());
        else
            put_off_offline(transfer, ledger);
        break;
    case -ETIMEDOUT:
        put_off_offline(transfer, ledger);
        break;
    case -ESTALE:
        ledger_source_changed(ledger, transfer->recording, false,
                              "another version stands at its path", when_now_ms());
        transfer->look_again = true;
        break;
    default:
        snprintf(reason, sizeof reason, "the file cannot be read: %s",
                 strerror(-transfer->body_error));
        put_off(ledger, transfer->recording, UNREADABLE_AGAIN_MS, reason);
    }
}

/* Rules and tables may have changed since it was resolved: never an upload under an old owner. */
static void resolve_anew(struct transfer *transfer, struct ledger *ledger)
{
    struct service *service = transfer->service;
    struct ledger_job *job = &transfer->job;
    if (job->digest == service->digest || job->digest == LEDGER_OWNER_GIVEN || job->frozen)
        return;
    const struct watch_config *watch = service_watch(service, ledger, job->watch);
    if (watch == NULL)
        return;
    struct resolution resolution;
    const struct recording_at at = {transfer->recording, job->path,   job->root_length,
                                    &job->identity,      job->sha256, job->duration_ms};
    transfer->waits =
        service_resolve_recording(service, ledger, watch, &at, job->path_id, NULL, &resolution);
    resolution_clear(&resolution);
    ledger_job_clear(job);
    if (ledger_job(ledger, transfer->recording, job) != 0)
        job->state = STATE_GONE;
}

static bool is_to_be_sent(const struct ledger_job *job)
{
    return (job->state == STATE_QUEUED || job->state == STATE_WAITING ||
            job->state == STATE_UNCERTAIN) &&
           job->path != NULL;
}

/* `retry` puts back what never had an owner: no rule of today gave it one. */
static bool hold_without_form(struct ledger *ledger, const struct ledger_job *job)
{
    if (job->owner != NULL && job->name != NULL)
        return false;
    struct plan_move move = {.to = STATE_HELD, .held = HELD_OWNER};
    snprintf(move.reason, sizeof move.reason,
             "it has no owner, and its watch is no longer in the configuration");
    ledger_move(ledger, job->recording, &move, when_now_ms());
    return true;
}

/* What was opened is what the ledger names now; else it is opened anew. */
static bool is_what_was_opened(const struct transfer *transfer)
{
    const struct ledger_job *job = &transfer->job;
    return transfer->opened_at != NULL && strcmp(job->path, transfer->opened_at) == 0 &&
           file_identity_equal_elsewhere(&job->identity, &transfer->opened_as);
}

static void apply_send(void *ctx, struct ledger *ledger)
{
    struct transfer *transfer = ctx;
    transfer->intended = transfer->wanted = false;
    transfer->look_again = transfer->waits = transfer->is_gone = false;
    ledger_job_clear(&transfer->job);
    if (ledger_job(ledger, transfer->recording, &transfer->job) != 0 ||
        !is_to_be_sent(&transfer->job))
        return;
    resolve_anew(transfer, ledger);
    if (transfer->waits || !is_to_be_sent(&transfer->job) ||
        hold_without_form(ledger, &transfer->job) ||
        ledger_block(ledger, transfer->recording, when_now_ms()))
        return;
    if (!is_what_was_opened(transfer)) {
        transfer->wanted = true;
        return;
    }
    if (transfer->body_error != 0) {
        body_failed(transfer, ledger);
        return;
    }
    ledger_intend(ledger, transfer->recording, when_now_ms());
    ledger_plan_item(ledger, transfer->recording, transfer->service->config->upload.order,
                     &transfer->item);
    transfer->intended = true;
}

/* --- the end of a transfer --- */

static void tell_not_sent(struct transfer *transfer)
{
    struct service *service = transfer->service;
    struct plan_event event = {.kind = PLAN_NOT_SENT, .recording = transfer->recording};
    if (transfer->look_again) {
        struct folder *folder = folder_of(transfer);
        if (folder != NULL && !folder->closing)
            watch_look_again(folder->watch, relative_path(&transfer->job));
    }
    free_transfer(transfer);
    service_plan(service, &event);
}

/* A disk that cannot read it now says nothing about the file: its end was withheld, and it goes
 * again. */
static bool is_unreadable(const struct transfer *transfer)
{
    return transfer->body_error != 0 && transfer->body_error != -ESTALE;
}

static void apply_changed(void *ctx, struct ledger *ledger)
{
    struct transfer *transfer = ctx;
    if (is_unreadable(transfer)) {
        struct plan_move move = {0};
        bool offline = transfer->body_error == -ETIMEDOUT;
        ending_again(&transfer->item,
                     when_now_ms() + (offline ? OFFLINE_AGAIN_MS : UNREADABLE_AGAIN_MS), &move);
        if (offline)
            snprintf(move.reason, sizeof move.reason, LEDGER_OFFLINE);
        else
            snprintf(move.reason, sizeof move.reason, "the file cannot be read: %s",
                     strerror(-transfer->body_error));
        ledger_move(ledger, transfer->recording, &move, when_now_ms());
        return;
    }
    ledger_source_changed(ledger, transfer->recording, transfer->request_left,
                          "it changed while it was being sent; the end was withheld",
                          when_now_ms());
}

static void changed_done(void *ctx)
{
    struct transfer *transfer = ctx;
    if (is_unreadable(transfer)) {
        log_trouble(LOG_WARNING, "unreadable", "reason", strerror(-transfer->body_error), "path",
                    transfer->job.path, NULL);
        tell_not_sent(transfer);
        return;
    }
    log_event(LOG_INFO, "changed", "path", transfer->job.path, "reason",
              "it changed while it was being sent; it settles again", NULL);
    transfer->look_again = true;
    tell_not_sent(transfer);
}

static void on_upload_done(void *ctx, const struct upload_answer *answer)
{
    struct transfer *transfer = ctx;
    struct service *service = transfer->service;
    transfer->upload = NULL;
    transfer->body = NULL; /* the uploader has closed it */
    transfer->request_left = answer->request_left;
    service->bytes_sent += answer->bytes_sent;
    service->recordings_sent += answer->verdict == VERDICT_ACCEPTED;
    service_moved(service);
    if (answer->verdict == VERDICT_SOURCE_CHANGED) {
        journal_add(service->journal,
                    &(struct journal_step){apply_changed, changed_done, free_transfer, transfer});
        return;
    }
    struct plan_item item = transfer->item;
    struct plan_event event = {.kind = PLAN_ENDED, .recording = transfer->recording, .item = &item};
    event.ending = (struct plan_ending){
        .verdict = answer->verdict,
        .status = answer->status,
        .request_left = answer->request_left,
        .timed_out = answer->timed_out,
        .retry_after_ms = answer->retry_after_ms,
        .said = answer->said,
        .engagement_id = answer->id,
    };
    free_transfer(transfer);
    service_plan(service, &event);
}

static ssize_t source_read(void *ctx, void *buffer, size_t n)
{
    struct transfer *transfer = ctx;
    ssize_t got = body_read(transfer->body, buffer, n);
    if (got < 0 && got != UPLOADER_NOT_YET)
        transfer->body_error = (int)got;
    return got;
}

/* The body hands out its last bytes only once they are proven. */
static int source_verify(void *ctx)
{
    (void)ctx;
    return 0;
}

static void source_close(void *ctx)
{
    struct transfer *transfer = ctx;
    body_close(transfer->body);
    transfer->body = NULL;
}

static void could_not_start(struct transfer *transfer, int error)
{
    struct service *service = transfer->service;
    struct plan_item item = transfer->item;
    struct plan_event event = {.kind = PLAN_ENDED, .recording = transfer->recording, .item = &item};
    event.ending = (struct plan_ending){.verdict = VERDICT_UNREACHABLE,
                                        .retry_after_ms = -1,
                                        .said = strerror(-error),
                                        .engagement_id = ""};
    free_transfer(transfer);
    service_plan(service, &event);
}

static void open_body(struct transfer *transfer);

static void send_done(void *ctx)
{
    struct transfer *transfer = ctx;
    const struct ledger_job *job = &transfer->job;
    if (!transfer->intended) {
        if (transfer->wanted && !transfer->service->stopping) {
            open_body(transfer);
            return;
        }
        if (transfer->is_gone)
            intake_tell_gone(job->path);
        tell_not_sent(transfer);
        return;
    }
    /* every POST of a recording that has a key carries it */
    assert(job->key_kind == KEY_NONE || (job->meeting_id != NULL && job->meeting_id[0] != '\0'));
    const char *slash = strrchr(job->path, '/');
    char *file_name = bytes_escape(slash != NULL ? slash + 1 : job->path);
    struct upload_job what = {
        .name = job->name,
        .user = job->owner,
        .meeting_id = job->meeting_id,
        .crm_account_id = job->crm_account_id,
        .crm_opportunity_id = job->crm_opportunity_id,
        .file_name = file_name,
        .body = {job->identity.size, source_read, source_verify, source_close, transfer},
    };
    /* the uploader closes the body, also when it cannot begin */
    int error = uploader_send(transfer->service->uploader, &what, on_upload_done, transfer,
                              &transfer->upload);
    free(file_name);
    if (error != 0)
        could_not_start(transfer, error);
    else if (transfer->service->stopping)
        uploader_abort(transfer->upload);
    else
        uplink_upload_began(transfer->service->uplink);
}

static void look_and_send(struct transfer *transfer)
{
    journal_add(transfer->service->journal,
                &(struct journal_step){apply_send, send_done, free_transfer, transfer});
}

static void on_opened(void *ctx, int error, const struct root_identity *root)
{
    struct transfer *transfer = ctx;
    transfer->body_error = error;
    transfer->found = *root;
    if (transfer->service->stopping) {
        tell_not_sent(transfer);
        return;
    }
    if (error != 0) {
        body_close(transfer->body);
        transfer->body = NULL;
    }
    look_and_send(transfer);
}

static void on_more(void *ctx)
{
    struct transfer *transfer = ctx;
    if (transfer->upload != NULL)
        uploader_resume(transfer->upload);
}

/* A folder that is known to be offline is not even asked. */
static bool is_offline(const struct transfer *transfer)
{
    const struct folder *folder = folder_around(transfer);
    return file_work_hangs(transfer->service, transfer->job.watch) ||
           (folder != NULL && folder->told && !folder->online);
}

static void open_body(struct transfer *transfer)
{
    const struct ledger_job *job = &transfer->job;
    const struct body_hooks hooks = {on_opened, on_more, transfer};
    if (transfer->body != NULL)
        body_close(transfer->body);
    transfer->body = NULL;
    mem_replace(&transfer->opened_at, mem_string(job->path));
    transfer->opened_as = job->identity;
    if (is_offline(transfer)) {
        transfer->body_error = -ETIMEDOUT;
        look_and_send(transfer);
        return;
    }
    char *root = mem_bytes_string(job->path, job->root_length > 0 ? job->root_length : 1);
    transfer->body = body_open(transfer->service, job->watch, root, relative_path(job),
                               &job->identity, job->sha256, &hooks);
    free(root);
}

static void begin_send(struct service *service, int64_t recording)
{
    struct transfer *transfer = mem_zalloc(sizeof *transfer);
    transfer->service = service;
    transfer->recording = recording;
    link_transfer(transfer);
    look_and_send(transfer);
}

/* --- moves --- */

struct moving {
    struct service *service;
    int64_t recording;
    struct plan_move move;
    char *engagement_id, *path;
    int attempts;
};

static void free_moving(void *ctx)
{
    struct moving *moving = ctx;
    free(moving->engagement_id);
    free(moving->path);
    free(moving);
}

static void apply_move(void *ctx, struct ledger *ledger)
{
    struct moving *moving = ctx;
    struct ledger_job job;
    moving->move.engagement_id = moving->engagement_id;
    if (ledger_job(ledger, moving->recording, &job) != 0)
        return; /* deleted meanwhile */
    /* what became something else while Chorus was only asked about it (a 403's owner, a look-up),
     * stays that: gone, or the duplicate of a recording of the same call */
    bool moved_on = moving->move.attempt == ATTEMPT_NONE && !is_to_be_sent(&job);
    if (state_may_move(job.state, moving->move.to) && !moved_on) {
        mem_replace(&moving->path, mem_string(job.path));
        moving->attempts = job.attempts;
        ledger_move(ledger, moving->recording, &moving->move, when_now_ms());
        if (moving->move.to == STATE_UPLOADED)
            retirement_decide(moving->service, ledger, moving->recording);
    }
    ledger_job_clear(&job);
}

static void log_move(const struct moving *moving)
{
    const struct plan_move *move = &moving->move;
    char attempt[16], status[16];
    snprintf(attempt, sizeof attempt, "%d", moving->attempts);
    snprintf(status, sizeof status, "%d", move->status);
    const char *reason = move->reason[0] != '\0' ? move->reason : NULL;
    bool trouble =
        move->to == STATE_WAITING || move->to == STATE_UNCERTAIN || move->to == STATE_QUEUED;
    if (trouble)
        log_trouble(LOG_WARNING, state_name(move->to), "reason", reason, "path", moving->path,
                    NULL);
    else
        log_event(move->to == STATE_FAILED || move->to == STATE_HELD ? LOG_ERROR : LOG_INFO,
                  state_name(move->to), "path", moving->path, "engagement_id",
                  move->engagement_id != NULL && move->engagement_id[0] != '\0'
                      ? move->engagement_id
                      : NULL,
                  "attempt", attempt, "status", move->status != 0 ? status : NULL, "reason",
                  move->to == STATE_UPLOADED && move->status / 100 == 2 ? NULL : reason, NULL);
    if (trouble || move->to == STATE_FAILED || move->to == STATE_HELD)
        service_note_error(moving->service, moving->path, move->reason);
}

/* A deletion may have waited for the end of this transfer. */
static void look_at_deletions(struct service *service)
{
    erasures_look_soon(service);
    deletions_look_soon(service);
    removals_look_soon(service);
}

static void move_done(void *ctx)
{
    struct moving *moving = ctx;
    if (moving->path != NULL)
        log_move(moving);
    if (moving->move.to == STATE_UPLOADED)
        readback_look_within(moving->service->readback, READBACK_FIRST_MS);
    look_at_deletions(moving->service);
    service_moved(moving->service);
    free_moving(moving);
}

static void begin_move(struct service *service, const struct plan_effect *effect)
{
    struct moving *moving = mem_zalloc(sizeof *moving);
    moving->service = service;
    moving->recording = effect->recording;
    moving->move = effect->move;
    moving->engagement_id = mem_string(effect->move.engagement_id);
    journal_add(service->journal,
                &(struct journal_step){apply_move, move_done, free_moving, moving});
}

/* --- fetching --- */

struct fetching {
    struct service *service;
    enum plan_lane lane;
    size_t wanted, room, count;
    bool more;
    struct plan_item *items;
    int64_t next_due_ms;
};

static void free_fetching(void *ctx)
{
    struct fetching *fetching = ctx;
    free(fetching->items);
    free(fetching);
}

static bool is_under_way(const struct service *service, int64_t recording)
{
    const struct transfer *transfer = service->transfers;
    while (transfer != NULL && transfer->recording != recording)
        transfer = transfer->next;
    return transfer != NULL;
}

/* Those whose files are just being opened are still queued in the ledger: as many more are read,
 * and they are left out. */
static void apply_fetch(void *ctx, struct ledger *ledger)
{
    struct fetching *fetching = ctx;
    struct service *service = fetching->service;
    size_t most = fetching->wanted + service->transfer_count;
    if (most > fetching->room)
        most = fetching->room;
    ledger_expect_waits(ledger, service_longest_wait(service->config));
    size_t count = ledger_fetch(ledger, fetching->lane, service->config->upload.order,
                                when_now_ms(), fetching->items, most, &fetching->next_due_ms);
    fetching->more = count == most;
    fetching->count = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_under_way(service, fetching->items[i].recording))
            fetching->items[fetching->count++] = fetching->items[i];
    }
}

static void fetch_done(void *ctx)
{
    struct fetching *fetching = ctx;
    struct plan_event event = {.kind = PLAN_FETCHED};
    event.fetched.lane = fetching->lane;
    event.fetched.items = fetching->items;
    event.fetched.count = fetching->count;
    event.fetched.more = fetching->more;
    event.fetched.next_due_ms = fetching->next_due_ms;
    service_plan(fetching->service, &event);
    free_fetching(fetching);
}

static void begin_fetch(struct service *service, const struct plan_effect *effect)
{
    struct fetching *fetching = mem_zalloc(sizeof *fetching);
    fetching->service = service;
    fetching->lane = effect->lane;
    fetching->wanted = effect->count < FETCH_ROOM ? effect->count : FETCH_ROOM;
    fetching->room = fetching->wanted + PLAN_MOST_TRANSFERS;
    fetching->items = mem_array(fetching->room, sizeof *fetching->items);
    journal_add(service->journal,
                &(struct journal_step){apply_fetch, fetch_done, free_fetching, fetching});
}

/* --- effects that touch no recording: they wait for the commit of what came before, too --- */

struct acting {
    struct service *service;
    enum plan_effect_kind kind;
    enum plan_news news;
    int64_t at_ms;
    char *said;
};

static void free_acting(void *ctx)
{
    struct acting *acting = ctx;
    free(acting->said);
    free(acting);
}

static void on_probed(void *ctx, const struct question_answer *answer)
{
    struct service *service = ctx;
    service->probe = NULL;
    struct plan_event event = {.kind = PLAN_PROBED, .status = answer->status, .said = answer->said};
    service_plan(service, &event);
}

static void probe(struct service *service)
{
    if (service->token != NULL && !service->stopping &&
        uploader_ask(service->uploader, "GET", "/api/v1/users/me", 65536, on_probed, service,
                     &service->probe) == 0)
        return;
    struct plan_event event = {.kind = PLAN_PROBED, .said = ""};
    service_plan(service, &event);
}

static void tell(const struct acting *acting)
{
    char text[WHEN_TEXT];
    const char *said = acting->said[0] != '\0' ? acting->said : NULL;
    service_note_error(acting->service, NULL, said);
    switch (acting->news) {
    case NEWS_TOKEN_PAUSE:
        log_event(LOG_ERROR, "paused", "reason", said != NULL ? said : "Chorus refused the token",
                  "token_file", acting->service->config->chorus.token_file, "to-do",
                  "put a valid token into the token file: it is read again by itself, and uploads "
                  "go on",
                  NULL);
        break;
    case NEWS_TOKEN_RESUMED:
        log_event(LOG_INFO, "resumed", "reason", "the token is good again", NULL);
        readback_look_within(acting->service->readback, 0);
        break;
    case NEWS_NETWORK_DOWN:
        log_event(LOG_ERROR, "unreachable", "url", acting->service->config->chorus.url, "reason",
                  said, "to-do", "nothing: uploads go on by themselves once it answers", NULL);
        break;
    case NEWS_NETWORK_UP:
        log_event(LOG_INFO, "reachable", "url", acting->service->config->chorus.url, NULL);
        readback_look_within(acting->service->readback, 0);
        break;
    case NEWS_HOLD:
        when_about(acting->at_ms - when_steady_ms(), text);
        log_trouble(LOG_WARNING, "asked-to-wait", "for", text, "reason", said, NULL);
        break;
    }
}

static void on_wake(uv_timer_t *timer)
{
    service_plan_simple(timer->data, PLAN_WAKE);
}

static void act(void *ctx)
{
    struct acting *acting = ctx;
    struct service *service = acting->service;
    if (acting->kind == EFFECT_PROBE)
        probe(service);
    else if (acting->kind == EFFECT_READ_TOKEN)
        service_read_token(service);
    else if (acting->kind == EFFECT_TELL)
        tell(acting);
    service_moved(service);
    free_acting(acting);
}

static void begin_acting(struct service *service, const struct plan_effect *effect)
{
    struct acting *acting = mem_zalloc(sizeof *acting);
    *acting = (struct acting){service, effect->kind, effect->news, effect->at_ms,
                              mem_string(effect->said)};
    journal_add(service->journal, &(struct journal_step){NULL, act, free_acting, acting});
}

static void apply_anew(void *ctx, struct ledger *ledger)
{
    const int64_t *at_ms = ctx;
    ledger_retry_anew(ledger, *at_ms);
}

static void begin_anew(struct service *service, const struct plan_effect *effect)
{
    int64_t *at_ms = mem_zalloc(sizeof *at_ms);
    *at_ms = effect->at_ms;
    journal_add(service->journal, &(struct journal_step){apply_anew, free, free, at_ms});
}

/* --- the plan --- */

static void carry_out(struct service *service, const struct plan_effect *effect)
{
    switch (effect->kind) {
    case EFFECT_FETCH:
        begin_fetch(service, effect);
        break;
    case EFFECT_SEND:
        begin_send(service, effect->recording);
        break;
    case EFFECT_MOVE:
        begin_move(service, effect);
        break;
    case EFFECT_WAKE: {
        int64_t wait = effect->at_ms - when_steady_ms();
        uv_timer_start(&service->wake, on_wake, wait > 0 ? (uint64_t)wait : 0, 0);
        break;
    }
    case EFFECT_LOOK_UP:
        lookup_begin(service, effect->recording);
        break;
    case EFFECT_RETRY_ANEW:
        begin_anew(service, effect);
        break;
    case EFFECT_PROBE:
    case EFFECT_READ_TOKEN:
    case EFFECT_TELL:
        begin_acting(service, effect);
        break;
    }
}

void service_plan(struct service *service, const struct plan_event *event)
{
    if (service->plan == NULL)
        return;
    plan_step(service->plan, event, now(), &service->effects);
    for (size_t i = 0; i < service->effects.count; i++)
        carry_out(service, &service->effects.items[i]);
}

void service_start_plan(struct service *service)
{
    struct plan_event event = {
        .kind = PLAN_START, .retry_since_ms = ledger_retry_since(journal_ledger(service->journal))};
    service_plan(service, &event);
}

void service_plan_simple(struct service *service, enum plan_event_kind kind)
{
    struct plan_event event = {.kind = kind};
    service_plan(service, &event);
}

void service_feed_plan(struct service *service)
{
    int64_t recordings[64];
    struct ledger *ledger = journal_ledger(service->journal);
    size_t n;
    while (ledger != NULL && (n = ledger_take_ready(ledger, recordings, 64)) > 0) {
        for (size_t i = 0; i < n; i++) {
            struct plan_item item;
            struct plan_event event = {.kind = PLAN_READY, .item = &item};
            if (!mutant("plan-asleep") &&
                ledger_plan_item(ledger, recordings[i], service->config->upload.order, &item))
                service_plan(service, &event);
        }
    }
    if (ledger != NULL && ledger_has_failed(ledger)) /* its next commit heals it */
        journal_add(service->journal, &(struct journal_step){NULL, NULL, NULL, NULL});
}

void service_read_token(struct service *service)
{
    char *token, *problem;
    struct plan_event event = {.kind = PLAN_TOKEN};
    event.present = token_read(service->config->chorus.token_file, &token, &problem) == 0;
    event.changed = event.present && (service->token == NULL || strcmp(service->token, token) != 0);
    if ((event.changed || !event.present) && uploader_set_token(service->uploader, token) != 0) {
        event.present = event.changed = false; /* as if it had not been read: it is read again */
        token_clear(&token);
        mem_replace(&problem, mem_string("there is no memory for the token"));
    }
    event.said = problem;
    token_clear(&service->token);
    service->token = token;
    service_plan(service, &event);
    free(problem);
}

void service_each_transfer(struct service *service,
                           void (*each)(void *ctx, const char *path, uint64_t sent, uint64_t size),
                           void *ctx)
{
    for (struct transfer *t = service->transfers; t != NULL; t = t->next) {
        if (t->upload != NULL)
            each(ctx, t->job.path, upload_bytes_sent(t->upload), t->job.identity.size);
    }
}

void service_abort_transfers(struct service *service)
{
    for (struct transfer *t = service->transfers; t != NULL; t = t->next) {
        if (t->upload != NULL)
            uploader_abort(t->upload);
    }
    if (service->probe != NULL)
        uploader_ask_abort(service->probe);
}
