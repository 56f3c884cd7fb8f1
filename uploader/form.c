/*
 * The form of /v3/upload. An ignored failure of a curl_mime_* call would send it without that part,
 * so each is checked, and the key part is noted only once it and its companion stand.
 */
#include <curl/curl.h>
#include <errno.h>

#include "uploader/client.h"
#include "uploader/media_type.h"
#include "uploader/uploader.h"

static int error_of(CURLcode code)
{
    if (code == CURLE_OK)
        return 0;
    return code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
}

static int add_text(curl_mime *mime, const char *name, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return 0;
    curl_mimepart *part = curl_mime_addpart(mime);
    if (part == NULL)
        return -ENOMEM;
    CURLcode code = curl_mime_name(part, name);
    if (code == CURLE_OK)
        code = curl_mime_data(part, text, CURL_ZERO_TERMINATED);
    return error_of(code);
}

static int add_texts(struct form *form, const struct upload_job *job)
{
    int rc = add_text(form->mime, "name", job->name);
    if (rc == 0)
        rc = add_text(form->mime, "user", job->user);
    if (rc == 0 && job->meeting_id != NULL && job->meeting_id[0] != '\0') {
        rc = add_text(form->mime, "meeting_id", job->meeting_id);
        if (rc == 0)
            rc = add_text(form->mime, "enforce_unique_meeting_id", "true");
        form->has_key = rc == 0;
    }
    if (rc == 0)
        rc = add_text(form->mime, "crm_account_id", job->crm_account_id);
    if (rc == 0)
        rc = add_text(form->mime, "crm_opportunity_id", job->crm_opportunity_id);
    return rc;
}

static size_t on_read(char *buffer, size_t size, size_t n, void *upload)
{
    ssize_t got = upload_next_bytes(upload, buffer, size * n);
    if (got == UPLOADER_NOT_YET)
        return CURL_READFUNC_PAUSE;
    return got < 0 ? CURL_READFUNC_ABORT : (size_t)got;
}

/* No seek function: a part that cannot be rewound is what keeps libcurl from sending it twice. */
static int add_data(curl_mime *mime, const struct upload_job *job, struct upload *upload)
{
    curl_mimepart *part = curl_mime_addpart(mime);
    if (part == NULL)
        return -ENOMEM;
    CURLcode code = curl_mime_name(part, "data");
    if (code == CURLE_OK)
        code = curl_mime_filename(part, job->file_name);
    if (code == CURLE_OK)
        code = curl_mime_type(part, media_type(job->file_name));
    if (code == CURLE_OK)
        code = curl_mime_data_cb(part, (curl_off_t)job->body.size, on_read, NULL, NULL, upload);
    return error_of(code);
}

int form_build(struct form *form, void *easy, const struct upload_job *job, struct upload *upload)
{
    form->mime = curl_mime_init(easy);
    if (form->mime == NULL)
        return -ENOMEM;
    int rc = add_texts(form, job);
    if (rc == 0)
        rc = add_data(form->mime, job, upload);
    if (rc == 0)
        rc = error_of(curl_easy_setopt(easy, CURLOPT_MIMEPOST, form->mime));
    return rc;
}

void form_free(struct form *form)
{
    curl_mime_free(form->mime);
    *form = (struct form){0};
}
