/* The tables of the ledger, and how an older ledger becomes a newer one. */
#ifndef CHORUS_LEDGER_SCHEMA_H
#define CHORUS_LEDGER_SCHEMA_H

#include "agent/ledger/db.h"

/* Sets of states that partial indexes are made for: a query uses the index where it says the very
 * same. OR and not IN: at each insert and update SQLite makes a table of a list of more than two.
 * `r`: "", or the name of the table and a dot. */
#define LEDGER_IS_OPEN(r) "(" r "state = 2 OR " r "state = 3 OR " r "state = 5 OR " r "state = 6)"
#define LEDGER_IS_TROUBLE(s)                                                                       \
    "(" s "state = 2 OR " s "state = 5 OR " s "state = 6 OR " s "state = 9)"

/* Checks that `db` is a ledger, makes or migrates it in one transaction. 0; -EPROTO: made by a
 * newer version; -EUCLEAN: another application's database; else negative errno. */
int schema_prepare(struct db *db);

/* For readers: 0 if the tables are there in this version, -ENOENT if it is still empty, -EPROTO if
 * older or newer. */
int schema_check(struct db *db);

#endif
