/* Deletion requests: their lines, their stages, and what their result says. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/bytes.h"
#include "agent/base/json.h"
#include "agent/base/mem.h"
#include "agent/ledger/internal.h"

/* --- taken --- */

static int64_t open_request(struct ledger *ledger, const char *file, const uint8_t digest[32])
{
    struct query *query =
        db_query(ledger->db, "SELECT id FROM request WHERE stage NOT IN (5, 7) AND file = ? AND"
                             " digest = ?");
    query_bind_blob(query, 1, file, strlen(file));
    query_bind_blob(query, 2, digest, 32);
    return query_number(query);
}

int64_t ledger_request_begin(struct ledger *ledger, const char *file, const uint8_t digest[32],
                             const struct request_facts *facts, int64_t now_ms)
{
    int64_t id = open_request(ledger, file, digest);
    if (id != 0)
        return id;
    struct query *query = db_query(
        ledger_write(ledger),
        "INSERT INTO request(file, digest, reason, requested_by, from_ms, to_ms, local, force,"
        " dry_run, expect, targets, bad, taken_ms) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    query_bind_blob(query, 1, file, strlen(file));
    query_bind_blob(query, 2, digest, 32);
    query_bind_text(query, 3, facts->reason);
    query_bind_text(query, 4, facts->requested_by);
    query_bind_int_or_null(query, 5, facts->from_ms);
    query_bind_int_or_null(query, 6, facts->to_ms);
    query_bind_int(query, 7, facts->local);
    query_bind_int(query, 8, facts->force);
    query_bind_int(query, 9, facts->dry_run);
    query_bind_int(query, 10, facts->expect);
    query_bind_int(query, 11, (int64_t)facts->targets);
    query_bind_int(query, 12, (int64_t)facts->bad);
    query_bind_int(query, 13, now_ms);
    query_run(query);
    return db_last_id(ledger->db);
}

void ledger_request_add(struct ledger *ledger, int64_t request, const struct request_line *line)
{
    struct query *query =
        db_query(ledger_write(ledger),
                 "INSERT OR IGNORE INTO target(request, line, kind, text, value, problem)"
                 " VALUES(?, ?, ?, ?, ?, ?)");
    query_bind_int(query, 1, request);
    query_bind_int(query, 2, line->line);
    query_bind_int(query, 3, line->kind);
    query_bind_blob(query, 4, line->text, strlen(line->text));
    if (line->value != NULL)
        query_bind_blob(query, 5, line->value, strlen(line->value));
    query_bind_text(query, 6, line->problem);
    query_run(query);
    query = db_query(ledger->db, "UPDATE request SET last_line = max(last_line, ?) WHERE id = ?");
    query_bind_int(query, 1, line->line);
    query_bind_int(query, 2, request);
    query_run(query);
}

void request_stage(struct ledger *ledger, int64_t request, enum request_stage stage)
{
    struct query *query =
        db_query(ledger_write(ledger), "UPDATE request SET stage = ? WHERE id = ?");
    query_bind_int(query, 1, stage);
    query_bind_int(query, 2, request);
    query_run(query);
}

void ledger_request_read_whole(struct ledger *ledger, int64_t request)
{
    request_stage(ledger, request, REQUEST_RESOLVING);
}

bool ledger_request_next(struct ledger *ledger, int64_t after, struct ledger_request *request)
{
    struct query *query = db_query(
        ledger->db, "SELECT id, file, digest, stage, reason, requested_by, from_ms, to_ms, local,"
                    " force, dry_run, expect, targets, bad, taken_ms, last_line, refusal, placed_as"
                    " FROM request WHERE stage NOT IN (5, 7) AND id > ? ORDER BY id LIMIT 1");
    query_bind_int(query, 1, after);
    if (!query_step(query))
        return false;
    *request = (struct ledger_request){
        .id = query_int(query, 0),
        .file = query_string(query, 1),
        .stage = (enum request_stage)query_int(query, 3),
        .facts = {.reason = query_string(query, 4),
                  .requested_by = query_string(query, 5),
                  .from_ms = query_int(query, 6),
                  .to_ms = query_int(query, 7),
                  .local = query_int(query, 8) != 0,
                  .force = query_int(query, 9) != 0,
                  .dry_run = query_int(query, 10) != 0,
                  .expect = query_int(query, 11),
                  .targets = (size_t)query_int(query, 12),
                  .bad = (size_t)query_int(query, 13)},
        .taken_ms = query_int(query, 14),
        .last_line = (unsigned)query_int(query, 15),
        .refusal = query_string(query, 16),
        .placed_as = query_string(query, 17),
    };
    query_hash(query, 2, request->digest);
    query_end(query);
    return true;
}

void ledger_request_clear(struct ledger_request *request)
{
    free(request->file);
    free(request->facts.reason);
    free(request->facts.requested_by);
    free(request->refusal);
    free(request->placed_as);
    memset(request, 0, sizeof *request);
}

/* --- the guards --- */

static int64_t count_of(struct query *query, int64_t request)
{
    query_bind_int(query, 1, request);
    return query_number(query);
}

void ledger_request_extent(struct ledger *ledger, int64_t request, int64_t *matched, int64_t *bad)
{
    struct db *db = ledger->db;
    *matched =
        count_of(db_query(db, "SELECT count(DISTINCT recording) FROM finding WHERE request = ?"),
                 request) +
        count_of(db_query(db, "SELECT count(DISTINCT engagement_id) FROM finding WHERE request = ?"
                              " AND recording IS NULL AND outcome = 0"),
                 request) +
        count_of(db_query(db, "SELECT count(DISTINCT path) FROM finding WHERE request = ?"
                              " AND recording IS NULL AND path IS NOT NULL"),
                 request);
    *bad = count_of(db_query(db, "SELECT bad FROM request WHERE id = ?"), request);
}

static void run_on(struct ledger *ledger, const char *sql, int64_t request)
{
    struct query *query = db_query(ledger_write(ledger), sql);
    query_bind_int(query, 1, request);
    query_run(query);
}

static void audit_request(struct ledger *ledger, int64_t request, const char *event, int64_t now_ms)
{
    static const char *const keys[] = {"request", "reason", "requested_by", "refusal"};
    char hex[65];
    uint8_t digest[32] = {0};
    cJSON *details = cJSON_CreateObject();
    struct query *query = db_query(ledger->db, "SELECT file, reason, requested_by, refusal, digest"
                                               " FROM request WHERE id = ?");
    query_bind_int(query, 1, request);
    query_step(query);
    for (int i = 0; i < 4; i++) {
        char *text = query_string(query, i);
        json_add_bytes(details, keys[i], text);
        free(text);
    }
    query_hash(query, 4, digest);
    bytes_to_hex(digest, sizeof digest, hex);
    query_end(query);
    char *text = cJSON_PrintUnformatted(details);
    cJSON_Delete(details);
    struct audit_entry entry = {.event = event, .sha256 = hex, .request = request, .details = text};
    audit_add(ledger, &entry, now_ms);
    free(text);
}

void ledger_request_accept(struct ledger *ledger, int64_t request, int64_t now_ms)
{
    struct query *query = db_query(ledger->db, "SELECT dry_run FROM request WHERE id = ?");
    query_bind_int(query, 1, request);
    bool dry = query_number(query) != 0;
    audit_request(ledger, request, dry ? "dry-run" : "requested", now_ms);
    if (!dry) {
        request_stage(ledger, request, REQUEST_MARKING);
        return;
    }
    run_on(ledger, "DELETE FROM path_block WHERE request = ?", request);
    run_on(ledger,
           "UPDATE finding SET outcome = 7, marked = 1 WHERE request = ? AND outcome IN (0, 4)",
           request);
    request_stage(ledger, request, REQUEST_AT_WORK);
}

void ledger_request_refuse(struct ledger *ledger, int64_t request, const char *why, int64_t now_ms)
{
    run_on(ledger, "DELETE FROM path_block WHERE request = ?", request);
    run_on(ledger, "DELETE FROM finding WHERE request = ?", request);
    run_on(ledger, "DELETE FROM target WHERE request = ?", request);
    struct query *query =
        db_query(ledger_write(ledger), "UPDATE request SET refusal = ? WHERE id = ?");
    query_bind_text(query, 1, why);
    query_bind_int(query, 2, request);
    query_run(query);
    audit_request(ledger, request, "request-refused", now_ms);
    request_stage(ledger, request, REQUEST_REFUSING);
}

/* --- the result --- */

void ledger_request_place(struct ledger *ledger, int64_t request, const char *placed_as)
{
    struct query *query = db_query(
        ledger_write(ledger),
        "UPDATE request SET placed_as = ?, stage = CASE WHEN stage = 3 THEN 4 ELSE stage END"
        " WHERE id = ?");
    query_bind_blob(query, 1, placed_as, strlen(placed_as));
    query_bind_int(query, 2, request);
    query_run(query);
}

void ledger_request_placed(struct ledger *ledger, int64_t request, int64_t now_ms)
{
    struct query *query =
        db_query(ledger_write(ledger),
                 "UPDATE request SET stage = CASE WHEN stage = 6 THEN 7 ELSE 5 END, ended_ms = ?"
                 " WHERE id = ?");
    query_bind_int(query, 1, now_ms);
    query_bind_int(query, 2, request);
    query_run(query);
}

#define FINDING_COLUMNS                                                                            \
    "SELECT f.line, t.text, coalesce(p.path, f.path), r.sha256,"                                   \
    " coalesce(e.engagement_id, f.engagement_id, r.engagement_id), f.outcome, e.outcome, e.phase," \
    " e.status, e.visible_ms, e.accepted_ms, e.gone_ms, coalesce(f.reason, e.reason),"             \
    " p.present = 1 AND p.remove <> 2"                                                             \
    " FROM finding AS f JOIN target AS t ON t.request = f.request AND t.line = f.line"             \
    " LEFT JOIN recording AS r ON r.id = f.recording"                                              \
    " LEFT JOIN path AS p ON p.recording = f.recording AND substr(p.path, 1, 1) <> X'00'"          \
    " LEFT JOIN erasure AS e ON e.id = f.erasure"

/* As it stands: what was accepted and is not proven is told so, and what was not even accepted is
 * refused for the time being, with the reason. */
static enum erasure_outcome outcome_now(const struct query *query)
{
    enum erasure_outcome preset = (enum erasure_outcome)query_int(query, 5);
    if (preset != OUTCOME_NONE)
        return preset;
    enum erasure_outcome outcome = (enum erasure_outcome)query_int(query, 6);
    if (outcome != OUTCOME_NONE)
        return outcome;
    return query_int(query, 10) != 0 ? OUTCOME_UNCONFIRMED : OUTCOME_REFUSED;
}

size_t ledger_request_findings(struct ledger *ledger, int64_t request,
                               void (*each)(void *ctx, const struct ledger_finding *finding),
                               void *ctx)
{
    size_t count = 0;
    struct query *query = db_query(ledger->db, FINDING_COLUMNS " WHERE f.request = ?"
                                                               " ORDER BY f.line, f.id, p.id");
    query_bind_int(query, 1, request);
    for (; query_step(query); count++) {
        size_t n;
        char *target = query_string(query, 1), *path = query_string(query, 2);
        char *id = query_string(query, 4), *reason = query_string(query, 12);
        const uint8_t *sha256 = query_blob(query, 3, &n);
        struct ledger_finding finding = {
            .line = (unsigned)query_int(query, 0),
            .target = target,
            .path = path,
            .sha256 = n == 32 ? sha256 : NULL,
            .engagement_id = id,
            .outcome = outcome_now(query),
            .status = (int)query_int(query, 8),
            .visible_ms = query_int(query, 9),
            .accepted_ms = query_int(query, 10),
            .gone_ms = query_int(query, 11),
            .reason = reason,
            .local_remains = query_int(query, 13) != 0,
        };
        each(ctx, &finding);
        free(target);
        free(path);
        free(id);
        free(reason);
    }
    return count;
}

/* One of those whose end is open: one that was not accepted yet, else the one accepted last. What
 * is told as unconfirmed by now may go on being asked: nobody waits for that. */
static int64_t last_open_erasure(struct ledger *ledger, int64_t request)
{
    struct query *query =
        db_query(ledger->db, "SELECT e.id FROM finding AS f JOIN erasure AS e ON e.id = f.erasure"
                             " WHERE f.request = ? AND f.outcome = 0 AND e.phase <> 5"
                             " AND e.accepted_ms IS NULL LIMIT 1");
    query_bind_int(query, 1, request);
    int64_t id = query_number(query);
    if (id != 0)
        return id;
    query = db_query(ledger->db, "SELECT e.id FROM finding AS f JOIN erasure AS e ON e.id ="
                                 " f.erasure WHERE f.request = ? AND f.outcome = 0 AND e.phase <> 5"
                                 " AND e.outcome = 0 ORDER BY e.accepted_ms DESC LIMIT 1");
    query_bind_int(query, 1, request);
    return query_number(query);
}

bool ledger_request_is_reportable(struct ledger *ledger, int64_t request,
                                  const struct erasure_options *options, int64_t now_ms,
                                  int64_t *next_ms)
{
    struct erasure erasure;
    enum erasure_outcome outcome;
    *next_ms = 0;
    if (!ledger_erasure(ledger, last_open_erasure(ledger, request), &erasure))
        return true;
    *next_ms = erasure_report_by(&erasure, options);
    return erasure_is_reportable(&erasure, options, now_ms, &outcome);
}

bool ledger_request_local_is_done(struct ledger *ledger, int64_t request)
{
    struct query *query =
        db_query(ledger->db, "SELECT 1 FROM finding AS f JOIN path AS p ON p.recording ="
                             " f.recording AND p.remove = 1 LEFT JOIN erasure AS e ON e.id ="
                             " f.erasure WHERE f.request = ? AND (e.id IS NULL OR"
                             " e.accepted_ms IS NOT NULL OR e.outcome IN (1, 4)) LIMIT 1");
    query_bind_int(query, 1, request);
    return query_number(query) == 0;
}
