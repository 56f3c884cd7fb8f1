/*
 * The audit of deletions: rows that are only added. Each carries a digest of the row before it and
 * of itself, so that a change and a row taken out show. The details (path, name, owner, who asked)
 * enter it by a salted digest only: they can be wiped, salt and all, and the chain stays whole.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/ledger/internal.h"
#include "watcher/digest.h"

enum { SALT = 16, HEX = 2 * 32 + 1 };
static const char no_link[HEX] = "0000000000000000000000000000000000000000000000000000000000000000";

void ledger_digest(const void *bytes, size_t n, uint8_t sha256[32])
{
    if (digest_of(bytes, n, sha256) == 0) /* GCOV_EXCL_BR_LINE: refused only without memory */
        return;
    mem_exhausted(); /* GCOV_EXCL_LINE */
}

static const char *or_none(const char *text)
{
    return text != NULL ? text : "-";
}

static void hex_digest(const void *bytes, size_t n, char hex[HEX])
{
    uint8_t sha256[32];
    ledger_digest(bytes, n, sha256);
    bytes_to_hex(sha256, sizeof sha256, hex);
}

static void digest_details(const uint8_t salt[SALT], const char *details, char hex[HEX])
{
    size_t n = strlen(details);
    uint8_t *bytes = mem_array(SALT + n, 1);
    memcpy(bytes, salt, SALT);
    memcpy(bytes + SALT, details, n);
    hex_digest(bytes, SALT + n, hex);
    explicit_bzero(bytes, SALT + n);
    free(bytes);
}

/* The parts are set off by line feeds; none can hold one: they are hex, our own words, or escaped.
 */
static void chain(const char *before, int64_t number, int64_t at_ms, const char *event,
                  const char *sha256, const char *call_hash, const char *engagement_id, int status,
                  const char *details_digest, char link[HEX])
{
    char *text = mem_printf("%s\n%" PRId64 "\n%" PRId64 "\n%s\n%s\n%s\n%s\n%d\n%s", before, number,
                            at_ms, event, or_none(sha256), or_none(call_hash),
                            or_none(engagement_id), status, details_digest);
    hex_digest(text, strlen(text), link);
    free(text);
}

static int64_t last_row(struct ledger *ledger, char link[HEX])
{
    struct query *query =
        db_query(ledger->db, "SELECT number, link FROM audit ORDER BY number DESC LIMIT 1");
    int64_t number = 0;
    memcpy(link, no_link, HEX);
    if (query_step(query)) {
        char *text = query_string(query, 1);
        number = query_int(query, 0);
        snprintf(link, HEX, "%s", or_none(text));
        free(text);
    }
    query_end(query);
    return number;
}

