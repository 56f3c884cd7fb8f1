/*
 * What must never be, and what must be at the end. The world's own knowledge (files.contents) is
 * the measure; of the program only its ledger, and what leaves it, is looked at.
 */
#ifndef CHORUS_SIM_CHECKS_H
#define CHORUS_SIM_CHECKS_H

#include <stdbool.h>

#include "agent/ledger/ledger.h"
#include "uploader/verdict.h"

void checks_begin(void);

/* One POST, as the wire sees it. */
void checks_post_begins(int content, const char *key, const char *owner, const char *name);
void checks_request_left(int content);
void checks_body_left(int content);
void checks_post_ended(int content, enum verdict verdict);
/* The program died: what was under way may have arrived. */
void checks_program_ended(void);

/* Somebody has looked into Chorus: it is not there, so it may be sent as if for the first time. */
void checks_person_retries(int content);

/* After a commit: it must be there from now on. */
void checks_committed(struct ledger *ledger);
/* What was committed is there, and nothing contradicts itself. `whole`: SQLite's own check too. */
void checks_opened(struct ledger *ledger, bool whole);
void checks_rows(struct ledger *ledger);

/* So many recordings were in flight when the last life ended. */
void checks_cut_off(size_t count);
/* Whether every recording has come to rest; `told`: it is a fault if not. */
enum checks_rest { REST_OF_ALL, REST_BUT_OFFLINE };
bool checks_nothing_under_way(struct ledger *ledger, enum checks_rest rest, bool told);
/* The world has been kind for long: every file is accounted for, and nothing is under way. */
void checks_end(struct ledger *ledger);

#endif
