/*
 * Each allocation, one after another, fails once or from then on: ours and cJSON's throughout,
 * libcurl's while an exchange is built (while one runs, libcurl 7.88 itself divides by zero). An
 * exchange may fail, but nothing crashes or leaks, no form leaves without its key, and nothing is
 * sent twice.
 */
#include "rig.h"

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Per thread, for the server's allocations shall not fail. */
static _Thread_local enum { NONE, OURS, ALL } failing;
static _Thread_local long allocations, fails_at;
static _Thread_local bool fails_on;

static bool fails(bool ours)
{
    if (failing == NONE || (failing == OURS && !ours))
        return false;
    long n = ++allocations;
    return fails_at > 0 && (n == fails_at || (fails_on && n > fails_at));
}

/* The linker puts these in the place of those that our code calls. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
    return fails(true) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails(true) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails(true) ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return fails(true) ? NULL : __real_strdup(text);
}

static void *curls_malloc(size_t size)
{
    return fails(false) ? NULL : __real_malloc(size);
}

static void *curls_calloc(size_t n, size_t size)
{
    return fails(false) ? NULL : __real_calloc(n, size);
}

static void *curls_realloc(void *old, size_t size)
{
    return fails(false) ? NULL : __real_realloc(old, size);
}

static char *curls_strdup(const char *text)
{
    return fails(false) ? NULL : __real_strdup(text);
}

static void answers(struct server *server, int fd)
{
    while (server_request(server, fd))
        server_answer(fd, 200, "", "{\"id\":\"1\"}");
}

static struct {
    int tried, ended, left, accepted;
} count;

static void one_upload(struct rig *rig)
{
    struct attempt attempt;
    attempt_init(&attempt, rig, 100000);
    count.tried++;
    failing = ALL;
    int rc = attempt_start(&attempt);
    failing = NONE;
    if (rc != 0) {
        assert_int_equal(rc, -ENOMEM);
        assert_int_equal(attempt.closes, 1);
        return;
    }
    failing = OURS;
    attempt_wait(&attempt);
    failing = NONE;
    count.ended++;
    count.left += attempt.answer.request_left;
    count.accepted += attempt.answer.verdict == VERDICT_ACCEPTED;
}

/* A fresh uploader, so that connecting is in it as well. */
static void one_round(struct rig *rig)
{
    failing = ALL;
    int rc = uploader_new(&rig->loop, &rig->options, &rig->uploader);
    failing = NONE;
    if (rc != 0) {
        assert_int_equal(rc, -ENOMEM);
        return;
    }
    rig->closed = false;
    failing = OURS;
    rc = uploader_set_token(rig->uploader, TOKEN);
    failing = NONE;
    assert_int_equal(rc, 0);
    one_upload(rig);
    one_upload(rig);
    rig_close_uploader(rig);
}

static void every_allocation_fails(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig, answers, 20000);
    rig_close_uploader(&rig);
    allocations = 0;
    one_round(&rig);
    assert_int_equal(count.accepted, 2);
    long total = allocations;
    assert_true(total > 50);
    for (int on = 0; on < 2; on++) {
        for (long n = 1; n <= total; n++) {
            allocations = 0;
            fails_on = on;
            fails_at = n;
            one_round(&rig);
        }
    }
    fails_at = 0;
    rig_finish(&rig);
    print_message(
        "%ld allocations; attempts %d, ended %d, accepted %d, requests %d, header blocks %d\n",
        total, count.tried, count.ended, count.accepted, count.left, server_heads(rig.server));
    assert_true(count.accepted > 2 && count.accepted < count.tried);
    assert_int_equal(server_heads(rig.server), count.left);
    assert_int_equal(server_keyless(rig.server), 0);
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_fails)};
    cJSON_Hooks hooks = {__wrap_malloc, free};
    cJSON_InitHooks(&hooks);
    /* First of all: the uploader's own initialisation only counts up. */
    if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, curls_malloc, free, curls_realloc, curls_strdup,
                             curls_calloc) != CURLE_OK)
        return 1;
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return rc;
}
