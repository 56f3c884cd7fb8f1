/*
 * Retiring: only the very file that was uploaded leaves its folder, whole, and whatever fails
 * meanwhile it is never lost. Real files; single system calls fail where a test says so.
 */
#include "watcher/retire.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/watcher/system_faults.h"
#include "watcher/digest.h"

#define in_folders(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

enum { SIZE = 300000 }; /* more than is read at once */

struct folders {
    char base[64], root[96], done[96];
    char bytes[SIZE];
    struct retirement what;
    char *moved_to;
    int error;
};

/* --- files */

static const char *in(const char *folder, const char *path)
{
    static char names[4][512];
    static unsigned turn;
    char *name = names[turn++ % 4];
    snprintf(name, sizeof names[0], "%s/%s", folder, path);
    return name;
}

static void put(const char *path, const void *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
}

static bool is_there(const char *path)
{
    return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void expect_content(const char *path, const void *bytes, size_t n)
{
    static char found[SIZE + 1];
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        print_error("%s is not there\n", path);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, found, sizeof found), n);
    close(fd);
    assert_memory_equal(found, bytes, n);
}

static int counted; /* by count_one */

static int count_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)path;
    (void)at;
    counted += kind == FTW_F && st->st_size == SIZE;
    return 0;
}

static int whole_ones(const struct folders *f)
{
    counted = 0;
    nftw(f->base, count_one, 16, FTW_PHYS);
    return counted;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

/* The recording is at `path` below the root, as the watcher fingerprinted it. */
static void record(struct folders *f, const char *path)
{
    struct stat st;
    put(in(f->root, path), f->bytes, SIZE);
    assert_int_equal(stat(in(f->root, path), &st), 0);
    file_identity_of(&st, &f->what.identity);
    f->what.path = path;
}

static int set_up(void **state)
{
    struct folders *f = calloc(1, sizeof *f);
    strcpy(f->base, "/tmp/chorus-retire-XXXXXX");
    assert_non_null(mkdtemp(f->base));
    snprintf(f->root, sizeof f->root, "%s/calls", f->base);
    snprintf(f->done, sizeof f->done, "%s/done", f->base);
    mkdir(f->root, 0700);
    mkdir(in(f->root, "monday"), 0700);
    mkdir(f->done, 0700);
    for (size_t i = 0; i < SIZE; i++)
        f->bytes[i] = (char)(i * 7 + i / 251);
    assert_int_equal(digest_of(f->bytes, SIZE, f->what.sha256), 0);
    f->what.root = f->root;
    f->what.move_to = f->done;
    record(f, "monday/a.wav");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct folders *f = *state;
    system_fails(0, 0);
    system_call_fails(NULL, NULL, 0);
    system_other_disk(NULL);
    nftw(f->base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f->moved_to);
    free(f);
    return 0;
}

static enum retire_result retire(struct folders *f)
{
    free(f->moved_to);
    return retire_file(&f->what, &f->moved_to, &f->error);
}

/* --- moved, deleted */

static void moved_it_keeps_its_path_below_the_root(void **state)
{
    struct folders *f = *state;
    assert_int_equal(retire(f), RETIRE_DONE);
    assert_string_equal(f->moved_to, in(f->done, "monday/a.wav"));
    expect_content(f->moved_to, f->bytes, SIZE);
    assert_false(is_there(in(f->root, "monday/a.wav")));
    assert_false(is_there(in(f->root, ".chorus-agent")));
    record(f, "top.wav"); /* and into a folder that is there */
    assert_int_equal(retire(f), RETIRE_DONE);
    assert_string_equal(f->moved_to, in(f->done, "top.wav"));
    record(f, "monday/b.wav");
    assert_int_equal(retire(f), RETIRE_DONE);
    expect_content(in(f->done, "monday/b.wav"), f->bytes, SIZE);
}

static void deleted_it_is_gone(void **state)
{
    struct folders *f = *state;
    f->what.move_to = NULL;
    assert_int_equal(retire_file(&f->what, NULL, &f->error), RETIRE_DONE);
    assert_false(is_there(in(f->root, "monday/a.wav")));
    assert_false(is_there(in(f->root, ".chorus-agent")));
    assert_int_equal(retire_file(&f->what, NULL, &f->error), RETIRE_GONE);
}

static void nothing_is_overwritten(void **state)
{
    static const char *const names[][2] = {
        {"a.wav", "a-3.wav"}, {".hidden", ".hidden-3"}, {"plain", "plain-3"}};
    struct folders *f = *state;
    for (size_t i = 0; i < 3; i++) {
        char second[64];
        const char *three = names[i][1];
        strcpy(second, three);
        *strrchr(second, '3') = '2';
        put(in(f->done, names[i][0]), "first", 5);
        put(in(f->done, second), "second", 6);
        record(f, names[i][0]);
        assert_int_equal(retire(f), RETIRE_DONE);
        assert_string_equal(f->moved_to, in(f->done, three));
        expect_content(in(f->done, names[i][0]), "first", 5);
        expect_content(in(f->done, second), "second", 6);
    }
}

/* A folder of ten thousand namesakes: told, and not searched for ever. */
static void where_every_name_is_taken_it_stays(void **state)
{
    struct folders *f = *state;
    system_call_fails("renameat2", "/done", EEXIST);
    assert_int_equal(retire(f), RETIRE_FAILED);
    assert_int_equal(f->error, EEXIST);
    expect_content(in(f->root, "monday/a.wav"), f->bytes, SIZE);
}

/* --- only what was uploaded */

static void another_file_is_left_alone(void **state)
{
    struct folders *f = *state;
    put(in(f->root, "monday/new"), f->bytes, SIZE);
    rename(in(f->root, "monday/new"), in(f->root, "monday/a.wav"));
    assert_int_equal(retire(f), RETIRE_NOT_SAME);
    expect_content(in(f->root, "monday/a.wav"), f->bytes, SIZE);
    unlink(in(f->root, "monday/a.wav"));
    assert_int_equal(symlink("/etc/hostname", in(f->root, "monday/a.wav")), 0);
    assert_int_equal(retire(f), RETIRE_NOT_SAME);
    assert_true(is_there(in(f->root, "monday/a.wav")));
}

/* A write through a mapping, or a clock put back: only the bytes tell. */
static void other_bytes_under_the_same_stamps_are_left_alone(void **state)
{
    struct folders *f = *state;
    struct stat st;
    const char *path = in(f->root, "monday/a.wav");
    stat(path, &st);
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    f->bytes[SIZE - 1] ^= 1;
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, f->bytes, SIZE, 0), SIZE);
    futimens(fd, times);
    close(fd);
    assert_int_equal(retire(f), RETIRE_NOT_SAME);
    expect_content(path, f->bytes, SIZE);
    assert_false(is_there(in(f->root, ".chorus-agent")));
}

