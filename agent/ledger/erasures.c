/*
 * Erasures: recordings marked for deletion, the proofs of each, and the local copies.
 *
 * A recording in flight keeps its state and has an erasure that waits; every end of its transfer
 * comes through erasure_consume. Of one call the recording that was, or may be, sent has the
 * erasure; its twins share it and follow its state.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/bytes.h"
#include "agent/base/json.h"
#include "agent/base/mem.h"
#include "agent/ledger/internal.h"

/* --- read and written down --- */

#define ERASURE_COLUMNS                                                                            \
    "id, recording, engagement_id, phase, outcome, force, alone, may_be_sent, read_before,"        \
    " begun_ms, uploaded_ms, due_ms, visible_ms, sent_ms, accepted_ms, gone_ms, status, tries,"    \
    " reason"

static void copy_text(const struct query *query, int column, char *text, size_t room)
{
    char *value = query_string(query, column);
    snprintf(text, room, "%s", value != NULL ? value : "");
    free(value);
}

static void read_erasure(const struct query *query, struct erasure *erasure)
{
    *erasure = (struct erasure){
        .id = query_int(query, 0),
        .recording = query_int(query, 1),
        .phase = (enum erasure_phase)query_int(query, 3),
        .outcome = (enum erasure_outcome)query_int(query, 4),
        .force = query_int(query, 5) != 0,
        .alone = query_int(query, 6) != 0,
        .may_be_sent = query_int(query, 7) != 0,
        .read_before = query_int(query, 8) != 0,
        .begun_ms = query_int(query, 9),
        .uploaded_ms = query_int(query, 10),
        .due_ms = query_int(query, 11),
        .visible_ms = query_int(query, 12),
        .sent_ms = query_int(query, 13),
        .accepted_ms = query_int(query, 14),
        .gone_ms = query_int(query, 15),
        .status = (int)query_int(query, 16),
        .tries = (int)query_int(query, 17),
    };
    copy_text(query, 2, erasure->engagement_id, sizeof erasure->engagement_id);
    copy_text(query, 18, erasure->reason, sizeof erasure->reason);
}

bool ledger_erasure(struct ledger *ledger, int64_t id, struct erasure *erasure)
{
    struct query *query =
        db_query(ledger->db, "SELECT " ERASURE_COLUMNS " FROM erasure WHERE id = ?");
    query_bind_int(query, 1, id);
    bool found = query_step(query);
    if (found)
        read_erasure(query, erasure);
    query_end(query);
    return found;
}

size_t ledger_erasures_due(struct ledger *ledger, enum erasure_phase phase, int64_t now_ms,
                           struct erasure *erasures, size_t most)
{
    size_t count = 0;
    struct query *query =
        db_query(ledger->db, "SELECT " ERASURE_COLUMNS " FROM erasure WHERE phase = ?1 AND"
                             " phase IN (1, 2, 3, 4) AND due_ms <= ?2 AND superseded = 0"
                             " AND (?1 <> 3 OR NOT EXISTS (SELECT 1 FROM tombstone WHERE filed = "
                             "0))"
                             " ORDER BY due_ms LIMIT ?3");
    query_bind_int(query, 1, phase);
    query_bind_int(query, 2, now_ms);
    query_bind_int(query, 3, (int64_t)most);
    while (count < most && query_step(query))
        read_erasure(query, &erasures[count++]);
    query_end(query);
    return count;
}

int64_t ledger_erasures_next(struct ledger *ledger)
{
    struct query *query = db_query(ledger->db, "SELECT min(due_ms) FROM erasure WHERE"
                                               " phase IN (1, 2, 3, 4) AND superseded = 0");
    return query_number(query);
}

