"""A mount that hangs takes its own watch offline and nothing else."""

import pytest

from support.chorus import TOKEN
from support.mounts import hanging
from support.promise import assert_kept
from support.waiting import wait_until

PATIENCE = {"CHORUS_PATIENCE_MS": "3000"}  # less, and a busy machine looks like a mount that hangs
WAYS = ["open", "read", "stat", "folder", "all"]


def two_watches(agent_factory, double, **changes):
    """`calls` on a local disk, `remote` on a mount that may hang."""
    agent = agent_factory(double, **changes)
    agent.configure(watches={"remote": {
        "path": str(agent.root / "mount"), "owner": "team@example.com", "since": "all",
        "settle": "100ms", "quiet": "300ms", "rescan": "500ms"}})
    return agent


def is_online(agent, name):
    watches = {watch["name"]: watch for watch in agent.status()["watches"]}
    return watches[name]["online"]


def wait_online(agent, name, online):
    wait_until(lambda: is_online(agent, name) is online,
               f"{name} is {'online' if online else 'offline'}", 60, describe=agent.describe)


def make(recordings, folder, first, count, size=None):
    if size is None:
        return recordings.many(folder, count, first=first, name="call-{:05d}.wav")
    return [recordings.sized(folder / f"call-{number:05d}.wav", size, number)
            for number in range(first, first + count)]


@pytest.mark.parametrize("way", WAYS)
def test_the_others_go_on(double, agent_factory, recordings, way):
    agent = two_watches(agent_factory, double, upload={"concurrency": 3})
    with hanging(agent.root / "server", agent.root / "mount") as mount:
        paths = list(make(recordings, mount.folder, 0, 3))
        paths += make(recordings, agent.calls, 100, 3)
        agent.start(env=PATIENCE)
        agent.wait_counts(uploaded=6, only=True)
        mount.hang(way)
        paths += make(recordings, mount.folder, 10, 12)
        paths += make(recordings, agent.calls, 110, 12)
        agent.wait_counts(uploaded=18)
        wait_online(agent, "remote", False)
        assert is_online(agent, "calls")
        paths += make(recordings, agent.calls, 130, 12)
        agent.wait_counts(uploaded=30)
        assert "does not answer" in agent.log()
        mount.go()
        wait_online(agent, "remote", True)
        agent.wait_counts(uploaded=42, only=True, timeout=60)
        assert_kept(double, agent, paths)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_queued_does_not_take_the_places_of_others(double, agent_factory, recordings, way):
    """More recordings than may be sent at once wait for a token; their mount hangs; the token comes."""
    agent = two_watches(agent_factory, double, token="refused", upload={"concurrency": 2})
    with hanging(agent.root / "server", agent.root / "mount") as mount:
        paths = list(make(recordings, mount.folder, 0, 12))
        agent.start(env=PATIENCE)
        agent.wait_counts(queued=12, only=True)
        mount.hang(way)
        paths += make(recordings, agent.calls, 100, 12)
        agent.set_token(TOKEN)
        wait_until(lambda: agent.counts().get("uploaded", 0) >= 12, "those of the disk are sent", 30,
                   describe=agent.describe)  # and perhaps what was read before it hung
        wait_online(agent, "remote", False)
        assert is_online(agent, "calls")
        mount.go()
        wait_online(agent, "remote", True)
        agent.wait_counts(uploaded=24, only=True, timeout=60)
        assert_kept(double, agent, paths)


def test_a_file_that_hangs_while_it_is_sent(double_factory, agent_factory, recordings):
    """Its end is withheld; it goes again when it can be read again."""
    double = double_factory(script="POST /v3/upload 1: slow-read 2000000")
    agent = two_watches(agent_factory, double, upload={"concurrency": 1})
    with hanging(agent.root / "server", agent.root / "mount") as mount:
        paths = list(make(recordings, mount.folder, 0, 1, size=12 << 20))
        agent.start(env=PATIENCE)
        wait_until(lambda: any(one["sent"] > 0 for one in agent.status()["in_flight"]),
                   "some of it is sent", describe=agent.describe)
        mount.hang("read")
        paths += make(recordings, agent.calls, 100, 4)
        agent.wait_counts(uploaded=4)
        wait_online(agent, "remote", False)
        assert len(double.stored()) == 4
        mount.go()
        agent.wait_counts(uploaded=5, only=True, timeout=60)
        assert_kept(double, agent, paths)


@pytest.mark.parametrize("way", WAYS)
def test_it_ends_all_the_same(double, agent_factory, recordings, way):
    agent = two_watches(agent_factory, double)
    with hanging(agent.root / "server", agent.root / "mount") as mount:
        paths = list(make(recordings, mount.folder, 0, 3))
        agent.start(env=PATIENCE)
        agent.wait_counts(uploaded=3, only=True)
        mount.hang(way)
        paths += make(recordings, mount.folder, 10, 3)
        paths += make(recordings, agent.calls, 110, 3)
        agent.wait_counts(uploaded=6)
        agent.stop()
        agent.start(env=PATIENCE)
        wait_online(agent, "remote", False)
        agent.stop()
        mount.go()
        agent.start(env=PATIENCE)
        agent.wait_counts(uploaded=9, only=True, timeout=60)
        assert_kept(double, agent, paths)


def test_a_hanging_move_does_not_hold_the_others(double, agent_factory, recordings):
    """What cannot be looked at is not moved; what can, is."""
    agent = two_watches(agent_factory, double)
    done = agent.root / "done"
    done.mkdir()
    agent.configure(watches={name: {"after_upload": "move", "move_to": str(done), "keep_for": "1s"}
                             for name in ("calls", "remote")})
    with hanging(agent.root / "server", agent.root / "mount") as mount:
        make(recordings, mount.folder, 0, 3)
        agent.start(env=PATIENCE)
        agent.wait_counts(uploaded=3, only=True)
        mount.hang("all")
        wait_online(agent, "remote", False)
        make(recordings, agent.calls, 100, 3)
        wait_until(lambda: len(list(done.iterdir())) == 3, "those on the disk are moved", 60,
                   describe=agent.describe)
        mount.go()
        agent.stop()
