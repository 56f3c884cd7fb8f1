/* Reports: what status, list and explain print. Reads only. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/ledger/internal.h"
#include "agent/ledger/schema.h"

enum { TALLY_PATHS = 100, TALLY_SKIPPED = 101, TALLY_BYTES = 102 };

void ledger_count(struct ledger *ledger, struct ledger_counts *counts)
{
    memset(counts, 0, sizeof *counts);
    int64_t recordings = 0, paths = 0;
    struct query *query = db_query(ledger->db, "SELECT kind, n FROM tally");
    while (query_step(query)) {
        int64_t kind = query_int(query, 0), n = query_int(query, 1);
        if (kind >= 0 && kind < STATE_COUNT) {
            counts->state[kind] += n;
            recordings += n;
        } else if (kind == TALLY_PATHS) {
            paths = n;
        } else if (kind == TALLY_SKIPPED) {
            counts->state[STATE_SKIPPED] += n;
        } else if (kind == TALLY_BYTES) {
            counts->bytes_uploaded = n;
        }
    }
    counts->state[STATE_DUPLICATE] += paths - recordings;
    counts->oldest_waiting_ms = query_number(
        db_query(ledger->db, "SELECT first_seen_ms FROM recording WHERE"
                             " " LEDGER_IS_OPEN("") " AND state <> 2 ORDER BY id LIMIT 1"));
    counts->oldest_held_ms =
        query_number(db_query(ledger->db, "SELECT first_seen_ms FROM recording WHERE"
                                          " state = 2 ORDER BY id LIMIT 1"));
}

void ledger_count_bulk(struct ledger *ledger, int64_t bulk, struct ledger_counts *counts)
{
    memset(counts, 0, sizeof *counts);
    struct query *query = db_query(
        ledger->db,
        "SELECT CASE WHEN r.id IS NULL THEN 10 WHEN r.path = p.id THEN r.state ELSE 8 END AS s,"
        " count(*), sum(CASE WHEN r.path = p.id AND r.state = 7 THEN r.size ELSE 0 END)"
        " FROM path AS p LEFT JOIN recording AS r ON r.id = p.recording"
        " WHERE p.bulk = ? AND (p.skip <> 0 OR p.recording IS NOT NULL) GROUP BY s");
    query_bind_int(query, 1, bulk);
    while (query_step(query)) {
        int64_t state = query_int(query, 0);
        if (state >= 0 && state < STATE_COUNT)
            counts->state[state] = query_int(query, 1);
        counts->bytes_uploaded += query_int(query, 2);
    }
}

char *ledger_last_error(struct ledger *ledger, int64_t *at_ms)
{
    char *text = NULL;
    struct query *query =
        db_query(ledger->db, "SELECT s.reason, s.at_ms FROM story AS s WHERE " LEDGER_IS_TROUBLE(
                                 "s.") " AND s.reason IS NOT NULL AND s.reason NOT LIKE 'waits %'"
                                       " ORDER BY s.id DESC LIMIT 1");
    if (query_step(query)) {
        text = query_string(query, 0);
        *at_ms = query_int(query, 1);
    }
    query_end(query);
    return text;
}

char *ledger_path_of_content(struct ledger *ledger, const uint8_t sha256[32],
                             enum recording_state *state)
{
    char *path = NULL;
    struct query *query =
        db_query(ledger->db, "SELECT p.path, r.state FROM recording AS r JOIN path AS p"
                             " ON p.id = r.path WHERE r.sha256 = ?");
    query_bind_blob(query, 1, sha256, 32);
    if (query_step(query)) {
        path = query_string(query, 0);
        *state = (enum recording_state)query_int(query, 1);
    }
    query_end(query);
    return path;
}

char *ledger_path_of_call_key(struct ledger *ledger, const char *call_key, const uint8_t sha256[32])
{
    struct query *query =
        db_query(ledger->db, "SELECT p.path FROM recording AS r JOIN path AS p ON p.id = r.path"
                             " WHERE r.call_key = ? AND r.sha256 <> ? AND"
                             " (r.state NOT IN (8, 9, 10, 11) OR r.known_by_409 = 1) ORDER BY r.id"
                             " LIMIT 1");
    query_bind_text(query, 1, call_key);
    query_bind_blob(query, 2, sha256, 32);
    return query_text(query);
}

bool ledger_engagement_may_be_anothers(struct ledger *ledger, int64_t recording,
                                       const char *engagement_id)
{
    struct query *query = db_query(
        ledger->db,
        "SELECT 1 FROM recording WHERE engagement_id = ?1 AND id <> ?2"
        " UNION ALL SELECT 1 FROM recording AS mine JOIN recording AS other"
        " ON other.meeting_id = mine.meeting_id AND other.key_kind = 1 AND other.id <> mine.id"
        " WHERE mine.id = ?2 AND other.engagement_id IS NULL AND"
        " (other.state IN (4, 7) OR other.uncertain > 0) LIMIT 1");
    query_bind_text(query, 1, engagement_id);
    query_bind_int(query, 2, recording);
    bool anothers = query_step(query);
    query_end(query);
    return anothers;
}

int64_t ledger_posts(struct ledger *ledger)
{
    return query_number(db_query(ledger->db, "SELECT n FROM counter WHERE name = 'posts'"));
}

#define LIST_COLUMNS                                                                               \
    "SELECT p.path, w.name, CASE WHEN r.id IS NULL THEN p.rule ELSE r.rule END,"                   \
    " CASE WHEN r.id IS NULL THEN 10 WHEN r.path = p.id THEN r.state ELSE 8 END, p.size, "         \
    "r.sha256,"                                                                                    \
    " r.owner, r.name, r.meeting_id, r.call_key,"                                                  \
    " CASE WHEN twin.id IS NOT NULL THEN twin.engagement_id ELSE r.engagement_id END, r.attempts," \
    " CASE WHEN r.id IS NULL THEN p.reason WHEN r.path = p.id THEN r.reason"                       \
    "  WHEN r.state IN (12, 13) THEN 'the same content; a deletion blocks it'"                     \
    "  ELSE 'the same content' END,"                                                               \
    " CASE WHEN r.path <> p.id THEN chosen.path WHEN r.state = 8 THEN twin_path.path END,"         \
    " p.first_seen_ms, r.next_attempt_ms, r.uploaded_ms, r.processed_ms, r.deleted_ms, r.fields,"  \
    " p.present"                                                                                   \
    " FROM path AS p JOIN watch AS w ON w.id = p.watch"                                            \
    " LEFT JOIN recording AS r ON r.id = p.recording"                                              \
    " LEFT JOIN path AS chosen ON chosen.id = r.path"                                              \
    " LEFT JOIN recording AS twin ON twin.id = r.twin_of"                                          \
    " LEFT JOIN path AS twin_path ON twin_path.id = twin.path"                                     \
    " WHERE (p.skip <> 0 OR p.recording IS NOT NULL)"

enum { ROW_STRINGS = 11 };

/* Column numbers of LIST_COLUMNS. */
enum {
    COLUMN_PATH,
    COLUMN_WATCH,
    COLUMN_RULE,
    COLUMN_STATE,
    COLUMN_SIZE,
    COLUMN_SHA256,
    COLUMN_OWNER,
    COLUMN_NAME,
    COLUMN_MEETING_ID,
    COLUMN_CALL_KEY,
    COLUMN_ENGAGEMENT_ID,
    COLUMN_ATTEMPTS,
    COLUMN_REASON,
    COLUMN_DUPLICATE_OF,
    COLUMN_FIRST_SEEN,
    COLUMN_NEXT_ATTEMPT,
    COLUMN_UPLOADED,
    COLUMN_PROCESSED,
    COLUMN_DELETED,
    COLUMN_FIELDS,
    COLUMN_PRESENT,
};

