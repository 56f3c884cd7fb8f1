/*
 * Whether anything still moves. libcurl's low-speed limit would count the wait for an answer as
 * well, and takes what the kernel has buffered for sent.
 */
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "uploader/client.h"

/* A trickle is a stall too: an answer that takes so many stall timeouts, or an exchange that after
 * so many is slower than this. A phone's uplink shared by 8 transfers still has some 1,500 bytes a
 * second. */
static const int64_t TRICKLE_STALLS = 10;
static const int64_t TRICKLE_BYTES_PER_S = 256;

static struct pulse take_pulse(const struct transfer *transfer)
{
    struct pulse pulse = {
        .sent = transfer_sent(transfer),
        .received = (int64_t)(transfer->head_bytes + transfer->body_seen),
        .request_left = transfer->request_left,
    };
    if (transfer->socket >= 0)
        (void)ioctl(transfer->socket, SIOCOUTQ, &pulse.unacknowledged);
    return pulse;
}

/* At a low pace even the kernel's next packet takes its time. */
static int64_t stall_after_ms(const struct transfer *transfer)
{
    int64_t stall_ms = transfer->settings->stall_timeout_ms;
    int64_t patience_ms =
        transfer->sends ? pace_patience_ms(transfer->uploader->pace.share) : stall_ms;
    return patience_ms > stall_ms ? patience_ms : stall_ms;
}

bool transfer_is_slowed(const struct transfer *transfer)
{
    return transfer->sends && transfer->uploader->pace.share < 2 * (uint64_t)TRICKLE_BYTES_PER_S;
}

bool transfer_is_overdue(struct transfer *transfer, int64_t now_ms)
{
    const struct pulse last = transfer->pulse;
    const struct pulse pulse = transfer->pulse = take_pulse(transfer);
    int64_t stall_ms = stall_after_ms(transfer);
    if (pulse.sent != last.sent || pulse.received != last.received ||
        pulse.unacknowledged != last.unacknowledged || pulse.request_left != last.request_left)
        transfer->moved_at_ms = now_ms;
    if (now_ms - transfer->moved_at_ms >= stall_ms)
        return true;
    if (transfer->answered_at_ms == 0 && transfer->body_out && transfer->head_bytes > 0)
        transfer->answered_at_ms = now_ms;
    if (transfer->answered_at_ms > 0 &&
        (now_ms - transfer->answered_at_ms) / TRICKLE_STALLS >= stall_ms)
        return true;
    int64_t age_ms = now_ms - transfer->started_at_ms;
    return age_ms / TRICKLE_STALLS >= stall_ms &&
           pulse.sent + pulse.received < age_ms / 1000 * TRICKLE_BYTES_PER_S;
}
