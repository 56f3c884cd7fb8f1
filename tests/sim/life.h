/*
 * One life of the program: its parts joined as service.c joins them, without the loop's signals,
 * the status file, tables, control files and the bulk run.
 */
#ifndef CHORUS_SIM_LIFE_H
#define CHORUS_SIM_LIFE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/config/config.h"
#include "agent/ledger/ledger.h"

/* What an administrator wrote; owned by the world. */
void life_configure(struct config *config);

/* Starts the program. False: it ended at once (its ledger cannot be used). */
bool life_start(void);
/* It is told to end by itself; sim.ended once it has. */
void life_stop(void);
/* It is gone: what it held in memory, too. */
void life_bury(void);

/* Between two batches; NULL: the ledger cannot be used right now, or nothing runs. */
struct ledger *life_ledger(void);

/* The token file changed; the configuration changed (the owners of more agents are known). */
void life_token_changed(void);
void life_read_configuration(void);
/* A person orders that this recording be tried again. */
void life_retry(int64_t recording);
/* The number in the token file, 0: there is none. */
void life_token_file(int token);

#endif
