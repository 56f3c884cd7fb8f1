/* The door to SQLite: each of its errors is told as what it is, and a copy is whole or none. */
#include "agent/ledger/db.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "agent/base/mem.h"
#include "tests/unit/ledger/statement_faults.h"

#define with_a_db(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

struct fixture {
    char dir[64], file[96], copy[96];
    struct db *db;
};

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    char *why = NULL;
    strcpy(f->dir, "/tmp/chorus-db-XXXXXX");
    if (mkdtemp(f->dir) == NULL)
        return -1;
    snprintf(f->file, sizeof f->file, "%s/db", f->dir);
    snprintf(f->copy, sizeof f->copy, "%s/copy", f->dir);
    assert_int_equal(db_open(f->file, DB_WRITE, &f->db, &why), 0);
    db_exec(f->db, "PRAGMA journal_mode = WAL; CREATE TABLE t(k INTEGER PRIMARY KEY, v BLOB);"
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)"
                   " INSERT INTO t SELECT i, zeroblob(200) FROM n;");
    assert_int_equal(db_error(f->db), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    db_close(f->db);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", f->file, ends[i]);
        unlink(name);
        snprintf(name, sizeof name, "%s%s", f->copy, ends[i]);
        unlink(name);
    }
    rmdir(f->dir);
    free(f);
    return 0;
}

/* --- what the linker puts in the place of SQLite's */

static int system_errno;
static int copying_fails; /* SQLite's code; 0: not */
static enum { COPYING_NOWHERE, COPYING_BEGINS, COPYING_STEPS } copying_fails_where;

int __wrap_sqlite3_system_errno(sqlite3 *db);
int __real_sqlite3_system_errno(sqlite3 *db);
sqlite3_backup *__wrap_sqlite3_backup_init(sqlite3 *to, const char *to_name, sqlite3 *from,
                                           const char *from_name);
sqlite3_backup *__real_sqlite3_backup_init(sqlite3 *to, const char *to_name, sqlite3 *from,
                                           const char *from_name);
int __wrap_sqlite3_errcode(sqlite3 *db);
int __real_sqlite3_errcode(sqlite3 *db);
int __wrap_sqlite3_backup_step(sqlite3_backup *backup, int pages);
int __real_sqlite3_backup_step(sqlite3_backup *backup, int pages);

int __wrap_sqlite3_system_errno(sqlite3 *db)
{
    return system_errno != 0 ? system_errno : __real_sqlite3_system_errno(db);
}

sqlite3_backup *__wrap_sqlite3_backup_init(sqlite3 *to, const char *to_name, sqlite3 *from,
                                           const char *from_name)
{
    return copying_fails_where == COPYING_BEGINS
               ? NULL
               : __real_sqlite3_backup_init(to, to_name, from, from_name);
}

int __wrap_sqlite3_errcode(sqlite3 *db)
{
    return copying_fails_where == COPYING_BEGINS ? copying_fails : __real_sqlite3_errcode(db);
}

int __wrap_sqlite3_backup_step(sqlite3_backup *backup, int pages)
{
    return copying_fails_where == COPYING_STEPS ? copying_fails
                                                : __real_sqlite3_backup_step(backup, pages);
}

/* --- errors */

static void each_error_is_told_as_what_it_is(void **state)
{
    static const struct {
        int code, system, error;
    } errors[] = {{SQLITE_FULL, 0, ENOSPC},
                  {SQLITE_IOERR_WRITE, EIO, EIO},
                  {SQLITE_IOERR_SHMSIZE, ENOSPC, ENOSPC},
                  {SQLITE_NOMEM, 0, ENOMEM},
                  {SQLITE_READONLY, 0, EROFS},
                  {SQLITE_READONLY_DBMOVED, 0, EROFS},
                  {SQLITE_READONLY_ROLLBACK, 0, ENOENT},
                  {SQLITE_BUSY, 0, EBUSY},
                  {SQLITE_BUSY_SNAPSHOT, 0, EBUSY},
                  {SQLITE_LOCKED, 0, EBUSY},
                  {SQLITE_CORRUPT, 0, EUCLEAN},
                  {SQLITE_CORRUPT_INDEX, 0, EUCLEAN},
                  {SQLITE_NOTADB, 0, EUCLEAN},
                  {SQLITE_CANTOPEN, EACCES, EACCES},
                  {SQLITE_CANTOPEN, 0, ENOENT},
                  {SQLITE_MISUSE, 0, EIO}};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        db_begin(f->db);
        db_exec(f->db, "DELETE FROM t");
        statement_fails(1, errors[i].code);
        system_errno = errors[i].system;
        db_exec(f->db, "DELETE FROM t");
        statement_fails(0, 0);
        system_errno = 0;
        assert_int_equal(db_error(f->db), -errors[i].error);
        assert_int_equal(db_commit(f->db), -errors[i].error);
        assert_int_equal(query_number(db_query(f->db, "SELECT count(*) FROM t")), 500);
    }
}

static void what_cannot_be_opened_is_told(void **state)
{
    struct fixture *f = *state;
    struct db *db;
    char *why = NULL;
    assert_int_equal(db_open("/nonexistent/db", DB_READ, &db, &why), -ENOENT);
    assert_string_equal(why, "unable to open database file");
    free(why);
    (void)f;
}

/* --- values */

static void an_empty_text_is_not_none(void **state)
{
    struct fixture *f = *state;
    char *empty = query_text(db_query(f->db, "SELECT ''"));
    assert_string_equal(empty, "");
    free(empty);
    assert_null(query_text(db_query(f->db, "SELECT NULL")));
}

