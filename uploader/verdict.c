#include "uploader/verdict.h"

#include <assert.h>
#include <limits.h>
#include <stddef.h>

enum rule {
    SAYS_NOTHING, /* no proof of anything: how far the request came decides */
    UNCERTAIN,
    BY_ANSWER, /* the body of a 2xx decides */
    KNOWN,
    REFUSED,
    TOKEN_REFUSED,
    FORBIDDEN,
    BUSY,
    ODD_REFUSAL,
};

/*
 * The first row that holds the final status decides, by whether the last part was handed out when
 * the exchange ended. A 2xx before that speaks of a body that Chorus cannot have seen whole. A 408
 * is a server tired of waiting, perhaps for its own back end: like a 5xx it proves nothing.
 */
static const struct row {
    int from, to;
    enum rule before, after;
} rows[] = {
    /* status    before the last part   after it */
    {200, 299, UNCERTAIN, BY_ANSWER},
    {400, 400, REFUSED, REFUSED},
    {401, 401, TOKEN_REFUSED, TOKEN_REFUSED},
    {403, 403, FORBIDDEN, FORBIDDEN},
    {404, 404, REFUSED, REFUSED},
    {408, 408, SAYS_NOTHING, UNCERTAIN},
    {409, 409, KNOWN, KNOWN},
    {413, 413, REFUSED, REFUSED},
    {415, 415, REFUSED, REFUSED},
    {422, 422, REFUSED, REFUSED},
    {429, 429, BUSY, BUSY},
    {400, 499, ODD_REFUSAL, ODD_REFUSAL},
    {INT_MIN, INT_MAX, SAYS_NOTHING, UNCERTAIN}, /* none, 3xx, 5xx, anything else */
};

static enum rule look_up(const struct exchange *exchange)
{
    const struct row *row = rows;
    while (exchange->status < row->from || exchange->status > row->to)
        row++;
    return exchange->body_handed_out ? row->after : row->before;
}

/* The last part was withheld: why? */
static enum verdict judge_incomplete(const struct exchange *exchange)
{
    if (exchange->source_failed)
        return VERDICT_SOURCE_CHANGED;
    if (exchange->aborted)
        return VERDICT_ABORTED;
    return exchange->request_left ? VERDICT_INTERRUPTED : VERDICT_UNREACHABLE;
}

static enum verdict judge_success(const struct exchange *exchange)
{
    if (exchange->answer_is_object)
        return exchange->answer_says_failure ? VERDICT_REFUSED : VERDICT_ACCEPTED;
    return exchange->answer_is_empty ? VERDICT_ACCEPTED : VERDICT_UNCERTAIN;
}

enum verdict verdict_judge(const struct exchange *exchange)
{
    /* A status without a request is a proxy's. */
    if (!exchange->request_left && !exchange->body_handed_out)
        return judge_incomplete(exchange);
    switch (look_up(exchange)) {
    case SAYS_NOTHING:
        return judge_incomplete(exchange);
    case BY_ANSWER:
        return judge_success(exchange);
    case KNOWN:
        return VERDICT_KNOWN;
    case REFUSED:
        return VERDICT_REFUSED;
    case TOKEN_REFUSED:
        return VERDICT_TOKEN_REFUSED;
    case FORBIDDEN:
        return VERDICT_FORBIDDEN;
    case BUSY:
        return VERDICT_BUSY;
    case ODD_REFUSAL:
        return VERDICT_ODD_REFUSAL;
    case UNCERTAIN:
        break;
    }
    return VERDICT_UNCERTAIN;
}

const char *verdict_name(enum verdict verdict)
{
    static const char *const names[] = {
        [VERDICT_ACCEPTED] = "accepted",
        [VERDICT_KNOWN] = "known",
        [VERDICT_REFUSED] = "refused",
        [VERDICT_TOKEN_REFUSED] = "token-refused",
        [VERDICT_FORBIDDEN] = "forbidden",
        [VERDICT_BUSY] = "busy",
        [VERDICT_ODD_REFUSAL] = "odd-refusal",
        [VERDICT_UNREACHABLE] = "unreachable",
        [VERDICT_INTERRUPTED] = "interrupted",
        [VERDICT_UNCERTAIN] = "uncertain",
        [VERDICT_SOURCE_CHANGED] = "source-changed",
        [VERDICT_ABORTED] = "aborted",
    };
    assert((size_t)verdict < sizeof(names) / sizeof(names[0]));
    return names[verdict];
}
