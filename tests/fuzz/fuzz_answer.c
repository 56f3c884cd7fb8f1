/* An answer to an upload: the first line is a token that must never be shown, the second the
 * Content-Type, the rest the body. */
#include <string.h>

#include "fuzz.h"
#include "uploader/answer.h"

static void look_at_line(const struct line *line)
{
    MUST(line->used < LINE_SIZE && strlen(line->text) == line->used);
    MUST(fuzz_is_showable(line->text));
}

static void hide(struct line *line, const char *secret)
{
    line_hide(line, secret);
    MUST(line->used < LINE_SIZE && strlen(line->text) == line->used);
    /* The mask itself, and the mark of a cut, are no secrets. */
    if (strlen(secret) < LINE_SECRET_MIN || strpbrk(secret, "*.") != NULL)
        return;
    MUST(strstr(line->text, secret) == NULL);
    size_t cut = line->full ? line->used - 3 : 0;
    MUST(cut < LINE_SECRET_MIN || memcmp(line->text + cut - LINE_SECRET_MIN, secret, 3) != 0 ||
         strlen(secret) < LINE_SECRET_MIN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const fields[] = {"engagement_id", "id", "data.id", "callid"};
    struct fuzz_input input = {data, n};
    char *secret = fuzz_line(&input), *type = fuzz_line(&input);
    size_t size;
    char *body = fuzz_rest(&input, &size);
    struct answer answer;
    answer_read(body, size, type, fields, sizeof fields / sizeof fields[0], &answer);
    for (const char *at = answer.id; *at != '\0'; at++)
        MUST(*at > 0x20 && *at < 0x7f);
    MUST(strlen(answer.id) < ANSWER_ID_SIZE);
    MUST(!answer.is_object || !answer.is_empty);
    MUST(answer.is_object || (answer.id[0] == '\0' && !answer.says_failure));
    look_at_line(&answer.said);
    hide(&answer.said, secret);
    free(secret);
    free(type);
    free(body);
    return 0;
}
