/* After the upload: whether Chorus has processed it, and what becomes of the local file. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/mutant.h"
#include "agent/ledger/internal.h"

/* --- processed --- */

size_t ledger_due_checks(struct ledger *ledger, int64_t now_ms, struct ledger_check *checks,
                         size_t most)
{
    size_t count = 0;
    struct query *query =
        db_query(ledger->db,
                 "SELECT id, engagement_id, uploaded_ms FROM recording WHERE check_ms IS NOT NULL"
                 " AND check_ms <= ? AND state = 7 AND engagement_id IS NOT NULL"
                 " ORDER BY check_ms LIMIT ?");
    query_bind_int(query, 1, now_ms);
    query_bind_int(query, 2, (int64_t)most);
    while (count < most && query_step(query)) {
        checks[count].recording = query_int(query, 0);
        checks[count].engagement_id = query_string(query, 1);
        checks[count++].uploaded_ms = query_int(query, 2);
    }
    query_end(query);
    return count;
}

int64_t ledger_next_check(struct ledger *ledger)
{
    struct query *query =
        db_query(ledger->db, "SELECT min(check_ms) FROM recording WHERE check_ms IS NOT NULL AND"
                             " state = 7 AND engagement_id IS NOT NULL");
    return query_number(query);
}

void ledger_check_again(struct ledger *ledger, int64_t recording, int64_t at_ms)
{
    struct query *query =
        db_query(ledger_write(ledger), "UPDATE recording SET check_ms = ? WHERE id = ?");
    query_bind_int_or_null(query, 1, at_ms);
    query_bind_int(query, 2, recording);
    query_run(query);
}

void ledger_processed(struct ledger *ledger, int64_t recording, int64_t now_ms)
{
    struct query *query =
        db_query(ledger_write(ledger), "UPDATE recording SET processed_ms = ?, check_ms = NULL "
                                       "WHERE id = ? AND processed_ms IS NULL");
    query_bind_int(query, 1, now_ms);
    query_bind_int(query, 2, recording);
    query_run(query);
    query = db_query(ledger->db, "UPDATE path SET retire = 1 WHERE recording = ? AND retire = 5");
    query_bind_int(query, 1, recording);
    query_run(query);
}

int64_t ledger_unprocessed(struct ledger *ledger, int64_t before_ms)
{
    struct query *query = db_query(
        ledger->db, "SELECT count(*) FROM recording WHERE check_ms IS NOT NULL AND state = 7 AND"
                    " engagement_id IS NOT NULL AND uploaded_ms < ?");
    query_bind_int(query, 1, before_ms);
    return query_number(query);
}

/* --- retired --- */

size_t ledger_paths_to_retire(struct ledger *ledger, int64_t recording,
                              struct ledger_path_ref *paths, size_t most)
{
    size_t count = 0;
    struct query *query =
        db_query(ledger->db, "SELECT id, watch FROM path WHERE recording = ? AND present = 1 AND"
                             " current = 1 AND retire = 0 LIMIT ?");
    query_bind_int(query, 1, recording);
    query_bind_int(query, 2, (int64_t)most);
    while (count < most && query_step(query)) {
        paths[count].id = query_int(query, 0);
        paths[count++].watch = query_int(query, 1);
    }
    query_end(query);
    return count;
}

bool ledger_may_retire(struct ledger *ledger, int64_t recording, bool *processed)
{
    bool may = false;
    struct query *query =
        db_query(ledger->db,
                 "SELECT state = 7 AND known_by_409 = 0, processed_ms FROM recording WHERE id = ?");
    query_bind_int(query, 1, recording);
    if (query_step(query)) {
        may = query_int(query, 0) != 0 || mutant("retire-unproven");
        *processed = !query_is_null(query, 1) || mutant("retire-before-processed");
    }
    query_end(query);
    return may;
}

void ledger_set_retirement(struct ledger *ledger, int64_t path, enum retire_state state,
                           int64_t retire_ms)
{
    struct query *query =
        db_query(ledger_write(ledger), "UPDATE path SET retire = ?, retire_ms = ? WHERE id = ?");
    query_bind_int(query, 1, state);
    query_bind_int_or_null(query, 2, retire_ms);
    query_bind_int(query, 3, path);
    query_run(query);
}

void ledger_end_retirement(struct ledger *ledger, int64_t path, enum retire_state state,
                           const char *reason, int64_t now_ms)
{
    ledger_set_retirement(ledger, path, state, 0);
    if (state == RETIREMENT_OVER) {
        struct query *query = db_query(ledger->db, "UPDATE path SET present = 0 WHERE id = ?");
        query_bind_int(query, 1, path);
        query_run(query);
    }
    story_add(ledger, path, STATE_UPLOADED, 0, 0, reason, now_ms);
}

static int64_t next_retirement_ms(struct ledger *ledger)
{
    struct query *query =
        db_query(ledger->db, "SELECT min(retire_ms) FROM path WHERE retire IN (1, 2)");
    return query_number(query);
}

/* The columns of RETIREMENT_COLUMNS. */
void retirement_read(const struct query *query, struct ledger_retirement *retirement)
{
    *retirement = (struct ledger_retirement){
        .path_id = query_int(query, 0),
        .watch = query_int(query, 1),
        .path = query_string(query, 2),
        .root_length = (size_t)query_int(query, 3),
        .identity = {.dev = (uint64_t)query_int(query, 4),
                     .ino = (uint64_t)query_int(query, 5),
                     .size = (uint64_t)query_int(query, 6),
                     .mtime_ns = query_int(query, 7),
                     .ctime_ns = query_int(query, 8)},
    };
    query_hash(query, 9, retirement->sha256);
}

bool ledger_next_retirement(struct ledger *ledger, int64_t now_ms,
                            struct ledger_retirement *retirement, int64_t *next_ms)
{
    struct query *query =
        db_query(ledger->db, RETIREMENT_COLUMNS
                 " WHERE p.retire IN (1, 2) AND p.retire_ms <= ? ORDER BY p.retire_ms LIMIT 1");
    query_bind_int(query, 1, now_ms);
    if (!query_step(query)) {
        *next_ms = next_retirement_ms(ledger);
        return false;
    }
    retirement_read(query, retirement);
    query_end(query);
    return true;
}

void ledger_retirement_clear(struct ledger_retirement *retirement)
{
    free(retirement->path);
    retirement->path = NULL;
}
