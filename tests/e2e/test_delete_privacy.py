"""The record of deletions: it detects changes, and forgets what identifies a person."""

import json
import sqlite3
import time
from contextlib import closing

from support.deletion import FIELDS, PATIENCE, delete, outcomes, uploaded
from support.waiting import wait_until

NAMES = [f"5550199{n:03}_spring_{n:04}.wav" for n in range(3)]


def audit(agent):
    return [json.loads(line) for line in agent.run("audit", "--json", check=0).stdout.splitlines()]


def audit_table(ledger):
    found = [row[0] for row in ledger.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
             if "audit" in row[0]]
    assert found, "the audit is a table"
    return found[0]


def test_every_step_is_in_the_audit(double, agent, recordings):
    paths = uploaded(agent, recordings, NAMES)
    delete(agent, "one", [paths[0], "@reason GDPR 4711", "@requested-by j.doe@example.com"])
    rows = audit(agent)
    events = [row["event"] for row in rows]
    for earlier, later in (("requested", "seen"), ("seen", "accepted"), ("accepted", "gone")):
        assert events.index(earlier) < events.index(later), events
    assert any("GDPR 4711" in json.dumps(row) for row in rows)
    assert [row["number"] for row in rows] == sorted(row["number"] for row in rows)
    assert agent.run("audit", check=0).stdout.count("\n") == len(rows)
    assert "whole" in agent.run("audit", "--verify", check=0).stdout


def test_a_change_and_a_removed_row_are_detected(double, agent, recordings):
    paths = uploaded(agent, recordings, NAMES)
    delete(agent, "all", paths)
    agent.stop()
    ledger_file = agent.state_dir / "ledger.db"
    kept = ledger_file.read_bytes()
    with closing(sqlite3.connect(ledger_file)) as ledger:
        table = audit_table(ledger)
        columns = [row[1] for row in ledger.execute(f"PRAGMA table_info({table})")]
        middle = ledger.execute(f"SELECT rowid FROM {table} ORDER BY rowid LIMIT 1 OFFSET 3").fetchone()[0]
    time_column = next(name for name in columns if "at" in name and "ms" in name)
    for change in (f"DELETE FROM {table} WHERE rowid = {middle}",
                   f"UPDATE {table} SET {time_column} = {time_column} + 1 WHERE rowid = {middle}",
                   f"UPDATE {table} SET event = 'gone' WHERE rowid = {middle}"):
        with closing(sqlite3.connect(ledger_file)) as ledger, ledger:
            ledger.execute("DROP TRIGGER IF EXISTS audit_is_kept")
            for name, in ledger.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                ledger.execute(f"DROP TRIGGER {name}")
            ledger.execute(change)
        done = agent.run("audit", "--verify", check=1)
        assert "broken" in done.stdout
        assert json.loads(agent.run("audit", "--verify", "--json", check=1).stdout)["whole"] is False
        ledger_file.write_bytes(kept)
    agent.run("audit", "--verify", check=0)


def holds(agent, word):
    """Which files below state_dir hold it."""
    return [path.name for path in agent.state_dir.rglob("*") if path.is_file() and word in path.read_bytes()]


def test_details_are_wiped_and_what_blocks_stays(double, agent_factory, recordings):
    agent = agent_factory(double, watches=FIELDS, delete={"keep_details": "4s"}, log_redact="true")
    paths = uploaded(agent, recordings, NAMES)
    content = paths[0].read_bytes()
    assert holds(agent, b"5550199000")
    delete(agent, "wipe", [f"phone:{NAMES[0].split('_')[0]}", "@reason asked by 5550199000", "@local delete"])
    wait_until(lambda: not holds(agent, b"5550199000"), "wiped", PATIENCE, 0.5,
               describe=lambda: f"{holds(agent, b'5550199000')}\n{agent.describe()}")
    assert holds(agent, b"5550199001")
    assert "whole" in agent.run("audit", "--verify", check=0).stdout
    rows = audit(agent)
    assert any(row["wiped"] for row in rows) and not any("5550199000" in json.dumps(row) for row in rows)
    assert any(row.get("sha256") for row in rows)
    # the same content again is blocked, whatever is forgotten
    (agent.calls / "5550199777_spring_0777.wav").write_bytes(content)
    time.sleep(3)
    assert len(double.posts()) == 3
    agent.stop()
    assert not holds(agent, b"5550199000")


def test_log_redact_masks_numbers(double, agent_factory, recordings):
    agent = agent_factory(double, watches=FIELDS, log_redact="true")
    paths = uploaded(agent, recordings, NAMES)
    result = delete(agent, "mask", [paths[0], "phone:5550199001"])
    assert outcomes(result) == {"deleted": 2}
    agent.stop()
    assert "_spring_" in agent.log() and "5550199" not in agent.log()
