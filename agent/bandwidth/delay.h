/*
 * The law of `rate: auto`: how fast all uploads together may send, by what TCP tells of the way
 * that they take. Pure: it is stepped with a reading and says the rate; time is what the readings
 * say.
 *
 * Whoever sends more than the link carries fills its queue, and every packet waits in it, the
 * calls' too. So the round trip tells: while it is as short as it can be the link has room, and the
 * rate climbs; once it is longer by TARGET the link is full, what is acknowledged just then is what
 * it has room for, and the rate goes below that until the queue is empty. The climb is a cubic:
 * fast to just below where the link was full last, flat around it, and the faster the longer
 * nothing is in the way, so that calls that have ended leave their place within seconds.
 *
 * It never knows the link; it believes nothing for long:
 * - the shortest round trip is that of the last seconds only, for the way may change; each cycle
 *   empties the queue, so it is seen anew;
 * - a longer one that does not answer to a lower rate is no queue of ours but another way, unless
 *   packets are lost;
 * - a rate that is not used (a slow server, a file's end) is neither raised nor lowered;
 * - packets that are lost in number are a full queue, however short (a small queue never gets
 *   long).
 *
 * Any thread; no errors.
 */
#ifndef CHORUS_BANDWIDTH_DELAY_H
#define CHORUS_BANDWIDTH_DELAY_H

#include <stdbool.h>
#include <stdint.h>

/* So often it wants to be stepped while something is sent. Longer: a queue grows for longer before
 * it is met; shorter: too few acknowledgements for a figure. */
enum { DELAY_STEP_MS = 50 };

/* What happened since the reading before. */
struct delay_reading {
    int64_t now_us;       /* of a clock that never goes back */
    int64_t rtt_us;       /* 0: nothing was acknowledged */
    uint64_t acked_bytes; /* on the wire */
    uint64_t sent_segments, lost_segments;
};

enum { DELAY_SPANS = 3, DELAY_RECENT = 4 };

enum delay_phase { DELAY_STARTING, DELAY_CLIMBING, DELAY_DRAINING };

struct delay_law {
    uint64_t ceiling; /* bytes a second */
    enum delay_phase phase;
    double rate, plateau; /* plateau: what the link had room for when it was last full */
    int64_t read_us;      /* the last reading; 0: none yet */
    int64_t climb_us;     /* how far the climb has come; stands still while the rate is not used */

    /* The shortest round trip of each of the last spans, 0: none; spans[0] is the present one. */
    int64_t spans[DELAY_SPANS], span_began_us;
    int64_t queue_us;   /* of the last reading that had a round trip */
    int high, doubtful; /* readings above the target, and half of it, one after the other */

    struct delay_reading recent[DELAY_RECENT]; /* a ring; now_us: how long each took */
    unsigned recent_at;

    double before; /* what was carried when this drain began */
    int cuts;      /* further ones, of this drain */
    int64_t cut_us, steady_since_us;
    int64_t steady_least_us, steady_most_us; /* round trips since then */
    bool drain_lost;
    int64_t loss_heeded_us;
};

/* `ceiling`: bytes a second, UINT64_MAX: none. */
void delay_init(struct delay_law *law, uint64_t ceiling);
/* Another ceiling; what it has learnt stays. */
void delay_limit(struct delay_law *law, uint64_t ceiling);
/* Takes a reading in; the rate from now on, in bytes a second on the wire, at least 1. After a
 * pause without readings it begins lower than it ended. */
uint64_t delay_step(struct delay_law *law, const struct delay_reading *reading);
/* The rate in force. */
uint64_t delay_rate(const struct delay_law *law);

#endif
