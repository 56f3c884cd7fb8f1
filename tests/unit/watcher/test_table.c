/* The files in work: found by path and by due time, through growth and removal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "watcher/table.h"

enum { MANY = 5000 };

static void found_by_path_and_id(void **state)
{
    (void)state;
    struct table table;
    char path[32];
    table_init(&table);
    assert_null(table_find(&table, "x"));
    for (int i = 0; i < MANY; i++) {
        snprintf(path, sizeof path, "d/%d.wav", i);
        assert_non_null(table_add(&table, path));
    }
    for (int i = 0; i < MANY; i += 2) {
        snprintf(path, sizeof path, "d/%d.wav", i);
        struct candidate *c = table_find(&table, path);
        uint64_t id = c->id;
        table_detach(&table, c);
        free(c);
        assert_null(table_find_id(&table, path, id));
        c = table_add(&table, path);
        assert_null(table_find_id(&table, path, id)); /* another one of the same name */
        assert_ptr_equal(table_find_id(&table, path, c->id), c);
    }
    assert_int_equal(table.count, MANY);
    table_deinit(&table);
}

static void comes_out_in_the_order_of_due_times(void **state)
{
    (void)state;
    struct table table;
    char path[32];
    unsigned random = 1;
    table_init(&table);
    for (int i = 0; i < MANY; i++) {
        snprintf(path, sizeof path, "%d", i);
        struct candidate *c = table_add(&table, path);
        random = random * 1103515245u + 12345u;
        table_due(&table, c, random % 1000);
        if (i % 3 == 0) {
            table_due(&table, c, random % 777); /* moved */
        }
        if (i % 7 == 0) {
            table_not_due(&table, c);
        }
    }
    int64_t last = -1;
    size_t seen = 0;
    for (struct candidate *c; (c = table_first_due(&table)); seen++) {
        assert_true(c->due_ns >= last);
        last = c->due_ns;
        table_not_due(&table, c);
    }
    assert_int_equal(seen, MANY - (MANY + 6) / 7);
    table_deinit(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_by_path_and_id),
        cmocka_unit_test(comes_out_in_the_order_of_due_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
