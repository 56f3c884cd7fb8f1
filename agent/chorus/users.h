/*
 * The users of Chorus, by e-mail address: the owners that a recording can be given to. The schema
 * of the list is not published, so every string in it that is an e-mail address counts, also where
 * it is a key. Kept in a file, one address a line, so that a list that cannot be reached blocks
 * nothing as long as an older one is there. One thread at a time.
 */
#ifndef CHORUS_CHORUS_USERS_H
#define CHORUS_CHORUS_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the list begins. */
#define USERS_TARGET "/v3/users"

struct users;

struct users *users_new(void);
void users_free(struct users *users);

/* Adds what one answer of GET /v3/users holds. How many were new, or -1: it is no JSON. `next` (new
 * string) gets the target of the next page, NULL: there is none. */
long users_add_answer(struct users *users, const char *body, char **next);

size_t users_count(const struct users *users);
/* In order, as Chorus writes it. */
const char *users_at(const struct users *users, size_t i);
/* Case is ignored. */
bool users_has(const struct users *users, const char *email);
/* 64 bits over all of them. */
uint64_t users_digest(const struct users *users);

/* The list that was kept in `state_dir`, or NULL: none, or it cannot be read. */
struct users *users_load(const char *state_dir);
/* Keeps it: there whole, or the older one stays. 0 or negative errno. */
int users_save(const struct users *users, const char *state_dir);

#endif
