/*
 * A control file, read: targets and directives (interface.md, "Control files"). Pure; fed piece by
 * piece, so that memory does not grow with the file. This is the one place where a typing error
 * destroys data: when in doubt the whole file is refused.
 */
#ifndef CHORUS_CONTROL_REQUEST_H
#define CHORUS_CONTROL_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    REQUEST_MOST_BYTES = 64 * 1024 * 1024,
    REQUEST_MOST_TARGETS = 1000000,
    REQUEST_MOST_LINE = 4096
};

enum target_kind {
    TARGET_BAD = 0, /* `problem` says what is wrong with the line */
    TARGET_PATH,
    TARGET_GLOB, /* as names_match, but case is obeyed: what was written as an escape has a
                    backslash before it where it would mean more; begins with / */
    TARGET_NAME,
    TARGET_SHA256,     /* `value` is 64 digits in lower case */
    TARGET_ENGAGEMENT, /* `value` is the bare id, as it was written, also where a link was given */
    TARGET_PHONE,      /* `value` is digits only */
    TARGET_FIELD,      /* `value` is NAME=VALUE */
};

/* One line that is no comment and no directive. Strings are valid during the callback. */
struct request_line {
    unsigned line;
    enum target_kind kind;
    const char *text;    /* the line as it was written (its beginning, where it is longer than
                            allowed); shown in the result (escaped) */
    const char *value;   /* bytes, escapes undone, ended by NUL (a value with NUL is bad) */
    const char *problem; /* TARGET_BAD only; else NULL */
};

/* What holds for the whole file. Strings are owned by the struct. */
struct request_facts {
    char *reason, *requested_by; /* NULL: not given */
    int64_t from_ms, to_ms; /* local midnight of `@from`, and of the day after `@to`; 0: none */
    bool local, force, dry_run;
    int64_t expect;      /* -1: not given */
    size_t targets, bad; /* good lines, and bad ones */
};

struct request_reader;
/* Each line in order; NULL: only count. */
typedef void (*request_each)(void *ctx, const struct request_line *line);

struct request_reader *request_reader_new(request_each each, void *ctx);
void request_reader_feed(struct request_reader *reader, const void *bytes, size_t n);
/* The end of the file. NULL: it may be carried out; else why it is refused whole (new string), with
 * the line where there is one; lines that were told before mean nothing then. *facts
 * (request_facts_clear) is filled in both cases. */
char *request_reader_end(struct request_reader *reader, struct request_facts *facts);
void request_reader_free(struct request_reader *reader);
void request_facts_clear(struct request_facts *facts);

#endif
