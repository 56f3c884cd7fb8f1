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

enum rate_kind { RATE_UNLIMITED, RATE_FIXED, RATE_AUTO };

/* As it shall be on the wire, with all that stands around the payload there. */
struct rate {
    enum rate_kind kind;
    uint64_t bytes_per_s; /* of FIXED; 0: nothing leaves. 0 of the others */
};

enum { RATE_TEXT = 32 };
#define RATE_UNITS "bit/s, kbit/s, Mbit/s, Gbit/s, B/s, kB/s, MB/s, GB/s"

/* "8 Mbit/s", "512 kbit/s", "1.5 MB/s" (k, M, G: 1000), "0", "unlimited", "auto". False: none of
 * these, or less than a byte a second. */
bool rate_parse(const char *text, struct rate *rate);
/* What rate_parse reads, in bits: the largest unit that states it in whole numbers. */
void rate_words(const struct rate *rate, char text[RATE_TEXT]);
bool rate_is_none(const struct rate *rate);

/* Days of the week and times of the day at which another rate is in force. Times are those of the
 * local clock: a window is in force while that clock reads `from` or later, and not yet `to`. */
struct bandwidth_window {
    char *name;
    unsigned days; /* on which it begins; bit 0: Sunday, as tm_wday */
    int from, to;  /* minutes of the day; `to` at or before `from` is of the next day */
    struct rate rate;
};

struct bandwidth {
    struct rate rate; /* outside every window */
    struct bandwidth_window *windows;
    size_t window_count;
    struct rate ceiling;   /* of an AUTO rate; never AUTO itself */
    struct rate busy_rate; /* the most while calls are many */
    int dscp;              /* the class of service that packets are marked with */
};

/* "mon-fri", "sat,sun", "fri-mon, wed": case ignored. */
bool days_parse(const char *text, unsigned *days);
/* "8:30", "18:30", "24:00" as minutes. */
bool clock_parse(const char *text, int *minutes);

struct bandwidth_now {
    struct rate rate;
    const struct bandwidth_window *window; /* NULL: none is in force */
    const char *busy;                      /* why busy_rate holds instead; NULL: it does not */
    uint64_t present; /* bytes a second that an AUTO rate has come to; 0: not known */
    int64_t until_ms; /* wall clock: then another window, or none, is in force; 0: never */
};

/* Of several windows at once the one with the lowest rate (auto is lower than unlimited, and higher
 * than any number), the first of equals. `now_ms` is the wall clock. */
struct bandwidth_now bandwidth_in_force(const struct bandwidth *bandwidth, int64_t now_ms);

/* Calls are many, in these words: only busy_rate may be used, where that is lower. */
void bandwidth_when_busy(const struct bandwidth *bandwidth, const char *words,
                         struct bandwidth_now *now);

/* "512 kbit/s, window office, until 2026-11-23 18:30" (local time), "auto, now 9.3 Mbit/s"; new
 * string. */
char *bandwidth_words(const struct bandwidth_now *now);
/* Why nothing leaves, "" if something may; new string. */
char *bandwidth_held_words(const struct bandwidth_now *now);

struct cJSON;
/* The same as the object `bandwidth` of `root`: rate, bytes_per_s, window, until (null where there
 * is none), busy (likewise), in_words. */
void bandwidth_add_json(struct cJSON *root, const struct bandwidth_now *now);

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
