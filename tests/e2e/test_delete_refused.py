"""Control files that must be refused whole delete nothing; and when one is taken."""

import json
import os
import random
import socket
import time

import pytest

from support.deletion import PATIENCE, assert_taken_whole, delete, outcomes, uploaded
from support.waiting import wait_until

NAMES = [f"call-{n}.wav" for n in range(3)]


def assert_refused(agent, double, name, part=""):
    result = agent.wait_result(name, PATIENCE)
    assert (agent.control_dir / "rejected" / f"{name}.result.json").exists()
    assert_taken_whole(agent, name, "rejected")
    assert part in json.dumps(result), result
    assert not any(row["outcome"] in ("deleted", "accepted-unconfirmed") for row in result.get("results", []))
    time.sleep(1)
    assert agent.counts() == {"uploaded": len(NAMES)}
    assert not [line for line in double.requests() if line["method"] == "DELETE"]
    return result


@pytest.mark.parametrize("lines, part", [
    ("@dryrun\n", "unknown directive"), ("@Force\n", "unknown directive"), ("@local\n", "malformed"),
    ("@expect three\n", "malformed"), ("@from 1.2.2026\n", "malformed"), ("@force\n@force\n", "second time"),
    ("@reason a\n@reason b\n", "second time"), ("@expect 2\n", "2"), ("@expect 4\n", "4"),
    ("@expect 3\nphone:12\n", "line"), ("@expect 3\nfone:5550100\n", "line"), ("@expect 3\n/x", "cut"),
    (" @dry-run\n", "directive"), ("dry-run\n", "directive"), ("@dry-run", "cut"), ("\0", "control"),
    ("\x1b[31m\n", "control"), ("@from 2026-02-02\n@to 2026-02-01\n", "later"),
])
def test_a_slip_in_one_line_refuses_all(double, agent, recordings, lines, part):
    uploaded(agent, recordings, NAMES)
    agent.request_deletion("slip", f"glob:{agent.calls}/*\n{lines}")
    assert_refused(agent, double, "slip", part)


def put_bytes(agent, name, data, mode=0o600):
    fresh = agent.control_dir / f".{name}.new"
    fresh.write_bytes(data)
    fresh.chmod(mode)
    fresh.rename(agent.control_dir / f"{name}.delete")


def test_what_is_no_text_is_refused(double, agent, recordings):
    paths = uploaded(agent, recordings, NAMES)
    line = f"{paths[0]}\n".encode()
    put_bytes(agent, "empty", b"")
    put_bytes(agent, "comments", b"# nothing\n\n")
    put_bytes(agent, "binary", line + random.Random(1).randbytes(5000))
    put_bytes(agent, "latin", line + b"/caf\xe9.wav\n")
    put_bytes(agent, "utf16", line.decode().encode("utf-16"))
    put_bytes(agent, "huge", line + b"# " + b"x" * (64 * 1024 * 1024) + b"\n")
    put_bytes(agent, "many", line + b"name:x\n" * 1_000_001)
    for name in ("empty", "comments", "binary", "latin", "utf16", "huge", "many"):
        assert_refused(agent, double, name)


def test_whose_it_is_decides(double, agent, recordings):
    paths = uploaded(agent, recordings, NAMES)
    line = f"{paths[0]}\n".encode()
    put_bytes(agent, "others", line, 0o602)
    put_bytes(agent, "group", line, 0o660)
    put_bytes(agent, "linked", line)
    os.link(agent.control_dir / "linked.delete", agent.root / "another-name")
    assert_refused(agent, double, "others", "everybody")
    assert_refused(agent, double, "group", "group")
    assert_refused(agent, double, "linked", "hard link")
    if os.geteuid() == 0:
        put_bytes(agent, "stranger", line, 0o644)
        os.chown(agent.control_dir / "stranger.delete", 4711, 4711)
        assert_refused(agent, double, "stranger", "4711")


