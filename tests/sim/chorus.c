#include "tests/sim/chorus.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/sim.h"

enum { MOST_ROWS = 1024, PAGE = 3, MOST_PENDING = 256 };

struct row {
    int content;
    bool ours, private;
    char key[FORM_ROOM], owner[FORM_ROOM], name[FORM_ROOM], id[40];
    int64_t stored_ms, visible_ms, done_ms; /* steady */
    int64_t date_s;                         /* Unix seconds */
};

/* Accepted, not stored yet. */
struct pending {
    struct arrival arrival;
    struct chorus_answer answer;
    bool used, answered;
};

static struct {
    struct row rows[MOST_ROWS];
    int row_count;
    struct pending pending[MOST_PENDING];
    int token;
    uint64_t next_id;
} chorus;

static bool on(bool fault)
{
    return fault && !sim.faults_are_over;
}

void chorus_begin(void)
{
    for (int i = 0; i < MOST_PENDING; i++)
        chorus.pending[i].used = false;
    chorus.row_count = 0;
    chorus.next_id = 0;
    chorus.token = 1;
}

int chorus_token(void)
{
    return chorus.token;
}

void chorus_turn_token(void)
{
    chorus.token++;
    trace("chorus: the token is now", chorus.token, 0, 0);
}

/* --- what it keeps --- */

static const struct row *find_key(const char *key)
{
    for (int i = 0; i < chorus.row_count && key[0] != '\0'; i++) {
        if (strcmp(chorus.rows[i].key, key) == 0)
            return &chorus.rows[i];
    }
    return NULL;
}

static struct row *store(int content, const char *key, const char *owner, const char *name)
{
    if (chorus.row_count == MOST_ROWS) {
        violated("the simulation itself: too many rows");
        return &chorus.rows[0];
    }
    struct row *row = &chorus.rows[chorus.row_count++];
    *row = (struct row){.content = content, .stored_ms = sim.steady_ms};
    snprintf(row->key, FORM_ROOM, "%s", key);
    snprintf(row->owner, FORM_ROOM, "%s", owner);
    snprintf(row->name, FORM_ROOM, "%s", name);
    snprintf(row->id, sizeof row->id, "E%08" PRIX64, ++chorus.next_id);
    row->private = on(sim.faults.private_rows) && dice_one_in(4);
    row->visible_ms = sim.steady_ms + (on(sim.faults.list_lags) ? dice_between(0, 10 * MINUTE) : 0);
    row->done_ms = sim.steady_ms + dice_between(MINUTE, 20 * MINUTE);
    row->date_s = INT64_C(1800000000) + sim.steady_ms / 1000;
    if (content > 0)
        files.contents[content].stored_at_all = true;
    return row;
}

void chorus_store_foreign(int content, const char *key, const char *owner, const char *name)
{
    store(content, key, owner, name);
    trace_text("chorus: somebody else's row under", key);
}

static void store_ours(const struct arrival *arrival, char id[40])
{
    struct content *content = &files.contents[arrival->content];
    struct row *row = store(arrival->content, arrival->key, arrival->owner, arrival->name);
    row->ours = true;
    strcpy(id, row->id);
    content->stored_by_us++;
    trace("chorus: stored content", arrival->content, content->stored_by_us, 0);
    if (content->stored_by_us > 1)
        violated("content %d is at Chorus twice", arrival->content);
}

/* --- what it answers --- */

static void say(struct chorus_answer *answer, int status)
{
    answer->status = status;
    answer->retry_after_ms = -1;
    answer->is_object = true;
}

static int owner_number(const char *owner)
{
    return owner[0] == 'a' ? atoi(owner + 1) : -1;
}

static void say_when_to_come_again(struct chorus_answer *answer)
{
    static const int64_t said[] = {-1, -1, 0, 1000, 5000, 60000, 400000, INT64_C(1) << 50};
    answer->retry_after_ms = said[dice_below(sizeof said / sizeof said[0])];
}

