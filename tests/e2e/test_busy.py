"""bandwidth.busy_command: a program says that calls are many, and then only busy_rate may be used."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from support.waiting import wait_until

EXAMPLE = Path(__file__).parents[2] / "packaging" / "examples" / "asterisk-busy"


class Calls:
    """A program that says what the test wants."""

    def __init__(self, root):
        self.program = root / "calls-busy"
        self.saw = root / "saw"
        self.say(1)

    def say(self, status):
        fresh = self.program.with_suffix(".new")
        fresh.write_text(f'#!/bin/sh\n{{ env; ls -l /proc/$$/fd; }} >"{self.saw}.new"\n'
                         f'mv "{self.saw}.new" "{self.saw}"\nexit {status}\n')
        fresh.chmod(0o755)
        fresh.rename(self.program)

    def bandwidth(self, busy_rate, **more):
        return {"busy_command": [str(self.program), "an argument"], "busy_every": "100ms", "busy_rate": busy_rate, **more}


@pytest.fixture
def calls(tmp_path):
    return Calls(tmp_path)


def put(agent, recordings, count=1, first=0):
    return [agent.put(path) for path in recordings.many(agent.root / "made", count, first=first)]


def wait_bandwidth(agent, words):
    wait_until(lambda: words in agent.status()["bandwidth"]["in_words"], f"bandwidth: {words}", describe=agent.describe)


def test_with_a_rate_of_0_nothing_leaves_while_calls_are_many(agent, double, recordings, calls):
    calls.say(0)
    agent.configure(bandwidth=calls.bandwidth("0"))
    agent.start()
    put(agent, recordings, 2)
    agent.wait_counts(queued=2, only=True)
    wait_bandwidth(agent, "0; calls are many, says bandwidth.busy_command")
    assert "nothing leaves (bandwidth.busy_rate is 0): calls are many" in agent.status()["paused_because"]
    wait_until(lambda: agent.status()["watches"][0]["online"], "the watch was looked at", describe=agent.describe)
    assert agent.run("status", "--check", check=1).stdout.startswith("CHORUS WARNING - nothing leaves")
    assert not double.stored()
    calls.say(1)
    agent.wait_counts(uploaded=2, only=True)
    wait_bandwidth(agent, "unlimited")
    assert agent.status()["bandwidth"]["busy"] is None
    agent.stop()


def test_only_the_lower_rate_holds(agent, calls):
    calls.say(0)
    agent.configure(bandwidth=calls.bandwidth("512 kbit/s", rate="8 Mbit/s"))
    agent.start()
    wait_bandwidth(agent, "512 kbit/s; calls are many")
    agent.configure(bandwidth={"busy_rate": "80 Mbit/s"})
    agent.reload()
    wait_until(lambda: agent.status()["bandwidth"]["in_words"] == "8 Mbit/s", "the lower one", describe=agent.describe)
    agent.stop()


def test_uploads_in_flight_are_slowed_and_go_on(double_factory, agent_factory, recordings, calls):
    double = double_factory(script="POST /v3/upload 1: slow-read 400000")
    agent = agent_factory(double, bandwidth=calls.bandwidth("0"), upload={"stall_timeout": "2s"})
    agent.start()
    wait_bandwidth(agent, "unlimited")
    agent.put(recordings.sized(agent.root / "made.wav", 2 << 20))
    wait_until(lambda: any(one["sent"] > 0 for one in agent.status()["in_flight"]), "it is sent",
               describe=agent.describe)
    calls.say(0)
    wait_bandwidth(agent, "calls are many")
    time.sleep(8)  # more than all of it takes, and than stall_timeout
    assert agent.counts() == {"uploading": 1}
    calls.say(1)
    agent.wait_counts(uploaded=1, only=True)
    assert agent.list()[0]["attempts"] == 1
    agent.stop()


@pytest.mark.parametrize("status", [3, None])
def test_what_does_not_tell_counts_as_busy_and_is_told_once(agent, recordings, calls, status):
    agent.configure(bandwidth=calls.bandwidth("0"))
    agent.start()
    wait_bandwidth(agent, "unlimited")
    if status is None:
        calls.program.unlink()
    else:
        calls.say(status)
    wait_bandwidth(agent, "bandwidth.busy_command " + ("cannot be started" if status is None else "ended with 3"))
    put(agent, recordings)
    agent.wait_counts(queued=1, only=True)
    assert agent.log().count("event=busy-command") == 1
    agent.configure(bandwidth={"busy_command": None, "busy_every": None, "busy_rate": None})
    agent.reload()
    agent.wait_counts(uploaded=1, only=True)
    agent.stop()


def test_it_sees_nothing_of_ours(agent, calls):
    agent.configure(bandwidth=calls.bandwidth("0"))
    agent.start(env={"CHORUS_API_TOKEN": "chorus-test-token", "http_proxy": ""})
    wait_bandwidth(agent, "unlimited")
    agent.stop()
    saw = calls.saw.read_text()
    assert "LC_ALL=C" in saw and "CHORUS" not in saw and "chorus-test-token" not in saw
    for ours in ("ledger", "lock", "socket", "eventpoll", "inotify"):
        assert ours not in saw


def test_it_is_killed_at_the_end(agent, calls, tmp_path):
    mark = tmp_path / "process"
    calls.program.write_text(f"#!/bin/sh\nsleep 1000 & echo $! >'{mark}'\nwait\n")
    agent.configure(bandwidth=calls.bandwidth("0"))
    agent.start()
    process = wait_until(lambda: mark.exists() and mark.read_text().strip(), "it runs", describe=agent.describe)
    agent.stop()

    def is_dead():
        try:
            return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    wait_until(is_dead, "what it started is dead")


def test_check_says_what_is_wrong_with_it(agent, calls):
    agent.configure(bandwidth={"dscp": "cs1"})

    def says(words, **bandwidth):
        agent.configure(bandwidth={"busy_command": None, "busy_rate": None, **bandwidth})
        assert words in agent.run("check", check=78).stdout

    says("busy_command stands alone", busy_command=[str(calls.program)])
    says("busy_rate stands alone", busy_rate="0")
    says("is no absolute path", busy_command=["calls-busy"], busy_rate="0")
    says("No such file", busy_command=["/nowhere/calls-busy"], busy_rate="0")
    calls.program.chmod(0o644)
    says("cannot be run", busy_command=[str(calls.program)], busy_rate="0")
    calls.program.chmod(0o757)
    says("everybody may write", busy_command=[str(calls.program)], busy_rate="0")
    says("expected a list", busy_command=str(calls.program), busy_rate="0")


@pytest.mark.parametrize("channels, limit, status", [(0, 1, 1), (1, 2, 1), (39, 40, 1), (40, 40, 0), (120, 40, 0), (None, 1, 2)])
def test_the_example_for_asterisk(tmp_path, channels, limit, status):
    asterisk = tmp_path / "asterisk"
    said = "exit 1" if channels is None else \
        f'echo "{channels} active channel{"s" * (channels != 1)}"\necho "{channels // 2} active calls"\necho "4711 calls processed"'
    asterisk.write_text(f'#!/bin/sh\n[ "$1|$2" = "-rx|core show channels count" ] || exit 9\n{said}\n')
    asterisk.chmod(0o755)
    done = subprocess.run([EXAMPLE, str(limit)], env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, timeout=30)
    assert done.returncode == status


def test_the_example_needs_a_number_from_asterisk(tmp_path):
    asterisk = tmp_path / "asterisk"
    asterisk.write_text("#!/bin/sh\necho 'Unable to connect to remote asterisk'\n")
    asterisk.chmod(0o755)
    done = subprocess.run([EXAMPLE, "1"], env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, timeout=30)
    assert done.returncode == 2
