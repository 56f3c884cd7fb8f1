/*
 * Recordings by the value of a field, for deletion requests. Of a phone field the digits stand
 * there too, backwards and under the name "", so that "the shorter is the end of the longer" is a
 * look-up.
 */
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "agent/base/mem.h"
#include "agent/ledger/internal.h"

char *fields_phone_key(const char *value)
{
    size_t n = strlen(value), count = 0;
    char *key = mem_zalloc(n + 1);
    for (size_t i = n; i > 0; i--) {
        if (value[i - 1] >= '0' && value[i - 1] <= '9')
            key[count++] = value[i - 1];
    }
    if (count >= FIELDS_PHONE_LEAST)
        return key;
    free(key);
    return NULL;
}

static void run(struct query *query, const char *name, const char *value, int64_t recording)
{
    query_bind_text(query, 1, name);
    query_bind_text(query, 2, value);
    query_bind_int(query, 3, recording);
    query_run(query);
}

static void add(struct ledger *ledger, const char *name, const char *value, int64_t recording)
{
    run(db_query(ledger_write(ledger),
                 "INSERT OR IGNORE INTO field_value(name, value, recording) VALUES(?, ?, ?)"),
        name, value, recording);
}

static void take_out(struct ledger *ledger, const char *name, const char *value, int64_t recording)
{
    run(db_query(ledger_write(ledger),
                 "DELETE FROM field_value WHERE name = ? AND value = ? AND recording = ?"),
        name, value, recording);
}

/* `json` is our own (fields_as_json): an object of strings. */
static void each_value(struct ledger *ledger, int64_t recording, const char *json,
                       void (*each)(struct ledger *, const char *, const char *, int64_t))
{
    cJSON *fields = json != NULL ? cJSON_Parse(json) : NULL;
    const cJSON *field;
    cJSON_ArrayForEach(field, fields)
    {
        each(ledger, field->string, field->valuestring, recording);
        char *phone =
            strncmp(field->string, "phone", 5) == 0 ? fields_phone_key(field->valuestring) : NULL;
        if (phone != NULL)
            each(ledger, "", phone, recording);
        free(phone);
    }
    cJSON_Delete(fields);
}

void fields_index(struct ledger *ledger, int64_t recording, const char *json)
{
    struct query *query = db_query(ledger->db, "SELECT fields FROM recording WHERE id = ?");
    query_bind_int(query, 1, recording);
    char *before = query_text(query);
    each_value(ledger, recording, before, take_out);
    each_value(ledger, recording, json, add);
    free(before);
}
