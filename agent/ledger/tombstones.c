/*
 * Tombstones: what was deleted is never uploaded again, by checksum and by call key. They stand in
 * `state_dir`/tombstones too, which outlives the ledger. Of a call key only its hash is kept.
 */
#include <errno.h>
#include <string.h>

#include "agent/base/bytes.h"
#include "agent/base/mutant.h"
#include "agent/ledger/internal.h"
#include "watcher/digest.h"

bool tombstone_of_call(const char *call_key, struct ledger_tombstone *tombstone)
{
    if (call_key == NULL)
        return false;
    tombstone->is_call = true;
    ledger_digest(call_key, strlen(call_key), tombstone->hash);
    return true;
}

static void set(struct ledger *ledger, const struct ledger_tombstone *tombstone, int generation,
                bool blocks, bool filed)
{
    struct query *query = db_query(
        ledger_write(ledger),
        "INSERT INTO tombstone(is_call, hash, generation, blocks, filed) VALUES(?1, ?2, ?3, ?4, ?5)"
        " ON CONFLICT(is_call, hash) DO UPDATE SET generation = max(generation, ?3), blocks = ?4,"
        " filed = ?5");
    query_bind_int(query, 1, tombstone->is_call);
    query_bind_blob(query, 2, tombstone->hash, sizeof tombstone->hash);
    query_bind_int(query, 3, generation);
    query_bind_int(query, 4, blocks);
    query_bind_int(query, 5, filed);
    query_run(query);
}

void tombstone_set(struct ledger *ledger, const struct ledger_tombstone *tombstone, bool filed)
{
    if (!mutant("no-tombstone"))
        set(ledger, tombstone, 1, true, filed);
}

void ledger_tombstone_restore(struct ledger *ledger, const struct ledger_tombstone *tombstone,
                              int generation)
{
    set(ledger, tombstone, generation > 0 ? generation : 1, generation == 0, true);
}

static struct query *row_of(struct ledger *ledger, const struct ledger_tombstone *tombstone)
{
    struct query *query = db_query(
        ledger->db, "SELECT blocks, generation FROM tombstone WHERE is_call = ? AND hash = ?");
    query_bind_int(query, 1, tombstone->is_call);
    query_bind_blob(query, 2, tombstone->hash, sizeof tombstone->hash);
    return query;
}

bool tombstone_blocks(struct ledger *ledger, const struct ledger_tombstone *tombstone)
{
    struct query *query = row_of(ledger, tombstone);
    return query_number(query) != 0;
}

bool ledger_is_blocked(struct ledger *ledger, const uint8_t sha256[32], const char *call_key)
{
    struct ledger_tombstone tombstone = {.is_call = false};
    memcpy(tombstone.hash, sha256, sizeof tombstone.hash);
    return tombstone_blocks(ledger, &tombstone) ||
           (tombstone_of_call(call_key, &tombstone) && tombstone_blocks(ledger, &tombstone));
}

int ledger_generation(struct ledger *ledger, const uint8_t sha256[32])
{
    struct ledger_tombstone tombstone = {.is_call = false};
    memcpy(tombstone.hash, sha256, sizeof tombstone.hash);
    struct query *query = row_of(ledger, &tombstone);
    int generation = query_step(query) ? (int)query_int(query, 1) : 1;
    query_end(query);
    return generation;
}

size_t ledger_tombstones_unfiled(struct ledger *ledger, struct ledger_tombstone *tombstones,
                                 size_t most)
{
    size_t count = 0;
    struct query *query =
        db_query(ledger->db, "SELECT is_call, hash FROM tombstone WHERE filed = 0 LIMIT ?");
    query_bind_int(query, 1, (int64_t)most);
    while (count < most && query_step(query)) {
        tombstones[count].is_call = query_int(query, 0) != 0;
        count += query_hash(query, 1, tombstones[count].hash);
    }
    query_end(query);
    return count;
}

void ledger_tombstone_filed(struct ledger *ledger, const struct ledger_tombstone *tombstone)
{
    struct query *query = db_query(ledger_write(ledger),
                                   "UPDATE tombstone SET filed = 1 WHERE is_call = ? AND hash = ?");
    query_bind_int(query, 1, tombstone->is_call);
    query_bind_blob(query, 2, tombstone->hash, sizeof tombstone->hash);
    query_run(query);
}

/* --- lifting --- */

size_t ledger_undelete_lifts(struct ledger *ledger, int64_t recording,
                             struct ledger_tombstone lifts[2], int *generation)
{
    size_t count = 0;
    struct query *query =
        db_query(ledger->db, "SELECT sha256, call_hash, state FROM recording WHERE id = ?");
    query_bind_int(query, 1, recording);
    *generation = 1;
    if (query_step(query) && query_int(query, 2) == STATE_DELETED) {
        lifts[0].is_call = false;
        lifts[1].is_call = true;
        count += query_hash(query, 0, lifts[0].hash);
        count += query_hash(query, 1, lifts[1].hash);
    }
    query_end(query);
    if (count == 0)
        return 0;
    *generation = ledger_generation(ledger, lifts[0].hash) + 1;
    return count;
}

int ledger_undelete(struct ledger *ledger, int64_t recording, int64_t now_ms)
{
    struct ledger_tombstone lifts[2];
    struct ledger_job job;
    int generation;
    if (ledger_job(ledger, recording, &job) != 0)
        return -ENOENT;
    ledger_job_clear(&job);
    size_t count = ledger_undelete_lifts(ledger, recording, lifts, &generation);
    if (count == 0)
        return -EEXIST;
    for (size_t i = 0; i < count; i++)
        set(ledger, &lifts[i], generation, false, true);
    erasure_supersede(ledger, recording);
    struct audit_entry entry = {.event = "lifted", .recording = recording};
    audit_add_for(ledger, &entry, recording, now_ms);
    struct query *query =
        db_query(ledger_write(ledger), "UPDATE tally SET n = n - (SELECT CASE WHEN uploaded_ms IS"
                                       " NULL THEN 0 ELSE size END FROM recording WHERE id = ?)"
                                       " WHERE kind = 102");
    query_bind_int(query, 1, recording);
    query_run(query);
    query = db_query(
        ledger->db,
        "UPDATE recording SET digest = 0, attempts = 0, uncertain = 0, first_attempt_ms = NULL,"
        " known_by_409 = 0, conflict = 0, held = 0, engagement_id = NULL, uploaded_ms = NULL,"
        " processed_ms = NULL, check_ms = NULL, deleted_ms = NULL, call_hash = NULL, twin_of = NULL"
        " WHERE id = ?");
    query_bind_int(query, 1, recording);
    query_run(query);
    recording_move(ledger, recording, STATE_QUEUED, 0, 0,
                   "its deletion was lifted on request: it is uploaded again", now_ms);
    return 0;
}
