/* What a header block tells: lengths, headers, the token; and what is decided at once. */
#ifndef DOUBLE_ARRIVAL_H
#define DOUBLE_ARRIVAL_H

#include <stdint.h>

struct exchange;

/* One TCP connection; libmicrohttpd's socket context. */
struct arrival_connection {
    uint64_t number;
    uint64_t requests;
};

/* Numbers the request and starts its line in the journal; sets offences, refusal, script, rule
 * and form of the exchange. */
void arrival_note(struct exchange *exchange);

#endif
