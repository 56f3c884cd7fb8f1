/*
 * Requests for deletion, from a control file that was taken to the result in its place. Each stage
 * goes in slices, one request after the other in turn, and every slice is a step of the journal:
 * after a crash it goes on where the last commit left it.
 *
 * A slice is marked only after its tombstones are in the file that outlives the ledger.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/base/mutant.h"
#include "agent/base/when.h"
#include "agent/control/inbox.h"
#include "agent/control/result.h"
#include "agent/ledger/deletions.h"
#include "agent/service/internal.h"
#include "agent/service/placing.h"
#include "agent/service/tombstones.h"

enum {
    BLOCK = 16384,
    RESOLVE_SLICE = 256, /* lines */
    MARK_SLICE = 128,    /* findings; TOMBSTONES_AT_ONCE is enough for them */
    OPEN_LOOK_MS = 2000, /* while requests are open: what moved without a word to us */
    SHORTEST_SLEEP_MS = 100,
    MOST_TOLD = 8,
    LOCAL_AT_MOST_MS = 60000, /* a local copy that cannot be removed does not hold the result */
};

/* A control file that is being read. */
struct reading {
    struct deletions *deletions;
    struct reading *next;
    struct control_file *file;
    struct request_reader *reader;
    int64_t request;
    enum request_stage stage;
    struct request_line *lines; /* of the slice; their strings are new */
    size_t count, room;
    bool at_end, changed;
};

/* One request's turn. */
struct turn {
    struct ledger_request request;
    bool round_over, moved;
    bool told; /* which files are in work */
    int64_t next_ms;
    int64_t recordings[MARK_SLICE]; /* marked: the plan drops them */
    size_t recording_count;
    int error; /* of the tombstones */
};

/* The result that is being put into its place; one at a time. */
struct place {
    uv_work_t work;
    struct placing placing;
    struct ledger_request request;
    int error;
    char *what;
    bool busy, running; /* the whole of it; on the pool */
};

struct deletions {
    struct service *service;
    uv_timer_t timer;
    struct reading *readings;
    struct turn turn;
    struct place place;
    bool busy, closing;
    int64_t cursor; /* the request whose turn was last */
    bool moved;     /* in this round */
    int64_t next_ms;
    size_t open;             /* requests met in this round */
    int64_t told[MOST_TOLD]; /* requests that were told which files are in work; a ring */
    unsigned told_next;
    int64_t place_of;    /* the request that has a place and does not stand there yet; 0: none */
    int64_t chosen;      /* the request whose place was chosen in this life, and not tried yet */
    int64_t local_since; /* steady: since when only local copies hold a result */
    int64_t local_of;
};

static void begin_turn(struct deletions *deletions);

/* --- reading --- */

static void keep_line(void *ctx, const struct request_line *line)
{
    struct reading *reading = ctx;
    if (reading->count == reading->room) {
        reading->room = reading->room > 0 ? 2 * reading->room : 64;
        reading->lines = mem_resize(reading->lines, reading->room, sizeof *reading->lines);
    }
    reading->lines[reading->count++] = (struct request_line){
        .line = line->line,
        .kind = line->kind,
        .text = mem_string(line->text),
        .value = mem_string(line->value),
        .problem = mem_string(line->problem),
    };
}

static void forget_lines(struct reading *reading)
{
    for (size_t i = 0; i < reading->count; i++) {
        free((char *)reading->lines[i].text);
        free((char *)reading->lines[i].value);
        free((char *)reading->lines[i].problem);
    }
    reading->count = 0;
}

static void free_reading(void *ctx)
{
    struct reading *reading = ctx;
    struct reading **link = &reading->deletions->readings;
    while (*link != reading)
        link = &(*link)->next;
    *link = reading->next;
    forget_lines(reading);
    free(reading->lines);
    if (reading->reader != NULL)
        request_reader_free(reading->reader);
    control_file_free(reading->file);
    free(reading);
}

