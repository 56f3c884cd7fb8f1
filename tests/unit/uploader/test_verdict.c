#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "uploader/verdict.h"

enum { FLAGS = 7 };

static struct exchange exchange_of(int status, unsigned flags)
{
    return (struct exchange){
        .status = status,
        .request_left = flags & 1,
        .body_handed_out = flags & 2,
        .source_failed = flags & 4,
        .aborted = flags & 8,
        .answer_is_object = flags & 16,
        .answer_is_empty = flags & 32,
        .answer_says_failure = flags & 64,
    };
}

/* The rules again, in the words of the API page and of the argument, one after another. */
static const char *expected(const struct exchange *e)
{
    if (e->request_left || e->body_handed_out) {
        switch (e->status) {
        case 400:
        case 404:
        case 413:
        case 415:
        case 422:
            return "refused";
        case 401:
            return "token-refused";
        case 403:
            return "forbidden";
        case 409:
            return "known";
        case 429:
            return "busy";
        default:
            break;
        }
        if (e->status != 408 && e->status / 100 == 4)
            return "odd-refusal";
        if (e->status / 100 == 2 && !e->body_handed_out)
            return "uncertain";
        if (e->status / 100 == 2 && e->answer_is_object && e->answer_says_failure)
            return "refused";
        if (e->status / 100 == 2 && (e->answer_is_object || e->answer_is_empty))
            return "accepted";
    }
    if (e->body_handed_out)
        return "uncertain";
    if (e->source_failed)
        return "source-changed";
    if (e->aborted)
        return "aborted";
    return e->request_left ? "interrupted" : "unreachable";
}

static void every_cell(void **state)
{
    (void)state;
    for (int status = -1; status <= 1000; status++) {
        for (unsigned flags = 0; flags < 1U << FLAGS; flags++) {
            struct exchange e = exchange_of(status, flags);
            const char *is = verdict_name(verdict_judge(&e));
            if (strcmp(is, expected(&e)) != 0)
                fail_msg("status %d, flags %x: %s, not %s", status, flags, is, expected(&e));
        }
    }
}

/* What the whole program's promise hangs on, said without the table. */
static void promises(void **state)
{
    (void)state;
    for (int status = -1; status <= 1000; status++) {
        for (unsigned flags = 0; flags < 1U << FLAGS; flags++) {
            struct exchange e = exchange_of(status, flags);
            enum verdict is = verdict_judge(&e);
            int class = status / 100;
            if (is == VERDICT_ACCEPTED)
                assert_true(class == 2 && e.body_handed_out);
            /* handed out, and no 2xx or 4xx: nothing but doubt */
            if (e.body_handed_out && class != 2 && class != 4)
                assert_int_equal(is, VERDICT_UNCERTAIN);
            /* "it cannot have arrived" only where the end was withheld */
            if (is == VERDICT_INTERRUPTED || is == VERDICT_UNREACHABLE || is == VERDICT_ABORTED ||
                is == VERDICT_SOURCE_CHANGED)
                assert_false(e.body_handed_out);
        }
    }
}

static void names_are_distinct(void **state)
{
    (void)state;
    for (int a = VERDICT_ACCEPTED; a <= VERDICT_ABORTED; a++) {
        assert_non_null(verdict_name((enum verdict)a));
        for (int b = VERDICT_ACCEPTED; b < a; b++)
            assert_string_not_equal(verdict_name((enum verdict)a), verdict_name((enum verdict)b));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell),
        cmocka_unit_test(promises),
        cmocka_unit_test(names_are_distinct),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
