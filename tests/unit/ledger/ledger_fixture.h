/*
 * A ledger in a folder of its own, real SQLite. Whatever a test did, at its end the counts by state
 * must equal what a SELECT counts, and no row may point to one that is not there.
 */
#ifndef CHORUS_TESTS_LEDGER_FIXTURE_H
#define CHORUS_TESTS_LEDGER_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/ledger/ledger.h"

#define NOW INT64_C(1800000000000)
#define S INT64_C(1000)
#define DAY (86400 * S)
#define ROOT "/srv/recordings"

struct room {
    char dir[64];
    struct ledger *ledger;
    struct sqlite3 *side; /* for `number`; NULL: not open */
    int64_t watch;
    int64_t now_ms;
    uint64_t digest;
    int64_t bulk; /* of what is taken in; 0: none */
};

/* cmocka's setup and teardown: *state is the room. */
int room_open(void **state);
int room_close(void **state);

void commit(struct room *room);
/* Closes and opens it anew, as after a crash. */
void open_again(struct room *room);
/* Commits, and compares the counts with a recount. */
void check_counts(struct room *room);
/* One number of the database file, read beside the ledger. */
int64_t number(struct room *room, const char *sql);
/* Runs SQL beside the ledger. */
void meddle(const struct room *room, const char *sql);

/* What the rules said; strings are literals. */
struct said {
    enum resolution_outcome outcome;
    enum key_kind key_kind;
    const char *owner, *name, *meeting_id, *call_key, *reason, *phone;
    int64_t not_before_ms;
    bool preferred;
};
extern const struct said yes; /* resolved, with a key made of the content */
extern const struct said no_owner;

/* The content named by one letter. */
void content_of(char letter, uint8_t sha256[32]);
struct ledger_file file_at(const struct room *room, const char *path, char content);
/* Admitted, and resolved where the ledger asks for it. */
struct ledger_admission take_as(struct room *room, const char *path, char content,
                                const struct said *said);
struct ledger_admission take(struct room *room, const char *path, char content);
void resolve(struct room *room, int64_t recording, int64_t path, const struct said *said);
void leave_out(struct room *room, const char *path, char content, enum skip_kind kind);

struct ledger_job job_of(struct room *room, int64_t recording);
enum recording_state state_of(struct room *room, int64_t recording);
int64_t count_of(struct room *room, enum recording_state state);
/* The recording of a content, 0: none. */
int64_t recording_of(struct room *room, char content);
void expect_chosen(struct room *room, int64_t recording, const char *path);

/* An attempt, from its intent on. */
void intend(struct room *room, int64_t recording);
void move_to(struct room *room, int64_t recording, enum recording_state to,
             enum plan_attempt attempt);
void upload(struct room *room, int64_t recording);

/* One row of `list` by its path; strings are copies that live until the next call. */
struct listed {
    size_t rows; /* with this path */
    enum recording_state state;
    char path[256], watch[64], rule[64], owner[64], name[256], meeting_id[80], call_key[64];
    char engagement_id[64], reason[512], duplicate_of[256], fields[512];
    uint64_t size;
    int attempts;
    int64_t first_seen_ms, next_attempt_ms, uploaded_ms;
    bool has_sha256, present;
};
struct listed listed(struct room *room, const char *path);

#endif
