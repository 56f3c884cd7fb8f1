/*
 * A thin door to SQLite, the one place that names it.
 *
 * Errors stick: once a statement fails, every later call does nothing until db_rollback (or a
 * failed db_commit) clears it, and db_commit returns the first error. So a transition is written as
 * if nothing could fail, and nothing of it is believed before the commit.
 *
 * Errors are negative errno: -ENOSPC, -EIO, -EROFS, -EBUSY, -EUCLEAN (corrupt), -ENOMEM.
 * Thread: one.
 */
#ifndef CHORUS_LEDGER_DB_H
#define CHORUS_LEDGER_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;
struct query;

enum db_mode { DB_WRITE, DB_READ };

/* 0, or negative errno with SQLite's words in *why (new string). */
int db_open(const char *file, enum db_mode mode, struct db **out, char **why);
void db_close(struct db *db);

/* One or more statements without parameters. */
void db_exec(struct db *db, const char *sql);

/* Copies the whole database into `file`, which is there and empty, and runs `mark` (SQL) in the
 * copy. 0, or negative errno with *why (new string). */
int db_copy(struct db *db, const char *file, const char *mark, char **why);

/* Begins a transaction, none being open; a read that failed before fails it, too. */
void db_begin(struct db *db);
/* 0, or the error that sticks, after rolling back. */
int db_commit(struct db *db);
void db_rollback(struct db *db);
/* The error that sticks, 0: none; and its words (never NULL). */
int db_error(const struct db *db);
const char *db_error_words(const struct db *db);
/* Reads between these two share one look at the file, which costs less. Nothing is written in
 * between. */
void db_begin_reads(struct db *db);
void db_end_reads(struct db *db);
/* Whether its pages fit together: 0, -EUCLEAN (broken), or another negative errno: it cannot be
 * told now, since a page could not be read. */
int db_check(struct db *db);
/* Outside a transaction, after reads: forget it. */
void db_clear_error(struct db *db);

/* A statement, compiled once and kept; `sql` must be a string literal. Reset and unbound. Never
 * NULL. */
struct query *db_query(struct db *db, const char *sql);
void query_bind_int(struct query *query, int index, int64_t value);
void query_bind_int_or_null(struct query *query, int index, int64_t value); /* 0 is NULL */
void query_bind_text(struct query *query, int index, const char *text); /* NULL is NULL; copied */
void query_bind_blob(struct query *query, int index, const void *bytes, size_t n);
/* True: a row is there. False: no more, or an error. */
bool query_step(struct query *query);
/* Runs a statement that returns no row. */
void query_run(struct query *query);
/* Ends it early; a query that returned false is ended already. */
void query_end(struct query *query);

int64_t query_int(const struct query *query, int column);
bool query_is_null(const struct query *query, int column);
/* Valid until the next step; text is NULL for NULL. A blob's text is not ended by NUL: see
 * query_string. */
const void *query_blob(const struct query *query, int column, size_t *n);
/* New string of a text or blob, NULL for NULL. */
char *query_string(const struct query *query, int column);
/* Copies a blob of 32 bytes; false: it is none, and `hash` is untouched. */
bool query_hash(const struct query *query, int column, uint8_t hash[32]);

/* For a query of one value: its first row, and the query is ended. 0 or NULL: no row. */
int64_t query_number(struct query *query);
char *query_text(struct query *query); /* new */

int64_t db_last_id(const struct db *db);
int64_t db_changes(const struct db *db);

#endif