static void what_somebody_writes_to_waits(void **state)
{
    struct folders *f = *state;
    int fd = open(in(f->root, "monday/a.wav"), O_WRONLY);
    assert_int_equal(retire(f), RETIRE_IN_USE);
    expect_content(in(f->root, "monday/a.wav"), f->bytes, SIZE);
    close(fd);
    system_call_fails("fcntl", NULL, EACCES); /* another one's file: no lease, and no word of it */
    assert_int_equal(retire(f), RETIRE_DONE);
}

static void what_another_program_has_leased_waits(void **state)
{
    struct folders *f = *state;
    system_call_fails("openat", "/.chorus-agent", EAGAIN);
    assert_int_equal(retire(f), RETIRE_IN_USE);
    expect_content(in(f->root, "monday/a.wav"), f->bytes, SIZE);
}

static void what_somebody_took_is_gone(void **state)
{
    struct folders *f = *state;
    unlink(in(f->root, "monday/a.wav"));
    assert_int_equal(retire(f), RETIRE_GONE);
    rmdir(in(f->root, "monday"));
    assert_int_equal(retire(f), RETIRE_GONE);
    system_call_fails("mkdirat", NULL, ENOENT); /* the root itself has left */
    assert_int_equal(retire(f), RETIRE_GONE);
    assert_false(is_there(in(f->root, ".chorus-agent")));
}

