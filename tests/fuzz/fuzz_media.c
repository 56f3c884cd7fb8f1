/* Media headers. The first byte chooses the name, the second how much larger the file is than the
 * bytes that are here (zeros stand there), the third where reading fails. */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "watcher/media.h"

enum { HEAD = 3, READS_MOST = 300 };

static const char *const names[] = {"a.wav", "a.mp3", "a.mp4", "a.MOV", "a.m4a",  "a.flac", "a.wma",
                                    "a.ogg", "a.au",  "a.3gp", "a.avi", "a.opus", "a",      ".wav"};

struct file {
    const uint8_t *data;
    uint64_t n, size, fails_at;
    bool failed;
    int reads;
};

static ssize_t read_file(void *ctx, uint64_t offset, void *buffer, size_t n)
{
    struct file *file = ctx;
    MUST(offset <= file->size && n <= file->size - offset); /* never asked beyond its size */
    MUST(n > 0 && ++file->reads <= READS_MOST);
    if (offset + n > file->fails_at) {
        file->failed = true;
        return -EIO;
    }
    memset(buffer, 0, n);
    uint64_t here = offset < file->n ? file->n - offset : 0;
    if (here > 0)
        memcpy(buffer, file->data + offset, here < n ? (size_t)here : n);
    return (ssize_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < HEAD)
        return 0;
    const char *name = names[data[0] % (sizeof names / sizeof names[0])];
    struct file file = {.data = data + HEAD, .n = n - HEAD, .fails_at = UINT64_MAX};
    file.size = file.n + (data[1] % 63 > 0 ? (UINT64_C(1) << data[1] % 63) : 0);
    if (file.size > INT64_MAX) /* of a file */
        file.size = INT64_MAX;
    if (data[2] > 0)
        file.fails_at = data[2];
    struct media media = {.kind = WATCH_EMPTY};
    int status = media_look(name, file.size, read_file, &file, &media);
    MUST(status == (file.failed ? -EIO : 0));
    MUST(media.kind == WATCH_TAKEN || media.kind == WATCH_EMPTY || media.kind == WATCH_UNSUPPORTED);
    MUST((media.kind == WATCH_UNSUPPORTED) == (media.name[0] != '\0'));
    MUST(media.duration_ms >= -1);
    MUST(!media.says_open || media.kind == WATCH_TAKEN);
    return 0;
}
