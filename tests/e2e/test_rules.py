"""Rules decide owner, name and key; what they cannot decide is held, and never guessed."""

import pytest

from support.promise import assert_kept, assert_posts_agree, assert_stored_once
from support.waiting import wait_until

VICIDIAL = r"""
state_dir: $ROOT/state
control_dir: $ROOT/control
log_level: debug
chorus:
  url: $URL
  token_file: $TOKEN_FILE
upload:
  retry_first: 50ms
  retry_max: 1s
  resend_after: 1s
tables:
  agents: $ROOT/agents.csv
watches:
  inbound:
    path: $ROOT/calls
    exclude: ["*-in.*", "*-out.*"]
    since: all
    settle: 200ms
    rescan: 1s
    call_key: "{stamp}_{phone}_{agent}"
    name: "{stem}"
    rules:
      - title: tests
        pattern: TESTCAMP
        skip: test campaign
      - title: by-agent
        pattern: '(?:^|/)(?<stamp>\d{8}-\d{6})_(?<phone>\d+)_(?<agent>[^_]+?)(?:-all)?\.\w+$'
        owner: "{agent|agents}"
        name: "{agent} {phone|last4} {stamp}"
        meeting_id: "sha256-{sha256}"
      - title: rest
        owner: team@example.com
"""


def write_table(agent, text):
    """Replaces the table as an administrator would: whole at once."""
    fresh = agent.root / ".agents.new"
    fresh.write_text(text)
    fresh.rename(agent.root / "agents.csv")


@pytest.fixture
def dialer(double, agent_factory):
    """An agent configured as beside a VICIdial server."""
    agent = agent_factory(double)
    write_table(agent, "6666,ann@example.com\nJOHN,john@example.com\n")
    agent.write_config(VICIDIAL)
    return agent


def drop(agent, recordings, name, seed):
    return agent.put(recordings.wav(agent.root / "made" / str(seed) / "one.wav", seed, 0.2), name)


def fields_of(double, path, recordings):
    """What was sent with this recording."""
    checksum = recordings.sha256(path)
    sent, = [line for line in double.stored() if line["sha256"] == checksum]
    return sent


# ---- a dialer's folder ----

def test_a_dialers_names_become_owner_name_and_key(double, dialer, recordings):
    dialer.start()
    ann = drop(dialer, recordings, "20261123-140501_5551230101_6666-all.wav", 1)
    john = drop(dialer, recordings, "2026/11/20261123-140502_5551230102_john.wav", 2)
    dialer.wait_counts(uploaded=2)
    sent = fields_of(double, ann, recordings)
    assert sent["filename"] == ann.name
    assert sent["fields"] == {
        "name": "6666 0101 20261123-140501", "user": "ann@example.com",
        "meeting_id": "sha256-" + recordings.sha256(ann), "enforce_unique_meeting_id": "true"}
    assert fields_of(double, john, recordings)["fields"]["user"] == "john@example.com"
    assert dialer.find(ann)["fields"] == {"stamp": "20261123-140501", "phone": "5551230101",
                                          "agent": "6666"}
    assert dialer.find(ann)["rule"] == "by-agent"
    assert_kept(double, dialer, [ann, john])


def test_a_skip_rule_skips_with_its_reason_and_exclude_passes_over(double, dialer, recordings):
    dialer.start()
    test = drop(dialer, recordings, "20261123-140501_5551230101_TESTCAMP.wav", 1)
    half = drop(dialer, recordings, "20261123-140503_5551230101_6666-in.wav", 2)
    taken = drop(dialer, recordings, "20261123-140504_5551230101_6666-all.wav", 3)
    dialer.wait_counts(skipped=1, uploaded=1)
    assert dialer.find(test)["reason"] == "test campaign"
    assert [row for row in dialer.list() if row["path"] == str(half)] == []
    assert_kept(double, dialer, [taken])


def test_a_last_rule_without_pattern_takes_the_rest(double, dialer, recordings):
    dialer.start()
    odd = drop(dialer, recordings, "voicemail.wav", 1)
    dialer.wait_counts(uploaded=1)
    assert fields_of(double, odd, recordings)["fields"]["user"] == "team@example.com"
    assert fields_of(double, odd, recordings)["fields"]["name"] == "voicemail"
    assert_kept(double, dialer, [odd])