def test_what_is_no_file_is_moved_away_and_not_followed(double, agent, recordings):
    paths = uploaded(agent, recordings, NAMES)
    outside = agent.root / "outside.delete"
    outside.write_text(f"{paths[0]}\n")
    (agent.control_dir / "link.delete").symlink_to(outside)
    (agent.control_dir / "dangling.delete").symlink_to("/nowhere")
    os.mkfifo(agent.control_dir / "pipe.delete")
    (agent.control_dir / "folder.delete").mkdir()
    with socket.socket(socket.AF_UNIX) as one:
        here = os.getcwd()
        os.chdir(agent.control_dir)
        one.bind("socket.delete")
        os.chdir(here)
    for name, part in (("link", "symbolic link"), ("dangling", "symbolic link"), ("pipe", "pipe"),
                       ("folder", "folder"), ("socket", "socket")):
        assert_refused(agent, double, name, part)
    assert (agent.control_dir / "rejected" / "link.delete").is_symlink()
    assert outside.read_text() == f"{paths[0]}\n"


def test_more_than_max_needs_the_true_number(double, agent, recordings):
    agent.configure(delete={"max": 2})
    uploaded(agent, recordings, NAMES)
    agent.request_deletion("wide", f"glob:{agent.calls}/*\n")
    assert_refused(agent, double, "wide", "3")
    result = delete(agent, "sure", [f"glob:{agent.calls}/*", "@expect 3"])
    assert outcomes(result) == {"deleted": 3}


def test_expect_counts_recordings_and_ids_once(double, agent, recordings):
    """However many lines name one: it is one. An id that the ledger does not know counts, too."""
    paths = uploaded(agent, recordings, NAMES)
    row = agent.find(paths[0])
    result = delete(agent, "count", [paths[0], f"sha256:{row['sha256']}", f"engagement:{row['engagement_id']}",
                                     f"name:{paths[0].name}", paths[1], "engagement:" + "7" * 32, "@expect 3"])
    assert outcomes(result)["deleted"] >= 2
    assert {line["engagement_id"] for line in double.deletions()} == \
        {row["engagement_id"], agent.find(paths[1])["engagement_id"]}


def test_a_file_that_is_being_written_is_not_read(double, agent, recordings):
    paths = uploaded(agent, recordings, NAMES)
    file = agent.control_dir / "slow.delete"
    with open(file, "w") as out:
        os.chmod(file, 0o600)
        out.write(f"glob:{agent.calls}/*\n")
        out.flush()
        time.sleep(4)
        assert file.exists() and agent.counts() == {"uploaded": 3}
        out.write("@dry-run\n")
    result = agent.wait_result("slow", PATIENCE)
    assert outcomes(result) == {"dry-run": 3}
    assert paths and not [line for line in double.requests() if line["method"] == "DELETE"]


def test_what_stood_there_before_the_start_is_taken(double, agent, recordings):
    paths = uploaded(agent, recordings, NAMES)
    agent.stop()
    agent.request_deletion("before", f"{paths[0]}\n")
    (agent.control_dir / "odd.delete").symlink_to("/nowhere")
    agent.start()
    assert outcomes(agent.wait_result("before", PATIENCE)) == {"deleted": 1}
    assert_taken_whole(agent, "before")
    agent.wait_result("odd", PATIENCE)


def test_control_dir_is_made_and_its_trouble_stops_no_upload(double, agent_factory, recordings):
    agent = agent_factory(double)
    uploaded(agent, recordings, NAMES[:1])
    assert agent.control_dir.stat().st_mode & 0o7777 == 0o2770
    assert (agent.control_dir / "done").is_dir() and (agent.control_dir / "rejected").is_dir()
    agent.stop()
    other = agent_factory(double)
    other.control_dir.write_text("no folder")
    paths = uploaded(other, recordings, NAMES[1:], first=1)
    assert "control-dir" in other.log()
    other.control_dir.unlink()
    wait_until(lambda: (other.control_dir / "done").is_dir(), "it is made once it can be", PATIENCE,
               describe=other.describe)
    assert outcomes(delete(other, "late", [paths[0]])) == {"deleted": 1}