static bool is_being_read(const struct deletions *deletions, int64_t request)
{
    const struct reading *r = deletions->readings;
    while (r != NULL && r->request != request)
        r = r->next;
    return r != NULL;
}

/* Ends a request that nothing was done for, and that has no file any more to bear a result. */
static void forget_request(struct ledger *ledger, int64_t request, const char *why)
{
    ledger_request_refuse(ledger, request, why, when_now_ms());
    ledger_request_placed(ledger, request, when_now_ms());
}

static void apply_lines(void *ctx, struct ledger *ledger)
{
    struct reading *reading = ctx;
    if (reading->changed) {
        forget_request(ledger, reading->request, "it was changed while it was being read");
        return;
    }
    for (size_t i = 0; i < reading->count; i++)
        ledger_request_add(ledger, reading->request, &reading->lines[i]);
    if (reading->at_end)
        ledger_request_read_whole(ledger, reading->request);
}

static void read_slice(struct reading *reading);

static void lines_done(void *ctx)
{
    struct reading *reading = ctx;
    struct service *service = reading->deletions->service;
    forget_lines(reading);
    if (!reading->at_end && !reading->changed && !service->stopping) {
        read_slice(reading);
        return;
    }
    free_reading(reading);
    deletions_look_soon(service);
}

static void end_reading(struct reading *reading)
{
    struct request_facts facts;
    char *refusal = request_reader_end(reading->reader, &facts);
    reading->at_end = true;
    reading->changed = refusal != NULL || !control_file_is_unchanged(reading->file);
    request_facts_clear(&facts);
    free(refusal);
}

static void read_slice(struct reading *reading)
{
    char block[BLOCK];
    ssize_t n = read(reading->file->fd, block, sizeof block);
    if (n > 0)
        request_reader_feed(reading->reader, block, (size_t)n);
    else if (n == 0)
        end_reading(reading);
    else
        reading->changed = true; /* read well a moment ago: it is found again */
    journal_add(reading->deletions->service->journal,
                &(struct journal_step){apply_lines, lines_done, free_reading, reading});
}

/* Another version of the same file was being read when the last life ended: it means nothing now.
 */
static void forget_earlier(struct ledger *ledger, const struct control_file *file, int64_t request)
{
    struct ledger_request other;
    for (int64_t after = 0; ledger_request_next(ledger, after, &other);) {
        after = other.id;
        if (other.id != request && other.stage == REQUEST_READING &&
            strcmp(other.file, file->name) == 0)
            forget_request(ledger, other.id, "it was changed while it was being read");
        ledger_request_clear(&other);
    }
}

static enum request_stage stage_of(struct ledger *ledger, int64_t request)
{
    struct ledger_request found;
    if (!ledger_request_next(ledger, request - 1, &found))
        return REQUEST_REPORTED;
    enum request_stage stage = found.id == request ? found.stage : REQUEST_REPORTED;
    ledger_request_clear(&found);
    return stage;
}

static void apply_open(void *ctx, struct ledger *ledger)
{
    struct reading *reading = ctx;
    const struct control_file *file = reading->file;
    int64_t now_ms = when_now_ms();
    reading->request = ledger_request_begin(ledger, file->name, file->digest, &file->facts, now_ms);
    forget_earlier(ledger, file, reading->request);
    reading->stage = stage_of(ledger, reading->request);
    if (reading->stage == REQUEST_READING && file->refusal != NULL) {
        ledger_request_refuse(ledger, reading->request, file->refusal, now_ms);
        reading->stage = REQUEST_REFUSING;
    }
}

/* One that was read in an earlier life goes on by itself. */
static void open_done(void *ctx)
{
    struct reading *reading = ctx;
    struct service *service = reading->deletions->service;
    if (reading->stage == REQUEST_READING && !service->stopping) {
        reading->reader = request_reader_new(keep_line, reading);
        read_slice(reading);
        return;
    }
    free_reading(reading);
    deletions_look_soon(service);
}

