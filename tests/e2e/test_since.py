"""What stands in a folder before the first start is left alone, and told; what comes later never
is."""

import datetime
import os
import shutil

import pytest

from support.evidence import assert_all_well, stored_digests
from support.recordings import many, sha256, wav
from support.waiting import wait_until

LONG_AGO = 1_500_000_000


@pytest.fixture
def starting(double, agent_factory):
    """starting(**settings) -> an agent, not started, that leaves alone what was there before."""
    def made(**watch):
        return agent_factory(double, watches={"calls": {"since": "start", **watch}})

    return made


def told(agent):
    """The log's lines about what was left alone."""
    return [line for line in agent.log().splitlines() if "left-alone" in line]


def start_over_a_full_folder(agent, count=10):
    calls = many(agent.calls, count, name="old-{}.wav")
    agent.start()
    agent.wait_counts(skipped=count, only=True)
    wait_until(lambda: told(agent), "it is told", describe=agent.describe)
    return calls


def test_a_full_folder_is_left_alone_and_told_once_with_the_way_to_take_it(starting, double):
    agent = starting()
    start_over_a_full_folder(agent)
    agent.restart()
    agent.wait_counts(skipped=10, only=True)
    agent.stop()
    [line] = told(agent)
    assert "recordings=10" in line and "chorus-agent once" in line and "watch=calls" in line
    assert all("before the first start" in one["reason"] for one in agent.list())
    assert double.posts() == []


def test_years_of_recordings_are_left_alone_while_new_ones_are_taken(starting, double):
    agent = starting()
    for month in range(20):
        many(agent.calls / f"{month}", 200, 0.01, first=200 * month)
    agent.start()
    agent.wait_counts(skipped=4000, only=True, timeout=60)
    call = wav(agent.calls / "7" / "new.wav", "new")
    agent.wait_counts(skipped=4000, uploaded=1, only=True, timeout=60)
    wait_until(lambda: told(agent), "it is told", describe=agent.describe)
    assert "recordings=4000" in told(agent)[0]
    assert_all_well(double, agent, [call])


def test_what_comes_after_the_start_is_taken_however_old_it_claims_to_be(starting, double):
    agent = starting()
    start_over_a_full_folder(agent)
    call = wav(agent.root / "moved-in.wav", "new")
    os.utime(call, (LONG_AGO, LONG_AGO))
    call = call.rename(agent.calls / "moved-in.wav")
    agent.wait_counts(uploaded=1, skipped=10, only=True)
    assert_all_well(double, agent, [call])


def test_a_copy_is_new_and_another_name_is_not(starting, double):
    agent = starting()
    calls = start_over_a_full_folder(agent)
    copy = agent.calls / "copy.wav"
    shutil.copy2(calls[0], copy)
    calls[1].rename(agent.calls / "renamed.wav")
    below = agent.calls / "below"
    below.mkdir()
    calls[2].rename(below / "moved.wav")
    agent.wait_counts(uploaded=1)
    wait_until(lambda: {"renamed.wav", "moved.wav"} <=
               {os.path.basename(one["path"]) for one in agent.list("--state", "skipped")},
               "the new names are known", describe=agent.describe)
    agent.restart()
    last = wav(agent.calls / "last.wav", "last")
    agent.wait_counts(uploaded=2, queued=0, settling=0)
    assert_all_well(double, agent, [copy, last])


def test_renamed_while_the_agent_was_down_it_stays_skipped(starting, double):
    agent = starting()
    calls = start_over_a_full_folder(agent)
    agent.stop()
    calls[1].rename(agent.calls / "renamed.wav")
    agent.start()
    last = wav(agent.calls / "last.wav", "last")
    agent.wait_counts(uploaded=1, settling=0, queued=0)
    assert agent.find("renamed.wav")["state"] == "skipped"
    assert_all_well(double, agent, [last])


def test_a_file_that_changes_after_the_start_is_a_new_recording(starting, double):
    agent = starting()
    calls = start_over_a_full_folder(agent)
    wav(calls[0], "other content")
    agent.wait_counts(uploaded=1, skipped=9, only=True)
    assert_all_well(double, agent, [calls[0]])


def test_a_file_still_being_written_at_the_first_look_is_taken(starting, double, tmp_path):
    agent = starting()
    many(agent.calls, 5, name="old-{}.wav")
    content = wav(tmp_path / "whole.wav", 1).read_bytes()
    with open(agent.calls / "live.wav", "wb", buffering=0) as file:
        file.write(content[:5000])
        agent.start()
        agent.wait_counts(skipped=5, settling=1, only=True)
        file.write(content[5000:])
    agent.wait_counts(skipped=5, uploaded=1, only=True)
    assert_all_well(double, agent, [agent.calls / "live.wav"])


