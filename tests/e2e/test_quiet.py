"""Nothing goes quiet without saying so: what the log warns of by itself. An hour of these tests is a second."""

import time

import pytest

from support.waiting import wait_until

HOUR_S = 1.0
ENV = {"CHORUS_HOUR_MS": str(int(HOUR_S * 1000))}
HELD = {"owner": None, "rules": [{"title": "nobody", "pattern": "nomatch", "owner": "a@example.com"}]}


def lines(agent, event):
    return [line for line in agent.log().splitlines() if f" event={event} " in line]


def wait_line(agent, event, count=1, timeout=60):
    wait_until(lambda: len(lines(agent, event)) >= count, event, timeout, describe=agent.log)
    return lines(agent, event)


def put(agent, recordings, count=1, first=0, name="call-{:05d}.wav"):
    for path in recordings.many(agent.root / "made", count, first=first, name=name):
        agent.put(path)


def test_held_for_longer_than_a_day_is_told_once_a_day_with_the_count(agent, recordings):
    agent.configure(watches={"calls": HELD})
    put(agent, recordings, 2)
    agent.start(env=ENV)
    agent.wait_counts(held=2)
    first, *_ = wait_line(agent, "held-long")
    assert "level=warning" in first and "recordings=2" in first and "list --state held" in first
    time.sleep(5 * HOUR_S)
    assert len(lines(agent, "held-long")) == 1, "once"
    wait_line(agent, "held-long", 2)
    agent.configure(watches={"calls": {"owner": "team@example.com", "rules": None}})
    agent.reload()
    agent.wait_counts(uploaded=2)
    wait_until(lambda: "that is over" in agent.log(), "it is said that it is over")
    agent.stop()


def test_waiting_for_longer_than_an_hour_is_told_with_its_reason(agent, recordings):
    agent.token_file.unlink()
    put(agent, recordings, 3)
    agent.start(env=ENV)
    line = wait_line(agent, "waiting-long")[0]
    assert "recordings=3" in line and "there is no token" in line
    agent.set_token("chorus-test-token")
    agent.wait_counts(uploaded=3)
    wait_until(lambda: "that is over" in agent.log(), "it is said that it is over")
    agent.stop()


def test_waiting_for_the_end_of_a_window_is_not_told(agent, recordings):
    """Whatever the hour, one of the two windows of rate 0 is in force, and ends."""
    agent.configure(bandwidth={"windows": {"am": {"to": "12:00", "rate": 0},
                                           "pm": {"from": "12:00", "rate": 0}}})
    put(agent, recordings, 3)
    agent.start(env=ENV)
    agent.wait_counts(queued=3)
    time.sleep(3 * HOUR_S)
    assert lines(agent, "waiting-long") == []
    agent.stop()


def test_files_that_appear_and_are_all_skipped_are_told(agent, recordings):
    agent.configure(watches={"calls": {"min_size": "1M"}})
    agent.start(env=ENV)
    put(agent, recordings, 2)
    line = wait_line(agent, "none-accepted")[0]
    assert "watch=calls" in line and "appeared=" in line and "list --state skipped" in line
    agent.stop()


def test_files_of_which_none_has_a_name_that_is_taken_are_told(agent, recordings):
    agent.configure(watches={"calls": {"include": ["*.mp3"]}})
    put(agent, recordings, 2)
    agent.start(env=ENV)
    line = wait_line(agent, "none-accepted")[0]
    assert "passed-over=2" in line and "mend include and exclude" in line
    agent.stop()


@pytest.mark.parametrize("since", ["start", "all"])
def test_all_is_well_and_nothing_is_told(agent, recordings, since):
    """What stood there before the first start, an empty folder, idleness, and one recording among many skipped."""
    agent.configure(watches={"calls": {"since": since}})
    put(agent, recordings, 2)
    agent.start(env={"CHORUS_HOUR_MS": "4000"})  # longer than an upload takes on a busy machine
    time.sleep(5)
    put(agent, recordings, 1, first=5)
    agent.wait_counts(uploaded=1 if since == "start" else 3)
    time.sleep(5)
    for event in ("held-long", "waiting-long", "none-accepted"):
        assert not lines(agent, event)
    agent.stop()
