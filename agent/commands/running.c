#include "agent/commands/running.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/service/lock.h"

enum { MOST_BYTES = 16 * 1024 * 1024 };

static cJSON *read_status(const char *file)
{
    struct stat st;
    cJSON *json = NULL;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= MOST_BYTES) {
        char *text = mem_zalloc((size_t)st.st_size + 1);
        ssize_t n = read(fd, text, (size_t)st.st_size);
        json = n > 0 ? cJSON_ParseWithLength(text, (size_t)n) : NULL;
        free(text);
    }
    close(fd);
    return json;
}

cJSON *running_status(const char *state_dir)
{
    struct lock_holder holder;
    cJSON *status = NULL;
    if (lock_is_held(state_dir, &holder) && holder.status_path != NULL)
        status = read_status(holder.status_path);
    /* a file that another process left behind says nothing of this one */
    if (status != NULL && (pid_t)running_number(status, "pid") != holder.pid) {
        cJSON_Delete(status);
        status = NULL;
    }
    lock_holder_clear(&holder);
    return status;
}

const char *running_text(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(item) ? item->valuestring : "";
}

double running_number(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}
