"""The uplink belongs to the calls: how fast uploads go, and how they are marked."""

import contextlib
import datetime
import signal
import socket
import struct
import subprocess
import time

import pytest

from support import programs
from support.promise import assert_kept
from support.waiting import wait_until

SIZE = 400_000


def put(agent, recordings, count):
    """So many recordings of SIZE bytes."""
    paths = []
    for path in recordings.many(agent.root / "made", count):
        with open(path, "ab") as file:
            file.write(bytes(SIZE - path.stat().st_size))
        paths.append(agent.put(path))
    return paths


def seconds_to_upload(double, agent, recordings, count):
    paths = put(agent, recordings, count)
    began = time.monotonic()
    agent.start()
    agent.wait_counts(uploaded=count, timeout=120)
    seconds = time.monotonic() - began
    agent.stop()
    assert_kept(double, agent, paths)
    return seconds


# ---- rate ----

@pytest.mark.parametrize("concurrency", [1, 4])
def test_all_uploads_together_keep_to_the_rate(double_factory, agent_factory, recordings,
                                               concurrency):
    """No machine is too slow to keep a limit: the same without one proves that it is the limit."""
    count, seconds = 4, {}
    for rate in ("4 Mbit/s", "unlimited"):
        double = double_factory()
        agent = agent_factory(double, upload={"concurrency": concurrency},
                              bandwidth={"rate": rate})
        seconds[rate] = seconds_to_upload(double, agent, recordings, count)
    assert seconds["4 Mbit/s"] > count * SIZE / 500_000
    assert seconds["unlimited"] < seconds["4 Mbit/s"]


# ---- timetable ----

def around_now(rate):
    """A window that began an hour ago and ends in an hour, and its end (UTC)."""
    now = datetime.datetime.now(datetime.timezone.utc)
    begin, end = now - datetime.timedelta(hours=1), now + datetime.timedelta(hours=1)
    return {"from": begin.strftime("%H:%M"), "to": end.strftime("%H:%M"), "rate": rate}, \
        end.strftime("%Y-%m-%dT%H:%M:00Z")


def reload(agent, **changes):
    before = agent.log().count("event=reload")
    agent.configure(**changes)
    agent.reload()
    wait_until(lambda: agent.log().count("event=reload") > before, "the reload is told")


def in_flight(agent):
    return sum(file["sent"] for file in agent.status()["in_flight"])


@pytest.fixture
def in_utc(agent):
    agent.env["TZ"] = "UTC"
    return agent


def test_status_says_which_window_is_in_force_and_until_when(in_utc, recordings):
    agent = in_utc
    window, until = around_now("512 kbit/s")
    agent.configure(bandwidth={"rate": "8 Mbit/s", "windows": {"office": window}})
    expected = {"rate": "512 kbit/s", "bytes_per_s": 64000, "window": "office", "until": until, "busy": None,
                "in_words": f"512 kbit/s, window office, until {until[:10]} {until[11:16]}"}
    assert agent.status()["bandwidth"] == expected  # no service
    agent.start()
    assert agent.status()["bandwidth"] == expected
    assert expected["in_words"] in agent.run("status", check=0).stdout
    assert expected["in_words"] in agent.log()
    reload(agent, bandwidth={"rate": None, "windows": None})
    wait_until(lambda: agent.status()["bandwidth"]["window"] is None, "status knows it")
    assert agent.status()["bandwidth"] == {"rate": "unlimited", "bytes_per_s": None,
                                           "window": None, "until": None, "busy": None, "in_words": "unlimited"}


def test_nothing_leaves_in_a_window_of_rate_0_and_no_monitor_is_alarmed(double, in_utc, recordings):
    agent = in_utc
    window, until = around_now("0")
    agent.configure(bandwidth={"windows": {"office": window}})
    paths = put(agent, recordings, 2)
    agent.start()
    agent.wait_counts(queued=2)
    words = f"nothing leaves until {until[:10]} {until[11:16]} (bandwidth window office)"
    assert agent.status()["paused_because"] == words
    wait_until(lambda: agent.status()["watches"][0]["online"], "the watch was looked at")
    done = agent.run("status", "--check", "--waiting", "0", check=0)
    assert words in done.stdout
    assert double.requests() == []
    reload(agent, bandwidth={"rate": "0", "windows": None})
    wait_until(lambda: agent.status()["paused_because"] == "nothing leaves (bandwidth.rate is 0)",
               "the reason is another")
    agent.run("status", "--check", check=2)
    assert double.requests() == []
    reload(agent, bandwidth={"rate": None})
    agent.wait_counts(uploaded=2)
    wait_until(lambda: agent.status()["paused_because"] == "", "status knows it")
    assert_kept(double, agent, paths)