static void write_down(struct ledger *ledger, const struct erasure *e)
{
    struct query *query =
        db_query(ledger_write(ledger),
                 "UPDATE erasure SET engagement_id = ?2, phase = ?3, outcome = ?4, alone = ?5,"
                 " may_be_sent = ?6, read_before = ?7, uploaded_ms = ?8, due_ms = ?9,"
                 " visible_ms = ?10, sent_ms = ?11, accepted_ms = ?12, gone_ms = ?13, status = ?14,"
                 " tries = ?15, reason = ?16, force = ?17 WHERE id = ?1");
    query_bind_int(query, 1, e->id);
    query_bind_text(query, 2, e->engagement_id[0] != '\0' ? e->engagement_id : NULL);
    query_bind_int(query, 3, e->phase);
    query_bind_int(query, 4, e->outcome);
    query_bind_int(query, 5, e->alone);
    query_bind_int(query, 6, e->may_be_sent);
    query_bind_int(query, 7, e->read_before);
    query_bind_int_or_null(query, 8, e->uploaded_ms);
    query_bind_int(query, 9, e->due_ms);
    query_bind_int_or_null(query, 10, e->visible_ms);
    query_bind_int_or_null(query, 11, e->sent_ms);
    query_bind_int_or_null(query, 12, e->accepted_ms);
    query_bind_int_or_null(query, 13, e->gone_ms);
    query_bind_int_or_null(query, 14, e->status);
    query_bind_int(query, 15, e->tries);
    query_bind_text(query, 16, e->reason[0] != '\0' ? e->reason : NULL);
    query_bind_int(query, 17, e->force);
    query_run(query);
}

/* --- the audit of a recording --- */

void audit_add_for(struct ledger *ledger, struct audit_entry *entry, int64_t recording,
                   int64_t now_ms)
{
    char sha256[65] = "", call_hash[65] = "";
    uint8_t hash[32];
    char *engagement_id = NULL;
    cJSON *details = cJSON_CreateObject();
    struct query *query = db_query(
        ledger->db, "SELECT r.sha256, r.call_hash, r.engagement_id, p.path, r.name, r.owner"
                    " FROM recording AS r LEFT JOIN path AS p ON p.id = r.path AND"
                    " substr(p.path, 1, 1) <> X'00' WHERE r.id = ?");
    query_bind_int(query, 1, recording);
    if (query_step(query)) { /* GCOV_EXCL_BR_LINE: a recording with an erasure is never removed */
        static const char *const keys[] = {"path", "name", "owner"};
        query_hash(query, 0, hash);
        bytes_to_hex(hash, sizeof hash, sha256);
        if (query_hash(query, 1, hash))
            bytes_to_hex(hash, sizeof hash, call_hash);
        engagement_id = query_string(query, 2);
        for (int i = 0; i < 3; i++) {
            char *text = query_string(query, 3 + i);
            json_add_bytes(details, keys[i], text);
            free(text);
        }
    }
    query_end(query);
    json_add_text(details, "reason", entry->details);
    char *text = cJSON_PrintUnformatted(details);
    cJSON_Delete(details);
    entry->recording = recording;
    entry->sha256 = sha256;
    entry->call_hash = call_hash[0] != '\0' ? call_hash : NULL;
    if (entry->engagement_id == NULL || entry->engagement_id[0] == '\0')
        entry->engagement_id = engagement_id;
    entry->details = text;
    audit_add(ledger, entry, now_ms);
    free(text);
    free(engagement_id);
}

static void audit_step(struct ledger *ledger, const struct erasure *e, const char *event,
                       int64_t now_ms)
{
    struct audit_entry entry = {.event = event,
                                .engagement_id = e->engagement_id,
                                .status = e->status,
                                .details = e->reason};
    if (e->recording != 0)
        audit_add_for(ledger, &entry, e->recording, now_ms);
    else
        audit_add(ledger, &entry, now_ms);
}

/* --- states --- */

/* The recording, and those twins of it that are being deleted with it. */
static void move_call(struct ledger *ledger, int64_t recording, enum recording_state to,
                      const char *reason, int64_t now_ms)
{
    int64_t twin = 0;
    if (state_may_move(recording_state_of(ledger, recording), to))
        recording_move(ledger, recording, to, 0, 0, reason, now_ms);
    for (;;) {
        struct query *query = db_query(ledger->db, "SELECT id FROM recording WHERE twin_of = ? AND"
                                                   " state = 12 AND id > ? ORDER BY id LIMIT 1");
        query_bind_int(query, 1, recording);
        query_bind_int(query, 2, twin);
        twin = query_number(query);
        if (twin == 0)
            return;
        recording_move(ledger, twin, to == STATE_UPLOADED ? STATE_HELD : to, 0, 0, reason, now_ms);
    }
}

