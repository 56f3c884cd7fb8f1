#include "uploader/path.h"

#include <math.h>

#include "uploader/client.h"
#include "uploader/socket.h"

/* Of each acknowledgement, in the kernel's smoothed round trip. */
static const double WEIGHT = 1.0 / 8;
/* Of what was before so many nothing is left. */
enum { ACKNOWLEDGEMENTS_MOST = 64 };

int64_t path_recent_rtt_us(uint32_t before_us, uint32_t after_us, uint32_t acknowledgements)
{
    if (acknowledgements == 0)
        return 0;
    if (before_us == 0 || acknowledgements > ACKNOWLEDGEMENTS_MOST)
        return after_us;
    double left = pow(1 - WEIGHT, acknowledgements); /* weight of what was before */
    double recent = before_us + ((double)after_us - before_us) / (1 - left);
    return recent < 1 ? 1 : (int64_t)recent;
}

/* Adds what happened since the last look to what is told next. */
static void look(struct transfer *transfer)
{
    struct uploader_path *path = &transfer->uploader->path;
    struct socket_mark last = transfer->mark, *now = &transfer->mark;
    if (!socket_read_mark(transfer->socket, now) || last.socket != now->socket)
        return;
    int64_t rtt_us = path_recent_rtt_us(last.smoothed_rtt_us, now->smoothed_rtt_us,
                                        now->segments_in - last.segments_in);
    if (rtt_us > 0 && (path->rtt_us == 0 || rtt_us < path->rtt_us))
        path->rtt_us = rtt_us;
    path->acked_bytes += pace_on_wire(now->acked_bytes - last.acked_bytes);
    path->sent_segments += now->segments_out - last.segments_out;
    path->resent_segments += now->resent - last.resent;
}

void path_begin(struct transfer *transfer)
{
    (void)socket_read_mark(transfer->socket, &transfer->mark);
}

void path_end(struct transfer *transfer)
{
    look(transfer);
    transfer->mark.socket = -1;
}

void uploader_read_path(struct uploader *uploader, struct uploader_path *out)
{
    struct transfer *at = NULL;
    TAILQ_FOREACH(at, &uploader->active, link)
    {
        if (at->sends)
            look(at);
    }
    *out = uploader->path;
    uploader->path = (struct uploader_path){0};
}
