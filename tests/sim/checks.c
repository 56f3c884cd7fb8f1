#include "tests/sim/checks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/ledger/internal.h"
#include "tests/sim/chorus.h"
#include "tests/sim/disk.h"
#include "tests/sim/files.h"
#include "tests/sim/sim.h"
#include "tests/sim/watch.h"
#include "tests/sim/world.h"

/* In one world of eight the whole ledger is looked at after each commit, in the others after some.
 */
enum { COMMITS_A_LOOK = 8, CLOSE_LOOKS = 8 };

static struct {
    int64_t story; /* the last line that a commit made durable */
    int64_t read;  /* the last line there was when the ledger was last looked at */
    int64_t batch; /* the number of the commit that was looked at last */
    uint64_t cut_off, commits;
    bool person; /* has ordered a retry */
} seen;

void checks_begin(void)
{
    memset(&seen, 0, sizeof seen);
}

void checks_person_retries(int content)
{
    seen.person = true;
    files.contents[content].in_doubt = false;
    files.contents[content].tried_ms = 0;
}

void checks_cut_off(size_t count)
{
    seen.cut_off += count;
}

/* --- the wire --- */

static void derived_key(int content, char key[FORM_ROOM])
{
    uint8_t sha256[32];
    content_fingerprint(content, sha256);
    strcpy(key, "sha256-");
    for (int i = 0; i < 32; i++)
        snprintf(key + 7 + 2 * i, 3, "%02x", sha256[i]);
}

static bool is_key_of(int content, const char *key)
{
    char derived[FORM_ROOM], of_path[FORM_ROOM];
    const struct content *c = &files.contents[content];
    derived_key(content, derived);
    if (key[0] == '\0' || strcmp(key, derived) == 0)
        return true;
    for (int i = 0; i < c->paths; i++) {
        snprintf(of_path, sizeof of_path, "m-%d", atoi(files.paths[c->path[i]].name + 1));
        if (strcmp(key, of_path) == 0)
            return true;
    }
    return false;
}

void checks_post_begins(int content, const char *key, const char *owner, const char *name)
{
    struct content *c = &files.contents[content];
    if (c->live)
        violated("content %d is sent while it is being sent", content);
    if (!is_key_of(content, key))
        violated("content %d goes under the key %s", content, key);
    if (c->in_doubt) {
        if (key[0] == '\0')
            violated("content %d may have arrived and is sent again without a key", content);
        else if (strcmp(key, c->key) != 0)
            violated("content %d may have arrived under %s and is sent again under %s", content,
                     c->key, key);
        else if (strcmp(owner, c->owner) != 0 || strcmp(name, c->name) != 0)
            violated("content %d may have arrived, and its owner or name has changed since",
                     content);
        else if (sim.steady_ms - c->doubt_ms < RESEND_AFTER_MS)
            violated("content %d may have arrived and is sent again after %d ms", content,
                     (int)(sim.steady_ms - c->doubt_ms));
    }
    snprintf(c->key, FORM_ROOM, "%s", key);
    snprintf(c->owner, FORM_ROOM, "%s", owner);
    snprintf(c->name, FORM_ROOM, "%s", name);
    c->live = true;
    c->left_whole = false;
}

void checks_request_left(int content)
{
    struct content *c = &files.contents[content];
    c->requests++;
    if (c->tried_ms == 0)
        c->tried_ms = sim.steady_ms + 1;
}

void checks_body_left(int content)
{
    files.contents[content].left_whole = true;
    files.contents[content].on_its_way++;
}

static void doubt(struct content *content)
{
    content->in_doubt = true;
    content->doubt_ms = sim.steady_ms;
}

void checks_post_ended(int content, enum verdict verdict)
{
    struct content *c = &files.contents[content];
    c->live = false;
    if (verdict == VERDICT_ACCEPTED)
        c->in_doubt = false;
    else if (verdict == VERDICT_UNCERTAIN && c->left_whole)
        doubt(c);
}

void checks_program_ended(void)
{
    for (int i = 1; i < files.content_count; i++) {
        struct content *content = &files.contents[i];
        if (content->live && content->left_whole)
            doubt(content);
        content->live = false;
    }
}

/* --- the ledger --- */

static int64_t last_story(struct ledger *ledger)
{
    struct query *query = db_query(ledger->db, "SELECT coalesce(max(id), 0) FROM story");
    int64_t id = query_step(query) ? query_int(query, 0) : 0;
    query_end(query);
    return id;
}