static bool was_accepted(struct ledger *ledger, int64_t recording)
{
    struct query *query =
        db_query(ledger->db, "SELECT 1 FROM recording WHERE id = ? AND uploaded_ms IS NOT NULL");
    query_bind_int(query, 1, recording);
    return query_number(query) != 0;
}

static void end_recording(struct ledger *ledger, const struct erasure *e, int64_t now_ms)
{
    if (e->recording == 0)
        return;
    char *reason = mem_string(e->reason[0] != '\0' ? e->reason : "deleted on request");
    enum recording_state to = STATE_DELETED;
    if (e->outcome == OUTCOME_REFUSED) {
        /* it stays what it was; it is blocked all the same */
        to = was_accepted(ledger, e->recording) ? STATE_UPLOADED : STATE_HELD;
        mem_replace(&reason, mem_printf("its deletion was refused: %s", e->reason));
    }
    move_call(ledger, e->recording, to, reason, now_ms);
    free(reason);
}

void ledger_erasure_save(struct ledger *ledger, const struct erasure *e, int64_t now_ms)
{
    struct erasure before = *e;
    ledger_erasure(ledger, e->id, &before);
    write_down(ledger, e);
    if (e->recording != 0 && e->engagement_id[0] != '\0' && before.engagement_id[0] == '\0') {
        struct query *query =
            db_query(ledger_write(ledger), "UPDATE recording SET engagement_id = ? WHERE id = ?");
        query_bind_text(query, 1, e->engagement_id);
        query_bind_int(query, 2, e->recording);
        query_run(query);
    }
    if (e->visible_ms != 0 && before.visible_ms == 0)
        audit_step(ledger, e, "seen", now_ms);
    if (e->sent_ms != before.sent_ms)
        audit_step(ledger, e, "sent", now_ms);
    if (e->accepted_ms != 0 && before.accepted_ms == 0)
        audit_step(ledger, e, "accepted", now_ms);
    if (e->gone_ms != 0 && before.gone_ms == 0)
        audit_step(ledger, e, "gone", now_ms);
    if (e->outcome != before.outcome && e->outcome != OUTCOME_NONE)
        audit_step(ledger, e, erasure_outcome_name(e->outcome), now_ms);
    if (e->phase == ERASURE_OVER && before.phase != ERASURE_OVER)
        end_recording(ledger, e, now_ms);
}

/* --- the end of a transfer --- */

static int64_t waiting_erasure(struct ledger *ledger, int64_t recording)
{
    struct query *query =
        db_query(ledger->db, "SELECT id FROM erasure WHERE phase = 0 AND recording = ?");
    query_bind_int(query, 1, recording);
    return query_number(query);
}

/* How an erasure goes on with its recording as it stands, which nobody is sending. Whether that is,
 * or may be, at Chorus. */
static bool go_on(struct ledger *ledger, struct erasure *e, int64_t now_ms)
{
    struct query *query =
        db_query(ledger->db,
                 "SELECT state IN (6, 7) OR uncertain > 0 OR known_by_409 = 1 OR conflict = 1 OR"
                 " engagement_id IS NOT NULL OR uploaded_ms IS NOT NULL, engagement_id, uploaded_ms"
                 " FROM recording WHERE id = ?");
    query_bind_int(query, 1, e->recording);
    query_step(query);
    bool arrived = query_int(query, 0) != 0;
    char *id = query_string(query, 1);
    int64_t uploaded_ms = query_int(query, 2);
    query_end(query);
    erasure_transfer_ended(e, arrived, id, now_ms);
    if (uploaded_ms != 0)
        e->uploaded_ms = uploaded_ms; /* which may be long ago */
    free(id);
    return arrived;
}

