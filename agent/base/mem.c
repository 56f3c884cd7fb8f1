#include "agent/base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

void mem_exhausted(void)
{
    static const char words[] = "chorus-agent: out of memory; the service manager starts it again, "
                                "nothing is lost\n";
    ssize_t ignored = write(STDERR_FILENO, words, sizeof words - 1);
    (void)ignored;
    _exit(EX_OSERR);
}

static void *check(void *p)
{
    if (p == NULL)
        mem_exhausted();
    return p;
}

void *mem_zalloc(size_t size)
{
    return check(calloc(1, size > 0 ? size : 1));
}

void *mem_array(size_t count, size_t size)
{
    return check(calloc(count > 0 ? count : 1, size > 0 ? size : 1));
}

void *mem_resize(void *old, size_t count, size_t size)
{
    return check(reallocarray(old, count > 0 ? count : 1, size));
}

char *mem_string(const char *s)
{
    return s == NULL ? NULL : check(strdup(s));
}

char *mem_bytes_string(const char *s, size_t n)
{
    char *copy = mem_zalloc(n + 1);
    memcpy(copy, s, n);
    return copy;
}

char *mem_printf(const char *format, ...)
{
    char *s = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&s, format, args);
    va_end(args);
    return check(n < 0 ? NULL : s);
}

void mem_replace(char **slot, char *with)
{
    free(*slot);
    *slot = with;
}
