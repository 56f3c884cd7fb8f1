"""Uncertain recordings with a scheduled meeting_id: only a positive read moves them, and never a wrong one."""

from support.waiting import wait_until

SCHEDULED = {"calls": {"meeting_id": "meeting-{stem}"}}


def put(agent, recordings, name, seed):
    return agent.put(recordings.wav(agent.root / "made" / f"{seed}.wav", seed), name)


def test_a_lost_answer_is_looked_up_and_not_sent_again(double, agent_factory, recordings):
    double.set_script("1: store reset")
    agent = agent_factory(double, watches=SCHEDULED)
    agent.start()
    put(agent, recordings, "a.wav", 1)
    agent.wait_counts(uploaded=1)
    assert len(double.posts()) == 1
    assert agent.list()[0]["engagement_id"] == double.stored()[0]["engagement_id"]


def test_what_did_not_arrive_is_sent_again_under_the_same_key(double, agent_factory, recordings):
    double.set_script("1: reset after-body")
    agent = agent_factory(double, watches=SCHEDULED)
    agent.start()
    put(agent, recordings, "a.wav", 1)
    agent.wait_counts(uploaded=1)
    assert len(double.stored()) == 1
    assert {post["fields"]["meeting_id"] for post in double.posts()} == {"meeting-a"}


def test_a_private_recording_is_held_after_the_409(double_factory, agent_factory, recordings):
    """It is there, but never returned: nothing proves that it is ours."""
    double = double_factory("--private", "all", script="1: store reset")
    agent = agent_factory(double, watches=SCHEDULED)
    agent.start()
    put(agent, recordings, "a.wav", 1)
    agent.wait_counts(held=1, timeout=60)
    assert len(double.stored()) == 1


def test_another_call_of_the_same_name_and_meeting_is_not_mistaken_for_it(
        double, agent_factory, recordings):
    """Two calls share owner, name and meeting_id: the engagement of the first proves nothing for the second."""
    agent = agent_factory(double, watches=SCHEDULED)
    agent.start()
    put(agent, recordings, "x/a.wav", 1)
    agent.wait_counts(uploaded=1)
    put(agent, recordings, "y/a.wav", 2)
    agent.wait_counts(uploaded=1, held=1, timeout=60)
    assert len(double.stored()) == 1
    held = [row for row in agent.list() if row["state"] == "held"][0]
    assert held["path"].endswith("y/a.wav") and "409" in held["reason"]


def test_a_list_that_goes_round_ends_the_look_up(double_factory, agent_factory, recordings):
    double = double_factory("--loop-key", "--repeat-rows", script="1: reset after-body")
    agent = agent_factory(double, watches=SCHEDULED)
    agent.start()
    put(agent, recordings, "a.wav", 1)
    agent.wait_counts(uploaded=1, timeout=60)
    assert len(double.stored()) == 1


def test_an_unreadable_list_is_asked_again_and_nothing_is_sent_blindly(
        double, agent_factory, recordings):
    double.set_script("POST /v3/upload 1: store reset\nGET /v3/engagements 1-2: status 500\n")
    agent = agent_factory(double, watches=SCHEDULED)
    agent.start()
    put(agent, recordings, "a.wav", 1)
    agent.wait_counts(uploaded=1, timeout=60)
    assert len(double.posts()) == 1


def test_what_was_accepted_is_read_back(double_factory, agent_factory, recordings):
    """processed_at tells when Chorus showed it as done; a minute passes before the first question."""
    double = double_factory("--processed-after", "0")
    agent = agent_factory(double)
    agent.start()
    put(agent, recordings, "a.wav", 1)
    wait_until(lambda: agent.list() and "processed_at" in agent.list()[0], "processed_at is known", 120,
               interval=1, describe=agent.describe)


def test_a_list_that_lags_makes_a_resend_and_the_409_is_looked_up_again(
        double_factory, agent_factory, recordings):
    """Absence proves nothing: the copy is not listed yet, Chorus refuses the second, and shows the first by then."""
    double = double_factory("--list-lag", "3000", script="1: store reset")
    agent = agent_factory(double, watches=SCHEDULED)
    agent.start()
    put(agent, recordings, "a.wav", 1)
    agent.wait_counts(uploaded=1, timeout=60)
    assert len(double.stored()) == 1
    assert agent.list()[0]["engagement_id"] == double.stored()[0]["engagement_id"]


def test_a_row_without_a_time_is_in_no_window_and_proves_nothing(
        double_factory, agent_factory, recordings):
    """Where Chorus gives an upload no date, a look-up by time does not find it: held, never doubled."""
    double = double_factory("--date-time", "unknown", script="1: store reset")
    agent = agent_factory(double, watches=SCHEDULED)
    agent.start()
    put(agent, recordings, "a.wav", 1)
    agent.wait_counts(held=1, timeout=60)
    assert len(double.stored()) == 1
