#include "uploader/media_type.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

const char *media_type(const char *file_name)
{
    static const struct {
        const char *ending, *type;
    } types[] = {
        {".wav", "audio/wav"},   {".mp3", "audio/mpeg"},       {".ogg", "audio/ogg"},
        {".oga", "audio/ogg"},   {".opus", "audio/ogg"},       {".mp4", "video/mp4"},
        {".m4a", "audio/mp4"},   {".m4v", "video/mp4"},        {".mov", "video/quicktime"},
        {".webm", "video/webm"}, {".mkv", "video/x-matroska"}, {".avi", "video/x-msvideo"},
        {".flv", "video/x-flv"}, {".3gp", "video/3gpp"},       {".3g2", "video/3gpp2"},
        {".au", "audio/basic"},
    };
    const char *ending = strrchr(file_name, '.');
    for (size_t i = 0; ending != NULL && i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcasecmp(ending, types[i].ending) == 0)
            return types[i].type;
    }
    return "application/octet-stream";
}
