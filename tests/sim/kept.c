#include "tests/sim/kept.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/disk.h"
#include "tests/sim/sim.h"

enum { MOST_STATEMENTS = 512 };

int __real_sqlite3_open_v2(const char *file, sqlite3 **out, int flags, const char *vfs);
int __wrap_sqlite3_open_v2(const char *file, sqlite3 **out, int flags, const char *vfs);
int __real_sqlite3_close(sqlite3 *sqlite);
int __wrap_sqlite3_close(sqlite3 *sqlite);
int __real_sqlite3_prepare_v3(sqlite3 *sqlite, const char *sql, int n, unsigned flags,
                              sqlite3_stmt **out, const char **rest);
int __wrap_sqlite3_prepare_v3(sqlite3 *sqlite, const char *sql, int n, unsigned flags,
                              sqlite3_stmt **out, const char **rest);
int __real_sqlite3_finalize(sqlite3_stmt *statement);
int __wrap_sqlite3_finalize(sqlite3_stmt *statement);

static struct {
    bool allowed;
    sqlite3 *sqlite; /* the newest connection */
    bool idle;       /* nobody has it */
    struct {
        const char *sql;
        sqlite3_stmt *statement;
        bool in_use;
    } statements[MOST_STATEMENTS];
    size_t count;
} kept;

void kept_allow(bool allowed)
{
    kept.allowed = allowed;
}

static int close_for_good(void)
{
    for (size_t i = 0; i < kept.count; i++)
        __real_sqlite3_finalize(kept.statements[i].statement);
    int code = __real_sqlite3_close(kept.sqlite);
    kept.sqlite = NULL;
    kept.count = 0;
    kept.idle = false;
    return code;
}

/* False: it has no log, or kept it. */
static bool leave_log(void)
{
    sqlite3_file *log = NULL;
    const char *file = sqlite3_db_filename(kept.sqlite, "main");
    sqlite3_file_control(kept.sqlite, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (!sqlite3_get_autocommit(kept.sqlite) || log == NULL || !disk_is_log(log, file))
        return false;
    disk_no_opening(true);
    sqlite3_exec(kept.sqlite, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    disk_no_opening(false);
    sqlite3_file_control(kept.sqlite, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    return log->pMethods == NULL;
}

/* --- what the program calls --- */

int __wrap_sqlite3_open_v2(const char *file, sqlite3 **out, int flags, const char *vfs)
{
    sqlite3_file *database = NULL;
    if (!kept.allowed)
        return __real_sqlite3_open_v2(file, out, flags, vfs);
    if (kept.idle)
        sqlite3_file_control(kept.sqlite, "main", SQLITE_FCNTL_FILE_POINTER, &database);
    if (kept.idle && disk_take_over(database, file)) {
        kept.idle = false;
        *out = kept.sqlite;
        return SQLITE_OK;
    }
    int code = __real_sqlite3_open_v2(file, out, flags, vfs);
    if (code == SQLITE_OK && kept.sqlite == NULL && disk_is_made(file))
        kept.sqlite = *out;
    return code;
}

int __wrap_sqlite3_close(sqlite3 *sqlite)
{
    if (sqlite == NULL || sqlite != kept.sqlite)
        return __real_sqlite3_close(sqlite);
    kept.idle = leave_log();
    return kept.idle ? SQLITE_OK : close_for_good();
}

int __wrap_sqlite3_prepare_v3(sqlite3 *sqlite, const char *sql, int n, unsigned flags,
                              sqlite3_stmt **out, const char **rest)
{
    for (size_t i = 0; sqlite == kept.sqlite && i < kept.count; i++) {
        if (kept.statements[i].sql == sql && !kept.statements[i].in_use) {
            kept.statements[i].in_use = true;
            *out = kept.statements[i].statement;
            return SQLITE_OK;
        }
    }
    int code = __real_sqlite3_prepare_v3(sqlite, sql, n, flags, out, rest);
    if (code == SQLITE_OK && sqlite == kept.sqlite && kept.count < MOST_STATEMENTS) {
        kept.statements[kept.count].sql = sql; /* literals: the address is the name */
        kept.statements[kept.count].in_use = true;
        kept.statements[kept.count++].statement = *out;
    }
    return code;
}

int __wrap_sqlite3_finalize(sqlite3_stmt *statement)
{
    for (size_t i = 0; i < kept.count; i++) {
        if (kept.statements[i].statement == statement) {
            kept.statements[i].in_use = false;
            sqlite3_clear_bindings(statement);
            return sqlite3_reset(statement);
        }
    }
    return __real_sqlite3_finalize(statement);
}
