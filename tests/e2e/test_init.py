"""`chorus-agent init`: what it finds on machines laid out as dialers lay them out, and what it writes."""

import stat
import subprocess
from pathlib import Path

import pytest

from support import programs
from support.waiting import wait_until

# The dialer, what tells that it is installed, where a recording lies, what the tables say of it, and its owner.
MACHINES = [
    ("VICIdial", ["etc/astguiclient.conf"],
     "var/spool/asterisk/monitorDONE/MP3/20051020-103108_6666-all.mp3", {"agents": "6666,ann@example.com"}),
    ("VICIdial", ["etc/astguiclient.conf", "etc/asterisk/asterisk.conf"],
     "var/spool/asterisk/monitorDONE/MP3/20241024-115453_5550370652-all.mp3",
     {"agents": "6666,ann@example.com", "recordings": "20241024-115453_5550370652,6666"}),
    ("VICIdial", ["etc/astguiclient.conf"],
     "var/spool/asterisk/monitorDONE/OGG/20240711-123422_5555344432_2032_2636490-all.ogg",
     {"agents": "2032,ann@example.com"}),
    ("VICIdial", ["etc/astguiclient.conf"],
     "var/spool/asterisk/monitorDONE/20260615-101240_FEDEX_TN_FEDEX_zahidul_5551355351410-all.wav",
     {"agents": "zahidul,ann@example.com"}),
    ("VICIdial", ["etc/astguiclient.conf"],
     "var/spool/asterisk/monitorDONE/MP3/20260318-140532_5551234567_agent001-all.mp3",
     {"agents": "agent001,ann@example.com"}),
    ("VICIdial", ["etc/astguiclient.conf"],
     "var/spool/asterisk/monitorDONE/MP3/TESTCAMP_51020103108_3125551212-all.mp3",
     {"agents": "6666,ann@example.com", "recordings": "TESTCAMP_51020103108_3125551212,6666"}),
    ("FreePBX", ["etc/freepbx.conf", "etc/asterisk/asterisk.conf"],
     "var/spool/asterisk/monitor/2026/09/26/out-15555550123-412-20260926-143022-1727351422.9.wav",
     {"agents": "412,ann@example.com"}),
    ("FreePBX", ["etc/freepbx.conf"],
     "var/spool/asterisk/monitor/2026/09/26/external-403-15555554567-20260926-143022-1727351422.123.wav",
     {"agents": "403,ann@example.com"}),
    ("Issabel", ["etc/issabel.conf", "etc/amportal.conf"],
     "var/spool/asterisk/monitor/2024/11/17/internal-1100-1101-20241117-164137-1731861697.2.wav",
     {"agents": "1100,ann@example.com"}),
    ("3CX", ["var/lib/3cxpbx"],
     "var/lib/3cxpbx/Instance1/Data/Recordings/100/[]_100-0555826436_20190211124709(2).wav",
     {"agents": "100,ann@example.com"}),
    ("FusionPBX", ["etc/fusionpbx/config.conf", "etc/freeswitch"],
     "var/lib/freeswitch/recordings/pbx.example.com/archive/2026/Nov/25/0c1a8a2e-9a66-4c66-9d0c-2f4a5be7a001.wav",
     {"agents": "100,ann@example.com", "recordings": "0c1a8a2e-9a66-4c66-9d0c-2f4a5be7a001,100"}),
    ("FreeSWITCH", ["etc/freeswitch"],
     "usr/local/freeswitch/recordings/support-17.wav",
     {"agents": "100,ann@example.com", "recordings": "support-17,100"}),
    ("Asterisk", ["etc/asterisk/asterisk.conf"],
     "var/spool/asterisk/monitor/1727351422.9.wav",
     {"agents": "100,ann@example.com", "recordings": "1727351422.9,100"}),
]


