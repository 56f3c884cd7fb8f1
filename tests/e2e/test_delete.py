"""Deletion on request: every kind of target, the three proofs, and a result that tells of every line."""

import datetime
import json
import os

import pytest

from support.deletion import (FIELDS, PATIENCE, assert_proven, assert_taken_whole, delete, outcomes, remaining,
                              row_of, uploaded)
from support.waiting import wait_until

NAMES = [f"55501001{n:02}_spring_{n:04}.wav" for n in range(6)]


def test_a_deletion_is_proven_and_nothing_else_goes(double, agent, recordings):
    paths = uploaded(agent, recordings, NAMES[:3])
    before = agent.find(paths[1])
    result = delete(agent, "one", ["@reason GDPR 4711", "@requested-by j.doe@example.com", paths[1]])
    assert result["request"] == "one" or result["request"] == "one.delete"
    assert result["reason"] == "GDPR 4711" and result["requested_by"] == "j.doe@example.com"
    assert len(result["results"]) == 1
    row = result["results"][0]
    assert_proven(row)
    assert row["target"] == str(paths[1]) and row["line"] == 3 and row["path"] == str(paths[1])
    assert row["sha256"] == before["sha256"] and row["engagement_id"] == before["engagement_id"]
    assert [line["engagement_id"] for line in double.deletions()] == [before["engagement_id"]]
    assert_taken_whole(agent, "one")
    assert agent.counts() == {"uploaded": 2, "deleted": 1}
    assert agent.find(paths[1])["deleted_at"]
    assert paths[1].exists()
    assert double.offences() == []


def test_every_kind_of_target(double, agent_factory, recordings):
    agent = agent_factory(double, watches=FIELDS)
    names = NAMES + ["5550300111_autumn_0001.wav", "5550300222_autumn_0002.wav", "a[1].wav", "b.wav", "c.wav",
                     "x/y/named.wav", "x/z/named.wav", "kept.wav"]
    paths = dict(zip(names, uploaded(agent, recordings, names)))
    ids = {path: agent.find(path)["engagement_id"] for path in paths.values()}
    sums = {path: agent.find(path)["sha256"] for path in paths.values()}
    lines = ["# one of each", paths["a[1].wav"], f"sha256:{sums[paths['b.wav']].upper()}",
             f"engagement:{ids[paths['c.wav']]}", f"https://chorus.ai/meeting/{ids[paths[NAMES[0]]]}",
             f"https://chorus.ai/meeting/{ids[paths[NAMES[1]]]}?tab=summary",
             f"https://chorus.ai/meeting/12345?x=1&call={ids[paths[NAMES[2]]]}",
             "phone:+1 (555) 010-0103", "phone:0100104", "field:campaign=autumn", "name:named.wav",
             f"glob:{agent.calls}/*_spring_0005.wav"]
    result = delete(agent, "kinds", lines)
    rows = {row["path"]: row for row in result["results"]}
    assert set(rows) == {str(path) for name, path in paths.items() if name != "kept.wav"}
    for path, row in rows.items():
        assert_proven(row)
        assert row["engagement_id"] == ids[paths[path[len(str(agent.calls)) + 1:]]]
    assert sums[paths["kept.wav"]] in remaining(double)
    assert len(double.deletions()) == len(rows)
    assert [row["line"] for row in result["results"]] == sorted(row["line"] for row in result["results"])


@pytest.mark.parametrize("target, goes", [
    ("phone:5550100100", {0}), ("phone:0100100", {0}), ("phone:15550100100", {0}), ("phone:00100", None),
    ("phone:555010010", set()), ("field:campaign=spring", {0, 1, 2}), ("field:campaign=Spring", set()),
    ("field:campaign=spr", set()), ("name:5550100101_spring_0001.wav", {1}), ("name:*_spring_0001.wav", set()),
    ("glob:$CALLS/*", {0, 1, 2}), ("glob:$ROOT/*", set()), ("glob:$CALLS/*_SPRING_*", set()),
    ("glob:$CALLS/*_000[12].wav", {1, 2}), ("glob:$CALLS/555010010?_spring_0002.wav", {2}), ("$CALLS", set()),
    ("$CALLS/*", set()),
])
def test_a_target_takes_what_it_says_and_nothing_else(double, agent_factory, recordings, target, goes):
    agent = agent_factory(double, watches=FIELDS)
    paths = uploaded(agent, recordings, NAMES[:3])
    line = target.replace("$CALLS", str(agent.calls)).replace("$ROOT", str(agent.root))
    result = delete(agent, "one", [line])
    gone = {row["path"] for row in result["results"] if row["outcome"] == "deleted"}
    assert gone == {str(paths[i]) for i in goes or ()}
    assert len(double.deletions()) == len(goes or ())
    if goes is None:
        assert outcomes(result) == {"refused": 1} and "7" in result["results"][0]["reason"]
    elif not goes:
        assert outcomes(result) == {"not-found": 1}
    assert result["results"][0]["target"] == line


