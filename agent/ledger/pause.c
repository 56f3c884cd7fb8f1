/* A pause that a person asked for: a counter whose name says who. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/ledger/internal.h"

#define MARK "paused by "
/* The counters whose names begin with MARK. */
#define ITS_ROWS " counter WHERE name >= '" MARK "' AND name < 'paused by!'"

void ledger_set_pause(struct ledger *ledger, const struct ledger_pause *pause)
{
    char name[sizeof MARK + sizeof pause->by];
    struct db *db = ledger_write(ledger);
    query_run(db_query(db, "DELETE FROM" ITS_ROWS));
    if (pause == NULL)
        return;
    snprintf(name, sizeof name, MARK "%s", pause->by);
    struct query *query = db_query(db, "INSERT INTO counter(name, n) VALUES(?, ?)");
    query_bind_text(query, 1, name);
    query_bind_int(query, 2, pause->until_ms);
    query_run(query);
}

bool ledger_get_pause(struct ledger *ledger, struct ledger_pause *pause)
{
    struct query *query = db_query(ledger->db, "SELECT substr(name, 11), n FROM" ITS_ROWS);
    bool found = query_step(query);
    char *by = found ? query_string(query, 0) : NULL;
    *pause = (struct ledger_pause){.until_ms = found ? query_int(query, 1) : 0};
    snprintf(pause->by, sizeof pause->by, "%s", by != NULL ? by : "");
    free(by);
    query_end(query);
    return found;
}
