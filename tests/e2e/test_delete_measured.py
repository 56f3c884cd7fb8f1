"""Measured from outside: 250 recordings, 120 of them named by all kinds of target in three files, and the service
killed at random moments. Exactly those 120 go, and every result tells the truth."""

import os
import random
import shutil
import time

import pytest

from support.deletion import FIELDS, outcomes, remaining
from support.waiting import wait_until

ALL, NAMED, KILLS = 250, 120, 20


def names():
    """Three campaigns; the second has 40 calls, and they are named by it."""
    for i in range(ALL):
        campaign = "autumn" if 40 <= i < 80 else "spring"
        yield f"55{i // 100}{i:07}_{campaign}_{i:04}.wav"


def three_files(agent, paths, rows):
    """Control files that name the first 120: 40 by path, name and glob, 40 by a field, 40 by what Chorus knows."""
    by_path = []
    for i, path in enumerate(paths[:30]):
        by_path.append(path if i % 2 else f"name:{path.name}")
    by_path.append(f"glob:{agent.calls}/*_spring_003[0-9].wav")
    by_id = []
    for i, path in enumerate(paths[80:NAMED]):
        row = rows[str(path)]
        by_id.append([f"sha256:{row['sha256']}", f"engagement:{row['engagement_id']}",
                      f"https://chorus.ai/meeting/{row['engagement_id']}?tab=x",
                      f"https://chorus.ai/meeting/77?call={row['engagement_id']}",
                      f"phone:+1 {path.name.split('_')[0]}"][i % 5])
    return {
        "by-path": ["@reason by path", *by_path],
        "by-field": ["@reason by field", "field:campaign=autumn", "phone:12", "fone:5550100", "/never/there.wav",
                     f"{paths[200]}.gone", "name:"],
        "by-id": ["@expect 40", *by_id],
    }


def results(agent):
    return [agent.control_dir / "done" / f"{name}.result.json" for name in ("by-path", "by-field", "by-id")]


def kill_at_random(agent, draw, times):
    for _ in range(times):
        time.sleep(draw.uniform(0.05, 2.0))
        agent.kill()
        agent.start(wait=False)
    wait_until(lambda: all(path.exists() for path in results(agent)), "all results", 240, describe=agent.describe)


def bring_back(agent, recordings, paths):
    """Five ways for five of them: written again, renamed, restored, by another watch folder, with a lost ledger."""
    paths[0].write_bytes(paths[0].read_bytes())
    shutil.copy(paths[1], paths[1].with_name("another-name.wav"))
    backup = agent.root / "backup.wav"
    shutil.copy2(paths[2], backup)
    paths[2].unlink()
    time.sleep(2)
    shutil.copy2(backup, paths[2])
    agent.put(paths[3], "restored/elsewhere/x.wav")
    agent.stop()
    for path in agent.state_dir.glob("ledger.db*"):
        path.unlink()
    agent.start()


@pytest.mark.parametrize("seed", [1])
def test_exactly_what_was_named_goes(double_factory, agent_factory, recordings, seed):
    draw = random.Random(os.environ.get("CHORUS_SEED", seed))
    double = double_factory("--no-sync", "--delete-after", "700", "--delete-unknown", "404")
    agent = agent_factory(double, log_level="info", watches=FIELDS)
    made = recordings.many(agent.root / "made", ALL, seconds=0.05)
    paths = [agent.put(source, name) for source, name in zip(made, names())]
    agent.run("once", check=0, timeout=300)
    rows = {row["path"]: row for row in agent.list()}
    sums = [rows[str(path)]["sha256"] for path in paths]
    agent.start()
    # answers are lost now and then, beside all else
    double.set_script("DELETE /v3/engagements* random 20% seed 5: do reset\n"
                      "GET /v3/engagements* random 10% seed 6: reset\n")
    for name, lines in three_files(agent, paths, rows).items():
        agent.request_deletion(name, "".join(f"{line}\n" for line in lines))
    kill_at_random(agent, draw, KILLS)

    told = [agent.wait_result(name) for name in ("by-path", "by-field", "by-id")]
    ids = {rows[str(path)]["engagement_id"]: sums[i] for i, path in enumerate(paths)}
    asked = {ids[line["engagement_id"]] for line in double.deletions()}
    assert asked == set(sums[:NAMED]) and remaining(double) == set(sums[NAMED:])
    deleted = [row["sha256"] for result in told for row in result["results"] if row["outcome"] == "deleted"]
    assert sorted(deleted) == sorted(sums[:NAMED])
    for result in told:
        for row in result["results"]:
            if row["outcome"] == "deleted":
                assert row["http_status"] in (202, 404)
                assert row["visible_before_at"] <= row["accepted_at"] <= row["gone_at"], row
    assert outcomes(told[1]) == {"deleted": 40, "refused": 3, "not-found": 2}
    assert len(list((agent.control_dir / "done").iterdir())) == 6
    assert not list((agent.control_dir / "rejected").iterdir())
    assert not [path for path in agent.control_dir.iterdir() if path.is_file()]
    assert agent.counts() == {"uploaded": ALL - NAMED, "deleted": NAMED}
    agent.run("audit", "--verify", check=0)

    double.set_script("")
    bring_back(agent, recordings, paths)
    # the ledger is lost: the others are sent again under their keys, and refused as known
    wait_until(lambda: not agent.status()["in_flight"] and
               not {"queued", "settling", "hashing", "waiting", "uncertain"} & set(agent.counts()), "at rest", 240,
               describe=agent.describe)
    assert remaining(double) == set(sums[NAMED:])
    assert {line["sha256"] for line in double.stored()} == set(sums) and len(double.stored()) == ALL
    assert double.offences() == []
