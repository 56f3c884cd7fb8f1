/* The inbox on a real folder: what it takes, when, and what it refuses whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <uv.h>

#include <cmocka.h>

#include "agent/base/mem.h"
#include "agent/control/control_dir.h"
#include "agent/control/inbox.h"

enum { MOST = 16, PATIENCE_MS = 60000 };

struct rig {
    uv_loop_t loop;
    char folder[64];
    struct inbox *inbox;
    struct control_file *files[MOST];
    size_t count;
    bool keep; /* files are freed by the test */
    char *reason;
    bool told, usable, closed;
};

static void on_take(void *ctx, struct control_file *file)
{
    struct rig *rig = ctx;
    assert_true(rig->count < MOST);
    assert_true((file->fd < 0) == (file->refusal != NULL));
    struct control_file *kept = mem_zalloc(sizeof *kept);
    *kept = (struct control_file){
        .name = mem_string(file->name), .refusal = mem_string(file->refusal), .fd = -1};
    memcpy(kept->digest, file->digest, sizeof kept->digest);
    kept->facts.targets = file->facts.targets;
    if (rig->keep) {
        rig->files[rig->count++] = file;
        control_file_free(kept);
        return;
    }
    rig->files[rig->count++] = kept;
    control_file_free(file);
}

static void on_state(void *ctx, bool usable, const char *reason)
{
    struct rig *rig = ctx;
    rig->told = true;
    rig->usable = usable;
    mem_replace(&rig->reason, mem_string(reason));
}

static void on_closed(void *ctx)
{
    struct rig *rig = ctx;
    rig->closed = true;
}

static void run_once(struct rig *rig)
{
    uv_run(&rig->loop, UV_RUN_NOWAIT);
    usleep(2000);
}

/* Until so many were taken, and then for `further_ms`: no more may come. */
static void run_until(struct rig *rig, size_t count, unsigned further_ms)
{
    uint64_t begin = uv_hrtime() / 1000000;
    while (rig->count < count && uv_hrtime() / 1000000 - begin < PATIENCE_MS)
        run_once(rig);
    assert_int_equal(rig->count, count);
    for (begin = uv_hrtime() / 1000000; uv_hrtime() / 1000000 - begin < further_ms;)
        run_once(rig);
    assert_int_equal(rig->count, count);
}

static void begin(struct rig *rig)
{
    const struct inbox_hooks hooks = {on_take, on_state, rig};
    memset(rig, 0, sizeof *rig);
    strcpy(rig->folder, "/tmp/chorus-inbox-XXXXXX");
    assert_non_null(mkdtemp(rig->folder));
    free(control_dir_make(rig->folder, "", geteuid(), getegid()));
    uv_loop_init(&rig->loop);
    rig->inbox = inbox_new(&rig->loop, rig->folder, "", &hooks);
    assert_non_null(rig->inbox);
}

static void end(struct rig *rig)
{
    inbox_close(rig->inbox, on_closed, rig);
    while (!rig->closed)
        run_once(rig);
    for (size_t i = 0; i < rig->count; i++)
        control_file_free(rig->files[i]);
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&rig->loop), 0);
    char *command = mem_printf("%s", rig->folder);
    pid_t child = fork();
    if (child == 0) {
        execlp("rm", "rm", "-rf", command, (char *)NULL);
        _exit(127);
    }
    int status;
    uv_sleep(1);
    assert_true(waitpid(child, &status, 0) == child && status == 0);
    free(command);
    free(rig->reason);
}

static char *path_of(const struct rig *rig, const char *name)
{
    return mem_printf("%s/%s", rig->folder, name);
}

static void put(const struct rig *rig, const char *name, const char *text, mode_t mode)
{
    char *path = path_of(rig, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0 && fclose(file) == 0 && chmod(path, mode) == 0);
    free(path);
}

static const struct control_file *taken(const struct rig *rig, const char *name)
{
    for (size_t i = 0; i < rig->count; i++) {
        if (strcmp(rig->files[i]->name, name) == 0)
            return rig->files[i];
    }
    return NULL;
}

static void expect_taken(const struct rig *rig, const char *name, size_t targets)
{
    const struct control_file *file = taken(rig, name);
    assert_non_null(file);
    if (file->refusal != NULL)
        print_error("%s: %s\n", name, file->refusal);
    assert_null(file->refusal);
    assert_int_equal(file->facts.targets, targets);
}

static void expect_refused(const struct rig *rig, const char *name, const char *part)
{
    const struct control_file *file = taken(rig, name);
    assert_non_null(file);
    assert_non_null(file->refusal);
    if (strstr(file->refusal, part) == NULL)
        print_error("%s: %s\n", name, file->refusal);
    assert_non_null(strstr(file->refusal, part));
}

static void takes_each_once(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig);
    put(&rig, "a.delete", "/srv/a\n/srv/b\n", 0640);
    put(&rig, "b.delete", "name:a\n", 0600);
    put(&rig, ".c.delete", "name:a\n", 0600);
    put(&rig, "d.delete.tmp", "name:a\n", 0600);
    put(&rig, "e.DELETE", "name:a\n", 0600);
    put(&rig, "done/f.delete", "name:a\n", 0600);
    run_until(&rig, 2, 6000); /* beyond the next full look */
    expect_taken(&rig, "a.delete", 2);
    expect_taken(&rig, "b.delete", 1);
    assert_true(rig.told && rig.usable);
    assert_string_equal(rig.reason, "");
    /* another one under the same name is another request */
    put(&rig, "a.delete", "/srv/c\n", 0640);
    run_until(&rig, 3, 500);
    end(&rig);
}

