/* Fingerprints asked for, in the order asked. Each request gets one answer, unless the caller
 * releases the file or closes the watch. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "watcher/work.h"

void hashing_begin(struct watch *w, struct candidate *c)
{
    c->later = NULL;
    c->earlier = w->hash_last;
    if (w->hash_last) {
        w->hash_last->later = c;
    } else {
        w->hash_first = c;
    }
    w->hash_last = c;
    intake_phase(w, c, PHASE_HASHING);
}

static void leave_queue(struct watch *w, struct candidate *c)
{
    if (c->earlier) {
        c->earlier->later = c->later;
    } else {
        w->hash_first = c->later;
    }
    if (c->later) {
        c->later->earlier = c->earlier;
    } else {
        w->hash_last = c->earlier;
    }
    c->earlier = c->later = NULL;
}

void hashing_cancel(struct watch *w, struct candidate *c)
{
    leave_queue(w, c);
    if (w->fingerprint && w->fingerprint->id == c->id) {
        job_throw_away_fingerprint(w, w->fingerprint);
        w->fingerprint = NULL;
    }
    intake_phase(w, c, PHASE_SETTLING);
}

size_t hashing_take(struct watch *w, struct fingerprint **fingerprints, size_t most)
{
    uint64_t bytes = 0;
    size_t count = 0;
    if (w->fingerprint) {
        fingerprints[0] = w->fingerprint;
        w->fingerprint = NULL;
        return 1;
    }
    for (const struct candidate *c = w->hash_first; c && count < most; c = c->later) {
        bytes += c->identity.size;
        if (count > 0 && bytes > HASH_BATCH_BYTES) {
            break;
        }
        struct fingerprint *f = fingerprint_new(c->path, &c->identity);
        if (!f) {
            break;
        }
        f->id = c->id;
        fingerprints[count++] = f;
    }
    return count;
}

void hashing_answer(struct watch *w, const char *path, enum watch_fingerprint_result result,
                    int error)
{
    struct watch_fingerprint answer = {.path = path, .result = result, .error = error};
    if (!w->closing) {
        w->callbacks.fingerprinted(w->ctx, &answer);
    }
}

/* The candidate stays as it is until the caller releases it, or settles again. */
static void end(struct watch *w, struct candidate *c, const struct watch_fingerprint *answer)
{
    hashing_cancel(w, c);
    switch (answer->result) {
    case WATCH_FINGERPRINT_TAKEN:
        intake_phase(w, c, PHASE_FINISHED);
        break;
    case WATCH_FINGERPRINT_CHANGED:
        intake_settle_again(w, c);
        break;
    case WATCH_FINGERPRINT_GONE:
        intake_drop(w, c);
        break;
    case WATCH_FINGERPRINT_UNREADABLE:
        intake_unreadable(w, c, answer->error);
        break;
    }
}

void hashing_result(struct watch *w, struct fingerprint *f)
{
    struct candidate *c = table_find_id(&w->table, f->path, f->id);
    bool wanted = c && c->phase == PHASE_HASHING;
    if (wanted && !f->done && fingerprint_has_begun(f)) {
        w->fingerprint = f;
        return;
    }
    if (!wanted || !f->done) { /* one that has not begun still stands in the queue */
        job_throw_away_fingerprint(w, f);
        return;
    }
    f->answer.duration_ms = c->duration_ms;
    end(w, c, &f->answer);
    w->callbacks.fingerprinted(w->ctx, &f->answer);
    fingerprint_free(f);
}
