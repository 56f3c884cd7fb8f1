/* Which ids were met: in flat memory, the first ones for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "agent/commands/seen.h"

static bool add(struct seen *seen, int number)
{
    char id[32];
    snprintf(id, sizeof id, "engagement-%d", number);
    return seen_add(seen, id);
}

static void what_was_met_is_known(void **state)
{
    struct seen *seen = seen_new();
    (void)state;
    for (int i = 0; i < 200000; i++) {
        assert_true(add(seen, i));
        assert_false(add(seen, i));
        if (i >= 1000)
            assert_false(add(seen, i - 1000)); /* again on a later page */
    }
    for (int i = 0; i < 100; i++)
        assert_false(add(seen, i)); /* the first page: the list goes round */
    assert_true(add(seen, 1000));   /* long ago */
    seen_free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_was_met_is_known)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
