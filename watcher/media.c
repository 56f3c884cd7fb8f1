#include "watcher/media.h"

#include <string.h>
#include <strings.h>

#include "watcher/names.h"

/* Chunks or boxes that are walked at most: real files have a handful before what we look for. */
enum { WALK_MOST = 64 };

/* A WAV header that claims up to this much more than there is counts as complete: some recorders
 * count their own header in. A copy under way lacks more. */
enum { WAV_TOLERANCE = 64 };

/* Size of the plainest WAV header: what a recording that never began consists of. */
enum { WAV_HEADER = 44 };

struct source {
    media_read read;
    void *ctx;
    uint64_t size;
    int error;
};

/* All n bytes at offset, or false (end of file, or source->error). */
static bool fetch(struct source *source, uint64_t offset, void *buffer, size_t n)
{
    if (offset > source->size || source->size - offset < n) {
        return false;
    }
    ssize_t got = source->read(source->ctx, offset, buffer, n);
    if (got < 0) {
        source->error = (int)got;
        return false;
    }
    return (size_t)got == n;
}

static uint32_t little32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t little64(const unsigned char *p)
{
    return little32(p) | (uint64_t)little32(p + 4) << 32;
}

static uint32_t big32(const unsigned char *p)
{
    return (uint32_t)p[3] | (uint32_t)p[2] << 8 | (uint32_t)p[1] << 16 | (uint32_t)p[0] << 24;
}

struct wav {
    bool wide;           /* RF64: sizes stand in a chunk "ds64" */
    uint32_t riff;       /* as the header says */
    bool format, data;   /* chunks met */
    bool ended;          /* the chunks end where the file does */
    uint64_t data_at;    /* first byte of audio */
    uint64_t data_bytes; /* as the header says */
    uint64_t rate;       /* bytes a second, 0: not known */
    uint64_t wide_bytes;
};

static uint64_t little16(const unsigned char *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8;
}

/* Of plain samples the header says the same thing twice; where it does not, it is not believed. */
static uint64_t wav_rate(const unsigned char *format)
{
    enum { PCM = 1, FLOATS = 3, ALAW = 6, ULAW = 7 };
    uint64_t tag = little16(format), channels = little16(format + 2), rate = little32(format + 4);
    uint64_t bytes = little32(format + 8), bits = little16(format + 14);
    bool plain = tag == PCM || tag == FLOATS || tag == ALAW || tag == ULAW;
    if (plain && bytes * 8 != rate * channels * bits) {
        return 0;
    }
    return bytes;
}

static void walk_wav(struct source *source, struct wav *wav)
{
    uint64_t at = 12;
    for (int i = 0; i < WALK_MOST; i++) {
        unsigned char head[8], sizes[16];
        if (at == source->size) {
            wav->ended = true;
        }
        if (!fetch(source, at, head, sizeof head)) {
            return;
        }
        uint64_t bytes = little32(head + 4);
        if (memcmp(head, "data", 4) == 0) {
            wav->data = true;
            wav->data_at = at + 8;
            wav->data_bytes = wav->wide ? wav->wide_bytes : bytes;
            return;
        }
        unsigned char format[16];
        if (memcmp(head, "fmt ", 4) == 0 && !wav->format) {
            wav->format = true;
            wav->rate = bytes >= sizeof format && fetch(source, at + 8, format, sizeof format)
                            ? wav_rate(format)
                            : 0;
        }
        if (wav->wide && memcmp(head, "ds64", 4) == 0 && fetch(source, at + 8, sizes, 16)) {
            wav->wide_bytes = little64(sizes + 8);
        }
        at += 8 + bytes + (bytes & 1);
    }
}

/* How long so many bytes last. */
static int64_t length_of(uint64_t bytes, uint64_t bytes_a_second)
{
    if (bytes_a_second == 0 || bytes > UINT64_MAX / 1000) {
        return -1;
    }
    return (int64_t)(bytes * 1000 / bytes_a_second);
}

