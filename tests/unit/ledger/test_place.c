/* Where a ledger may lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/ledger/place.h"

static void a_lineage_ends_at_the_root_or_where_room_ends(void **state)
{
    (void)state;
    struct root_identity folders[8];
    assert_int_equal(place_lineage("/usr/bin/..", folders, 8), 2); /* /usr and / */
    assert_int_equal(place_lineage("/usr", folders, 1), 1);
    assert_int_equal(place_lineage("/", folders, 8), 1);
    assert_int_equal(place_lineage("/nonesuch", folders, 8), 0);
}

static void a_network_is_known_by_its_number(void **state)
{
    (void)state;
    assert_string_equal(place_network(0x6969), "NFS");
    assert_string_equal(place_network(0x73757245), "Coda");
    assert_null(place_network(0xEF53)); /* ext4 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lineage_ends_at_the_root_or_where_room_ends),
        cmocka_unit_test(a_network_is_known_by_its_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
