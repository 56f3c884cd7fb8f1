"""A narrow uplink between two hosts that are network namespaces, and the calls on it.

    near (this program's own) --veth-- router --link: tc tbf, a small burst-- relay: the round trip -- far

Everything lives only as long as this program: a namespace goes with its last process, and every process here ends when
its stdin does, or is killed with its parent.
"""

import os
import subprocess
import threading
import time

import rig

NEAR, ROUTER, ROUTER_LINK, FAR = "198.18.0.1", "198.18.0.2", "198.18.1.1", "198.18.1.2"
WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")
IN_NETWORK = "CHORUS_BENCH_CALLS"
BURST = 3200  # bytes: two packets; a larger one hides delay, with a smaller one late timers waste the link
UPLOAD_BYTES = 20_000  # more than the handshakes of eight connections: an upload has begun


def enter():
    """Starts this program again in a network of its own. The reason where that cannot be had."""
    if IN_NETWORK in os.environ:
        return None
    unshare = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    probe = "ip link add probe type veth peer name other && tc qdisc add dev probe root tbf rate 1mbit burst 3200 limit 9000"
    for command, why in ((["true"], "network namespaces are not permitted"),
                         (["sh", "-c", probe], "no veth or no tbf"),
                         (["ip", "tuntap", "add", "dev", "probe", "mode", "tun"], "no tun device")):
        done = subprocess.run([*unshare, *command], capture_output=True, text=True)
        if done.returncode != 0:
            return f"{why}: {done.stderr.strip()}"
    os.environ[IN_NETWORK] = "1"
    os.execvp(unshare[0], [*unshare, os.sys.executable, *os.sys.argv])


def obeyed(*command):
    subprocess.run([str(word) for word in command], check=True)


class Space:
    """A namespace, held by a process that waits for the end of its stdin."""

    def __init__(self):
        self.process = subprocess.Popen(["unshare", "-n", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.pid = self.process.pid
        self.inside = ("nsenter", f"--net=/proc/{self.pid}/ns/net")
        while os.readlink(f"/proc/{self.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            time.sleep(0.005)

    def run(self, *command):
        obeyed(*self.inside, *command)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Link:
    """The uplink. rate: bit/s, queue: bytes, rtt: s."""

    def __init__(self, rate, queue, rtt, congestion):
        self.rate, self.queue = rate, queue
        self.router, self.far = Space(), Space()
        self._join(congestion)
        self.relay = subprocess.Popen([rig.programs["bench-relay"], str(self.router.pid), str(self.far.pid),
                                       str(int(rtt * 500_000))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.relay.stdout.readline() == "ready\n"
        for space, address in ((self.router, ROUTER_LINK), (self.far, FAR)):
            space.run("ip", "addr", "add", f"{address}/30", "dev", "link")
            space.run("ip", "link", "set", "dev", "link", "up")
        self.far.run("ip", "route", "add", "default", "via", ROUTER_LINK)
        self._shape("add", rate)

    def _join(self, congestion):
        obeyed("ip", "link", "set", "lo", "up")
        obeyed("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "inside", "netns", self.router.pid)
        obeyed("ip", "addr", "add", f"{NEAR}/30", "dev", "uplink")
        obeyed("ip", "link", "set", "dev", "uplink", "up")
        self.router.run("ip", "addr", "add", f"{ROUTER}/30", "dev", "inside")
        self.router.run("ip", "link", "set", "dev", "inside", "up")
        self.router.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
        obeyed("ip", "route", "add", "default", "via", ROUTER, "congctl", congestion)

    def _shape(self, verb, rate):
        self.router.run("tc", "qdisc", verb, "dev", "link", "root", "tbf", "rate", f"{int(rate)}bit", "burst", BURST,
                        "limit", self.queue)

    def set_rate(self, rate):
        self._shape("change", rate)

    def forget(self):
        """What TCP remembers of earlier connections."""
        obeyed("ip", "tcp_metrics", "flush")

    def carried(self):
        """(bytes of TCP, bytes of UDP) that the link has carried so far, headers counted"""
        self.relay.stdin.write("\n")
        self.relay.stdin.flush()
        tcp, udp = self.relay.stdout.readline().split()
        return int(tcp), int(udp)

    def close(self):
        self.relay.stdin.close()
        self.relay.wait()
        self.far.close()
        self.router.close()
        subprocess.run(["ip", "link", "del", "uplink"], check=False)


class Meter(threading.Thread):
    """What the link has carried, over time."""

    def __init__(self, link):
        super().__init__(daemon=True)
        self.link, self.over, self.points = link, False, []
        self.start()

    def run(self):
        while not self.over:
            self.points.append((time.time(), *self.link.carried()))
            time.sleep(0.02)

    def stop(self):
        self.over = True
        self.join()

    def wait_for_upload(self, timeout):
        """Until its first bytes are on the link."""
        end, before = time.time() + timeout, None
        while time.time() < end:
            time.sleep(0.01)
            if self.points:
                before = before if before is not None else self.points[0][1]
                if self.points[-1][1] > before + UPLOAD_BYTES:
                    return
        raise RuntimeError("no upload began")

    def at(self, when):
        return min(self.points, key=lambda point: abs(point[0] - when))

    def between(self, begin, end):
        """(seconds, bytes of TCP, bytes of UDP)"""
        a, b = self.at(begin), self.at(end)
        return tuple(y - x for x, y in zip(a, b))


class Callers:
    """Calls from the near to the far side."""

    def __init__(self, link):
        self.process = subprocess.Popen([rig.programs["bench-callers"], str(link.far.pid), FAR],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def talk(self, calls):
        self.process.stdin.write(f"{calls}\n")
        self.process.stdin.flush()

    def end(self):
        """[(when a packet left, in s; what it took, in ms, None: lost)]"""
        out, _ = self.process.communicate()
        pairs = (line.split() for line in out.splitlines())
        return [(int(sent) / 1e6, None if took == "-1" else int(took) / 1e3) for sent, took in pairs]