static void judge_wav(struct source *source, const unsigned char *head, struct media *out)
{
    struct wav wav = {.wide = memcmp(head, "RIFF", 4) != 0, .riff = little32(head + 4)};
    walk_wav(source, &wav);
    if (!wav.format || !wav.data) {
        out->kind = wav.format && wav.ended ? WATCH_EMPTY : WATCH_TAKEN;
        return;
    }
    uint64_t there = source->size - wav.data_at;
    bool whole = (uint64_t)wav.riff + 8 == source->size;
    if (there == 0 || (wav.data_bytes == 0 && whole)) {
        out->kind = WATCH_EMPTY;
    } else if (wav.data_bytes == 0 || (!wav.wide && (wav.riff == 0 || wav.riff == UINT32_MAX))) {
        out->says_open = true;
    } else {
        out->says_open = wav.data_bytes > there && wav.data_bytes - there > WAV_TOLERANCE;
    }
    /* after a crash the header says nothing of what is there */
    uint64_t audio = wav.data_bytes == 0 || wav.data_bytes > there ? there : wav.data_bytes;
    out->duration_ms = length_of(audio, wav.rate);
}

/* Sun's .snd: where the samples begin, how many bytes, of which kind, and how often. */
static void judge_au(struct source *source, struct media *out)
{
    static const uint64_t sample_bytes[] = {
        [1] = 1, [2] = 1, [3] = 2, [4] = 3, [5] = 4, [6] = 4, [7] = 8, [27] = 1};
    unsigned char head[24];
    if (!fetch(source, 0, head, sizeof head)) {
        return;
    }
    uint64_t at = big32(head + 4), bytes = big32(head + 8), kind = big32(head + 12);
    uint64_t rate = big32(head + 16), channels = big32(head + 20);
    if (at >= source->size || kind >= sizeof sample_bytes / sizeof *sample_bytes ||
        channels > 256) {
        return;
    }
    uint64_t there = source->size - at;
    uint64_t audio = bytes == UINT32_MAX || bytes > there ? there : bytes;
    out->duration_ms = length_of(audio, rate * channels * sample_bytes[kind]);
}

/* Whether these are the first bytes of an ISO or QuickTime file. Without "ftyp" the name decides
 * too: the old types are words that may stand anywhere. */
