/*
 * bench-callers: calls as G.711 over RTP makes them, one way, from this network namespace to that
 * of another process (see tests/bench/calls):
 *
 *     bench-callers FAR_PID ADDRESS
 *
 * Each call is a packet of 200 bytes, IP and UDP headers included, every 20 ms. A number on stdin:
 * so many calls from now on. At the end of stdin it waits for what is on its way and writes a line
 * for each packet, in the order of sending: when it left, in us of CLOCK_REALTIME, and how many us
 * it took, -1 where it was lost. The kernel says when one arrived, so that it does not matter when
 * the receiver was woken.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CALLS_MOST = 1000,
    PACKETS_MOST = 1 << 23, /* 60 calls for three quarters of an hour */
    PAYLOAD = 172,          /* RTP's header and 20 ms of speech */
    PORT = 17000,
    TAIL_S = 2, /* a full queue empties in this time */
};
static const int64_t PERIOD_NS = 20000000;
static const uint32_t NOBODY = UINT32_MAX;

static atomic_int calls;
static atomic_bool over;
static int64_t *sent_ns, *came_ns; /* by number */
static atomic_uint sent;
static int sender, receiver;

static void die(const char *what)
{
    fprintf(stderr, "bench-callers: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t ns_of(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return ns_of(now);
}

static void hurry(void)
{
    struct sched_param lowest = {.sched_priority = 1};
    (void)pthread_setschedparam(pthread_self(), SCHED_FIFO, &lowest);
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

/* --- sending --- */

static void say_something(void)
{
    unsigned char packet[PAYLOAD] = {0};
    uint32_t number = atomic_load(&sent);
    if (number >= PACKETS_MOST) {
        errno = ENOBUFS;
        die("too many packets");
    }
    memcpy(packet, &number, sizeof number);
    sent_ns[number] = clock_ns(CLOCK_REALTIME);
    atomic_store(&sent, number + 1);
    (void)send(sender, packet, sizeof packet, MSG_DONTWAIT); /* refused here is lost, too */
}

/* Calls do not begin together: their packets are spread over the 20 ms, evenly for any number. */
static int64_t phase_ns(int call)
{
    return (int64_t)((uint64_t)call * 618034 % 1000000) * PERIOD_NS / 1000000;
}

static int next_of(const int64_t *due, int n)
{
    int next = 0;
    for (int i = 1; i < n; i++) {
        if (due[i] < due[next])
            next = i;
    }
    return next;
}

static void *speak(void *none)
{
    static int64_t due[CALLS_MOST];
    int64_t began = clock_ns(CLOCK_MONOTONIC);
    int had = 0;
    (void)none;
    hurry();
    while (!atomic_load(&over)) {
        int n = atomic_load(&calls);
        int64_t now = clock_ns(CLOCK_MONOTONIC);
        for (int i = had; i < n; i++)
            due[i] = began + (now - began) / PERIOD_NS * PERIOD_NS + PERIOD_NS + phase_ns(i);
        had = n;
        int next = next_of(due, n);
        int64_t until = n > 0 && due[next] < now + PERIOD_NS ? due[next] : now + PERIOD_NS;
        struct timespec at = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
        if (n > 0 && until == due[next]) {
            say_something();
            due[next] += PERIOD_NS;
        }
    }
    return NULL;
}

/* --- hearing --- */

/* One packet: its number and when the kernel had it; NOBODY: none came for a while. */
static uint32_t hear_one(int64_t *at_ns)
{
    uint32_t number = NOBODY;
    unsigned char packet[PAYLOAD], control[CMSG_SPACE(sizeof(struct timespec))];
    struct iovec vector = {packet, sizeof packet};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    if (recvmsg(receiver, &message, 0) != PAYLOAD)
        return NOBODY;
    for (struct cmsghdr *at = CMSG_FIRSTHDR(&message); at != NULL; at = CMSG_NXTHDR(&message, at)) {
        struct timespec stamp;
        if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_TIMESTAMPNS)
            continue;
        memcpy(&stamp, CMSG_DATA(at), sizeof stamp);
        *at_ns = ns_of(stamp);
        memcpy(&number, packet, sizeof number);
    }
    return number;
}

static void *hear(void *none)
{
    (void)none;
    hurry();
    while (!atomic_load(&over)) {
        int64_t at_ns = 0;
        uint32_t number = hear_one(&at_ns);
        if (number < PACKETS_MOST)
            came_ns[number] = at_ns;
    }
    return NULL;
}

/* --- the rest --- */

static void enter(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0)
        die(path);
    close(fd);
}

static void open_sockets(const char *pid, const char *address)
{
    char there[64], here[64];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    struct timeval patience = {.tv_usec = 100000};
    int on = 1, room = 1 << 20;
    snprintf(there, sizeof there, "/proc/%s/ns/net", pid);
    snprintf(here, sizeof here, "/proc/%d/ns/net", (int)getpid());
    int home = open(here, O_RDONLY | O_CLOEXEC);
    if (home < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1)
        die(address);
    enter(there);
    receiver = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (receiver < 0 || bind(receiver, (struct sockaddr *)&to, sizeof to) != 0 ||
        setsockopt(receiver, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) != 0 ||
        setsockopt(receiver, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0)
        die("the far side");
    (void)setsockopt(receiver, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (setns(home, CLONE_NEWNET) != 0)
        die(here);
    close(home);
    sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sender < 0 || connect(sender, (struct sockaddr *)&to, sizeof to) != 0)
        die("the near side");
}

static void obey(void)
{
    char line[32];
    while (fgets(line, sizeof line, stdin) != NULL) {
        long n = strtol(line, NULL, 10);
        atomic_store(&calls, n < 0 ? 0 : n > CALLS_MOST ? CALLS_MOST : (int)n);
    }
    atomic_store(&calls, 0);
    sleep(TAIL_S);
    atomic_store(&over, true);
}

int main(int argc, char **argv)
{
    pthread_t threads[2];
    if (argc != 3)
        return 64;
    sent_ns = calloc(PACKETS_MOST, sizeof *sent_ns);
    came_ns = calloc(PACKETS_MOST, sizeof *came_ns);
    if (sent_ns == NULL || came_ns == NULL)
        die("memory");
    open_sockets(argv[1], argv[2]);
    if (pthread_create(&threads[0], NULL, hear, NULL) != 0 ||
        pthread_create(&threads[1], NULL, speak, NULL) != 0)
        die("threads");
    obey();
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < atomic_load(&sent); i++)
        printf("%lld %lld\n", (long long)(sent_ns[i] / 1000),
               came_ns[i] == 0 ? -1LL : (long long)((came_ns[i] - sent_ns[i]) / 1000));
    return 0;
}
