/* The bytes that are sent are the bytes that were fingerprinted, or none are vouched for. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "watcher/digest.h"
#include "watcher/file_body.h"

enum { SIZE = 100000 };

struct fixture {
    char root[64], path[128];
    unsigned char bytes[SIZE];
    struct file_identity identity;
    struct root_identity found;
    uint8_t sha256[32];
    struct file_body *body;
    size_t at;
};

static void write_all(const char *path, const void *bytes, size_t n, int flags)
{
    int fd = open(path, O_WRONLY | flags, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct stat st;
    strcpy(f->root, "/tmp/body-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    snprintf(f->path, sizeof f->path, "%s/call.wav", f->root);
    for (size_t i = 0; i < SIZE; i++) {
        f->bytes[i] = (unsigned char)(i * 7 + i / 251);
    }
    write_all(f->path, f->bytes, SIZE, O_CREAT);
    assert_int_equal(stat(f->path, &st), 0);
    file_identity_of(&st, &f->identity);
    assert_int_equal(digest_of(f->bytes, SIZE, f->sha256), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char other[128];
    file_body_close(f->body);
    unlink(f->path);
    snprintf(other, sizeof other, "%s/other.wav", f->root);
    unlink(other);
    rmdir(f->root);
    free(f);
    return 0;
}

static int begin(struct fixture *f)
{
    f->at = 0;
    return file_body_open(f->root, "call.wav", &f->identity, f->sha256, &f->found, &f->body);
}

/* Reads up to `end`: 0, or the error met. */
static ssize_t read_to(struct fixture *f, size_t end)
{
    unsigned char buffer[16384];
    while (f->at < end) {
        size_t n = end - f->at < sizeof buffer ? end - f->at : sizeof buffer;
        ssize_t got = file_body_read(f->body, buffer, n);
        if (got <= 0) {
            return got < 0 ? got : -EPIPE;
        }
        f->at += (size_t)got;
    }
    return 0;
}

static void an_unchanged_file_is_vouched_for(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(begin(f), 0);
    assert_int_equal(read_to(f, 100), 0);
    assert_int_equal(file_body_verify(f->body), -ESTALE); /* not all of it was read */
    file_body_close(f->body);
    assert_int_equal(begin(f), 0);
    assert_int_equal(read_to(f, 100), 0);
    assert_int_equal(read_to(f, SIZE), 0);
    unsigned char rest[1];
    assert_int_equal(file_body_read(f->body, rest, 1), 0);
    assert_int_equal(file_body_verify(f->body), 0);
}

static void another_version_is_not_opened(void **state)
{
    struct fixture *f = *state;
    struct file_identity other = f->identity;
    f->identity.mtime_ns++;
    assert_int_equal(begin(f), -ESTALE);
    f->identity = other;
    f->identity.ino++;
    assert_int_equal(begin(f), -ESTALE);
    f->identity = other;
    write_all(f->path, "x", 1, O_APPEND);
    assert_int_equal(begin(f), -ESTALE);
    unlink(f->path);
    assert_int_equal(begin(f), -ENOENT);
    assert_int_equal(mkfifo(f->path, 0600), 0);
    assert_int_equal(begin(f), -ESTALE);
    unlink(f->path);
    assert_int_equal(symlink("/etc/passwd", f->path), 0);
    assert_int_equal(begin(f), -ESTALE);
}

static void an_append_while_sending_is_found(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(begin(f), 0);
    assert_int_equal(read_to(f, 16384), 0);
    write_all(f->path, "more", 4, O_APPEND);
    assert_int_equal(read_to(f, SIZE), -ESTALE);
}

static void a_truncation_while_sending_is_found(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(begin(f), 0);
    assert_int_equal(read_to(f, 16384), 0);
    assert_int_equal(truncate(f->path, 20000), 0);
    assert_int_equal(read_to(f, SIZE), -ESTALE);
}

static void a_change_after_the_last_read_is_found(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(begin(f), 0);
    assert_int_equal(read_to(f, 100), 0);
    assert_int_equal(read_to(f, SIZE), 0);
    write_all(f->path, "x", 1, O_APPEND);
    assert_int_equal(file_body_verify(f->body), -ESTALE);
}

