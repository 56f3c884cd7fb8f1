#include "agent/ledger/schema.h"
#include "agent/base/mutant.h"

#include <errno.h>
#include <string.h>

/* "chor": tells a ledger from any other SQLite file. */
#define APPLICATION_ID 0x63686f72
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

/*
 * tally holds the counts by state, kept by triggers, so that neither status nor a progress line
 * counts a million rows: kind 0..13 are states of recordings, 100 paths of recordings, 101 skipped
 * paths, 102 bytes uploaded.
 *
 * recording.id is never used again: the plan may still know the one that had it.
 *
 * path.current: 1 for the newest of several versions of one file (its content changed after an
 * upload), else minus its own id. path.recording null and skip 0: forgotten, settles again.
 */
static const char version_1[] =
    "CREATE TABLE watch("
    "  id INTEGER PRIMARY KEY, name TEXT NOT NULL, path BLOB NOT NULL,"
    "  first_start_ms INTEGER NOT NULL, first_scan_done INTEGER NOT NULL DEFAULT 0,"
    "  root_dev INTEGER, root_ino INTEGER, lost_ms INTEGER,"
    "  UNIQUE(name, path));"
    "CREATE TABLE recording("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT, sha256 BLOB NOT NULL UNIQUE, size INTEGER NOT NULL,"
    "  state INTEGER NOT NULL, path INTEGER, mtime_ms INTEGER NOT NULL,"
    "  held INTEGER NOT NULL DEFAULT 0, rule TEXT, owner TEXT, name TEXT, meeting_id TEXT,"
    "  crm_account_id TEXT, crm_opportunity_id TEXT, call_key TEXT, fields TEXT,"
    "  key_kind INTEGER NOT NULL DEFAULT 0, digest INTEGER NOT NULL DEFAULT 0, reason TEXT,"
    "  attempts INTEGER NOT NULL DEFAULT 0,"
    "  uncertain INTEGER NOT NULL DEFAULT 0, first_attempt_ms INTEGER, next_attempt_ms INTEGER,"
    "  engagement_id TEXT, twin_of INTEGER, known_by_409 INTEGER NOT NULL DEFAULT 0,"
    "  conflict INTEGER NOT NULL DEFAULT 0,"
    "  first_seen_ms INTEGER NOT NULL, uploaded_ms INTEGER, processed_ms INTEGER,"
    "  check_ms INTEGER,"
    "  deleted_ms INTEGER, wiped INTEGER NOT NULL DEFAULT 0, call_hash BLOB);"
    "CREATE INDEX recording_queued_by_time ON recording(mtime_ms) WHERE state = 3;"
    "CREATE INDEX recording_queued_by_size ON recording(size) WHERE state = 3;"
    "CREATE INDEX recording_due ON recording(next_attempt_ms) WHERE state IN (5, 6);"
    "CREATE INDEX recording_open ON recording(id)"
    "  WHERE (state = 2 OR state = 3 OR state = 5 OR state = 6);" /* LEDGER_IS_OPEN */
    "CREATE INDEX recording_held ON recording(id) WHERE state = 2;"
    "CREATE INDEX recording_by_rules ON recording(id) WHERE state IN (2, 10);"
    "CREATE INDEX recording_by_twin ON recording(twin_of) WHERE twin_of IS NOT NULL;"
    "CREATE INDEX recording_uploading ON recording(id) WHERE state = 4;"
    "CREATE INDEX recording_failed ON recording(id) WHERE state = 9;"
    "CREATE INDEX recording_by_call_key ON recording(call_key) WHERE call_key IS NOT NULL;"
    "CREATE INDEX recording_to_check ON recording(check_ms) WHERE check_ms IS NOT NULL;"
    "CREATE INDEX recording_by_meeting ON recording(meeting_id) WHERE key_kind = 1;"
    "CREATE INDEX recording_by_engagement ON recording(engagement_id)"
    "  WHERE engagement_id IS NOT NULL;"
    "CREATE INDEX recording_to_wipe ON recording(deleted_ms) WHERE state = 13 AND wiped = 0;"
    "CREATE TABLE path("
    "  id INTEGER PRIMARY KEY, path BLOB NOT NULL, file BLOB NOT NULL, root_length INTEGER NOT "
    "NULL,"
    "  watch INTEGER NOT NULL, dev INTEGER NOT NULL, ino INTEGER NOT NULL, size INTEGER NOT NULL,"
    "  mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, current INTEGER NOT NULL DEFAULT 1,"
    "  present INTEGER NOT NULL DEFAULT 1, recording INTEGER, skip INTEGER NOT NULL DEFAULT 0,"
    "  rule TEXT, reason TEXT, digest INTEGER NOT NULL DEFAULT 0, first_seen_ms INTEGER NOT NULL,"
    "  bulk INTEGER, retire INTEGER NOT NULL DEFAULT 0, retire_ms INTEGER,"
    "  remove INTEGER NOT NULL DEFAULT 0);"
    "CREATE UNIQUE INDEX path_version ON path(path, current);"
    "CREATE INDEX path_by_file ON path(file);"
    "CREATE INDEX path_to_remove ON path(id) WHERE remove = 1;"
    "CREATE INDEX path_of_recording ON path(recording) WHERE recording IS NOT NULL;"
    "CREATE INDEX path_skipped_file ON path(ino, dev) WHERE skip = 1;"
    "CREATE INDEX path_skipped_by_config ON path(skip, digest) WHERE skip IN (2, 4);"
    "CREATE INDEX path_to_retire ON path(retire_ms) WHERE retire IN (1, 2);"
    "CREATE INDEX path_of_bulk ON path(bulk) WHERE bulk IS NOT NULL;"
    "CREATE TABLE story("
    "  id INTEGER PRIMARY KEY, path INTEGER NOT NULL, at_ms INTEGER NOT NULL,"
    "  state INTEGER NOT NULL, attempt INTEGER, status INTEGER, reason TEXT);"
    "CREATE INDEX story_of_path ON story(path);"
    "CREATE INDEX story_trouble ON story(id)"
    "  WHERE (state = 2 OR state = 5 OR state = 6 OR state = 9);" /* LEDGER_IS_TROUBLE */
    "CREATE TABLE tally(kind INTEGER PRIMARY KEY, n INTEGER NOT NULL);"
    "CREATE TABLE counter(name TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO counter VALUES('bulk', 0), ('posts', 0), ('clean', 1), ('batch', 0);"
    "WITH RECURSIVE k(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM k WHERE n < 13)"
    "  INSERT INTO tally SELECT n, 0 FROM k;"
    "INSERT INTO tally VALUES(100, 0), (101, 0), (102, 0);"
    "CREATE TRIGGER recording_added AFTER INSERT ON recording BEGIN"
    "  UPDATE tally SET n = n + 1 WHERE kind = NEW.state; END;"
    "CREATE TRIGGER recording_removed AFTER DELETE ON recording BEGIN"
    "  UPDATE tally SET n = n - 1 WHERE kind = OLD.state; END;"
    "CREATE TRIGGER recording_moved AFTER UPDATE OF state ON recording"
    "  WHEN NEW.state <> OLD.state BEGIN"
    "  UPDATE tally SET n = n - 1 WHERE kind = OLD.state;"
    "  UPDATE tally SET n = n + 1 WHERE kind = NEW.state;"
    "  UPDATE tally SET n = n + NEW.size WHERE kind = 102 AND NEW.state = 7 AND OLD.state <> 12; "
    "END;"
    "CREATE TRIGGER path_added AFTER INSERT ON path BEGIN"
    "  UPDATE tally SET n = n + 1 WHERE kind = 100 AND NEW.recording IS NOT NULL;"
    "  UPDATE tally SET n = n + 1 WHERE kind = 101 AND NEW.skip <> 0; END;"
    "CREATE TRIGGER path_removed AFTER DELETE ON path BEGIN"
    "  UPDATE tally SET n = n - 1 WHERE kind = 100 AND OLD.recording IS NOT NULL;"
    "  UPDATE tally SET n = n - 1 WHERE kind = 101 AND OLD.skip <> 0; END;"
    "CREATE TRIGGER path_changed AFTER UPDATE OF recording, skip ON path BEGIN"
    "  UPDATE tally SET n = n + (NEW.recording IS NOT NULL) - (OLD.recording IS NOT NULL)"
    "    WHERE kind = 100;"
    "  UPDATE tally SET n = n + (NEW.skip <> 0) - (OLD.skip <> 0) WHERE kind = 101; END;";

