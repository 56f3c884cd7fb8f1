"""What Chorus does not document may be one way or another: the promise holds either way.

One test for each switch of the double that says `unknown:` and matters to uploads. Those that only
matter to reads and deletions (--delete-after, --delete-unknown, --deletion-frees, --date-time,
--private, --list-lag, --read-lag, --processed-*, --repeat-rows, --loop-key) belong to the tests of
those.
"""

import time

import pytest

from support.promise import assert_kept, assert_posts_agree, assert_stored_once
from support.waiting import wait_until


def put(agent, recordings, count=1, first=0):
    made = recordings.many(agent.root / "made", count, first=first)
    return [agent.put(path) for path in made]


@pytest.fixture
def site(double_factory, agent_factory):
    """site(*switches, script="", **configuration) -> a double with these switches, its agent."""
    def make(*switches, script="", **configuration):
        double = double_factory(*switches, script=script)
        return double, agent_factory(double, **configuration)
    return make


# ---- the answer to an upload ----

@pytest.mark.parametrize("field", ["engagement_id", "id", "data.id", "callid"])
def test_id_field_the_new_id_is_found_wherever_it_stands(site, recordings, field):
    double, agent = site("--id-field", field)
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(uploaded=1)
    assert agent.find(path)["engagement_id"] == double.stored()[0]["engagement_id"]
    assert_kept(double, agent, [path])


def test_id_field_none_is_an_upload_without_an_id(site, recordings):
    double, agent = site("--id-field", "none")
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(uploaded=1)
    assert "engagement_id" not in agent.find(path)
    assert_kept(double, agent, [path])


def test_id_fields_says_where_the_id_is_looked_for(site, recordings):
    double, agent = site("--id-field", "data.id", chorus={"id_fields": ["number", "data.id"]})
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(uploaded=1)
    assert agent.find(path)["engagement_id"] == double.stored()[0]["engagement_id"]
    assert_kept(double, agent, [path])


def test_id_fields_looks_nowhere_else(site, recordings):
    double, agent = site("--id-field", "callid", chorus={"id_fields": ["engagement_id"]})
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(uploaded=1)
    assert "engagement_id" not in agent.find(path)
    assert_kept(double, agent, [path])


@pytest.mark.parametrize("answer", ["object", "success", "empty"])
def test_answer_that_accepts_is_uploaded_at_once(site, recordings, answer):
    double, agent = site("--answer", answer)
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(uploaded=1)
    assert agent.find(path)["attempts"] == 1
    assert_kept(double, agent, [path])


def test_answer_refused_is_failed_and_not_sent_again_by_itself(site, recordings):
    double, agent = site("--answer", "refused")
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(failed=1)
    assert "could not be imported" in agent.find(path)["reason"]
    assert_kept(double, agent, [])


# ---- a meeting_id that is known already ----

@pytest.mark.parametrize("shape", ["409", "409-html", "409-empty"])
def test_conflict_by_409_proves_that_the_lost_one_arrived(site, recordings, shape):
    double, agent = site("--conflict", shape, script="1: store reset")
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(uploaded=1)
    assert "an earlier attempt had arrived" in agent.find(path)["reason"]
    assert_kept(double, agent, [path])


@pytest.mark.parametrize("shape", ["400", "422", "200-false"])
def test_conflict_in_another_shape_is_failed_with_the_words_and_never_doubled(
        site, recordings, shape):
    """It cannot be told from a refusal; what matters is that no second copy is made."""
    double, agent = site("--conflict", shape, script="1: store reset")
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(failed=1)
    assert "already exists" in agent.find(path)["reason"]
    assert_kept(double, agent, [path])


@pytest.mark.parametrize("shape", ["409", "409-html", "409-empty"])
def test_conflict_at_the_first_attempt_is_a_duplicate(site, recordings, shape):
    """Another agent, or an earlier life whose ledger was lost, has uploaded the same content."""
    double, agent = site("--conflict", shape)
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(uploaded=1)
    agent.stop()
    for file in agent.state_dir.glob("ledger.db*"):
        file.unlink()
    agent.start()
    agent.wait_counts(duplicate=1, uploaded=0)
    assert "already" in agent.find(path)["reason"]
    agent.stop()
    assert_stored_once(double, [path])


# ---- refusals ----

@pytest.mark.parametrize("status", [400, 404, 415, 422])
def test_bad_form_fails_that_recording_only(site, recordings, status):
    double, agent = site("--bad-form", status, "--meeting-ids", "calendar", "--calendar", "plain",
                         watches={"calls": {"owner": None, "rules": [
                             {"title": "odd", "pattern": "^odd", "owner": "team@example.com"},
                             {"title": "rest", "owner": "team@example.com",
                              "meeting_id": "plain"}]}})
    agent.start()
    odd = agent.put(recordings.wav(agent.root / "odd.wav", 1))
    path, = put(agent, recordings)
    agent.wait_counts(failed=1, uploaded=1)
    assert f"({status})" in agent.find(odd)["reason"]
    assert "no such meeting" in agent.find(odd)["reason"]
    assert_kept(double, agent, [path])


@pytest.mark.parametrize("when", ["late", "early", "abrupt"])
def test_refuse_a_token_refused_at_any_point_loses_nothing(site, recordings, when):
    double, agent = site("--refuse", when)
    double.set_token("the-next-token")
    agent.start()
    path = agent.put(recordings.sized(agent.root / "long.wav", 3_000_000, 1))
    wait_until(lambda: agent.status()["paused_because"], "paused", describe=agent.describe)
    agent.set_token("the-next-token")
    agent.wait_counts(uploaded=1, timeout=60)
    assert_kept(double, agent, [path])


