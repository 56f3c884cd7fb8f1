/*
 * A result is put into its place: written beside it from the ledger, renamed there whole, and then
 * the control file is moved to stand by it. Every part can be done again after a crash: what is
 * there already is passed over. Blocks; on the pool.
 */
#ifndef CHORUS_SERVICE_PLACING_H
#define CHORUS_SERVICE_PLACING_H

#include "agent/ledger/deletions.h"

struct placing {
    const char *state_dir, *control_dir;
    const struct ledger_request *request; /* REPORTING or REFUSING, with placed_as */
    bool first; /* no earlier try can have written a result: what has its name is not ours */
};

/* 0; -EEXIST: the place is taken, another has to be chosen; or another negative errno and *what
 * (new): what could not be done. */
int placing_run(const struct placing *placing, char **what);

/* The folder where the result of this request goes; new string. */
char *placing_folder(const char *control_dir, const struct ledger_request *request);

#endif