def test_two_recordings_of_one_call_are_uploaded_once(double, dialer, recordings):
    """The dialer wrote a WAV and later an MP3 of it: other content, the same call."""
    dialer.start()
    wav = drop(dialer, recordings, "20261123-140501_5551230101_6666-all.wav", 1)
    dialer.wait_counts(uploaded=1)
    made = recordings.make(dialer.root / "made/one.mp3", "mp3", 1)
    mp3 = dialer.put(made, "20261123-140501_5551230101_6666-all.mp3")
    dialer.wait_counts(uploaded=1, duplicate=1)
    assert dialer.find(mp3)["duplicate_of"] == str(wav)
    assert dialer.find(mp3)["call_key"] == dialer.find(wav)["call_key"]
    assert_kept(double, dialer, [wav])


def test_an_empty_field_makes_no_call_key(double, dialer, recordings):
    dialer.start()
    paths = [drop(dialer, recordings, f"voicemail-{n}.wav", n) for n in range(2)]
    dialer.wait_counts(uploaded=2)
    assert "call_key" not in dialer.find(paths[0])
    assert_kept(double, dialer, paths)


def test_the_twin_of_a_refused_recording_goes_instead(double, dialer, recordings):
    double.set_script(f"* sha {'?' * 64}: status 422\n")
    dialer.start()
    wav = drop(dialer, recordings, "20261123-140501_5551230101_6666-all.wav", 1)
    dialer.wait_counts(failed=1)
    double.set_script("")
    made = recordings.make(dialer.root / "made/one.mp3", "mp3", 1)
    mp3 = dialer.put(made, "20261123-140501_5551230101_6666-all.mp3")
    dialer.wait_counts(uploaded=1)
    assert dialer.find(mp3)["state"] == "uploaded"
    assert dialer.find(wav)["state"] == "failed"
    assert_kept(double, dialer, [mp3])


# ---- held ----

def test_an_agent_that_no_table_knows_is_held_with_words(double, dialer, recordings):
    dialer.start()
    lost = drop(dialer, recordings, "20261123-140501_5551230101_7777-all.wav", 1)
    wait_until(lambda: dialer.counts().get("held") == 1 and
               "not read yet" not in dialer.find(lost)["reason"], "it is held by the table")
    for word in ("7777", "agents", "by-agent", "owner"):
        assert word in dialer.find(lost)["reason"]
    assert_kept(double, dialer, [])


def test_an_owner_that_is_no_address_is_held_with_words(double, dialer, recordings):
    write_table(dialer, "6666,ann\n")
    dialer.start()
    lost = drop(dialer, recordings, "20261123-140501_5551230101_6666-all.wav", 1)
    wait_until(lambda: dialer.counts().get("held") == 1 and
               '"ann" is no e-mail address' in dialer.find(lost)["reason"], "it is held for that")
    assert_kept(double, dialer, [])


def test_what_no_rule_matches_is_held_with_words(double, agent, recordings):
    agent.configure(watches={"calls": {"owner": None, "rules": [
        {"title": "digits", "pattern": r"^\d+\.", "owner": "team@example.com"}]}})
    agent.start()
    odd = agent.put(recordings.wav(agent.root / "odd.wav", 1))
    agent.wait_counts(held=1)
    assert agent.find(odd)["reason"] == "no rule matches odd.wav"
    assert_kept(double, agent, [])


def test_a_pattern_that_costs_too_much_holds_and_stalls_nothing(double, agent, recordings):
    agent.configure(watches={"calls": {"owner": None, "rules": [
        {"title": "greedy", "pattern": r"^(a+)+$", "owner": "team@example.com"},
        {"title": "rest", "owner": "team@example.com"}]}})
    agent.start()
    costly = agent.put(recordings.wav(agent.root / "made.wav", 1), "a" * 60 + "!.wav")
    plain = agent.put(recordings.wav(agent.root / "plain.wav", 2))
    agent.wait_counts(uploaded=1, held=1)
    assert "too costly" in agent.find(costly)["reason"]
    assert_kept(double, agent, [plain])


# ---- kinds of keys ----

def test_a_scheduled_meeting_is_uploaded_under_its_id(double, agent, recordings):
    agent.configure(watches={"calls": {"meeting_id": "{stem}"}})
    agent.start()
    path = agent.put(recordings.wav(agent.root / "meeting-17.wav", 1))
    agent.wait_counts(uploaded=1)
    assert double.stored()[0]["fields"]["meeting_id"] == "meeting-17"
    assert_kept(double, agent, [path])


