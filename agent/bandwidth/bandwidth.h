/*
 * How much of the uplink uploads may take, and when: the values of the configuration's `bandwidth`,
 * and the rate that is in force at a time. Pure, but for the time zone, which is the process's.
 * Any thread.
 */
#ifndef CHORUS_BANDWIDTH_H
#define CHORUS_BANDWIDTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rate_kind { RATE_UNLIMITED, RATE_FIXED };

/* As it shall be on the wire, with all that stands around the payload there. */
struct rate {
    enum rate_kind kind;
    uint64_t bytes_per_s; /* of FIXED; 0: nothing leaves */
};

enum { RATE_TEXT = 32 };
#define RATE_UNITS "bit/s, kbit/s, Mbit/s, Gbit/s, B/s, kB/s, MB/s, GB/s"

/* "8 Mbit/s", "512 kbit/s", "1.5 MB/s" (k, M, G: 1000), "0", "unlimited". False: none of these, or
 * less than a byte a second. */
bool rate_parse(const char *text, struct rate *rate);
/* What rate_parse reads, in bits: the largest unit that states it in whole numbers. */
void rate_words(const struct rate *rate, char text[RATE_TEXT]);
bool rate_is_none(const struct rate *rate);

struct bandwidth {
    struct rate rate;
    int dscp; /* the class of service that packets are marked with */
};

/* Classes of service by their names (RFC 4594, RFC 8622), case ignored. */
enum dscp_answer {
    DSCP_KNOWN,
    DSCP_FOR_CALLS, /* a class that voice, video, their signalling or routing have */
    DSCP_UNKNOWN,
};
enum dscp_answer dscp_parse(const char *name, int *dscp);
/* "none, le, cs1, ...": those that are allowed. Static. */
const char *dscp_names(void);

#endif
