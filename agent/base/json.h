/* JSON in files and what is put into it: names escaped, times as RFC 3339. Blocks shortly; any
 * thread. */
#ifndef CHORUS_BASE_JSON_H
#define CHORUS_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

/* First of all, before any other thread: short of memory cJSON, which says so with half an object,
 * ends the process as mem.h says. Of the whole process, also where other rooms use cJSON. */
void json_begin(void);

/* A regular file of at most `most` bytes, no link: new, or NULL if it is missing or no JSON. */
cJSON *json_read_file(const char *file, size_t most);

/* Written whole or not at all: beside it, then renamed. False: errno says why. */
bool json_write_file(const char *file, const char *text);

void json_add_text(cJSON *object, const char *key, const char *text); /* NULL and "" are left out */
void json_add_bytes(cJSON *object, const char *key, const char *bytes); /* likewise; escaped */
void json_add_time(cJSON *object, const char *key, int64_t ms);         /* 0 is left out */

/* Never NULL; "" and 0 where it is missing or of another type. */
const char *json_text(const cJSON *object, const char *key);
double json_number(const cJSON *object, const char *key);

#endif
