/* An answer before it is on the wire, and the shapes that Chorus gives its errors. */
#ifndef DOUBLE_ANSWER_H
#define DOUBLE_ANSWER_H

#include <stddef.h>

struct cJSON;

struct answer {
    unsigned status; /* 0: none yet */
    const char *type;
    char *body;
    size_t size;
};

#define TYPE_JSON "application/json"
#define TYPE_JSON_API "application/vnd.api+json"

/* Each sets the answer once; answer_free may always follow. */
void answer_json(struct answer *answer, unsigned status, const char *type, struct cJSON *body);
void answer_bytes(struct answer *answer, unsigned status, const char *type, const char *bytes,
                  size_t size);

/* A JSON:API errors document. `pointer` says where the fault is, NULL for nowhere. */
void answer_error(struct answer *answer, unsigned status, const char *detail, const char *pointer);

void answer_free(struct answer *answer);

#endif