def test_what_is_in_flight_is_held_and_goes_on(double, agent, recordings):
    """Without a second attempt."""
    agent.configure(bandwidth={"rate": "400 kbit/s"})
    paths = put(agent, recordings, 1)
    agent.start()
    wait_until(lambda: in_flight(agent) > 0, "it is being sent")
    reload(agent, bandwidth={"rate": "0"})
    wait_until(lambda: agent.status()["paused_because"] != "", "it is held")
    sent = in_flight(agent)
    assert 0 < sent < SIZE
    time.sleep(2)
    assert in_flight(agent) == sent
    assert agent.counts() == {"uploading": 1}
    reload(agent, bandwidth={"rate": "unlimited"})
    agent.wait_counts(uploaded=1)
    assert len(double.posts()) == 1
    assert_kept(double, agent, paths)


def test_another_rate_is_in_force_at_once_for_what_is_in_flight(double, agent, recordings):
    agent.configure(bandwidth={"rate": "64 kbit/s"})
    paths = put(agent, recordings, 1)
    agent.start()
    began = time.monotonic()
    wait_until(lambda: in_flight(agent) > 0, "it is being sent")
    reload(agent, bandwidth={"rate": "8 Mbit/s"})
    agent.wait_counts(uploaded=1)
    assert time.monotonic() - began < SIZE / 8000 / 2
    assert len(double.posts()) == 1
    assert_kept(double, agent, paths)


def test_auto_finds_a_rate_and_says_which(double, agent, recordings):
    agent.configure(bandwidth={"rate": "auto", "ceiling": "1 Mbit/s"})
    paths = put(agent, recordings, 2)
    agent.start()
    wait_until(lambda: in_flight(agent) > 0, "it is being sent")
    said = agent.status()["bandwidth"]
    assert said["rate"] == "auto"
    assert 0 < said["bytes_per_s"] <= 125_000
    assert "auto, now " in agent.run("status", check=0).stdout
    reload(agent, bandwidth={"ceiling": "unlimited"})
    agent.wait_counts(uploaded=2)
    wait_until(lambda: (agent.status()["bandwidth"]["bytes_per_s"] or 0) > 125_000, "it climbed")
    assert_kept(double, agent, paths)


def test_once_waits_for_the_window_and_says_so(double, in_utc, recordings):
    agent = in_utc
    window, until = around_now("0")
    agent.configure(bandwidth={"windows": {"office": window}})
    put(agent, recordings, 1)
    said = agent.root / "once.txt"
    with open(said, "wb") as to:
        once = subprocess.Popen([programs.find("CHORUS_AGENT"), "-c", str(agent.config_file),
                                 "once"], stderr=to, cwd=agent.root, env=agent.env)
    words = f"waiting: nothing leaves until {until[:10]} {until[11:16]} (bandwidth window office)"
    wait_until(lambda: words in said.read_text(), "it says why it waits")
    once.send_signal(signal.SIGINT)
    assert once.wait(30) == 75
    assert double.requests() == []


# ---- marking ----

@contextlib.contextmanager
def listener(family, address):
    """A server that wants to know how what comes in is marked."""
    with socket.socket(family) as server:
        if family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
        else:
            server.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        try:
            server.bind((address, 0))
        except OSError as error:
            pytest.skip(f"{address}: {error}")
        server.listen()
        server.settimeout(60)
        yield server


def class_of(connection):
    """The class of service that the client's first packet bore."""
    if connection.family == socket.AF_INET6:
        level, options = socket.IPPROTO_IPV6, 6  # IPV6_2292PKTOPTIONS
    else:
        level, options = socket.IPPROTO_IP, 9  # IP_PKTOPTIONS
    got = connection.getsockopt(level, options, 256)
    assert got, "the kernel says nothing of it"
    length, _, kind = struct.unpack_from("@Nii", got)
    assert kind == (67 if connection.family == socket.AF_INET6 else 1)
    mark = struct.unpack_from("@i", got, 16)[0] if length >= 20 else got[16]
    return mark >> 2


@pytest.mark.parametrize("family, address", [(socket.AF_INET, "127.0.0.1"),
                                             (socket.AF_INET6, "::1")])
@pytest.mark.parametrize("name, dscp", [(None, 8), ("le", 1), ("none", 0)])
def test_packets_are_marked(agent_factory, recordings, family, address, name, dscp):
    with listener(family, address) as server:
        host = f"[{address}]" if family == socket.AF_INET6 else address
        agent = agent_factory(f"http://{host}:{server.getsockname()[1]}")
        if name is not None:
            agent.configure(bandwidth={"dscp": name})
        put(agent, recordings, 1)
        agent.start()
        connection, _ = server.accept()
        with connection:
            assert class_of(connection) == dscp
        agent.stop()
