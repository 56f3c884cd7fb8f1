/* Which names are recordings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "watcher/names.h"
#include "watcher/watcher.h"

static void globs(void **state)
{
    (void)state;
    static const struct {
        const char *glob, *text;
        bool matches;
    } cases[] = {
        {"*.wav", "a.wav", true},
        {"*.wav", "A.WAV", true},
        {"*.wav", "a.wav.x", false},
        {"*", "", true},
        {"*-in.*", "x-in.wav", true},
        {"*-in.*", "x-out.wav", false},
        {"a?c", "abc", true},
        {"a?c", "a/c", false},
        {"*", "a/b", false},
        {"*/b", "a/b", true},
        {"a/*/c", "a/b/c", true},
        {"a/*/c", "a/b/x/c", false},
        {"*a*b*c", "xxaxxbxxc", true},
        {"*a*b*c", "xxaxxcxxb", false},
        {"[a-c]x", "Bx", true},
        {"[a-c]x", "dx", false},
        {"[!a-c]x", "dx", true},
        {"[!a]x", "/x", false},
        {"[]]x", "]x", true},
        {"[x", "[x", true},
        {"\\*x", "*x", true},
        {"\\*x", "ax", false},
        {"*\xFF.wav", "a\xFF.wav", true},
        {"?.wav", "\n.wav", true},
        {"", "", true},
        {"", "a", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (names_match(cases[i].glob, cases[i].text) != cases[i].matches) {
            fail_msg("%s on %s", cases[i].glob, cases[i].text);
        }
    }
}

static void a_hostile_glob_takes_no_age(void **state)
{
    (void)state;
    char text[256];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_false(names_match("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", text));
}

static struct watch_options defaults(void)
{
    return (struct watch_options){.path = "/srv", .recursive = true};
}

static void the_default_list(void **state)
{
    (void)state;
    struct watch_options o = defaults();
    static const char *const taken[] = {"a.wav",      "a.MP3",    "x/y/a.opus", "a.webm",
                                        "a.gsm",      "a.FLAC",   "a.sln16",    "a b[1]+'.wav",
                                        "\xFF\n.wav", "x.wav.mp3"};
    static const char *const passed[] = {"a.txt",
                                         "a",
                                         "wav",
                                         "a.wav.tmp",
                                         "a.wav.PART",
                                         "a.wav.filepart",
                                         "a.mp3.crdownload",
                                         "a.mp3.partial",
                                         ".a.wav",
                                         ".a.wav.Xy12zZ",
                                         "~syncthing~a.wav",
                                         "x/.hidden/a.wav",
                                         "lost+found/a.wav",
                                         "../a.wav",
                                         "x//a.wav",
                                         "x/"};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        assert_null(watch_passes_over(&o, taken[i]));
    }
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++) {
        if (!watch_passes_over(&o, passed[i])) {
            fail_msg("%s is taken", passed[i]);
        }
    }
}

static void own_patterns(void **state)
{
    (void)state;
    static const char *const include[] = {"*.wav", "mp3/*.mp3"};
    static const char *const exclude[] = {"*-in.*", "old/*"};
    struct watch_options o = defaults();
    o.include = include;
    o.include_count = 2;
    o.exclude = exclude;
    o.exclude_count = 2;
    assert_null(watch_passes_over(&o, "deep/down/A.WAV"));
    assert_null(watch_passes_over(&o, "mp3/a.mp3"));
    assert_non_null(watch_passes_over(&o, "a.mp3"));
    assert_non_null(watch_passes_over(&o, "a.gsm"));
    assert_non_null(watch_passes_over(&o, "x/a-in.wav"));
    assert_non_null(watch_passes_over(&o, "old/a.wav"));
    assert_null(watch_passes_over(&o, "x/old/a.wav"));
    o.recursive = false;
    assert_null(watch_passes_over(&o, "a.wav"));
    assert_non_null(watch_passes_over(&o, "x/a.wav"));
}

static void signs_of_unfinished_folders(void **state)
{
    (void)state;
    assert_int_equal(names_sign("double_click_to_convert_01.zoom"), NAMES_SIGN_ZOOM);
    assert_int_equal(names_sign("x.TMP"), NAMES_SIGN_TMP);
    assert_int_equal(names_sign("x.wav"), NAMES_NO_SIGN);
    assert_true(names_sign_holds(NAMES_SIGN_ZOOM, true, "a.wav"));
    assert_true(names_sign_holds(NAMES_SIGN_TMP, false, "video.mp4"));
    assert_false(names_sign_holds(NAMES_SIGN_TMP, true, "video.mp4"));
    assert_false(names_sign_holds(NAMES_SIGN_TMP, false, "a.wav")); /* others write x.tmp all day */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(globs),
        cmocka_unit_test(a_hostile_glob_takes_no_age),
        cmocka_unit_test(the_default_list),
        cmocka_unit_test(own_patterns),
        cmocka_unit_test(signs_of_unfinished_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
