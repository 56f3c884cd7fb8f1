"""What the service tells its manager (sd_notify), and when it feeds the watchdog."""

import signal
import time

import pytest

from support import programs
from support.manager import Manager
from support.waiting import wait_until


@pytest.fixture
def manager(tmp_path):
    return Manager(tmp_path)


@pytest.fixture(autouse=True)
def built_with_libsystemd():
    with open(programs.find("CHORUS_AGENT"), "rb") as program:
        if b"libsystemd" not in program.read():
            pytest.skip("built without libsystemd")


def put_one(agent, recordings):
    agent.put(recordings.many(agent.root / "made", 1)[0])


def test_ready_status_reloading_and_stopping_are_told_in_order(agent, recordings, manager):
    agent.start(env=manager.env())
    manager.wait("READY", "1")
    put_one(agent, recordings)
    manager.wait("STATUS", lambda words: words.startswith("0 sending, 1 uploaded, 0 waiting"))
    agent.reload()
    wait_until(lambda: len(manager.values("READY")) == 2, "ready again", 30)
    agent.stop()
    names = [name for _, name, _ in manager.said if name != "STATUS"]
    assert names == ["READY", "RELOADING", "MONOTONIC_USEC", "READY", "STOPPING"]
    assert manager.values("STATUS")[-1] == "stopping"


def test_a_reload_that_fails_is_over_as_well(agent, manager):
    agent.start(env=manager.env())
    agent.write_config("watches: {}\nbad: key\n")
    agent.reload()
    wait_until(lambda: len(manager.values("READY")) == 2, "ready again", 30)
    agent.stop()


def test_status_says_that_it_is_paused_without_a_token(agent, manager, recordings):
    agent.token_file.unlink()
    agent.start(env=manager.env())
    manager.wait("STATUS", lambda words: words.startswith("paused: there is no token"))
    put_one(agent, recordings)
    agent.wait_counts(queued=1)
    agent.set_token("chorus-test-token")
    agent.wait_counts(uploaded=1)
    manager.wait("STATUS", lambda words: words.startswith("0 sending, 1 uploaded"))
    agent.stop()


def test_status_names_a_watch_that_is_offline(agent, manager):
    agent.calls.rmdir()
    agent.start(env=manager.env())
    manager.wait("STATUS", lambda words: words.endswith("; watch calls is offline"))
    agent.stop()


def test_what_chorus_says_assigns_nothing(double_factory, agent_factory, recordings, manager):
    double = double_factory()
    agent = agent_factory(double, token="wrong")
    agent.start(env=manager.env())
    put_one(agent, recordings)
    manager.wait("STATUS", lambda words: words.startswith("paused: Chorus refused the token"))
    agent.stop()
    assert {name for _, name, _ in manager.said} == {"READY", "STATUS", "STOPPING"}


def test_an_idle_service_feeds_the_watchdog(agent, manager):
    agent.start(env=manager.env(watchdog_ms=400))
    wait_until(lambda: len(manager.times("WATCHDOG")) >= 5, "fed", 30)
    agent.stop()


def test_a_pause_feeds_the_watchdog(agent, manager, recordings):
    agent.configure(upload={"stall_timeout": "100ms"})
    agent.token_file.unlink()
    put_one(agent, recordings)
    agent.start(env=manager.env(watchdog_ms=1000))
    agent.wait_counts(queued=1)
    time.sleep(8)  # longer than its patience of 6.2 s
    assert time.monotonic() - manager.times("WATCHDOG")[-1] < 3
    agent.stop()


def test_what_the_timetable_holds_feeds_the_watchdog(agent, manager, recordings):
    """A transfer that stands still because it should."""
    agent.configure(upload={"stall_timeout": "100ms"}, bandwidth={"rate": "16 kbit/s"})
    put_one(agent, recordings)
    agent.start(env=manager.env(watchdog_ms=1000))
    wait_until(lambda: sum(file["sent"] for file in agent.status()["in_flight"]) > 0, "it is sent")
    agent.configure(bandwidth={"rate": "0"})
    agent.reload()
    time.sleep(8)  # longer than its patience of 6.2 s
    assert agent.counts() == {"uploading": 1}
    assert time.monotonic() - manager.times("WATCHDOG")[-1] < 3
    agent.stop()


def test_a_hung_loop_feeds_it_no_more(agent, manager):
    """SIGSTOP stands for a loop that hangs."""
    agent.start(env=manager.env(watchdog_ms=400))
    wait_until(lambda: manager.times("WATCHDOG"), "fed", 30)
    agent.process.send_signal(signal.SIGSTOP)
    time.sleep(0.5)
    fed = len(manager.times("WATCHDOG"))
    time.sleep(2)
    assert len(manager.times("WATCHDOG")) == fed
    agent.process.send_signal(signal.SIGCONT)
    wait_until(lambda: len(manager.times("WATCHDOG")) > fed, "fed again", 30)
    agent.stop()


def test_a_quiet_stall_feeds_it_no_more_and_is_told(agent, manager, recordings):
    """The loop turns, a recording is queued, nothing says that it must wait, and it does not go."""
    agent.configure(upload={"stall_timeout": "100ms"})
    agent.start(env={**manager.env(watchdog_ms=1000), "CHORUS_MUTANT": "plan-asleep"})
    put_one(agent, recordings)
    agent.wait_counts(queued=1)
    wait_until(lambda: "event=standing-still" in agent.log(), "it is told", 30)
    last = manager.times("WATCHDOG")[-1]
    time.sleep(3)
    assert manager.times("WATCHDOG")[-1] == last
    agent.stop()
