/*
 * A link in virtual time, for the law of `rate: auto`: calls and an upload share a queue of the
 * first come, first served; the upload sends as fast as the law says, where nothing else holds it.
 * A fluid in steps of 1 ms: no packets, but for their loss and the noise of round trips.
 */
#ifndef TRANSCRIPTS_UPLINK_H
#define TRANSCRIPTS_UPLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/bandwidth/delay.h"

enum { UPLINK_HISTORY = 4096, UPLINK_MOST_MS = 600000 };

struct uplink {
    /* Set at any time. Rates in bytes a second. */
    double rate, calls, others; /* others: bulk that does not yield, on the same queue */
    double queue_bytes;         /* its size */
    int rtt_ms;                 /* of the way, without the queue */
    double noise_ms;            /* each reading's round trip is up to so much longer */
    double server;              /* what the server takes; 0: all */
    double bad_cable;           /* part of the packets that it loses */
    bool bbr;                   /* the upload's congestion control holds it, too */
    bool silent;                /* nothing is sent, nothing is read */

    struct delay_law law;
    int now_ms;

    /* Its own. Curves of bytes that came in, up to each ms of the last ones. */
    double came[UPLINK_HISTORY], came_ours[UPLINK_HISTORY];
    double left, left_ours, acked, lost, sent;
    int oldest_ms;
    double bandwidth_seen[10];
    double acked_at_read, lost_at_read, sent_at_read;
    double acked_curve[UPLINK_HISTORY];
    uint32_t random;

    /* Of each ms so far. wait: of what comes in; waited: of what goes out. */
    float wait_ms[UPLINK_MOST_MS], waited_ms[UPLINK_MOST_MS], carried[UPLINK_MOST_MS],
        room[UPLINK_MOST_MS], asked[UPLINK_MOST_MS];
    float dropped[UPLINK_MOST_MS], offered[UPLINK_MOST_MS];
};

double uplink_mbit(double mbit); /* in bytes a second */
double uplink_calls(int calls);  /* likewise */
struct uplink *uplink_new(void); /* 10 Mbit/s, a queue of 256 KiB, 20 ms, 5 calls, no ceiling */
void uplink_run(struct uplink *uplink, double seconds);

/* Between two times, in s since the beginning. */
double uplink_p99_ms(const struct uplink *uplink, double from, double to); /* of the queue */
double uplink_most_ms(const struct uplink *uplink, double from, double to);
/* What the upload carried of what calls and others left free. */
double uplink_used(const struct uplink *uplink, double from, double to);
/* Of all that came to the queue, calls' packets too, what found no room. */
double uplink_lost(const struct uplink *uplink, double from, double to);
/* The law's rate, on average, in Mbit/s. */
double uplink_asked_mbit(const struct uplink *uplink, double from, double to);

#endif
