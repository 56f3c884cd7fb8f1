/*
 * Whose turn it is: under a rate few uploads send at a time, the others wait, and after a while
 * they change. The kernel sends at least two segments of a connection at once, and many connections
 * do so in step: at 10 Mbit/s eight of them put 20 ms in front of a call, one puts 2 ms. An upload
 * that waits is no stall, and keeps its connection. Thread: the loop's.
 */
#ifndef CHORUS_UPLOADER_TURNS_H
#define CHORUS_UPLOADER_TURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct transfer;
struct uploader;

/* Of a transfer. */
struct turn {
    bool has, over; /* over: it gives nothing out any more, what it gave out has still to leave */
    uint64_t given; /* bytes, the last time that it gave any out */
    int64_t given_at_ms;
    int64_t since_ms; /* it has it, it is over, or it waits */
};

/* Of an uploader. */
struct turns {
    size_t held;
    size_t more;    /* at once than the rate asks for: one alone does not use it */
    uint64_t given; /* bytes, since: */
    int64_t looked_at_ms;
};

/* So many at once, at most. Pure. */
size_t turns_most(uint64_t bytes_per_s);

/* Whether this sender may give bytes out: it has its turn, or takes one that is free. */
bool turns_may_send(struct transfer *transfer);
void turns_note_given(struct transfer *transfer, size_t bytes);
/* What it gave out last has had its time at its share of the rate: the kernel sends the first of a
 * pause at once, and only then waits. */
bool turns_is_paid(const struct transfer *transfer, int64_t now_ms);
/* It sends no more: its turn is free. */
void turns_leave(struct transfer *transfer);
/* To be called every few ms while this says so: somebody waits. Outside libcurl's callbacks. */
bool turns_change(struct uploader *uploader, int64_t now_ms);

#endif