/*
 * Deletion. field_value finds recordings by a field; under the name '' stand the digits of its
 * phone fields, backwards, so that a suffix is a prefix.
 *
 * erasure.superseded: another one took its place, or it was lifted. finding: what a line of a
 * request matched; outcome 0: as its erasure says. path.remove: 1 a local copy is to be removed, 2
 * it was, 3 it remains. path_block: a path (as it is
 * wiped) that was to be deleted before its content was known.
 *
 * audit only grows: of a row nothing can be changed but that its details and their salt are wiped.
 */
static const char deletion_1[] =
    "CREATE TABLE field_value("
    "  name TEXT NOT NULL, value TEXT NOT NULL, recording INTEGER NOT NULL,"
    "  PRIMARY KEY(name, value, recording)) WITHOUT ROWID;"
    "CREATE TABLE request("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT, file BLOB NOT NULL, digest BLOB NOT NULL,"
    "  stage INTEGER NOT NULL DEFAULT 0, reason TEXT, requested_by TEXT, from_ms INTEGER,"
    "  to_ms INTEGER, local INTEGER NOT NULL, force INTEGER NOT NULL, dry_run INTEGER NOT NULL,"
    "  expect INTEGER NOT NULL, targets INTEGER NOT NULL, bad INTEGER NOT NULL,"
    "  taken_ms INTEGER NOT NULL, last_line INTEGER NOT NULL DEFAULT 0, refusal TEXT,"
    "  placed_as BLOB, ended_ms INTEGER, wiped INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX request_open ON request(id) WHERE stage NOT IN (5, 7);"
    "CREATE INDEX request_to_wipe ON request(ended_ms) WHERE stage IN (5, 7) AND wiped = 0;"
    "CREATE TABLE target("
    "  request INTEGER NOT NULL, line INTEGER NOT NULL, kind INTEGER NOT NULL, text BLOB,"
    "  value BLOB, problem TEXT, resolved INTEGER NOT NULL DEFAULT 0,"
    "  PRIMARY KEY(request, line)) WITHOUT ROWID;"
    "CREATE INDEX target_open ON target(request, line) WHERE resolved = 0;"
    "CREATE INDEX target_by_path ON target(request, value) WHERE kind IN (1, 3);"
    "CREATE INDEX target_tried ON target(request, line) WHERE kind IN (2, 6, 7);"
    "CREATE TABLE finding("
    "  id INTEGER PRIMARY KEY, request INTEGER NOT NULL, line INTEGER NOT NULL, recording INTEGER,"
    "  path BLOB, engagement_id TEXT, erasure INTEGER, outcome INTEGER NOT NULL DEFAULT 0,"
    "  reason TEXT, marked INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX finding_of_line ON finding(request, line);"
    "CREATE INDEX finding_unmarked ON finding(request, id) WHERE marked = 0;"
    "CREATE INDEX finding_of_erasure ON finding(erasure) WHERE erasure IS NOT NULL;"
    "CREATE TABLE erasure("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT, recording INTEGER, engagement_id TEXT,"
    "  phase INTEGER NOT NULL, outcome INTEGER NOT NULL, force INTEGER NOT NULL,"
    "  alone INTEGER NOT NULL, may_be_sent INTEGER NOT NULL, read_before INTEGER NOT NULL,"
    "  begun_ms INTEGER NOT NULL, uploaded_ms INTEGER, due_ms INTEGER, visible_ms INTEGER,"
    "  sent_ms INTEGER, accepted_ms INTEGER, gone_ms INTEGER, status INTEGER, tries INTEGER,"
    "  reason TEXT, superseded INTEGER NOT NULL DEFAULT 0);"
    "CREATE UNIQUE INDEX erasure_of_recording ON erasure(recording)"
    "  WHERE recording IS NOT NULL AND superseded = 0;"
    "CREATE INDEX erasure_of_engagement ON erasure(engagement_id) WHERE recording IS NULL AND"
    "  superseded = 0;"
    "CREATE INDEX erasure_waits ON erasure(recording) WHERE phase = 0;"
    "CREATE INDEX erasure_due ON erasure(phase, due_ms) WHERE phase IN (1, 2, 3, 4);"
    "CREATE TABLE tombstone("
    "  is_call INTEGER NOT NULL, hash BLOB NOT NULL, generation INTEGER NOT NULL DEFAULT 1,"
    "  blocks INTEGER NOT NULL DEFAULT 1, filed INTEGER NOT NULL DEFAULT 0,"
    "  PRIMARY KEY(is_call, hash)) WITHOUT ROWID;"
    "CREATE INDEX tombstone_unfiled ON tombstone(is_call, hash) WHERE filed = 0;"
    "CREATE TABLE path_block(path BLOB PRIMARY KEY, request INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE audit("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, event TEXT NOT NULL,"
    "  sha256 TEXT, call_hash TEXT, engagement_id TEXT, status INTEGER, recording INTEGER,"
    "  request INTEGER, salt BLOB, details TEXT, details_digest TEXT NOT NULL, link TEXT NOT NULL);"
    "CREATE INDEX audit_details_of ON audit(recording) WHERE details IS NOT NULL;"
    "CREATE INDEX audit_details_of_request ON audit(request) WHERE details IS NOT NULL;"
    "CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit BEGIN"
    "  SELECT RAISE(ABORT, 'the audit is append-only'); END;"
    "CREATE TRIGGER audit_is_unchanged BEFORE UPDATE OF number, at_ms, event, sha256, call_hash,"
    "  engagement_id, status, recording, request, details_digest, link ON audit BEGIN"
    "  SELECT RAISE(ABORT, 'the audit is append-only'); END;"
    "CREATE TRIGGER audit_is_only_wiped BEFORE UPDATE OF salt, details ON audit"
    "  WHEN NEW.details IS NOT NULL OR NEW.salt IS NOT NULL BEGIN"
    "  SELECT RAISE(ABORT, 'the audit is append-only'); END;";

