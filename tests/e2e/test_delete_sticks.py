"""What was deleted stays deleted, by whatever way the file comes back, until somebody lifts it."""

import json
import shutil
import time

import pytest

from support.deletion import (FIELDS, PATIENCE, assert_proven, delete, outcomes, remaining, row_of, uploaded)
from support.waiting import wait_until

NAMES = [f"55501001{n:02}_spring_{n:04}.wav" for n in range(4)]


def by_call(agent_factory, double, **changes):
    return agent_factory(double, watches={"calls": {**FIELDS["calls"], "call_key": "{call}"}}, **changes)


def assert_nothing_left(agent, double, posts):
    """Beyond the next full look at the folder, and the time that a file needs to settle."""
    time.sleep(3)
    assert len(double.posts()) == posts, agent.describe()
    assert agent.counts().get("uploaded", 0) + agent.counts().get("deleted", 0) > 0


def lose_ledger(agent):
    """All but what is kept for that: the file of tombstones."""
    agent.stop()
    for path in agent.state_dir.iterdir():
        if path.name.startswith("ledger.db"):
            path.unlink()
    assert (agent.state_dir / "tombstones").exists()


def same_file_again(agent, path, recordings):
    content = path.read_bytes()
    path.unlink()
    wait_until(lambda: not path.exists(), "gone")
    time.sleep(1)
    path.write_bytes(content)


def renamed_copy(agent, path, recordings):
    shutil.copy(path, path.with_name("quite-another-name.wav"))


def restored_backup(agent, path, recordings):
    backup = agent.root / "backup.wav"
    shutil.copy2(path, backup)
    path.unlink()
    agent.restart()
    shutil.copy2(backup, path)


def re_encoded_copy(agent, path, recordings):
    agent.put(recordings.wav(agent.root / "mono.wav", 4711), f"{path.stem}-mono.wav")


def lost_ledger(agent, path, recordings):
    lose_ledger(agent)
    agent.start()


@pytest.mark.parametrize("way", [same_file_again, renamed_copy, restored_backup, re_encoded_copy, lost_ledger])
def test_it_does_not_come_back(double, agent_factory, recordings, way):
    agent = by_call(agent_factory, double)
    paths = uploaded(agent, recordings, NAMES[:2])
    content = recordings.sha256(paths[0])
    assert_proven(row_of(delete(agent, "one", [paths[0]]), paths[0]))
    posts = len(double.posts())
    way(agent, paths[0], recordings)
    # after a lost ledger the other one is sent again, and refused as known
    assert_nothing_left(agent, double, posts + (way is lost_ledger))
    assert content not in remaining(double)
    assert len(double.stored()) == 2
    assert double.offences() == []


def test_all_ways_one_after_the_other(double, agent_factory, recordings):
    """Deleted, dropped again, renamed, the ledger lost, dropped again."""
    agent = by_call(agent_factory, double)
    path, = uploaded(agent, recordings, NAMES[:1])
    delete(agent, "one", [path])
    for way in (same_file_again, renamed_copy, lost_ledger, renamed_copy, same_file_again, re_encoded_copy):
        way(agent, path, recordings)
        time.sleep(2)
        agent.run("once", check=None)
    assert len(double.posts()) == 1 and remaining(double) == set()


def test_what_waits_is_blocked_before_it_leaves(double_factory, agent_factory, recordings):
    double = double_factory(script="POST /v3/upload: status 429 retry-after 2\n")
    agent = agent_factory(double, upload={"retry_first": "2s", "retry_max": "2s"})
    paths = recordings.many(agent.calls, 4)
    agent.start()
    wait_until(lambda: len(double.posts()) >= 1 and len(agent.list()) == 4, "they wait", describe=agent.describe)
    result = delete(agent, "waits", paths[:2])
    assert outcomes(result) == {"never-uploaded": 2}
    double.set_script("")
    agent.wait_counts(uploaded=2, deleted=2)
    assert {line["sha256"] for line in double.stored()} == {recordings.sha256(path) for path in paths[2:]}
    assert double.deletions() == []


def test_what_still_settles_is_blocked(double, agent_factory, recordings):
    agent = agent_factory(double, watches={"calls": {"settle": "15s", "quiet": "15s"}})
    agent.start()
    paths = [agent.put(path) for path in recordings.many(agent.root / "made", 2)]
    wait_until(lambda: len(agent.list()) == 2, "they settle", describe=agent.describe)
    result = delete(agent, "settles", [paths[0]])
    assert outcomes(result) == {"never-uploaded": 1}
    agent.wait_counts(uploaded=1, timeout=PATIENCE)
    assert len(double.posts()) == 1 and recordings.sha256(paths[0]) not in remaining(double)