/* A mapped page that is dirty already changes without any time stamp: only the bytes tell. */
static void a_mapped_write_while_sending_is_found(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    int fd = open(f->path, O_RDWR);
    unsigned char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(map != MAP_FAILED);
    map[SIZE - 1] = f->bytes[SIZE - 1]; /* the stamp of the first touch */
    assert_int_equal(fstat(fd, &st), 0);
    file_identity_of(&st, &f->identity);
    close(fd);
    assert_int_equal(begin(f), 0);
    assert_int_equal(read_to(f, 16384), 0);
    map[SIZE - 1] ^= 1;
    assert_int_equal(stat(f->path, &st), 0);
    struct file_identity now;
    file_identity_of(&st, &now);
    ssize_t result = read_to(f, SIZE);
    if (file_identity_equal(&now, &f->identity)) { /* else the stamp told already */
        assert_int_equal(result, 0);
        result = file_body_verify(f->body);
    }
    assert_int_equal(result, -ESTALE);
    munmap(map, SIZE);
}

static void wrong_bytes_under_the_right_identity_are_found(void **state)
{
    struct fixture *f = *state;
    f->sha256[31] ^= 1;
    assert_int_equal(begin(f), 0);
    assert_int_equal(read_to(f, 100), 0);
    assert_int_equal(read_to(f, SIZE), 0);
    assert_int_equal(file_body_verify(f->body), -ESTALE);
}

/* Crons move and delete while we send: the bytes are still there. */
static void a_rename_and_an_unlink_do_not_disturb(void **state)
{
    struct fixture *f = *state;
    char other[128];
    snprintf(other, sizeof other, "%s/other.wav", f->root);
    assert_int_equal(begin(f), 0);
    assert_int_equal(read_to(f, 100), 0);
    assert_int_equal(rename(f->path, other), 0);
    assert_int_equal(read_to(f, 50000), 0);
    assert_int_equal(unlink(other), 0);
    assert_int_equal(read_to(f, SIZE), 0);
    assert_int_equal(file_body_verify(f->body), 0);
}

static void sha256_of_known_bytes(void **state)
{
    (void)state;
    uint8_t sha256[32];
    static const uint8_t abc[4] = {0xba, 0x78, 0x16, 0xbf};
    assert_int_equal(digest_of("abc", 3, sha256), 0);
    assert_memory_equal(sha256, abc, 4);
}

static void stamps_beyond_nanoseconds_saturate(void **state)
{
    (void)state;
    struct stat st;
    struct file_identity identity;
    memset(&st, 0, sizeof st);
    st.st_mtim.tv_sec = INT64_C(9999999999999);
    st.st_ctim.tv_sec = -INT64_C(9999999999999);
    file_identity_of(&st, &identity);
    assert_true(identity.mtime_ns == INT64_MAX);
    assert_true(identity.ctime_ns == INT64_MIN);
}

static void each_part_of_an_identity_counts(void **state)
{
    (void)state;
    const struct file_identity one = {1, 2, 3, 4, 5};
    struct file_identity other = one;
    assert_true(file_identity_equal(&one, &other));
    other.dev++;
    assert_false(file_identity_equal(&one, &other));
    other = one;
    other.ino++;
    assert_false(file_identity_equal(&one, &other));
    other = one;
    other.size++;
    assert_false(file_identity_equal(&one, &other));
    other = one;
    other.mtime_ns++;
    assert_false(file_identity_equal(&one, &other));
    other = one;
    other.ctime_ns++;
    assert_false(file_identity_equal(&one, &other));
}

#define body_test(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        body_test(an_unchanged_file_is_vouched_for),
        body_test(another_version_is_not_opened),
        body_test(an_append_while_sending_is_found),
        body_test(a_truncation_while_sending_is_found),
        body_test(a_change_after_the_last_read_is_found),
        body_test(a_mapped_write_while_sending_is_found),
        body_test(wrong_bytes_under_the_right_identity_are_found),
        body_test(a_rename_and_an_unlink_do_not_disturb),
        cmocka_unit_test(sha256_of_known_bytes),
        cmocka_unit_test(each_part_of_an_identity_counts),
        cmocka_unit_test(stamps_beyond_nanoseconds_saturate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