/* Settled only once its writer has closed it. */
static void waits_for_its_writer(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig);
    char *path = path_of(&rig, "a.delete");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("@expect 1\n/srv/a\n", file);
    fflush(file);
    run_until(&rig, 0, 3000);
    fputs("/srv/b\n", file);
    fclose(file);
    chmod(path, 0600);
    run_until(&rig, 1, 0);
    expect_taken(&rig, "a.delete", 2);
    free(path);
    end(&rig);
}

static void refuses_whole(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig);
    put(&rig, "empty.delete", "", 0600);
    put(&rig, "others.delete", "/srv/a\n", 0602);
    put(&rig, "group.delete", "/srv/a\n", 0660);
    put(&rig, "directive.delete", "/srv/a\n@dryrun\n", 0600);
    put(&rig, "twice.delete", "/srv/a\n", 0600);
    put(&rig, "target", "/srv/a\n", 0600);
    char *path = path_of(&rig, "target"), *link_path = path_of(&rig, "link.delete");
    assert_int_equal(symlink(path, link_path), 0);
    mem_replace(&path, path_of(&rig, "twice.delete"));
    mem_replace(&link_path, path_of(&rig, "twice"));
    assert_int_equal(link(path, link_path), 0);
    mem_replace(&path, path_of(&rig, "pipe.delete"));
    assert_int_equal(mkfifo(path, 0600), 0);
    mem_replace(&path, path_of(&rig, "folder.delete"));
    assert_int_equal(mkdir(path, 0700), 0);
    free(path);
    free(link_path);
    run_until(&rig, 8, 6000);
    expect_refused(&rig, "empty.delete", "empty");
    expect_refused(&rig, "others.delete", "everybody may write");
    expect_refused(&rig, "group.delete", "chmod g-w");
    expect_refused(&rig, "directive.delete", "line 2");
    expect_refused(&rig, "twice.delete", "more than one name");
    expect_refused(&rig, "link.delete", "symbolic link");
    expect_refused(&rig, "pipe.delete", "a pipe");
    expect_refused(&rig, "folder.delete", "a folder");
    end(&rig);
}

static void refuses_a_strangers_file(void **state)
{
    struct rig rig;
    (void)state;
    if (geteuid() != 0)
        skip();
    begin(&rig);
    put(&rig, "a.delete", "/srv/a\n", 0644);
    char *path = path_of(&rig, "a.delete");
    assert_int_equal(chown(path, 4711, 4711), 0);
    run_until(&rig, 1, 0);
    expect_refused(&rig, "a.delete", "owned by user 4711");
    free(path);
    end(&rig);
}

/* The next is read once the one before is freed; what was not freed outlives the inbox. */
static void one_at_a_time(void **state)
{
    struct rig rig;
    char line[16];
    (void)state;
    begin(&rig);
    rig.keep = true;
    put(&rig, "a.delete", "/srv/a\n", 0600);
    run_until(&rig, 1, 0);
    put(&rig, "b.delete", "/srv/b\n", 0600);
    run_until(&rig, 1, 3000);
    assert_int_equal(read(rig.files[0]->fd, line, sizeof line), 7);
    assert_true(control_file_is_unchanged(rig.files[0]));
    put(&rig, "a.delete", "/srv/a\n/srv/c\n", 0600);
    assert_false(control_file_is_unchanged(rig.files[0]));
    control_file_free(rig.files[0]);
    rig.count = 0;
    run_until(&rig, 1, 0);
    end(&rig);
}

/* Made again when somebody removes it. */
static void makes_its_folders(void **state)
{
    struct rig rig;
    struct stat st;
    (void)state;
    begin(&rig);
    char *path = path_of(&rig, "rejected");
    assert_int_equal(rmdir(path), 0);
    put(&rig, "a.delete", "/srv/a\n", 0600);
    run_until(&rig, 1, 6000);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 02770);
    assert_true(rig.usable);
    free(path);
    end(&rig);
}

static void judges_its_folder(void **state)
{
    struct rig rig;
    bool missing;
    (void)state;
    begin(&rig);
    char *problem = control_dir_judge(rig.folder, "", &missing);
    assert_null(problem);
    assert_false(missing);
    problem = control_dir_judge(rig.folder, "no-such-group-here", &missing);
    assert_non_null(strstr(problem, "no group of this system"));
    free(problem);
    assert_int_equal(chmod(rig.folder, 02777), 0);
    problem = control_dir_judge(rig.folder, "", &missing);
    assert_non_null(strstr(problem, "chmod o-w"));
    free(problem);
    char *path = path_of(&rig, "none");
    problem = control_dir_judge(path, "", &missing);
    assert_non_null(problem);
    assert_true(missing);
    free(problem);
    free(path);
    end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_each_once),   cmocka_unit_test(waits_for_its_writer),
        cmocka_unit_test(refuses_whole),     cmocka_unit_test(refuses_a_strangers_file),
        cmocka_unit_test(one_at_a_time),     cmocka_unit_test(makes_its_folders),
        cmocka_unit_test(judges_its_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
