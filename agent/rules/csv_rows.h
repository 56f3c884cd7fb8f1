/*
 * Rows of two columns out of the bytes of a file; the only room that names libcsv. A row that
 * cannot be used is told with its line and costs no other row: also a quote that is never closed
 * costs its own row only. Any thread.
 */
#ifndef CHORUS_RULES_CSV_ROWS_H
#define CHORUS_RULES_CSV_ROWS_H

#include <stddef.h>

struct csv_rows_callbacks {
    /* A row of two columns that begins in this line; the strings are valid during the call. */
    void (*row)(void *ctx, int line, const char *key, const char *value);
    /* A row that is not used, and why. */
    void (*bad)(void *ctx, int line, const char *why);
    /* The same where a quote is wrong, so that what was meant behind it is a guess. */
    void (*torn)(void *ctx, int line, const char *why);
    /* The last row, if it has no line end. */
    void (*cut)(void *ctx, int line);
};

/* `bytes` hold no byte 0. The separator, comma or tab, is found from the first row that has one. */
void csv_rows_read(const char *bytes, size_t n, const struct csv_rows_callbacks *callbacks,
                   void *ctx);

#endif
