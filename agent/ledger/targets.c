/*
 * Targets: what a line of a deletion request matches, by the ledger's indexes. A recording stands
 * for its whole call: the twins by call key are found with it.
 */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/ledger/internal.h"

struct resolving {
    struct ledger *ledger;
    int64_t request;
    int64_t from_ms, to_ms; /* 0: open */
    unsigned line;
    enum target_kind kind;
    char *value;
    size_t found;   /* findings of this line */
    bool passed_by; /* something matched, but not within @from and @to */
};

/* --- findings --- */

static void add_finding(struct resolving *r, int64_t recording, const char *path,
                        const char *engagement_id, enum erasure_outcome outcome, const char *reason)
{
    struct query *query =
        db_query(ledger_write(r->ledger), "INSERT INTO finding(request, line, recording, path,"
                                          " engagement_id, outcome, reason, marked)"
                                          " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6 <> 0)");
    query_bind_int(query, 1, r->request);
    query_bind_int(query, 2, r->line);
    query_bind_int_or_null(query, 3, recording);
    if (path != NULL)
        query_bind_blob(query, 4, path, strlen(path));
    query_bind_text(query, 5, engagement_id);
    query_bind_int(query, 6, outcome);
    query_bind_text(query, 7, reason);
    query_run(query);
    r->found++;
}

static bool is_found_already(struct resolving *r, int64_t recording)
{
    struct query *query = db_query(
        r->ledger->db, "SELECT 1 FROM finding WHERE request = ? AND line = ? AND recording = ?");
    query_bind_int(query, 1, r->request);
    query_bind_int(query, 2, r->line);
    query_bind_int(query, 3, recording);
    return query_number(query) != 0;
}

static bool is_in_time(struct resolving *r, int64_t recording)
{
    struct query *query = db_query(r->ledger->db, "SELECT mtime_ms FROM recording WHERE id = ?");
    query_bind_int(query, 1, recording);
    int64_t at = query_number(query);
    bool in_time = at >= r->from_ms && (r->to_ms == 0 || at < r->to_ms);
    if (!in_time)
        r->passed_by = true;
    return in_time;
}

void ids_add(struct ids *ids, int64_t id)
{
    if (ids->count == ids->room) {
        ids->room = 2 * ids->room + 64;
        ids->items = mem_resize(ids->items, ids->room, sizeof *ids->items);
    }
    ids->items[ids->count++] = id;
}

void recording_call(struct ledger *ledger, int64_t recording, struct ids *call)
{
    struct query *query = db_query(
        ledger->db, "SELECT id FROM recording WHERE id = ?1"
                    " UNION SELECT twin_of FROM recording WHERE id = ?1 AND twin_of IS NOT NULL"
                    " UNION SELECT id FROM recording WHERE twin_of = ?1"
                    " UNION SELECT id FROM recording WHERE twin_of ="
                    "  (SELECT twin_of FROM recording WHERE id = ?1)"
                    " UNION SELECT id FROM recording WHERE call_key ="
                    "  (SELECT call_key FROM recording WHERE id = ?1)");
    query_bind_int(query, 1, recording);
    while (query_step(query))
        ids_add(call, query_int(query, 0));
}

static void find(struct resolving *r, int64_t recording)
{
    struct ids call = {0};
    if (!is_in_time(r, recording))
        return;
    recording_call(r->ledger, recording, &call);
    for (size_t i = 0; i < call.count; i++) {
        if (!is_found_already(r, call.items[i]))
            add_finding(r, call.items[i], NULL, NULL, OUTCOME_NONE, NULL);
    }
    free(call.items);
}

/* A file that was never uploaded and has no checksum yet, or none any more. */
static void block_path(struct resolving *r, const char *path)
{
    uint8_t key[WIPED_PATH];
    wiped_path(path, key);
    struct query *query = db_query(ledger_write(r->ledger),
                                   "INSERT OR IGNORE INTO path_block(path, request) VALUES(?, ?)");
    query_bind_blob(query, 1, key, sizeof key);
    query_bind_int(query, 2, r->request);
    query_run(query);
    add_finding(r, 0, path, NULL, OUTCOME_NEVER_UPLOADED,
                "it was not uploaded; what stands at this path is blocked");
}

