/* What a file is, by its bytes and its name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "watcher/media.h"

struct bytes {
    unsigned char at[4096];
    size_t n;
};

static ssize_t read_bytes(void *ctx, uint64_t offset, void *buffer, size_t n)
{
    const struct bytes *b = ctx;
    assert_true(offset + n <= b->n); /* never asked beyond the size told */
    memcpy(buffer, b->at + offset, n);
    return (ssize_t)n;
}

static struct media look(const char *name, struct bytes *b)
{
    struct media media;
    assert_int_equal(media_look(name, b->n, read_bytes, b, &media), 0);
    return media;
}

static void put(struct bytes *b, const void *bytes, size_t n)
{
    memcpy(b->at + b->n, bytes, n);
    b->n += n;
}

static void little(struct bytes *b, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        b->at[b->n++] = (unsigned char)(value >> 8 * i);
    }
}

static void big(struct bytes *b, uint32_t value)
{
    for (int i = 3; i >= 0; i--) {
        b->at[b->n++] = (unsigned char)(value >> 8 * i);
    }
}

static void fill(struct bytes *b, size_t n)
{
    memset(b->at + b->n, 0x55, n);
    b->n += n;
}

static struct bytes wav(uint32_t riff, uint32_t data, size_t there, unsigned char tag)
{
    struct bytes b = {.n = 0};
    put(&b, "RIFF", 4);
    little(&b, riff);
    put(&b, "WAVEfmt ", 8);
    little(&b, 16);
    put(&b, (unsigned char[]){tag, 0, 1, 0, 64, 31, 0, 0, 128, 62, 0, 0, 2, 0, 16, 0}, 16);
    put(&b, "data", 4);
    little(&b, data);
    fill(&b, there);
    return b;
}

#define assert_taken(m, open)                                                                      \
    do {                                                                                           \
        struct media taken = (m);                                                                  \
        assert_int_equal(taken.kind, WATCH_TAKEN);                                                 \
        assert_int_equal(taken.says_open, open);                                                   \
        assert_string_equal(taken.name, "");                                                       \
    } while (0)
#define assert_unsupported(m, what)                                                                \
    do {                                                                                           \
        struct media refused = (m);                                                                \
        assert_int_equal(refused.kind, WATCH_UNSUPPORTED);                                         \
        assert_string_equal(refused.name, what);                                                   \
    } while (0)
#define assert_empty(m)                                                                            \
    do {                                                                                           \
        struct media empty = (m);                                                                  \
        assert_int_equal(empty.kind, WATCH_EMPTY);                                                 \
        assert_false(empty.says_open);                                                             \
    } while (0)

static void wav_headers(void **state)
{
    (void)state;
    struct bytes b = wav(36 + 800, 800, 800, 1);
    assert_taken(look("a.wav", &b), false);
    b = wav(0, 0, 800, 1); /* being recorded */
    assert_taken(look("a.wav", &b), true);
    b = wav(UINT32_MAX, UINT32_MAX, 800, 1); /* a stream */
    assert_taken(look("a.wav", &b), true);
    b = wav(36 + 2000, 2000, 800, 1); /* a copy under way */
    assert_taken(look("a.wav", &b), true);
    b = wav(36 + 844, 844, 800, 1); /* counts its own header in */
    assert_taken(look("a.wav", &b), false);
    b = wav(36 + 800, 800, 900, 1); /* something behind it */
    assert_taken(look("a.wav", &b), false);
    b = wav(36 + 800, 800, 800, 0x31); /* GSM inside WAV: Chorus decides */
    assert_taken(look("a.WAV", &b), false);
}

static void a_wav_without_audio_is_empty(void **state)
{
    (void)state;
    struct bytes b = {.n = 0};
    assert_empty(look("a.wav", &b));
    b = wav(0, 0, 0, 1);
    assert_int_equal(b.n, 44);
    assert_empty(look("a.wav", &b));
    b = wav(36, 0, 0, 1);
    assert_empty(look("a.wav", &b));
    b = wav(36 + 40, 0, 0, 1); /* no audio, then a list of texts: a whole file all the same */
    put(&b, "LIST", 4);
    little(&b, 32);
    fill(&b, 32);
    assert_empty(look("a.wav", &b));
    b = wav(0, 0, 1, 1);
    assert_taken(look("a.wav", &b), true);
}

static void a_wav_cut_at_every_byte_is_never_taken_as_complete(void **state)
{
    (void)state;
    struct bytes whole = wav(36 + 800, 800, 800, 1);
    for (size_t n = 4; n < whole.n - 64; n++) {
        struct bytes cut = whole;
        cut.n = n;
        struct media media = look("a.wav", &cut);
        assert_true(media.kind == WATCH_EMPTY || media.says_open);
    }
}

static void mp4_needs_its_moov(void **state)
{
    (void)state;
    struct bytes b = {.n = 0};
    big(&b, 16);
    put(&b, "ftypisom\0\0\0\0", 12);
    big(&b, 108);
    put(&b, "mdat", 4);
    fill(&b, 100);
    assert_taken(look("a.mp4", &b), true);
    struct bytes cut = b;
    big(&b, 8 + 20);
    put(&b, "moov", 4);
    fill(&b, 19);
    assert_taken(look("a.mp4", &b), true); /* not all of it yet */
    fill(&b, 1);
    assert_taken(look("a.mp4", &b), false);
    assert_taken(look("odd-name.bin", &b), false);
    cut.n -= 50;
    assert_taken(look("a.mp4", &cut), true);
    struct bytes old = {.n = 0}; /* QuickTime of old: no ftyp; 64 bit sizes */
    big(&old, 1);
    put(&old, "mdat", 4);
    big(&old, 0);
    big(&old, 16 + 10);
    fill(&old, 10);
    assert_taken(look("a.mov", &old), true);
    assert_taken(look("a.mp3", &old), false);
}

