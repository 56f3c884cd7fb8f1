#include "agent/config/paths.h"

#include <string.h>

size_t path_root_length(const char *folder)
{
    return strcmp(folder, "/") == 0 ? 0 : strlen(folder);
}

bool path_is_within(const char *path, const char *folder)
{
    size_t length = path_root_length(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}