static void find_all(struct resolving *r, struct ids *ids)
{
    for (size_t i = 0; i < ids->count; i++)
        find(r, ids->items[i]);
    free(ids->items);
}

/* Every recording that a query finds. */
static void find_each(struct resolving *r, struct query *query)
{
    struct ids ids = {0};
    while (query_step(query))
        ids_add(&ids, query_int(query, 0));
    find_all(r, &ids);
}

/* --- each kind --- */

static bool is_skipped_path(struct ledger *ledger, const char *path)
{
    struct query *query = db_query(
        ledger->db, "SELECT 1 FROM path WHERE path = ? AND current = 1 AND recording IS NULL");
    query_bind_blob(query, 1, path, strlen(path));
    return query_number(query) != 0;
}

static void by_path(struct resolving *r)
{
    struct query *query = db_query(r->ledger->db, "SELECT DISTINCT recording FROM path WHERE path ="
                                                  " ? AND recording IS NOT NULL");
    query_bind_blob(query, 1, r->value, strlen(r->value));
    find_each(r, query);
    if (is_skipped_path(r->ledger, r->value))
        block_path(r, r->value);
}

static void by_name(struct resolving *r)
{
    struct query *query = db_query(r->ledger->db, "SELECT DISTINCT recording FROM path WHERE file ="
                                                  " ? AND recording IS NOT NULL");
    query_bind_blob(query, 1, r->value, strlen(r->value));
    find_each(r, query);
}

bool target_glob_fits(const char *pattern, const char *path)
{
    return fnmatch(pattern, path, FNM_PATHNAME) == 0;
}

/* From the first character that is not literal on, every path below has to be tried. */
static char *literal_start(const char *pattern)
{
    return mem_bytes_string(pattern, strcspn(pattern, "*?[\\"));
}

static void by_glob(struct resolving *r)
{
    char *from = literal_start(r->value);
    char *to = mem_printf("%s\xff", from);
    struct ids ids = {0};
    struct query *query =
        db_query(r->ledger->db, "SELECT path, recording FROM path WHERE path >= ?1 AND path < ?2"
                                " AND recording IS NOT NULL");
    query_bind_blob(query, 1, from, strlen(from));
    query_bind_blob(query, 2, to, strlen(to));
    while (query_step(query)) {
        char *path = query_string(query, 0);
        if (target_glob_fits(r->value, path))
            ids_add(&ids, query_int(query, 1));
        free(path);
    }
    find_all(r, &ids);
    free(from);
    free(to);
}

static void by_sha256(struct resolving *r)
{
    uint8_t sha256[32] = {0};
    bytes_from_hex(r->value, sha256, sizeof sha256); /* the reader has judged it */
    struct query *query = db_query(r->ledger->db, "SELECT id FROM recording WHERE sha256 = ?");
    query_bind_blob(query, 1, sha256, sizeof sha256);
    find_each(r, query);
}

static void by_engagement(struct resolving *r)
{
    /* ids are 32 hex digits (API document): either case is the same id */
    struct query *query =
        db_query(r->ledger->db, "SELECT id FROM recording WHERE engagement_id IN (?1, upper(?1),"
                                " lower(?1))");
    query_bind_text(query, 1, r->value);
    find_each(r, query);
    if (r->found > 0 || r->passed_by)
        return;
    if (r->from_ms != 0 || r->to_ms != 0)
        add_finding(r, 0, NULL, r->value, OUTCOME_REFUSED,
                    "the ledger does not know this engagement, so its date cannot be held against "
                    "@from and @to");
    else
        add_finding(r, 0, NULL, r->value, OUTCOME_NONE, NULL);
}

