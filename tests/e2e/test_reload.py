"""SIGHUP and tables: a change takes effect by itself, and never an upload under an old owner."""

import time

import pytest

from support.promise import assert_kept, assert_stored_once
from support.waiting import wait_until

RULES = [{"title": "agents", "pattern": r"^(?<agent>\w+)-", "owner": "{agent|agents}"}]


def put(agent, recordings, count=1, first=0, name="call-{:05d}.wav"):
    made = recordings.many(agent.root / "made", count, first=first, name=name)
    return [agent.put(path) for path in made]


def reload(agent, **changes):
    """Changes the configuration, sends SIGHUP, and waits until it is told."""
    before = agent.log().count("event=reload")
    if changes:
        agent.configure(**changes)
    agent.reload()
    wait_until(lambda: agent.log().count("event=reload") > before, "the reload is told")


def owners(double):
    return {line["fields"]["user"] for line in double.stored()}


def write_table(agent, text):
    """Replaces the table as an administrator would: whole at once."""
    fresh = agent.root / ".agents.new"
    fresh.write_text(text)
    fresh.rename(agent.root / "agents.csv")


@pytest.fixture
def with_table(double, agent_factory):
    """An agent whose owners come from a table that knows ann."""
    agent = agent_factory(double)
    agent.configure(tables={"agents": f"{agent.root}/agents.csv"},
                    watches={"calls": {"owner": None, "rules": RULES}})
    write_table(agent, "ann,ann@example.com\n")
    return agent


# ---- watches ----

def test_a_new_watch_is_looked_at_after_a_reload(double, agent, recordings):
    agent.start()
    more = agent.root / "more"
    more.mkdir()
    paths = recordings.many(more, 3)
    reload(agent, watches={"more": {"path": str(more), "owner": "more@example.com",
                                    "since": "all", "settle": "200ms", "rescan": "1s"}})
    agent.wait_counts(uploaded=3)
    wait_until(lambda: [watch["name"] for watch in agent.status()["watches"]].count("more") == 1,
               "status shows it")
    assert owners(double) == {"more@example.com"}
    assert_kept(double, agent, paths)


def test_a_removed_watch_is_left_alone_after_a_reload(double, agent, recordings):
    more = agent.root / "more"
    more.mkdir()
    agent.configure(watches={"more": {"path": str(more), "owner": "more@example.com",
                                      "settle": "200ms", "rescan": "1s"}})
    agent.start()
    reload(agent, watches={"more": None})
    recordings.many(more, 3)
    paths = put(agent, recordings, 2, first=10)
    agent.wait_counts(uploaded=2)
    time.sleep(1.5)  # more than settle and rescan of the watch that was removed
    assert agent.counts() == {"uploaded": 2}
    assert_kept(double, agent, paths)


# ---- owners ----

def test_queued_recordings_go_under_the_new_owner_after_a_reload(double, agent, recordings):
    double.stop()
    agent.start()
    paths = put(agent, recordings, 5)
    agent.wait_counts(queued=5)
    reload(agent, watches={"calls": {"owner": "new@example.com"}})
    double.start()
    agent.wait_counts(uploaded=5)
    assert owners(double) == {"new@example.com"}
    assert {row["owner"] for row in agent.list()} == {"new@example.com"}
    assert_kept(double, agent, paths)


def test_queued_recordings_go_under_the_new_owner_after_a_restart(double, agent, recordings):
    double.stop()
    agent.start()
    paths = put(agent, recordings, 5)
    agent.wait_counts(queued=5)
    agent.stop()
    agent.configure(watches={"calls": {"owner": "new@example.com"}})
    double.start()
    agent.start()
    agent.wait_counts(uploaded=5)
    assert owners(double) == {"new@example.com"}
    assert_kept(double, agent, paths)


def test_queued_recordings_go_under_the_new_owner_by_once(double, agent, recordings):
    double.stop()
    agent.start()
    paths = put(agent, recordings, 5)
    agent.wait_counts(queued=5)
    agent.stop()
    agent.configure(watches={"calls": {"owner": "new@example.com"}})
    double.start()
    agent.run("once", check=0)
    assert owners(double) == {"new@example.com"}
    assert_kept(double, agent, paths)


def test_an_uncertain_recording_keeps_its_form_for_its_key_is_its_proof(
        double, agent, recordings):
    agent.configure(upload={"resend_after": "2s"})
    double.set_script("1: store reset")
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(uncertain=1)
    reload(agent, watches={"calls": {"owner": "new@example.com", "name": "other"}})
    agent.wait_counts(uploaded=1)
    first, second = double.posts()
    assert first["fields"] == second["fields"]
    assert_kept(double, agent, [path])