bool erasure_consume(struct ledger *ledger, int64_t recording, int64_t now_ms)
{
    struct erasure e;
    int64_t id = waiting_erasure(ledger, recording);
    if (!ledger_erasure(ledger, id, &e))
        return false;
    if (go_on(ledger, &e, now_ms))
        recording_move(ledger, recording, STATE_DELETING, 0, 0, "to be deleted on request", now_ms);
    ledger_erasure_save(ledger, &e, now_ms);
    return true;
}

/* --- marked --- */

static void set_call_hash(struct ledger *ledger, int64_t recording)
{
    struct ledger_tombstone tombstone;
    struct query *query = db_query(ledger->db, "SELECT call_key FROM recording WHERE id = ?");
    query_bind_int(query, 1, recording);
    char *call_key = query_text(query);
    if (tombstone_of_call(call_key, &tombstone)) {
        query = db_query(ledger_write(ledger), "UPDATE recording SET call_hash = ? WHERE id = ?");
        query_bind_blob(query, 1, tombstone.hash, sizeof tombstone.hash);
        query_bind_int(query, 2, recording);
        query_run(query);
    }
    free(call_key);
}

size_t recording_tombstones(struct ledger *ledger, int64_t recording,
                            struct ledger_tombstone tombstones[2])
{
    size_t count = 0;
    struct query *query =
        db_query(ledger->db, "SELECT sha256, call_key FROM recording WHERE id = ?");
    query_bind_int(query, 1, recording);
    if (query_step(query)) {
        tombstones[0].is_call = false;
        count += query_hash(query, 0, tombstones[0].hash);
        char *call_key = query_string(query, 1);
        count += tombstone_of_call(call_key, &tombstones[count]);
        free(call_key);
    }
    query_end(query);
    return count;
}

void recording_block(struct ledger *ledger, int64_t recording, bool filed, int64_t now_ms)
{
    struct ledger_tombstone tombstones[2];
    size_t count = recording_tombstones(ledger, recording, tombstones);
    for (size_t i = 0; i < count; i++)
        tombstone_set(ledger, &tombstones[i], filed);
    set_call_hash(ledger, recording);
    struct audit_entry entry = {.event = "blocked"};
    audit_add_for(ledger, &entry, recording, now_ms);
}

void erasure_supersede(struct ledger *ledger, int64_t recording)
{
    struct query *query =
        db_query(ledger_write(ledger), "UPDATE erasure SET superseded = 1 WHERE recording = ? AND"
                                       " superseded = 0");
    query_bind_int(query, 1, recording);
    query_run(query);
}

static int64_t insert_erasure(struct ledger *ledger, int64_t recording, const char *engagement_id,
                              bool force, int64_t now_ms)
{
    struct query *query =
        db_query(ledger_write(ledger),
                 "INSERT INTO erasure(recording, engagement_id, phase, outcome, force, alone,"
                 " may_be_sent, read_before, begun_ms) VALUES(?, ?, 0, 0, ?, 0, 0, 0, ?)");
    query_bind_int_or_null(query, 1, recording);
    query_bind_text(query, 2, engagement_id);
    query_bind_int(query, 3, force);
    query_bind_int(query, 4, now_ms);
    query_run(query);
    return db_last_id(ledger->db);
}

static bool read_one(struct query *query, struct erasure *erasure)
{
    bool found = query_step(query);
    if (found)
        read_erasure(query, erasure);
    query_end(query);
    return found;
}

/* The one that an earlier request began for the same thing. */
static bool earlier_erasure(struct ledger *ledger, int64_t recording, const char *engagement_id,
                            struct erasure *erasure)
{
    struct query *query;
    if (recording != 0) {
        query = db_query(ledger->db, "SELECT " ERASURE_COLUMNS " FROM erasure WHERE recording = ?"
                                     " AND superseded = 0");
        query_bind_int(query, 1, recording);
    } else {
        query = db_query(ledger->db, "SELECT " ERASURE_COLUMNS " FROM erasure WHERE recording IS"
                                     " NULL AND engagement_id = ? AND superseded = 0");
        query_bind_text(query, 1, engagement_id);
    }
    return read_one(query, erasure);
}

