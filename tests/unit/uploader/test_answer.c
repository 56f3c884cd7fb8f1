#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "uploader/answer.h"

static const char *const fields[] = {"engagement_id", "id", "data.id", "callid"};
static struct answer answer;

static void take(const char *body, size_t size)
{
    /* On the heap, without a NUL: an overrun is seen. */
    char *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    memcpy(copy, body, size);
    answer_read(copy, size, "text/html; charset=utf-8", fields, 4, &answer);
    free(copy);
}

static void take_text(const char *body)
{
    take(body, strlen(body));
}

static void assert_id(const char *body, const char *id)
{
    take_text(body);
    assert_true(answer.is_object);
    assert_string_equal(answer.id, id);
}

static void assert_said(const char *body, const char *said)
{
    take_text(body);
    assert_string_equal(answer.said.text, said);
}

static void ids(void **state)
{
    (void)state;
    assert_id("{\"engagement_id\":\"EE8ED5BBBC254177B8201B9D84855949\"}",
              "EE8ED5BBBC254177B8201B9D84855949");
    assert_id("{\"id\":\"7\",\"callid\":\"8\"}", "7");
    assert_id("{\"data\":{\"type\":\"x\",\"id\":\"abc\"}}", "abc");
    assert_id("{\"callid\":12345,\"success\":true}", "12345");
    assert_id("{\"id\":9007199254740991}", "9007199254740991");
    assert_id("{\"id\":1,\"id\":2}", "2");
    assert_id(" {\"id\":null,\"callid\":\"x\"} \r\n", "x");
}

static void what_is_no_id(void **state)
{
    char body[400] = "{\"id\":\"";
    (void)state;
    assert_id("{}", "");
    assert_id("{\"id\":\"\"}", "");
    assert_id("{\"id\":0}", "");
    assert_id("{\"id\":-1}", "");
    assert_id("{\"id\":1.5}", "");
    assert_id("{\"id\":1e999}", "");
    assert_id("{\"id\":-1e999}", "");
    assert_id("{\"id\":9007199254740993}", "");
    assert_id("{\"id\":true}", "");
    assert_id("{\"id\":{\"id\":\"x\"}}", "");
    assert_id("{\"data\":[{\"id\":\"x\"}]}", "");
    assert_id("{\"ID\":\"x\"}", "");
    assert_id("{\"id\":\"a b\"}", "");
    assert_id("{\"id\":\"a\\nb\"}", "");
    assert_id("{\"id\":\"\xc3\xa9\"}", "");
    memset(body + 7, 'a', ANSWER_ID_SIZE - 1);
    strcpy(body + 7 + ANSWER_ID_SIZE - 1, "\"}");
    take_text(body);
    assert_int_equal(strlen(answer.id), ANSWER_ID_SIZE - 1);
    strcpy(body + 7 + ANSWER_ID_SIZE - 1, "a\"}");
    assert_id(body, "");
}

static void success(void **state)
{
    (void)state;
    take_text("{\"success\":false}");
    assert_true(answer.says_failure);
    static const char *const others[] = {"{\"success\":true}",    "{\"success\":\"false\"}",
                                         "{\"success\":0}",       "{\"success\":null}",
                                         "{\"Success\":false}",   "{\"data\":{\"success\":false}}",
                                         "[{\"success\":false}]", "{}"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        take_text(others[i]);
        assert_false(answer.says_failure);
    }
}

static void words(void **state)
{
    (void)state;
    assert_said(
        "{\"errors\":[{\"title\":\"Conflict\",\"detail\":\"known\",\"source\":{\"parameter\":"
        "\"meeting_id\"}}]}",
        "Conflict: known (meeting_id)");
    assert_said(
        "{\"errors\":[{\"title\":\"A\"},{\"detail\":\"B\",\"source\":{\"pointer\":\"/x\"}}]}",
        "A; B (/x)");
    assert_said("{\"errors\":[\"plain\",{\"message\":\"m\"},7,null,{}]}", "plain; m");
    assert_said("{\"errors\":[],\"error\":\"e\"}", "e");
    assert_said("{\"error\":{\"message\":\"inner\"}}", "inner");
    assert_said("{\"message\":\"Rate limit\"}", "Rate limit");
    assert_said("{\"success\":false}", "");
    assert_said("{\"errors\":{\"title\":\"odd\"}}", "");
    assert_said("[1]", "answered JSON that is no object");
    assert_said("<html><script>x</script>", "answered text/html");
}

static void words_are_made_harmless(void **state)
{
    (void)state;
    assert_said("{\"error\":\"a\\nb\\u001b[2J\\u007f\"}", "a\\x0Ab\\x1B[2J\\x7F");
    assert_said("{\"error\":\"\xff\xc3\xa9\xc0\x80\"}", "\\xFF\xc3\xa9\\xC0\\x80");
    assert_said("{\"error\":\"\\u202egnp\\u0085\"}", "\\xE2\\x80\\xAEgnp\\xC2\\x85");
    assert_said("{\"error\":\"\xed\xa0\x80\"}", "\\xED\\xA0\\x80");
}

