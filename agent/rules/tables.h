/*
 * Look-up tables: key,value files (comma or tab, quotes as in CSV, the first row is data), parsed
 * with libcsv. Keys are compared without case, leading zeros count. A key with two different values
 * finds nothing. A last row without line end is not used. Lines that begin with # and blank lines
 * are passed over, a BOM and CRLF are taken. A table_set holds the versions in force; a broken new
 * version of a file leaves the old one in force. Thread: one at a time.
 */
#ifndef CHORUS_RULES_TABLES_H
#define CHORUS_RULES_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_set;

/* `names` and `paths` are copied. Nothing is read yet: every look-up finds nothing until
 * table_set_load. */
struct table_set *table_set_new(const char *const *names, const char *const *paths, size_t count);
void table_set_free(struct table_set *tables);
size_t table_set_count(const struct table_set *tables);
const char *table_set_name(const struct table_set *tables, size_t index);
const char *table_set_path(const struct table_set *tables, size_t index);
/* Index of that name, or -1. */
int table_set_find(const struct table_set *tables, const char *name);

/* What was noticed while reading: "line 7: ..." each, the first few of a kind and then their
 * number; `tell` may be NULL. */
typedef void (*table_tell)(void *ctx, const char *text);

/* Takes over what is in force in `from` for tables of the same name and file; there they are empty
 * then. */
void table_set_inherit(struct table_set *tables, struct table_set *from);

/* Reads the file of table `index` and, if it can be used, puts it in force. 0, or negative errno
 * (-EINVAL: not a table at all, or one that is torn or mostly bad rows while a version is in force;
 * -EFBIG: over 256 MiB; the words of both are told), the old one then stays. Blocks. */
int table_set_load(struct table_set *tables, size_t index, table_tell tell, void *ctx);

/* The value, or NULL. `line` (may be NULL) gets the row's line. Valid until the next load. */
const char *table_set_look_up(const struct table_set *tables, size_t index, const char *key,
                              int *line);

/* Why a look-up found nothing, to be read behind "table NAME has": "no row for 6666", "two values
 * for 6666 (lines 3 and 9)"; new string. */
char *table_set_why(const struct table_set *tables, size_t index, const char *key);

size_t table_set_rows(const struct table_set *tables, size_t index);

/* 64 bits over the contents of all tables in force: changes when any changes. */
uint64_t table_set_digest(const struct table_set *tables);

#endif
