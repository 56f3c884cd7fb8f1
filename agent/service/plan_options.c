/* What the plan goes by, from the configuration. */
#include "agent/service/internal.h"

int64_t service_longest_wait(const struct config *config)
{
    int64_t longest_ms = config->upload.retry_max_ms > config->upload.resend_after_ms
                             ? config->upload.retry_max_ms
                             : config->upload.resend_after_ms;
    for (size_t i = 0; i < config->watch_count; i++) {
        const struct watch_config *watch = &config->watches[i];
        if (watch->delay_ms > longest_ms)
            longest_ms = watch->delay_ms;
        if (watch->prefer[0] != '\0' && watch->prefer_wait_ms > longest_ms)
            longest_ms = watch->prefer_wait_ms;
        if (watch->sidecar_wait_ms > longest_ms)
            longest_ms = watch->sidecar_wait_ms;
    }
    return longest_ms;
}

struct plan_options service_plan_options(const struct config *config)
{
    return (struct plan_options){
        .concurrency = config->upload.concurrency,
        .retry_first_ms = config->upload.retry_first_ms,
        .retry_max_ms = config->upload.retry_max_ms,
        .retry_for_ms = config->upload.retry_for_ms,
        .resend_after_ms = config->upload.resend_after_ms,
        .longest_wait_ms = service_longest_wait(config),
        .back_lane = config->upload.order != ORDER_OLDEST,
    };
}

/* So long after acceptance Chorus is still asked for the last proof. */
#define ASK_FOR_MS (INT64_C(24) * 3600000)

struct erasure_options service_erasure_options(const struct config *config)
{
    return (struct erasure_options){
        .confirm_for_ms = config->delete_.confirm_for_ms,
        .ask_for_ms = ASK_FOR_MS,
    };
}
