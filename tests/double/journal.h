/* What arrived: requests.jsonl, one line for every request header block.
 *
 * A line is written when the request's outcome is decided, before the answer leaves; arrivals.jsonl
 * holds the arrival itself at once. Requests that a killed double left without an outcome get
 * their line at the next start ("ended": "the double ended first"), so that no header block is
 * ever missing from the count. */
#ifndef DOUBLE_JOURNAL_H
#define DOUBLE_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

struct cJSON;
struct journal;
struct options;
struct store;

/* `store` tells which of the unfinished requests of an earlier life had arrived whole. */
struct journal *journal_open(const struct options *options, struct store *store);
void journal_close(struct journal *journal);

/* A number for a new TCP connection: unique, also over restarts. */
uint64_t journal_connection(struct journal *journal);

/* A header block arrived. Returns the line to complete: it holds n, at, method, path and
 * connection. */
struct cJSON *journal_arrive(struct journal *journal, const char *method, const char *path,
                             uint64_t connection);

/* Writes a completed line, which must have `whole`, `status` and `offences`; takes it over. */
void journal_finish(struct journal *journal, struct cJSON *line);

struct journal_counts {
    uint64_t requests, posts, whole, offences, connections;
};

/* posts: header blocks of POST /v3/upload; whole: those whose body arrived complete; offences:
 * requests with at least one. */
struct journal_counts journal_count(struct journal *journal);

#endif