static void supersede(struct ledger *ledger, int64_t id)
{
    struct query *query =
        db_query(ledger_write(ledger), "UPDATE erasure SET superseded = 1 WHERE id = ?");
    query_bind_int(query, 1, id);
    query_run(query);
}

struct marking {
    struct ledger *ledger;
    int64_t now_ms;
    bool force, local;
};

static void want_force(struct marking *m, struct erasure *e)
{
    if (!m->force || e->force || e->phase == ERASURE_OVER)
        return;
    e->force = e->alone = true;
    write_down(m->ledger, e);
}

static int64_t begin(struct marking *m, int64_t recording, const char *engagement_id)
{
    struct erasure e = {0};
    int64_t id = insert_erasure(m->ledger, recording, engagement_id, m->force, m->now_ms);
    ledger_erasure(m->ledger, id, &e);
    enum recording_state state = recording_state_of(m->ledger, recording);
    erasure_begin(&e, state == STATE_UPLOADING, m->now_ms);
    e.alone = m->force;
    if (recording == 0) {
        erasure_transfer_ended(&e, true, engagement_id, m->now_ms);
        e.uploaded_ms = 0; /* by somebody, some time */
    } else if (state != STATE_UPLOADING && go_on(m->ledger, &e, m->now_ms) &&
               state_may_move(state, STATE_DELETING)) {
        recording_move(m->ledger, recording, STATE_DELETING, 0, 0, "to be deleted on request",
                       m->now_ms);
    }
    ledger_erasure_save(m->ledger, &e, m->now_ms);
    return id;
}

/* The erasure that answers for it; *outcome where an earlier request has proven it. */
static int64_t erasure_for(struct marking *m, int64_t recording, const char *engagement_id,
                           enum erasure_outcome *outcome)
{
    struct erasure e;
    if (earlier_erasure(m->ledger, recording, engagement_id, &e)) {
        want_force(m, &e);
        if (e.phase != ERASURE_OVER || e.outcome == OUTCOME_NEVER_UPLOADED)
            return e.id;
        if (e.outcome == OUTCOME_DELETED) {
            *outcome = OUTCOME_ALREADY;
            return e.id;
        }
        supersede(m->ledger, e.id);
    }
    return begin(m, recording, engagement_id);
}

/* The recording that is, or may be, at Chorus for a call of which this one is only a further copy;
 * the recording itself where it stands for itself. */
static int64_t stands_for(struct ledger *ledger, int64_t recording)
{
    struct query *query = db_query(
        ledger->db, "SELECT twin_of FROM recording WHERE id = ? AND twin_of IS NOT NULL AND"
                    " state IN (8, 12, 13) AND known_by_409 = 0 AND uncertain = 0");
    query_bind_int(query, 1, recording);
    int64_t first = query_number(query);
    return first != 0 ? first : recording;
}

static void mark_local(struct ledger *ledger, int64_t recording)
{
    struct query *query =
        db_query(ledger_write(ledger), "UPDATE path SET remove = 1 WHERE recording = ? AND"
                                       " present = 1 AND current = 1 AND remove IN (0, 3)");
    query_bind_int(query, 1, recording);
    query_run(query);
}

struct unmarked {
    int64_t id, recording;
    char *engagement_id;
};

/* This recording, by its own erasure or with the one it is a further copy of. Returns the erasure.
 */
static int64_t delete_one(struct marking *m, int64_t recording, bool filed,
                          enum erasure_outcome *outcome)
{
    int64_t first = stands_for(m->ledger, recording);
    recording_block(m->ledger, recording, filed, m->now_ms);
    int64_t erasure = erasure_for(m, first, NULL, outcome);
    if (first != recording) {
        /* a further copy: as far as the first one is, at most */
        if (state_may_move(recording_state_of(m->ledger, recording), STATE_DELETING))
            recording_move(m->ledger, recording, STATE_DELETING, 0, 0,
                           "to be deleted on request, with its call", m->now_ms);
        if (recording_state_of(m->ledger, first) == STATE_DELETED)
            move_call(m->ledger, first, STATE_DELETED, "deleted on request", m->now_ms);
    }
    return erasure;
}