def test_held_recordings_go_on_after_a_reload_that_names_their_owner(double, agent, recordings):
    agent.configure(watches={"calls": {"owner": None, "rules": [
        {"pattern": "^never", "owner": "team@example.com"}]}})
    agent.start()
    paths = put(agent, recordings, 70)
    agent.wait_counts(held=70)
    reload(agent, watches={"calls": {"rules": [{"owner": "new@example.com"}]}})
    agent.wait_counts(uploaded=70)
    assert owners(double) == {"new@example.com"}
    assert_kept(double, agent, paths)


def test_held_recordings_go_on_after_a_restart_that_names_their_owner(
        double, agent, recordings):
    agent.configure(watches={"calls": {"owner": None, "rules": [
        {"pattern": "^never", "owner": "team@example.com"}]}})
    agent.start()
    paths = put(agent, recordings, 3)
    agent.wait_counts(held=3)
    agent.stop()
    agent.configure(watches={"calls": {"rules": [{"owner": "new@example.com"}]}})
    agent.start()
    agent.wait_counts(uploaded=3)
    assert_kept(double, agent, paths)


def test_skipped_recordings_are_judged_anew_after_a_reload(double, agent, recordings):
    agent.configure(watches={"calls": {"owner": None, "rules": [
        {"pattern": "^call", "skip": "not now"}, {"owner": "team@example.com"}]}})
    agent.start()
    paths = put(agent, recordings, 3)
    agent.wait_counts(skipped=3)
    reload(agent, watches={"calls": {"rules": [{"owner": "team@example.com"}]}})
    agent.wait_counts(uploaded=3, skipped=0)
    assert_kept(double, agent, paths)


# ---- what a reload does not do ----

def test_a_broken_configuration_changes_nothing_and_is_told(double, agent, recordings):
    agent.start()
    good = agent.config_file.read_text()
    agent.config_file.write_text(good + "colour: blue\nwatches_too: {}\n")
    reload(agent)
    log = agent.log()
    assert "colour" in log and "watches_too" in log and "the old one stays in force" in log
    paths = put(agent, recordings, 2)
    agent.config_file.write_text(good)
    agent.wait_counts(uploaded=2)
    assert_kept(double, agent, paths)


def test_state_dir_control_dir_and_url_stay_until_a_restart_and_that_is_told(
        double, agent, recordings):
    agent.start()
    before = agent.config_file.read_text()
    agent.configure(state_dir=f"{agent.root}/elsewhere", control_dir=f"{agent.root}/drop",
                    chorus={"url": "https://127.0.0.1:9"})
    reload(agent)
    for key in ("state_dir", "control_dir", "chorus.url"):
        assert f"key={key}" in agent.log()
    agent.config_file.write_text(before)
    paths = put(agent, recordings, 2)
    agent.wait_counts(uploaded=2)
    assert not (agent.root / "elsewhere").exists()
    assert_kept(double, agent, paths)


def test_a_transfer_in_flight_is_not_dropped_by_a_reload(double, agent, recordings):
    double.set_script("1: slow-read 2000000")
    path = agent.put(recordings.sized(agent.root / "long.wav", 8_000_000, 1))
    agent.start()
    wait_until(lambda: agent.counts().get("uploading"), "it is being sent")
    for number in range(5):
        reload(agent, upload={"concurrency": number + 1},
               watches={"calls": {"name": f"name {number}"}})
    agent.wait_counts(uploaded=1, timeout=60)
    assert len(double.posts()) == 1
    assert agent.find(path)["attempts"] == 1
    assert double.stored()[0]["fields"]["name"] == "long"
    assert_kept(double, agent, [path])


def test_a_storm_of_reloads_harms_nothing(double, agent, recordings):
    double.set_script("*: delay 30")
    agent.start()
    paths = put(agent, recordings, 40)
    for number in range(30):
        agent.configure(upload={"concurrency": 1 + number % 8})
        agent.reload()
        time.sleep(0.02)
    agent.wait_counts(uploaded=40, timeout=60)
    assert_kept(double, agent, paths)


def test_concurrency_follows_a_reload(double, agent, recordings):
    agent.configure(upload={"concurrency": 1})
    double.set_script("*: delay 2000")
    agent.start()
    paths = put(agent, recordings, 4)
    wait_until(lambda: len(agent.status()["in_flight"]) == 1, "one is in flight")
    reload(agent, upload={"concurrency": 4})
    wait_until(lambda: len(agent.status()["in_flight"]) >= 3, "more are in flight")
    agent.wait_counts(uploaded=4)
    assert_kept(double, agent, paths)


# ---- tables ----

