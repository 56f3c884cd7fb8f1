/* The tables of the ledger, and how an older ledger becomes a newer one. */
#ifndef CHORUS_LEDGER_SCHEMA_H
#define CHORUS_LEDGER_SCHEMA_H

#include "agent/ledger/db.h"

/* Checks that `db` is a ledger, makes or migrates it in one transaction. 0; -EPROTO: made by a
 * newer version; -EUCLEAN: another application's database; else negative errno. */
int schema_prepare(struct db *db);

/* For readers: 0 if the tables are there in this version, -ENOENT if it is still empty, -EPROTO if
 * older or newer. */
int schema_check(struct db *db);

#endif
