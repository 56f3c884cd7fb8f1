/* The heads and the body of an answer as libcurl hands them over, line by line, and the times in
 * them: Retry-After and Date. */
#include <string.h>
#include <time.h>

#include "fuzz.h"
#include "uploader/client.h"
#include "uploader/retry_after.h"

enum { BODY_LIMIT = 100 };

/* A time that could be read is read again as it is written today. */
static void write_and_read(int64_t seconds)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm;
    time_t time = (time_t)seconds;
    char text[80];
    MUST(gmtime_r(&time, &tm) != NULL);
    if (tm.tm_year < -1900 || tm.tm_year > 9999 - 1900)
        return;
    snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday,
             months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    int64_t again = 0;
    MUST(http_date_read(text, &again) && again == seconds);
    MUST(retry_after_ms(text, seconds) == 0 && retry_after_ms(text, seconds - 5) == 5000);
}

static void read_times(const char *retry_after, const char *date)
{
    int64_t now = 1700000000, then = -7;
    if (http_date_read(date, &now))
        write_and_read(now);
    if (http_date_read(retry_after, &then))
        write_and_read(then);
    else
        MUST(then == -7);
    int64_t wait = retry_after_ms(retry_after, now);
    MUST(wait >= -1 && wait != INT64_MIN);
    MUST(wait <= 0 || wait >= 1000);
}

static void look_at_field(const char *field)
{
    size_t length = strnlen(field, TRANSFER_FIELD_SIZE);
    MUST(length < TRANSFER_FIELD_SIZE);
    MUST(strpbrk(field, "\n") == NULL);
}

/* One line to a call, in memory of its own. False: the transfer is over. */
static bool hand_line(struct transfer *transfer, struct fuzz_input *input)
{
    const uint8_t *end = memchr(input->data, '\n', input->n);
    size_t n = end != NULL ? (size_t)(end - input->data) + 1 : input->n, size;
    struct fuzz_input one = {input->data, n};
    char *line = fuzz_rest(&one, &size);
    bool taken = receive_head(line, 1, n, transfer) == n;
    free(line);
    input->data += n;
    input->n -= n;
    return taken;
}

static void hand_body(struct transfer *transfer, const struct fuzz_input *input)
{
    for (size_t at = 0, n; at < input->n; at += n) {
        n = input->n - at < 33 ? input->n - at : 33;
        MUST(receive_body((char *)(uintptr_t)(input->data + at), 1, n, transfer) == n);
    }
    size_t kept = input->n < BODY_LIMIT ? input->n : BODY_LIMIT;
    MUST(transfer->body_size == kept && transfer->body_seen == input->n);
    MUST(transfer->body_cut == (kept < input->n));
    if (kept > 0)
        MUST(memcmp(transfer->body, input->data, kept) == 0 && transfer->body[kept] == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct transfer transfer = {.body_limit = BODY_LIMIT};
    struct fuzz_input input = {data, n};
    bool going = true;
    while (going && input.n > 0 && (transfer.in_head || transfer.status == 0))
        going = hand_line(&transfer, &input);
    MUST(transfer.status == 0 || (transfer.status >= 200 && transfer.status <= 999));
    look_at_field(transfer.content_type);
    look_at_field(transfer.retry_after);
    look_at_field(transfer.date);
    if (going)
        hand_body(&transfer, &input);
    read_times(transfer.retry_after, transfer.date);
    free(transfer.body);
    /* and as if the whole input were the header's value */
    input = (struct fuzz_input){data, n};
    char *text = fuzz_text(&input);
    read_times(text, text);
    free(text);
    return 0;
}
