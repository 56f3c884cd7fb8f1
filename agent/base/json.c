#include "agent/base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"
#include "agent/base/when.h"

void json_begin(void)
{
    cJSON_Hooks hooks = {.malloc_fn = mem_zalloc, .free_fn = free};
    cJSON_InitHooks(&hooks);
}

cJSON *json_read_file(const char *file, size_t most)
{
    struct stat st;
    cJSON *json = NULL;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (size_t)st.st_size <= most) {
        char *text = mem_zalloc((size_t)st.st_size + 1);
        ssize_t n = read(fd, text, (size_t)st.st_size);
        json = n > 0 ? cJSON_ParseWithLength(text, (size_t)n) : NULL;
        free(text);
    }
    close(fd);
    return json;
}

bool json_write_file(const char *file, const char *text)
{
    char *temporary = mem_printf("%s.new", file);
    FILE *stream = fopen(temporary, "we");
    int error = stream == NULL ? errno : 0;
    if (stream != NULL && (fputs(text, stream) < 0 || fflush(stream) != 0))
        error = errno;
    if (stream != NULL && fclose(stream) != 0 && error == 0)
        error = errno;
    if (error == 0 && rename(temporary, file) != 0)
        error = errno;
    if (error != 0)
        unlink(temporary);
    free(temporary);
    errno = error;
    return error == 0;
}

void json_add_text(cJSON *object, const char *key, const char *text)
{
    if (text != NULL && text[0] != '\0')
        cJSON_AddStringToObject(object, key, text);
}

void json_add_bytes(cJSON *object, const char *key, const char *bytes)
{
    char *escaped = bytes != NULL ? bytes_escape(bytes) : NULL;
    json_add_text(object, key, escaped);
    free(escaped);
}

void json_add_time(cJSON *object, const char *key, int64_t ms)
{
    char text[WHEN_TEXT];
    if (ms == 0)
        return;
    when_rfc3339(ms, text);
    cJSON_AddStringToObject(object, key, text);
}

const char *json_text(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(item) ? item->valuestring : "";
}

double json_number(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}
