"""Which points of a recorded life are tried: kills and errors, drawn evenly."""

import random
from collections import defaultdict

# Calls after which the world outside is another, or that the agent learns something from.
EFFECTS = {"openat", "read", "pread64", "write", "pwrite64", "fdatasync", "fsync", "rename", "renameat", "renameat2",
           "mkdir", "mkdirat", "unlink", "unlinkat", "linkat", "ftruncate", "flock", "fcntl", "inotify_add_watch",
           "connect", "sendto", "recvfrom", "getdents64", "fchown", "fchmod", "exit_group"}

_FILES = ("EIO", "EACCES", "ENOMEM", "EINTR")
_SPACE = ("ENOSPC", "EDQUOT", "EROFS")

#: What each call may plausibly fail with.
ERRORS = {
    "openat": (*_FILES, *_SPACE[::2], "EMFILE", "ENFILE", "EAGAIN"),
    "read": ("EIO", "EINTR"),
    "pread64": ("EIO", "EINTR"),
    "write": ("EIO", "EINTR", "ENOSPC", "EDQUOT", "EPIPE"),
    "pwrite64": ("EIO", "EINTR", "ENOSPC", "EDQUOT"),
    "fdatasync": ("EIO", "ENOSPC", "EINTR"),
    "fsync": ("EIO", "ENOSPC", "EINTR"),
    "rename": (*_FILES[:2], *_SPACE, "EXDEV"),
    "renameat": (*_FILES[:2], *_SPACE, "EXDEV"),
    "renameat2": (*_FILES[:2], *_SPACE, "EXDEV", "EINVAL", "ENOSYS"),
    "mkdir": (*_FILES[:3], *_SPACE),
    "mkdirat": (*_FILES[:3], *_SPACE),
    "unlink": ("EIO", "EACCES", "EROFS", "EBUSY"),
    "unlinkat": ("EIO", "EACCES", "EROFS", "EBUSY"),
    "linkat": ("EIO", "EACCES", "ENOSPC", "EPERM"),
    "ftruncate": ("EIO", "ENOSPC", "EINTR"),
    "flock": ("EINTR", "ENOLCK", "EWOULDBLOCK"),
    "fcntl": ("EAGAIN", "EACCES", "EINTR", "ENOLCK"),
    "newfstatat": ("EIO", "EACCES", "ENOMEM"),
    "statx": ("EIO", "EACCES", "ENOSYS"),
    "fstatfs": ("EIO", "ENOSYS"),
    "lseek": ("EIO",),
    "close": ("EIO", "EINTR"),
    "access": ("EIO", "EACCES"),
    "faccessat2": ("EIO", "EACCES"),
    "getdents64": ("EIO", "ENOMEM"),
    "fchown": ("EPERM", "EIO", "EROFS"),
    "fchmod": ("EPERM", "EIO", "EROFS"),
    "fadvise64": ("EINVAL",),
    "ioctl": ("ENOTTY", "EIO"),
    "inotify_init1": ("EMFILE", "ENOMEM"),
    "inotify_add_watch": ("ENOSPC", "ENOMEM", "EACCES"),
    "inotify_rm_watch": ("EINVAL",),
    "socket": ("EMFILE", "ENFILE", "ENOMEM", "EACCES"),
    "connect": ("ECONNREFUSED", "ENETUNREACH", "ETIMEDOUT", "EADDRNOTAVAIL", "EINTR"),
    "sendto": ("ECONNRESET", "EPIPE", "EAGAIN", "ENOMEM", "EINTR"),
    "recvfrom": ("ECONNRESET", "EAGAIN", "ENOMEM", "EINTR"),
    "setsockopt": ("ENOBUFS", "EINVAL"),
    "getsockopt": ("ENOBUFS",),
    "getsockname": ("ENOBUFS",),
    "getpeername": ("ENOTCONN",),
    "socketpair": ("EMFILE", "ENFILE"),
    "pipe2": ("EMFILE", "ENFILE"),
    "poll": ("EINTR", "ENOMEM"),
    "epoll_wait": ("EINTR",),
    "epoll_pwait": ("EINTR",),
    "mmap": ("ENOMEM",),
    "mlock": ("ENOMEM", "EPERM"),
    "madvise": ("EINVAL",),
    "mincore": ("EAGAIN", "ENOMEM"),
    "preadv2": ("EAGAIN", "EOPNOTSUPP", "EIO"),
    "sched_setscheduler": ("EPERM",),
    "setpriority": ("EACCES",),
    "ioprio_set": ("EPERM",),
    "getrandom": ("EINTR", "ENOSYS"),
    "prlimit64": ("EPERM",),
    "prctl": ("EINVAL",),
    "uname": ("EFAULT",),
    "sysinfo": ("EFAULT",),
}
#: What passes: no call fails so for ever. (And locks that are refused for ever are given back all the same, which the name
#: of the call does not tell.)
_ONCE_ONLY = {"EINTR", "fcntl", ("sendto", "EAGAIN"), ("recvfrom", "EAGAIN"), ("openat", "EAGAIN")}
REPEATED = 6  # places of calls alike (one name, the same arguments but for numbers) at which an error is tried
FOLLOWED = 12  # places of each call from which on an error stays