def test_what_is_in_flight_is_deleted_once_it_has_ended(double_factory, agent_factory, recordings):
    double = double_factory(script="POST /v3/upload 1: delay 6000 pass\n")
    agent = agent_factory(double)
    agent.start()
    path = agent.put(recordings.many(agent.root / "made", 1)[0])
    wait_until(lambda: agent.status()["in_flight"], "it is in flight", describe=agent.describe)
    result = delete(agent, "flight", [path])
    assert_proven(row_of(result, path))
    assert remaining(double) == set() and len(double.posts()) == 1


@pytest.mark.parametrize("script", ["1: delay 4000 store reset", "1: delay 4000 store status 500",
                                    "1: delay 4000 reset", "1: slow-read 2000 reset"])
def test_an_end_that_is_not_known_leaves_nothing_behind(double_factory, agent_factory, recordings, script):
    double = double_factory(script=script)
    agent = agent_factory(double, delete={"confirm_for": "4s"}, watches={"calls": {"meeting_id": "m-{stem}"}})
    agent.start()
    path = agent.put(recordings.many(agent.root / "made", 1)[0])
    wait_until(lambda: agent.status()["in_flight"], "it is in flight", describe=agent.describe)
    result = delete(agent, "unknown", [path])
    assert outcomes(result).keys() <= {"deleted", "never-uploaded", "refused"}, result
    assert remaining(double) == set(), result
    posts = len(double.posts())
    assert posts == 1
    time.sleep(3)
    assert len(double.posts()) == posts


def test_undelete_lifts_it_under_a_new_meeting_id(double, agent, recordings):
    paths = uploaded(agent, recordings, NAMES[:2])
    delete(agent, "both", paths)
    assert agent.run("retry", paths[0], check=0).stdout.startswith("0 ")
    assert agent.run("retry", "--undelete", paths[0], check=0).stdout.startswith("1 ")
    agent.wait_counts(uploaded=1, deleted=1, timeout=PATIENCE)
    keys = [line["fields"]["meeting_id"] for line in double.stored()
            if line["sha256"] == recordings.sha256(paths[0])]
    assert len(keys) == 2 and keys[1] == f"{keys[0]}-2"
    assert remaining(double) == {recordings.sha256(paths[0])}
    events = [json.loads(line)["event"] for line in agent.run("audit", "--json", check=0).stdout.splitlines()]
    assert "lifted" in events
    # the lift is in the file of tombstones, too, and so outlives the ledger
    lose_ledger(agent)
    agent.start()
    agent.wait_counts(uploaded=0, duplicate=1, timeout=PATIENCE)
    assert remaining(double) == {recordings.sha256(paths[0])}
    assert len(double.stored()) == 3
    agent.stop()
    assert agent.run("retry", "--undelete", agent.calls / "never.wav", check=66)


def test_undelete_works_without_a_service(double, agent, recordings):
    path, = uploaded(agent, recordings, NAMES[:1])
    delete(agent, "one", [path])
    agent.stop()
    agent.run("retry", "--undelete", path, check=0)
    agent.run("once", check=0)
    assert len(double.stored()) == 2 and remaining(double) == {recordings.sha256(path)}


def test_local_copies_are_removed_only_if_they_are_the_same_file(double, agent, recordings):
    paths = uploaded(agent, recordings, NAMES)
    copy = agent.put(paths[0], "copy.wav")
    agent.wait_counts(uploaded=4, duplicate=1)
    outside = agent.root / "outside.wav"
    paths[1].rename(outside)
    paths[1].symlink_to(outside)
    with paths[2].open("ab") as writer:  # still open: not a finished recording of its own
        writer.write(b"\0\0")
        writer.flush()
        result = delete(agent, "local", [*paths[:3], "@local delete"])
    assert outcomes(result)["deleted"] >= 3
    assert not paths[0].exists() and not copy.exists()
    assert paths[1].is_symlink() and outside.exists()
    assert paths[2].exists() and paths[3].exists()
    # what was uploaded from there, and what is still being written there
    changed = [row for row in result["results"] if row["path"] == str(paths[2])]
    assert sorted(row["outcome"] for row in changed) == ["deleted", "never-uploaded"]
    assert any(row.get("local_remains") for row in changed)
    assert "local_remains" not in row_of(result, paths[0])
    assert len(double.deletions()) == 3


def test_a_local_copy_stays_without_the_directive(double, agent, recordings):
    path, = uploaded(agent, recordings, NAMES[:1])
    result = delete(agent, "one", [path])
    assert_proven(row_of(result, path))
    assert path.exists()
    assert row_of(result, path)["local_remains"] is True
