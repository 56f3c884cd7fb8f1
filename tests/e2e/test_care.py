"""The ledger's care: backups while the service runs, and stories that are thinned."""

import sqlite3
import stat

from support.promise import assert_kept, assert_stored_once
from support.waiting import wait_until


def put(agent, recordings, count, first=0):
    return [agent.put(path) for path in recordings.many(agent.root / "made", count, first=first)]


def test_a_backup_of_a_running_service_is_a_whole_ledger(double, agent, recordings, tmp_path):
    agent.start()
    paths = put(agent, recordings, 20)
    agent.wait_counts(uploaded=20)
    paths += put(agent, recordings, 20, first=20)
    copy = tmp_path / "elsewhere" / "copy.db"
    copy.parent.mkdir()
    said = agent.run("backup", copy, check=0).stdout
    assert said == f"wrote {copy}, {copy.stat().st_size} bytes\n"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    agent.wait_counts(uploaded=40)
    with sqlite3.connect(copy) as ledger:
        assert ledger.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert ledger.execute("SELECT count(*) FROM recording WHERE state = 7").fetchone()[0] >= 20
    assert not list(agent.state_dir.glob(".backup*"))
    assert_kept(double, agent, paths)


def restore(agent, copy):
    for part in agent.state_dir.glob("ledger.db*"):
        part.unlink()
    copy.rename(agent.state_dir / "ledger.db")


def test_a_restored_backup_doubles_nothing(double, agent, recordings, tmp_path):
    """What was uploaded since is sent again under the same key, and Chorus refuses it."""
    agent.start()
    put(agent, recordings, 3)
    agent.wait_counts(uploaded=3)
    agent.run("backup", tmp_path / "copy.db", check=0)
    put(agent, recordings, 3, first=3)
    agent.wait_counts(uploaded=6)
    agent.stop()
    restore(agent, tmp_path / "copy.db")
    agent.start()
    wait_until(lambda: sum(agent.counts().get(state, 0) for state in ("uploaded", "duplicate")) == 6, "all are known",
               describe=agent.describe)
    assert len(double.stored()) == 6
    agent.stop()


def test_without_a_key_a_restored_backup_holds_what_may_have_been_sent(double, agent_factory, recordings, tmp_path):
    """What was queued in it, and what came after it."""
    agent = agent_factory(double, watches={"calls": {"meeting_id": ""}})
    double.set_script("*: status 429")
    agent.start()
    queued = put(agent, recordings, 2)
    agent.wait_counts(waiting=2)
    agent.run("backup", tmp_path / "copy.db", check=0)
    double.set_script("")
    agent.run("retry", *queued, check=0)
    later = put(agent, recordings, 2, first=2)
    agent.wait_counts(uploaded=4)
    agent.stop()
    restore(agent, tmp_path / "copy.db")
    agent.start()
    agent.wait_counts(held=4)
    # what was in flight in it was sent, and no answer proves that it arrived
    assert all("a resend could double it" in one["reason"] for one in agent.list())
    assert all("an older one put back" in agent.find(path)["reason"] for path in later)
    assert "event=ledger-restored" in agent.log()
    fresh = put(agent, recordings, 1, first=9)
    agent.wait_counts(held=4, uploaded=1)
    assert_stored_once(double, [*queued, *later, *fresh])
    agent.restart()
    agent.wait_counts(held=4, uploaded=1)
    assert agent.log().count("event=ledger-restored") == 1


def test_a_backup_never_overwrites_and_leaves_nothing_behind(agent, tmp_path):
    there = tmp_path / "there"
    there.write_text("mine")
    assert "File exists" in agent.run("backup", there, check=73).stderr
    assert there.read_text() == "mine"
    agent.run("backup", tmp_path / "none", check=66)
    assert not (tmp_path / "none").exists()
    agent.run("backup", check=64)
    agent.run("backup", tmp_path / "nonesuch" / "copy", check=73)


def test_stories_are_thinned_and_what_was_uploaded_is_known(double, agent, recordings):
    agent.configure(history="1s")
    agent.start(env={"CHORUS_HOUR_MS": "500"})
    put(agent, recordings, 5)
    agent.wait_counts(uploaded=5)

    def lines():
        with sqlite3.connect(f"file:{agent.state_dir}/ledger.db?mode=ro", uri=True) as ledger:
            return ledger.execute("SELECT count(*) FROM story").fetchone()[0]

    wait_until(lambda: lines() == 0, "no line is left", describe=agent.describe)
    known = agent.find(agent.calls / "call-00000.wav")
    assert known["state"] == "uploaded" and known["engagement_id"] and known["sha256"] and known["uploaded_at"]
    agent.put(agent.calls / "call-00000.wav", "again.wav")
    agent.wait_counts(duplicate=1)
    agent.stop()
    assert len(double.stored()) == 5
