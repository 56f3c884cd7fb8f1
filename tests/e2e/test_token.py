"""The token: what is wrong with it is told, nothing is lost meanwhile, and nobody else sees it."""

from pathlib import Path

import pytest

from support.chorus import TOKEN
from support.promise import assert_kept, assert_posts_agree, assert_stored_once, posts_known
from support.waiting import wait_until

WRONG = "a-token-that-is-not-valid"


def put(agent, recordings, count=1, first=0):
    made = recordings.many(agent.root / "made", count, first=first)
    return [agent.put(path) for path in made]


def wait_paused(agent, words):
    """The agent is paused, and status says why."""
    wait_until(lambda: words in agent.status()["paused_because"], f"paused because {words}",
               describe=agent.describe)


def assert_one_attempt_each(agent):
    assert {row["attempts"] for row in agent.list()} == {1}


# ---- a token that is not right, and becomes right ----

def test_a_wrong_token_pauses_until_the_file_changes(double, agent_factory, recordings):
    agent = agent_factory(double, WRONG)
    agent.start()
    paths = put(agent, recordings, 10)
    wait_paused(agent, "Chorus refused the token")
    agent.wait_counts(queued=10)
    assert "event=paused" in agent.log() and str(agent.token_file) in agent.log()
    assert agent.run("status", "--check").returncode == 2
    agent.set_token(TOKEN)
    agent.wait_counts(uploaded=10)
    wait_until(lambda: agent.status()["paused_because"] == "", "status says no pause any more")
    assert agent.log().count("event=paused") == 1 and agent.log().count("event=resumed") == 1
    assert_one_attempt_each(agent)
    assert_kept(double, agent, paths)


def test_a_refused_token_is_no_storm(double, agent_factory, recordings):
    """A thousand that wait ask one question now and then, not a thousand."""
    agent = agent_factory(double, WRONG)
    put(agent, recordings, 50)
    agent.start()
    wait_paused(agent, "Chorus refused the token")
    wait_until(lambda: len(double.requests()) > len(double.posts()) + 1, "it asked twice", 30)
    assert len(double.posts()) <= 8
    agent.stop()
    assert_posts_agree(double, agent)


def test_a_token_that_is_taken_away_amid_the_work_pauses_and_goes_on(
        double, agent, recordings):
    double.set_script("*: delay 100")
    paths = put(agent, recordings, 60)
    agent.start()
    wait_until(lambda: len(double.stored()) >= 5, "some are stored")
    double.set_token("the-next-token")
    wait_paused(agent, "Chorus refused the token")
    agent.set_token("the-next-token")
    agent.wait_counts(uploaded=60, timeout=60)
    assert_one_attempt_each(agent)
    assert_kept(double, agent, paths)


def test_a_token_that_chorus_takes_again_is_found_out_without_a_change(
        double, agent, recordings):
    double.set_token("")
    agent.start()
    paths = put(agent, recordings)
    wait_paused(agent, "Chorus refused the token")
    double.set_token(TOKEN)
    agent.wait_counts(uploaded=1, timeout=60)
    assert_kept(double, agent, paths)


def test_a_missing_token_file_is_told_and_waited_for(double, agent, recordings):
    agent.token_file.unlink()
    agent.start()
    paths = put(agent, recordings, 3)
    agent.wait_counts(queued=3)
    wait_paused(agent, "there is no token")
    assert str(agent.token_file) in agent.status()["paused_because"]
    assert double.posts() == []
    agent.set_token(TOKEN)
    agent.wait_counts(uploaded=3)
    assert_one_attempt_each(agent)
    assert_kept(double, agent, paths)


@pytest.mark.parametrize("text", ["", "\n", "two\nlines\n", "tab\tinside\n", "ümlaut\n"])
def test_a_token_file_without_a_token_is_told_and_waited_for(double, agent, recordings, text):
    agent.token_file.write_text(text)
    agent.start()
    paths = put(agent, recordings)
    wait_paused(agent, str(agent.token_file))
    agent.set_token(TOKEN)
    agent.wait_counts(uploaded=1)
    assert_kept(double, agent, paths)


def test_a_token_that_everybody_may_read_is_refused(double, agent, recordings):
    agent.start()
    agent.token_file.chmod(0o644)
    wait_until(lambda: "event=paused" in agent.log(), "it is paused")
    assert "can be read by everybody" in agent.log()
    paths = put(agent, recordings)
    wait_until(lambda: "event=taken" in agent.log(), "the recording is taken in")
    assert double.posts() == []
    agent.token_file.chmod(0o640)
    agent.wait_counts(uploaded=1)
    assert_kept(double, agent, paths)


def test_the_service_does_not_start_with_a_token_that_everybody_may_read(double, agent):
    agent.token_file.chmod(0o644)
    done = agent.run("run", check=78)
    assert f"everybody may read {agent.token_file}" in done.stderr
    assert double.requests() == []


@pytest.mark.parametrize("text", [f"Bearer {TOKEN}", f"bearer  {TOKEN}", f"  {TOKEN} \r\n\n"])
def test_what_was_pasted_around_a_token_is_no_part_of_it(double, agent, recordings, text):
    agent.set_token(text)
    agent.start()
    paths = put(agent, recordings)
    agent.wait_counts(uploaded=1)
    assert_kept(double, agent, paths)


