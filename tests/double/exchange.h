/* One request from its header block to its end, and what all requests share.
 *
 * Each TCP connection has a thread of its own (libmicrohttpd's), which calls exchange_take. So a
 * request may sleep, hang and trickle without holding up another. */
#ifndef DOUBLE_EXCHANGE_H
#define DOUBLE_EXCHANGE_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "answer.h"
#include "options.h"

struct cJSON;
struct form;
struct journal;
struct script;
struct script_action;
struct script_rule;
struct store;

struct server {
    struct options options;
    struct store *store;
    struct journal *journal;
    int stop_fd; /* an eventfd, readable once the double is to end */

    pthread_mutex_t lock; /* guards what the control endpoints change: */
    struct script *script;
    char *token; /* NULL: any; "": none */
};

struct exchange;

/* An endpoint: takes effect, and sets the answer. Called once the body is whole. */
typedef void exchange_endpoint(struct exchange *exchange, struct answer *answer);

struct exchange {
    struct server *server;
    struct MHD_Connection *connection;
    int socket;
    uint64_t n; /* its number in requests.jsonl; 0 for a control request */
    char *method, *path;

    exchange_endpoint *endpoint;
    struct answer refusal; /* decided at the header block; status 0: none */
    struct form *form;     /* of an upload; NULL when it has none */
    char *control_body;
    size_t control_size;

    uint64_t body_bytes;
    bool whole;     /* the body arrived complete */
    bool form_good; /* and so did the form in it */

    struct script *script; /* held for this request */
    const struct script_rule *rule;
    const struct script_action *late; /* takes effect after the reply, still to do */

    struct cJSON *line;     /* of the journal; NULL once it is written */
    struct cJSON *offences; /* part of line while that is there */
    bool cut;               /* the connection was reset by us */
    bool linger;            /* read on after the reply, so that no reset overtakes it */
};

/* Callbacks for libmicrohttpd; `context` is the struct server. */
enum MHD_Result exchange_take(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **request);
void exchange_end(void *context, struct MHD_Connection *connection, void **request,
                  enum MHD_RequestTerminationCode code);
void exchange_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                         enum MHD_ConnectionNotificationCode code);

/* Notes what the client should not have done. */
void exchange_offend(struct exchange *exchange, const char *what);

/* A parameter of the query; NULL when it is not there. */
const char *exchange_parameter(const struct exchange *exchange, const char *name);

#endif
