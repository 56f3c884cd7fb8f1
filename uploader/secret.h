/*
 * The token's place in memory: pages of its own, locked and kept out of core dumps where the system
 * allows, wiped when it is replaced.
 */
#ifndef CHORUS_UPLOADER_SECRET_H
#define CHORUS_UPLOADER_SECRET_H

#include <stdbool.h>
#include <stddef.h>

struct secret {
    char *text; /* NULL: none */
    size_t mapped;
};

/* Visible ASCII only: nothing that could end a header line. */
bool secret_is_header_safe(const char *text);

/* Copies `text`; NULL or "" clears. 0 or -ENOMEM, and then the old one stays. */
int secret_set(struct secret *secret, const char *text);
void secret_clear(struct secret *secret);

#endif