void audit_add(struct ledger *ledger, const struct audit_entry *entry, int64_t now_ms)
{
    char before[HEX], link[HEX], details_digest[HEX];
    uint8_t salt[SALT];
    ledger_write(ledger);
    int64_t number = last_row(ledger, before) + 1;
    if (getrandom(salt, sizeof salt, 0) != sizeof salt) /* GCOV_EXCL_BR_LINE: never so few bytes */
        memset(salt, 0, sizeof salt);
    char *engagement_id = entry->engagement_id != NULL ? bytes_escape(entry->engagement_id) : NULL;
    digest_details(salt, entry->details, details_digest);
    chain(before, number, now_ms, entry->event, entry->sha256, entry->call_hash, engagement_id,
          entry->status, details_digest, link);
    struct query *query =
        db_query(ledger->db,
                 "INSERT INTO audit(number, at_ms, event, sha256, call_hash, engagement_id, status,"
                 " recording, request, salt, details, details_digest, link)"
                 " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    query_bind_int(query, 1, number);
    query_bind_int(query, 2, now_ms);
    query_bind_text(query, 3, entry->event);
    query_bind_text(query, 4, entry->sha256);
    query_bind_text(query, 5, entry->call_hash);
    query_bind_text(query, 6, engagement_id);
    query_bind_int(query, 7, entry->status);
    query_bind_int_or_null(query, 8, entry->recording);
    query_bind_int_or_null(query, 9, entry->request);
    query_bind_blob(query, 10, salt, sizeof salt);
    query_bind_text(query, 11, entry->details);
    query_bind_text(query, 12, details_digest);
    query_bind_text(query, 13, link);
    query_run(query);
    free(engagement_id);
}

void audit_wipe(struct ledger *ledger, int64_t recording, int64_t request)
{
    /* two statements, for an index each */
    struct query *query =
        recording != 0
            ? db_query(ledger_write(ledger), "UPDATE audit SET details = NULL, salt = NULL WHERE"
                                             " recording = ? AND details IS NOT NULL")
            : db_query(ledger_write(ledger), "UPDATE audit SET details = NULL, salt = NULL WHERE"
                                             " request = ? AND details IS NOT NULL");
    query_bind_int(query, 1, recording != 0 ? recording : request);
    query_run(query);
}

/* --- reading --- */

struct row {
    struct ledger_audit_row shown;
    char *event, *sha256, *call_hash, *engagement_id, *details, *details_digest, *link;
    uint8_t salt[SALT];
    bool has_salt;
};

#define COLUMNS                                                                                    \
    "SELECT number, at_ms, event, sha256, call_hash, engagement_id, status, details,"              \
    " details_digest, link, salt FROM audit WHERE number > ? ORDER BY number"

static void read_row(const struct query *query, struct row *row)
{
    size_t n = 0;
    *row = (struct row){
        .event = query_string(query, 2),
        .sha256 = query_string(query, 3),
        .call_hash = query_string(query, 4),
        .engagement_id = query_string(query, 5),
        .details = query_string(query, 7),
        .details_digest = query_string(query, 8),
        .link = query_string(query, 9),
    };
    const void *salt = query_blob(query, 10, &n);
    row->has_salt = n == SALT;
    if (row->has_salt)
        memcpy(row->salt, salt, SALT);
    row->shown = (struct ledger_audit_row){
        .number = query_int(query, 0),
        .at_ms = query_int(query, 1),
        .event = row->event,
        .sha256 = row->sha256,
        .call_hash = row->call_hash,
        .engagement_id = row->engagement_id,
        .status = (int)query_int(query, 6),
        .details = row->details,
        .wiped = !row->has_salt,
        .link = row->link,
    };
}

static void clear_row(struct row *row)
{
    free(row->event);
    free(row->sha256);
    free(row->call_hash);
    free(row->engagement_id);
    free(row->details);
    free(row->details_digest);
    free(row->link);
}

size_t ledger_audit_each(struct ledger *ledger, int64_t after,
                         void (*each)(void *ctx, const struct ledger_audit_row *row), void *ctx)
{
    size_t count = 0;
    struct query *query = db_query(ledger->db, COLUMNS);
    query_bind_int(query, 1, after);
    for (; query_step(query); count++) {
        struct row row;
        read_row(query, &row);
        each(ctx, &row.shown);
        clear_row(&row);
    }
    return count;
}

/* What is wrong with a row, static; NULL: it fits behind `before`, at `number`. */
static const char *misfit(const struct row *row, int64_t number, const char *before)
{
    char link[HEX], details_digest[HEX];
    const struct ledger_audit_row *shown = &row->shown;
    if (shown->number != number)
        return "the row before it is missing";
    if (row->has_salt) {
        digest_details(row->salt, or_none(row->details), details_digest);
        if (strcmp(details_digest, or_none(row->details_digest)) != 0)
            return "its details were changed";
    } else if (row->details != NULL) {
        return "its details were put in later";
    }
    chain(before, shown->number, shown->at_ms, or_none(row->event), row->sha256, row->call_hash,
          row->engagement_id, shown->status, or_none(row->details_digest), link);
    return strcmp(link, or_none(row->link)) == 0 ? NULL : "it was changed";
}

/* SQLite remembers the highest number that was ever given. */
static int64_t highest_given(struct ledger *ledger)
{
    return query_number(
        db_query(ledger->db, "SELECT seq FROM sqlite_sequence WHERE name = 'audit'"));
}

int64_t ledger_audit_verify(struct ledger *ledger, int64_t *rows, char head[HEX], char **why)
{
    int64_t bad = 0, number = 0;
    struct query *query = db_query(ledger->db, COLUMNS);
    query_bind_int(query, 1, 0);
    memcpy(head, no_link, HEX);
    *why = NULL;
    while (bad == 0 && query_step(query)) {
        struct row row;
        read_row(query, &row);
        const char *wrong = misfit(&row, ++number, head);
        if (wrong != NULL) {
            bad = number;
            *why = mem_string(wrong);
        }
        snprintf(head, HEX, "%s", or_none(row.link));
        clear_row(&row);
    }
    query_end(query);
    if (bad == 0 && highest_given(ledger) > number) {
        bad = number + 1;
        *why = mem_string("the last rows are missing");
    }
    *rows = number;
    return bad;
}
