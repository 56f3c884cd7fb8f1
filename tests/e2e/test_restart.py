"""Stopped, killed, cut off: every recording arrives, and none twice."""

import random
import time

from support.evidence import (assert_all_well, assert_arrived_once, attempts_told, digests,
                              posts_that_count, stored_digests)
from support.recordings import many, wav
from support.waiting import wait_until

SLOW = "*: delay 150"


def assert_no_post_was_forgotten(double, agent):
    """An intent is written before a byte leaves: a kill between the two leaves one more."""
    assert len(posts_that_count(double)) <= attempts_told(agent)


def wait_stored(double, agent, count):
    wait_until(lambda: len(double.stored()) >= count, f"{count} are stored", 60,
               describe=agent.describe)


def test_sigterm_amid_uploads_ends_with_0_and_a_restart_finishes(double, agent_factory):
    double.set_script("*: delay 300")
    agent = agent_factory(double)
    calls = many(agent.calls, 40)
    agent.start()
    wait_stored(double, agent, 5)
    assert agent.stop() == 0
    arrived = len(double.stored())
    assert arrived < 40
    double.set_script("")
    agent.start()
    agent.wait_counts(uploaded=40, only=True, timeout=60)
    assert_arrived_once(double, calls)
    assert_no_post_was_forgotten(double, agent)


def test_a_long_upload_does_not_hold_up_the_end(double, agent_factory):
    double.set_script("*: hang")
    agent = agent_factory(double)
    call = wav(agent.calls / "call.wav", 1)
    agent.start()
    agent.wait_counts(uploading=1, only=True)
    assert agent.stop() == 0
    assert agent.counts() == {"uncertain": 1}
    double.set_script("")
    agent.start()
    agent.wait_counts(uploaded=1, only=True)
    assert_all_well(double, agent, [call])


def test_twenty_kills_amid_a_hundred_uploads_lose_and_double_nothing(double, agent_factory):
    """Some answers are lost as well. New calls come in all the time."""
    draw = random.Random(20)
    double.set_script(f"""
        random 10% seed 3: store reset
        random 10% seed 4: reset in-body 500
        {SLOW}
    """)
    agent = agent_factory(double, upload={"concurrency": 4})
    calls = many(agent.calls, 40)
    for life in range(20):
        agent.start(wait=False)
        calls += many(agent.calls, 3, first=1000 + 3 * life)
        time.sleep(draw.uniform(0.05, 1.5))
        agent.kill()
    double.set_script("")
    agent.start()
    agent.wait_counts(uploaded=100, only=True, timeout=120)
    assert_arrived_once(double, calls)
    assert_no_post_was_forgotten(double, agent)


def test_a_kill_after_the_answer_was_lost_doubles_nothing_at_a_server_that_stores_late(
        double_factory, agent_factory):
    """It looks the key up, and stores later without another look: uploads must not overlap."""
    double = double_factory("--check-then-store", 300)
    agent = agent_factory(double)
    calls = many(agent.calls, 20)
    for _ in range(4):
        agent.start()
        time.sleep(0.5)
        agent.kill()
    agent.start()
    agent.wait_counts(uploaded=20, only=True, timeout=60)
    assert_arrived_once(double, calls)
    assert_no_post_was_forgotten(double, agent)


def test_a_chorus_that_is_killed_and_comes_back(double, agent_factory):
    double.set_script(SLOW)
    agent = agent_factory(double)
    calls = many(agent.calls, 60)
    agent.start()
    for count in (10, 25):
        wait_stored(double, agent, count)
        double.kill()
        wait_until(lambda: agent.counts().get("uploading", 0) == 0, "all uploads have ended", 60,
                   describe=agent.describe)
        double.start()
    agent.wait_counts(uploaded=60, only=True, timeout=120)
    assert_arrived_once(double, calls)


def test_a_restart_of_both(double, agent_factory):
    double.set_script(SLOW)
    agent = agent_factory(double)
    calls = many(agent.calls, 30)
    agent.start()
    wait_stored(double, agent, 8)
    agent.kill()
    double.kill()
    agent.start()
    double.start()
    agent.wait_counts(uploaded=30, only=True, timeout=60)
    assert_arrived_once(double, calls)


def test_after_a_restart_nothing_is_sent_again(agent, double):
    calls = many(agent.calls, 30)
    agent.start()
    agent.wait_counts(uploaded=30, only=True)
    agent.restart()
    last = wav(agent.calls / "last.wav", "last")
    agent.wait_counts(uploaded=31, only=True)
    assert_all_well(double, agent, [*calls, last])


def test_a_second_service_ends_with_75_and_names_the_first(agent, double):
    agent.start()
    second = agent.run("run", check=75)
    assert str(agent.process.pid) in second.stderr
    assert second.stdout == ""
    call = wav(agent.calls / "call.wav", 1)
    agent.wait_counts(uploaded=1, only=True)
    assert_all_well(double, agent, [call])


def test_the_lock_of_a_killed_service_holds_nobody_up(agent, double):
    agent.start()
    agent.kill()
    call = wav(agent.calls / "call.wav", 1)
    agent.start()
    agent.wait_counts(uploaded=1, only=True)
    assert_all_well(double, agent, [call])


def test_what_arrived_before_the_kill_is_known_by_its_checksum(double, agent_factory):
    """The answer was lost with the process: Chorus knows the key, and that is the proof."""
    double.set_script("*: store hang")
    agent = agent_factory(double)
    calls = many(agent.calls, 5)
    agent.start()
    wait_stored(double, agent, 5)
    agent.kill()
    double.set_script("")
    agent.start()
    agent.wait_counts(uploaded=5, only=True)
    assert sorted(stored_digests(double)) == sorted(digests(calls))
    assert_no_post_was_forgotten(double, agent)