void deletions_take(struct service *service, struct control_file *file)
{
    struct deletions *deletions = service->deletions;
    struct reading *reading = mem_zalloc(sizeof *reading);
    reading->deletions = deletions;
    reading->file = file;
    reading->next = deletions->readings;
    deletions->readings = reading;
    journal_add(service->journal,
                &(struct journal_step){apply_open, open_done, free_reading, reading});
}

/* Its file was taken away before all of it was read: nothing was done, nothing is to be done. */
static void look_for_file(struct deletions *deletions, struct ledger *ledger,
                          const struct ledger_request *request)
{
    struct stat st;
    if (is_being_read(deletions, request->id))
        return;
    char *path = mem_printf("%s/%s", deletions->service->config->control_dir, request->file);
    if (lstat(path, &st) != 0 && errno == ENOENT)
        forget_request(ledger, request->id, "it was taken away before it was read");
    free(path);
}

/* --- resolving, and the guards --- */

struct telling {
    struct service *service;
    struct ledger *ledger;
    int64_t request;
    const struct folder *folder;
    const struct watch_config *watch;
};

static void tell_one(void *ctx, const struct watch_in_work *file)
{
    const struct telling *telling = ctx;
    const struct folder *folder = telling->folder;
    const struct file_identity identity = {.size = file->size};
    struct resolution resolution;
    char *path =
        mem_printf("%s/%s", strcmp(folder->root, "/") == 0 ? "" : folder->root, file->path);
    service_resolve(telling->service, telling->watch, path, folder->root_length, &identity, NULL, 0,
                    NULL, NULL, &resolution);
    ledger_request_in_work(telling->ledger, telling->request, path, &resolution);
    resolution_clear(&resolution);
    free(path);
}

/* What is settling is not known to the ledger yet, and is meant all the same. */
static void tell_in_work(struct service *service, struct ledger *ledger, int64_t request)
{
    for (struct folder *f = service->folders; f != NULL; f = f->next) {
        const struct watch_config *watch = config_watch(service->config, f->watch_name);
        struct telling telling = {service, ledger, request, f, watch};
        if (!f->closing && watch != NULL)
            watch_each_in_work(f->watch, tell_one, &telling);
    }
}

static bool was_told(const struct deletions *deletions, int64_t request)
{
    for (size_t i = 0; i < MOST_TOLD; i++) {
        if (deletions->told[i] == request)
            return true;
    }
    return false;
}

/* Why the request is too wide or doubtful, new; NULL: it may be carried out. */
static char *judge(struct ledger *ledger, const struct ledger_request *request, uint64_t most)
{
    int64_t matched, bad, expected = request->facts.expect;
    ledger_request_extent(ledger, request->id, &matched, &bad);
    if (mutant("no-guards"))
        return NULL;
    if (expected >= 0 && bad > 0)
        return mem_printf("@expect is given, and %" PRId64 " of its lines cannot be read: nothing "
                          "was done; mend them, or leave @expect out to do the others",
                          bad);
    if (expected >= 0 && expected != matched)
        return mem_printf("@expect %" PRId64 " is written, and %" PRId64 " match: nothing was "
                          "done; look with @dry-run, and write @expect %" PRId64
                          " if all of them are meant",
                          expected, matched, matched);
    if (expected < 0 && (uint64_t)matched > most)
        return mem_printf("%" PRId64 " match, and more than %" PRIu64 " (delete.max) go only "
                          "where their number is stated: nothing was done; write @expect %" PRId64
                          " if all of them are meant",
                          matched, most, matched);
    return NULL;
}

static void resolve(struct deletions *deletions, struct ledger *ledger)
{
    struct turn *turn = &deletions->turn;
    const struct ledger_request *request = &turn->request;
    if (!was_told(deletions, request->id)) {
        tell_in_work(deletions->service, ledger, request->id);
        turn->told = true;
    }
    turn->moved = true;
    if (ledger_request_resolve(ledger, request->id, RESOLVE_SLICE) > 0)
        return;
    char *refusal = judge(ledger, request, deletions->service->config->delete_.max);
    if (refusal != NULL)
        ledger_request_refuse(ledger, request->id, refusal, when_now_ms());
    else
        ledger_request_accept(ledger, request->id, when_now_ms());
    free(refusal);
}