def test_auth_bearer_sends_the_scheme(double_factory, agent_factory, recordings):
    double = double_factory("--auth", "bearer")
    agent = agent_factory(double, chorus={"auth": "bearer"})
    agent.start()
    paths = put(agent, recordings)
    agent.wait_counts(uploaded=1)
    assert_kept(double, agent, paths)


def test_the_wrong_scheme_is_a_refused_token_and_a_reload_mends_it(
        double_factory, agent_factory, recordings):
    double = double_factory("--auth", "bearer")
    agent = agent_factory(double)
    agent.start()
    paths = put(agent, recordings)
    wait_paused(agent, "Chorus refused the token")
    agent.configure(chorus={"auth": "bearer"})
    agent.reload()
    agent.wait_counts(uploaded=1, timeout=60)
    agent.stop()
    assert len(double.posts()) == posts_known(agent)
    assert {offence for _, offence in double.offences()} == {"token without a scheme"}
    assert_stored_once(double, paths)


# ---- where the token comes from ----

def test_the_credential_goes_before_the_file_and_the_file_before_the_variable(
        double, agent, recordings):
    credentials = agent.root / "credentials"
    credentials.mkdir()
    (credentials / "token").write_text(TOKEN)
    (credentials / "token").chmod(0o400)
    agent.set_token(WRONG)
    agent.start(env={"CREDENTIALS_DIRECTORY": str(credentials), "CHORUS_API_TOKEN": WRONG})
    paths = put(agent, recordings)
    agent.wait_counts(uploaded=1)
    agent.stop()
    agent.set_token(TOKEN)
    agent.start(env={"CHORUS_API_TOKEN": WRONG})
    paths += put(agent, recordings, first=1)
    agent.wait_counts(uploaded=2)
    agent.stop()
    agent.token_file.unlink()
    agent.start(env={"CHORUS_API_TOKEN": TOKEN})
    paths += put(agent, recordings, first=2)
    agent.wait_counts(uploaded=3)
    assert_kept(double, agent, paths)


# ---- 403 ----

def two_owners(agent):
    agent.configure(watches={"calls": {"owner": None, "rules": [
        {"title": "ann", "pattern": "^ann-", "owner": "ann@example.com"},
        {"title": "bob", "owner": "bob@example.com"}]}})


def test_a_403_for_one_owner_holds_that_recording_and_the_rest_goes_on(
        double, agent, recordings):
    two_owners(agent)
    double.set_script("* user ann*: status 403")
    agent.start()
    ann = agent.put(recordings.wav(agent.root / "ann-1.wav", 1))
    paths = put(agent, recordings, 5)
    agent.wait_counts(held=1, uploaded=5)
    row = agent.find(ann)
    assert "403" in row["reason"] and "owner" in row["reason"]
    wait_until(lambda: agent.status()["paused_because"] == "", "it is not paused")
    double.set_script("")
    agent.run("retry", "--held", check=0)
    agent.wait_counts(uploaded=6)
    assert_kept(double, agent, [ann, *paths])


def test_a_403_for_everything_is_a_pause_and_not_a_verdict_on_recordings(
        double, agent, recordings):
    two_owners(agent)
    double.set_script("*: status 403\nGET /api/v1/users/me: status 403")
    agent.start()
    paths = put(agent, recordings, 5)
    wait_paused(agent, "Chorus refused the token")
    agent.wait_counts(queued=5, held=0)
    double.set_script("")
    agent.wait_counts(uploaded=5, timeout=60)
    assert_kept(double, agent, paths)


# ---- who sees it ----

def texts_of(agent):
    """Everything that the agent leaves for others to read."""
    for arguments in (["status"], ["status", "--json"], ["list"], ["list", "--json"],
                      ["explain", agent.calls / "call-00000.wav"], ["check"], ["check", "--online"],
                      ["status", "--check"]):
        done = agent.run(*arguments)
        yield " ".join(map(str, arguments)), (done.stdout + done.stderr).encode()
    yield "the log", agent.log().encode()
    for path in agent.state_dir.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes()


def test_the_token_is_seen_nowhere(double, agent, recordings):
    """Not even when Chorus itself repeats it in its words, at log level debug."""
    secret = "s3cr3t-0f-the-customer"
    agent.set_token(secret)
    double.set_token(secret)
    double.set_script(f"1: status 422 body '{{\"message\": \"token {secret} may not\"}}'\n"
                      f"2: status 500 body '{{\"message\": \"token {secret} may not\"}}'\n"
                      f"3: status 401 body '{{\"message\": \"token {secret} is bad\"}}'")
    agent.start()
    process = Path("/proc") / str(agent.process.pid)
    paths = put(agent, recordings, 4)
    agent.wait_counts(failed=1, uploaded=3)
    for name in ("cmdline", "environ"):
        assert secret.encode() not in (process / name).read_bytes()
    for where, text in texts_of(agent):
        assert secret.encode() not in text, where
    agent.stop()
    assert_posts_agree(double, agent)
    assert len(double.stored()) == 3
    assert {line["sha256"] for line in double.stored()} < {recordings.sha256(p) for p in paths}
