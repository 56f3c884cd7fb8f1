/* Where a ledger may lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/ledger/place.h"

/* --- what the linker puts in the place of the system's calls */

static uint32_t type_told;             /* 0: as it is */
static int looks_until_one_fails = -1; /* -1: none fails */

int __wrap_statfs(const char *path, struct statfs *fs);
int __real_statfs(const char *path, struct statfs *fs);
int __wrap_fstat(int fd, struct stat *st);
int __real_fstat(int fd, struct stat *st);

int __wrap_statfs(const char *path, struct statfs *fs)
{
    int error = __real_statfs(path, fs);
    if (type_told != 0)
        fs->f_type = type_told;
    return error;
}

int __wrap_fstat(int fd, struct stat *st)
{
    if (looks_until_one_fails >= 0 && looks_until_one_fails-- == 0)
        return -1;
    return __real_fstat(fd, st);
}

static void a_lineage_ends_at_the_root_or_where_room_ends(void **state)
{
    (void)state;
    struct root_identity folders[8];
    assert_int_equal(place_lineage("/usr/bin/..", folders, 8), 2); /* /usr and / */
    assert_int_equal(place_lineage("/usr", folders, 1), 1);
    assert_int_equal(place_lineage("/", folders, 8), 1);
    assert_int_equal(place_lineage("/nonesuch", folders, 8), 0);
}

static void a_lineage_goes_on_above_a_mount(void **state)
{
    (void)state;
    struct root_identity folders[8];
    assert_int_equal(place_lineage("/proc", folders, 8), 2);
    assert_true(folders[0].dev != folders[1].dev);
}

static void a_folder_that_cannot_be_looked_at_ends_the_lineage(void **state)
{
    (void)state;
    struct root_identity folders[8];
    looks_until_one_fails = 1;
    assert_int_equal(place_lineage("/usr/bin/..", folders, 8), 1);
    looks_until_one_fails = -1;
}

static void on_a_network_there_is_no_ledger(void **state)
{
    (void)state;
    type_told = 0x6969;
    char *problem = place_problem("/usr");
    type_told = 0;
    assert_non_null(strstr(problem, "/usr lies on NFS"));
    free(problem);
    assert_null(place_problem("/usr"));
}

/* A folder has as many names as it has folders in it; SQLite says that it is no file. */
static void names_are_counted_of_a_file_only(void **state)
{
    (void)state;
    char dir[] = "/tmp/chorus-place-XXXXXX", file[64], below[80];
    assert_non_null(mkdtemp(dir));
    snprintf(file, sizeof file, "%s/ledger.db", dir);
    snprintf(below, sizeof below, "%s/below", file);
    mkdir(file, 0700);
    mkdir(below, 0700);
    assert_null(place_problem(dir));
    rmdir(below);
    rmdir(file);
    rmdir(dir);
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
        cmocka_unit_test(a_lineage_goes_on_above_a_mount),
        cmocka_unit_test(a_folder_that_cannot_be_looked_at_ends_the_lineage),
        cmocka_unit_test(on_a_network_there_is_no_ledger),
        cmocka_unit_test(names_are_counted_of_a_file_only),
        cmocka_unit_test(a_network_is_known_by_its_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
