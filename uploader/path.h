/*
 * What TCP tells of the way that all uploads together take. Thread: the loop's.
 */
#ifndef CHORUS_UPLOADER_PATH_H
#define CHORUS_UPLOADER_PATH_H

#include "uploader/uploader.h"

struct transfer;

/* The kernel tells the smoothed round trip only, each acknowledgement counting for an eighth; this
 * is the mean of those between two readings, weighted alike, in us; 0: there were none. Pure. */
int64_t path_recent_rtt_us(uint32_t before_us, uint32_t after_us, uint32_t acknowledgements);

/* The transfer's body begins to go out, or it is over: what came before or after is not its own. */
void path_begin(struct transfer *transfer);
void path_end(struct transfer *transfer);

#endif
