"""after_upload: a file is moved or deleted only after its confirmation, and never another one."""

import os

import pytest

from support.promise import assert_kept
from support.waiting import wait_until


def retiring(agent_factory, double, **watch):
    agent = agent_factory(double)
    done = agent.root / "done"
    done.mkdir()
    if watch.get("after_upload") == "move":
        watch.setdefault("move_to", str(done))
    agent.configure(watches={"calls": watch})
    return agent, done


def put(agent, recordings, name, seed):
    return agent.put(recordings.wav(agent.root / "made" / f"{seed}.wav", seed), name)


def test_move_keeps_the_path_below_the_watch(double, agent_factory, recordings):
    agent, done = retiring(agent_factory, double, after_upload="move")
    agent.start()
    path = put(agent, recordings, "monday/a.wav", 1)
    wait_until(lambda: (done / "monday" / "a.wav").exists(), "it was moved", describe=agent.describe)
    assert not path.exists()
    wait_until(lambda: not (agent.calls / ".chorus-agent").exists(), "the private place is gone", describe=agent.describe)
    wait_until(lambda: "moved to" in agent.run("explain", str(path)).stdout, "its story tells", describe=agent.describe)
    assert len(double.stored()) == 1


def test_nothing_is_overwritten(double, agent_factory, recordings):
    agent, done = retiring(agent_factory, double, after_upload="move")
    (done / "a.wav").write_text("somebody else's")
    agent.start()
    put(agent, recordings, "a.wav", 1)
    wait_until(lambda: (done / "a-2.wav").exists(), "it was moved beside", describe=agent.describe)
    assert (done / "a.wav").read_text() == "somebody else's"


def test_every_path_of_a_content_is_retired(double, agent_factory, recordings):
    agent, done = retiring(agent_factory, double, after_upload="move")
    agent.start()
    put(agent, recordings, "a.wav", 1)
    put(agent, recordings, "b.wav", 1)
    wait_until(lambda: sorted(p.name for p in done.iterdir()) == ["a.wav", "b.wav"], "both moved",
               describe=agent.describe)
    assert len(double.stored()) == 1


def test_a_duplicate_by_call_key_is_kept(double, agent_factory, recordings):
    agent, done = retiring(agent_factory, double, after_upload="move", call_key="{stem}")
    agent.start()
    put(agent, recordings, "x/call.wav", 1)
    wait_until(lambda: (done / "x" / "call.wav").exists(), "the first is moved", describe=agent.describe)
    kept = put(agent, recordings, "y/call.wav", 2)
    agent.wait_counts(duplicate=1)
    assert kept.exists()


def test_a_file_known_only_from_a_409_is_kept(double, agent_factory, recordings):
    """Another machine sent it: that is no confirmation of ours."""
    other = agent_factory(double)
    other.start()
    put(other, recordings, "a.wav", 1)
    other.wait_counts(uploaded=1)
    other.stop()
    agent, _ = retiring(agent_factory, double, after_upload="move")
    agent.start()
    path = put(agent, recordings, "a.wav", 1)
    agent.wait_counts(duplicate=1)
    assert path.exists()


def test_delete_waits_until_chorus_has_processed_it(double_factory, agent_factory, recordings):
    double = double_factory("--processed-after", "never")
    agent, _ = retiring(agent_factory, double, after_upload="delete")
    agent.start()
    path = put(agent, recordings, "a.wav", 1)
    agent.wait_counts(uploaded=1)
    agent.stop()
    assert path.exists()


def test_a_changed_file_is_left_alone(double, agent_factory, recordings):
    """keep_for gives the dialer time to go on with the file."""
    agent, done = retiring(agent_factory, double, after_upload="move", keep_for="2s")
    agent.start()
    path = put(agent, recordings, "a.wav", 1)
    agent.wait_counts(uploaded=1)
    with open(path, "ab") as file:
        file.write(b"\0\1" * 4000)
    agent.wait_counts(uploaded=2)
    first = [row for row in agent.list() if row["state"] == "uploaded"][0]
    wait_until(lambda: (done / "a.wav").exists(), "the new version is moved", describe=agent.describe)
    assert (done / "a.wav").stat().st_size > first["size"]
    assert not (done / "a-2.wav").exists()


def test_a_read_only_place_is_told_with_what_to_do(double, agent_factory, recordings):
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    agent, done = retiring(agent_factory, double, after_upload="move")
    done.chmod(0o500)
    agent.start()
    path = put(agent, recordings, "a.wav", 1)
    wait_until(lambda: "not-retired" in agent.log(), "it is told", describe=agent.describe)
    assert "after_upload: keep" in agent.log() and path.exists()


@pytest.mark.parametrize("kills", [12])
def test_kills_neither_lose_nor_double_a_file_that_is_moved(double, agent_factory, recordings, kills):
    agent, done = retiring(agent_factory, double, after_upload="move")
    made = recordings.many(agent.root / "made", 60)
    paths = [agent.put(path) for path in made]
    sums = {recordings.sha256(path) for path in paths}
    for _ in range(kills):
        agent.start()
        before = len(list(done.iterdir()))
        wait_until(lambda: len(list(done.iterdir())) > before or len(list(done.iterdir())) == 60,
                   "some are moved", describe=agent.describe)
        agent.kill()
    agent.start()
    wait_until(lambda: len(list(done.iterdir())) == 60, "all are moved", 60, describe=agent.describe)
    assert {recordings.sha256(path) for path in done.iterdir()} == sums
    wait_until(lambda: not list(agent.calls.iterdir()), "the private place is gone", describe=agent.describe)
    assert {row["sha256"] for row in double.stored()} == sums
    assert double.summary()["doubled"] == 0
