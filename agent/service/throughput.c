#include "agent/service/throughput.h"

enum { SPAN_MS = 60000, MARK_EVERY_MS = 1000 };

static const struct throughput_mark *mark(const struct throughput *throughput, size_t age)
{
    return &throughput->marks[(throughput->next + THROUGHPUT_MARKS - 1 - age) % THROUGHPUT_MARKS];
}

void throughput_note(struct throughput *throughput, int64_t now_ms, uint64_t bytes,
                     uint64_t recordings)
{
    if (throughput->count > 0 && now_ms - mark(throughput, 0)->at_ms < MARK_EVERY_MS)
        return;
    throughput->marks[throughput->next] = (struct throughput_mark){now_ms, bytes, recordings};
    throughput->next = (throughput->next + 1) % THROUGHPUT_MARKS;
    if (throughput->count < THROUGHPUT_MARKS)
        throughput->count++;
}

void throughput_of(const struct throughput *throughput, int64_t now_ms, double *bytes_per_s,
                   uint64_t *recordings)
{
    *bytes_per_s = 0;
    *recordings = 0;
    if (throughput->count == 0)
        return;
    const struct throughput_mark *last = mark(throughput, 0), *first = last;
    for (size_t age = 1; age < throughput->count; age++) {
        const struct throughput_mark *older = mark(throughput, age);
        if (now_ms - older->at_ms > SPAN_MS)
            break;
        first = older;
    }
    /* what has stood still since the last mark counts as well */
    double seconds = (double)(now_ms - first->at_ms) / 1000;
    if (seconds <= 0)
        return;
    *bytes_per_s = (double)(last->bytes - first->bytes) / seconds;
    *recordings = last->recordings - first->recordings;
}