class Room:
    def __init__(self, root):
        self.machine = root / "machine"
        self.machine.mkdir()
        self.config = root / "etc" / "chorus-agent.yaml"

    def touch(self, path):
        whole = self.machine / path
        whole.parent.mkdir(parents=True, exist_ok=True)
        whole.touch()

    def run(self, *arguments, code=0):
        done = subprocess.run([programs.find("CHORUS_AGENT"), "-c", str(self.config), *arguments],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def room(tmp_path):
    return Room(tmp_path)


@pytest.mark.parametrize("dialer,marks,recording,tables", MACHINES)
def test_a_machine_is_recognised_and_its_recordings_find_their_owner(room, dialer, marks, recording, tables):
    for mark in marks:
        room.touch(mark) if "." in Path(mark).name else (room.machine / mark).mkdir(parents=True)
    room.touch(recording)
    said = room.run("init", "--root", str(room.machine))
    assert f"found {dialer}: /" in said and said.count("found ") == 1
    assert "1 recording\n" in said and "names as of the rule" in said
    for name in ("agents", "recordings"):
        table = room.config.parent / f"{name}.csv"
        assert table.exists() == (name in tables)
        if name in tables:
            table.write_text(tables[name] + "\n")
    explained = room.run("explain", f"/{recording}")
    assert "ann@example.com" in explained, explained


@pytest.mark.parametrize("marks", [["etc/astguiclient.conf", "var/spool/asterisk/monitorDONE/MP3/x"],
                                   ["etc/freepbx.conf", "var/spool/asterisk/monitor/x"],
                                   ["var/lib/3cxpbx/Instance1/Data/Recordings/x"]])
def test_without_recordings_the_usual_names_are_written_and_check_finds_no_fault_in_them(room, marks):
    for mark in marks:
        room.touch(mark)
    room.run("init", "--root", str(room.machine))
    said = room.run("check", code=78)
    complaints = [line for line in said.splitlines() if "is empty" not in line]
    assert all("cannot be reached" in line or "no token" in line for line in complaints), said
    assert "no recording was there to judge by" in room.config.read_text()


def test_two_dialers_are_two_watches(room):
    room.touch("etc/freepbx.conf")
    room.touch("var/spool/asterisk/monitor/2026/09/26/out-15555550123-412-20260926-143022-1727351422.9.wav")
    room.touch("var/lib/3cxpbx/Instance1/Data/Recordings/100/[]_100-0555826436_20190211124709(2).wav")
    said = room.run("init", "--root", str(room.machine))
    assert "found FreePBX" in said and "found 3CX" in said
    text = room.config.read_text()
    assert "  freepbx:\n" in text and "  3cx:\n" in text


def test_one_owner_for_what_is_found_needs_no_table(room):
    room.touch("etc/freepbx.conf")
    room.touch("var/spool/asterisk/monitor/a.wav")
    room.run("init", "--root", str(room.machine), "--owner", "team@example.com")
    assert not (room.config.parent / "agents.csv").exists()
    assert "team@example.com" in room.run("explain", "/var/spool/asterisk/monitor/b.wav")


def test_where_nothing_is_found_check_says_what_is_missing(room):
    assert "found no dialer" in room.run("init", "--root", str(room.machine))
    assert "no watches" in room.run("check", code=78)


def test_without_a_configuration_it_is_said_what_writes_one(room):
    assert "`chorus-agent init` writes one" in room.run("check", code=78)


def test_it_never_overwrites(room):
    room.run("init", "--watch", "/srv/recordings", "--owner", "team@example.com")
    before = room.config.read_bytes()
    for more in ([], ["--watch", "/srv/other", "--owner", "team@example.com"]):
        assert "never overwrites" in room.run("init", *more, code=73)
    assert room.config.read_bytes() == before


def test_a_table_that_is_there_is_left_alone(room):
    room.touch("etc/freepbx.conf")
    room.touch("var/spool/asterisk/monitor/x")
    room.config.parent.mkdir()
    (room.config.parent / "agents.csv").write_text("1,ann@example.com\n")
    room.run("init", "--root", str(room.machine))
    assert (room.config.parent / "agents.csv").read_text() == "1,ann@example.com\n"


def test_only_the_service_may_read_what_it_writes(room):
    room.run("init", "--watch", "/srv/recordings", "--owner", "team@example.com")
    assert stat.S_IMODE(room.config.stat().st_mode) == 0o640


@pytest.mark.parametrize("arguments", [["--watch", "/srv"], ["--watch", "/srv", "--owner", "ann"], ["--nonesuch"], ["x"]])
def test_usage(room, arguments):
    room.run("init", *arguments, code=64)
    assert not room.config.exists()


def test_the_three_lines_take_what_stands_there(double, tmp_path, agent_factory, recordings):
    agent = agent_factory(double)
    calls = tmp_path / "odd: it's a folder"
    recordings.many(calls, 2)
    agent.config_file.unlink()
    agent.run("init", "--watch", calls, "--owner", "team@example.com", check=0)
    text = agent.config_file.read_text()
    assert text.startswith("watches:\n  calls:\n") and text.endswith("    since: all\n") and text.count("\n") == 5
    agent.write_config(f"state_dir: $ROOT/state\ncontrol_dir: $ROOT/control\n"
                       f"chorus:\n  url: $URL\n  token_file: $TOKEN_FILE\n{text}")
    agent.start()
    agent.wait_counts(uploaded=2, timeout=60)
    wait_until(lambda: len(double.stored()) == 2, "both are stored")
    agent.stop()
