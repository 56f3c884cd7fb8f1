/*
 * What `check --online` (`doctor`) looks at beyond configuration, token and owners: the machine,
 * the folders, the way to Chorus, the ledger. Each finding is one line that says what to do.
 * Blocks.
 */
#ifndef CHORUS_COMMANDS_DOCTOR_H
#define CHORUS_COMMANDS_DOCTOR_H

#include "agent/config/config.h"

/* Prints every finding to stdout: "ok", "advice" (it works, and could work better) or "FAULT".
 * Returns how many faults there are. */
unsigned doctor_look(const struct config *config);

/* Chorus has answered: over https, that its certificate was proven, and by whom. Likewise. */
unsigned doctor_look_at_tls(const struct config *config);

/* The clock, against the Date of an answer that was asked for at `asked_ms` (wall). Likewise. */
unsigned doctor_look_at_clock(const char *date, int64_t asked_ms);

#endif