/* --- marking --- */

static void mark(struct deletions *deletions, struct ledger *ledger)
{
    struct turn *turn = &deletions->turn;
    struct ledger_tombstone tombstones[TOMBSTONES_AT_ONCE];
    size_t count = ledger_request_tombstones(ledger, turn->request.id, MARK_SLICE, tombstones);
    turn->error =
        mutant("no-tombstone-file")
            ? 0
            : tombstones_append(deletions->service->config->state_dir, tombstones, count, 0);
    if (turn->error != 0)
        return;
    turn->moved = true;
    ledger_request_mark(ledger, turn->request.id, MARK_SLICE, turn->recordings,
                        &turn->recording_count, when_now_ms());
}

/* --- the result --- */

static bool local_holds(struct deletions *deletions, struct ledger *ledger, int64_t request)
{
    if (ledger_request_local_is_done(ledger, request))
        return false;
    if (deletions->local_of != request) {
        deletions->local_of = request;
        deletions->local_since = when_steady_ms();
    }
    return when_steady_ms() - deletions->local_since < LOCAL_AT_MOST_MS;
}

/* One at a time: two of one name must not choose the same place. */
static void choose_place(struct deletions *deletions, struct ledger *ledger)
{
    struct turn *turn = &deletions->turn;
    struct ledger_request *request = &turn->request;
    if (deletions->place_of != 0 && deletions->place_of != request->id)
        return;
    char *folder = placing_folder(deletions->service->config->control_dir, request);
    char *name = result_free_name(folder, request->file);
    ledger_request_place(ledger, request->id, name);
    mem_replace(&request->placed_as, name);
    deletions->chosen = deletions->place_of = request->id;
    turn->moved = true;
    free(folder);
}

static void look_at_work(struct deletions *deletions, struct ledger *ledger)
{
    struct turn *turn = &deletions->turn;
    const struct erasure_options options = service_erasure_options(deletions->service->config);
    if (ledger_request_is_reportable(ledger, turn->request.id, &options, when_now_ms(),
                                     &turn->next_ms) &&
        !local_holds(deletions, ledger, turn->request.id))
        choose_place(deletions, ledger);
}

static void on_place(uv_work_t *work)
{
    struct place *place = work->data;
    place->error = placing_run(&place->placing, &place->what);
}

static void clear_place(void *ctx)
{
    struct place *place = ctx;
    ledger_request_clear(&place->request);
    mem_replace(&place->what, NULL);
    place->busy = place->running = false;
}

static struct deletions *deletions_of(struct place *place)
{
    return (struct deletions *)((char *)place - offsetof(struct deletions, place));
}

static void apply_placed(void *ctx, struct ledger *ledger)
{
    struct place *place = ctx;
    ledger_request_placed(ledger, place->request.id, when_now_ms());
}

static void placed_done(void *ctx)
{
    struct place *place = ctx;
    struct service *service = deletions_of(place)->service;
    const struct ledger_request *request = &place->request;
    bool refused = request->stage == REQUEST_REFUSING;
    log_event(refused ? LOG_WARNING : LOG_INFO, refused ? "request-refused" : "request-done",
              "file", request->file, "placed-as", request->placed_as, "reason", request->refusal,
              NULL);
    deletions_of(place)->place_of = 0;
    clear_place(place);
    deletions_look_soon(service);
    forgetting_look_soon(service);
}

static void apply_other_place(void *ctx, struct ledger *ledger)
{
    struct place *place = ctx;
    struct deletions *deletions = deletions_of(place);
    char *folder = placing_folder(deletions->service->config->control_dir, &place->request);
    char *name = result_free_name(folder, place->request.file);
    ledger_request_place(ledger, place->request.id, name);
    deletions->chosen = place->request.id;
    free(name);
    free(folder);
}

