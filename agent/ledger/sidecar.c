/* What is known of the sidecars of recordings that are not sent yet. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/ledger/internal.h"

/* Recordings whose form may still change: nothing of them can have arrived. */
#define UNDECIDED                                                                                  \
    "r.state IN (2, 3, 5) AND (r.state <> 2 OR r.held IN (1, 2)) AND r.digest <> 1 AND"            \
    " r.uncertain = 0 AND r.conflict = 0"

void ledger_sidecar_expect(struct ledger *ledger, int64_t recording, const char *path)
{
    struct query *query =
        db_query(ledger_write(ledger), "INSERT INTO sidecar(recording, path) VALUES(?1, ?2)"
                                       " ON CONFLICT(recording) DO UPDATE SET path = ?2,"
                                       " ino = NULL, body = NULL, problem = NULL WHERE path <> ?2");
    query_bind_int(query, 1, recording);
    query_bind_blob(query, 2, path, strlen(path));
    query_run(query);
}

bool ledger_sidecar(struct ledger *ledger, int64_t recording, struct ledger_sidecar *sidecar)
{
    *sidecar = (struct ledger_sidecar){0};
    struct query *query =
        db_query(ledger->db, "SELECT path, ino IS NOT NULL, body, problem FROM sidecar WHERE"
                             " recording = ?");
    query_bind_int(query, 1, recording);
    bool found = query_step(query);
    if (found) {
        sidecar->path = query_string(query, 0);
        sidecar->read = query_int(query, 1) != 0;
        sidecar->body = query_string(query, 2);
        sidecar->problem = query_string(query, 3);
    }
    query_end(query);
    return found;
}

void ledger_sidecar_clear(struct ledger_sidecar *sidecar)
{
    free(sidecar->path);
    free(sidecar->body);
    free(sidecar->problem);
    *sidecar = (struct ledger_sidecar){0};
}

size_t ledger_sidecar_recordings(struct ledger *ledger, const char *path, int64_t after,
                                 int64_t *recordings, size_t most)
{
    size_t count = 0;
    struct query *query =
        db_query(ledger->db, "SELECT r.id FROM sidecar AS s JOIN recording AS r ON r.id ="
                             " s.recording WHERE s.path = ?1 AND r.id > ?2 AND " UNDECIDED
                             " ORDER BY r.id LIMIT ?3");
    query_bind_blob(query, 1, path, strlen(path));
    query_bind_int(query, 2, after);
    query_bind_int(query, 3, (int64_t)most);
    while (count < most && query_step(query))
        recordings[count++] = query_int(query, 0);
    query_end(query);
    return count;
}

bool ledger_sidecar_is_wanted(struct ledger *ledger, const char *path,
                              const struct file_identity *identity)
{
    struct query *query =
        db_query(ledger->db, "SELECT 1 FROM sidecar AS s JOIN recording AS r ON r.id ="
                             " s.recording WHERE s.path = ?1 AND (s.ino IS NULL OR s.ino <> ?2 OR"
                             " s.size <> ?3 OR s.mtime_ns <> ?4 OR s.ctime_ns <> ?5) AND " UNDECIDED
                             " LIMIT 1");
    query_bind_blob(query, 1, path, strlen(path));
    query_bind_int(query, 2, (int64_t)identity->ino);
    query_bind_int(query, 3, (int64_t)identity->size);
    query_bind_int(query, 4, identity->mtime_ns);
    query_bind_int(query, 5, identity->ctime_ns);
    bool wanted = query_step(query);
    query_end(query);
    return wanted;
}

void ledger_sidecar_read(struct ledger *ledger, int64_t recording,
                         const struct file_identity *identity, const char *body,
                         const char *problem)
{
    struct query *query =
        db_query(ledger_write(ledger), "UPDATE sidecar SET ino = ?2, size = ?3, mtime_ns = ?4,"
                                       " ctime_ns = ?5, body = ?6, problem = ?7 WHERE"
                                       " recording = ?1");
    query_bind_int(query, 1, recording);
    query_bind_int(query, 2, (int64_t)identity->ino);
    query_bind_int(query, 3, (int64_t)identity->size);
    query_bind_int(query, 4, identity->mtime_ns);
    query_bind_int(query, 5, identity->ctime_ns);
    query_bind_text(query, 6, body);
    query_bind_text(query, 7, problem);
    query_run(query);
}

char *ledger_sidecar_to_move(struct ledger *ledger, int64_t path)
{
    struct query *query = db_query(
        ledger->db, "SELECT s.path FROM path AS p JOIN recording AS r ON r.id = p.recording AND"
                    " r.path = p.id JOIN sidecar AS s ON s.recording = r.id WHERE p.id = ?1 AND"
                    " NOT EXISTS (SELECT 1 FROM sidecar AS other JOIN recording AS o ON o.id ="
                    " other.recording WHERE other.path = s.path AND o.id <> r.id AND"
                    " o.state IN (1, 2, 3, 4, 5, 6))");
    query_bind_int(query, 1, path);
    return query_text(query);
}