@pytest.mark.parametrize("when", ["late", "early"])
def test_refuse_429_at_any_point_loses_nothing(site, recordings, when):
    double, agent = site("--refuse", when, script="1-3: status 429 retry-after 1")
    agent.start()
    path = agent.put(recordings.sized(agent.root / "long.wav", 3_000_000, 1))
    agent.wait_counts(uploaded=1)
    assert_kept(double, agent, [path])


def test_refuse_abruptly_may_lose_the_answer_and_still_doubles_nothing(site, recordings):
    double, agent = site("--refuse", "abrupt", script="1-3: status 429 retry-after 1")
    agent.start()
    paths = [agent.put(recordings.sized(agent.root / f"long-{n}.wav", 20_000_000, n))
             for n in range(3)]
    agent.wait_counts(uploaded=3, timeout=60)
    assert_kept(double, agent, paths)


@pytest.mark.parametrize("when", ["late", "early"])
def test_max_size_fails_what_is_larger_and_takes_the_rest(site, recordings, when):
    double, agent = site("--max-size", 100_000, "--refuse", when)
    agent.start()
    large = agent.put(recordings.sized(agent.root / "large.wav", 3_000_000, 1))
    path, = put(agent, recordings)
    agent.wait_counts(failed=1, uploaded=1)
    assert "413" in agent.find(large)["reason"] and "too large" in agent.find(large)["reason"]
    assert_kept(double, agent, [path])


def test_refuse_extension_fails_what_has_it_and_takes_the_rest(site, recordings):
    double, agent = site("--refuse-extension", "m4a", "--refuse-extension", "opus")
    agent.start()
    refused = [agent.put(recordings.make(agent.root / f"made/r{n}.{kind}", kind, n))
               for n, kind in enumerate(["m4a", "opus"])]
    taken = [agent.put(recordings.make(agent.root / f"made/t{n}.{kind}", kind, n))
             for n, kind in enumerate(["wav", "mp3"])]
    agent.wait_counts(failed=2, uploaded=2)
    assert all("extension" in agent.find(path)["reason"] for path in refused)
    assert_kept(double, agent, taken)


@pytest.mark.parametrize("status", [400, 404, 422])
def test_unknown_user_fails_his_recordings_only(site, recordings, status):
    double, agent = site("--user", "team@example.com", "--unknown-user", status,
                         watches={"calls": {"owner": None, "rules": [
                             {"title": "eve", "pattern": "^eve", "owner": "eve@example.com"},
                             {"title": "team", "owner": "team@example.com"}]}})
    agent.start()
    eve = agent.put(recordings.wav(agent.root / "eve.wav", 1))
    path, = put(agent, recordings)
    agent.wait_counts(failed=1, uploaded=1)
    assert "no such user" in agent.find(eve)["reason"]
    assert_kept(double, agent, [path])


def test_unknown_user_by_403_is_held_for_a_person(site, recordings):
    double, agent = site("--user", "ann@example.com", "--unknown-user", 403)
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(held=1)
    assert "owner" in agent.find(path)["reason"]
    assert_kept(double, agent, [])


@pytest.mark.parametrize("shape", ["users", "list", "jsonapi"])
def test_users_shape_check_finds_owners_in_any_shape(site, shape):
    double, agent = site("--user", "team@example.com", "--users-shape", shape)
    agent.run("check", "--online", check=0)
    agent.configure(watches={"calls": {"owner": "eve@example.com"}})
    done = agent.run("check", "--online", check=78)
    assert "eve@example.com" in done.stdout


# ---- what a meeting_id may be ----

def test_meeting_ids_calendar_refuses_derived_keys_and_no_copy_is_made(site, recordings):
    """Where only the calendar's ids are taken, `meeting_id: ""` is the way out."""
    double, agent = site("--meeting-ids", "calendar")
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(failed=1)
    assert "no such meeting" in agent.find(path)["reason"]
    agent.configure(watches={"calls": {"meeting_id": ""}})
    agent.reload()
    wait_until(lambda: agent.log().count("event=reload") == 1, "the configuration is read again")
    agent.run("retry", "--failed", check=0)
    agent.wait_counts(uploaded=1)
    assert "meeting_id" not in double.stored()[0]["fields"]
    assert_kept(double, agent, [path])


def test_calendar_known_a_scheduled_meeting_that_counts_as_known_is_held(site, recordings):
    double, agent = site("--meeting-ids", "calendar", "--calendar", "call-00000",
                         "--calendar-known", watches={"calls": {"meeting_id": "{stem}"}})
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(held=1)
    assert "409" in agent.find(path)["reason"]
    assert_kept(double, agent, [])


def test_check_then_store_is_not_raced_by_our_own_resend(site, recordings):
    """A server that checks, then stores later: the resend waits for longer than that."""
    double, agent = site("--check-then-store", 800,
                         upload={"stall_timeout": "300ms", "resend_after": "1500ms"})
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(uploaded=1, timeout=60)
    assert len(double.posts()) >= 2
    assert "an earlier attempt had arrived" in agent.find(path)["reason"]
    assert_kept(double, agent, [path])


def test_check_then_store_is_not_raced_after_a_crash(site, recordings):
    double, agent = site("--check-then-store", 800,
                         upload={"stall_timeout": "10s", "resend_after": "1500ms"})
    agent.start()
    path, = put(agent, recordings)
    wait_until(lambda: agent.counts().get("uploading"), "it is being sent")
    time.sleep(0.2)
    agent.kill()
    agent.start()
    agent.wait_counts(uploaded=1, timeout=60)
    agent.stop()
    assert_posts_agree(double, agent)
    assert_stored_once(double, [path])
