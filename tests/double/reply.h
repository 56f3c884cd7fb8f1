/* How an exchange ends: it takes effect, its line is written, and the client gets its answer or
 * the fault that the script has for it. */
#ifndef DOUBLE_REPLY_H
#define DOUBLE_REPLY_H

#include <microhttpd.h>

struct exchange;
struct script_action;

/* The reply; `action` is NULL without a script. Returns what libmicrohttpd's handler is to. */
enum MHD_Result reply_send(struct exchange *exchange, const struct script_action *action);

/* The client left before a reply was due: only the line is written. */
void reply_never(struct exchange *exchange);

/* Waits, and does what was to take effect after the reply; nothing when there is no such thing. */
void reply_late(struct exchange *exchange);

#endif
