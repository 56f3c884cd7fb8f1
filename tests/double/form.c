#include "form.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base.h"

#define FIELD_MAX 65536u     /* a text field that is longer is an offence, and cut */
#define PARSER_BUFFER 65536u /* of the parser; smaller only costs speed */

struct form {
    struct MHD_PostProcessor *parser;
    cJSON *offences;
    cJSON *fields, *parts;
    bool broken;

    char *part; /* name of the part that is coming in; NULL before the first */
    uint64_t part_size;
    char *value; /* what came of it, when it is a text field */
    size_t value_size;

    bool has_data;
    bool data_open; /* the first data part is coming in now */
    char *filename, *content_type;
    uint64_t data_size;
    EVP_MD_CTX *digest;
    char sha256[65];
    char *media_path;
    int media_fd;
};

static const char *const known_parts[] = {"data",
                                          "name",
                                          "user",
                                          "meeting_id",
                                          "enforce_unique_meeting_id",
                                          "crm_account_id",
                                          "crm_opportunity_id"};

static void offend(struct form *form, const char *what, const char *part)
{
    char *clean = base_shown(part, strlen(part), NULL);
    char *text = base_text("%s: %s", what, clean);
    cJSON_AddItemToArray(form->offences, cJSON_CreateString(text));
    free(text);
    free(clean);
}