/* --- cut off */

/* As a crash leaves it: in the private folder, under the name that every try has for it. */
static const char *private_name(const struct folders *f)
{
    static char name[64];
    const uint8_t *s = f->what.sha256;
    snprintf(name, sizeof name, ".chorus-agent/%02x%02x%02x%02x%02x%02x%02x%02x-%llu", s[0], s[1],
             s[2], s[3], s[4], s[5], s[6], s[7], (unsigned long long)f->what.identity.ino);
    return name;
}

static void cut_off(struct folders *f)
{
    mkdir(in(f->root, ".chorus-agent"), 0700);
    assert_int_equal(rename(in(f->root, f->what.path), in(f->root, private_name(f))), 0);
}

static void a_try_after_a_crash_goes_on_from_there(void **state)
{
    struct folders *f = *state;
    cut_off(f);
    put(in(f->root, "monday/a.wav"), "a new call", 10); /* has its name by now */
    assert_int_equal(retire(f), RETIRE_DONE);
    expect_content(in(f->done, "monday/a.wav"), f->bytes, SIZE);
    expect_content(in(f->root, "monday/a.wav"), "a new call", 10);
}

static void a_try_after_a_crash_does_not_need_the_folder_it_came_from(void **state)
{
    struct folders *f = *state;
    cut_off(f);
    rmdir(in(f->root, "monday"));
    assert_int_equal(retire(f), RETIRE_DONE);
    expect_content(in(f->done, "monday/a.wav"), f->bytes, SIZE);
}

static void put_back_it_takes_no_others_name(void **state)
{
    struct folders *f = *state;
    cut_off(f);
    put(in(f->root, "monday/a.wav"), "a new call", 10);
    f->what.move_to = "/nonexistent";
    assert_int_equal(retire(f), RETIRE_FAILED);
    assert_int_equal(f->error, ENOENT);
    expect_content(in(f->root, "monday/a.wav"), "a new call", 10);
    expect_content(in(f->root, "monday/a-2.wav"), f->bytes, SIZE);
}

/* Its writer went on after the crash, through a descriptor that it still had. */
static void what_has_changed_in_the_private_folder_is_put_back_or_stays(void **state)
{
    struct folders *f = *state;
    int fd = open(in(f->root, "monday/a.wav"), O_WRONLY | O_APPEND);
    cut_off(f);
    assert_int_equal(write(fd, "more", 4), 4);
    close(fd);
    assert_int_equal(retire(f), RETIRE_NOT_SAME);
    assert_true(is_there(in(f->root, "monday/a.wav")));
    assert_false(is_there(in(f->root, ".chorus-agent")));
    cut_off(f);
    rmdir(in(f->root, "monday"));
    assert_int_equal(retire(f), RETIRE_NOT_SAME);
    assert_true(is_there(in(f->root, ".chorus-agent")));
}

/* --- told */

static void what_stands_in_its_way_is_told(void **state)
{
    struct folders *f = *state;
    put(in(f->done, "monday"), "a file", 6);
    assert_int_equal(retire(f), RETIRE_FAILED);
    assert_int_equal(f->error, ENOTDIR);
    unlink(in(f->done, "monday"));
    assert_int_equal(symlink(f->base, in(f->done, "monday")), 0); /* leads elsewhere */
    assert_int_equal(retire(f), RETIRE_FAILED);
    assert_int_equal(f->error, ENOTDIR);
    expect_content(in(f->root, "monday/a.wav"), f->bytes, SIZE);
    assert_false(is_there(in(f->base, "a.wav")));
}

