#include "agent/ledger/db.h"

#include <assert.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"

/* More than the ledger has statements: each is kept once it was used. */
enum { MOST_QUERIES = 512, BUSY_MS = 2000 };

struct query {
    struct db *db;
    const char *sql; /* the literal itself: its address is its name */
    sqlite3_stmt *statement;
};

struct db {
    sqlite3 *sqlite;
    struct query queries[MOST_QUERIES];
    size_t query_count;
    bool in_transaction;
    int error;
    char words[200];
};

static int errno_of(int code, int system_errno)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_READONLY:
        /* a rollback journal: cut off while it was first made, before it had its log */
        return code == SQLITE_READONLY_ROLLBACK ? -ENOENT : -EROFS;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EUCLEAN;
    case SQLITE_CANTOPEN:
        return system_errno != 0 ? -system_errno : -ENOENT;
    case SQLITE_IOERR:
        return system_errno == ENOSPC ? -ENOSPC : -EIO;
    default:
        return -EIO;
    }
}

/* Of calls that are not made after an error: the first one is kept. */
static void check(struct db *db, int code)
{
    assert(db->error == 0);
    db->error = errno_of(code, sqlite3_system_errno(db->sqlite));
    if (db->error != 0)
        snprintf(db->words, sizeof db->words, "%s", sqlite3_errmsg(db->sqlite));
}

/* Nobody asks how much memory SQLite has: without that count malloc needs no lock. Refused once it
 * is in use, which does no harm. */
static void spare_counting(void)
{
    static bool asked;
    if (!asked)
        sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    asked = true;
}

int db_open(const char *file, enum db_mode mode, struct db **out, char **why)
{
    struct db *db = mem_zalloc(sizeof *db);
    spare_counting();
    int flags =
        mode == DB_WRITE ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
    int code = sqlite3_open_v2(file, &db->sqlite, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK) {
        int error = errno_of(code, sqlite3_system_errno(db->sqlite));
        *why = mem_string(sqlite3_errmsg(db->sqlite));
        sqlite3_close(db->sqlite);
        free(db);
        return error;
    }
    sqlite3_extended_result_codes(db->sqlite, 1);
    sqlite3_busy_timeout(db->sqlite, BUSY_MS);
    *out = db;
    return 0;
}

void db_close(struct db *db)
{
    if (db == NULL)
        return;
    for (size_t i = 0; i < db->query_count; i++)
        sqlite3_finalize(db->queries[i].statement);
    sqlite3_close(db->sqlite);
    free(db);
}

void db_exec(struct db *db, const char *sql)
{
    if (db->error == 0)
        check(db, sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL));
}

