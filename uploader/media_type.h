/*
 * The media type of a recording, for the form's data part. Pure.
 */
#ifndef CHORUS_UPLOADER_MEDIA_TYPE_H
#define CHORUS_UPLOADER_MEDIA_TYPE_H

/* By the name's ending, case ignored; application/octet-stream where it is unknown. Static. */
const char *media_type(const char *file_name);

#endif
