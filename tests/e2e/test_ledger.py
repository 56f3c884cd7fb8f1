"""The ledger missing, broken, foreign, newer or without room: each has its own clear outcome."""

import os
import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from support import programs
from support.mounts import disk, remount, tmpfs
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


def test_what_was_held_for_its_owner_after_a_lost_ledger_is_still_held_without_a_key(double, agent_factory, recordings):
    """The doubt outlives the change of the rules that releases it."""
    table = {"watches": {"calls": {"owner": "{stem|agents}", "meeting_id": ""}}}
    agent = agent_factory(double, **table)
    agent.configure(tables={"agents": str(agent.root / "agents.csv")})
    people = agent.root / "agents.csv"
    people.write_text("call-00000,ann@example.com\n")
    path = agent.put(recordings.many(agent.root / "made", 1)[0])
    agent.start()
    agent.wait_counts(uploaded=1)
    agent.kill()
    remove_ledger(agent)
    people.write_text("somebody,else@example.com\n")
    agent.start()
    agent.wait_counts(held=1)
    assert "agents" in agent.find(path)["reason"]
    people.write_text("call-00000,ann@example.com\n")
    wait_until(lambda: "may have been sent" in agent.find(path)["reason"], "it is held in doubt", describe=agent.describe)
    assert agent.counts() == {"held": 1}
    agent.run("retry", path, check=0)
    agent.wait_counts(uploaded=1)
    assert len(double.stored()) == 2, "a person has decided"


def test_a_recording_of_zeros_is_held_also_once_it_has_an_owner(double, agent, recordings):
    people = agent.root / "agents.csv"
    people.write_text("somebody,else@example.com\n")
    agent.configure(tables={"agents": str(people)}, watches={"calls": {"owner": "{stem|agents}"}})
    agent.start()
    path = agent.calls / "call.mp3"
    path.write_bytes(bytes(50000))
    agent.wait_counts(held=1)
    people.write_text("call,ann@example.com\n")
    wait_until(lambda: "zero bytes" in agent.find(path)["reason"], "it is held in doubt", describe=agent.describe)
    assert double.posts() == []
    agent.stop()


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


def test_a_ledger_whose_log_is_gone_doubles_nothing(double, agent, recordings):
    """The last commits were only in it; what it lacks is built anew from the folders."""
    paths = uploaded(agent, double, recordings)
    for name in ("ledger.db-wal", "ledger.db-shm"):
        (agent.state_dir / name).unlink(missing_ok=True)
    agent.start()
    wait_until(lambda: sum(agent.counts().get(s, 0) for s in ("uploaded", "duplicate")) == 30,
               "all are accounted for", 60, describe=agent.describe)
    assert_stored_once(double, paths)


@pytest.mark.parametrize("kept", [1, 100, 4096, 5000, 20000])
def test_a_ledger_that_was_cut_off_doubles_nothing(double, agent, recordings, kept):
    paths = uploaded(agent, double, recordings, 5)
    agent.start()
    agent.stop()
    os.truncate(ledger_of(agent), kept)
    agent.start()
    wait_until(lambda: sum(agent.counts().get(s, 0) for s in ("uploaded", "duplicate")) == 5,
               "all are accounted for", 60, describe=agent.describe)
    assert_stored_once(double, paths)
    assert set_aside(agent) or kept == 1  # less than a page is an empty file to SQLite


# ---- where it may lie ----

def refused(agent, *words, **settings):
    """`run` and `check` refuse the configuration with these words, and no ledger is made."""
    for command in ("run", "check"):
        done = agent.run(command, **settings)
        assert done.returncode == 78, (command, done.stdout, done.stderr)
        for word in words:
            assert word in done.stdout + done.stderr, (command, done.stdout, done.stderr)


def test_a_ledger_on_nfs_is_refused(agent):
    if b"ledger-on-nfs" not in Path(programs.find("CHORUS_AGENT")).read_bytes():
        pytest.skip("this build has no switch that takes a disk for NFS")
    refused(agent, "lies on NFS", "a disk of this machine", env={"CHORUS_MUTANT": "ledger-on-nfs"})
    assert not ledger_of(agent).exists()


def test_a_ledger_of_two_names_is_refused(double, agent, recordings):
    paths = uploaded(agent, double, recordings, 2)
    other = agent.root / "other.db"
    os.link(ledger_of(agent), other)
    refused(agent, "hard link")
    other.unlink()
    agent.start()
    agent.wait_counts(uploaded=2, only=True)
    assert_kept(double, agent, paths)


@pytest.mark.parametrize("key", ["state_dir", "control_dir"])
def test_no_folder_of_ours_lies_in_a_watched_one(agent, key):
    own = agent.calls / "own"
    agent.configure(**{key: str(own)})
    refused(agent, f"{key}: {own} lies inside watch calls")
    agent.configure(**{key: str(agent.root)})
    refused(agent, f"lies inside {key}")


