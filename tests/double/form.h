/* The form of an upload, read while it streams in: text fields are kept, of the media file only
 * its size and SHA-256 (and its bytes on the disk with --keep-media). */
#ifndef DOUBLE_FORM_H
#define DOUBLE_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct MHD_Connection;
struct cJSON;
struct form;

/* NULL when the request is no multipart/form-data. What is wrong with the form is added to
 * `offences`, which must outlive it. The media is written to `media_path` unless that is NULL. */
struct form *form_new(struct MHD_Connection *connection, struct cJSON *offences,
                      const char *media_path);

/* Forgets it, and removes the media unless form_keep_media was called. */
void form_free(struct form *form);

void form_take(struct form *form, const char *bytes, size_t size);

/* The body is whole. False when the form is not: no closing boundary, or broken. */
bool form_end(struct form *form);

/* The text fields as an object of strings, and the names of all parts in their order. */
const struct cJSON *form_fields(const struct form *form);
const struct cJSON *form_parts(const struct form *form);

/* A text field; NULL when it did not come or is empty. */
const char *form_text(const struct form *form, const char *name);

bool form_has_data(const struct form *form);
const char *form_filename(const struct form *form);     /* "" for none */
const char *form_content_type(const struct form *form); /* "" for none */
uint64_t form_data_size(const struct form *form);
const char *form_sha256(const struct form *form); /* "" until form_end */

/* Gives the media its final name. */
void form_keep_media(struct form *form, const char *path);

#endif
