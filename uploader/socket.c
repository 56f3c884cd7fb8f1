#include "uploader/socket.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h> /* netinet/tcp.h lacks what is newer in struct tcp_info */
#include <netinet/in.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int socket_set_pace(int socket, uint64_t bytes_per_s)
{
    unsigned long most = bytes_per_s > ~0UL ? ~0UL : (unsigned long)bytes_per_s;
    return setsockopt(socket, SOL_SOCKET, SO_MAX_PACING_RATE, &most, sizeof most) == 0 ? 0 : -errno;
}

void socket_set_backlog(int socket, size_t bytes)
{
    int backlog = (int)bytes;
    (void)setsockopt(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &backlog, sizeof backlog);
}

/* An IPv6 socket may lead to an IPv4 address. */
int socket_set_dscp(int socket, int dscp)
{
    int tos = dscp << 2, family = 0;
    socklen_t size = sizeof family;
    int error = setsockopt(socket, IPPROTO_IP, IP_TOS, &tos, sizeof tos) == 0 ? 0 : -errno;
    if (getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &family, &size) != 0 || family != AF_INET6)
        return error;
    return setsockopt(socket, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos) == 0 ? 0 : -errno;
}

bool socket_is_drained(int socket)
{
    int unsent = 0;
    return ioctl(socket, SIOCOUTQNSD, &unsent) != 0 || unsent == 0;
}

bool socket_read_mark(int socket, struct socket_mark *mark)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    mark->socket = -1;
    if (socket < 0 || getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
        size < offsetof(struct tcp_info, tcpi_data_segs_out) + sizeof info.tcpi_data_segs_out)
        return false;
    *mark = (struct socket_mark){
        .socket = socket,
        .smoothed_rtt_us = info.tcpi_rtt,
        .segments_in = info.tcpi_segs_in,
        .segments_out = info.tcpi_data_segs_out,
        .resent = info.tcpi_total_retrans,
        .acked_bytes = info.tcpi_bytes_acked,
    };
    return true;
}

unsigned socket_segments_out(int socket)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        return 0;
    return info.tcpi_data_segs_out;
}
