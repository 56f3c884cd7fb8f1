/* The script: which requests fail, and how. Plain text, one rule a line, readable as a play.
 * The grammar is the text of `script_grammar` in script_grammar.c, printed by --help:
 *
 *     POST /v3/upload 1: status 503 retry-after 2
 *     2: reset before-body
 *     3-5: reset in-body 1000
 *     every 10: store reset
 *     random 20% seed 7: store status 500
 *     * name 'agent7*': status 403 count 2
 *
 * The first rule that matches decides. Every rule counts the requests that it applies to by
 * itself, whether or not it or an earlier rule decided. */
#ifndef DOUBLE_SCRIPT_H
#define DOUBLE_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern const char script_grammar[];

enum script_when { WHEN_ALWAYS, WHEN_RANGE, WHEN_EVERY, WHEN_RANDOM };
enum script_place { PLACE_AFTER_BODY, PLACE_BEFORE_BODY, PLACE_IN_BODY };
enum script_reply {
    REPLY_OWN,    /* what the double answers by itself */
    REPLY_STATUS, /* this status, these headers, this body */
    REPLY_RESET,  /* TCP RST */
    REPLY_CLOSE,  /* TCP FIN, no answer */
    REPLY_HANG,   /* nothing, until the client leaves */
    REPLY_RAW     /* these bytes instead of HTTP, then FIN */
};

#define SCRIPT_HEADERS 64

struct script_header {
    char *name;
    char *value;
};

struct script_action {
    bool does;             /* the request takes effect: it is stored, deleted, read */
    int64_t does_after_ms; /* -1: before the reply; else so long after it */
    enum script_reply reply;
    enum script_place place;
    uint64_t in_body; /* PLACE_IN_BODY: after so many bytes of it */
    unsigned status;
    char *type;
    char *body; /* NULL: an errors document */
    size_t body_size;
    struct script_header headers[SCRIPT_HEADERS];
    size_t header_count;
    int64_t retry_after_date_s; /* -1: none; else Retry-After is the HTTP date in so many seconds */
    uint64_t slow;              /* bytes a second of the answer; 0: as fast as can be */
    uint64_t slow_read;         /* bytes a second of the body that are taken */
    uint64_t delay_ms;          /* wait so long before the reply */
};

struct script_rule {
    size_t line;
    char *method; /* ANY: every method */
    char *path;   /* glob */
    enum script_when when;
    uint64_t first, last;              /* WHEN_RANGE: both included; WHEN_EVERY: every `first` */
    double chance;                     /* WHEN_RANDOM: 0 to 1 */
    uint64_t random;                   /* state of the rule's own generator */
    char *name, *user, *meeting, *sha; /* conditions on the form: globs, NULL for none */
    uint64_t limit;                    /* 0: none */
    uint64_t seen, fired;
    struct script_action action;
};

struct script;

/* What a condition is compared with; NULL where the form has no such field. */
struct script_form {
    const char *name, *user, *meeting, *sha256;
};

/* Reads a script. NULL when a line is bad; `*fault` is then "FILE:LINE: what is wrong", which the
 * caller frees. The script counts its users: it is made with one. */
struct script *script_parse(const char *file, const char *text, char **fault);
struct script *script_hold(struct script *script);
void script_release(struct script *script);

/* The rule for a request whose header block is there, among those that do not look at the form;
 * NULL for none. Call it once a request. The rule lives as long as the script is held. */
const struct script_rule *script_at_headers(struct script *script, const char *method,
                                            const char *path);

/* The rule once the body is there: rules on the form are weighed against `early`, what
 * script_at_headers returned; of two the one that stands first decides. */
const struct script_rule *script_at_body(struct script *script, const char *method,
                                         const char *path, const struct script_form *form,
                                         const struct script_rule *early);

size_t script_size(const struct script *script);

/* For script_parse.c. */
struct script *script_new(void);
struct script_rule *script_add(struct script *script);

#endif