static void words_are_bounded(void **state)
{
    char body[4000] = "{\"error\":\"";
    (void)state;
    for (size_t i = 10; i < 3000; i += 2)
        memcpy(body + i, "\xc3\xa9", 3);
    strcat(body, "\"}");
    take_text(body);
    size_t length = strlen(answer.said.text);
    assert_true(length < LINE_SIZE && length > LINE_SIZE - 10);
    assert_string_equal(answer.said.text + length - 3, "...");
    assert_int_equal((unsigned char)answer.said.text[length - 4], 0xa9);
}

static void content_types(void **state)
{
    (void)state;
    answer_read("x", 1, "", fields, 4, &answer);
    assert_string_equal(answer.said.text, "answered something that is not JSON");
    answer_read("x", 1, "text/\x1b[2J", fields, 4, &answer);
    assert_string_equal(answer.said.text, "answered text/\\x1B[2J");
}

static void emptiness(void **state)
{
    (void)state;
    take("", 0);
    assert_true(answer.is_empty && !answer.is_object);
    take_text(" \r\n\t");
    assert_true(answer.is_empty && !answer.is_object);
    take("\0", 1);
    assert_true(!answer.is_empty && !answer.is_object);
    take_text("{}");
    assert_true(!answer.is_empty && answer.is_object);
}

static void what_is_no_object(void **state)
{
    static const char *const bodies[] = {"null",
                                         "true",
                                         "0",
                                         "\"id\"",
                                         "[]",
                                         "[{\"id\":1}]",
                                         "{",
                                         "{\"id\"",
                                         "{\"id\":",
                                         "{\"id\":1",
                                         "{}x",
                                         "{}{}",
                                         "{\"id\":1}]",
                                         "{'id':1}",
                                         "{id:1}",
                                         "{\"a\":\\\"",
                                         "ok",
                                         "\xef\xbb\xbf",
                                         "{\"id\":\"ab\\u0000cd\"}",
                                         "{\"success\\u0000\":false}",
                                         "{\"a\":\"\\ud800\"}"};
    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        take_text(bodies[i]);
        if (answer.is_object || answer.is_empty || answer.id[0] != '\0')
            fail_msg("taken: %s", bodies[i]);
    }
    take("{}\0", 3);
    assert_false(answer.is_object);
    take("{\"id\":\"a\0b\"}", 12);
    assert_false(answer.is_object);
}

static void nesting(void **state)
{
    char body[200];
    (void)state;
    for (size_t depth = ANSWER_MAX_DEPTH; depth <= ANSWER_MAX_DEPTH + 1; depth++) {
        strcpy(body, "{\"a\":");
        memset(body + 5, '[', depth - 1);
        memset(body + 5 + depth - 1, ']', depth - 1);
        strcpy(body + 5 + 2 * (depth - 1), "}");
        take_text(body);
        assert_int_equal(answer.is_object, depth == ANSWER_MAX_DEPTH);
    }
    take_text("{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[\"}");
    assert_true(answer.is_object);
    size_t million = 1000000;
    char *deep = malloc(million);
    assert_non_null(deep);
    memset(deep, '[', million);
    take(deep, million);
    assert_false(answer.is_object);
    free(deep);
}

/* Every cut and every changed byte of a good answer: no crash, and no half answer taken for a whole
 * one. */
static void cuts_and_changes(void **state)
{
    static const char good[] =
        "{\"success\":true,\"data\":{\"id\":\"a\\u00e9\\\"\",\"n\":[1e5,-0.5]},"
        "\"errors\":[{\"title\":\"t\",\"source\":{\"path\":\"p\"}}]}";
    char body[sizeof(good)];
    (void)state;
    for (size_t n = 0; n < sizeof(good) - 1; n++) {
        take(good, n);
        assert_false(answer.is_object);
    }
    for (size_t i = 0; i < sizeof(good) - 1; i++) {
        for (int c = 0; c < 256; c++) {
            memcpy(body, good, sizeof(good));
            body[i] = (char)c;
            take(body, sizeof(good) - 1);
            assert_true(strlen(answer.said.text) < LINE_SIZE);
        }
    }
}

static void hidden_secrets(void **state)
{
    struct line line;
    (void)state;
    line_init(&line);
    line_add(&line, "bad token abcdef and abcdef");
    line_hide(&line, "abcdef");
    assert_string_equal(line.text, "bad token *** and ***");
    line_hide(&line, "");
    line_hide(&line, "bad");
    assert_string_equal(line.text, "*** token *** and ***");
    line_init(&line);
    for (int i = 0; i < 59; i++)
        line_add(&line, "words");
    line_add(&line, "abcd");
    line_add(&line, "ef and more");
    assert_non_null(strstr(line.text, "abcde..."));
    line_hide(&line, "abcdef");
    assert_null(strstr(line.text, "abc"));
    assert_non_null(strstr(line.text, "words***..."));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids),
        cmocka_unit_test(what_is_no_id),
        cmocka_unit_test(success),
        cmocka_unit_test(words),
        cmocka_unit_test(words_are_made_harmless),
        cmocka_unit_test(words_are_bounded),
        cmocka_unit_test(content_types),
        cmocka_unit_test(emptiness),
        cmocka_unit_test(what_is_no_object),
        cmocka_unit_test(nesting),
        cmocka_unit_test(cuts_and_changes),
        cmocka_unit_test(hidden_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