static void other_place_done(void *ctx)
{
    struct place *place = ctx;
    struct service *service = deletions_of(place)->service;
    clear_place(place);
    deletions_look_soon(service);
}

static void after_place(uv_work_t *work, int status)
{
    struct place *place = work->data;
    struct deletions *deletions = deletions_of(place);
    struct service *service = deletions->service;
    (void)status;
    place->running = false;
    if (place->error == 0) {
        journal_add(service->journal,
                    &(struct journal_step){apply_placed, placed_done, clear_place, place});
    } else if (place->error == -EEXIST) {
        journal_add(service->journal, &(struct journal_step){apply_other_place, other_place_done,
                                                             clear_place, place});
    } else {
        log_trouble(LOG_ERROR, "request", "reason", place->what, "file", place->request.file,
                    "to-do", "let the service's user write there: it is tried again by itself",
                    NULL);
        service_note_error(service, NULL, place->what);
        clear_place(place);
    }
}

/* Takes the request of the turn over. */
static void begin_place(struct deletions *deletions)
{
    struct place *place = &deletions->place;
    const struct config *config = deletions->service->config;
    if (place->busy || deletions->closing)
        return;
    place->busy = place->running = true;
    place->request = deletions->turn.request;
    memset(&deletions->turn.request, 0, sizeof deletions->turn.request);
    place->placing = (struct placing){.state_dir = config->state_dir,
                                      .control_dir = config->control_dir,
                                      .request = &place->request,
                                      .first = deletions->chosen == place->request.id};
    if (place->placing.first)
        deletions->chosen = 0;
    place->work.data = place;
    if (uv_queue_work(&deletions->service->loop, &place->work, on_place, after_place) != 0)
        clear_place(place);
}

/* --- turns --- */

static void apply_turn(void *ctx, struct ledger *ledger)
{
    struct deletions *deletions = ctx;
    struct turn *turn = &deletions->turn;
    ledger_request_clear(&turn->request);
    memset(turn, 0, sizeof *turn);
    if (!ledger_request_next(ledger, deletions->cursor, &turn->request)) {
        turn->round_over = true;
        return;
    }
    switch (turn->request.stage) {
    case REQUEST_READING:
        look_for_file(deletions, ledger, &turn->request);
        break;
    case REQUEST_RESOLVING:
        resolve(deletions, ledger);
        break;
    case REQUEST_MARKING:
        mark(deletions, ledger);
        break;
    case REQUEST_AT_WORK:
        look_at_work(deletions, ledger);
        break;
    case REQUEST_REPORTING:
    case REQUEST_REFUSING:
        if (turn->request.placed_as == NULL)
            choose_place(deletions, ledger);
        break;
    case REQUEST_REPORTED:
    case REQUEST_REFUSED:
        break;
    }
}

static void on_timer(uv_timer_t *timer)
{
    begin_turn(timer->data);
}

static void sleep_until_due(struct deletions *deletions)
{
    int64_t wait = OPEN_LOOK_MS;
    if (deletions->closing || deletions->open == 0)
        return;
    if (deletions->next_ms != 0 && deletions->next_ms - when_now_ms() < wait)
        wait = deletions->next_ms - when_now_ms();
    if (wait < SHORTEST_SLEEP_MS)
        wait = SHORTEST_SLEEP_MS;
    uv_timer_start(&deletions->timer, on_timer, (uint64_t)wait, 0);
    erasures_look_soon(deletions->service);
}

static void end_round(struct deletions *deletions)
{
    bool again = deletions->moved;
    if (deletions->cursor == 0)
        deletions->open = 0;
    deletions->cursor = 0;
    deletions->moved = false;
    deletions->busy = false;
    if (again && !deletions->closing)
        begin_turn(deletions);
    else
        sleep_until_due(deletions);
}

