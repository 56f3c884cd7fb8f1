#include "fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char *copy_string(const uint8_t *bytes, size_t n)
{
    char *text = calloc(1, n + 1);
    MUST(text != NULL);
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != 0)
            text[used++] = (char)bytes[i];
    }
    char *exact = strdup(text); /* so that reading behind it is seen */
    free(text);
    MUST(exact != NULL);
    return exact;
}

char *fuzz_line(struct fuzz_input *input)
{
    size_t n = 0;
    while (n < input->n && input->data[n] != '\n')
        n++;
    char *line = copy_string(input->data, n);
    n += n < input->n;
    input->data += n;
    input->n -= n;
    return line;
}

char *fuzz_rest(struct fuzz_input *input, size_t *n)
{
    char *bytes = malloc(input->n);
    MUST(bytes != NULL || input->n == 0);
    if (input->n > 0)
        memcpy(bytes, input->data, input->n);
    *n = input->n;
    *input = (struct fuzz_input){NULL, 0};
    return bytes;
}

char *fuzz_text(struct fuzz_input *input)
{
    char *text = input->n > 0 ? strndup((const char *)input->data, input->n) : strdup("");
    MUST(text != NULL);
    *input = (struct fuzz_input){NULL, 0};
    return text;
}

const char *fuzz_file(int which, const void *bytes, size_t n)
{
    static int files[2] = {-1, -1};
    static char paths[2][40];
    int *file = &files[which];
    if (*file < 0) {
        *file = memfd_create("fuzz", MFD_CLOEXEC);
        MUST(*file >= 0);
        snprintf(paths[which], sizeof paths[which], "/proc/self/fd/%d", *file);
    }
    MUST(ftruncate(*file, 0) == 0);
    MUST(pwrite(*file, n > 0 ? bytes : "", n, 0) == (ssize_t)n);
    return paths[which];
}

/* Length of the UTF-8 character at `at`, 0 if there is none; *code is what it stands for. Not the
 * agent's own reader, which is under test. */
static size_t read_character(const unsigned char *at, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = at[0] < 0x80 ? 1 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    if ((at[0] >= 0x80 && at[0] < 0xc0) || at[0] > 0xf7)
        return 0;
    *code = length == 1 ? at[0] : at[0] & (0xffU >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (at[i] & 0x3f);
    }
    bool surrogate = *code >= 0xd800 && *code <= 0xdfff;
    return *code >= least[length] && *code <= 0x10ffff && !surrogate ? length : 0;
}

bool fuzz_is_showable(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at != 0) {
        uint32_t code = 0;
        size_t length = read_character(at, &code);
        if (length == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0))
            return false;
        at += length;
    }
    return true;
}