def spread(draw, among, count):
    """`count` of them, evenly, from a drawn beginning; all where there are no more."""
    among = list(among) if count > 0 else []
    if count >= len(among):
        return among
    begin, step = draw.random(), len(among) / count
    return [among[min(len(among) - 1, int((i + begin) * step))] for i in range(count)]


def ends(among, count):
    """`count` of them, evenly, with the first and the last; all where there are no more."""
    if count >= len(among):
        return among
    return [among[round(i * (len(among) - 1) / (count - 1))] for i in range(count)]


def places(calls):
    """(name, number) of every call; two threads that call alike share one."""
    return list(dict.fromkeys((call.name, call.number) for call in calls))


def kills(scenario, calls, count, seed):
    """Points of kills: three of four before or after a call with an effect, the others before any. `after` a call is
    before the next one of its thread."""
    draw = random.Random(f"{seed} {scenario}")
    after, last = {}, {}
    for call in calls:
        if call.thread in last:
            after[last[call.thread]] = call
        last[call.thread] = call
    acting = [call for call in calls if call.name in EFFECTS]
    around = [(call.name, call.number) for one in acting for call in (one, after.get(one)) if call is not None]
    effects = list(dict.fromkeys(around))
    rest = [place for place in places(calls) if place not in set(effects)]
    chosen = spread(draw, effects, max(count * 3 // 4, count - len(rest)))
    chosen += spread(draw, rest, count - len(chosen))
    draw.shuffle(chosen)
    points = []
    for i, place in enumerate(chosen):
        point = f"kill:{scenario}:{place[0]}:{place[1]}"
        if i % 4 == 0:  # and once more while it recovers
            again = draw.choice(acting)
            point += f":{again.name}:{draw.randint(max(1, again.number // 2), again.number)}"
        points.append(point)
    return points


def faults(scenario, calls):
    """Every kind of call with every error, once: calls of one name with the same arguments but for numbers are one kind,
    and of those that repeat some places are taken, evenly from the first to the last. And each error that can stay, from
    so many places of each name on."""
    kinds, numbers = defaultdict(list), defaultdict(set)
    for call in calls:
        if call.may_fail and call.name in ERRORS:
            kinds[call.name, call.shape].append(call.number)
            numbers[call.name].add(call.number)
    once = [f"fault:{scenario}:{name}:{n}:{error}:once" for (name, _), among in sorted(kinds.items())
            for n in ends(sorted(set(among)), REPEATED) for error in ERRORS[name]]
    on = [f"fault:{scenario}:{name}:{n}:{error}:on" for name, among in sorted(numbers.items())
          for error in ERRORS[name] if not _ONCE_ONLY & {name, error, (name, error)}
          for n in ends(sorted(among), FOLLOWED)]
    return list(dict.fromkeys(once)) + on
