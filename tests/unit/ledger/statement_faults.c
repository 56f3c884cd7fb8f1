#include "tests/unit/ledger/statement_faults.h"

#include <sqlite3.h>
#include <stddef.h>

static long made, fails_at;
static int fails_with;

void statement_fails(long n, int code)
{
    made = 0;
    fails_at = n;
    fails_with = code;
}

long statements_made(void)
{
    return made;
}

static int fault(void)
{
    return ++made == fails_at ? fails_with : SQLITE_OK;
}

int __real_sqlite3_step(sqlite3_stmt *statement);
int __real_sqlite3_exec(sqlite3 *db, const char *sql, int (*each)(void *, int, char **, char **),
                        void *ctx, char **error);
int __real_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int n, unsigned flags,
                              sqlite3_stmt **statement, const char **tail);
int __wrap_sqlite3_step(sqlite3_stmt *statement);
int __wrap_sqlite3_exec(sqlite3 *db, const char *sql, int (*each)(void *, int, char **, char **),
                        void *ctx, char **error);
int __wrap_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int n, unsigned flags,
                              sqlite3_stmt **statement, const char **tail);

int __wrap_sqlite3_step(sqlite3_stmt *statement)
{
    int code = fault();
    return code != SQLITE_OK ? code : __real_sqlite3_step(statement);
}

int __wrap_sqlite3_exec(sqlite3 *db, const char *sql, int (*each)(void *, int, char **, char **),
                        void *ctx, char **error)
{
    int code = fault();
    return code != SQLITE_OK ? code : __real_sqlite3_exec(db, sql, each, ctx, error);
}

int __wrap_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int n, unsigned flags,
                              sqlite3_stmt **statement, const char **tail)
{
    int code = fault();
    if (code == SQLITE_OK)
        return __real_sqlite3_prepare_v3(db, sql, n, flags, statement, tail);
    *statement = NULL;
    return code;
}
