/* What a read leaves in the page cache: what was there before, and nothing else. */
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "watcher/reader.h"

enum { PAGE = 4096, PAGES = 400, SIZE = PAGES * PAGE - 1000, NOBODY = 65534 };

struct fixture {
    char path[64];
    int fd;
    void *map;
    unsigned char *bytes;
    bool there[PAGES];
};

static void look(struct fixture *f, bool there[PAGES])
{
    unsigned char pages[PAGES];
    assert_int_equal(mincore(f->map, SIZE, pages), 0);
    for (int i = 0; i < PAGES; i++) {
        there[i] = pages[i] & 1;
    }
}

static void drop_all(struct fixture *f)
{
    bool there[PAGES];
    assert_int_equal(fsync(f->fd), 0);
    posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
    look(f, there);
    for (int i = 0; i < PAGES; i++) {
        if (there[i]) {
            print_message("this file system does not let go of its pages\n");
            skip();
        }
    }
}

/* Somebody reads these pages, and no more. */
static void bring_in(struct fixture *f, int first, int count)
{
    unsigned char page[PAGE];
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    for (int i = first; i < first + count; i++) {
        assert_true(pread(fd, page, PAGE, (off_t)i * PAGE) > 0);
    }
    close(fd);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    strcpy(f->path, "/var/tmp/reader-XXXXXX");
    f->fd = mkstemp(f->path);
    assert_true(f->fd >= 0);
    f->bytes = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++) {
        f->bytes[i] = (unsigned char)(i * 31 + i / 509);
    }
    assert_int_equal(write(f->fd, f->bytes, SIZE), SIZE);
    f->map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, f->fd, 0);
    assert_true(f->map != MAP_FAILED);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    munmap(f->map, SIZE);
    close(f->fd);
    unlink(f->path);
    free(f->bytes);
    free(f);
    return 0;
}

/* Reads it whole, `n` bytes at a time, and compares. 0: as it should be. */
static int read_whole(const struct fixture *f, size_t n)
{
    struct reader reader;
    unsigned char *buffer = malloc(n);
    uint64_t at = 0;
    ssize_t got;
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        free(buffer);
        return 1;
    }
    reader_begin(&reader, fd, SIZE);
    while ((got = reader_read(&reader, buffer, n, at)) > 0) {
        if (memcmp(buffer, f->bytes + at, (size_t)got) != 0) {
            break;
        }
        at += (uint64_t)got;
    }
    reader_end(&reader);
    close(fd);
    free(buffer);
    return got != 0 || at != SIZE;
}

static void expect_unchanged(struct fixture *f, const bool before[PAGES])
{
    bool after[PAGES];
    look(f, after);
    for (int i = 0; i < PAGES; i++) {
        if (before[i] && !after[i]) {
            fail_msg("page %d was there, and is gone", i);
        } else if (!before[i] && after[i]) {
            fail_msg("page %d was not there, and stays", i);
        }
    }
}

static void what_was_not_there_does_not_stay(void **state)
{
    struct fixture *f = *state;
    bool before[PAGES];
    drop_all(f);
    look(f, before);
    assert_int_equal(read_whole(f, READER_BLOCK), 0);
    expect_unchanged(f, before);
}

static void what_was_there_stays(void **state)
{
    struct fixture *f = *state;
    bool before[PAGES];
    drop_all(f);
    bring_in(f, 0, PAGES);
    look(f, before);
    assert_true(before[0] && before[PAGES - 1]);
    assert_int_equal(read_whole(f, READER_BLOCK), 0);
    expect_unchanged(f, before);
}

/* Islands, at no boundary of a block, and reads that are none, either. */
static void page_by_page(void **state)
{
    struct fixture *f = *state;
    bool before[PAGES];
    const size_t sizes[] = {READER_BLOCK, 256 * 1024, 10000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        drop_all(f);
        bring_in(f, 3, 2);
        bring_in(f, 100, 57);
        bring_in(f, PAGES - 1, 1);
        look(f, before);
        assert_true(before[3] && !before[5] && before[156] && before[PAGES - 1]);
        assert_int_equal(read_whole(f, sizes[i]), 0);
        expect_unchanged(f, before);
    }
}

/* A file of another user that we may only read: the kernel says that every page is there. What
 * follows a hole stays with it, as far as a unit goes. */
static void without_the_right_to_ask(void **state)
{
    struct fixture *f = *state;
    bool before[PAGES];
    if (geteuid() != 0) {
        skip();
    }
    drop_all(f);
    bring_in(f, 0, READER_UNIT / PAGE);
    look(f, before);
    assert_int_equal(fchmod(f->fd, 0644), 0);
    pid_t child = fork();
    if (child == 0) {
        _exit(setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0 ||
              read_whole(f, READER_BLOCK) != 0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    for (int i = 0; i < READER_UNIT / PAGE; i++) {
        assert_true(before[i]);
    }
    expect_unchanged(f, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_not_there_does_not_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_there_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(page_by_page, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_the_right_to_ask, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
