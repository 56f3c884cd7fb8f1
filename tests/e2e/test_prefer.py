"""One call in several files: the preferred copy is sent, and another one where that cannot be."""

import os

import pytest

from support.promise import assert_kept

NAME = "20261124-090000_6666"


@pytest.fixture
def site(agent):
    agent.configure(watches={"calls": {
        "owner": None, "call_key": "{call}", "prefer": "*-stereo.*", "prefer_wait": "3s",
        "rules": [{"title": "bad", "pattern": "BAD-stereo", "skip": "not this one"},
                  {"title": "call", "pattern": r"(?<call>\d{8}-\d{6}_\d+)(?:-\w+)?\.\w+$", "owner": "team@example.com"}]}})
    return agent


def put(agent, recordings, name, seed):
    return agent.put(recordings.wav(agent.root / f"{seed}.wav", seed), name)


def test_the_preferred_copy_that_comes_second_is_sent(double, site, recordings):
    site.start()
    mono = put(site, recordings, f"{NAME}.wav", 1)
    site.wait_counts(waiting=1)
    assert "preferred copy" in site.find(mono)["reason"]
    leg = put(site, recordings, f"{NAME}-in.wav", 2)
    site.wait_counts(waiting=1, duplicate=1)
    stereo = put(site, recordings, f"{NAME}-stereo.wav", 3)
    site.wait_counts(uploaded=1, duplicate=2)
    assert site.find(mono)["duplicate_of"] == str(stereo)
    assert site.find(leg)["duplicate_of"] == str(stereo)
    assert_kept(double, site, [stereo])


def test_the_preferred_copy_that_comes_first_is_sent_at_once(double, site, recordings):
    site.configure(watches={"calls": {"prefer_wait": "1h"}})
    site.start()
    stereo = put(site, recordings, f"{NAME}-stereo.wav", 3)
    site.wait_counts(uploaded=1)
    mono = put(site, recordings, f"{NAME}.wav", 1)
    site.wait_counts(uploaded=1, duplicate=1)
    assert site.find(mono)["duplicate_of"] == str(stereo)
    assert_kept(double, site, [stereo])


def test_without_a_preferred_copy_another_goes_when_the_wait_is_over(double, site, recordings):
    site.configure(watches={"calls": {"prefer_wait": "700ms"}})
    site.start()
    mono = put(site, recordings, f"{NAME}.wav", 1)
    site.wait_counts(uploaded=1)
    put(site, recordings, f"{NAME}-stereo.wav", 3)
    site.wait_counts(uploaded=1, duplicate=1)
    assert_kept(double, site, [mono])


def test_the_next_is_promoted_when_the_chosen_one_is_refused(double, site, recordings):
    site.configure(watches={"calls": {"prefer_wait": "1h"}})
    stereo = recordings.wav(site.root / "3.wav", 3)
    double.set_script(f"* sha {recordings.sha256(stereo)}: status 422")
    site.start()
    mono = put(site, recordings, f"{NAME}.wav", 1)
    site.wait_counts(waiting=1)
    stereo = site.put(stereo, f"{NAME}-stereo.wav")
    site.wait_counts(failed=1, uploaded=1)
    assert_kept(double, site, [mono])


def test_a_preferred_second_copy_is_promoted_before_older_ones(double, site, recordings):
    first = recordings.wav(site.root / "1.wav", 1)
    double.set_script("* sha " + recordings.sha256(first) + ": delay 4000 status 422")
    site.start()
    chosen = site.put(first, f"{NAME}-stereo.wav")
    site.wait_counts(uploading=1)
    put(site, recordings, f"{NAME}.wav", 2)
    site.wait_counts(duplicate=1)
    other = put(site, recordings, f"{NAME}-b-stereo.wav", 3)
    site.configure(watches={"calls": {"rules": [
        {"title": "call", "pattern": r"(?<call>\d{8}-\d{6}_\d+)(?:-\w+)*\.\w+$", "owner": "team@example.com"}]}})
    site.reload()
    site.wait_counts(failed=1, uploaded=1, duplicate=1, timeout=40)
    assert site.find(other)["state"] == "uploaded" and site.find(chosen)["state"] == "failed"
    assert_kept(double, site, [other])


