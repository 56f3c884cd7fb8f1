#include "uploader/settings.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "uploader/uploader.h"

/* Most bytes of a certificate file; a system's bundle has about 200 KiB. */
enum { CA_FILE_MAX = 16 << 20 };

static const char pem_begin[] = "-----BEGIN ";

static char *copy(const char *text)
{
    return strdup(text != NULL ? text : "");
}

static bool is_plain(const char *text)
{
    for (; text != NULL && *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    }
    return true;
}

/* Appends `path` to *text. */
static int append_file(const char *path, char **text, size_t *size)
{
    FILE *file = fopen(path, "re");
    int rc = file == NULL ? -errno : 0;
    while (rc == 0 && !feof(file)) {
        char *larger = realloc(*text, *size + BUFSIZ + 1);
        if (larger == NULL) {
            rc = -ENOMEM;
            break;
        }
        *text = larger;
        *size += fread(*text + *size, 1, BUFSIZ, file);
        if (ferror(file))
            rc = -EIO;
        else if (*size > 2 * (size_t)CA_FILE_MAX)
            rc = -EFBIG;
    }
    if (rc == 0)
        (*text)[(*size)++] = '\n'; /* a file may end without one */
    if (file != NULL)
        fclose(file);
    return rc;
}

static int read_certificates(struct settings *settings, const char *system_ca)
{
    if (settings->ca_file[0] == '\0')
        return 0;
    int rc = system_ca != NULL ? append_file(system_ca, &settings->ca_text, &settings->ca_size) : 0;
    if (rc == -ENOMEM)
        return rc;
    size_t before = settings->ca_size;
    rc = append_file(settings->ca_file, &settings->ca_text, &settings->ca_size);
    /* libcurl passes over a file without certificates in silence. */
    if (rc == 0 && memmem(settings->ca_text + before, settings->ca_size - before, pem_begin,
                          sizeof(pem_begin) - 1) == NULL)
        return -EINVAL;
    return rc;
}

/* Fills url, https and origin. A user, a query or a fragment in it is a mistake, perhaps a secret.
 */
static int take_url(struct settings *settings, const char *url)
{
    settings->https = strncasecmp(url, "https://", 8) == 0;
    if (!settings->https && strncasecmp(url, "http://", 7) != 0)
        return -EINVAL;
    const char *host = url + (settings->https ? 8 : 7);
    size_t host_length = strcspn(host, "/");
    if (host_length == 0 || strpbrk(url, "@?#\\ ") != NULL || !is_plain(url))
        return -EINVAL;
    settings->url = copy(url);
    settings->origin = calloc(1, host_length + sizeof(":443"));
    if (settings->url == NULL || settings->origin == NULL)
        return -ENOMEM;
    for (size_t n = strlen(url); n > 0 && settings->url[n - 1] == '/'; n--)
        settings->url[n - 1] = '\0';
    memcpy(settings->origin, host, host_length);
    const char *after_address = strrchr(settings->origin, ']');
    if (strchr(after_address != NULL ? after_address : settings->origin, ':') == NULL)
        strcat(settings->origin, settings->https ? ":443" : ":80");
    return 0;
}

static int take_id_fields(struct settings *settings, const struct uploader_options *options)
{
    settings->id_fields = calloc(options->id_field_count + 1, sizeof(char *));
    if (settings->id_fields == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < options->id_field_count; i++) {
        settings->id_fields[i] = copy(options->id_fields[i]);
        if (settings->id_fields[i] == NULL)
            return -ENOMEM;
        settings->id_field_count++;
    }
    return 0;
}

static int fill(struct settings *settings, const struct uploader_options *options, const char *url,
                const char *system_ca)
{
    settings->proxy = copy(options->proxy);
    settings->user_agent = copy(options->user_agent);
    settings->ca_file = copy(options->ca_file);
    if (settings->proxy == NULL || settings->user_agent == NULL || settings->ca_file == NULL)
        return -ENOMEM;
    if (!is_plain(settings->user_agent) || !is_plain(settings->proxy) ||
        options->stall_timeout_ms <= 0)
        return -EINVAL;
    settings->bearer = options->bearer;
    settings->stall_timeout_ms = options->stall_timeout_ms;
    int rc = take_url(settings, url);
    if (rc == 0)
        rc = take_id_fields(settings, options);
    return rc == 0 ? read_certificates(settings, system_ca) : rc;
}

int settings_new(const struct uploader_options *options, const char *url, const char *system_ca,
                 struct settings **out)
{
    struct settings *settings = calloc(1, sizeof(*settings));
    if (settings == NULL)
        return -ENOMEM;
    settings->users = 1;
    int rc = fill(settings, options, url, system_ca);
    if (rc != 0) {
        settings_drop(settings);
        return rc;
    }
    *out = settings;
    return 0;
}

struct settings *settings_share(struct settings *settings)
{
    settings->users++;
    return settings;
}

void settings_drop(struct settings *settings)
{
    if (settings == NULL)
        return;
    assert(settings->users > 0);
    if (--settings->users > 0)
        return;
    for (size_t i = 0; i < settings->id_field_count; i++)
        free(settings->id_fields[i]);
    free(settings->id_fields);
    free(settings->url);
    free(settings->origin);
    free(settings->proxy);
    free(settings->user_agent);
    free(settings->ca_file);
    free(settings->ca_text);
    free(settings);
}
