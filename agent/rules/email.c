#include "agent/rules/email.h"

#include <stddef.h>
#include <string.h>

#define DIGITS "0123456789"
#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS

enum { WHOLE_MAX = 254, LOCAL_MAX = 64, LABEL_MAX = 63 }; /* RFC 5321, 4.5.3.1; RFC 1035, 2.3.4 */

static bool local_is_valid(const char *local, size_t length)
{
    if (length == 0 || length > LOCAL_MAX)
        return false;
    size_t at = 0;
    while (at < length) {
        size_t atom = strspn(local + at, ALNUM "!#$%&'*+-/=?^_`{|}~");
        if (atom == 0)
            return false;
        at += atom;
        if (at == length)
            return true;
        if (local[at] != '.')
            return false;
        at++;
    }
    return false; /* it ended with a dot */
}

static bool label_is_valid(const char *label, size_t length)
{
    return length > 0 && length <= LABEL_MAX && strspn(label, ALNUM "-") >= length &&
           label[0] != '-' && label[length - 1] != '-';
}

static bool domain_is_valid(const char *domain)
{
    size_t labels = 0;
    for (;;) {
        size_t length = strcspn(domain, ".");
        if (!label_is_valid(domain, length))
            return false;
        labels++;
        if (domain[length] == '\0')
            return labels > 1 && strspn(domain, DIGITS) < length;
        domain += length + 1;
    }
}

bool email_is_valid(const char *text)
{
    const char *at = strchr(text, '@');
    return at != NULL && strlen(text) <= WHOLE_MAX && local_is_valid(text, (size_t)(at - text)) &&
           domain_is_valid(at + 1);
}