static void mark(struct marking *m, const struct unmarked *finding)
{
    enum erasure_outcome outcome = OUTCOME_NONE;
    int64_t erasure = finding->recording != 0 ? delete_one(m, finding->recording, true, &outcome)
                                              : erasure_for(m, 0, finding->engagement_id, &outcome);
    if (m->local && finding->recording != 0)
        mark_local(m->ledger, finding->recording);
    struct query *query =
        db_query(ledger_write(m->ledger),
                 "UPDATE finding SET marked = 1, erasure = ?, outcome = ? WHERE id = ?");
    query_bind_int(query, 1, erasure);
    query_bind_int(query, 2, outcome);
    query_bind_int(query, 3, finding->id);
    query_run(query);
}

/* --- by their path, before anything was known of them --- */

bool path_block_take(struct ledger *ledger, int64_t path)
{
    uint8_t key[WIPED_PATH];
    struct query *query = db_query(ledger->db, "SELECT path FROM path WHERE id = ? AND EXISTS"
                                               " (SELECT 1 FROM path_block)");
    query_bind_int(query, 1, path);
    char *name = query_text(query);
    if (name == NULL)
        return false;
    wiped_path(name, key);
    free(name);
    query = db_query(ledger->db, "SELECT 1 FROM path_block WHERE path = ?");
    query_bind_blob(query, 1, key, sizeof key);
    if (query_number(query) == 0)
        return false;
    query = db_query(ledger_write(ledger), "DELETE FROM path_block WHERE path = ?");
    query_bind_blob(query, 1, key, sizeof key);
    query_run(query);
    return true;
}

void recording_delete(struct ledger *ledger, int64_t recording, int64_t now_ms)
{
    struct marking m = {.ledger = ledger, .now_ms = now_ms};
    enum erasure_outcome outcome;
    struct ids call = {0};
    recording_call(ledger, recording, &call);
    for (size_t i = 0; i < call.count; i++)
        delete_one(&m, call.items[i], false, &outcome);
    free(call.items);
}

/* --- slices of marking --- */

static size_t next_unmarked(struct ledger *ledger, int64_t request, struct unmarked *findings,
                            size_t most)
{
    size_t count = 0;
    struct query *query =
        db_query(ledger->db, "SELECT id, recording, engagement_id FROM finding WHERE request = ?"
                             " AND marked = 0 ORDER BY id LIMIT ?");
    query_bind_int(query, 1, request);
    query_bind_int(query, 2, (int64_t)most);
    while (count < most && query_step(query)) {
        findings[count].id = query_int(query, 0);
        findings[count].recording = query_int(query, 1);
        findings[count++].engagement_id = query_string(query, 2);
    }
    query_end(query);
    return count;
}

size_t ledger_request_tombstones(struct ledger *ledger, int64_t request, size_t most_findings,
                                 struct ledger_tombstone *tombstones)
{
    size_t count = 0;
    struct unmarked *findings = mem_array(most_findings, sizeof *findings);
    size_t n = next_unmarked(ledger, request, findings, most_findings);
    for (size_t i = 0; i < n; i++) {
        int64_t recording = findings[i].recording;
        int64_t first = recording != 0 ? stands_for(ledger, recording) : 0;
        if (recording != 0)
            count += recording_tombstones(ledger, recording, &tombstones[count]);
        if (first != recording)
            count += recording_tombstones(ledger, first, &tombstones[count]);
        free(findings[i].engagement_id);
    }
    free(findings);
    return count;
}

static void read_wishes(struct marking *m, int64_t request)
{
    struct query *query = db_query(m->ledger->db, "SELECT force, local FROM request WHERE id = ?");
    query_bind_int(query, 1, request);
    query_step(query);
    m->force = query_int(query, 0) != 0;
    m->local = query_int(query, 1) != 0;
    query_end(query);
}

