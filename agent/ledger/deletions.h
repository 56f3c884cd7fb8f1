/*
 * The ledger's part in deletion: requests, what they matched, the erasures and their proofs, the
 * tombstones, and the audit. Part of ledger.h, whose rules hold: nothing is believed before
 * ledger_commit, one function is one transition, strings in structs are new and freed by _clear.
 *
 * A request goes
 *
 *     reading -> resolving -> marking -> at work -> reported
 *                         \-> refused
 *
 * Each stage is done in slices, so that a million lines neither stall the loop nor are lost to a
 * crash: after one it goes on where the last commit left it. Up to `marking` nothing is touched but
 * the request's own rows.
 */
#ifndef CHORUS_LEDGER_DELETIONS_H
#define CHORUS_LEDGER_DELETIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/control/request.h"
#include "agent/plan/erasure.h"

struct ledger;
struct ledger_retirement;
struct resolution;

/* --- requests --- */

enum request_stage {
    REQUEST_READING = 0,
    REQUEST_RESOLVING = 1,
    REQUEST_MARKING = 2,
    REQUEST_AT_WORK = 3,
    REQUEST_REPORTING = 4, /* `result` is chosen: the result file is being put in its place */
    REQUEST_REPORTED = 5,
    REQUEST_REFUSING = 6, /* as REPORTING, into rejected/ */
    REQUEST_REFUSED = 7,
};

struct ledger_request {
    int64_t id;
    char *file;         /* name in control_dir, bytes */
    uint8_t digest[32]; /* SHA-256 of the file */
    enum request_stage stage;
    struct request_facts facts; /* `reason` and `requested_by` too */
    int64_t taken_ms;
    unsigned last_line; /* lines up to this one are written down */
    char *refusal;      /* why it is refused whole; NULL */
    char
        *placed_as; /* REPORTING, REFUSING: the name it gets in done/ or rejected/ ("x-2.delete") */
};
void ledger_request_clear(struct ledger_request *request);

/* The open request of this file (name and digest), or a new one. Returns its id. */
int64_t ledger_request_begin(struct ledger *ledger, const char *file, const uint8_t digest[32],
                             const struct request_facts *facts, int64_t now_ms);
/* Lines in order; those that stand there already are passed over. */
void ledger_request_add(struct ledger *ledger, int64_t request, const struct request_line *line);
/* All of its lines stand there: on to `resolving`. */
void ledger_request_read_whole(struct ledger *ledger, int64_t request);
/* Open requests (not REPORTED, not REFUSED) above `after`, in order. false: no more. A read. */
bool ledger_request_next(struct ledger *ledger, int64_t after, struct ledger_request *request);
/* A file at this absolute path is settling or being hashed, so the ledger does not know it yet: if
 * a line names it (by path, name or glob, or by what `resolution` says of its fields) it is
 * blocked: once it has a checksum it is deleted, never uploaded. Called for every such file before
 * the lines are resolved. */
void ledger_request_in_work(struct ledger *ledger, int64_t request, const char *path,
                            const struct resolution *resolution);
/* Resolves up to `most` further lines into findings. Returns how many it did; 0: all are done. */
size_t ledger_request_resolve(struct ledger *ledger, int64_t request, size_t most);
/* Distinct recordings, plus ids that the ledger does not know, plus files without a checksum yet;
 * and lines that are bad. A read. */
void ledger_request_extent(struct ledger *ledger, int64_t request, int64_t *matched, int64_t *bad);
/* The guards let it pass: on to `marking`. A dry run goes to `at work` at once, all its findings
 * being OUTCOME_DRY_RUN. */
void ledger_request_accept(struct ledger *ledger, int64_t request, int64_t now_ms);
void ledger_request_refuse(struct ledger *ledger, int64_t request, const char *why, int64_t now_ms);

/* Tombstones that the next slice of marking sets: the service appends them to the file
 * `tombstones` and fsyncs it before it lets the slice be marked. `tombstones` has room for four of
 * each finding of the slice. Returns how many there are; a read. */
struct ledger_tombstone {
    bool is_call;     /* hash of a call key, else a checksum */
    uint8_t hash[32]; /* SHA-256 of the content, or of the call key */
};
size_t ledger_request_tombstones(struct ledger *ledger, int64_t request, size_t most_findings,
                                 struct ledger_tombstone *tombstones);
/* Marks the next findings, at most `most_findings`: tombstones, states (`deleting`, or `deleted`
 * where nothing can have left), erasures, audit. `recordings` (room for as many) gets those that
 * the plan has to drop. Returns how many were done; 0: all are marked, and it is `at work`. */
size_t ledger_request_mark(struct ledger *ledger, int64_t request, size_t most_findings,
                           int64_t *recordings, size_t *recording_count, int64_t now_ms);

/* One row of the result. */
struct ledger_finding {
    unsigned line;
    const char *target;
    const char *path;          /* bytes; NULL: none is known */
    const uint8_t *sha256;     /* NULL */
    const char *engagement_id; /* NULL */
    enum erasure_outcome outcome;
    int status; /* HTTP; 0 */
    int64_t visible_ms, accepted_ms, gone_ms;
    const char *reason; /* NULL */
    bool local_remains; /* a local copy stands there still, as far as the ledger knows */
};
/* Every row, in the order of the lines; outcomes as they stand, OUTCOME_UNCONFIRMED for what is
 * accepted and not proven yet. A read. */
size_t ledger_request_findings(struct ledger *ledger, int64_t request,
                               void (*each)(void *ctx, const struct ledger_finding *finding),
                               void *ctx);
/* Whether every finding may be reported by now; *next_ms: when to ask again, 0: once an erasure has
 * moved. A read. */