def test_a_name_of_odd_bytes_is_found_by_its_escapes(double, agent, recordings):
    agent.start()
    source = recordings.wav(agent.root / "made.wav", 1)
    odd = os.fsencode(agent.calls) + b"/caf\xe9\\ [1]\n.wav"
    os.link(source, os.fsencode(agent.root) + b"/fresh")
    os.rename(os.fsencode(agent.root) + b"/fresh", odd)
    agent.wait_counts(uploaded=1)
    shown = agent.list()[0]["path"]
    result = delete(agent, "odd", [shown])
    assert_proven(row_of(result, shown))


def test_bad_lines_are_told_and_the_others_are_done(double, agent, recordings):
    paths = uploaded(agent, recordings, NAMES[:3])
    agent.request_deletion("bad", f"{paths[0]}\nfone:5550100\nphone:12\nname:\n\n# x\n/{'a' * 5000}\n{paths[1]}\n"
                                  f"/never/there.wav\n{paths[2]}")
    result = agent.wait_result("bad", PATIENCE)
    by_line = {row["line"]: row for row in result["results"]}
    assert set(by_line) == {1, 2, 3, 4, 7, 8, 9, 10}
    for line in (1, 8):
        assert_proven(by_line[line])
    for line in (2, 3, 4, 7, 10):
        assert by_line[line]["outcome"] == "refused" and by_line[line]["reason"]
    assert "cut" in by_line[10]["reason"]
    assert by_line[9]["outcome"] == "not-found"
    assert agent.counts() == {"uploaded": 1, "deleted": 2}
    assert len(double.deletions()) == 2


def test_an_engagement_that_the_ledger_does_not_know_is_deleted_all_the_same(double, agent_factory, recordings):
    other, agent = agent_factory(double), agent_factory(double)
    recordings.many(other.calls, 2)
    other.run("once", check=0)
    ids = [line["engagement_id"] for line in double.stored()]
    agent.start()
    result = delete(agent, "unknown", [f"engagement:{ids[0]}", f"https://chorus.ai/meeting/{'0' * 32}"])
    first, second = result["results"]
    assert_proven(first)
    assert first["engagement_id"] == ids[0] and not first.get("path") and first["reason"]
    assert second["outcome"] in ("not-found", "accepted-unconfirmed")
    assert {line["engagement_id"] for line in double.deletions()} == {ids[0]}


def test_dates_narrow_every_target(double, agent, recordings):
    days = ["2026-03-01", "2026-03-02", "2026-03-03"]
    for i, day in enumerate(days):
        path = recordings.many(agent.calls, 1, first=i)[0]
        at = datetime.datetime.fromisoformat(f"{day}T23:59:00").timestamp()
        os.utime(path, (at, at))
    agent.start()
    agent.wait_counts(uploaded=3)
    result = delete(agent, "days", [f"glob:{agent.calls}/*", "engagement:" + "1" * 32, "@from 2026-03-02",
                                    "@to 2026-03-02"])
    deleted = [row for row in result["results"] if row["outcome"] == "deleted"]
    assert [row["path"] for row in deleted] == [str(agent.calls / "call-00001.wav")]
    assert [row["outcome"] for row in result["results"] if row["line"] == 2] == ["refused"]
    assert len(double.deletions()) == 1


def test_a_dry_run_shows_what_would_go(double, agent, recordings):
    paths = uploaded(agent, recordings, NAMES[:3])
    result = delete(agent, "dry", [paths[0], f"glob:{agent.calls}/*_000[01].wav", "/never/there", "@dry-run"])
    assert {row["path"] for row in result["results"] if row["outcome"] == "dry-run"} == {str(paths[0]), str(paths[1])}
    assert outcomes(result)["not-found"] == 1 and set(outcomes(result)) == {"dry-run", "not-found"}
    assert agent.counts() == {"uploaded": 3} and double.deletions() == []
    again = agent.run("delete", paths[2], "--dry-run", "--wait", check=0)
    assert outcomes(json.loads(again.stdout)) == {"dry-run": 1}
    assert not [line for line in double.requests() if line["method"] == "DELETE"]


