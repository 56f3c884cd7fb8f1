/* What this Chorus holds: the engagements that were stored, and their deletions.
 *
 * Everything is on the disk (stored.jsonl, when there is a directory) before a call returns, and
 * is read back by store_open. All calls may come from any thread. */
#ifndef DOUBLE_STORE_H
#define DOUBLE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cJSON;
struct options;
struct store;

#define STORE_ID_SIZE 33 /* 32 hex digits and a NUL */
#define STORE_NOT_GONE 0

struct engagement {
    uint64_t seq;     /* order of storing, from 1 */
    uint64_t request; /* the request that brought it, as numbered in requests.jsonl */
    char id[STORE_ID_SIZE];
    int64_t stored_ms;
    int64_t gone_ms; /* when its deletion takes effect: STORE_NOT_GONE, a time, OPTIONS_NEVER */
    char *name, *user;
    char *meeting_id, *account_id, *opportunity_id; /* NULL: none */
    uint64_t size;
    char sha256[65];
};

/* What an upload hands over to be stored; `fields` are all text fields of the form. */
struct store_offer {
    uint64_t request; /* its number in requests.jsonl */
    const struct cJSON *fields;
    const char *filename, *content_type;
    uint64_t size;
    const char *sha256;
};

enum store_check { STORE_UNCHECKED, STORE_UNIQUE };
enum store_outcome { STORE_DONE, STORE_CONFLICT };

struct store *store_open(const struct options *options);
void store_close(struct store *store);

/* Whether a meeting_id counts as known, by what is stored and by the calendar. */
bool store_knows(struct store *store, const char *meeting_id);

/* Stores. With STORE_UNIQUE the check of meeting_id and the storing are one step. The id of the
 * new engagement is written to `id`. */
enum store_outcome store_add(struct store *store, const struct store_offer *offer,
                             enum store_check check, char id[STORE_ID_SIZE]);

enum store_deletion { STORE_ACCEPTED, STORE_UNKNOWN };

/* Accepts a deletion; it takes effect as --delete-after says. Asking again changes nothing. */
enum store_deletion store_delete(struct store *store, const char *id, bool force);

enum store_view { VIEW_LIST, VIEW_CONVERSATION };

/* Walks over what a read would show now, newest first, until `visit` returns false. The store is
 * locked meanwhile. */
typedef bool store_visitor(void *context, const struct engagement *engagement);
void store_walk(struct store *store, enum store_view view, store_visitor *visit, void *context);

/* Whether this request stored something, also in an earlier life. */
bool store_has_request(struct store *store, uint64_t request);

struct store_counts {
    uint64_t stored, present, deletions, distinct, doubled;
};

/* doubled: how often a content was stored while a copy of it was already there. */
struct store_counts store_count(struct store *store);

#endif