size_t ledger_request_mark(struct ledger *ledger, int64_t request, size_t most_findings,
                           int64_t *recordings, size_t *recording_count, int64_t now_ms)
{
    struct marking m = {.ledger = ledger, .now_ms = now_ms};
    struct unmarked *findings = mem_array(most_findings, sizeof *findings);
    read_wishes(&m, request);
    *recording_count = 0;
    size_t n = next_unmarked(ledger, request, findings, most_findings);
    for (size_t i = 0; i < n; i++) {
        mark(&m, &findings[i]);
        if (findings[i].recording != 0)
            recordings[(*recording_count)++] = findings[i].recording;
        free(findings[i].engagement_id);
    }
    free(findings);
    if (n == 0)
        request_stage(ledger, request, REQUEST_AT_WORK);
    return n;
}

/* --- looking up --- */

bool ledger_erasure_sought(struct ledger *ledger, int64_t id, struct ledger_sought *sought)
{
    struct query *query = db_query(
        ledger->db, "SELECT r.owner, r.name, r.meeting_id, r.first_attempt_ms, r.uploaded_ms,"
                    " r.first_seen_ms, e.begun_ms FROM erasure AS e JOIN recording AS r ON"
                    " r.id = e.recording WHERE e.id = ?");
    query_bind_int(query, 1, id);
    bool found = query_step(query);
    if (found) {
        int64_t first = query_int(query, 3), uploaded = query_int(query, 4);
        *sought = (struct ledger_sought){
            .owner = query_string(query, 0),
            .name = query_string(query, 1),
            .meeting_id = query_string(query, 2),
            .from_ms = first != 0 ? first : query_int(query, 5),
            .to_ms = uploaded != 0 ? uploaded : query_int(query, 6),
        };
    }
    query_end(query);
    return found;
}

void ledger_sought_clear(struct ledger_sought *sought)
{
    free(sought->owner);
    free(sought->name);
    free(sought->meeting_id);
    memset(sought, 0, sizeof *sought);
}

bool ledger_engagement_is_anothers(struct ledger *ledger, int64_t recording,
                                   const char *engagement_id)
{
    struct query *query =
        db_query(ledger->db, "SELECT 1 FROM recording WHERE engagement_id = ? AND id <> ?");
    query_bind_text(query, 1, engagement_id);
    query_bind_int(query, 2, recording);
    return query_number(query) != 0;
}

/* --- local copies --- */

bool ledger_next_local_copy(struct ledger *ledger, struct ledger_retirement *copy)
{
    struct query *query = db_query(
        ledger->db, RETIREMENT_COLUMNS
        " LEFT JOIN erasure AS e ON e.superseded = 0 AND e.recording = CASE WHEN r.twin_of IS NULL"
        "  THEN r.id ELSE r.twin_of END"
        " WHERE p.remove = 1 AND r.state IN (12, 13) AND (r.state = 13 OR"
        "  e.accepted_ms IS NOT NULL) ORDER BY p.id LIMIT 1");
    if (!query_step(query))
        return false;
    retirement_read(query, copy);
    query_end(query);
    return true;
}

void ledger_local_copy_done(struct ledger *ledger, int64_t path_id, bool remains,
                            const char *reason, int64_t now_ms)
{
    struct query *query = db_query(ledger_write(ledger),
                                   "UPDATE path SET remove = CASE WHEN ?2 THEN 3 ELSE 2 END,"
                                   " present = CASE WHEN ?2 THEN present ELSE 0 END WHERE id = ?1");
    query_bind_int(query, 1, path_id);
    query_bind_int(query, 2, remains);
    query_run(query);
    query = db_query(ledger->db, "SELECT recording, path FROM path WHERE id = ?");
    query_bind_int(query, 1, path_id);
    query_step(query);
    int64_t recording = query_int(query, 0);
    char *path = query_string(query, 1);
    query_end(query);
    const char *why = reason != NULL ? reason : "the local copy was removed on request";
    char *escaped = bytes_escape(path);
    char *told = mem_printf("%s: %s", escaped, why);
    struct audit_entry entry = {.event = remains ? "local-remains" : "local-removed",
                                .details = told};
    audit_add_for(ledger, &entry, recording, now_ms);
    story_add(ledger, path_id, recording_state_of(ledger, recording), 0, 0, why, now_ms);
    free(told);
    free(escaped);
    free(path);
}