static void content_outweighs_the_name(void **state)
{
    (void)state;
    struct bytes flac = {.at = "fLaC", .n = 200};
    assert_unsupported(look("a.wav", &flac), "flac");
    struct bytes tagged = {.at = "ID3\4\0\0\0\0\0\12..........fLaC", .n = 200};
    assert_unsupported(look("a.mp3", &tagged), "flac");
    struct bytes asf = {.at = "\x30\x26\xB2\x75\x8E\x66\xCF\x11", .n = 200};
    assert_unsupported(look("a.mp3", &asf), "wma");
    struct bytes b = wav(36 + 800, 800, 800, 1);
    assert_taken(look("a.gsm", &b), false);
    struct bytes ogg = {.at = "OggS", .n = 200};
    assert_taken(look("a.gsm", &ogg), false);
}

static void the_name_decides_where_content_says_nothing(void **state)
{
    (void)state;
    struct bytes noise = {.at = "\xD2\x11\x22\x33", .n = 432};
    assert_unsupported(look("a.gsm", &noise), "gsm");
    assert_unsupported(look("A.SLN16", &noise), "sln");
    assert_unsupported(look("a.ulaw", &noise), "ulaw");
    assert_taken(look("a.mp3", &noise), false); /* also a stub of 432 bytes */
    assert_taken(look("a", &noise), false);
}

static ssize_t read_fails(void *ctx, uint64_t offset, void *buffer, size_t n)
{
    (void)ctx, (void)offset, (void)buffer, (void)n;
    return -5;
}

static void a_read_error_is_handed_on(void **state)
{
    (void)state;
    struct media media;
    assert_int_equal(media_look("a.wav", 100, read_fails, NULL, &media), -5);
}

static void no_bytes_of_any_kind_break_it(void **state)
{
    (void)state;
    static const char starts[][24] = {"RIFF\xFF\xFF\xFF\xFFWAVEfmt \xFF\xFF\xFF\xFF",
                                      "RF64\xFF\xFF\xFF\xFFWAVEds64\x1C",
                                      "\0\0\0\1ftyp\xFF\xFF",
                                      "\0\0\0\0ftyp",
                                      "\0\0\0\7ftyp",
                                      "ID3\4\0\0\x7F\x7F\x7F\x7F"};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        for (size_t n = 1; n < 64; n++) {
            struct bytes b = {.n = n};
            memcpy(b.at, starts[i], n < 24 ? n : 24);
            look("a.mp4", &b);
        }
    }
}

static void the_length_is_told_where_the_header_says_it_exactly(void **state)
{
    (void)state;
    enum { SECOND = 16000 };
    struct bytes b = wav(36 + 2000, 2000, 2000, 1);
    assert_int_equal(look("a.wav", &b).duration_ms, 2000 * 1000 / SECOND);
    b = wav(36 + 2000, 2000, 1000, 1); /* cut: what is there counts */
    assert_int_equal(look("a.wav", &b).duration_ms, 1000 * 1000 / SECOND);
    b = wav(0, 0, 1600, 1); /* after a crash */
    assert_int_equal(look("a.wav", &b).duration_ms, 100);
    b = wav(36 + 2000, 2000, 2000, 1);
    b.at[28] ^= 1; /* bytes a second that contradict the rest */
    assert_int_equal(look("a.wav", &b).duration_ms, -1);
    b = wav(36 + 1625, 1625, 1625, 0x31); /* GSM: only the header knows */
    assert_int_equal(look("a.wav", &b).duration_ms, 1625 * 1000 / SECOND);

    b = (struct bytes){.n = 0};
    put(&b, ".snd", 4);
    const uint32_t au[] = {24, UINT32_MAX, 1, 8000, 1};
    for (size_t i = 0; i < 5; i++)
        big(&b, au[i]);
    fill(&b, 800);
    assert_int_equal(look("a.au", &b).duration_ms, 100);

    b = (struct bytes){.n = 0};
    big(&b, 8);
    put(&b, "ftyp", 4);
    big(&b, 8 + 108);
    put(&b, "moov", 4);
    big(&b, 108);
    put(&b, "mvhd", 4);
    const uint32_t mvhd[] = {0, 0, 0, 600, 900};
    for (size_t i = 0; i < 5; i++)
        big(&b, mvhd[i]);
    fill(&b, 80);
    assert_int_equal(look("a.mp4", &b).duration_ms, 1500);

    b = (struct bytes){.n = 0};
    fill(&b, 100);
    assert_int_equal(look("a.mp3", &b).duration_ms, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wav_headers),
        cmocka_unit_test(a_wav_without_audio_is_empty),
        cmocka_unit_test(a_wav_cut_at_every_byte_is_never_taken_as_complete),
        cmocka_unit_test(mp4_needs_its_moov),
        cmocka_unit_test(content_outweighs_the_name),
        cmocka_unit_test(the_name_decides_where_content_says_nothing),
        cmocka_unit_test(the_length_is_told_where_the_header_says_it_exactly),
        cmocka_unit_test(a_read_error_is_handed_on),
        cmocka_unit_test(no_bytes_of_any_kind_break_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
