"""What the tests of deletion share: a watch whose names carry fields, results, what Chorus still holds."""

import json
import os
from collections import Counter

from .waiting import wait_until

#: Names such as 5550100123_spring_0007.wav: fields phone, campaign and call.
FIELDS = {
    "calls": {
        "owner": None,
        "rules": [{"pattern": r"(?<phone>\d{7,})_(?<campaign>[a-z]+)_(?<call>\w+?)(?:-\w+)?\.\w+$",
                   "owner": "team@example.com"},
                  {"owner": "team@example.com"}],
    }
}

#: So long a result may take in a test, whatever else the machine does.
PATIENCE = 90


def uploaded(agent, recordings, names, first=0):
    """Uploads one recording for each of these names, with a service that stays; returns paths."""
    made = recordings.many(agent.root / "made", len(names), first=first)
    if agent.process is None:
        agent.start()
    before = agent.counts().get("uploaded", 0)
    paths = [agent.put(source, name) for source, name in zip(made, names)]
    agent.wait_counts(uploaded=before + len(paths), timeout=PATIENCE)
    return paths


def outcomes(result):
    """{outcome: how many rows}"""
    return Counter(row["outcome"] for row in result["results"])


def row_of(result, path):
    """The one row of this path."""
    found = [row for row in result["results"] if row.get("path") == str(path)]
    assert len(found) == 1, f"{path}: {json.dumps(result, indent=1)}"
    return found[0]


def delete(agent, name, lines, **wait):
    """Drops NAME.delete with these lines and gives its result."""
    agent.request_deletion(name, "".join(f"{line}\n" for line in lines))
    return agent.wait_result(name, wait.get("timeout", PATIENCE))


def remaining(double):
    """{sha256} of what was stored and whose deletion was not accepted."""
    gone = {line["engagement_id"] for line in double.deletions()}
    return {line["sha256"] for line in double.stored() if line["engagement_id"] not in gone}


def assert_proven(row):
    """All three proofs, in their order."""
    assert row["outcome"] == "deleted", row
    assert row["http_status"] == 202
    assert row["visible_before_at"] <= row["accepted_at"] <= row["gone_at"]


def assert_taken_whole(agent, name, folder="done"):
    """The result appears last, whole: its request stands beside it, and nothing is left of either in control_dir itself."""
    room = agent.control_dir / folder
    wait_until(lambda: os.path.lexists(room / f"{name}.result.json"), f"the result of {name} is in {folder}",
               describe=agent.describe)
    assert os.path.lexists(room / f"{name}.delete")
    assert not os.path.lexists(agent.control_dir / f"{name}.delete")
    assert not list(agent.control_dir.glob(f"**/.{name}.*"))
