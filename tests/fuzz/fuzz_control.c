/* Control files: read at once and in pieces of a length that the first byte gives. What is refused
 * is so in both cases, and what is good is the same. */
#include <string.h>

#include "agent/base/mem.h"
#include "agent/control/request.h"
#include "fuzz.h"

struct seen {
    uint64_t sum; /* of kinds and values, in order */
    size_t targets, bad;
    unsigned line;
};

static void add(struct seen *seen, const char *text)
{
    for (; *text != '\0'; text++)
        seen->sum = (seen->sum ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
}

static void look_at_value(const struct request_line *line)
{
    const char *value = line->value;
    size_t n = strlen(value);
    MUST(n > 0 && n <= 2 * (size_t)REQUEST_MOST_LINE && line->problem == NULL);
    if (line->kind == TARGET_PATH || line->kind == TARGET_GLOB)
        MUST(value[0] == '/');
    if (line->kind == TARGET_SHA256)
        MUST(n == 64 && strspn(value, "0123456789abcdef") == n);
    if (line->kind == TARGET_PHONE)
        MUST(n >= 7 && strspn(value, "0123456789") == n);
    if (line->kind == TARGET_ENGAGEMENT)
        MUST(n <= 127 && strcspn(value, ",/?&=%# \"") == n);
    if (line->kind == TARGET_FIELD)
        MUST(strchr(value, '=') != NULL && strchr(value, '=') > value);
}

static void each(void *ctx, const struct request_line *line)
{
    struct seen *seen = ctx;
    MUST(line->line > seen->line);
    seen->line = line->line;
    MUST(strlen(line->text) <= REQUEST_MOST_LINE && strchr(line->text, '\n') == NULL);
    MUST(line->text[0] != '@' && (line->text[0] != '#' || line->kind == TARGET_BAD));
    if (line->kind == TARGET_BAD) {
        seen->bad++;
        MUST(line->value == NULL && line->problem != NULL);
        return;
    }
    seen->targets++;
    look_at_value(line);
    add(seen, line->value);
}

static char *read_it(const uint8_t *data, size_t n, size_t piece, struct seen *seen)
{
    struct request_facts facts;
    struct request_reader *reader = request_reader_new(each, seen);
    for (size_t at = 0; at < n; at += piece)
        request_reader_feed(reader, data + at, n - at < piece ? n - at : piece);
    char *refusal = request_reader_end(reader, &facts);
    request_reader_free(reader);
    MUST(facts.targets == seen->targets && facts.bad == seen->bad);
    MUST(refusal != NULL || facts.targets + facts.bad > 0);
    MUST(refusal != NULL || facts.expect < 0 || facts.bad == 0);
    MUST(refusal == NULL || fuzz_is_showable(refusal));
    request_facts_clear(&facts);
    return refusal;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct seen whole = {0}, parts = {0};
    if (n == 0)
        return 0;
    char *refusal = read_it(data + 1, n - 1, n, &whole);
    char *again = read_it(data + 1, n - 1, 1 + data[0] % 61, &parts);
    MUST((refusal == NULL) == (again == NULL));
    MUST(refusal == NULL || strcmp(refusal, again) == 0);
    MUST(whole.sum == parts.sum && whole.targets == parts.targets && whole.bad == parts.bad);
    free(refusal);
    free(again);
    return 0;
}