/* recording.preferred: of several copies of one call this one is to be sent.
 *
 * sidecar: where that of a recording is expected (see ledger.h); ino null: not read yet. What stood
 * in it is kept only until the recording has been sent. */
static const char sidecars_1[] =
    "ALTER TABLE recording ADD COLUMN duration_ms INTEGER;"
    "ALTER TABLE recording ADD COLUMN preferred INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE sidecar("
    "  recording INTEGER PRIMARY KEY, path BLOB NOT NULL, ino INTEGER, size INTEGER,"
    "  mtime_ns INTEGER, ctime_ns INTEGER, body TEXT, problem TEXT);"
    "CREATE INDEX sidecar_by_path ON sidecar(path);"
    "CREATE TRIGGER sidecar_used AFTER UPDATE OF state ON recording WHEN NEW.state = 7 BEGIN"
    "  UPDATE sidecar SET body = NULL, problem = NULL WHERE recording = NEW.id; END;"
    "CREATE TRIGGER sidecar_erased AFTER UPDATE OF state ON recording WHEN NEW.state = 13 BEGIN"
    "  DELETE FROM sidecar WHERE recording = NEW.id; END;"
    "CREATE TRIGGER sidecar_removed AFTER DELETE ON recording BEGIN"
    "  DELETE FROM sidecar WHERE recording = OLD.id; END;";