/* Refusals that look at the request alone, not at what is stored. True: one was said. */
static bool refuses(const struct arrival *arrival, struct chorus_answer *answer)
{
    static const int for_good[] = {400, 404, 413, 415, 422};
    struct content *content = &files.contents[arrival->content];
    if (arrival->token != chorus.token) {
        say(answer, 401);
    } else if (sim.faults.forbidden && owner_number(arrival->owner) == 3) {
        say(answer, 403);
        content->forbidden = true;
    } else if (sim.faults.refused && arrival->content % 7 == 3) {
        say(answer, for_good[dice_below(5)]);
        if (dice_one_in(3)) {
            answer->status = 200;
            answer->says_failure = true;
        }
        content->refused = true;
    } else if (on(sim.faults.busy) && dice_one_in(8)) {
        say(answer, dice_one_in(2) ? 429 : 503);
        say_when_to_come_again(answer);
    } else if (on(sim.faults.odd_answers) && dice_one_in(12)) {
        static const int odd[] = {402, 405, 408, 418, 451, 301, 302, 307};
        say(answer, odd[dice_below(8)]);
    } else {
        return false;
    }
    return true;
}

static void say_known(const struct arrival *arrival, struct chorus_answer *answer)
{
    say(answer, 409);
    answer->is_object = !on(sim.faults.odd_answers) || dice_one_in(2);
    files.contents[arrival->content].answered_409 = true;
}

static void say_stored(struct chorus_answer *answer)
{
    char id[40];
    strcpy(id, answer->id);
    say(answer, dice_one_in(6) ? 201 : 200);
    if (on(sim.faults.error_after_commit) && dice_one_in(4)) {
        static const int errors[] = {500, 502, 503, 504};
        answer->status = errors[dice_below(4)];
        answer->id[0] = '\0';
    } else if (on(sim.faults.odd_answers) && dice_one_in(6)) {
        answer->is_object = false; /* a proxy's page */
        answer->id[0] = '\0';
    } else if (dice_one_in(5)) {
        answer->id[0] = '\0';
        answer->is_empty = dice_one_in(2);
        answer->is_object = !answer->is_empty;
    } else {
        strcpy(answer->id, id);
    }
}

static void give_answer(void *ctx, int64_t number)
{
    struct pending *pending = ctx;
    (void)number;
    pending->answer.lost = on(sim.faults.answer_lost) && dice_one_in(5);
    pending->used = false;
    pending->arrival.answered(pending->arrival.ctx, &pending->answer);
}

static void commit(void *ctx, int64_t number)
{
    struct pending *pending = ctx;
    (void)number;
    bool known = find_key(pending->arrival.key) != NULL && !sim.faults.check_then_store;
    files.contents[pending->arrival.content].on_its_way--;
    if (known) {
        say_known(&pending->arrival, &pending->answer);
    } else {
        store_ours(&pending->arrival, pending->answer.id);
        say_stored(&pending->answer);
    }
    sim_at(dice_between(5, 500), give_answer, pending, 0);
}

static struct pending *pending_new(const struct arrival *arrival)
{
    for (int i = 0; i < MOST_PENDING; i++) {
        if (chorus.pending[i].used)
            continue;
        chorus.pending[i] = (struct pending){.arrival = *arrival, .used = true};
        return &chorus.pending[i];
    }
    violated("the simulation itself: too many requests");
    return &chorus.pending[0];
}

void chorus_take(const struct arrival *arrival)
{
    struct pending *pending = pending_new(arrival);
    struct chorus_answer *answer = &pending->answer;
    bool gateway_gives_up = on(sim.faults.late_commit) && dice_one_in(4);
    if (refuses(arrival, answer)) {
        ;
    } else if (find_key(arrival->key) != NULL) {
        say_known(arrival, answer);
    } else if (on(sim.faults.error_before_commit) && dice_one_in(6)) {
        say(answer, dice_one_in(2) ? 500 : 503);
    } else {
        bool late = on(sim.faults.late_commit) && dice_one_in(2);
        sim_at(late ? dice_between(0, CHORUS_LONGEST_MS - 5000) : dice_between(10, 400), commit,
               pending, 0);
        if (!late || !gateway_gives_up)
            return;
        /* the gateway answers; what is behind it goes on by itself */
        struct pending *gateway = pending_new(arrival);
        pending->arrival.answered = chorus_nobody;
        say(&gateway->answer, 504);
        pending = gateway;
    }
    if (answer == &pending->answer)
        files.contents[arrival->content].on_its_way--; /* it will not be stored */
    trace("chorus: answers", arrival->content, pending->answer.status, 0);
    sim_at(dice_between(5, 500), give_answer, pending, 0);
}

void chorus_nobody(void *ctx, const struct chorus_answer *answer)
{
    (void)ctx, (void)answer;
}

