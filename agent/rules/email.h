/* Whether a text is an e-mail address as Chorus knows its users by. Any thread. */
#ifndef CHORUS_RULES_EMAIL_H
#define CHORUS_RULES_EMAIL_H

#include <stdbool.h>

/* Strict and practical: ASCII; one @; before it a dot-atom of at most 64 bytes (RFC 5322, no
 * quotes, no comments); behind it a domain of two or more labels (letters, digits, inner hyphens;
 * the last not of digits only); at most 254 bytes in all. */
bool email_is_valid(const char *text);

#endif