def test_a_new_row_releases_what_it_was_held_for(double, with_table, recordings):
    agent = with_table
    agent.start()
    paths = put(agent, recordings, 70, name="bob-{:03d}.wav")
    paths += put(agent, recordings, 1, first=100, name="ann-{:03d}.wav")
    agent.wait_counts(uploaded=1, held=70)
    write_table(agent, "ann,ann@example.com\nbob,bob@example.com\n")
    agent.wait_counts(uploaded=71)
    assert owners(double) == {"ann@example.com", "bob@example.com"}
    assert_kept(double, agent, paths)


def test_a_row_that_names_another_owner_holds_for_what_is_queued(
        double, with_table, recordings):
    agent = with_table
    agent.start()
    double.stop()
    paths = put(agent, recordings, 3, name="ann-{:03d}.wav")
    agent.wait_counts(queued=3)
    write_table(agent, "ann,other@example.com\n")
    read = agent.log().count("reason=read")
    wait_until(lambda: agent.log().count("reason=read") > read, "the table is read")
    double.start()
    agent.wait_counts(uploaded=3)
    assert owners(double) == {"other@example.com"}
    assert_kept(double, agent, paths)


def test_a_key_with_two_values_finds_nothing_and_both_lines_are_named(
        double, with_table, recordings):
    agent = with_table
    write_table(agent, "bob,bob@example.com\nann,ann@example.com\nBob,rob@example.com\n")
    agent.start()
    bob, = put(agent, recordings, 1, name="bob-{:03d}.wav")
    ann, = put(agent, recordings, 1, first=1, name="ann-{:03d}.wav")
    agent.wait_counts(held=1, uploaded=1)
    reason = agent.find(bob)["reason"]
    assert "bob" in reason.lower() and "1" in reason and "3" in reason
    write_table(agent, "bob,bob@example.com\nann,ann@example.com\nBob,bob@example.com\n")
    agent.wait_counts(uploaded=2)
    assert_kept(double, agent, [ann, bob])


@pytest.mark.parametrize("broken", [b"ann\n", b'"ann,ann@example.com\n', b"\x00\x01\x02\xff\n"])
def test_a_broken_new_table_leaves_the_old_one_in_force(double, with_table, recordings, broken):
    agent = with_table
    agent.start()
    paths = put(agent, recordings, 1, name="ann-{:03d}.wav")
    agent.wait_counts(uploaded=1)
    (agent.root / "agents.csv").write_bytes(broken)
    wait_until(lambda: "level=error event=table" in agent.log(), "it is told",
               describe=agent.describe)
    paths += put(agent, recordings, 1, first=1, name="ann-{:03d}.wav")
    agent.wait_counts(uploaded=2)
    assert owners(double) == {"ann@example.com"}
    assert_kept(double, agent, paths)


def test_a_table_that_is_taken_away_stays_in_force(double, with_table, recordings):
    agent = with_table
    agent.start()
    paths = put(agent, recordings, 1, name="ann-{:03d}.wav")
    agent.wait_counts(uploaded=1)
    (agent.root / "agents.csv").unlink()
    wait_until(lambda: "it is gone" in agent.log(), "it is told")
    paths += put(agent, recordings, 1, first=1, name="ann-{:03d}.wav")
    wait_until(lambda: len(double.stored()) == 2, "the next one is stored too")
    assert_kept(double, agent, paths)


def test_a_last_row_without_its_line_end_is_not_used_and_is_told(
        double, with_table, recordings):
    agent = with_table
    write_table(agent, "ann,ann@example.com\nbob,bob@exam")
    agent.start()
    ann, = put(agent, recordings, 1, name="ann-{:03d}.wav")
    bob, = put(agent, recordings, 1, first=1, name="bob-{:03d}.wav")
    agent.wait_counts(uploaded=1, held=1)
    assert "event=table" in agent.log()
    write_table(agent, "ann,ann@example.com\nbob,bob@example.com\n")
    agent.wait_counts(uploaded=2)
    assert owners(double) == {"ann@example.com", "bob@example.com"}
    assert_kept(double, agent, [ann, bob])


def test_a_table_is_not_read_while_it_is_being_written(double, with_table, recordings):
    agent = with_table
    agent.start()
    put_paths = put(agent, recordings, 1, name="bob-{:03d}.wav")
    agent.wait_counts(held=1)
    with open(agent.root / "agents.csv", "w") as table:
        table.write("bob,bob@example.co\n")
        table.flush()
        time.sleep(2)
        assert agent.counts() == {"held": 1}
        table.seek(0)
        table.write("bob,bob@example.com\n")
    agent.wait_counts(uploaded=1)
    agent.stop()
    assert owners(double) == {"bob@example.com"}
    assert_stored_once(double, put_paths)
