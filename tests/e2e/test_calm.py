"""The calls come first: priorities, turns, and what is held back while the machine has other things to do."""

import ctypes
import os
import shutil
import threading
import time

import pytest

from support.manager import Manager
from support.mounts import hanging
from support.promise import assert_kept
from support.waiting import wait_until

SCHED_BATCH, SCHED_IDLE = 3, 5
BEST_EFFORT, IDLE = 2, 3
IOPRIO_GET = {"x86_64": 252, "aarch64": 31}.get(os.uname().machine)


def io_priority(thread):
    said = ctypes.CDLL(None, use_errno=True).syscall(IOPRIO_GET, 1, thread)
    return said >> 13, said & 7 if said >> 13 == BEST_EFFORT else None


def threads(process):
    """(nice, policy, I/O priority) of each thread."""
    found = []
    for thread in os.listdir(f"/proc/{process.pid}/task"):
        with open(f"/proc/{process.pid}/task/{thread}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        found.append((int(fields[16]), int(fields[38]), io_priority(int(thread))))
    return found


def expect_priorities(agent, expected):
    seen = threads(agent.process)
    assert len(seen) > 1, "threads of the pool"
    assert set(seen) == {expected}


class Machine:
    """What the kernel seems to tell of load and I/O pressure."""

    def __init__(self, root):
        self.proc = root / "proc"
        (self.proc / "pressure").mkdir(parents=True)
        self.tell()

    def _write(self, name, text):
        fresh = self.proc / ".new"
        fresh.write_text(text)
        fresh.rename(self.proc / name)

    def tell(self, load=0.5, io=0.0):
        self._write("loadavg", f"{load:.2f} 1.00 1.00 1/100 4711\n")
        self._write("pressure/io", f"some avg10={io:.2f} avg60=0.00 avg300=0.00 total=1\n"
                                   "full avg10=0.00 avg60=0.00 avg300=0.00 total=1\n")

    def env(self):
        return {"CHORUS_PROC": str(self.proc)}


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def events(agent, name):
    return [line for line in agent.log().splitlines() if f" event={name} " in line]


def wait_event(agent, name, count=1):
    wait_until(lambda: len(events(agent, name)) == count, f"{count} x {name}", describe=agent.describe)
    return events(agent, name)[-1]


def wait_slowed(agent, words):
    """status.json is written at most once a second."""
    def reached():
        said = agent.status()["slowed_because"]
        return said.startswith(words) if words else said == ""

    wait_until(reached, f"slowed because: {words}", describe=agent.describe)


@pytest.mark.skipif(IOPRIO_GET is None, reason="the number of ioprio_get is not known here")
def test_lowest_priority_of_every_thread(agent, recordings):
    agent.start()
    agent.put(recordings.many(agent.root / "made", 1)[0])
    agent.wait_counts(uploaded=1)
    expect_priorities(agent, (19, SCHED_BATCH, (BEST_EFFORT, 7)))
    agent.stop()


@pytest.mark.skipif(IOPRIO_GET is None or not shutil.which("chrt") or not shutil.which("ionice"),
                    reason="needs chrt and ionice")
def test_what_is_lower_already_is_not_raised(agent, recordings):
    agent.start(wrapper=["chrt", "-i", "0", "ionice", "-c", "3"])
    agent.put(recordings.many(agent.root / "made", 1)[0])
    agent.wait_counts(uploaded=1)
    expect_priorities(agent, (19, SCHED_IDLE, (IDLE, None)))
    agent.stop()


def test_above_max_load_nothing_is_read_and_it_is_said(agent, recordings, machine, tmp_path):
    manager = Manager(tmp_path)
    agent.configure(max_load=4.5, upload={"stall_timeout": "100ms"})
    machine.tell(load=4.51)
    agent.start(env={**machine.env(), **manager.env(watchdog_ms=1000)})
    agent.put(recordings.many(agent.root / "made", 1)[0])
    line = wait_event(agent, "stopped-by-load")
    assert "level=warning" in line and "the load of 4.51 is above max_load 4.50" in line
    time.sleep(8)  # longer than the heartbeat's patience of 6.2 s
    assert time.monotonic() - manager.times("WATCHDOG")[-1] < 3
    assert not agent.list()
    wait_slowed(agent, "the load of 4.51")
    assert "SLOWED     the load of 4.51" in agent.run("status").stdout
    wait_until(lambda: agent.status()["watches"][0]["online"], "the watch was looked at", describe=agent.describe)
    said = agent.run("status", "--check", check=1).stdout
    assert said.startswith("CHORUS WARNING - the load of 4.51")
    manager.wait("STATUS", lambda words: "; the load of 4.51" in words)
    machine.tell(load=4.0)
    agent.wait_counts(uploaded=1)
    wait_event(agent, "calm")
    wait_slowed(agent, "")
    assert len(events(agent, "stopped-by-load")) == 1
    agent.stop()


def test_transfers_in_flight_go_on_above_max_load(double_factory, agent_factory, recordings, machine):
    double = double_factory(script="POST /v3/upload 1: slow-read 1000000")
    agent = agent_factory(double, max_load=4)
    agent.start(env=machine.env())
    agent.put(recordings.sized(agent.root / "made.wav", 4 << 20))
    wait_until(lambda: agent.status()["in_flight"], "it is sent", describe=agent.describe)
    machine.tell(load=9)
    wait_event(agent, "stopped-by-load")
    agent.wait_counts(uploaded=1)
    wait_slowed(agent, "the load of 9.00")
    agent.stop()


def test_a_reload_with_another_limit_holds_at_once(agent, recordings, machine):
    agent.configure(max_load=1)
    machine.tell(load=2)
    agent.start(env=machine.env())
    wait_event(agent, "stopped-by-load")
    agent.configure(max_load=0)
    agent.put(recordings.many(agent.root / "made", 1)[0])
    agent.reload()
    agent.wait_counts(uploaded=1)
    agent.stop()


def test_under_io_pressure_it_is_slower_and_said_once(agent, recordings, machine, double):
    machine.tell(io=60)
    made = recordings.many(agent.root / "made", 20)
    agent.start(env=machine.env())
    for path in made:
        agent.put(path)
    assert "I/O pressure 60.00 %" in wait_event(agent, "slowed")
    agent.wait_counts(uploaded=20, timeout=60)
    wait_slowed(agent, "others wait for the disk (I/O pressure 60.00 %)")
    agent.run("status", "--check", check=0)
    machine.tell(io=1)
    wait_event(agent, "calm")
    assert len(events(agent, "slowed")) == 1
    assert_kept(double, agent, [agent.calls / path.name for path in made])


def test_once_says_why_it_waits(agent, recordings, machine):
    agent.configure(max_load=1)
    agent.put(recordings.many(agent.root / "made", 1)[0])
    machine.tell(load=2)
    agent.start(env=machine.env())
    wait_event(agent, "stopped-by-load")
    threading.Timer(3, lambda: machine.tell(load=0.1)).start()
    done = agent.run("once", check=0)
    assert "waiting: the load of 2.00 is above max_load 1.00" in done.stderr
    agent.stop()


def test_two_mounts_that_hang_keep_no_other_watch_waiting(double, agent_factory, recordings):
    """Each of them has one of the two places when it stops answering."""
    agent = agent_factory(double)
    with hanging(agent.root / "a", agent.root / "mount-a") as one, \
            hanging(agent.root / "b", agent.root / "mount-b") as two:
        agent.configure(watches={name: {
            "path": str(mount.mountpoint), "owner": "team@example.com", "since": "all",
            "settle": "100ms", "quiet": "300ms", "rescan": "300ms"}
            for name, mount in (("one", one), ("two", two))})
        agent.start()  # the patience of real life: half a minute
        wait_until(lambda: agent.log().count("event=watch-online") == 3, "all are online", describe=agent.describe)
        for mount in (one, two):
            recordings.many(mount.folder, 3, first=10 if mount is one else 20)
            mount.hang("all")
        time.sleep(1)
        recordings.many(agent.calls, 5)
        agent.wait_counts(uploaded=5, timeout=20)
        one.go()
        two.go()
        agent.wait_counts(uploaded=11, timeout=60)
        agent.stop()
