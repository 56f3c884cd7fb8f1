"""A person pauses the service: nothing is sent until then, whatever happens meanwhile."""

import threading
import time

import pytest

from support.manager import Manager
from support.promise import assert_kept
from support.waiting import wait_until

ANN = {"SUDO_USER": "ann"}
OPEN = "paused by ann until resumed"


def put(agent, recordings, count=1, first=0):
    return [agent.put(path) for path in recordings.many(agent.root / "made", count, first=first)]


def wait_paused(agent, words):
    """status.json is written at most once a second."""
    wait_until(lambda: agent.status()["paused_because"] == words, f"paused because: {words}", describe=agent.describe)


def events(agent, name):
    return [line for line in agent.log().splitlines() if f" event={name} " in line]


def test_nothing_is_sent_until_it_is_resumed(agent, double, recordings):
    agent.start()
    assert agent.run("pause", env=ANN, check=0).stdout == OPEN + "\n"
    paths = put(agent, recordings, 3)
    agent.wait_counts(queued=3, only=True)  # watched, and their checksums are taken
    wait_paused(agent, OPEN)
    assert f"PAUSED     {OPEN}" in agent.run("status").stdout
    wait_until(lambda: agent.status()["watches"][0]["online"], "the watch was looked at", describe=agent.describe)
    assert agent.run("status", "--check", check=1).stdout.startswith(f"CHORUS WARNING - {OPEN}; ")
    time.sleep(1)
    assert not double.stored()
    assert agent.run("resume", check=0).stdout == "resumed\n"
    agent.wait_counts(uploaded=3, only=True)
    wait_paused(agent, "")
    assert len(events(agent, "paused")) == 1 and f'reason="{OPEN}"' in events(agent, "paused")[0]
    assert len(events(agent, "resumed")) == 1
    agent.run("status", "--check", check=0)
    assert_kept(double, agent, paths)


def test_the_uplink_is_free_at_once(double_factory, agent_factory, recordings, tmp_path):
    """What is in flight is held, which is no stall, and goes on where it was."""
    manager = Manager(tmp_path)
    double = double_factory(script="POST /v3/upload 1: slow-read 400000")
    agent = agent_factory(double, upload={"concurrency": 1, "stall_timeout": "1s"})
    agent.start(env=manager.env(watchdog_ms=1000))
    first = agent.put(recordings.sized(agent.root / "long.wav", 2 << 20))
    wait_until(lambda: any(one["sent"] > 0 for one in agent.status()["in_flight"]), "it is sent",
               describe=agent.describe)
    agent.run("pause", check=0)
    second = put(agent, recordings)
    time.sleep(19)  # more than all of it takes, and than the heartbeat's patience of 17 s
    assert agent.counts() == {"uploading": 1, "queued": 1}
    assert time.monotonic() - manager.times("WATCHDOG")[-1] < 3
    agent.run("resume", check=0)
    agent.wait_counts(uploaded=2, only=True, timeout=60)
    assert_kept(double, agent, [first, *second])


def test_it_ends_by_itself(agent, recordings):
    agent.start()
    said = agent.run("pause", "3s", env=ANN, check=0).stdout
    assert said.startswith("paused by ann until 2") and said.endswith("Z\n")
    put(agent, recordings)
    agent.wait_counts(queued=1, only=True)
    agent.wait_counts(uploaded=1, only=True)
    assert events(agent, "resumed")
    agent.stop()


def test_another_one_takes_its_place(agent, recordings):
    agent.start()
    agent.run("pause", "1s", env=ANN, check=0)
    agent.run("pause", env={"SUDO_USER": "bob"}, check=0)
    put(agent, recordings)
    time.sleep(2)
    wait_paused(agent, "paused by bob until resumed")
    assert agent.counts() == {"queued": 1}
    agent.stop()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_it_outlives_the_service(agent, double, recordings, end):
    agent.start()
    agent.run("pause", "1h", env=ANN, check=0)
    getattr(agent, end)()
    assert agent.status()["paused_because"].startswith("paused by ann until 2")
    put(agent, recordings)
    agent.start()
    agent.wait_counts(queued=1, only=True)
    assert not double.stored()
    agent.run("resume", check=0)
    agent.wait_counts(uploaded=1, only=True)
    agent.stop()
    agent.start()
    wait_paused(agent, "")
    agent.stop()


def test_without_a_service_it_holds_for_the_next_one(agent, double, recordings):
    done = agent.run("pause", env=ANN, check=0)
    assert done.stdout == OPEN + "\n" and "no service runs" in done.stderr
    put(agent, recordings)
    agent.start()
    agent.wait_counts(queued=1, only=True)
    agent.stop()
    agent.run("resume", check=0)
    agent.start()
    agent.wait_counts(uploaded=1, only=True)
    agent.stop()


def test_one_that_is_over_before_the_start_is_none(agent, recordings):
    agent.run("pause", "100ms", check=0)
    time.sleep(0.2)
    wait_paused(agent, "")
    put(agent, recordings)
    agent.start()
    agent.wait_counts(uploaded=1, only=True)
    agent.stop()


def test_once_without_a_service_refuses(agent, double, recordings):
    agent.run("pause", env=ANN, check=0)
    put(agent, recordings)
    done = agent.run("once", check=75)
    assert f"{OPEN}; `chorus-agent resume` ends it" in done.stderr
    assert not double.stored()
    agent.run("resume", check=0)
    agent.run("once", check=0)
    assert len(double.stored()) == 1


def test_once_beside_the_service_waits_and_says_why(agent, double, recordings):
    agent.start()
    agent.run("pause", env=ANN, check=0)
    put(agent, recordings)
    agent.wait_counts(queued=1)
    threading.Timer(2, lambda: agent.run("resume")).start()
    done = agent.run("once", check=0)
    assert f"waiting: {OPEN}" in done.stderr
    wait_until(lambda: agent.counts() == {"uploaded": 1}, "it is sent", describe=agent.describe)
    agent.stop()


def test_resuming_what_is_not_paused_is_no_fault(agent):
    assert agent.run("resume", check=0).stdout == "resumed\n"
    agent.start()
    assert agent.run("resume", check=0).stdout == "resumed\n"
    assert not events(agent, "resumed")
    agent.stop()


@pytest.mark.parametrize("arguments", [["pause", "soon"], ["pause", "0"], ["pause", "1h", "2h"], ["pause", "--bad"],
                                       ["resume", "1h"]])
def test_usage(agent, arguments):
    agent.run(*arguments, check=64)


def test_odd_names_do_no_harm(agent):
    agent.start()
    name = "a\nb\t" + "ü" * 80
    said = agent.run("pause", env={"SUDO_USER": name}, check=0).stdout
    assert said.startswith("paused by a\\x0ab\\x09") and said.count("\n") == 1
    wait_paused(agent, said.rstrip("\n"))
    agent.stop()
