#include "base.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

_Noreturn void base_die(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fputs("chorus-double: ", stderr);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
    exit(70);
}

void *base_need(size_t size)
{
    void *memory = calloc(1, size > 0 ? size : 1);
    if (memory == NULL) {
        base_die("out of memory");
    }
    return memory;
}

void *base_grow(void *old, size_t count, size_t size)
{
    void *memory = reallocarray(old, count, size);
    if (memory == NULL) {
        base_die("out of memory");
    }
    return memory;
}

char *base_copy(const char *text)
{
    return base_copy_bytes(text, strlen(text));
}

char *base_copy_bytes(const char *bytes, size_t size)
{
    char *copy = base_need(size + 1);
    if (size > 0) {
        memcpy(copy, bytes, size);
    }
    return copy;
}

char *base_text(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    char *text = NULL;
    int size = vasprintf(&text, format, list);
    va_end(list);
    if (size < 0) {
        base_die("out of memory");
    }
    return text;
}

/* How many bytes the UTF-8 character at `at` has; 0 when it is none (or a NUL). */
static size_t utf8_size(const unsigned char *at, size_t left)
{
    if (at[0] < 0x80) {
        return at[0] == 0 ? 0 : 1;
    }
    size_t size = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4 || left < size) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool outside = (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf4 && at[1] > 0x8f);
    return overlong || outside ? 0 : size;
}

char *base_shown(const char *bytes, size_t size, bool *clean)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *from = (const unsigned char *)bytes;
    char *shown = base_need(size * 4 + 1);
    size_t used = 0;
    bool all_valid = true;
    for (size_t i = 0; i < size;) {
        size_t width = utf8_size(from + i, size - i);
        if (width == 0) {
            char escape[4] = {'\\', 'x', digits[from[i] >> 4], digits[from[i] & 15]};
            memcpy(shown + used, escape, sizeof escape);
            used += sizeof escape;
            all_valid = false;
            i++;
            continue;
        }
        memcpy(shown + used, from + i, width);
        used += width;
        i += width;
    }
    if (clean != NULL) {
        *clean = all_valid;
    }
    return shown;
}

char *base_read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return NULL;
    }
    char *bytes = NULL;
    size_t used = 0;
    size_t got = 0;
    do {
        bytes = base_grow(bytes, used + 65536 + 1, 1);
        got = fread(bytes + used, 1, 65536, file);
        used += got;
    } while (got > 0);
    int trouble = ferror(file) ? EIO : 0;
    fclose(file);
    if (trouble != 0) {
        free(bytes);
        errno = trouble;
        return NULL;
    }
    bytes[used] = '\0';
    if (size != NULL) {
        *size = used;
    }
    return bytes;
}

bool base_number(const char *text, uint64_t *number)
{
    size_t length = strlen(text);
    if (length == 0 || length > 18 || strspn(text, "0123456789") != length) {
        return false; /* 18 digits cannot overflow */
    }
    *number = strtoull(text, NULL, 10);
    return true;
}

int64_t base_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void base_time(int64_t at_ms, char shown[BASE_TIME_SIZE])
{
    time_t seconds = (time_t)(at_ms / 1000);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) == NULL) {
        base_die("a time that no calendar knows");
    }
    char day[BASE_TIME_SIZE - 6];
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(shown, BASE_TIME_SIZE, "%s.%03dZ", day, (int)(at_ms % 1000));
}