def test_a_409_for_a_scheduled_meeting_is_held_for_it_proves_nothing(
        double, agent, recordings):
    agent.configure(watches={"calls": {"meeting_id": "meeting-17"}})
    agent.start()
    first = agent.put(recordings.wav(agent.root / "first.wav", 1))
    agent.wait_counts(uploaded=1)
    other = agent.put(recordings.wav(agent.root / "other.wav", 2))
    agent.wait_counts(held=1)
    assert "409" in agent.find(other)["reason"]
    assert_kept(double, agent, [first])


def test_a_lost_answer_for_a_scheduled_meeting_is_settled_by_a_look(double, agent, recordings):
    agent.configure(watches={"calls": {"meeting_id": "{stem}"}})
    double.set_script("1: store reset")
    agent.start()
    path = agent.put(recordings.wav(agent.root / "meeting-17.wav", 1))
    agent.wait_counts(uploaded=1)
    assert agent.find(path)["engagement_id"] == double.stored()[0]["engagement_id"]
    assert_kept(double, agent, [path])


def test_a_lost_answer_for_a_scheduled_meeting_that_nobody_can_see_is_held(
        double_factory, agent_factory, recordings):
    """Private recordings are never returned: the 409 that follows proves nothing by itself."""
    double = double_factory("--private", "all", script="1: store reset")
    agent = agent_factory(double, watches={"calls": {"meeting_id": "{stem}"}})
    agent.start()
    path = agent.put(recordings.wav(agent.root / "meeting-17.wav", 1))
    agent.wait_counts(held=1, timeout=60)
    assert "409" in agent.find(path)["reason"]
    assert_kept(double, agent, [path])


def test_an_empty_field_in_a_meeting_id_holds(double, agent, recordings):
    agent.configure(watches={"calls": {"owner": None, "rules": [
        {"title": "meetings", "pattern": r"^call(?<number>\d*)\.", "owner": "team@example.com",
         "meeting_id": "meeting-{number}"}]}})
    agent.start()
    without = agent.put(recordings.wav(agent.root / "call.wav", 1))
    with_it = agent.put(recordings.wav(agent.root / "call7.wav", 2))
    agent.wait_counts(held=1, uploaded=1)
    assert "{number} is empty" in agent.find(without)["reason"]
    assert_kept(double, agent, [with_it])


@pytest.mark.parametrize("fault", ["reset", "status 502", "hang"])
@pytest.mark.parametrize("takes_effect", ["", "store "])
def test_without_a_key_a_lost_answer_is_held_and_never_sent_again_blindly(
        double, agent, recordings, fault, takes_effect):
    agent.configure(watches={"calls": {"meeting_id": ""}},
                    upload={"stall_timeout": "500ms", "resend_after": "500ms"})
    double.set_script(f"1: {takes_effect}{fault}")
    agent.start()
    path = agent.put(recordings.wav(agent.root / "call.wav", 1))
    agent.wait_counts(held=1)
    assert "meeting_id" in agent.find(path)["reason"]
    agent.restart()
    other = agent.put(recordings.wav(agent.root / "other.wav", 2))
    agent.wait_counts(held=1, uploaded=1)
    assert len(double.posts()) == 2
    assert "meeting_id" not in double.posts()[-1]["fields"]
    assert_kept(double, agent, [path, other] if takes_effect else [other])


def test_without_a_key_a_crash_amid_the_upload_is_held(double, agent, recordings):
    agent.configure(watches={"calls": {"meeting_id": ""}})
    double.set_script("1: store delay 3000")
    agent.start()
    path = agent.put(recordings.wav(agent.root / "call.wav", 1))
    wait_until(lambda: double.stored(), "it is stored")
    agent.kill()
    agent.start()
    agent.wait_counts(held=1)
    agent.stop()
    assert_posts_agree(double, agent)
    assert_stored_once(double, [path])


def test_without_a_key_a_refusal_that_proves_nothing_left_is_tried_again(
        double, agent, recordings):
    agent.configure(watches={"calls": {"meeting_id": ""}})
    double.set_script("1: status 429\n2: status 418")
    agent.start()
    path = agent.put(recordings.wav(agent.root / "call.wav", 1))
    agent.wait_counts(uploaded=1)
    assert_kept(double, agent, [path])