static void give_row(const struct query *query, ledger_each_row each, void *ctx)
{
    char *texts[ROW_STRINGS];
    static const int columns[ROW_STRINGS] = {
        COLUMN_PATH,   COLUMN_WATCH,        COLUMN_RULE,     COLUMN_OWNER,
        COLUMN_NAME,   COLUMN_MEETING_ID,   COLUMN_CALL_KEY, COLUMN_ENGAGEMENT_ID,
        COLUMN_REASON, COLUMN_DUPLICATE_OF, COLUMN_FIELDS};
    for (int i = 0; i < ROW_STRINGS; i++)
        texts[i] = query_string(query, columns[i]);
    size_t n;
    const uint8_t *sha256 = query_blob(query, COLUMN_SHA256, &n);
    struct ledger_row row = {
        .path = texts[0],
        .watch = texts[1],
        .rule = texts[2],
        .state = (enum recording_state)query_int(query, COLUMN_STATE),
        .size = (uint64_t)query_int(query, COLUMN_SIZE),
        .sha256 = n == 32 ? sha256 : NULL,
        .owner = texts[3],
        .name = texts[4],
        .meeting_id = texts[5],
        .call_key = texts[6],
        .engagement_id = texts[7],
        .attempts = (int)query_int(query, COLUMN_ATTEMPTS),
        .reason = texts[8],
        .duplicate_of = texts[9],
        .fields = texts[10],
        .first_seen_ms = query_int(query, COLUMN_FIRST_SEEN),
        .next_attempt_ms = query_int(query, COLUMN_STATE) == STATE_GONE
                               ? 0
                               : query_int(query, COLUMN_NEXT_ATTEMPT),
        .uploaded_ms = query_int(query, COLUMN_UPLOADED),
        .processed_ms = query_int(query, COLUMN_PROCESSED),
        .deleted_ms = query_int(query, COLUMN_DELETED),
        .present = query_int(query, COLUMN_PRESENT) != 0,
    };
    each(ctx, &row);
    for (int i = 0; i < ROW_STRINGS; i++)
        free(texts[i]);
}

