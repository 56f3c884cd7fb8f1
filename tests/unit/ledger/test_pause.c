/* A pause that a person asked for: one at most, and it outlives the program. */
#include "tests/unit/ledger/ledger_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define in_a_room(test) cmocka_unit_test_setup_teardown(test, room_open, room_close)

static void expect(struct room *room, int64_t until_ms, const char *by)
{
    struct ledger_pause pause;
    assert_int_equal(ledger_get_pause(room->ledger, &pause), by != NULL);
    assert_int_equal(pause.until_ms, until_ms);
    assert_string_equal(pause.by, by != NULL ? by : "");
}

static void one_at_most_and_it_is_kept(void **state)
{
    struct room *room = *state;
    expect(room, 0, NULL);
    ledger_set_pause(room->ledger, &(struct ledger_pause){NOW, "ann"});
    commit(room);
    open_again(room);
    expect(room, NOW, "ann");
    ledger_set_pause(room->ledger, &(struct ledger_pause){LEDGER_PAUSE_OPEN, "bob!"});
    commit(room);
    expect(room, LEDGER_PAUSE_OPEN, "bob!");
    assert_int_equal(number(room, "SELECT count(*) FROM counter WHERE name LIKE 'paused%'"), 1);
    ledger_set_pause(room->ledger, NULL);
    commit(room);
    open_again(room);
    expect(room, 0, NULL);
}

static void whoever_asks_touches_no_other_counter(void **state)
{
    struct room *room = *state;
    int64_t others = number(room, "SELECT count(*) FROM counter");
    ledger_set_pause(room->ledger, &(struct ledger_pause){NOW, ""});
    commit(room);
    expect(room, NOW, "");
    ledger_set_pause(room->ledger, &(struct ledger_pause){NOW, "\xc3\xbc"});
    ledger_set_pause(room->ledger, NULL);
    commit(room);
    assert_int_equal(number(room, "SELECT count(*) FROM counter"), others);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_a_room(one_at_most_and_it_is_kept),
        in_a_room(whoever_asks_touches_no_other_counter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