static bool is_boxes(const unsigned char *head, const char *name)
{
    static const char *const first[] = {"moov", "mdat", "wide", "free", "skip"};
    static const char *const named[] = {"mp4", "m4a", "m4v", "mov", "3gp", "3g2"};
    if (memcmp(head + 4, "ftyp", 4) == 0) {
        return true;
    }
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        for (size_t j = 0; j < sizeof named / sizeof *named; j++) {
            if (memcmp(head + 4, first[i], 4) == 0 &&
                strcasecmp(names_extension(name), named[j]) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* "mvhd" is the first box in "moov": how many ticks of which length. A film in fragments says 0. */
static int64_t moov_length(struct source *source, uint64_t at)
{
    unsigned char head[40];
    if (!fetch(source, at, head, sizeof head) || memcmp(head + 4, "mvhd", 4) != 0) {
        return -1;
    }
    bool wide = head[8] == 1;
    uint64_t scale = big32(head + (wide ? 28 : 20));
    uint64_t ticks = wide ? (uint64_t)big32(head + 32) << 32 | big32(head + 36) : big32(head + 24);
    if (scale == 0 || ticks == 0 || ticks == UINT32_MAX || ticks > UINT64_MAX / 1000) {
        return -1;
    }
    return (int64_t)(ticks * 1000 / scale);
}

/* Unfinished while there is no whole "moov". */
static bool lacks_moov(struct source *source, struct media *out)
{
    uint64_t at = 0;
    for (int i = 0; i < WALK_MOST; i++) {
        unsigned char head[16];
        if (!fetch(source, at, head, 8)) {
            return true;
        }
        uint64_t bytes = big32(head);
        if (bytes == 1) {
            if (!fetch(source, at, head, 16)) {
                return true;
            }
            bytes = (uint64_t)big32(head + 8) << 32 | big32(head + 12);
        } else if (bytes == 0) { /* to the end of the file */
            bytes = source->size - at;
        }
        bool inside = bytes >= 8 && bytes <= source->size - at;
        if (inside && memcmp(head + 4, "moov", 4) == 0) {
            out->duration_ms = moov_length(source, at + (big32(head) == 1 ? 16 : 8));
            return false;
        }
        if (!inside) {
            return true;
        }
        at += bytes;
    }
    return false;
}

/* fLaC may stand behind an ID3 tag, whose size is written in four groups of seven bits. */
static bool is_flac(struct source *source, const unsigned char *head)
{
    unsigned char mark[4];
    if (memcmp(head, "fLaC", 4) == 0) {
        return true;
    }
    if (memcmp(head, "ID3", 3) != 0) {
        return false;
    }
    uint64_t tag = (uint64_t)(head[6] & 127) << 21 | (uint64_t)(head[7] & 127) << 14 |
                   (uint64_t)(head[8] & 127) << 7 | (uint64_t)(head[9] & 127);
    return fetch(source, 10 + tag, mark, 4) && memcmp(mark, "fLaC", 4) == 0;
}

/* Other formats that Chorus takes: then a name that says otherwise is wrong. */
static bool is_taken(const unsigned char *head)
{
    static const unsigned char ebml[] = {0x1A, 0x45, 0xDF, 0xA3};
    return memcmp(head, "OggS", 4) == 0 || memcmp(head, ".snd", 4) == 0 ||
           memcmp(head, "ID3", 3) == 0 || memcmp(head, "FLV\1", 4) == 0 ||
           memcmp(head, ebml, 4) == 0 ||
           (memcmp(head, "RIFF", 4) == 0 && memcmp(head + 8, "AVI ", 4) == 0);
}

static bool is_wave(const unsigned char *head)
{
    return (memcmp(head, "RIFF", 4) == 0 || memcmp(head, "RF64", 4) == 0 ||
            memcmp(head, "BW64", 4) == 0) &&
           memcmp(head + 8, "WAVE", 4) == 0;
}

static void refuse(struct media *out, const char *name)
{
    out->kind = WATCH_UNSUPPORTED;
    out->name = name;
}

int media_look(const char *name, uint64_t size, media_read read, void *ctx, struct media *out)
{
    static const unsigned char asf[] = {0x30, 0x26, 0xB2, 0x75, 0x8E, 0x66, 0xCF, 0x11};
    struct source source = {.read = read, .ctx = ctx, .size = size};
    unsigned char head[16] = {0};
    const char *by_name = names_unsupported(name);
    *out = (struct media){.kind = WATCH_TAKEN, .name = "", .duration_ms = -1};
    if (size == 0) {
        out->kind = WATCH_EMPTY;
        return 0;
    }
    fetch(&source, 0, head, size < sizeof head ? (size_t)size : sizeof head);
    if (memcmp(head, "RIFF", 4) == 0 && size <= WAV_HEADER) {
        out->kind = WATCH_EMPTY;
    } else if (is_wave(head)) {
        judge_wav(&source, head, out);
    } else if (is_flac(&source, head)) {
        refuse(out, "flac");
    } else if (memcmp(head, asf, sizeof asf) == 0) {
        refuse(out, "wma");
    } else if (is_boxes(head, name)) {
        out->says_open = lacks_moov(&source, out);
    } else if (memcmp(head, ".snd", 4) == 0) {
        judge_au(&source, out);
    } else if (by_name && !is_taken(head)) {
        refuse(out, by_name);
    }
    return source.error;
}