size_t ledger_list(struct ledger *ledger, int state, const char *path, ledger_each_row each,
                   void *ctx)
{
    struct query *query;
    size_t count = 0;
    if (path == NULL) {
        query = db_query(ledger->db, LIST_COLUMNS " ORDER BY p.id");
    } else {
        /* that path, and everything below it: '0' follows '/' */
        char *from = mem_printf("%s/", path), *to = mem_printf("%s0", path);
        query = db_query(ledger->db, LIST_COLUMNS " AND (p.path = ?1 OR (p.path >= ?2 AND"
                                                  " p.path < ?3)) ORDER BY p.id");
        query_bind_blob(query, 1, path, strlen(path));
        query_bind_blob(query, 2, from, strlen(from));
        query_bind_blob(query, 3, to, strlen(to));
        free(from);
        free(to);
    }
    while (query_step(query)) {
        if (state >= 0 && query_int(query, COLUMN_STATE) != state)
            continue;
        give_row(query, each, ctx);
        count++;
    }
    return count;
}

size_t ledger_list_engagement(struct ledger *ledger, const char *engagement_id,
                              ledger_each_row each, void *ctx)
{
    struct query *query =
        db_query(ledger->db,
                 LIST_COLUMNS " AND r.engagement_id = ?1 AND r.path = p.id ORDER BY p.id LIMIT 1");
    query_bind_text(query, 1, engagement_id);
    size_t count = query_step(query);
    if (count > 0)
        give_row(query, each, ctx);
    query_end(query);
    return count;
}

size_t ledger_story(struct ledger *ledger, const char *path,
                    void (*each)(void *ctx, const struct ledger_event *event), void *ctx)
{
    size_t count = 0;
    struct query *query =
        db_query(ledger->db, "SELECT s.at_ms, s.state, s.attempt, s.status, s.reason FROM path AS p"
                             " JOIN story AS s ON s.path = p.id WHERE p.path = ? ORDER BY s.id");
    query_bind_blob(query, 1, path, strlen(path));
    while (query_step(query)) {
        char *reason = query_string(query, 4);
        struct ledger_event event = {
            .at_ms = query_int(query, 0),
            .state = (enum recording_state)query_int(query, 1),
            .attempt = (int)query_int(query, 2),
            .status = (int)query_int(query, 3),
            .reason = reason,
        };
        each(ctx, &event);
        free(reason);
        count++;
    }
    return count;
}