static void tell_error(struct deletions *deletions)
{
    char *words =
        mem_printf("state_dir/tombstones cannot be written: %s", strerror(-deletions->turn.error));
    log_trouble(LOG_ERROR, "request", "reason", words, "state_dir",
                deletions->service->config->state_dir, "to-do",
                "make room or mend the disk: no deletion goes on before, and it goes on by itself",
                NULL);
    service_note_error(deletions->service, NULL, words);
    free(words);
}

static void drop_marked(struct deletions *deletions)
{
    const struct turn *turn = &deletions->turn;
    for (size_t i = 0; i < turn->recording_count; i++) {
        struct plan_event event = {.kind = PLAN_DROP, .recording = turn->recordings[i]};
        service_plan(deletions->service, &event);
    }
    if (turn->recording_count > 0) {
        removals_look_soon(deletions->service);
        forgetting_look_soon(deletions->service);
    }
}

static void turn_done(void *ctx)
{
    struct deletions *deletions = ctx;
    struct turn *turn = &deletions->turn;
    int64_t id = turn->request.id;
    if (turn->round_over) {
        end_round(deletions);
        return;
    }
    if (deletions->cursor == 0)
        deletions->open = 0, deletions->next_ms = 0; /* a new round */
    deletions->open++;
    deletions->cursor = id;
    deletions->moved = deletions->moved || turn->moved;
    if (turn->told)
        deletions->told[deletions->told_next++ % MOST_TOLD] = id;
    if (turn->next_ms != 0 && (deletions->next_ms == 0 || turn->next_ms < deletions->next_ms))
        deletions->next_ms = turn->next_ms;
    if (turn->error != 0)
        tell_error(deletions);
    drop_marked(deletions);
    if (turn->moved)
        service_moved(deletions->service);
    if (turn->request.placed_as != NULL)
        begin_place(deletions);
    deletions->busy = false;
    begin_turn(deletions);
}

static void turn_dropped(void *ctx)
{
    struct deletions *deletions = ctx;
    deletions->busy = false;
}

static void begin_turn(struct deletions *deletions)
{
    if (deletions->busy || deletions->closing)
        return;
    deletions->busy = true;
    journal_add(deletions->service->journal,
                &(struct journal_step){apply_turn, turn_done, turn_dropped, deletions});
}

void deletions_look_soon(struct service *service)
{
    struct deletions *deletions = service->deletions;
    if (deletions == NULL || deletions->closing)
        return;
    if (deletions->busy)
        deletions->moved = true; /* another round after this one */
    else
        uv_timer_start(&deletions->timer, on_timer, 0, 0);
}

/* --- its life --- */

/* The request that had a place when the last life ended; 0: none. */
static int64_t placed_before(struct ledger *ledger)
{
    struct ledger_request request;
    int64_t found = 0;
    for (int64_t after = 0; found == 0 && ledger_request_next(ledger, after, &request);) {
        after = request.id;
        found = request.placed_as != NULL ? request.id : 0;
        ledger_request_clear(&request);
    }
    return found;
}

struct deletions *deletions_new(struct service *service)
{
    struct deletions *deletions = mem_zalloc(sizeof *deletions);
    deletions->service = service;
    uv_timer_init(&service->loop, &deletions->timer);
    deletions->timer.data = deletions;
    deletions->place_of = placed_before(journal_ledger(service->journal));
    uv_timer_start(&deletions->timer, on_timer, 0, 0);
    return deletions;
}

void deletions_stop(struct deletions *deletions)
{
    deletions->closing = true;
    uv_timer_stop(&deletions->timer);
}

bool deletions_are_idle(const struct deletions *deletions)
{
    return !deletions->place.running;
}

static void on_closed(uv_handle_t *handle)
{
    struct deletions *deletions = handle->data;
    ledger_request_clear(&deletions->turn.request);
    free(deletions);
}

void deletions_close(struct deletions *deletions)
{
    uv_close((uv_handle_t *)&deletions->timer, on_closed);
}
