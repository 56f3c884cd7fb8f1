/*
 * bench-relay: a wire of a fixed length between two network namespaces (see tests/bench/calls):
 *
 *     bench-relay NEAR_PID FAR_PID DELAY_US
 *
 * It makes a tun device `link` in the namespaces of these two processes, says `ready`, and from
 * then on hands every packet over after the delay, each way. To each line on stdin it answers with
 * the bytes of TCP and of UDP that came from the near side so far. It ends when stdin does.
 *
 * It wants to be woken in time: it asks for the lowest real-time priority and goes on without.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/* Packets on their way in one direction: at 10 ms and 1 Gbit/s about 830, of the smallest many
 * more. */
enum { ROOM = 8192, PACKET = 2048, QUEUE_OF_TUN = 4096 };

struct packet {
    int64_t due_ns;
    size_t size;
    unsigned char bytes[PACKET];
};

struct direction {
    int from, to;
    size_t first, count;
    uint64_t tcp_bytes, udp_bytes;
    struct packet *packets; /* a ring of ROOM */
};

static struct packet rings[2][ROOM];

static void die(const char *what)
{
    fprintf(stderr, "bench-relay: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void enter(const char *pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/ns/net", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0)
        die(path);
    close(fd);
}

static int open_tun(const char *pid)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    strcpy(request.ifr_name, "link");
    enter(pid);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0)
        die("/dev/net/tun");
    int helper = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    request.ifr_qlen = QUEUE_OF_TUN;
    if (helper < 0 || ioctl(helper, SIOCSIFTXQLEN, &request) != 0)
        die("the device's queue");
    close(helper);
    return fd;
}

static void count(struct direction *way, const struct packet *packet)
{
    const struct iphdr *ip = (const void *)packet->bytes;
    if (packet->size < sizeof *ip || ip->version != 4)
        return;
    way->tcp_bytes += ip->protocol == IPPROTO_TCP ? packet->size : 0;
    way->udp_bytes += ip->protocol == IPPROTO_UDP ? packet->size : 0;
}

/* What is here; more than there is room for waits in the device. */
static void take(struct direction *way, int64_t delay_ns)
{
    while (way->count < ROOM) {
        struct packet *packet = &way->packets[(way->first + way->count) % ROOM];
        ssize_t got = read(way->from, packet->bytes, sizeof packet->bytes);
        if (got <= 0)
            return;
        packet->size = (size_t)got;
        packet->due_ns = now_ns() + delay_ns;
        count(way, packet);
        way->count++;
    }
}

static void give(struct direction *way)
{
    while (way->count > 0 && way->packets[way->first].due_ns <= now_ns()) {
        const struct packet *packet = &way->packets[way->first];
        if (write(way->to, packet->bytes, packet->size) < 0 && errno != EINVAL && errno != EIO)
            die("write");
        way->first = (way->first + 1) % ROOM;
        way->count--;
    }
}

/* Until the next packet is due; 100 ms where none is on its way. */
static struct timespec pause_of(const struct direction ways[2])
{
    int64_t now = now_ns(), left = 100000000;
    for (int i = 0; i < 2; i++) {
        if (ways[i].count > 0 && ways[i].packets[ways[i].first].due_ns - now < left)
            left = ways[i].packets[ways[i].first].due_ns - now;
    }
    return (struct timespec){.tv_nsec = left > 0 ? (long)left : 0};
}

/* False: nobody asks any more. */
static bool answer(const struct direction *up)
{
    char line[64];
    if (read(STDIN_FILENO, line, sizeof line) <= 0)
        return false;
    printf("%llu %llu\n", (unsigned long long)up->tcp_bytes, (unsigned long long)up->udp_bytes);
    return true;
}

static void relay(struct direction ways[2], int64_t delay_ns)
{
    for (;;) {
        struct pollfd fds[3] = {{.fd = ways[0].from, .events = POLLIN},
                                {.fd = ways[1].from, .events = POLLIN},
                                {.fd = STDIN_FILENO, .events = POLLIN}};
        struct timespec pause = pause_of(ways);
        if (ppoll(fds, 3, &pause, NULL) < 0 && errno != EINTR)
            die("ppoll");
        for (int i = 0; i < 2; i++) {
            take(&ways[i], delay_ns);
            give(&ways[i]);
        }
        if (fds[2].revents != 0 && !answer(&ways[0]))
            return;
    }
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 64;
    int64_t delay_ns = strtoll(argv[3], NULL, 10) * 1000;
    int near = open_tun(argv[1]), far = open_tun(argv[2]);
    struct direction ways[2] = {{.from = near, .to = far, .packets = rings[0]},
                                {.from = far, .to = near, .packets = rings[1]}};
    struct sched_param lowest = {.sched_priority = 1};
    (void)sched_setscheduler(0, SCHED_FIFO, &lowest);
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    relay(ways, delay_ns);
    return 0;
}
