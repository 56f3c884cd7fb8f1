/* What every file of the double needs: allocation that cannot fail, text and time.
 *
 * The double is a test tool: when memory runs out it says so and ends. So nothing below returns
 * NULL, and no caller has a failure to handle. */
#ifndef DOUBLE_BASE_H
#define DOUBLE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ends the program (exit 70) with a message on stderr. */
_Noreturn void base_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* `size` zeroed bytes; the caller frees. */
void *base_need(size_t size);

/* Like realloc, for `count` items of `size` bytes; new bytes are not zeroed. */
void *base_grow(void *old, size_t count, size_t size);

/* A copy of text, of `size` bytes with a NUL behind them, and a formatted text; the caller frees.
 */
char *base_copy(const char *text);
char *base_copy_bytes(const char *bytes, size_t size);
char *base_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Bytes as valid UTF-8: what is not UTF-8, and NUL, becomes \xHH. `clean` (may be NULL) tells
 * whether nothing had to be escaped. The caller frees. */
char *base_shown(const char *bytes, size_t size, bool *clean);

/* The whole of a file; NULL with errno when it cannot be read. `size` may be NULL. Caller frees. */
char *base_read_file(const char *path, size_t *size);

/* A decimal number that fills the whole text; false when it is anything else. */
bool base_number(const char *text, uint64_t *number);

/* Now, in milliseconds since 1970. */
int64_t base_now_ms(void);

/* `at_ms` as 2026-11-23T14:05:01.123Z. */
#define BASE_TIME_SIZE 32
void base_time(int64_t at_ms, char shown[BASE_TIME_SIZE]);

#endif
