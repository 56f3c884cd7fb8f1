#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "uploader/media_type.h"

static void known_endings(void **state)
{
    (void)state;
    assert_string_equal(media_type("a.wav"), "audio/wav");
    assert_string_equal(media_type("a.WAV"), "audio/wav");
    assert_string_equal(media_type("a.b.mp3"), "audio/mpeg");
    assert_string_equal(media_type("a.ogg"), "audio/ogg");
    assert_string_equal(media_type("a.oga"), "audio/ogg");
    assert_string_equal(media_type("a.Opus"), "audio/ogg");
    assert_string_equal(media_type("a.mp4"), "video/mp4");
    assert_string_equal(media_type("a.m4a"), "audio/mp4");
    assert_string_equal(media_type("a.m4v"), "video/mp4");
    assert_string_equal(media_type("a.mov"), "video/quicktime");
    assert_string_equal(media_type("a.webm"), "video/webm");
    assert_string_equal(media_type("a.mkv"), "video/x-matroska");
    assert_string_equal(media_type("a.avi"), "video/x-msvideo");
    assert_string_equal(media_type("a.flv"), "video/x-flv");
    assert_string_equal(media_type("a.3gp"), "video/3gpp");
    assert_string_equal(media_type("a.3g2"), "video/3gpp2");
    assert_string_equal(media_type("a.au"), "audio/basic");
}

static void all_else_is_bytes(void **state)
{
    static const char *const names[] = {"", "wav", "a", "a.", ".", "a.wav2", "a.wav.bak", "a.mp"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_string_equal(media_type(names[i]), "application/octet-stream");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_endings),
        cmocka_unit_test(all_else_is_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
