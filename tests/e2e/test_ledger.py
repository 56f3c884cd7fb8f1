"""The ledger missing, broken, foreign, newer or without room: each has its own clear outcome."""

import os
import random
import shutil
import sqlite3
import subprocess
from contextlib import closing

import pytest

from support.promise import assert_kept, assert_stored_once
from support.waiting import wait_until


def ledger_of(agent):
    return agent.state_dir / "ledger.db"


def remove_ledger(agent):
    for path in agent.state_dir.glob("ledger.db*"):
        path.unlink()


def change_ledger(agent, sql):
    """Another hand in it; closed in order, so that no log stands beside it."""
    with closing(sqlite3.connect(ledger_of(agent))) as ledger, ledger:
        ledger.execute(sql)


def uploaded(agent, double, recordings, count=30):
    """`count` recordings are at Chorus, and the service was killed."""
    paths = [agent.put(path) for path in recordings.many(agent.root / "made", count)]
    agent.start()
    agent.wait_counts(uploaded=count)
    agent.kill()
    return paths


def set_aside(agent):
    return [path for path in agent.state_dir.glob("ledger.corrupt-*") if not path.name.endswith(("-wal", "-shm"))]


def test_a_lost_ledger_doubles_nothing(double, agent, recordings):
    paths = uploaded(agent, double, recordings)
    remove_ledger(agent)
    agent.start()
    agent.wait_counts(duplicate=30, timeout=60)
    assert_stored_once(double, paths)


def test_without_a_key_a_lost_ledger_holds_what_may_have_been_sent(
        double, agent_factory, recordings):
    agent = agent_factory(double, watches={"calls": {"meeting_id": ""}})
    paths = uploaded(agent, double, recordings, 5)
    remove_ledger(agent)
    agent.start()
    agent.wait_counts(held=5)
    assert "ledger was lost" in agent.list("--state", "held")[0]["reason"]
    fresh = agent.put(recordings.many(agent.root / "made", 1, first=100)[0])
    agent.wait_counts(uploaded=1)
    assert_stored_once(double, paths + [fresh])


@pytest.mark.parametrize("seed", range(4))
def test_a_broken_ledger_is_moved_aside_and_built_anew(double, agent, recordings, seed):
    paths = uploaded(agent, double, recordings)
    agent.start()
    agent.stop()
    change_ledger(agent, "UPDATE counter SET n = 0 WHERE name = 'clean'")  # as a crash leaves it
    chance = random.Random(seed)
    data = bytearray(ledger_of(agent).read_bytes())
    page = 4096 * chance.randrange(1, len(data) // 4096)
    data[page:page + 4096] = chance.randbytes(4096)
    ledger_of(agent).write_bytes(data)
    agent.start()
    wait_until(lambda: sum(agent.counts().get(s, 0) for s in ("uploaded", "duplicate")) == 30,
               "all are accounted for", 60, describe=agent.describe)
    assert_stored_once(double, paths)
    if set_aside(agent):
        assert "event=ledger-broken" in agent.log()


@pytest.mark.parametrize("content", [b"this is no database at all" * 400, b"SQLite format 3\0" + b"\xff" * 5000])
def test_what_is_no_ledger_is_moved_aside(double, agent, recordings, content):
    paths = uploaded(agent, double, recordings, 5)
    remove_ledger(agent)
    ledger_of(agent).write_bytes(content)
    agent.start()
    agent.wait_counts(duplicate=5)
    assert set_aside(agent)[0].read_bytes() == content
    assert_stored_once(double, paths)


def test_another_programs_database_is_moved_aside(double, agent):
    agent.state_dir.mkdir(exist_ok=True)
    change_ledger(agent, "CREATE TABLE theirs(x)")
    agent.start()
    assert len(set_aside(agent)) == 1


def test_an_empty_file_is_an_empty_ledger(double, agent, recordings):
    agent.state_dir.mkdir(exist_ok=True)
    ledger_of(agent).touch()
    paths = [agent.put(recordings.many(agent.root / "made", 1)[0])]
    agent.start()
    agent.wait_counts(uploaded=1)
    assert_kept(double, agent, paths)


def test_a_newer_ledger_is_left_untouched(agent):
    agent.start()
    agent.stop()
    change_ledger(agent, "PRAGMA user_version = 999")
    before = ledger_of(agent).read_bytes()
    done = agent.run("run")
    assert done.returncode == 78 and "another version" in done.stderr
    assert ledger_of(agent).read_bytes() == before


def can_mount():
    return os.geteuid() == 0 and shutil.which("mount") is not None


@pytest.mark.skipif(not can_mount(), reason="mounting a small file system needs root")
def test_a_full_disk_under_the_ledger_loses_nothing_and_heals(double, agent, recordings):
    agent.state_dir.mkdir(exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "none", agent.state_dir],
                             capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("this machine does not permit mounts")
    try:
        agent.start()
        paths = [agent.put(path) for path in recordings.many(agent.root / "made", 300)]
        wait_until(lambda: "event=ledger " in agent.log(), "the trouble is told", 60, describe=agent.describe)
        subprocess.run(["mount", "-o", "remount,size=64M", agent.state_dir], check=True)
        agent.wait_counts(uploaded=300, timeout=120)
        assert_kept(double, agent, paths)
    finally:
        if agent.process is not None:
            agent.kill()
        subprocess.run(["umount", "-l", agent.state_dir], check=True)
