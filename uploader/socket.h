/*
 * What is asked of a TCP socket beyond sending: pace, mark, and how much has left. Any thread.
 */
#ifndef CHORUS_UPLOADER_SOCKET_H
#define CHORUS_UPLOADER_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Most bytes of payload a second, UINT64_MAX: no limit. 0 or negative errno. */
int socket_set_pace(int socket, uint64_t bytes_per_s);
/* It is no longer writable while so many bytes have not left. */
void socket_set_backlog(int socket, size_t bytes);
/* Class of service, for IPv4 and IPv6. 0 or negative errno. */
int socket_set_dscp(int socket, int dscp);
/* Nothing waits to leave for the first time. */
bool socket_is_drained(int socket);
/* A connection's counters. */
struct socket_mark {
    int socket; /* of which they are; -1: none */
    uint32_t smoothed_rtt_us, segments_in, segments_out, resent;
    uint64_t acked_bytes; /* payload */
};
/* False, and `socket` is -1: there is no connection, or this kernel does not tell. */
bool socket_read_mark(int socket, struct socket_mark *mark);
/* Segments with payload that left so far; 0 if that is not known. */
unsigned socket_segments_out(int socket);

#endif