int db_copy(struct db *db, const char *file, const char *mark, char **why)
{
    sqlite3 *copy = NULL;
    int code = sqlite3_open_v2(file, &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    sqlite3_backup *backup =
        code == SQLITE_OK ? sqlite3_backup_init(copy, "main", db->sqlite, "main") : NULL;
    if (backup != NULL) {
        sqlite3_busy_timeout(copy, BUSY_MS);
        /* all of it in one step is one read transaction: a writer beside it changes nothing */
        code = sqlite3_backup_step(backup, -1);
        int finished = sqlite3_backup_finish(backup);
        code = code == SQLITE_DONE ? finished : code;
        /* without a log, of which nobody hears whether it was brought in when it is closed */
        if (code == SQLITE_OK)
            code = sqlite3_exec(copy, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
        if (code == SQLITE_OK)
            code = sqlite3_exec(copy, mark, NULL, NULL, NULL);
    } else if (code == SQLITE_OK) {
        code = sqlite3_errcode(copy);
    }
    int error = errno_of(code, sqlite3_system_errno(copy));
    if (error != 0)
        *why = mem_string(sqlite3_errmsg(copy));
    sqlite3_close(copy);
    return error;
}

void db_begin(struct db *db)
{
    assert(!db->in_transaction);
    db->in_transaction = true;
    query_run(db_query(db, "BEGIN IMMEDIATE"));
}

int db_commit(struct db *db)
{
    assert(db->in_transaction);
    query_run(db_query(db, "COMMIT"));
    int error = db->error;
    if (error != 0)
        db_rollback(db);
    db->in_transaction = false;
    return error;
}

void db_rollback(struct db *db)
{
    for (size_t i = 0; i < db->query_count; i++)
        sqlite3_reset(db->queries[i].statement);
    if (!sqlite3_get_autocommit(db->sqlite))
        sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
    db->in_transaction = false;
    db->error = 0;
}

int db_error(const struct db *db)
{
    return db->error;
}

const char *db_error_words(const struct db *db)
{
    return db->words;
}

void db_begin_reads(struct db *db)
{
    assert(!db->in_transaction);
    db_exec(db, "BEGIN");
}

void db_end_reads(struct db *db)
{
    assert(!db->in_transaction);
    /* also after a failed read, which must not leave it open; it wrote nothing that could fail */
    sqlite3_exec(db->sqlite, "COMMIT", NULL, NULL, NULL);
}

void db_clear_error(struct db *db)
{
    assert(!db->in_transaction);
    db->error = 0;
}

static struct query *kept(struct db *db, const char *sql)
{
    for (size_t i = 0; i < db->query_count; i++) {
        if (db->queries[i].sql == sql)
            return &db->queries[i];
    }
    assert(db->query_count < MOST_QUERIES);
    struct query *query = &db->queries[db->query_count++];
    query->db = db;
    query->sql = sql;
    return query;
}

struct query *db_query(struct db *db, const char *sql)
{
    struct query *query = kept(db, sql);
    if (db->error != 0)
        return query;
    if (query->statement == NULL) {
        check(db, sqlite3_prepare_v3(db->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                     &query->statement, NULL));
    } else {
        sqlite3_reset(query->statement);
        sqlite3_clear_bindings(query->statement);
    }
    return query;
}

void query_bind_int(struct query *query, int index, int64_t value)
{
    if (query->db->error == 0)
        check(query->db, sqlite3_bind_int64(query->statement, index, value));
}

void query_bind_int_or_null(struct query *query, int index, int64_t value)
{
    if (value != 0)
        query_bind_int(query, index, value);
}

void query_bind_text(struct query *query, int index, const char *text)
{
    if (query->db->error == 0 && text != NULL)
        check(query->db, sqlite3_bind_text(query->statement, index, text, -1, SQLITE_TRANSIENT));
}

void query_bind_blob(struct query *query, int index, const void *bytes, size_t n)
{
    if (query->db->error == 0)
        check(query->db, sqlite3_bind_blob64(query->statement, index, bytes, n, SQLITE_TRANSIENT));
}

bool query_step(struct query *query)
{
    if (query->db->error != 0)
        return false;
    int code = sqlite3_step(query->statement);
    if (code == SQLITE_ROW)
        return true;
    check(query->db, code);
    sqlite3_reset(query->statement);
    return false;
}

void query_run(struct query *query)
{
    bool row = query_step(query);
    assert(!row);
    (void)row;
}

void query_end(struct query *query)
{
    sqlite3_reset(query->statement);
}

int64_t query_int(const struct query *query, int column)
{
    return sqlite3_column_int64(query->statement, column);
}

bool query_is_null(const struct query *query, int column)
{
    return sqlite3_column_type(query->statement, column) == SQLITE_NULL;
}

const void *query_blob(const struct query *query, int column, size_t *n)
{
    const void *bytes = sqlite3_column_blob(query->statement, column);
    *n = (size_t)sqlite3_column_bytes(query->statement, column);
    return bytes;
}

char *query_string(const struct query *query, int column)
{
    if (query_is_null(query, column))
        return NULL;
    size_t n;
    const void *bytes = query_blob(query, column, &n);
    return mem_bytes_string(bytes != NULL ? bytes : "", n);
}

bool query_hash(const struct query *query, int column, uint8_t hash[32])
{
    size_t n;
    const void *bytes = query_blob(query, column, &n);
    if (n != 32)
        return false;
    memcpy(hash, bytes, n);
    return true;
}

int64_t query_number(struct query *query)
{
    int64_t value = query_step(query) ? query_int(query, 0) : 0;
    query_end(query);
    return value;
}

char *query_text(struct query *query)
{
    char *value = query_step(query) ? query_string(query, 0) : NULL;
    query_end(query);
    return value;
}

/* SQLite tells a page that cannot be read as one that is broken, with the code of the error. */
static int judge(const char *verdict)
{
    static const char mark[] = "error code=";
    const char *code = strstr(verdict, mark);
    if (strcmp(verdict, "ok") == 0)
        return 0;
    return code != NULL ? errno_of((int)strtol(code + sizeof mark - 1, NULL, 10), 0) : -EUCLEAN;
}

int db_check(struct db *db)
{
    char *verdict = query_text(db_query(db, "PRAGMA quick_check(1)"));
    int error = verdict != NULL ? judge(verdict) : db_error(db);
    free(verdict);
    return error;
}

int64_t db_last_id(const struct db *db)
{
    return sqlite3_last_insert_rowid(db->sqlite);
}

int64_t db_changes(const struct db *db)
{
    return sqlite3_changes(db->sqlite);
}
