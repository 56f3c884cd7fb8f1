/* Nothing outside of a folder is opened by way of it, and nothing but what is asked for. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "watcher/beneath.h"

static char root_path[] = "/tmp/chorus-beneath-XXXXXX";
static int root;

static void make_file(const char *path)
{
    int fd = openat(root, path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, path, strlen(path)), (ssize_t)strlen(path));
    close(fd);
}

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(root_path));
    root = beneath_root(root_path);
    assert_true(root >= 0);
    assert_int_equal(mkdirat(root, "a", 0700), 0);
    assert_int_equal(mkdirat(root, "a/b", 0700), 0);
    make_file("top.wav");
    make_file("a/b/deep.wav");
    assert_int_equal(symlinkat("a", root, "to-folder"), 0);
    assert_int_equal(symlinkat("top.wav", root, "to-file"), 0);
    assert_int_equal(symlinkat("/etc", root, "a/out"), 0);
    assert_int_equal(mkfifoat(root, "a/fifo", 0600), 0);
    return 0;
}

static int tear_down(void **state)
{
    static const char *const files[] = {"top.wav", "a/b/deep.wav", "to-folder",
                                        "to-file", "a/out",        "a/fifo"};
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        unlinkat(root, files[i], 0);
    unlinkat(root, "a/b", AT_REMOVEDIR);
    unlinkat(root, "a", AT_REMOVEDIR);
    close(root);
    return rmdir(root_path);
}

/* Whether what it opens is this file. */
static void opens(const char *path, const char *content)
{
    struct stat st;
    char text[64] = "";
    int fd = beneath_open_file(root, path, &st);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, text, sizeof text - 1), (ssize_t)strlen(content));
    assert_string_equal(text, content);
    close(fd);
}

static void refuses(const char *path, int error)
{
    struct stat st;
    assert_int_equal(beneath_open_file(root, path, &st), error);
}

static void files_are_opened_at_any_depth(void **state)
{
    (void)state;
    opens("top.wav", "top.wav");
    opens("a/b/deep.wav", "a/b/deep.wav");
    opens("a//b/deep.wav", "a/b/deep.wav");
    opens("./a/b/deep.wav", "a/b/deep.wav");
}

static void folders_are_opened(void **state)
{
    (void)state;
    static const char *const paths[] = {"", ".", "a", "a/b", "a/b/"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        int fd = beneath_open(root, paths[i], O_DIRECTORY);
        assert_true(fd >= 0);
        assert_true(fd != root);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        close(fd);
    }
    assert_int_equal(beneath_open(root, "top.wav", O_DIRECTORY), -ENOTDIR);
}

static void no_symlink_is_followed(void **state)
{
    (void)state;
    refuses("to-folder/b/deep.wav", -ELOOP);
    refuses("a/out/passwd", -ELOOP);
    assert_int_equal(beneath_open(root, "to-folder", O_DIRECTORY), -ELOOP);
    assert_int_equal(beneath_open(root, "to-file", 0), -ELOOP);
    refuses("to-file", -EINVAL);
}

static void nothing_above_is_reached(void **state)
{
    (void)state;
    refuses("../etc/passwd", -EXDEV);
    refuses("a/../../etc/passwd", -EXDEV);
    assert_int_equal(beneath_open(root, "..", O_DIRECTORY), -EXDEV);
    opens("/top.wav", "top.wav"); /* its slash is none: it is below root all the same */
}

static void what_is_no_file_is_not_opened(void **state)
{
    (void)state;
    refuses("a/fifo", -EINVAL);
    refuses("a", -EINVAL);
}

static void what_is_not_there_is_told(void **state)
{
    char name[NAME_MAX + 2];
    (void)state;
    refuses("nonesuch", -ENOENT);
    refuses("nonesuch/deep.wav", -ENOENT);
    refuses("top.wav/deep.wav", -ENOTDIR);
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    refuses(name, -ENAMETOOLONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_opened_at_any_depth),
        cmocka_unit_test(folders_are_opened),
        cmocka_unit_test(no_symlink_is_followed),
        cmocka_unit_test(nothing_above_is_reached),
        cmocka_unit_test(what_is_no_file_is_not_opened),
        cmocka_unit_test(what_is_not_there_is_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
