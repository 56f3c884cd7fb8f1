/*
 * How an upload ended, as one of a small set. The ambiguous ending (the whole body may have
 * arrived, no answer came) is told apart from all others: only it may have made a copy that we do
 * not know of.
 */
#ifndef CHORUS_UPLOADER_VERDICT_H
#define CHORUS_UPLOADER_VERDICT_H

#include <stdbool.h>

enum verdict {
    VERDICT_ACCEPTED, /* any 2xx with a JSON object or an empty body */
    VERDICT_KNOWN,    /* 409: the meeting_id is known already */
    VERDICT_REFUSED,  /* 400 404 413 415 422, or success:false in a 2xx: this recording, for good */
    VERDICT_TOKEN_REFUSED, /* 401 */
    VERDICT_FORBIDDEN,     /* 403: the token, or this owner only; GET /api/v1/users/me tells */
    VERDICT_BUSY,          /* 429 */
    VERDICT_ODD_REFUSAL,   /* any other 4xx: not stored, try later and tell */
    VERDICT_UNREACHABLE,   /* no request left: DNS, connect, TLS, proxy */
    VERDICT_INTERRUPTED, /* a request left, but not its last part: no whole body can have arrived */
    VERDICT_UNCERTAIN,   /* the last part was handed out, and no answer proves anything */
    VERDICT_SOURCE_CHANGED, /* the file is no longer the one that was fingerprinted; the end was
                               withheld */
    VERDICT_ABORTED,        /* uploader_abort before the last part was handed out */
};

/* "accepted", "uncertain", ...: for logs and stories. Static. */
const char *verdict_name(enum verdict verdict);

/* What is known of one exchange when it is over. */
struct exchange {
    bool request_left;    /* passed PREREQFUNCTION: a header block may have left */
    bool body_handed_out; /* the last part was fully handed to libcurl */
    bool source_failed;
    bool aborted;
    int status;            /* the final HTTP status, 0: none received */
    bool answer_is_object; /* the body is a JSON object */
    bool answer_is_empty;
    bool answer_says_failure; /* "success": false in it */
};

/* Pure. The table of interface.md, libcurl.md and chorus-api.yaml. */
enum verdict verdict_judge(const struct exchange *exchange);

#endif
