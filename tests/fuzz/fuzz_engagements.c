/* What Chorus shows of engagements and conversations; the targets asked for from what it said. */
#include <string.h>

#include "agent/chorus/engagements.h"
#include "fuzz.h"

/* May stand in a request line, and ends no part of it. */
static void look_at_target(const char *target)
{
    for (; *target != '\0'; target++)
        MUST(*target > 0x20 && *target < 0x7f && *target != '#');
}

static int digit(char c)
{
    return c >= 'A' ? c - 'A' + 10 : c - '0';
}

static void encode(const char *value)
{
    char *encoded = engagements_encode(value);
    const char *at = encoded;
    look_at_target(encoded);
    MUST(strpbrk(encoded, "&=?/,+") == NULL);
    for (; *value != '\0'; value++) {
        unsigned char byte = (unsigned char)*at++;
        if (byte == '%') {
            byte = (unsigned char)(digit(at[0]) << 4 | digit(at[1]));
            at += 2;
        }
        MUST(byte == (unsigned char)*value);
    }
    MUST(*at == '\0');
    free(encoded);
}

static void ask_by_id(const struct engagement_page *page)
{
    char *ids[ENGAGEMENTS_A_BATCH];
    size_t count = page->count < ENGAGEMENTS_A_BATCH ? page->count : ENGAGEMENTS_A_BATCH;
    for (size_t i = 0; i < count; i++) {
        ids[i] = page->rows[i].id;
        encode(ids[i]);
    }
    char *target = engagements_target_by_id(ids, count);
    look_at_target(target);
    free(target);
}

static void look_at_page(const struct engagement_page *page)
{
    int64_t latest = 0;
    for (size_t i = 0; i < page->count; i++) {
        const struct engagement *row = &page->rows[i];
        MUST(row->id != NULL && row->subject != NULL && row->user_email != NULL);
        MUST(row->date_time_ms >= 0);
        latest = row->date_time_ms > latest ? row->date_time_ms : latest;
        engagement_is_processed(row);
    }
    ask_by_id(page);
    char *target = engagements_target_by_time(0, latest, page->continuation_key);
    look_at_target(target);
    free(target);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input input = {data, n};
    char *body = fuzz_text(&input);
    struct engagement_page page;
    if (engagements_read(body, &page) == 0)
        look_at_page(&page);
    else
        MUST(page.count == 0 && page.continuation_key == NULL);
    engagements_clear(&page);
    char *meeting = conversation_meeting_id(body);
    MUST(meeting == NULL || *meeting != '\0');
    free(meeting);
    char *target = conversation_target(body);
    look_at_target(target);
    free(target);
    encode(body);
    free(body);
    return 0;
}
