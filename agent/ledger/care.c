/* Care: what keeps the ledger small, whole, and somewhere else as well. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/ledger/internal.h"
#include "agent/ledger/schema.h"

/* A story line of before, and whether its recording came to an end (uploaded, duplicate, failed,
 * skipped, gone, deleted; a path without a recording was skipped). */
static int64_t next_line(struct ledger *ledger, int64_t after, int64_t before_ms, bool *over)
{
    struct query *query =
        db_query(ledger->db, "SELECT s.id, coalesce(r.state, 10) IN (7, 8, 9, 10, 11, 13)"
                             " FROM story AS s LEFT JOIN path AS p ON p.id = s.path"
                             " LEFT JOIN recording AS r ON r.id = p.recording"
                             " WHERE s.id > ? AND s.at_ms < ? ORDER BY s.id LIMIT 1");
    query_bind_int(query, 1, after);
    query_bind_int(query, 2, before_ms);
    int64_t id = 0;
    if (query_step(query)) {
        id = query_int(query, 0);
        *over = query_int(query, 1) != 0;
    }
    query_end(query);
    return id;
}

/* Lines are appended in the order of time: the first that is young ends the search, but for a clock
 * that was set back. */
static bool is_old(struct ledger *ledger, int64_t after, int64_t before_ms)
{
    struct query *query =
        db_query(ledger->db, "SELECT at_ms < ? FROM story WHERE id > ? ORDER BY id LIMIT 1");
    query_bind_int(query, 1, before_ms);
    query_bind_int(query, 2, after);
    return query_number(query) != 0;
}

int64_t ledger_thin_stories(struct ledger *ledger, int64_t before_ms, int64_t after, size_t most)
{
    struct db *db = ledger_write(ledger);
    for (size_t i = 0; i < most; i++) {
        bool over = false;
        int64_t id =
            is_old(ledger, after, before_ms) ? next_line(ledger, after, before_ms, &over) : 0;
        if (id == 0)
            return 0;
        after = id;
        if (!over)
            continue;
        struct query *query = db_query(db, "DELETE FROM story WHERE id = ?");
        query_bind_int(query, 1, id);
        query_run(query);
    }
    return after;
}

int ledger_backup(struct ledger *ledger, const char *file, char **why)
{
    *why = NULL;
    /* the copy knows that it is one: see ledger_restored */
    return db_copy(ledger->db, file, "INSERT OR IGNORE INTO counter VALUES('backup', 1)", why);
}

/* Queued or waiting without a key, one of them; 0: none. */
static int64_t keyless_to_send(struct ledger *ledger)
{
    return query_number(db_query(
        ledger->db, "SELECT id FROM recording WHERE (state = 3 OR state = 5) AND key_kind = 0"
                    " LIMIT 1"));
}

bool ledger_restored(struct ledger *ledger, int64_t now_ms)
{
    if (query_number(db_query(ledger->db, "SELECT n FROM counter WHERE name = 'backup'")) == 0)
        return false;
    struct db *db = ledger_write(ledger);
    query_run(db_query(db, "DELETE FROM counter WHERE name = 'backup'"));
    query_run(db_query(db, "UPDATE recording SET maybe_sent = 1 WHERE " LEDGER_IS_OPEN("")));
    struct query *query = db_query(db, "UPDATE watch SET lost_ms = ?");
    query_bind_int(query, 1, now_ms);
    query_run(query);
    static const struct plan_move hold = {
        .to = STATE_HELD, .held = HELD_DOUBT, .reason = MAYBE_SENT};
    for (int64_t id; (id = keyless_to_send(ledger)) != 0;) /* none after an error */
        ledger_move(ledger, id, &hold, now_ms);
    return true;
}

bool ledger_is_sound(struct ledger *ledger, char **why)
{
    *why = NULL;
    char *verdict = query_text(db_query(ledger->db, "PRAGMA integrity_check(1)"));
    bool sound = verdict != NULL && strcmp(verdict, "ok") == 0;
    if (!sound)
        *why = verdict != NULL ? verdict : mem_string(db_error_words(ledger->db));
    else
        free(verdict);
    return sound;
}
