/*
 * Chorus and the way to it, made up: what it stores, when, what it answers, and what of that comes
 * back. It keeps at most one row under a meeting_id where it is asked to; asked twice at once, a
 * Chorus that checks first and stores later keeps two.
 */
#ifndef CHORUS_SIM_CHORUS_H
#define CHORUS_SIM_CHORUS_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/files.h"

/* Never longer from the last byte to the copy: the promise that upload.resend_after is set by. */
#define CHORUS_LONGEST_MS INT64_C(50000)
#define RESEND_AFTER_MS INT64_C(60000)

struct chorus_answer;

/* A whole body on its way to Chorus. */
struct arrival {
    int content;
    char key[FORM_ROOM], owner[FORM_ROOM], name[FORM_ROOM];
    int token;
    void (*answered)(void *ctx, const struct chorus_answer *answer);
    void *ctx;
};

/* What Chorus says. */
struct chorus_answer {
    int status;
    bool lost; /* nothing comes back */
    bool is_object, is_empty, says_failure;
    int64_t retry_after_ms;
    char id[40];
};

/* `answered` of nobody. */
void chorus_nobody(void *ctx, const struct chorus_answer *answer);

void chorus_begin(void);
/* A row of somebody else's. */
void chorus_store_foreign(int content, const char *key, const char *owner, const char *name);
/* The token in force. */
int chorus_token(void);
void chorus_turn_token(void);

/* A whole body has arrived; `arrival` is copied; `answered` is called once, later. */
void chorus_take(const struct arrival *arrival);
/* What it would answer before the body has come in whole; status 0: nothing. */
void chorus_answer_early(const struct arrival *arrival, struct chorus_answer *answer);

/* Answers a GET into `body`; returns the status, 0: no answer. */
int chorus_get(const char *target, int token, char *body, size_t room);

/* A local file of this content is being removed: Chorus must have it. */
void chorus_check_removal(int content, bool deleted);
/* Whether somebody who looks finds a copy, or one may still come. */
bool chorus_may_have(int content);
bool chorus_has_key(int content, const char *key);

#endif