def test_a_twin_stands_for_all_its_twins(double, agent_factory, recordings):
    """By content, and by call: one engagement, and every copy in the result."""
    agent = agent_factory(double, watches={"calls": {**FIELDS["calls"], "call_key": "{call}"}})
    first, = uploaded(agent, recordings, ["5550100100_spring_0001.wav"])
    copy = agent.put(first, "copy/5550100100_spring_0001.wav")
    agent.wait_counts(uploaded=1, duplicate=1)
    stereo = agent.put(recordings.wav(agent.root / "made.wav", 77), "5550100100_spring_0001-stereo.wav")
    agent.wait_counts(uploaded=1, duplicate=2)
    result = delete(agent, "twin", [stereo])
    assert {row["path"] for row in result["results"]} >= {str(first), str(copy), str(stereo)}
    assert {row["outcome"] for row in result["results"]} == {"deleted"}
    assert len(double.deletions()) == 1
    assert agent.counts().get("uploaded", 0) == 0


def test_two_files_at_once_and_the_same_file_twice(double, agent, recordings):
    paths = uploaded(agent, recordings, NAMES[:4])
    agent.request_deletion("a", f"{paths[0]}\n{paths[1]}\n")
    agent.request_deletion("b", f"{paths[1]}\n{paths[2]}\n")
    first, second = agent.wait_result("a", PATIENCE), agent.wait_result("b", PATIENCE)
    assert {row["outcome"] for row in first["results"] + second["results"]} <= {"deleted", "already-deleted"}
    assert len(double.deletions()) == 3
    agent.request_deletion("a", f"{paths[0]}\n{paths[1]}\n")
    wait_until(lambda: (agent.control_dir / "done" / "a-2.result.json").exists(), "a second result", PATIENCE,
               describe=agent.describe)
    again = json.loads((agent.control_dir / "done" / "a-2.result.json").read_text())
    assert outcomes(again) == {"already-deleted": 2}
    assert (agent.control_dir / "done" / "a-2.delete").exists()
    assert len(double.deletions()) == 3 and agent.counts() == {"uploaded": 1, "deleted": 3}


def test_a_thousand_in_one_file(double_factory, agent_factory, recordings):
    double = double_factory("--no-sync")
    agent = agent_factory(double, log_level="info")
    paths = recordings.many(agent.calls, 1020, seconds=0.02)
    agent.run("once", check=0, timeout=600)
    agent.start()
    result = delete(agent, "thousand", paths[:1000], timeout=300)
    assert outcomes(result) == {"deleted": 1000}
    for row in result["results"]:
        assert_proven(row)
    assert {line["sha256"] for line in double.stored()} - remaining(double) == \
        {recordings.sha256(path) for path in paths[:1000]}
    requests = [line for line in double.requests() if line["method"] == "DELETE"]
    assert 10 <= len(requests) < 1000
    assert agent.counts() == {"uploaded": 20, "deleted": 1000}
    assert double.offences() == []


def test_a_local_file_that_vanishes_deletes_nothing(double, agent, recordings):
    paths = uploaded(agent, recordings, NAMES[:2])
    paths[0].unlink()
    agent.restart()
    wait_until(lambda: agent.status()["counts"]["uploaded"] == 2, "looked again")
    assert not [line for line in double.requests() if line["method"] == "DELETE"]
    # and what has vanished can still be deleted by its path
    assert_proven(row_of(delete(agent, "gone", [paths[0]]), paths[0]))


def test_wait_shows_the_result_and_its_exit_code(double, agent, recordings):
    paths = uploaded(agent, recordings, NAMES[:2])
    done = agent.run("delete", paths[0], "--reason", "asked", "--wait", check=0)
    assert_proven(json.loads(done.stdout)["results"][0])
    assert "requested" in done.stderr
    assert outcomes(json.loads(agent.run("delete", paths[0], "--wait", check=0).stdout)) == {"already-deleted": 1}
    assert outcomes(json.loads(agent.run("delete", "/no/such", "--wait", check=1).stdout)) == {"not-found": 1}
    refused = agent.run("delete", paths[1], "--expect", "2", "--wait", check=1)
    assert "2" in refused.stdout and agent.find(paths[1])["state"] == "uploaded"
    agent.stop()
    agent.run("delete", paths[1], "--wait", check=69)