/* This, and not what it leads to, is what an administrator has to mend. */
static void that_the_place_is_read_only_is_told(void **state)
{
    struct folders *f = *state;
    system_call_fails("mkdirat", "/done", EROFS);
    assert_int_equal(retire(f), RETIRE_FAILED);
    assert_int_equal(f->error, EROFS);
    system_call_fails("mkdirat", "/calls", EROFS);
    assert_int_equal(retire(f), RETIRE_FAILED);
    assert_int_equal(f->error, EROFS);
    expect_content(in(f->root, "monday/a.wav"), f->bytes, SIZE);
}

static void a_folder_that_cannot_be_entered_is_told(void **state)
{
    struct folders *f = *state;
    assert_int_equal(symlink("monday", in(f->root, "link")), 0);
    f->what.path = "link/a.wav";
    assert_int_equal(retire(f), RETIRE_FAILED);
    assert_int_equal(f->error, ELOOP);
    f->what.path = "monday/a.wav";
    f->what.root = "/nonexistent";
    assert_int_equal(retire(f), RETIRE_FAILED);
    assert_int_equal(f->error, ENOENT);
    f->what.root = f->root;
    assert_int_equal(symlink(f->done, in(f->root, ".chorus-agent")), 0);
    assert_int_equal(retire(f), RETIRE_FAILED);
    assert_true(f->error == ELOOP || f->error == ENOTDIR);
    assert_false(is_there(in(f->done, "monday")));
}

/* --- another file system */

static void on_another_disk_it_is_copied_with_its_looks(void **state)
{
    struct folders *f = *state;
    struct stat before, after;
    stat(in(f->root, "monday/a.wav"), &before);
    system_other_disk("/done");
    put(in(f->done, "x"), "", 0);
    assert_int_equal(retire(f), RETIRE_DONE);
    expect_content(in(f->done, "monday/a.wav"), f->bytes, SIZE);
    stat(in(f->done, "monday/a.wav"), &after);
    assert_int_equal(after.st_mode, before.st_mode);
    assert_int_equal(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
    assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    assert_false(is_there(in(f->root, "monday/a.wav")));
    assert_false(is_there(in(f->root, ".chorus-agent")));
}

/* --- on NFS */

/* Its kernel renames, or overwrites nothing; not both. */
static void on_nfs_nothing_is_overwritten_either(void **state)
{
    struct folders *f = *state;
    system_call_fails("renameat2", NULL, EINVAL);
    put(in(f->done, "a.wav"), "first", 5);
    record(f, "a.wav");
    assert_int_equal(retire(f), RETIRE_DONE);
    assert_string_equal(f->moved_to, in(f->done, "a-2.wav"));
    expect_content(in(f->done, "a.wav"), "first", 5);
    expect_content(in(f->done, "a-2.wav"), f->bytes, SIZE);
    assert_false(is_there(in(f->root, "a.wav")));
    assert_false(is_there(in(f->root, ".chorus-agent")));
}

/* --- what goes along */

static void what_stands_beside_it_goes_along(void **state)
{
    static const char *const disks[] = {NULL, "/done"};
    struct folders *f = *state;
    for (size_t i = 0; i < 2; i++) {
        system_other_disk(disks[i]);
        record(f, "monday/a.wav");
        put(in(f->root, "monday/a.json"), "{}", 2);
        f->what.beside = "monday/a.json";
        assert_int_equal(retire(f), RETIRE_DONE);
        expect_content(in(f->done, i == 0 ? "monday/a.json" : "monday/a-2.json"), "{}", 2);
        assert_false(is_there(in(f->root, "monday/a.json")));
    }
}

/* Moved by an earlier try that was cut off, or never there; or no file at all. */
static void nothing_to_take_along_is_no_hindrance(void **state)
{
    static const char *const none[] = {"monday/none.json", "tuesday/none.json", "monday/link.json"};
    struct folders *f = *state;
    assert_int_equal(symlink("/etc/hostname", in(f->root, "monday/link.json")), 0);
    for (size_t i = 0; i < 3; i++) {
        record(f, "monday/a.wav");
        f->what.beside = none[i];
        assert_int_equal(retire(f), RETIRE_DONE);
        assert_int_equal(f->error, 0);
    }
    assert_true(is_there(in(f->root, "monday/link.json")));
}

static void what_cannot_go_along_keeps_it_there(void **state)
{
    static const struct {
        const char *call, *where;
        int error;
    } faults[] = {{"openat", "/done", EACCES},    /* its place */
                  {"mkdirat", "/done", EROFS},    /* likewise */
                  {"renameat2", "/done", ENOSPC}, /* itself */
                  {"fstatat", "/tuesday", EIO}};
    struct folders *f = *state;
    mkdir(in(f->root, "tuesday"), 0700);
    put(in(f->root, "tuesday/a.json"), "{}", 2);
    f->what.beside = "tuesday/a.json";
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        system_call_fails(faults[i].call, faults[i].where, faults[i].error);
        assert_int_equal(retire(f), RETIRE_BESIDE_FAILED);
        assert_int_equal(f->error, faults[i].error);
        system_call_fails(NULL, NULL, 0);
        expect_content(in(f->root, "monday/a.wav"), f->bytes, SIZE);
        expect_content(in(f->root, "tuesday/a.json"), "{}", 2);
    }
    assert_int_equal(symlink("tuesday", in(f->root, "link")), 0);
    f->what.beside = "link/a.json";
    assert_int_equal(retire(f), RETIRE_BESIDE_FAILED);
    assert_int_equal(f->error, ELOOP);
}

