#include "uploader/secret.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

bool secret_is_header_safe(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < 0x21 || *text > 0x7e)
            return false;
    }
    return true;
}

void secret_clear(struct secret *secret)
{
    if (secret->text != NULL) {
        explicit_bzero(secret->text, secret->mapped);
        munmap(secret->text, secret->mapped);
    }
    *secret = (struct secret){0};
}

int secret_set(struct secret *secret, const char *text)
{
    struct secret new = {0};
    if (text != NULL && text[0] != '\0') {
        size_t size = strlen(text) + 1;
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        new.mapped = (size + page - 1) / page *page;
        void *pages =
            mmap(NULL, new.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED)
            return -ENOMEM;
        new.text = pages;
        /* Both may be refused by a limit: the token works all the same. */
        (void)mlock(new.text, new.mapped);
        (void)madvise(new.text, new.mapped, MADV_DONTDUMP);
        memcpy(new.text, text, size);
    }
    secret_clear(secret);
    *secret = new;
    return 0;
}