void chorus_answer_early(const struct arrival *arrival, struct chorus_answer *answer)
{
    memset(answer, 0, sizeof *answer);
    if (!dice_one_in(3) || !refuses(arrival, answer))
        answer->status = 0;
    if (answer->status != 401 && answer->status != 413 && answer->status != 429 &&
        answer->status != 503)
        answer->status = 0;
}

/* --- what it shows --- */

static bool is_visible(const struct row *row)
{
    return !row->private && sim.steady_ms >= row->visible_ms;
}

static size_t add_row(const struct row *row, bool first, char *to, size_t room)
{
    int n = snprintf(to, room,
                     "%s{\"engagement_id\":\"%s\",\"subject\":\"%s\",\"user_email\":\"%s\","
                     "\"date_time\":%" PRId64 ",\"processing_state\":\"%s\"}",
                     first ? "" : ",", row->id, row->name, row->owner, row->date_s,
                     sim.steady_ms >= row->done_ms ? "done" : "processing");
    return n > 0 && (size_t)n < room ? (size_t)n : 0;
}

static int64_t time_of(const char *target, const char *key, int64_t otherwise)
{
    struct tm tm = {0};
    const char *at = strstr(target, key);
    if (at == NULL || sscanf(at + strlen(key), "%d-%d-%dT%d%%3A%d%%3A%dZ", &tm.tm_year, &tm.tm_mon,
                             &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
        return otherwise;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    return (int64_t)timegm(&tm);
}

static int list(const char *target, char *body, size_t room)
{
    const char *ids = strstr(target, "engagement_id=");
    const char *page = strstr(target, "continuation_key=");
    int64_t from = time_of(target, "min_date=", INT64_MIN),
            to = time_of(target, "max_date=", INT64_MAX);
    int skip = page != NULL ? atoi(page + strlen("continuation_key=")) : 0, met = 0, given = 0;
    size_t n = (size_t)snprintf(body, room, "{\"engagements\":[");
    for (int i = 0; i < chorus.row_count; i++) {
        const struct row *row = &chorus.rows[i];
        bool asked =
            ids != NULL ? strstr(ids, row->id) != NULL : row->date_s >= from && row->date_s <= to;
        if (!asked || !is_visible(row) || met++ < skip)
            continue;
        if (ids == NULL && given == PAGE) {
            snprintf(body + n, room - n, "],\"continuation_key\":\"%d\"}", skip + given);
            return 200;
        }
        n += add_row(row, given++ == 0, body + n, room - n);
    }
    snprintf(body + n, room - n, "]}");
    return 200;
}

static int conversation(const char *target, char *body, size_t room)
{
    for (int i = 0; i < chorus.row_count; i++) {
        const struct row *row = &chorus.rows[i];
        if (strstr(target, row->id) == NULL || !is_visible(row))
            continue;
        snprintf(body, room,
                 "{\"data\":{\"id\":\"%s\",\"attributes\":{\"name\":\"%s\",\"meeting\":{\"id\":"
                 "\"%s\"},\"owner\":{\"email\":\"%s\"}}}}",
                 row->id, row->name, row->key, row->owner);
        return 200;
    }
    snprintf(body, room, "{\"errors\":[]}");
    return 404;
}

int chorus_get(const char *target, int token, char *body, size_t room)
{
    snprintf(body, room, "{}");
    if (on(sim.faults.unreachable) && dice_one_in(6))
        return 0;
    if (on(sim.faults.error_before_commit) && dice_one_in(6))
        return 503;
    if (token != chorus.token)
        return 401;
    if (strncmp(target, "/v3/engagements?", 16) == 0)
        return list(target, body, room);
    if (strncmp(target, "/api/v1/conversations/", 22) == 0)
        return conversation(target, body, room);
    return 200;
}

/* --- what the checks ask --- */

void chorus_check_removal(int content, bool deleted)
{
    bool done = false;
    for (int i = 0; i < chorus.row_count; i++)
        done =
            done || (chorus.rows[i].content == content && sim.steady_ms >= chorus.rows[i].done_ms);
    if (!files.contents[content].stored_at_all)
        violated("the local file of content %d was removed, and Chorus does not have it", content);
    else if (deleted && !done)
        violated("content %d was deleted before Chorus had processed it", content);
}

bool chorus_may_have(int content)
{
    return files.contents[content].stored_at_all || files.contents[content].on_its_way > 0;
}

bool chorus_has_key(int content, const char *key)
{
    for (int i = 0; i < chorus.row_count; i++) {
        if (chorus.rows[i].content == content && strcmp(chorus.rows[i].key, key) == 0)
            return true;
    }
    return false;
}