static void check_relations(struct ledger *ledger)
{
    struct query *query = db_query(
        ledger->db,
        "SELECT 'a path of a recording that is not there' FROM path WHERE recording IS NOT NULL"
        " AND recording NOT IN (SELECT id FROM recording)"
        " UNION ALL SELECT 'a recording whose path is not its own' FROM recording AS r WHERE NOT"
        " EXISTS (SELECT 1 FROM path AS p WHERE p.id = r.path AND p.recording = r.id)"
        " UNION ALL SELECT 'skipped, and of a recording' FROM path WHERE skip <> 0 AND recording"
        " IS NOT NULL"
        " UNION ALL SELECT 'attempts below zero' FROM recording WHERE attempts < 0 OR uncertain < 0"
        " UNION ALL SELECT 'more doubts than attempts' FROM recording WHERE uncertain > attempts"
        " UNION ALL SELECT 'a counter below zero' FROM counter WHERE n < 0"
        " UNION ALL SELECT 'hashing, at rest' FROM recording WHERE state < 2"
        " UNION ALL SELECT 'held, and not' FROM recording WHERE (held <> 0) <> (state = 2)"
        " UNION ALL SELECT 'a tally that is wrong' FROM tally WHERE kind < 14 AND n <> (SELECT"
        " count(*) FROM recording WHERE state = kind)");
    if (query_step(query)) {
        char *what = query_string(query, 0);
        violated("the ledger contradicts itself: %s", what);
        free(what);
    }
    query_end(query);
}

/* A person may send what changed after its upload as a recording of its own. */
static void check_calls(struct ledger *ledger)
{
    struct query *query = db_query(
        ledger->db,
        "SELECT min(id), max(id) FROM recording WHERE call_key IS NOT NULL AND state IN"
        " (3, 4, 5, 6, 7) AND digest <> 0 AND uncertain = 0 GROUP BY call_key HAVING count(*) > 1");
    if (!seen.person && query_step(query))
        violated("recordings %d and %d are one call, and both go", (int)query_int(query, 0),
                 (int)query_int(query, 1));
    query_end(query);
}

static bool is_given_up(const char *reason)
{
    return reason != NULL && strncmp(reason, "upload.retry_for is over", 24) == 0;
}

/* Whatever the wall clock shows: what leaps by less than half of it may shorten it. */
static void check_given_up(int content, const struct query *query)
{
    const struct content *c = &files.contents[content];
    int64_t least_ms = config_retry_for_ms() / 2 - 3 * HOUR;
    char *reason = query_string(query, 5);
    if (is_given_up(reason) && c->tried_ms != 0 && sim.steady_ms - c->tried_ms < least_ms)
        violated("content %d is given up after %d min", content,
                 (int)((sim.steady_ms - c->tried_ms) / MINUTE));
    free(reason);
}

static bool is_final(enum recording_state state)
{
    return state == STATE_UPLOADED || state == STATE_DELETING || state == STATE_DELETED;
}

static void check_recordings(struct ledger *ledger)
{
    bool known[MOST_CONTENTS] = {false};
    struct query *query = db_query(
        ledger->db,
        "SELECT id, sha256, state, uncertain, known_by_409, reason FROM recording ORDER BY id");
    while (query_step(query)) {
        size_t n;
        int id = (int)query_int(query, 0), content = content_of(query_blob(query, 1, &n));
        enum recording_state state = (enum recording_state)query_int(query, 2);
        if (content < 0) {
            violated("recording %d has a fingerprint that nothing has", id);
            continue;
        }
        const struct content *c = &files.contents[content];
        known[content] = true;
        if (state == STATE_FAILED)
            check_given_up(content, query);
        bool proven = state == STATE_UPLOADED || query_int(query, 4) != 0;
        if (proven && !c->stored_at_all)
            violated("content %d is %s, and Chorus does not have it", content, state_name(state));
        if (c->in_doubt && !is_final(state) && state != STATE_UPLOADING && query_int(query, 3) == 0)
            violated("content %d may have arrived, and the ledger (%s) has forgotten that", content,
                     state_name(state));
    }
    for (int i = 1; i < files.content_count; i++) {
        if (files.contents[i].in_doubt && !known[i])
            violated("content %d may have arrived, and the ledger does not know it any more", i);
    }
}

void checks_rows(struct ledger *ledger)
{
    disk_quiet(true);
    check_relations(ledger);
    check_calls(ledger);
    check_recordings(ledger);
    int64_t posts = ledger_posts(ledger);
    if (posts < (int64_t)sim.posts)
        violated("%lld POSTs have left, and the ledger counts %lld", (long long)sim.posts,
                 (long long)posts);
    disk_quiet(false);
}

void checks_committed(struct ledger *ledger)
{
    if (ledger_batch(ledger) == seen.batch)
        return;
    seen.batch = ledger_batch(ledger);
    disk_quiet(true);
    int64_t story = last_story(ledger);
    disk_quiet(false);
    if (story == seen.read)
        return; /* nothing was written: what a kill left unsynced may still be so */
    seen.read = seen.story = story;
    if (++seen.commits % COMMITS_A_LOOK == 0 || sim.seed % CLOSE_LOOKS == 0)
        checks_rows(ledger);
}

