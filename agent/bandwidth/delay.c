#include "agent/bandwidth/delay.h"

#include <math.h>
#include <string.h>

/* A queue of so much is a full link. Lower: the noise of a round trip stops the climb; higher:
 * calls wait for longer. On a slow link three packets that happen to meet are no full link. */
static const double TARGET_US = 5000, TARGET_PACKETS = 3, PACKET_BYTES = 1514;
/* So many targets: it is not our climb that filled it, somebody else has come. */
static const double SURPRISE = 3;
/* Of the target: so much ends a quick growth, and so many readings of it a climb. */
static const double WARY = 0.5;
enum { HIGH_READINGS = 2, DOUBTFUL_READINGS = 4 };

/* The climb: so far below the plateau it begins, so long it takes to be there; after twice that it
 * doubles in this time. */
static const double CLIMB_BELOW = 0.05, CLIMB_S = 2, DOUBLE_S = 1.5;
/* The first climb doubles in this time. */
static const double DOUBLE_US = 300000;
/* A reading that comes late allows no more growth than so many steps: less was seen meanwhile. */
static const int64_t LATE_STEPS_US = 1500 * (int64_t)DELAY_STEP_MS;

/* What of the plateau is sent while the queue drains. A long one has to go in a second, too: the
 * less is sent the longer it is. */
static const double DRAIN_SLOWLY = 0.8, DRAIN_FAST = 0.6, DRAIN_LEAST = 0.1;
static const double DRAIN_NOTHING_US = 500000;
/* With others coming in, more is acknowledged than there will be room for. */
static const double SURPRISED = 0.85;

/* A drain that has not come to its end so long after its queue has passed was not low enough. */
static const int64_t DRAIN_US = 500000;
/* How steady a round trip is that no queue moves, and for how long. */
static const double STEADY_PART = 0.1;
static const int64_t STEADY_US = 400000;

/* Less than this part of the rate was sent: something else than the rate holds the uploads. The
 * first climb is ahead of its acknowledgements. */
static const double USED = 0.75, USED_STARTING = 0.35;

/* A full queue loses more than a bad cable. Not heeded again before the last answer to it shows. */
static const double LOST_PART = 0.02;
static const uint64_t LOST_LEAST = 3;
static const int64_t LOSS_AGAIN_US = 500000;

static const double FIRST_RATE = 125000; /* 1 Mbit/s */
/* Below this nothing could be learnt any more. */
static const double LEAST_RATE = 12500;

/* The shortest round trip is forgotten after two to three of these. */
static const int64_t SPAN_US = 8000000;
/* Who was silent for so long has to look again. */
static const int64_t SILENCE_US = 2000000;

static double target_us(const struct delay_law *law)
{
    return fmax(TARGET_US, TARGET_PACKETS * PACKET_BYTES * 1e6 / law->rate);
}

static void set_rate(struct delay_law *law, double rate)
{
    law->rate = fmin(fmax(rate, LEAST_RATE), (double)law->ceiling);
}

void delay_init(struct delay_law *law, uint64_t ceiling)
{
    memset(law, 0, sizeof(*law));
    law->ceiling = ceiling;
    set_rate(law, FIRST_RATE);
}

void delay_limit(struct delay_law *law, uint64_t ceiling)
{
    law->ceiling = ceiling;
    law->plateau = fmin(law->plateau, (double)ceiling);
    set_rate(law, law->rate);
}

uint64_t delay_rate(const struct delay_law *law)
{
    return law->rate < 1 ? 1 : (uint64_t)law->rate;
}

/* ---- what the readings say ---- */

/* Over the last `n` readings but the newest `without`. */
static struct delay_reading recent(const struct delay_law *law, unsigned n, unsigned without)
{
    struct delay_reading sum = {0};
    for (unsigned i = 1 + without; i <= n + without; i++) {
        const struct delay_reading *one = &law->recent[(law->recent_at - i) % DELAY_RECENT];
        sum.now_us += one->now_us;
        sum.acked_bytes += one->acked_bytes;
        sum.sent_segments += one->sent_segments;
        sum.lost_segments += one->lost_segments;
    }
    return sum;
}

static double delivered(const struct delay_law *law, unsigned n, unsigned without)
{
    struct delay_reading sum = recent(law, n, without);
    return sum.now_us > 0 ? (double)sum.acked_bytes * 1e6 / (double)sum.now_us : 0;
}

