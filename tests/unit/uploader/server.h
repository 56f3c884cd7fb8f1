/*
 * A scripted server on the loopback, in a thread of its own: each connection is handed to the
 * test's script, and every header block is counted here, for only the server knows how often
 * something was sent.
 */
#ifndef CHORUS_TESTS_UPLOADER_SERVER_H
#define CHORUS_TESTS_UPLOADER_SERVER_H

#include <stdbool.h>
#include <stddef.h>

struct server;
typedef void (*server_script)(struct server *server, int fd);

struct server *server_start(server_script script);
/* Lets pending connections run through the script, then ends the thread. Counts may be read
 * afterwards. */
void server_stop(struct server *server);
void server_free(struct server *server);
int server_port(const struct server *server);

/* For scripts. */
int server_connections(const struct server *server); /* this one included */
bool server_head(struct server *server, int fd);     /* reads one header block; false at the end */
void server_body(struct server *server, int fd, size_t at_most); /* of that request */
bool server_request(struct server *server, int fd);              /* head and whole body */
void server_say(int fd, const char *text);
void server_answer(int fd, int status, const char *fields, const char *body);
void server_reset(int fd);        /* the client sees ECONNRESET */
void server_wait_for_end(int fd); /* until the client closes */

/* For tests, after server_stop. */
int server_heads(const struct server *server);
int server_bodies(const struct server *server);  /* whole ones */
int server_keyless(const struct server *server); /* whole bodies without a meeting_id */
const char *server_last_head(const struct server *server);
const char *server_last_body(const struct server *server, size_t *size);
bool server_saw(const struct server *server, const char *text); /* in any head, or the last body */
int server_heads_with(const struct server *server, const char *text); /* times in all heads */

#endif
