#include "agent/commands/running.h"

#include "agent/base/json.h"
#include "agent/service/lock.h"

enum { MOST_BYTES = 16 * 1024 * 1024 };

cJSON *running_status(const char *state_dir)
{
    struct lock_holder holder;
    cJSON *status = NULL;
    if (lock_is_held(state_dir, &holder) && holder.status_path != NULL)
        status = json_read_file(holder.status_path, MOST_BYTES);
    /* a file that another process left behind says nothing of this one */
    if (status != NULL && (pid_t)json_number(status, "pid") != holder.pid) {
        cJSON_Delete(status);
        status = NULL;
    }
    lock_holder_clear(&holder);
    return status;
}
