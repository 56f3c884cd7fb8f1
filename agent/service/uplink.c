#include <string.h>

#include "agent/base/log.h"
#include "agent/service/internal.h"

static void on_trouble(void *ctx, const char *what, int error)
{
    (void)ctx;
    log_event(LOG_WARNING, "bandwidth", "reason", what, "error", strerror(error), "to-do",
              "nothing: uploads go on, less smoothly or unmarked", NULL);
}

void uplink_configure(struct service *service)
{
    const struct bandwidth *bandwidth = &service->config->bandwidth;
    bool unlimited = bandwidth->rate.kind == RATE_UNLIMITED;
    uploader_on_trouble(service->uploader, on_trouble, service);
    uploader_set_dscp(service->uploader, bandwidth->dscp);
    uploader_set_rate(service->uploader,
                      unlimited ? UPLOADER_UNLIMITED : bandwidth->rate.bytes_per_s);
}
