"""The uplink belongs to the calls: how fast uploads go, and how they are marked."""

import contextlib
import socket
import struct
import time

import pytest

from support.promise import assert_kept

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

@pytest.mark.parametrize("concurrency", [1, 8])
def test_all_uploads_together_keep_to_the_rate(double_factory, agent_factory, recordings,
                                               concurrency):
    """No machine is too slow to keep a limit: the same without one proves that it is the limit."""
    count = 8
    at_least = count * SIZE / 1_000_000
    seconds = {}
    for rate in ("8 Mbit/s", "unlimited"):
        double = double_factory()
        agent = agent_factory(double, upload={"concurrency": concurrency},
                              bandwidth={"rate": rate})
        seconds[rate] = seconds_to_upload(double, agent, recordings, count)
    assert seconds["8 Mbit/s"] > at_least
    assert seconds["unlimited"] < seconds["8 Mbit/s"] / 2


def test_a_low_rate_is_no_stall(double, agent_factory, recordings):
    agent = agent_factory(double, upload={"concurrency": 4, "stall_timeout": "1s"},
                          bandwidth={"rate": "1 Mbit/s"})
    paths = put(agent, recordings, 1)
    agent.start()
    agent.wait_counts(uploaded=1, timeout=120)
    assert len(double.posts()) == 1
    assert_kept(double, agent, paths)


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