def test_what_came_while_the_agent_was_down_is_taken(starting, double):
    agent = starting()
    start_over_a_full_folder(agent)
    agent.stop()
    calls = many(agent.calls, 5, name="new-{}.wav", first=100)
    os.utime(calls[0], (LONG_AGO, LONG_AGO))
    agent.start()
    agent.wait_counts(skipped=10, uploaded=5, only=True)
    assert_all_well(double, agent, calls)


def test_an_empty_first_start_leaves_nothing_alone_later(starting, double):
    agent = starting()
    agent.start()
    wait_until(lambda: agent.status()["watches"][0]["online"], "online")
    agent.restart()
    agent.stop()
    calls = many(agent.calls, 5)
    agent.start()
    agent.wait_counts(uploaded=5, only=True)
    assert_all_well(double, agent, calls)


def lose_the_ledger(agent):
    lost = list(agent.state_dir.glob("ledger.db*"))
    assert lost
    for one in lost:
        one.unlink()


def test_after_a_lost_ledger_nothing_new_is_skipped_and_nothing_is_doubled(starting, double):
    agent = starting()
    start_over_a_full_folder(agent)
    calls = many(agent.calls, 5, name="new-{}.wav", first=100)
    agent.wait_counts(skipped=10, uploaded=5, only=True)
    agent.stop()
    lose_the_ledger(agent)
    calls += many(agent.calls, 5, name="newer-{}.wav", first=200)
    agent.start()
    agent.wait_counts(skipped=10, settling=0, hashing=0, queued=0, uploading=0)
    wait_until(lambda: {sha256(call) for call in calls} <= set(stored_digests(double)),
               "all that is new arrives", describe=agent.describe)
    agent.wait_counts(skipped=10, queued=0, uploading=0, waiting=0, uncertain=0)
    assert sorted(stored_digests(double)) == sorted(sha256(call) for call in calls)
    assert double.offences() == []


def test_a_first_look_that_was_cut_off_skips_nothing_new(starting, double):
    """Killed before all that stood there was judged: the recorded time of the start decides."""
    agent = starting(settle="3s")
    old = many(agent.calls, 20, name="old-{}.wav")
    for call in old:
        os.utime(call, (LONG_AGO, LONG_AGO))
    agent.start()
    agent.kill()
    calls = many(agent.calls, 5, name="new-{}.wav", first=100)
    agent.configure(watches={"calls": {"settle": "200ms"}})
    agent.start()
    agent.wait_counts(uploaded=5, skipped=20, only=True)
    assert_all_well(double, agent, calls)


def test_once_takes_what_was_left_alone(starting, double):
    agent = starting()
    calls = start_over_a_full_folder(agent)
    agent.run("once", check=0)
    agent.wait_counts(uploaded=10, only=True)
    assert_all_well(double, agent, calls)


def test_once_takes_one_of_those_left_alone_without_a_service(starting, double):
    agent = starting()
    calls = start_over_a_full_folder(agent)
    agent.stop()
    agent.run("once", calls[3], check=0)
    agent.start()
    agent.wait_counts(uploaded=1, skipped=9, only=True)
    assert_all_well(double, agent, [calls[3]])


def test_since_all_takes_everything(starting, double):
    agent = starting(since="all")
    calls = many(agent.calls, 10)
    for call in calls:
        os.utime(call, (LONG_AGO, LONG_AGO))
    agent.start()
    agent.wait_counts(uploaded=10, only=True)
    assert told(agent) == []
    assert_all_well(double, agent, calls)


def test_since_all_takes_later_what_was_left_alone_before(starting, double):
    agent = starting()
    calls = start_over_a_full_folder(agent)
    agent.configure(watches={"calls": {"since": "all"}})
    agent.restart()
    agent.wait_counts(uploaded=10, only=True)
    assert_all_well(double, agent, calls)


def test_since_a_date_compares_the_last_change_with_its_local_midnight(starting, double):
    agent = starting(since="2026-03-15")
    agent.env["TZ"] = "America/New_York"
    midnight = datetime.datetime(2026, 3, 15, 4, tzinfo=datetime.timezone.utc).timestamp()
    before, after = many(agent.calls, 2)
    os.utime(before, (midnight - 1, midnight - 1))
    os.utime(after, (midnight, midnight))
    agent.start()
    agent.wait_counts(uploaded=1, skipped=1, only=True)
    assert agent.find(before)["state"] == "skipped"
    assert_all_well(double, agent, [after])


def test_another_path_under_the_same_name_is_another_watch(starting, double):
    agent = starting()
    start_over_a_full_folder(agent)
    agent.stop()
    other = agent.root / "other"
    many(other, 3, first=50)
    agent.configure(watches={"calls": {"path": str(other)}})
    agent.start()
    agent.wait_counts(skipped=13, only=True)
    assert double.posts() == []
