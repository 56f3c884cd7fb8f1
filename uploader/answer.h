/*
 * What Chorus answered, read from a body of unknown shape: /v3/upload publishes no schema for its
 * 200, errors come as a JSON:API document, and what stands between may answer anything. Pure but
 * for the parser's allocations; a body that cannot be read for want of memory reads as no object.
 */
#ifndef CHORUS_UPLOADER_ANSWER_H
#define CHORUS_UPLOADER_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "uploader/line.h"

enum {
    /* An engagement's id has 32 hex digits; what is longer than this is none. */
    ANSWER_ID_SIZE = 129,
    /* Deeper nesting is refused before the parser, which recurses, sees it. Chorus's documents
       have 5. */
    ANSWER_MAX_DEPTH = 32,
};

struct answer {
    bool is_object;
    bool is_empty;           /* nothing but white space */
    bool says_failure;       /* "success": false, the boolean */
    char id[ANSWER_ID_SIZE]; /* "" if there is none */
    struct line said;        /* Chorus's own words, "" if none */
};

/* `content_type` "" if none was sent. An id is a string of visible ASCII, or a whole positive
 * number up to 2^53 (what lies above would be rounded); the first of the `fields` ("data.id") that
 * holds one decides. */
void answer_read(const char *body, size_t size, const char *content_type, const char *const *fields,
                 size_t field_count, struct answer *out);

#endif
