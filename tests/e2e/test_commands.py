"""The commands: what they print, what they end with, and that they work beside the service."""

import json
import signal
import subprocess

import pytest

from support import programs
from support.chorus import in_background
from support.promise import assert_kept, assert_stored_once
from support.waiting import assert_no_fault, wait_until

COMMANDS = ["run", "once", "check", "explain", "status", "list", "retry"]
STATES = ["settling", "hashing", "held", "queued", "uploading", "waiting", "uncertain",
          "uploaded", "duplicate", "failed", "skipped", "gone", "deleting", "deleted"]
STATUS_KEYS = {"version", "running", "since", "counts", "bytes_uploaded", "in_flight", "watches",
               "oldest_waiting_at", "paused_because", "last_error"}


def program(*arguments):
    """The program without any configuration of ours."""
    done = subprocess.run([programs.find("CHORUS_AGENT"), *map(str, arguments)],
                          capture_output=True, text=True, timeout=60)
    assert_no_fault(done.stderr, "chorus-agent")
    return done


def put(agent, recordings, count=1, first=0):
    made = recordings.many(agent.root / "made", count, first=first)
    return [agent.put(path) for path in made]


def start_command(agent, *arguments):
    """A command that is left running; its words go to one pipe."""
    return subprocess.Popen(
        [programs.find("CHORUS_AGENT"), "-c", str(agent.config_file), *map(str, arguments)],
        cwd=agent.root, env=agent.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def second_watch(agent):
    """A further watch, so that a path below none belongs to nobody."""
    (agent.root / "other").mkdir()
    agent.configure(watches={"other": {"path": f"{agent.root}/other", "owner": "o@example.com",
                                       "since": "all", "settle": "200ms", "rescan": "1s"}})


# ---- help, version, options ----

def test_help_and_version_are_everywhere():
    assert program("--help").returncode == 0
    assert program("--version").stdout.startswith("chorus-agent ")
    for command in COMMANDS:
        for arguments in ([command, "--help"], ["--help", command], [command, "-h"]):
            done = program(*arguments)
            assert done.returncode == 0 and f" {command} " in done.stdout
        assert program(command, "--version").stdout == program("--version").stdout
        assert f"\n  {command}" in program("--help").stdout


@pytest.mark.parametrize("arguments", [
    [], ["frobnicate"], ["--config"], ["run", "extra"], ["status", "--bogus"], ["status", "path"],
    ["status", "--check", "--waiting", "soon"], ["check", "path"], ["explain"], ["retry"],
    ["list", "--state", "lost"], ["once", "--owner", "nobody"], ["once", "--watch"],
    ["retry", "--everything"], ["list", "--bogus"]])
def test_what_is_no_command_is_a_usage_error(arguments):
    done = program(*arguments)
    assert done.returncode == 64
    assert done.stdout == "" and "--help" in done.stderr


@pytest.mark.parametrize("command", ["run", "once", "check", "status", "list"])
def test_a_configuration_that_is_missing_or_wrong_ends_78(agent, command):
    assert program("-c", agent.root / "nowhere.yaml", command).returncode == 78
    agent.config_file.write_text("watches: [broken\n")
    assert program("-c", agent.config_file, command).returncode == 78
    agent.config_file.write_text("")
    assert program("-c", agent.config_file, command).returncode == 78


def test_config_stands_before_or_after_the_command(agent):
    file = agent.config_file
    for arguments in (["-c", file, "status"], ["status", "-c", file], ["--config", file, "status"],
                      ["status", "--config", file], ["status", f"--config={file}"]):
        assert program(*arguments).returncode == 0


# ---- where the ledger is ----

@pytest.mark.parametrize("command", [["run"], ["once"], ["retry", "--failed"]])
def test_a_state_dir_that_cannot_be_made_ends_73(agent, command):
    (agent.root / "file").write_text("")
    agent.configure(state_dir=f"{agent.root}/file/state")
    done = agent.run(*command, check=73)
    assert "state_dir" in done.stderr


@pytest.mark.parametrize("command", [["retry", "--failed"], ["list"], ["status"],
                                     ["explain", "calls/a.wav"]])
def test_a_ledger_that_is_none_ends_74_and_is_left_as_it_is(agent, command):
    agent.state_dir.mkdir(mode=0o700)
    ledger = agent.state_dir / "ledger.db"
    ledger.write_bytes(b"this is no ledger at all" * 100)
    assert agent.run(*command, check=74).stderr
    assert ledger.read_bytes() == b"this is no ledger at all" * 100


@pytest.mark.parametrize("command", [["run"], ["once"], ["retry", "--failed"]])
def test_a_ledger_that_cannot_be_opened_ends_74(agent, command):
    (agent.state_dir / "ledger.db").mkdir(parents=True)
    assert "ledger" in agent.run(*command, check=74).stderr


def test_run_beside_run_ends_75_and_names_the_holder(double, agent, recordings):
    agent.start()
    done = agent.run("run", check=75)
    assert str(agent.process.pid) in done.stderr
    paths = put(agent, recordings)
    agent.wait_counts(uploaded=1)
    assert_kept(double, agent, paths)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_ends_0_after_a_signal_also_amid_the_work(double, agent, recordings, number):
    double.set_script("*: delay 5000")
    put(agent, recordings, 20)
    agent.start()
    wait_until(lambda: agent.counts().get("uploading"), "some are being sent")
    agent.process.send_signal(number)
    assert agent.wait_exit(30) == 0
    double.set_script("")
    agent.start()
    agent.wait_counts(uploaded=20, timeout=60)
    agent.stop()
    assert_stored_once(double, [agent.calls / f"call-{n:05d}.wav" for n in range(20)])


# ---- check ----

def test_check_of_a_good_configuration_ends_0(agent):
    done = agent.run("check", check=0)
    assert "all well" in done.stdout


def test_check_tells_every_error_at_once_on_stdout(agent):
    agent.write_config("""\
colour: blue
chorus:
  url: http://chorus.example
upload:
  concurrency: 0
  retry_first: soon
watches:
  calls:
    path: relative/calls
    owner: "{nothing}"
    rules:
      - pattern: '(unclosed'
        owner: a@example.com
""")
    done = agent.run("check", check=78)
    assert done.stderr == ""
    for line, words in ((1, "colour"), (3, "url"), (5, "concurrency"), (6, "retry_first"),
                        (9, "path"), (12, "pattern")):
        assert any(text.startswith(f"{agent.config_file}:{line}:") and words in text
                   for text in done.stdout.splitlines()), (line, words, done.stdout)


def test_check_finds_a_missing_folder_and_a_missing_token(agent):
    second_watch(agent)
    agent.calls.rmdir()
    (agent.root / "other").rmdir()
    agent.token_file.unlink()
    done = agent.run("check", check=78)
    for words in ("watch calls", "watch other", "token"):
        assert words in done.stdout


def test_check_makes_nothing(agent):
    agent.run("check", check=0)
    assert not agent.state_dir.exists() and not agent.control_dir.exists()


def test_check_online_proves_token_and_owners(double_factory, agent_factory):
    double = double_factory("--user", "team@example.com")
    agent = agent_factory(double)
    assert "proven" in agent.run("check", "--online", check=0).stdout
    agent.configure(watches={"calls": {"owner": "eve@example.com"}})
    assert "eve@example.com" in agent.run("check", "--online", check=78).stdout
    agent.set_token("wrong")
    assert "401" in agent.run("check", "--online", check=77).stdout
    double.stop()
    assert "no answer" in agent.run("check", "--online", check=69).stdout


@pytest.mark.parametrize("status,code", [(401, 77), (403, 77), (500, 69), (404, 69)])
def test_check_online_tells_a_refusal_from_a_fault(double, agent, status, code):
    double.set_script(f"GET /api/v1/users/me: status {status}")
    assert str(status) in agent.run("check", "--online", check=code).stdout


# ---- explain ----

def test_explain_tells_what_would_happen_and_changes_nothing(double, agent, recordings):
    path = recordings.wav(agent.calls / "call.wav", 1)
    text = agent.run("explain", path, check=0).stdout
    for words in ("calls", "finished", recordings.sha256(path), "team@example.com",
                  f"sha256-{recordings.sha256(path)}", "so it is    uploaded"):
        assert words in text
    assert not agent.state_dir.exists()
    assert double.requests() == []


def test_explain_judges_a_path_that_does_not_exist_by_its_name_and_says_so(agent):
    text = agent.run("explain", agent.calls / "never.wav", check=0).stdout
    assert "does not exist" in text and "by its name" in text
    assert "team@example.com" in text and "uploaded" in text


def test_explain_below_no_watch_says_so(agent):
    outside = agent.root / "outside.wav"
    agent.run("explain", outside, check=66)
    outside.write_bytes(b"x")
    assert "below no watch" in agent.run("explain", outside, check=0).stdout


def test_explain_names_what_holds_skips_and_passes_over(agent, recordings):
    agent.configure(watches={"calls": {"owner": None, "exclude": ["*-in.*"], "rules": [
        {"title": "tests", "pattern": "TEST", "skip": "test campaign"},
        {"title": "known", "pattern": "^known", "owner": "team@example.com"}]}})
    for name, words in (("odd.wav", "held: no rule matches"), ("TEST.wav", "skipped: test camp"),
                        ("known.txt", "passed over"), ("known-in.wav", "passed over")):
        path = recordings.wav(agent.calls / name, 1)
        assert words in agent.run("explain", path, check=0).stdout, name
    (agent.calls / "known.wav").write_bytes(b"")
    wait_until(lambda: "empty" in agent.run("explain", agent.calls / "known.wav").stdout,
               "it is seen to be empty")


def test_explain_tells_the_story_and_the_twin(double, agent, recordings):
    double.set_script("1: status 429\n2: store status 500")
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(uploaded=1)
    copy = agent.put(path, "copy.wav")
    agent.wait_counts(duplicate=1)
    story = agent.run("explain", path, check=0).stdout
    for words in ("waiting, attempt 1, HTTP 429", "uncertain, attempt 2, HTTP 500",
                  "uploaded, attempt 3, HTTP 409"):
        assert words in story
    assert f"the same content as {path}" in agent.run("explain", copy, check=0).stdout
    assert_kept(double, agent, [path])


# ---- status ----

def assert_status_complete(status):
    assert STATUS_KEYS <= set(status)
    assert set(STATES) <= set(status["counts"])
    assert all(isinstance(n, int) for n in status["counts"].values())
    for watch in status["watches"]:
        assert {"name", "path", "online", "mode", "reason"} <= set(watch)


def test_status_answers_without_a_ledger_with_all_zeros(agent):
    status = agent.status()
    assert_status_complete(status)
    assert status["running"] is False
    assert set(status["counts"].values()) == {0}
    assert agent.run("status", check=0).stdout
    assert not agent.state_dir.exists()


def test_status_answers_beside_a_service_and_after_it(double, agent, recordings):
    agent.start()
    status = agent.status()
    assert_status_complete(status)
    assert status["running"] is True and status["since"]
    status = wait_until(lambda: agent.status() if agent.status()["watches"][0]["online"] else None,
                        "the folder is looked at")
    assert status["watches"][0]["mode"] in ("events", "polling")
    paths = put(agent, recordings, 2)
    agent.wait_counts(uploaded=2)
    assert agent.status()["bytes_uploaded"] == sum(path.stat().st_size for path in paths)
    agent.kill()
    status = agent.status()
    assert_status_complete(status)
    assert status["running"] is False and status["counts"]["uploaded"] == 2
    assert_kept(double, agent, paths)


def test_status_shows_what_is_in_flight_and_the_oldest_that_waits(double, agent, recordings):
    double.set_script("*: slow-read 2000000")
    path = agent.put(recordings.sized(agent.root / "long.wav", 6_000_000, 1))
    agent.configure(upload={"concurrency": 1})
    agent.start()
    wait_until(lambda: agent.status()["in_flight"], "it is in flight")
    one, = agent.status()["in_flight"]
    assert one["path"] == str(path) and 0 <= one["sent"] <= one["size"] == 6_000_000
    paths = [path, *put(agent, recordings)]
    wait_until(lambda: agent.status()["oldest_waiting_at"], "one waits")
    double.set_script("")
    agent.wait_counts(uploaded=2, timeout=60)
    assert_kept(double, agent, paths)


def test_status_check_is_a_monitoring_plug_in(double, agent, recordings):
    def check(code, *arguments):
        done = agent.run("status", "--check", *arguments, check=code)
        assert len(done.stdout.splitlines()) == 1
        return done.stdout

    assert "CRITICAL" in check(2) and "does not run" in check(2)
    agent.start()
    wait_until(lambda: agent.run("status", "--check").returncode == 0, "the folder is looked at")
    assert "OK" in check(0)
    double.set_script("* name call-00000: status 422")
    put(agent, recordings)
    agent.wait_counts(failed=1)
    assert "WARNING" in check(1) and "1 failed" in check(1)
    double.stop()
    put(agent, recordings, first=1)
    agent.wait_counts(queued=1)
    wait_until(lambda: "the oldest waits for" in
               agent.run("status", "--check", "--waiting", "1ms").stdout, "it waits for too long")
    wait_until(lambda: agent.run("status", "--check").returncode == 2, "it tells of the pause")


def test_status_check_tells_of_what_is_held_for_too_long(double, agent, recordings):
    agent.configure(watches={"calls": {"owner": None, "rules": [
        {"pattern": "^never", "owner": "team@example.com"}]}})
    agent.start()
    put(agent, recordings)
    agent.wait_counts(held=1)
    agent.run("status", "--check", check=0)
    assert "held" in agent.run("status", "--check", "--held", "1ms", check=1).stdout
    assert_kept(double, agent, [])


def test_status_check_tells_of_a_folder_that_is_gone(agent, recordings):
    second_watch(agent)
    agent.start()
    (agent.root / "other").rmdir()
    wait_until(lambda: agent.run("status", "--check").returncode == 2, "it is critical")
    assert "watch other is offline" in agent.run("status", "--check", check=2).stdout


# ---- list ----

def test_list_prints_one_object_a_path_with_its_keys(double, agent, recordings):
    double.set_script("* name call-00001: status 418\n* name call-00002: status 422")
    agent.configure(upload={"retry_first": "10s", "retry_max": "10s"})
    agent.start()
    paths = put(agent, recordings, 3)
    agent.wait_counts(uploaded=1, waiting=1, failed=1)
    copy = agent.put(paths[0], "copy.wav")
    agent.wait_counts(duplicate=1)
    rows = {row["path"]: row for row in agent.list()}
    assert len(rows) == len(agent.list()) == 4
    everywhere = {"path", "watch", "rule", "state", "size", "sha256", "owner", "name",
                  "meeting_id", "attempts", "reason", "first_seen_at", "fields"}
    for row in rows.values():
        assert everywhere <= set(row)
        assert row["watch"] == "calls" and isinstance(row["fields"], dict)
    assert {"engagement_id", "uploaded_at"} <= set(rows[str(paths[0])])
    assert rows[str(paths[1])]["next_attempt_at"].endswith("Z")
    assert "uploaded_at" not in rows[str(paths[2])]
    assert rows[str(copy)]["duplicate_of"] == str(paths[0])
    for state in ("uploaded", "waiting", "failed", "duplicate"):
        assert [row["state"] for row in agent.list("--state", state)] == [state]
    assert agent.list("--state", "held") == []
    assert_kept(double, agent, [paths[0]])


def test_list_takes_paths_and_folders_and_ends_66_for_what_nobody_knows(
        double, agent, recordings):
    assert agent.list() == []
    agent.start()
    paths = [agent.put(path, f"day/{path.name}")
             for path in recordings.many(agent.root / "made", 2)]
    other = agent.put(recordings.wav(agent.root / "other.wav", 9))
    agent.wait_counts(uploaded=3)
    assert [row["path"] for row in agent.list(paths[0])] == [str(paths[0])]
    assert len(agent.list(agent.calls / "day")) == 2
    assert agent.run("list", other, check=0).stdout.count("\n") == 1
    assert "not known" in agent.run("list", agent.calls / "never.wav", check=66).stderr
    assert agent.list("--state", "held", other) == []
    assert_kept(double, agent, [*paths, other])


# ---- retry ----

@pytest.mark.parametrize("beside_a_service", [True, False])
def test_retry_puts_failed_ones_back(double, agent, recordings, beside_a_service):
    double.set_script("*: status 422")
    agent.start()
    paths = put(agent, recordings, 3)
    agent.wait_counts(failed=3)
    double.set_script("")
    if not beside_a_service:
        agent.stop()
    assert agent.run("retry", paths[0], check=0).stdout.startswith("1 put back")
    assert agent.run("retry", "--failed", check=0).stdout.startswith("2 put back")
    if not beside_a_service:
        assert agent.counts() == {"queued": 3}
        agent.start()
    agent.wait_counts(uploaded=3)
    assert_kept(double, agent, paths)


@pytest.mark.parametrize("beside_a_service", [True, False])
def test_retry_of_what_nobody_knows_ends_66(double, agent, recordings, beside_a_service):
    agent.start()
    paths = put(agent, recordings)
    agent.wait_counts(uploaded=1)
    if not beside_a_service:
        agent.stop()
    agent.run("retry", agent.calls / "never.wav", check=66)
    done = agent.run("retry", paths[0], check=0)
    assert done.stdout.startswith("0 put back") and "left as they are" in done.stderr
    agent.wait_counts(uploaded=1, only=True)
    assert_kept(double, agent, paths)


def test_retry_held_sends_what_a_person_has_looked_at(double, agent, recordings):
    agent.configure(watches={"calls": {"meeting_id": ""}})
    double.set_script("1: reset")
    agent.start()
    paths = put(agent, recordings)
    agent.wait_counts(held=1)
    agent.run("retry", "--held", check=0)
    agent.wait_counts(uploaded=1)
    assert_kept(double, agent, paths)


def test_retry_of_what_has_no_owner_stays_held(double, agent, recordings):
    agent.configure(watches={"calls": {"owner": None, "rules": [
        {"pattern": "^never", "owner": "team@example.com"}]}})
    agent.start()
    put(agent, recordings)
    agent.wait_counts(held=1)
    agent.run("retry", "--held", check=0)
    agent.wait_counts(held=1, queued=0)
    agent.configure(watches={"calls": {"rules": [{"owner": "team@example.com"}]}})
    agent.reload()
    agent.wait_counts(uploaded=1)
    assert_kept(double, agent, [agent.calls / "call-00000.wav"])


def test_retry_of_what_has_no_owner_and_no_watch_any_more_stays_held(double, agent, recordings):
    agent.configure(watches={"calls": {"owner": None, "rules": [
        {"pattern": "^never", "owner": "team@example.com"}]}})
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(held=1)
    agent.stop()
    second_watch(agent)
    agent.configure(watches={"calls": None})
    agent.start()
    agent.run("retry", "--held", check=0)
    wait_until(lambda: "no longer in the configuration" in agent.find(path).get("reason", ""),
               "it is held for that", describe=agent.describe)
    agent.wait_counts(held=1, only=True)
    assert_kept(double, agent, [])


# ---- once, alone ----

def test_once_uploads_what_is_there_whatever_since_says(double, agent, recordings):
    agent.configure(watches={"calls": {"since": "start"}})
    paths = recordings.many(agent.calls, 5)
    agent.start()
    agent.wait_counts(skipped=5)
    agent.stop()
    done = agent.run("once", check=0)
    assert "5 uploaded" in done.stderr
    assert done.stdout == ""
    assert agent.counts() == {"uploaded": 5}
    assert "5 dealt with before" in agent.run("once", check=0).stderr
    assert_kept(double, agent, paths)


def test_once_of_nothing_ends_0(double, agent):
    agent.run("once", check=0)
    assert double.posts() == []


def test_once_takes_up_what_is_queued_and_what_waits(double, agent, recordings):
    agent.configure(upload={"retry_first": "2s"})
    double.set_script("*: status 418")
    agent.start()
    paths = put(agent, recordings, 3)
    agent.wait_counts(waiting=3)
    agent.stop()
    double.set_script("")
    agent.run("once", check=0)
    assert agent.counts() == {"uploaded": 3}
    assert_kept(double, agent, paths)


def test_once_ends_1_when_some_failed_or_are_held(double, agent, recordings):
    double.set_script("* name call-00001: status 422")
    paths = recordings.many(agent.calls, 3)
    done = agent.run("once", check=1)
    assert "1 failed" in done.stderr and "2 uploaded" in done.stderr
    agent.configure(watches={"calls": {"owner": None, "rules": [
        {"pattern": "^never", "owner": "team@example.com"}]}})
    recordings.wav(agent.calls / "odd.wav", 99)
    assert "1 held" in agent.run("once", check=1).stderr
    assert_kept(double, agent, [paths[0], paths[2]])


def test_once_takes_single_files_and_folders_below_a_watch(double, agent, recordings):
    paths = recordings.many(agent.calls / "day", 3)
    others = recordings.many(agent.calls / "night", 2, first=10)
    agent.run("once", paths[1], check=0)
    assert agent.counts() == {"uploaded": 1}
    agent.run("once", agent.calls / "night", check=0)
    assert agent.counts() == {"uploaded": 3}
    assert_kept(double, agent, [paths[1], *others])


def test_once_takes_a_file_with_wild_characters_in_its_name_alone(double, agent, recordings):
    path = recordings.wav(agent.calls / "call[1]*?.wav", 1)
    recordings.wav(agent.calls / "call1xy.wav", 2)
    agent.run("once", path, check=0)
    assert agent.counts() == {"uploaded": 1}
    assert_kept(double, agent, [path])


def test_once_below_no_watch_is_taken_by_the_only_one(double, agent, recordings):
    paths = recordings.many(agent.root / "archive", 2)
    agent.run("once", agent.root / "archive", check=0)
    assert {row["owner"] for row in agent.list()} == {"team@example.com"}
    assert_kept(double, agent, paths)


def test_once_below_no_watch_needs_a_watch_where_there_are_several(double, agent, recordings):
    second_watch(agent)
    paths = recordings.many(agent.root / "archive", 2)
    done = agent.run("once", agent.root / "archive", check=64)
    assert "--watch" in done.stderr
    assert double.posts() == []
    agent.run("once", "--watch", "other", agent.root / "archive", check=0)
    assert {row["owner"] for row in agent.list()} == {"o@example.com"}
    assert_kept(double, agent, paths)


def test_once_watch_takes_that_watch_only(double, agent, recordings):
    second_watch(agent)
    paths = recordings.many(agent.calls, 2)
    recordings.many(agent.root / "other", 2, first=10)
    agent.run("once", "--watch", "calls", check=0)
    agent.run("once", "--watch", "nobody", check=64)
    assert_kept(double, agent, paths)


def test_once_owner_goes_before_the_rules(double, agent, recordings):
    paths = recordings.many(agent.calls, 2)
    agent.run("once", "--owner", "boss@example.com", check=0)
    assert {line["fields"]["user"] for line in double.stored()} == {"boss@example.com"}
    assert_kept(double, agent, paths)


def test_once_of_a_path_that_does_not_exist_ends_66(double, agent, recordings):
    recordings.many(agent.calls, 1)
    agent.run("once", agent.calls / "never.wav", check=66)
    assert double.posts() == []


def test_once_with_a_wrong_token_ends_77_and_the_rest_stays_queued(
        double, agent_factory, recordings):
    agent = agent_factory(double, "wrong")
    paths = recordings.many(agent.calls, 5)
    done = agent.run("once", check=77)
    assert "stays queued" in done.stderr
    assert agent.counts() == {"queued": 5}
    agent.set_token(double.token)
    agent.run("once", check=0)
    assert {row["attempts"] for row in agent.list()} == {1}
    assert_kept(double, agent, paths)


def test_once_without_a_token_ends_77(double, agent, recordings):
    recordings.many(agent.calls, 1)
    agent.token_file.unlink()
    assert str(agent.token_file) in agent.run("once", check=77).stderr
    assert double.requests() == []


def test_once_waits_for_a_chorus_that_cannot_be_reached(double, agent, recordings):
    paths = recordings.many(agent.calls, 3)
    double.stop()
    once = start_command(agent, "once")
    wait_until(lambda: agent.counts().get("queued") == 3, "all are queued")
    assert once.poll() is None
    double.start()
    words, _ = once.communicate(timeout=60)
    assert once.returncode == 0, words
    assert_kept(double, agent, paths)


def test_once_that_is_interrupted_ends_75_and_the_rest_stays_queued(double, agent, recordings):
    paths = recordings.many(agent.calls, 3)
    double.stop()
    once = start_command(agent, "once")
    wait_until(lambda: agent.counts().get("queued") == 3, "all are queued")
    once.send_signal(signal.SIGINT)
    words, _ = once.communicate(timeout=60)
    assert_no_fault(words, "once")
    assert once.returncode == 75, words
    assert agent.counts() == {"queued": 3}
    double.start()
    agent.start()
    agent.wait_counts(uploaded=3)
    assert_kept(double, agent, paths)


@pytest.mark.parametrize("settle", ["30s", "0s"])
def test_once_that_is_interrupted_while_it_looks_ends_75(double, agent, recordings, settle):
    agent.configure(watches={"calls": {"settle": settle, "quiet": "30s"}})
    paths = recordings.many(agent.calls, 300)
    once = start_command(agent, "once")
    wait_until(lambda: agent.state_dir.exists() and agent.status()["running"], "it runs")
    once.send_signal(signal.SIGINT)
    words, _ = once.communicate(timeout=60)
    assert_no_fault(words, "once")
    assert once.returncode == 75, words
    agent.configure(watches={"calls": {"settle": "0s", "quiet": "1s"}})
    agent.run("once", check=0)
    agent.start()
    agent.wait_counts(uploaded=300, only=True, timeout=60)
    agent.stop()
    assert_stored_once(double, paths)


# ---- once, beside a running service ----

def test_once_beside_a_service_is_handed_over_and_followed_to_its_end(double, agent, recordings):
    agent.configure(watches={"calls": {"since": "start"}})
    paths = recordings.many(agent.calls, 5)
    agent.start()
    agent.wait_counts(skipped=5)
    done = agent.run("once", check=0)
    assert "the service" in done.stderr and "5 uploaded" in done.stderr
    agent.wait_counts(uploaded=5, only=True)
    assert agent.is_running()
    assert list((agent.state_dir / "requests").iterdir()) == []
    assert_kept(double, agent, paths)


def test_once_beside_a_service_ends_1_when_some_failed(double, agent, recordings):
    double.set_script("*: status 422")
    agent.start()
    recordings.many(agent.root / "archive", 2)
    assert "2 failed" in agent.run("once", agent.root / "archive", check=1).stderr
    assert_kept(double, agent, [])


def test_once_beside_a_service_tells_what_does_not_fit(double, agent, recordings):
    second_watch(agent)
    agent.start()
    recordings.many(agent.root / "archive", 2)
    done = agent.run("once", agent.root / "archive", check=64)
    assert "--watch" in done.stderr
    agent.run("once", "--watch", "nobody", check=64)
    assert_kept(double, agent, [])


def test_once_beside_a_service_with_a_refused_token_ends_77(double, agent, recordings):
    double.set_token("the-next-token")
    agent.start()
    paths = recordings.many(agent.root / "archive", 2)
    agent.run("once", agent.root / "archive", check=77)
    agent.set_token("the-next-token")
    agent.wait_counts(uploaded=2)
    assert_kept(double, agent, paths)


def test_once_that_is_interrupted_beside_a_service_leaves_it_to_the_service(
        double, agent, recordings):
    double.set_script("*: delay 500")
    agent.configure(upload={"concurrency": 1})
    agent.start()
    paths = recordings.many(agent.root / "archive", 5)
    once = start_command(agent, "once", agent.root / "archive")
    wait_until(lambda: agent.counts().get("uploading"), "it is under way")
    once.send_signal(signal.SIGINT)
    words, _ = once.communicate(timeout=60)
    assert once.returncode == 75, words
    agent.wait_counts(uploaded=5)
    assert_kept(double, agent, paths)


def test_once_tells_when_the_service_it_follows_ends(double, agent, recordings):
    double.stop()
    agent.start()
    paths = recordings.many(agent.root / "archive", 2)
    once = start_command(agent, "once", agent.root / "archive")
    wait_until(lambda: agent.counts().get("queued") == 2, "it is under way")
    agent.stop()
    words, _ = once.communicate(timeout=60)
    assert once.returncode == 69, words
    double.start()
    agent.start()
    agent.wait_counts(uploaded=2)
    assert_kept(double, agent, paths)


def test_many_requests_at_once_are_each_followed(double, agent, recordings):
    agent.start()
    folders = [agent.root / f"archive-{n}" for n in range(5)]
    paths = [path for n, folder in enumerate(folders)
             for path in recordings.many(folder, 3, first=10 * n)]
    waits = [in_background(agent.run, "once", folder) for folder in folders]
    assert [wait(60).returncode for wait in waits] == [0] * 5
    agent.wait_counts(uploaded=15, only=True)
    assert_kept(double, agent, paths)


def test_a_request_that_is_no_request_is_answered_and_harms_nothing(double, agent, recordings):
    agent.start()
    folder = agent.state_dir / "requests"
    for name, text in (("a", "{"), ("b", "[]"), ("c", '{"command": "fly"}'), ("d", "")):
        (folder / f".{name}").write_text(text)
        (folder / f".{name}").rename(folder / f"{name}.json")
    wait_until(lambda: len(list(folder.glob("*.result"))) == 4, "all are answered")
    assert all("problem" in json.loads(file.read_text()) for file in folder.glob("*.result"))
    paths = put(agent, recordings)
    agent.wait_counts(uploaded=1)
    assert_kept(double, agent, paths)


def test_status_answers_beside_a_token_that_everybody_may_read(agent):
    """The service pauses for it; status, list and explain say so, and do not refuse."""
    agent.start()
    agent.token_file.chmod(0o644)
    for command in ("status", "list"):
        assert agent.run(command).returncode == 0
    assert agent.run("explain", str(agent.calls / "a.wav")).returncode == 0
    assert agent.run("check").returncode == 78