bool ledger_request_is_reportable(struct ledger *ledger, int64_t request,
                                  const struct erasure_options *options, int64_t now_ms,
                                  int64_t *next_ms);
/* Whether no local copy that it is to remove, and may by now, waits to be removed. A read. */
bool ledger_request_local_is_done(struct ledger *ledger, int64_t request);
/* The result gets this place: durable before the file is renamed, so that it is written once. */
void ledger_request_place(struct ledger *ledger, int64_t request, const char *placed_as);
/* It stands there: REPORTED or REFUSED. */
void ledger_request_placed(struct ledger *ledger, int64_t request, int64_t now_ms);

/* --- erasures --- */

/* Due ones of a phase, at most `most`, oldest first. A read. */
size_t ledger_erasures_due(struct ledger *ledger, enum erasure_phase phase, int64_t now_ms,
                           struct erasure *erasures, size_t most);
/* When the next one of any phase is due; 0: none. A read. */
int64_t ledger_erasures_next(struct ledger *ledger);
/* false: there is none. A read. */
bool ledger_erasure(struct ledger *ledger, int64_t id, struct erasure *erasure);
/* After a step: writes it down, each new proof also in the audit; once it is over, moves its
 * recording and the twins of it on. */
void ledger_erasure_save(struct ledger *ledger, const struct erasure *erasure, int64_t now_ms);

/* What is needed to look up the engagement of an erasure without an id. */
struct ledger_sought {
    char *owner, *name, *meeting_id; /* meeting_id NULL: it has none */
    int64_t from_ms, to_ms;          /* when it was sent, first and last */
};
bool ledger_erasure_sought(struct ledger *ledger, int64_t id, struct ledger_sought *sought);
void ledger_sought_clear(struct ledger_sought *sought);
/* Whether this engagement is known to be another recording's. A read. */
bool ledger_engagement_is_anothers(struct ledger *ledger, int64_t recording,
                                   const char *engagement_id);

/* --- local copies (`@local delete`) --- */

/* The next local copy that a request asked to remove and whose deletion was accepted (or needed
 * none); false: none. ledger_retirement_clear on true. A read. */
bool ledger_next_local_copy(struct ledger *ledger, struct ledger_retirement *copy);
/* How it ended: removed, or `remains` with the reason; never tried again. */
void ledger_local_copy_done(struct ledger *ledger, int64_t path_id, bool remains,
                            const char *reason, int64_t now_ms);

/* --- tombstones --- */

/* Takes over what the file `tombstones` holds and this ledger does not (a lost ledger): a block,
 * or with generation > 0 the lifting of one. */
void ledger_tombstone_restore(struct ledger *ledger, const struct ledger_tombstone *tombstone,
                              int generation);
/* Tombstones that stand in the ledger alone, as those of files that were blocked by their path: to
 * be appended to the file after the commit, and then told so. */
size_t ledger_tombstones_unfiled(struct ledger *ledger, struct ledger_tombstone *tombstones,
                                 size_t most);
void ledger_tombstone_filed(struct ledger *ledger, const struct ledger_tombstone *tombstone);
/* Whether a deletion blocks this content or call (call_key may be NULL). A read. */
bool ledger_is_blocked(struct ledger *ledger, const uint8_t sha256[32], const char *call_key);
/* The generation of the meeting id of this content: 1, or more after its deletion was lifted. A
 * read. */
int ledger_generation(struct ledger *ledger, const uint8_t sha256[32]);
/* The blocks that `retry --undelete` of this recording lifts, for the file: the checksum and the
 * call key, with the generation that is in force then. Returns how many (at most 2); 0: it is not
 * blocked, or its deletion is still under way. A read. */
size_t ledger_undelete_lifts(struct ledger *ledger, int64_t recording,
                             struct ledger_tombstone lifts[2], int *generation);
/* Lifts them: queued again (resolved anew before it leaves) with the new generation; audited. 0,
 * -ENOENT, or -EEXIST (not deleted). */
int ledger_undelete(struct ledger *ledger, int64_t recording, int64_t now_ms);

/* The details of what was deleted are wiped after a time, also its path: where this one was, it
 * gets its path back, so that `retry --undelete` finds it. */
void ledger_unwipe_path(struct ledger *ledger, const char *path);

/* --- the audit --- */

struct ledger_audit_row {
    int64_t number, at_ms;
    const char *event; /* "requested", "blocked", "seen", "sent", "accepted", "gone", "refused",
                          "lifted", ... */
    const char *sha256, *call_hash, *engagement_id; /* hex, NULL: none */
    int status;
    const char *details; /* JSON: request, path, name, owner, reason; NULL: wiped, or none */
    bool wiped;
    const char *link; /* hex: the chain up to and with this row */
};
/* Every row from `after` on, oldest first. Returns how many. A read. */
size_t ledger_audit_each(struct ledger *ledger, int64_t after,
                         void (*each)(void *ctx, const struct ledger_audit_row *row), void *ctx);
/* Follows the chain. 0: whole, with *rows and the head (hex, 64 digits); else the number of the
 * first row that does not fit, and *why (new). A read. */
int64_t ledger_audit_verify(struct ledger *ledger, int64_t *rows, char head[65], char **why);

/* --- forgetting --- */

/* Wipes path, name, owner, fields and what told them (stories, findings, lines, audit details) of
 * up to `most` recordings and requests whose last proof is older than `before_ms`. Returns how many
 * were wiped. *next_ms: the time of the last proof of the oldest that is left, 0: none. */
size_t ledger_wipe_details(struct ledger *ledger, int64_t before_ms, size_t most, int64_t *next_ms);
/* After that commit: also out of the WAL and of free pages. 0 or negative errno. */
int ledger_scrub(struct ledger *ledger);

#endif