static void by_phone(struct resolving *r)
{
    char *key = fields_phone_key(r->value); /* the reader has counted the digits */
    /* what ends with these digits: ':' follows '9' */
    char *to = mem_printf("%s:", key);
    struct query *query =
        db_query(r->ledger->db, "SELECT DISTINCT recording FROM field_value WHERE name = '' AND"
                                " value >= ? AND value < ?");
    query_bind_text(query, 1, key);
    query_bind_text(query, 2, to);
    find_each(r, query);
    free(to);
    /* and the shorter ones that these digits end with */
    for (size_t n = strlen(key); n-- > FIELDS_PHONE_LEAST;) {
        char *shorter = mem_bytes_string(key, n);
        query = db_query(r->ledger->db, "SELECT recording FROM field_value WHERE name = '' AND"
                                        " value = ?");
        query_bind_text(query, 1, shorter);
        find_each(r, query);
        free(shorter);
    }
    free(key);
}

static void by_field(struct resolving *r)
{
    const char *equals = strchr(r->value, '='); /* the reader has seen it */
    char *name = mem_bytes_string(r->value, (size_t)(equals - r->value));
    char *value = bytes_escape(equals + 1); /* as it stands in the ledger */
    struct query *query =
        db_query(r->ledger->db, "SELECT recording FROM field_value WHERE name = ? AND value = ?");
    query_bind_text(query, 1, name);
    query_bind_text(query, 2, value);
    find_each(r, query);
    free(name);
    free(value);
}

/* --- a line --- */

static void close_line(struct resolving *r)
{
    struct query *query = db_query(ledger_write(r->ledger),
                                   "UPDATE target SET resolved = 1 WHERE request = ? AND line = ?");
    query_bind_int(query, 1, r->request);
    query_bind_int(query, 2, r->line);
    query_run(query);
}

/* What is settling, or being hashed, was found before (ledger_request_in_work). */
static bool has_findings(struct resolving *r)
{
    struct query *query =
        db_query(r->ledger->db, "SELECT 1 FROM finding WHERE request = ? AND line = ? LIMIT 1");
    query_bind_int(query, 1, r->request);
    query_bind_int(query, 2, r->line);
    return query_number(query) != 0;
}

static void resolve_line(struct resolving *r)
{
    static void (*const by[])(struct resolving *) = {
        [TARGET_PATH] = by_path,     [TARGET_GLOB] = by_glob,   [TARGET_NAME] = by_name,
        [TARGET_SHA256] = by_sha256, [TARGET_PHONE] = by_phone, [TARGET_ENGAGEMENT] = by_engagement,
        [TARGET_FIELD] = by_field,
    };
    by[r->kind](r);
    if (r->found == 0 && !has_findings(r))
        add_finding(r, 0, NULL, NULL, OUTCOME_NOT_FOUND,
                    r->passed_by ? "what it matches was last changed outside of @from and @to"
                                 : "nothing in the ledger matches");
    close_line(r);
}

/* `problem` NULL: a line that can be resolved. False: there is no open line left. */
static bool next_line(struct resolving *r, char **problem)
{
    struct query *query =
        db_query(r->ledger->db, "SELECT line, kind, value, problem FROM target INDEXED BY"
                                " target_open WHERE request = ? AND resolved = 0"
                                " ORDER BY line LIMIT 1");
    query_bind_int(query, 1, r->request);
    bool found = query_step(query);
    if (found) {
        r->line = (unsigned)query_int(query, 0);
        r->kind = (enum target_kind)query_int(query, 1);
        r->value = query_string(query, 2);
        *problem = query_string(query, 3);
    }
    query_end(query);
    return found;
}

static void read_bounds(struct resolving *r)
{
    struct query *query =
        db_query(r->ledger->db, "SELECT from_ms, to_ms FROM request WHERE id = ?");
    query_bind_int(query, 1, r->request);
    query_step(query);
    r->from_ms = query_int(query, 0);
    r->to_ms = query_int(query, 1);
    query_end(query);
}

