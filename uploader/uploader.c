/*
 * The uploader's own life: options, token, start and end.
 *
 * Certificates: ca_file is used beside the system's bundle, as one text, read when the options are
 * taken; before libcurl 7.77 it takes the bundle's place.
 */
#include "uploader/uploader.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "uploader/client.h"

/* Builds an exchange that is never started: says now what every later one would say. */
static int try_settings(struct uploader *uploader)
{
    struct transfer transfer = {0};
    int rc = secret_set(&uploader->token, "none");
    if (rc == 0)
        rc = transfer_init(&transfer, uploader, NULL, "/", 0);
    transfer_deinit(&transfer);
    secret_clear(&uploader->token);
    return rc;
}

static int set_up(struct uploader *uploader, const struct uploader_options *options)
{
    int rc = client_check_url(options->url);
    if (rc == 0)
        rc = settings_new(options, options->url, transfer_system_ca(), &uploader->settings);
    if (rc == 0)
        rc = client_check_library(uploader->settings->https);
    if (rc == 0)
        rc = try_settings(uploader);
    return rc == 0 ? client_open(uploader) : rc;
}

void uploader_free(struct uploader *uploader)
{
    settings_drop(uploader->settings);
    secret_clear(&uploader->token);
    free(uploader);
    client_unload_library();
}

int uploader_new(struct uv_loop_s *loop, const struct uploader_options *options,
                 struct uploader **out)
{
    int rc = client_load_library();
    if (rc != 0)
        return rc;
    struct uploader *uploader = calloc(1, sizeof(*uploader));
    if (uploader == NULL) {
        client_unload_library();
        return -ENOMEM;
    }
    TAILQ_INIT(&uploader->active);
    TAILQ_INIT(&uploader->ended);
    uploader->loop = loop;
    pace_init(uploader);
    rc = set_up(uploader, options);
    if (rc != 0) {
        uploader_free(uploader);
        return rc;
    }
    *out = uploader;
    return 0;
}

int uploader_configure(struct uploader *uploader, const struct uploader_options *options)
{
    struct settings *old = uploader->settings;
    struct settings *new = NULL;
    int rc = settings_new(options, old->url, transfer_system_ca(), &new);
    if (rc != 0)
        return rc;
    uploader->settings = new;
    settings_drop(old);
    client_settings_changed(uploader);
    return 0;
}

int uploader_set_token(struct uploader *uploader, const char *token)
{
    if (token != NULL && !secret_is_header_safe(token))
        return -EINVAL;
    return secret_set(&uploader->token, token);
}

void uploader_close(struct uploader *uploader, void (*done)(void *ctx), void *ctx)
{
    assert(!uploader->closing);
    uploader->closed = done;
    uploader->closed_ctx = ctx;
    client_close(uploader);
}
