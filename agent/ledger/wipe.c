/*
 * Forgetting: the tool that deletes a phone number must not keep it. Some time after the last proof
 * path, name, owner and fields of a deleted recording are wiped, and all that told them. Checksum,
 * hashed call key, engagement id and times stay.
 *
 * A path is wiped into a NUL and its SHA-256, so that a file that still stands there is known
 * without being named.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/ledger/internal.h"

void wiped_path(const char *path, uint8_t key[WIPED_PATH])
{
    key[0] = 0;
    ledger_digest(path, strlen(path), key + 1);
}

static void run_on(struct ledger *ledger, const char *sql, int64_t id)
{
    struct query *query = db_query(ledger_write(ledger), sql);
    query_bind_int(query, 1, id);
    query_run(query);
}

static void wipe_path_row(struct ledger *ledger, int64_t row, const char *path)
{
    uint8_t key[WIPED_PATH];
    wiped_path(path, key);
    /* what was wiped under this name before is an older version of the file by now */
    struct query *query = db_query(ledger->db, "UPDATE path SET current = -id, present = 0 WHERE"
                                               " path = ? AND current = 1 AND id <> ?");
    query_bind_blob(query, 1, key, sizeof key);
    query_bind_int(query, 2, row);
    query_run(query);
    query = db_query(ledger->db, "UPDATE path SET path = ?, file = X'', rule = NULL, reason = NULL"
                                 " WHERE id = ?");
    query_bind_blob(query, 1, key, sizeof key);
    query_bind_int(query, 2, row);
    query_run(query);
}

static void wipe_paths(struct ledger *ledger, int64_t recording)
{
    int64_t after = 0;
    run_on(ledger, "DELETE FROM story WHERE path IN (SELECT id FROM path WHERE recording = ?)",
           recording);
    for (;;) {
        struct query *query =
            db_query(ledger->db, "SELECT id, path FROM path WHERE recording = ? AND id > ? AND"
                                 " substr(path, 1, 1) <> X'00' ORDER BY id LIMIT 1");
        query_bind_int(query, 1, recording);
        query_bind_int(query, 2, after);
        bool found = query_step(query);
        int64_t row = found ? query_int(query, 0) : 0;
        char *path = found ? query_string(query, 1) : NULL;
        query_end(query);
        if (!found)
            return;
        wipe_path_row(ledger, row, path);
        free(path);
        after = row;
    }
}

static void wipe_recording(struct ledger *ledger, int64_t recording)
{
    fields_index(ledger, recording, NULL);
    wipe_paths(ledger, recording);
    run_on(ledger,
           "UPDATE recording SET rule = NULL, owner = NULL, name = NULL, meeting_id = CASE WHEN"
           " key_kind = 2 THEN meeting_id END, crm_account_id = NULL, crm_opportunity_id = NULL,"
           " call_key = NULL, fields = NULL, reason = NULL, wiped = 1 WHERE id = ?",
           recording);
    run_on(ledger, "UPDATE erasure SET reason = NULL WHERE recording = ?", recording);
    audit_wipe(ledger, recording, 0);
}

static void wipe_request(struct ledger *ledger, int64_t request)
{
    run_on(ledger, "DELETE FROM finding WHERE request = ?", request);
    run_on(ledger, "DELETE FROM target WHERE request = ?", request);
    run_on(ledger,
           "UPDATE request SET file = X'', reason = NULL, requested_by = NULL, refusal = NULL,"
           " placed_as = NULL, wiped = 1 WHERE id = ?",
           request);
    audit_wipe(ledger, 0, request);
}

/* The oldest that is to be wiped: its id, and *since_ms; 0: none. */
static int64_t oldest(struct query *query, int64_t *since_ms)
{
    bool found = query_step(query);
    int64_t id = found ? query_int(query, 0) : 0;
    *since_ms = found ? query_int(query, 1) : 0;
    query_end(query);
    return id;
}

static int64_t oldest_recording(struct ledger *ledger, int64_t *since_ms)
{
    return oldest(db_query(ledger->db, "SELECT id, deleted_ms FROM recording WHERE state = 13 AND"
                                       " wiped = 0 ORDER BY deleted_ms LIMIT 1"),
                  since_ms);
}

/* Of which nothing is asked for any more. */
static int64_t oldest_request(struct ledger *ledger, int64_t *since_ms)
{
    return oldest(
        db_query(ledger->db,
                 "SELECT id, ended_ms FROM request AS q WHERE stage IN (5, 7) AND wiped = 0 AND"
                 " NOT EXISTS (SELECT 1 FROM finding AS f JOIN erasure AS e ON e.id = f.erasure"
                 " WHERE f.request = q.id AND e.phase <> 5) ORDER BY ended_ms LIMIT 1"),
        since_ms);
}

size_t ledger_wipe_details(struct ledger *ledger, int64_t before_ms, size_t most, int64_t *next_ms)
{
    size_t count = 0;
    int64_t id = 0, recording_ms = 0, request_ms = 0;
    while (count < most && (id = oldest_recording(ledger, &recording_ms)) != 0 &&
           recording_ms < before_ms) {
        wipe_recording(ledger, id);
        count++;
    }
    while (count < most && (id = oldest_request(ledger, &request_ms)) != 0 &&
           request_ms < before_ms) {
        wipe_request(ledger, id);
        count++;
    }
    oldest_recording(ledger, &recording_ms);
    oldest_request(ledger, &request_ms);
    *next_ms = recording_ms == 0 || (request_ms != 0 && request_ms < recording_ms) ? request_ms
                                                                                   : recording_ms;
    return count;
}

int ledger_scrub(struct ledger *ledger)
{
    if (ledger->dirty || db_error(ledger->db) != 0)
        return db_error(ledger->db); /* after the next commit */
    db_exec(ledger->db, "PRAGMA wal_checkpoint(TRUNCATE)");
    int error = db_error(ledger->db);
    db_clear_error(ledger->db);
    return error;
}

void ledger_unwipe_path(struct ledger *ledger, const char *path)
{
    uint8_t key[WIPED_PATH];
    wiped_path(path, key);
    const char *file = strrchr(path, '/') + 1; /* it is absolute */
    struct query *query = db_query(ledger_write(ledger),
                                   "UPDATE OR IGNORE path SET path = ?, file = ? WHERE path = ?");
    query_bind_blob(query, 1, path, strlen(path));
    query_bind_blob(query, 2, file, strlen(file));
    query_bind_blob(query, 3, key, sizeof key);
    query_run(query);
}
