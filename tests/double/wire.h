/* What the client sees on the wire: answers, and the faults below HTTP. */
#ifndef DOUBLE_WIRE_H
#define DOUBLE_WIRE_H

#include <microhttpd.h>
#include <stddef.h>
#include <stdint.h>

struct answer;
struct exchange;
struct script_action;
struct server;

/* Waits; less when the double is to end. */
void wire_wait(const struct server *server, uint64_t ms);

/* Waits as long as it takes to move `size` bytes at `rate` a second. */
void wire_pace(const struct server *server, size_t size, uint64_t rate);

/* Hands the answer to libmicrohttpd. `action` (NULL for none) adds headers and slowness. */
enum MHD_Result wire_answer(struct exchange *exchange, const struct answer *answer,
                            const struct script_action *action);

/* TCP RST, now. The exchange goes on without a client. */
void wire_reset(struct exchange *exchange);

/* Says nothing until the client leaves or the double ends. */
void wire_hang(const struct exchange *exchange);

/* The bytes of the action as they are, in place of HTTP. */
void wire_raw(const struct exchange *exchange, const struct script_action *action);

/* Sends FIN, now. */
void wire_finish(const struct exchange *exchange);

/* Sends FIN and takes what the client still sends, for 5 s at most: a socket closed over unread
 * bytes sends a reset, and a reset may overtake the answer. */
void wire_linger(const struct exchange *exchange);

#endif