def test_the_wait_survives_a_kill_and_a_vanished_choice_promotes(double, site, recordings):
    site.configure(watches={"calls": {"prefer_wait": "2s"}})
    (site.root / "token").rename(site.root / "token.away")  # nothing is sent meanwhile
    site.start()
    mono = put(site, recordings, f"{NAME}.wav", 1)
    site.wait_counts(waiting=1)
    site.kill()
    site.start()
    stereo = put(site, recordings, f"{NAME}-stereo.wav", 3)
    site.wait_counts(queued=1, duplicate=1)
    assert site.find(mono)["state"] == "duplicate" and site.find(stereo)["state"] == "queued"
    os.unlink(stereo)
    site.wait_counts(gone=1, duplicate=0)
    (site.root / "token.away").rename(site.root / "token")
    site.wait_counts(gone=1, uploaded=1)
    assert_kept(double, site, [mono])


def test_the_next_is_promoted_when_the_chosen_one_is_skipped(double, site, recordings):
    """At once: what was waited for has come, and is not sent."""
    site.configure(watches={"calls": {"prefer_wait": "1h"}})
    (site.root / "token").rename(site.root / "token.away")  # nothing is sent meanwhile
    site.start()
    mono = put(site, recordings, f"{NAME}.wav", 1)
    site.wait_counts(waiting=1)
    stereo = put(site, recordings, f"{NAME}-stereo.wav", 3)
    site.wait_counts(queued=1, duplicate=1)
    rules = [{"title": "bad", "pattern": "-stereo", "skip": "not this one"},
             {"title": "call", "pattern": r"(?<call>\d{8}-\d{6}_\d+)(?:-\w+)?\.\w+$", "owner": "team@example.com"}]
    site.configure(watches={"calls": {"rules": rules}})
    site.reload()
    (site.root / "token.away").rename(site.root / "token")
    site.wait_counts(skipped=1, uploaded=1)
    assert site.find(stereo)["state"] == "skipped" and "not this one" in site.find(stereo)["reason"]
    assert_kept(double, site, [mono])


def test_explain_says_what_is_preferred(site, recordings):
    mono = put(site, recordings, f"{NAME}.wav", 1)
    assert "waits for the preferred copy" in site.run("explain", mono, check=0).stdout
    assert "preferred copy" in site.run("explain", site.calls / f"{NAME}-stereo.wav", check=0).stdout


# ---- how long a recording is ----

def test_what_is_shorter_than_min_duration_is_skipped_and_an_unknown_length_is_not_too_short(double, agent, recordings):
    agent.configure(watches={"calls": {"min_duration": "2s", "name": "{stem} {duration}"}})
    agent.start()
    short = agent.put(recordings.wav(agent.root / "short.wav", 1, 1.5))
    long = agent.put(recordings.wav(agent.root / "long.wav", 2, 2.6))
    ulaw = agent.put(recordings.make(agent.root / "ulaw.wav", "wav-ulaw", 3, 2.4))
    film = agent.put(recordings.make(agent.root / "film.m4a", "m4a", 4, 1))
    unknown = agent.put(recordings.make(agent.root / "call.mp3", "mp3", 5, 1))
    agent.wait_counts(uploaded=3, skipped=2)
    assert agent.find(short)["reason"] == "1500 ms long: shorter than min_duration (2000 ms)"
    assert "min_duration" in agent.find(film)["reason"]
    assert "shorter than min_duration" in agent.run("explain", short, check=0).stdout
    names = {line["filename"]: line["fields"]["name"] for line in double.stored()}
    assert names == {"long.wav": "long 3", "ulaw.wav": "ulaw 2", "call.mp3": "call "}
    agent.configure(watches={"calls": {"min_duration": "900ms"}})
    agent.reload()
    agent.wait_counts(uploaded=5, skipped=0)
    assert_kept(double, agent, [long, ulaw, unknown, short, film])
