/*
 * One bounded line of text from others' bytes: control characters (C0, DEL, C1), line separators
 * and bytes that are not UTF-8 become \xHH; what does not fit is cut between characters and ends in
 * "...".
 */
#ifndef CHORUS_UPLOADER_LINE_H
#define CHORUS_UPLOADER_LINE_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of a line, with its NUL. Lower cuts Chorus's reasons; higher lets a hostile answer fill
 * logs. */
enum { LINE_SIZE = 304 };

/* Fewer letters are no secret, and would be found everywhere. */
enum { LINE_SECRET_MIN = 3 };

struct line {
    char text[LINE_SIZE]; /* ended by NUL at any time */
    size_t used;
    bool full;
};

void line_init(struct line *line);
void line_add(struct line *line, const char *text);
void line_add_bytes(struct line *line, const char *bytes, size_t n);

/* Where `secret` stands in the line, or its beginning where the line was cut, "***" stands
 * afterwards. */
void line_hide(struct line *line, const char *secret);

#endif