static bool is_used(const struct delay_law *law)
{
    double part = law->phase == DELAY_STARTING ? USED_STARTING : USED;
    return delivered(law, DELAY_RECENT, 0) >= part * law->rate;
}

/* The rate grows so quickly that a queue of ours would be a long one before it is sure. */
static bool is_fast(const struct delay_law *law)
{
    return law->phase == DELAY_STARTING ||
           (law->phase == DELAY_CLIMBING && law->climb_us > (int64_t)(2e6 * CLIMB_S));
}

static int64_t shortest_us(const struct delay_law *law)
{
    int64_t shortest = 0;
    for (int i = 0; i < DELAY_SPANS; i++) {
        if (law->spans[i] > 0 && (shortest == 0 || law->spans[i] < shortest))
            shortest = law->spans[i];
    }
    return shortest;
}

static void note_rtt(struct delay_law *law, const struct delay_reading *reading)
{
    if (reading->now_us - law->span_began_us >= SPAN_US) {
        memmove(&law->spans[1], &law->spans[0], sizeof(law->spans) - sizeof(law->spans[0]));
        law->spans[0] = 0;
        law->span_began_us = reading->now_us;
    }
    if (reading->rtt_us <= 0)
        return;
    if (law->spans[0] == 0 || reading->rtt_us < law->spans[0])
        law->spans[0] = reading->rtt_us;
    law->queue_us = reading->rtt_us - shortest_us(law);
    law->high = (double)law->queue_us > target_us(law) ? law->high + 1 : 0;
    law->doubtful = (double)law->queue_us > WARY * target_us(law) ? law->doubtful + 1 : 0;
}

static bool is_full(const struct delay_law *law)
{
    bool rises = law->high > 0 && law->doubtful >= HIGH_READINGS;
    return law->high >= HIGH_READINGS ||
           (is_fast(law) && (rises || law->doubtful >= DOUBTFUL_READINGS));
}

/* Many packets were lost, and no answer to that is under way. */
static bool loses(struct delay_law *law, int64_t now_us)
{
    struct delay_reading sum = recent(law, DELAY_RECENT, 0);
    if (sum.lost_segments < LOST_LEAST || now_us - law->loss_heeded_us < LOSS_AGAIN_US ||
        (double)sum.lost_segments < LOST_PART * (double)sum.sent_segments)
        return false;
    law->loss_heeded_us = now_us;
    return true;
}

/* ---- what is done ---- */

static void climb(struct delay_law *law)
{
    law->phase = DELAY_CLIMBING;
    law->climb_us = 0;
    law->high = law->doubtful = 0;
    set_rate(law, (1 - CLIMB_BELOW) * law->plateau);
}

static void watch_for_steadiness(struct delay_law *law, int64_t now_us)
{
    law->steady_since_us = now_us;
    law->steady_least_us = INT64_MAX;
    law->steady_most_us = 0;
}

static double draining(const struct delay_law *law)
{
    return fmax(DRAIN_FAST - (double)law->queue_us / DRAIN_NOTHING_US, DRAIN_LEAST);
}

/* What the link carried of ours while it was full: just now, where that changes quickly; else the
 * most of late, for a file's end or a change of turns is not the link's. */
static double room(const struct delay_law *law, bool changes)
{
    double now = delivered(law, 2, 0);
    double most = fmax(delivered(law, DELAY_RECENT - 1, 0), delivered(law, DELAY_RECENT - 1, 1));
    return fmin(changes ? now : most, law->rate);
}

static void drain(struct delay_law *law, int64_t now_us)
{
    bool fast = is_fast(law);
    bool surprised = (double)law->queue_us > SURPRISE * target_us(law);
    law->before = room(law, fast || surprised);
    law->plateau = fmax(surprised && !fast ? SURPRISED * law->before : law->before, LEAST_RATE);
    law->phase = DELAY_DRAINING;
    law->cuts = 0;
    law->cut_us = now_us;
    law->drain_lost = false;
    watch_for_steadiness(law, now_us);
    set_rate(law, law->plateau * (surprised ? draining(law) : DRAIN_SLOWLY));
}