/* --- whether it is whole */

static void overwrite_a_page(const char *file, int page)
{
    char junk[4096];
    memset(junk, 0x5a, sizeof junk);
    int fd = open(file, O_WRONLY);
    assert_int_equal(pwrite(fd, junk, sizeof junk, (off_t)page * 4096), sizeof junk);
    close(fd);
}

static void reopen(struct fixture *f)
{
    char *why = NULL;
    db_close(f->db);
    assert_int_equal(db_open(f->file, DB_WRITE, &f->db, &why), 0);
}

static void a_page_of_junk_is_found(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(db_check(f->db), 0);
    db_close(f->db);
    overwrite_a_page(f->file, 9);
    char *why = NULL;
    assert_int_equal(db_open(f->file, DB_WRITE, &f->db, &why), 0);
    assert_int_equal(db_check(f->db), -EUCLEAN);
}

/* SQLite's own; NULL: as it was. */
static void set_system_call(const char *name, sqlite3_syscall_ptr call)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    char name64[16];
    snprintf(name64, sizeof name64, "%s64", name);
    vfs->xSetSystemCall(vfs, name, call);
    vfs->xSetSystemCall(vfs, name64, call);
}

static ssize_t no_pread(int fd, void *bytes, size_t n, off_t at)
{
    if (at >= 9 * 4096 && at < 10 * 4096) {
        errno = EIO;
        return -1;
    }
    return pread(fd, bytes, n, at);
}

/* A disk that hiccups has not broken the ledger, which would be moved aside for it. */
static void a_page_that_cannot_be_read_is_not_taken_for_broken(void **state)
{
    struct fixture *f = *state;
    reopen(f);
    set_system_call("pread", (sqlite3_syscall_ptr)no_pread);
    int error = db_check(f->db);
    set_system_call("pread", NULL);
    assert_int_equal(error, -EIO);
    db_clear_error(f->db);
    assert_int_equal(db_check(f->db), 0);
}

/* --- copies */

static int copied(struct fixture *f, char **why)
{
    *why = NULL;
    close(open(f->copy, O_WRONLY | O_CREAT | O_TRUNC, 0600));
    return db_copy(f->db, f->copy, "INSERT INTO t VALUES(1000, 'a copy')", why);
}

static void a_copy_that_fails_is_told(void **state)
{
    static const struct {
        int where, code, error;
    } faults[] = {{COPYING_BEGINS, SQLITE_NOMEM, ENOMEM},
                  {COPYING_STEPS, SQLITE_FULL, ENOSPC},
                  {COPYING_STEPS, SQLITE_BUSY, EBUSY}};
    struct fixture *f = *state;
    char *why;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        copying_fails_where = faults[i].where;
        copying_fails = faults[i].code;
        int error = copied(f, &why);
        copying_fails_where = COPYING_NOWHERE;
        assert_int_equal(error, -faults[i].error);
        assert_non_null(why);
        free(why);
    }
    for (long n = 1; n <= 2; n++) {
        statement_fails(n, SQLITE_IOERR);
        assert_int_equal(copied(f, &why), -EIO); /* its mark */
        statement_fails(0, 0);
        free(why);
    }
    assert_int_equal(copied(f, &why), 0);
    assert_null(why);
}

static long writes, failing_write;

static ssize_t some_pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    if (++writes == failing_write) {
        errno = EIO;
        return -1;
    }
    return pwrite(fd, bytes, n, at);
}

/* Also where it is only brought to its place, at the very end. */
static void each_write_of_a_copy_that_fails_is_told(void **state)
{
    struct fixture *f = *state;
    char *why;
    int error = 1;
    for (failing_write = 1; error != 0 || writes >= failing_write; failing_write++) {
        writes = 0;
        set_system_call("pwrite", (sqlite3_syscall_ptr)some_pwrite);
        error = copied(f, &why);
        set_system_call("pwrite", NULL);
        if (error != 0) {
            assert_int_equal(error, -EIO);
            free(why);
            continue;
        }
        struct db *copy;
        char log[128];
        snprintf(log, sizeof log, "%s-wal", f->copy);
        unlink(log); /* nobody carries it along */
        assert_int_equal(db_open(f->copy, DB_READ, &copy, &why), 0);
        assert_int_equal(query_number(db_query(copy, "SELECT count(*) FROM t")), 501);
        db_close(copy);
    }
    assert_true(failing_write > 5);
}

/* What a copy says of itself stands in its one file: nobody carries a log along. */
static void a_copy_is_one_file(void **state)
{
    struct fixture *f = *state;
    struct db *copy;
    char *why, log[128];
    assert_int_equal(copied(f, &why), 0);
    snprintf(log, sizeof log, "%s-wal", f->copy);
    assert_int_equal(access(log, F_OK), -1);
    assert_int_equal(db_open(f->copy, DB_WRITE, &copy, &why), 0);
    assert_int_equal(query_number(db_query(copy, "SELECT count(*) FROM t")), 501);
    db_close(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_a_db(each_error_is_told_as_what_it_is),
        with_a_db(what_cannot_be_opened_is_told),
        with_a_db(an_empty_text_is_not_none),
        with_a_db(a_page_of_junk_is_found),
        with_a_db(a_page_that_cannot_be_read_is_not_taken_for_broken),
        with_a_db(a_copy_that_fails_is_told),
        with_a_db(each_write_of_a_copy_that_fails_is_told),
        with_a_db(a_copy_is_one_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
