/* The result of a control file: its shape, and that it stands there whole or not at all. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/json.h"
#include "agent/base/mem.h"
#include "agent/control/result.h"

struct room {
    char dir[32];
    char *place, *temporary;
};

static int room_open(void **state)
{
    struct room *room = mem_zalloc(sizeof *room);
    strcpy(room->dir, "/tmp/chorus-result-XXXXXX");
    if (mkdtemp(room->dir) == NULL)
        return -1;
    room->place = mem_printf("%s/x.result.json", room->dir);
    room->temporary = mem_printf("%s/.x.result.json.new", room->dir);
    *state = room;
    return 0;
}

static int room_close(void **state)
{
    struct room *room = *state;
    char *command = mem_printf("rm -rf '%s'", room->dir);
    int rc = system(command);
    free(command);
    free(room->place);
    free(room->temporary);
    free(room);
    return rc;
}

static const struct result_head head = {.request = "x.delete", .reason = "they \"asked\""};

static cJSON *written(const struct room *room)
{
    cJSON *json = json_read_file(room->place, 1 << 20);
    assert_non_null(json);
    assert_int_not_equal(access(room->temporary, F_OK), 0);
    return json;
}

static void expect_null(const cJSON *json, const char *key)
{
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(json, key)));
}

static void every_key_is_there(void **state)
{
    struct room *room = *state;
    uint8_t sha256[32] = {0xab, 0x01};
    const struct ledger_finding proven = {.line = 3,
                                          .target = "/calls/\xff.wav",
                                          .path = "/calls/\xff.wav",
                                          .sha256 = sha256,
                                          .engagement_id = "A1",
                                          .outcome = OUTCOME_DELETED,
                                          .status = 202,
                                          .visible_ms = 1790000000000,
                                          .accepted_ms = 1790000001000,
                                          .gone_ms = 1790000002000,
                                          .local_remains = true};
    const struct ledger_finding bad = {
        .line = 4, .target = "phone:1", .outcome = OUTCOME_REFUSED, .reason = "too short"};
    struct result *result = result_begin(room->dir, "x.result.json", &head);
    assert_non_null(result);
    result_add(result, &proven);
    result_add(result, &bad);
    assert_int_not_equal(access(room->place, F_OK), 0);
    assert_int_equal(result_end(result), 0);

    cJSON *json = written(room);
    assert_string_equal(json_text(json, "request"), "x.delete");
    assert_string_equal(json_text(json, "reason"), "they \"asked\"");
    expect_null(json, "requested_by");
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(json, "results");
    assert_int_equal(cJSON_GetArraySize(rows), 2);
    const cJSON *row = cJSON_GetArrayItem(rows, 0);
    assert_string_equal(json_text(row, "target"), "/calls/\\xff.wav");
    assert_string_equal(json_text(row, "path"), "/calls/\\xff.wav");
    assert_int_equal(json_number(row, "line"), 3);
    assert_int_equal(strlen(json_text(row, "sha256")), 64);
    assert_memory_equal(json_text(row, "sha256"), "ab01", 4);
    assert_string_equal(json_text(row, "engagement_id"), "A1");
    assert_string_equal(json_text(row, "outcome"), "deleted");
    assert_int_equal(json_number(row, "http_status"), 202);
    assert_string_equal(json_text(row, "visible_before_at"), "2026-09-21T14:13:20Z");
    assert_string_equal(json_text(row, "accepted_at"), "2026-09-21T14:13:21Z");
    assert_string_equal(json_text(row, "gone_at"), "2026-09-21T14:13:22Z");
    expect_null(row, "reason");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(row, "local_remains")));

    row = cJSON_GetArrayItem(rows, 1);
    static const char *const unknown[] = {"path",        "sha256",      "engagement_id",
                                          "http_status", "accepted_at", "visible_before_at",
                                          "gone_at"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        expect_null(row, unknown[i]);
    assert_string_equal(json_text(row, "reason"), "too short");
    cJSON_Delete(json);
}

static void refused_whole_it_says_why_and_has_no_rows(void **state)
{
    struct room *room = *state;
    const struct result_head refused = {
        .request = "x.delete", .reason = "theirs", .refusal = "line 3: no such directive"};
    assert_int_equal(result_end(result_begin(room->dir, "x.result.json", &refused)), 0);
    cJSON *json = written(room);
    assert_string_equal(json_text(json, "reason"), "line 3: no such directive");
    assert_string_equal(json_text(json, "requested_because"), "theirs");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "refused")));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(json, "results")), 0);
    assert_true(cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(json, "results")));
    cJSON_Delete(json);
}

static void a_dry_run_says_so(void **state)
{
    struct room *room = *state;
    const struct result_head dry = {.request = "x.delete", .dry_run = true, .taken_ms = 1};
    assert_int_equal(result_end(result_begin(room->dir, "x.result.json", &dry)), 0);
    cJSON *json = written(room);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "dry_run")));
    expect_null(json, "reason");
    cJSON_Delete(json);
}

/* What a crash left of an earlier try is no hindrance; what somebody else put there is not
 * overwritten. */