size_t ledger_request_resolve(struct ledger *ledger, int64_t request, size_t most)
{
    struct resolving r = {.ledger = ledger, .request = request};
    char *problem = NULL;
    size_t count = 0;
    read_bounds(&r);
    while (count < most && next_line(&r, &problem)) {
        r.found = 0;
        r.passed_by = false;
        if (problem != NULL) {
            add_finding(&r, 0, NULL, NULL, OUTCOME_REFUSED, problem);
            close_line(&r);
        } else {
            resolve_line(&r);
        }
        free(problem);
        free(r.value);
        problem = NULL;
        r.value = NULL;
        count++;
    }
    return count;
}

/* --- what is not in the ledger yet --- */

static bool field_fits(const struct resolution *resolution, const char *target)
{
    size_t n = strcspn(target, "=");
    for (size_t i = 0; i < resolution->field_count; i++) {
        const struct resolution_field *field = &resolution->fields[i];
        if (strncmp(field->name, target, n) == 0 && field->name[n] == '\0' &&
            strcmp(field->value, target + n + 1) == 0)
            return true;
    }
    return false;
}

/* The shorter one is the end of the longer; both are keys, backwards. */
static bool phone_key_fits(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    return strncmp(a, b, n < m ? n : m) == 0;
}

static bool phone_fits(const struct resolution *resolution, const char *digits)
{
    char *wanted = fields_phone_key(digits);
    bool fits = false;
    for (size_t i = 0; i < resolution->field_count; i++) {
        const struct resolution_field *field = &resolution->fields[i];
        char *key = strncmp(field->name, "phone", 5) == 0 ? fields_phone_key(field->value) : NULL;
        fits = fits || (key != NULL && phone_key_fits(key, wanted));
        free(key);
    }
    free(wanted);
    return fits;
}

static bool fits_in_work(enum target_kind kind, const char *value, const char *path,
                         const struct resolution *resolution)
{
    if (kind == TARGET_GLOB)
        return target_glob_fits(value, path);
    return kind == TARGET_PHONE ? phone_fits(resolution, value) : field_fits(resolution, value);
}

/* Lines that no index helps with. */
static void try_in_work(struct resolving *r, const char *path, const struct resolution *resolution)
{
    unsigned after = 0;
    for (;;) {
        struct query *query =
            db_query(r->ledger->db, "SELECT line, kind, value FROM target INDEXED BY target_tried"
                                    " WHERE request = ? AND kind IN (2, 6, 7) AND line > ?"
                                    " ORDER BY line LIMIT 1");
        query_bind_int(query, 1, r->request);
        query_bind_int(query, 2, after);
        if (!query_step(query))
            return;
        r->line = after = (unsigned)query_int(query, 0);
        enum target_kind kind = (enum target_kind)query_int(query, 1);
        char *value = query_string(query, 2);
        query_end(query);
        if (fits_in_work(kind, value, path, resolution))
            block_path(r, path);
        free(value);
    }
}

void ledger_request_in_work(struct ledger *ledger, int64_t request, const char *path,
                            const struct resolution *resolution)
{
    struct resolving r = {.ledger = ledger, .request = request};
    const char *name = strrchr(path, '/') + 1; /* it is absolute */
    struct query *query = db_query(
        ledger->db, "SELECT line FROM target INDEXED BY target_by_path WHERE request = ?1 AND"
                    " value IN (?2, ?3) AND kind IN (1, 3) AND"
                    " ((value = ?2 AND kind = 1) OR (value = ?3 AND kind = 3)) ORDER BY line");
    query_bind_int(query, 1, request);
    query_bind_blob(query, 2, path, strlen(path));
    query_bind_blob(query, 3, name, strlen(name));
    struct ids lines = {0};
    while (query_step(query))
        ids_add(&lines, query_int(query, 0));
    for (size_t i = 0; i < lines.count; i++) {
        r.line = (unsigned)lines.items[i];
        block_path(&r, path);
    }
    free(lines.items);
    try_in_work(&r, path, resolution);
}