void checks_opened(struct ledger *ledger, bool whole)
{
    disk_quiet(true);
    if (last_story(ledger) < seen.story)
        violated("what was committed is lost: the story ends at %lld, it ended at %lld",
                 (long long)last_story(ledger), (long long)seen.story);
    seen.read = last_story(ledger);
    seen.batch = ledger_batch(ledger);
    if (whole) {
        struct query *query = db_query(ledger->db, "PRAGMA integrity_check");
        char *said = query_step(query) ? query_string(query, 0) : NULL;
        if (said == NULL || strcmp(said, "ok") != 0)
            violated("the ledger is broken: %s", said != NULL ? said : "it cannot be read");
        free(said);
        query_end(query);
    }
    disk_quiet(false);
    checks_rows(ledger);
}

/* --- the end --- */

/* Whether this is where a recording may stay for good. */
static void check_rest(const struct query *query, int path, int content)
{
    enum recording_state state = (enum recording_state)query_int(query, 0);
    enum held_kind held = (enum held_kind)query_int(query, 2);
    enum key_kind kind = (enum key_kind)query_int(query, 3);
    const struct content *c = &files.contents[content];
    char *reason = query_string(query, 4);
    const char *why = reason != NULL ? reason : "";
    bool fair = false;
    switch (state) {
    case STATE_UPLOADED:
        fair = true;
        break;
    case STATE_DUPLICATE:
        fair = query_int(query, 5) != 0 || query_int(query, 6) != 0;
        break;
    case STATE_HELD:
        fair = (held == HELD_FORBIDDEN && c->forbidden) ||
               (held == HELD_DOUBT && (c->answered_409 || kind == KEY_NONE)) ||
               (held == HELD_DOUBT && (strncmp(why, "changed after it was up", 23) == 0 ||
                                       strncmp(why, "it shrank", 9) == 0));
        break;
    case STATE_FAILED:
        fair = c->refused || is_given_up(why);
        break;
    default:
        break;
    }
    if (!fair)
        violated("path %d, content %d is %s at the end (held %d, key %d): %s", path, content,
                 state_name(state), held, kind, why);
    free(reason);
}

static void check_path(struct ledger *ledger, int path)
{
    char absolute[PATH_ROOM + 16];
    const struct inode *inode = file_inode(path);
    path_absolute(path, absolute);
    if (inode->silent)
        return; /* nothing but its bytes has changed: nobody can see that */
    struct query *query = db_query(
        ledger->db,
        "SELECT r.state, r.sha256, r.held, r.key_kind, r.reason, r.known_by_409,"
        " EXISTS (SELECT 1 FROM recording AS t WHERE t.call_key = r.call_key AND t.id <> r.id AND"
        " (t.state NOT IN (8, 9, 10, 11) OR t.known_by_409 = 1)) FROM path AS p JOIN recording AS "
        "r ON r.id = p.recording"
        " WHERE p.path = ? AND p.current = 1 AND p.present = 1");
    query_bind_blob(query, 1, absolute, strlen(absolute));
    if (!query_step(query)) {
        violated("path %d, content %d stands there, and the ledger does not have it", path,
                 inode->content);
    } else {
        size_t n;
        int known = content_of(query_blob(query, 1, &n));
        if (known != inode->content)
            violated("path %d holds content %d, and the ledger says %d", path, inode->content,
                     known);
        else
            check_rest(query, path, inode->content);
    }
    query_end(query);
}

/* Where its root is another device since a boot and nothing known stands in it any more, the
 * program cannot tell an empty folder from a missing mount: it waits. */
bool checks_nothing_under_way(struct ledger *ledger, enum checks_rest rest, bool told)
{
    struct query *query = db_query(
        ledger->db, "SELECT id, state, coalesce(reason, '') FROM recording WHERE state IN (3, 4, 5,"
                    " 6) AND (reason IS NOT '" LEDGER_OFFLINE "' OR ?1) LIMIT 1");
    query_bind_int(query, 1, rest == REST_OF_ALL);
    bool nothing = !query_step(query);
    if (!nothing && told) {
        char *reason = query_string(query, 2);
        violated("recording %d is stuck: %s: %s", (int)query_int(query, 0),
                 state_name((enum recording_state)query_int(query, 1)), reason);
        free(reason);
    }
    query_end(query);
    return nothing;
}

void checks_end(struct ledger *ledger)
{
    checks_rows(ledger);
    checks_nothing_under_way(ledger, REST_BUT_OFFLINE, true);
    for (int path = 0; path < files.path_count; path++) {
        if (file_is_there(path))
            check_path(ledger, path);
    }
    int64_t posts = ledger_posts(ledger);
    if (posts > (int64_t)(sim.posts + seen.cut_off))
        violated("%lld POSTs have left and %lld were cut off, but the ledger counts %lld",
                 (long long)sim.posts, (long long)seen.cut_off, (long long)posts);
}
