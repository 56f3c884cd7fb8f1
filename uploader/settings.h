/*
 * The options of uploader.h, copied and checked. An exchange keeps the settings that it started
 * with, so they are counted and never change. Thread: the loop's.
 */
#ifndef CHORUS_UPLOADER_SETTINGS_H
#define CHORUS_UPLOADER_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uploader_options;

struct settings {
    unsigned users;
    char *url;    /* without a trailing slash */
    char *origin; /* "chorus.ai:443", for words */
    bool https;
    char *proxy;
    char *user_agent;
    char *ca_file;
    char *ca_text; /* system's certificates, then those of ca_file; NULL: libcurl's default */
    size_t ca_size;
    bool bearer;
    char **id_fields;
    size_t id_field_count;
    int64_t stall_timeout_ms;
};

/* `url` stands in for that of the options; `system_ca`: the bundle that ca_file is put beside,
 * NULL: none known. 0, -ENOMEM, -EINVAL, or the error of reading ca_file. */
int settings_new(const struct uploader_options *options, const char *url, const char *system_ca,
                 struct settings **out);
struct settings *settings_share(struct settings *settings);
void settings_drop(struct settings *settings);

#endif