/* The round trip is long, and stays as it is however little we send. */
static bool is_another_way(struct delay_law *law, const struct delay_reading *reading)
{
    int64_t rtt_us = reading->rtt_us;
    law->drain_lost = law->drain_lost || reading->lost_segments > 0;
    if (rtt_us <= 0)
        return false;
    law->steady_least_us = rtt_us < law->steady_least_us ? rtt_us : law->steady_least_us;
    law->steady_most_us = rtt_us > law->steady_most_us ? rtt_us : law->steady_most_us;
    if ((double)(law->steady_most_us - law->steady_least_us) > STEADY_PART * (double)law->queue_us)
        watch_for_steadiness(law, reading->now_us);
    return !law->drain_lost && law->cuts > 0 &&
           reading->now_us - law->steady_since_us >= STEADY_US + rtt_us;
}

static void go_on_draining(struct delay_law *law, const struct delay_reading *reading)
{
    if ((double)law->queue_us <= target_us(law) / 2) {
        climb(law);
    } else if (is_another_way(law, reading)) {
        memset(law->spans, 0, sizeof(law->spans));
        law->spans[0] = law->steady_least_us;
        law->plateau = law->before; /* it was not full */
        climb(law);
    } else if (reading->now_us - law->cut_us >= DRAIN_US + reading->rtt_us &&
               law->rate > LEAST_RATE) {
        law->cuts++;
        law->cut_us = reading->now_us;
        law->plateau = fmax(law->plateau * SURPRISED, LEAST_RATE);
        set_rate(law, law->rate / 2);
        watch_for_steadiness(law, reading->now_us);
    }
}

static double climbed(double s)
{
    double at = s / CLIMB_S - 1;
    if (at <= 1)
        return 1 + CLIMB_BELOW * at * at * at;
    return (1 + CLIMB_BELOW) * exp2((s - 2 * CLIMB_S) / DOUBLE_S);
}

static bool is_at_ceiling(const struct delay_law *law)
{
    return law->rate >= (double)law->ceiling;
}

/* At the ceiling it stands still: it is not to leap where that is raised. */
static void go_on_climbing(struct delay_law *law, int64_t took_us)
{
    if (is_at_ceiling(law) || !is_used(law) || (is_fast(law) ? law->doubtful : law->high) > 0)
        return;
    law->climb_us += took_us;
    set_rate(law, law->plateau * climbed((double)law->climb_us / 1e6));
}

static void go_on_starting(struct delay_law *law, int64_t took_us)
{
    if (is_used(law) && law->doubtful == 0)
        set_rate(law, law->rate * exp2((double)took_us / DOUBLE_US));
    if (!is_at_ceiling(law))
        return;
    law->phase = DELAY_CLIMBING;
    law->plateau = law->rate;
    law->climb_us = (int64_t)(1e6 * CLIMB_S);
}

/* The link may be another's by now, after a long time the way another. */
static void begin_again(struct delay_law *law, int64_t silence_us)
{
    if (silence_us > DELAY_SPANS * SPAN_US)
        memset(law->spans, 0, sizeof(law->spans));
    memset(law->recent, 0, sizeof(law->recent));
    law->high = law->doubtful = 0;
    law->queue_us = 0;
    if (law->phase == DELAY_STARTING)
        return;
    law->phase = DELAY_STARTING;
    set_rate(law, fmin(law->rate, fmax(law->plateau / 4, FIRST_RATE)));
}

uint64_t delay_step(struct delay_law *law, const struct delay_reading *reading)
{
    int64_t took_us = reading->now_us - law->read_us;
    law->read_us = reading->now_us;
    if (took_us > SILENCE_US)
        begin_again(law, took_us);
    if (took_us <= 0 || took_us > SILENCE_US)
        return delay_rate(law);
    struct delay_reading *noted = &law->recent[law->recent_at++ % DELAY_RECENT];
    *noted = *reading;
    noted->now_us = took_us;
    note_rtt(law, reading);
    if (law->phase == DELAY_DRAINING)
        go_on_draining(law, reading);
    else if (is_full(law) || loses(law, reading->now_us))
        drain(law, reading->now_us);
    else if (law->phase == DELAY_STARTING)
        go_on_starting(law, took_us < LATE_STEPS_US ? took_us : LATE_STEPS_US);
    else
        go_on_climbing(law, took_us < LATE_STEPS_US ? took_us : LATE_STEPS_US);
    return delay_rate(law);
}