@pytest.mark.parametrize("key", ["state_dir", "control_dir"])
def test_a_symlink_does_not_hide_that(agent, key):
    inside = agent.calls / "own"
    inside.mkdir(mode=0o700)
    link = agent.root / "link"
    link.symlink_to(inside)
    agent.configure(**{key: str(link)})
    refused(agent, key)
    link.unlink()
    link.symlink_to(agent.calls)
    agent.configure(watches={"calls": {"path": str(link)}}, **{key: str(inside)})
    refused(agent, key)


def test_a_reload_that_would_watch_our_own_folder_stops_nothing_else(double, agent, recordings):
    agent.start()
    link = agent.root / "link"
    link.symlink_to(agent.root)
    agent.configure(watches={"more": {"path": str(link), "owner": "team@example.com"}})
    agent.reload()
    wait_until(lambda: "event=watch-refused" in agent.log(), "it is told", describe=agent.describe)
    paths = [agent.put(path) for path in recordings.many(agent.root / "made", 1)]
    agent.wait_counts(uploaded=1, only=True)
    assert_kept(double, agent, paths)


# ---- the disk under it ----

def trouble_is_told_once(agent):
    said = [line for line in agent.log().splitlines() if "level=error event=ledger " in line]
    assert len(said) == 1, said
    assert "it can be written again" in agent.log()


def meets_trouble_and_heals(double, agent, recordings, spoil, mend):
    """Nothing new is sent while the ledger cannot be written; it goes on by itself, and each arrives
    once."""
    paths = [agent.put(path) for path in recordings.many(agent.root / "made", 5)]
    agent.start()
    agent.wait_counts(uploaded=5)
    spoil()
    paths += [agent.put(path) for path in recordings.many(agent.root / "made", 200, first=10)]
    wait_until(lambda: "level=error event=ledger " in agent.log(), "it is told",
               describe=agent.describe)
    time.sleep(1)  # what was under way has come to its end
    before = len(double.posts())
    more = [agent.put(path) for path in recordings.many(agent.root / "made", 20, first=300)]
    time.sleep(2)
    assert len(double.posts()) == before
    mend()
    agent.wait_counts(uploaded=225, timeout=90)
    trouble_is_told_once(agent)
    assert_kept(double, agent, paths + more)


def test_a_full_disk_under_the_ledger_loses_nothing_and_heals(double, agent, recordings):
    with tmpfs(agent.state_dir, "size=800k"):
        filler = agent.state_dir / "filler"

        def fill():
            with open(filler, "wb", buffering=0) as file:
                try:
                    while file.write(bytes(4096)) == 4096:
                        pass
                except OSError:
                    pass

        meets_trouble_and_heals(double, agent, recordings, fill,
                                lambda: remount(agent.state_dir, "size=64M"))


def test_a_ledger_that_became_read_only_sends_nothing_and_heals(double, agent, recordings):
    with disk(agent.root / "disk", agent.state_dir) as made:
        meets_trouble_and_heals(double, agent, recordings, made.become_read_only, made.mend)


def test_a_disk_that_dies_under_the_ledger_loses_nothing_and_heals(double, agent, recordings):
    with disk(agent.root / "disk", agent.state_dir) as made:
        meets_trouble_and_heals(double, agent, recordings, made.die, made.mend)


def test_no_inode_left_under_the_ledger(double, agent, recordings):
    """Nothing can be made in state_dir: the ledger goes on in the files it has, the rest waits."""
    with tmpfs(agent.state_dir, "size=64M,nr_inodes=64"):
        paths = [agent.put(path) for path in recordings.many(agent.root / "made", 5)]
        agent.start()
        agent.wait_counts(uploaded=5)
        fillers = []
        try:
            while True:
                filler = agent.state_dir / f"filler-{len(fillers)}"
                filler.touch()
                fillers.append(filler)
        except OSError:
            pass
        paths += [agent.put(path) for path in recordings.many(agent.root / "made", 50, first=10)]
        wait_until(lambda: len(double.stored()) == 55, "all arrive", 60, describe=agent.describe)
        agent.kill()  # and start without room for the log
        fresh = [agent.put(path) for path in recordings.many(agent.root / "made", 5, first=100)]
        agent.start(wait=False)
        wait_until(lambda: not agent.is_running() or len(double.stored()) == 60, "it says what is "
                   "wrong, or goes on", 60, describe=agent.describe)
        for filler in fillers:
            filler.unlink()
        if not agent.is_running():
            assert agent.process.wait() == 74
            agent.process = None
            assert "level=error event=ledger" in agent.log()
            agent.start()
        wait_until(lambda: len(double.stored()) == 60, "all arrive", 60, describe=agent.describe)
        agent.wait_counts(uploaded=60, only=True)
        assert_kept(double, agent, paths + fresh)
