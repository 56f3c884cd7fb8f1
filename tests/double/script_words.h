/* The lines of a script as words: quotes, escapes, and the colon between head and tail. */
#ifndef DOUBLE_SCRIPT_WORDS_H
#define DOUBLE_SCRIPT_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#define SCRIPT_WORDS 128 /* most on one line */

struct script_word {
    char *text;
    size_t size;
    bool quoted;
};

/* The reading of a script: the line that is read now, cut into words. */
struct script_reading {
    const char *file;
    size_t line;
    struct script_word words[SCRIPT_WORDS];
    size_t count;
    size_t colon; /* the number of words before the colon */
    bool has_colon;
    char *fault;         /* the first one: "FILE:LINE: what is wrong" */
    char *method, *path; /* of the rule above */
};

/* Notes a fault at the current line, unless there is one already; `word` may be NULL. Returns
 * false, so that a reader can return it. */
bool script_fail(struct script_reading *r, const char *what, const char *word);

/* Cuts a line; false with a fault noted. script_words_forget frees the words, in either case. */
bool script_words_read(struct script_reading *r, const char *line);
void script_words_forget(struct script_reading *r);

#endif