static void what_stands_beside_it_is_never_deleted(void **state)
{
    struct folders *f = *state;
    put(in(f->root, "monday/a.json"), "{}", 2);
    f->what.beside = "monday/a.json";
    f->what.move_to = NULL;
    assert_int_equal(retire_file(&f->what, NULL, &f->error), RETIRE_DONE);
    assert_true(is_there(in(f->root, "monday/a.json")));
}

/* --- whatever fails */

static void begin_anew(struct folders *f)
{
    nftw(f->done, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    nftw(f->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    mkdir(f->root, 0700);
    mkdir(in(f->root, "monday"), 0700);
    mkdir(f->done, 0700);
    record(f, "monday/a.wav");
    put(in(f->root, "monday/a.json"), "{}", 2);
}

/* What bears the name of a recording is a whole one. */
static void expect_no_halves(struct folders *f)
{
    static const char *const names[] = {"monday/a.wav", "monday/a-2.wav"};
    for (size_t i = 0; i < 2; i++) {
        if (is_there(in(f->done, names[i])))
            expect_content(in(f->done, names[i]), f->bytes, SIZE);
        if (is_there(in(f->root, names[i])))
            expect_content(in(f->root, names[i]), f->bytes, SIZE);
    }
}

/* A deletion on request may run below the same root at the same time. */
static void a_private_folder_that_another_takes_away_is_made_anew(void **state)
{
    static const char *const calls[] = {"mkdirat", "renameat"};
    struct folders *f = *state;
    for (size_t i = 0; i < 2; i++) {
        enum retire_result result = RETIRE_GONE;
        system_fails(0, 0);
        for (long n = 1; strcmp(system_failed(), calls[i]) != 0; n++) {
            begin_anew(f);
            system_fails(n, ENOENT);
            result = retire(f);
        }
        assert_int_equal(result, RETIRE_DONE);
        expect_content(in(f->done, "monday/a.wav"), f->bytes, SIZE);
        begin_anew(f);
        system_call_fails(calls[i], "/calls", ENOENT); /* again and again: later */
        assert_int_equal(retire(f), RETIRE_IN_USE);
        system_call_fails(NULL, NULL, 0);
        expect_content(in(f->root, "monday/a.wav"), f->bytes, SIZE);
    }
}

static void whatever_fails(struct folders *f, int error)
{
    long n = 0;
    do {
        begin_anew(f);
        system_fails(++n, error);
        enum retire_result result = retire(f);
        bool failed = system_failed()[0] != '\0';
        system_fails(0, 0);
        bool as_told =
            result == RETIRE_DONE || result == RETIRE_FAILED || result == RETIRE_BESIDE_FAILED;
        bool lost = whole_ones(f) == 0 && (result != RETIRE_DONE || f->what.move_to != NULL);
        if (!as_told || lost)
            print_error("call %ld fails: result %d, and %s\n", n, (int)result,
                        lost ? "it is lost" : "it is not lost");
        assert_true(as_told && !lost);
        assert_true(result == RETIRE_DONE || f->error != 0);
        expect_no_halves(f);
        /* and as soon as nothing fails any more */
        if (result != RETIRE_DONE)
            assert_int_equal(retire(f), RETIRE_DONE);
        assert_false(is_there(in(f->root, "monday/a.wav")));
        expect_no_halves(f);
        assert_int_equal(whole_ones(f) > 0, f->what.move_to != NULL);
        assert_int_equal(is_there(in(f->root, "monday/a.json")), f->what.move_to == NULL);
        if (!failed)
            break;
    } while (n < 1000);
    assert_in_range(n, 15, 999);
}

static void whatever_fails_while_it_is_moved_it_is_not_lost(void **state)
{
    struct folders *f = *state;
    f->what.beside = "monday/a.json";
    whatever_fails(f, EIO);
    whatever_fails(f, ENOSPC);
}

static void whatever_fails_while_it_is_copied_it_is_not_lost(void **state)
{
    struct folders *f = *state;
    f->what.beside = "monday/a.json";
    system_other_disk("/done");
    whatever_fails(f, EIO);
    whatever_fails(f, ENOSPC);
}

static void whatever_fails_on_nfs_it_is_not_lost(void **state)
{
    struct folders *f = *state;
    f->what.beside = "monday/a.json";
    system_call_fails("renameat2", NULL, EINVAL);
    whatever_fails(f, EIO);
    system_other_disk("/done");
    whatever_fails(f, EIO);
}

static void whatever_fails_while_it_is_deleted_it_is_deleted_or_there(void **state)
{
    struct folders *f = *state;
    f->what.move_to = NULL;
    whatever_fails(f, EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_folders(moved_it_keeps_its_path_below_the_root),
        in_folders(deleted_it_is_gone),
        in_folders(nothing_is_overwritten),
        in_folders(where_every_name_is_taken_it_stays),
        in_folders(another_file_is_left_alone),
        in_folders(other_bytes_under_the_same_stamps_are_left_alone),
        in_folders(what_somebody_writes_to_waits),
        in_folders(what_another_program_has_leased_waits),
        in_folders(what_somebody_took_is_gone),
        in_folders(a_try_after_a_crash_goes_on_from_there),
        in_folders(a_try_after_a_crash_does_not_need_the_folder_it_came_from),
        in_folders(put_back_it_takes_no_others_name),
        in_folders(what_stands_in_its_way_is_told),
        in_folders(that_the_place_is_read_only_is_told),
        in_folders(a_folder_that_cannot_be_entered_is_told),
        in_folders(on_another_disk_it_is_copied_with_its_looks),
        in_folders(on_nfs_nothing_is_overwritten_either),
        in_folders(whatever_fails_on_nfs_it_is_not_lost),
        in_folders(what_stands_beside_it_goes_along),
        in_folders(nothing_to_take_along_is_no_hindrance),
        in_folders(what_cannot_go_along_keeps_it_there),
        in_folders(what_stands_beside_it_is_never_deleted),
        in_folders(what_has_changed_in_the_private_folder_is_put_back_or_stays),
        in_folders(a_private_folder_that_another_takes_away_is_made_anew),
        in_folders(whatever_fails_while_it_is_moved_it_is_not_lost),
        in_folders(whatever_fails_while_it_is_copied_it_is_not_lost),
        in_folders(whatever_fails_while_it_is_deleted_it_is_deleted_or_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