static void nothing_is_overwritten(void **state)
{
    struct room *room = *state;
    FILE *left = fopen(room->temporary, "w");
    fputs("{\"half", left);
    fclose(left);
    assert_int_equal(result_end(result_begin(room->dir, "x.result.json", &head)), 0);
    cJSON_Delete(written(room));
    assert_int_equal(result_end(result_begin(room->dir, "x.result.json", &head)), -EEXIST);
    cJSON_Delete(written(room));
}

static void given_up_nothing_is_left(void **state)
{
    struct room *room = *state;
    result_drop(result_begin(room->dir, "x.result.json", &head));
    assert_int_not_equal(access(room->place, F_OK), 0);
    assert_int_not_equal(access(room->temporary, F_OK), 0);
    assert_null(result_begin("/nonexistent", "x.result.json", &head));
    assert_int_equal(errno, ENOENT);
}

static void touch(const struct room *room, const char *name)
{
    char *path = mem_printf("%s/%s", room->dir, name);
    fclose(fopen(path, "w"));
    free(path);
}

static void expect_free(const struct room *room, const char *control_file, const char *expected)
{
    char *name = result_free_name(room->dir, control_file);
    assert_string_equal(name, expected);
    free(name);
}

static void names_that_are_taken_are_counted_on(void **state)
{
    struct room *room = *state;
    expect_free(room, "x.delete", "x.delete");
    touch(room, "x.delete");
    expect_free(room, "x.delete", "x-2.delete");
    touch(room, "x-2.result.json");
    expect_free(room, "x.delete", "x-3.delete");
    expect_free(room, ".delete", ".delete.delete");
    char *result = result_name("a.b.delete");
    assert_string_equal(result, "a.b.result.json");
    free(result);
}

static void long_names_keep_room_for_what_is_added(void **state)
{
    struct room *room = *state;
    char name[256];
    memset(name, 'n', sizeof name);
    strcpy(name + 248, ".delete");
    char *chosen = result_free_name(room->dir, name);
    assert_int_equal(strlen(chosen), 207);
    char *file = result_name(chosen);
    assert_int_equal(result_end(result_begin(room->dir, file, &head)), 0);
    free(file);
    free(chosen);
}

int main(void)
{
#define IN_A_ROOM(test) cmocka_unit_test_setup_teardown(test, room_open, room_close)
    const struct CMUnitTest tests[] = {
        IN_A_ROOM(every_key_is_there),
        IN_A_ROOM(refused_whole_it_says_why_and_has_no_rows),
        IN_A_ROOM(a_dry_run_says_so),
        IN_A_ROOM(nothing_is_overwritten),
        IN_A_ROOM(given_up_nothing_is_left),
        IN_A_ROOM(names_that_are_taken_are_counted_on),
        IN_A_ROOM(long_names_keep_room_for_what_is_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
