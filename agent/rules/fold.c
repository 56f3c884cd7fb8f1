#include "agent/rules/fold.h"

#include <locale.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <wctype.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static locale_t unicode; /* (locale_t)0 where the C library has none: then ASCII only */

static void open_unicode(void)
{
    unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

static wint_t decode(const char *s, size_t length)
{
    static const unsigned char lead_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    wint_t code = (unsigned char)s[0] & lead_bits[length];
    for (size_t i = 1; i < length; i++)
        code = code << 6 | ((unsigned char)s[i] & 0x3f);
    return code;
}

static char *encode(wint_t code, char *to)
{
    static const unsigned char marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length; i-- > 1; code >>= 6)
        to[i] = (char)(0x80 | (code & 0x3f));
    to[0] = (char)(marks[length] | code);
    return to + length;
}

static char ascii(char c, bool upper)
{
    if (upper)
        return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static char *fold(const char *bytes, bool upper)
{
    pthread_once(&once, open_unicode);
    /* A letter of two bytes or more may gain one byte, one of one byte none. */
    char *folded = mem_zalloc(2 * strlen(bytes) + 1);
    char *to = folded;
    while (*bytes != '\0') {
        size_t length = bytes_utf8_length(bytes);
        if (length <= 1 || unicode == (locale_t)0) {
            *to++ = ascii(*bytes++, upper);
            continue;
        }
        wint_t code = decode(bytes, length);
        to = encode(upper ? towupper_l(code, unicode) : towlower_l(code, unicode), to);
        bytes += length;
    }
    return folded;
}

char *fold_lower(const char *bytes)
{
    return fold(bytes, false);
}

char *fold_upper(const char *bytes)
{
    return fold(bytes, true);
}