static bool is_known_part(const char *name)
{
    for (size_t i = 0; i < sizeof known_parts / sizeof known_parts[0]; i++) {
        if (strcmp(known_parts[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void end_part(struct form *form)
{
    if (form->part == NULL) {
        return;
    }
    if (strcmp(form->part, "data") != 0) {
        bool clean = true;
        char *shown = base_shown(form->value, form->value_size, &clean);
        if (!clean) {
            offend(form, "part is not UTF-8", form->part);
        }
        if (cJSON_GetObjectItemCaseSensitive(form->fields, form->part) == NULL) {
            cJSON_AddStringToObject(form->fields, form->part, shown);
        }
        free(shown);
    }
    form->data_open = false;
    free(form->part);
    free(form->value);
    form->part = NULL;
    form->value = NULL;
    form->value_size = 0;
    form->part_size = 0;
}

static bool came_before(const struct form *form, const char *name)
{
    const cJSON *part = NULL;
    cJSON_ArrayForEach(part, form->parts)
    {
        if (strcmp(cJSON_GetStringValue(part), name) == 0) {
            return true;
        }
    }
    return false;
}

static void start_part(struct form *form, const char *name, const char *filename,
                       const char *content_type)
{
    end_part(form);
    form->part = base_shown(name, strlen(name), NULL);
    if (came_before(form, form->part)) {
        offend(form, "part repeated", form->part);
    } else if (strcmp(form->part, "data") == 0) {
        form->has_data = true;
        form->data_open = true;
        form->filename = base_shown(filename != NULL ? filename : "",
                                    filename != NULL ? strlen(filename) : 0, NULL);
        form->content_type = base_copy(content_type != NULL ? content_type : "");
    }
    if (!is_known_part(form->part)) {
        offend(form, "part unknown", form->part);
    }
    cJSON_AddItemToArray(form->parts, cJSON_CreateString(form->part));
}

static void write_media(const struct form *form, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t done = write(form->media_fd, bytes, size);
        if (done < 0) {
            base_die("%s: %s", form->media_path, strerror(errno));
        }
        bytes += done;
        size -= (size_t)done;
    }
}

static void take_media(struct form *form, const char *bytes, size_t size)
{
    if (!form->data_open) {
        return; /* a second data part is an offence, its bytes are nothing */
    }
    if (EVP_DigestUpdate(form->digest, bytes, size) != 1) {
        base_die("SHA-256 failed");
    }
    form->data_size += size;
    if (form->media_fd >= 0) {
        write_media(form, bytes, size);
    }
}

static void take_text(struct form *form, const char *bytes, size_t size)
{
    if (form->value_size + size > FIELD_MAX) {
        offend(form, "part is too long", form->part);
        return;
    }
    form->value = base_grow(form->value, form->value_size + size + 1, 1);
    memcpy(form->value + form->value_size, bytes, size);
    form->value_size += size;
}

/* The parser may call once without bytes at the start of a part, and again with offset 0. */
static enum MHD_Result take_piece(void *context, enum MHD_ValueKind kind, const char *key,
                                  const char *filename, const char *content_type,
                                  const char *encoding, const char *bytes, uint64_t offset,
                                  size_t size)
{
    (void)kind;
    (void)encoding;
    struct form *form = context;
    const char *name = key != NULL ? key : "";
    bool restarts = offset == 0 && form->part_size > 0;
    if (form->part == NULL || strcmp(form->part, name) != 0 || restarts) {
        start_part(form, name, filename, content_type);
    }
    form->part_size += size;
    if (size > 0 && strcmp(form->part, "data") == 0) {
        take_media(form, bytes, size);
    } else if (size > 0) {
        take_text(form, bytes, size);
    }
    return MHD_YES;
}

struct form *form_new(struct MHD_Connection *connection, cJSON *offences, const char *media_path)
{
    static const char wanted[] = "multipart/form-data";
    const char *type =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE);
    if (type == NULL || strncasecmp(type, wanted, sizeof wanted - 1) != 0) {
        return NULL;
    }
    struct form *form = base_need(sizeof *form);
    form->media_fd = -1;
    form->offences = offences;
    form->fields = cJSON_CreateObject();
    form->parts = cJSON_CreateArray();
    form->parser = MHD_create_post_processor(connection, PARSER_BUFFER, take_piece, form);
    form->broken = form->parser == NULL; /* no boundary */
    form->digest = EVP_MD_CTX_new();
    if (form->digest == NULL || EVP_DigestInit_ex(form->digest, EVP_sha256(), NULL) != 1) {
        base_die("SHA-256 cannot start");
    }
    if (media_path != NULL) {
        form->media_path = base_copy(media_path);
        form->media_fd = open(media_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (form->media_fd < 0) {
            base_die("%s: %s", media_path, strerror(errno));
        }
    }
    return form;
}

void form_free(struct form *form)
{
    if (form == NULL) {
        return;
    }
    if (form->parser != NULL) {
        MHD_destroy_post_processor(form->parser);
    }
    if (form->media_fd >= 0) {
        close(form->media_fd);
    }
    if (form->media_path != NULL) {
        unlink(form->media_path);
    }
    EVP_MD_CTX_free(form->digest);
    cJSON_Delete(form->fields);
    cJSON_Delete(form->parts);
    free(form->part);
    free(form->value);
    free(form->filename);
    free(form->content_type);
    free(form->media_path);
    free(form);
}

void form_take(struct form *form, const char *bytes, size_t size)
{
    if (!form->broken && MHD_post_process(form->parser, bytes, size) != MHD_YES) {
        form->broken = true;
    }
}

static void show_digest(struct form *form)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (EVP_DigestFinal_ex(form->digest, digest, &size) != 1 || size != 32) {
        base_die("SHA-256 failed");
    }
    for (unsigned i = 0; i < size; i++) {
        snprintf(form->sha256 + 2 * i, 3, "%02x", digest[i]);
    }
}

bool form_end(struct form *form)
{
    if (form->parser != NULL && MHD_destroy_post_processor(form->parser) != MHD_YES) {
        form->broken = true;
    }
    form->parser = NULL;
    end_part(form);
    if (form->has_data) {
        show_digest(form);
    }
    if (form->broken) {
        cJSON_AddItemToArray(form->offences, cJSON_CreateString("form is broken"));
    }
    return !form->broken;
}

const cJSON *form_fields(const struct form *form)
{
    return form->fields;
}

const cJSON *form_parts(const struct form *form)
{
    return form->parts;
}

const char *form_text(const struct form *form, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(form->fields, name));
    return text != NULL && text[0] != '\0' ? text : NULL;
}

bool form_has_data(const struct form *form)
{
    return form->has_data;
}

const char *form_filename(const struct form *form)
{
    return form->filename != NULL ? form->filename : "";
}

const char *form_content_type(const struct form *form)
{
    return form->content_type != NULL ? form->content_type : "";
}

uint64_t form_data_size(const struct form *form)
{
    return form->data_size;
}

const char *form_sha256(const struct form *form)
{
    return form->sha256;
}

void form_keep_media(struct form *form, const char *path)
{
    if (form->media_path != NULL && rename(form->media_path, path) != 0) {
        base_die("%s: %s", path, strerror(errno));
    }
    free(form->media_path);
    form->media_path = NULL;
}
