/*
 * `pause` and `resume`: a person wants the uplink for other things. Nothing is sent until a time,
 * or until it is resumed; watching and checksums go on. It is kept in the ledger, so that it
 * outlives the service. For the command itself, or for the service that it was handed to.
 */
#ifndef CHORUS_SERVICE_PAUSE_H
#define CHORUS_SERVICE_PAUSE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/ledger/ledger.h"

struct pause_request {
    bool resume;
    int64_t for_ms; /* 0: until it is resumed */
    const char *by; /* who asks */
};

/* In the ledger's open transaction. */
void pause_apply(struct ledger *ledger, const struct pause_request *request, int64_t now_ms);

/* The pause that is in force, in words ("paused by ann until resumed"), new string; NULL: none is,
 * or it is over. A read. */
char *pause_words(struct ledger *ledger, int64_t now_ms);

#endif
