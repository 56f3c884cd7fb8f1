/*
 * Names are bytes. Wherever one is shown or sent, bytes that are not UTF-8, control characters and
 * `\` are written \xHH (interface.md, "Odd bytes"); targets are read back with the same escapes.
 * Also hex.
 */
#ifndef CHORUS_BASE_BYTES_H
#define CHORUS_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* New string: valid UTF-8 without control characters. */
char *bytes_escape(const char *bytes);

/* New string with every \xHH read back; NULL if a backslash begins nothing of that form. */
char *bytes_unescape(const char *escaped);

/* 2n digits and a NUL into `hex`. */
void bytes_to_hex(const uint8_t *bytes, size_t n, char *hex);

/* Exactly 2n hex digits, either case, into n bytes. */
bool bytes_from_hex(const char *hex, uint8_t *bytes, size_t n);

/* Length in bytes of the well-formed UTF-8 character at s, 0 if there is none (also at the end). */
size_t bytes_utf8_length(const char *s);

#endif