/* Columns that an older program of the same version does not miss: added where they are missing, so
 * that neither an upgrade nor a downgrade minds.
 *
 * recording.doubt, maybe_sent: see ledger_doubt. */
static const struct column {
    const char *is_there, *add;
} later[] = {
    {"SELECT count(*) FROM pragma_table_info('recording') WHERE name = 'doubt'",
     "ALTER TABLE recording ADD COLUMN doubt TEXT"},
    {"SELECT count(*) FROM pragma_table_info('recording') WHERE name = 'maybe_sent'",
     "ALTER TABLE recording ADD COLUMN maybe_sent INTEGER NOT NULL DEFAULT 0"},
};

/* Step i brings version i to i + 1. */
static const char *const steps[][3] = {{version_1, deletion_1, sidecars_1}};
enum { VERSION = sizeof steps / sizeof steps[0] };

static int64_t version_of(struct db *db)
{
    return query_number(db_query(db, "PRAGMA user_version"));
}

/* 0: a ledger, or empty. */
static int recognise(struct db *db, int64_t *version)
{
    *version = version_of(db);
    int64_t application = query_number(db_query(db, "PRAGMA application_id"));
    int64_t tables = query_number(db_query(db, "SELECT count(*) FROM sqlite_master"));
    if (db_error(db) != 0)
        return db_error(db);
    if (application != APPLICATION_ID && (tables > 0 || *version != 0))
        return -EUCLEAN;
    return *version < 0 || *version > VERSION ? -EPROTO : 0;
}

static int bring_forward(struct db *db)
{
    static const char *const set_version[] = {"PRAGMA user_version = 1"};
    _Static_assert(sizeof set_version / sizeof set_version[0] == VERSION, "one for each step");
    db_begin(db);
    int64_t version = version_of(db); /* again, now that nobody else can write */
    db_exec(db, "PRAGMA application_id = " TEXT(APPLICATION_ID));
    for (; db_error(db) == 0 && version < VERSION; version++) {
        for (size_t i = 0; i < sizeof steps[0] / sizeof steps[0][0]; i++)
            db_exec(db, steps[version][i]);
        db_exec(db, set_version[version]);
    }
    return db_commit(db);
}

static int add_columns(struct db *db)
{
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        if (query_number(db_query(db, later[i].is_there)) == 0)
            db_exec(db, later[i].add);
    }
    return db_error(db);
}

int schema_prepare(struct db *db)
{
    int64_t version;
    int error = recognise(db, &version);
    if (error != 0)
        return error;
    db_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;"
                "PRAGMA cache_size = -8000; PRAGMA secure_delete = ON;");
    if (db_error(db) != 0)
        return db_error(db);
    if (mutant("synchronous-normal"))
        db_exec(db, "PRAGMA synchronous = NORMAL");
    error = version < VERSION ? bring_forward(db) : 0;
    return error != 0 ? error : add_columns(db);
}

int schema_check(struct db *db)
{
    int64_t version;
    /* one look at one moment: a ledger that is just being made is none, and never a strange one */
    db_exec(db, "BEGIN");
    int error = recognise(db, &version);
    db_exec(db, "COMMIT");
    if (error != 0)
        return error;
    _Static_assert(VERSION == 1, "an older one, which is only read here, needs an answer");
    return version == 0 ? -ENOENT : 0;
}
