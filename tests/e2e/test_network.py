"""Whatever the network and Chorus do, each recording arrives once, or the agent says why not."""

import json
import re
import socket
import threading
import time

import pytest

from support.chorus import TOKEN
from support.promise import assert_kept, assert_stored_once
from support.waiting import wait_until


def put(agent, recordings, count=1, first=0):
    """That many recordings, moved into the watched folder."""
    made = recordings.many(agent.root / "made", count, first=first)
    return [agent.put(path) for path in made]


def told(agent, event, **fields):
    """The log's lines of one event that carry these fields."""
    lines = re.findall(rf"^.* event={event}(?: .*)?$", agent.log(), re.M)
    return [line for line in lines
            if all(f"{name}={value}" in line for name, value in fields.items())]


def wait_posts(double, count):
    wait_until(lambda: len(double.posts()) >= count, f"{count} POSTs at Chorus")


# ---- Chorus cannot be reached ----

def test_what_is_found_while_chorus_is_down_is_queued_and_goes_on_by_itself(
        double, agent, recordings):
    double.stop()
    agent.start()
    paths = put(agent, recordings, 5)
    agent.wait_counts(queued=5)
    wait_until(lambda: agent.status()["paused_because"], "status says that it is paused")
    assert "cannot be reached" in agent.status()["paused_because"]
    assert len(told(agent, "unreachable")) == 1
    double.start()
    agent.wait_counts(uploaded=5)
    assert len(told(agent, "unreachable")) == 1
    assert len(told(agent, "reachable")) == 1
    assert all(row["attempts"] == 1 for row in agent.list())
    assert_kept(double, agent, paths)


def test_chorus_that_goes_away_amid_the_work_loses_and_doubles_nothing(double, agent, recordings):
    double.set_script("*: delay 100")
    agent.start()
    paths = put(agent, recordings, 40)
    wait_until(lambda: len(double.stored()) >= 5, "some are stored")
    double.kill()
    time.sleep(0.5)
    double.start()
    agent.wait_counts(uploaded=40, timeout=60)
    agent.stop()
    assert_stored_once(double, paths)
    assert double.offences() == []


# ---- the connection breaks ----

@pytest.mark.parametrize("fault", ["reset before-body", "reset in-body 4000"])
def test_a_connection_that_breaks_before_the_body_is_whole_is_simply_tried_again(
        double, agent, recordings, fault):
    double.set_script(f"1: {fault}")
    path = agent.put(recordings.sized(agent.root / "long.wav", 30_000_000, 1))
    agent.start()
    agent.wait_counts(uploaded=1)
    assert agent.find(path)["attempts"] == 2
    assert told(agent, "waiting") and not told(agent, "uncertain")
    assert_kept(double, agent, [path])


@pytest.mark.parametrize("fault", ["no-answer before-body", "no-answer in-body 4000"])
def test_a_server_that_closes_amid_the_body_gets_it_once(double, agent, recordings, fault):
    double.set_script(f"1: {fault}")
    path = agent.put(recordings.sized(agent.root / "long.wav", 30_000_000, 1))
    agent.start()
    agent.wait_counts(uploaded=1)
    assert_kept(double, agent, [path])


@pytest.mark.parametrize("fault", ["reset", "no-answer", "garbage", "status 500"])
@pytest.mark.parametrize("takes_effect", ["", "store "])
def test_a_lost_answer_leaves_it_uncertain_until_a_resend_under_the_same_key(
        double, agent, recordings, fault, takes_effect):
    agent.configure(upload={"resend_after": "700ms"})
    double.set_script(f"1: {takes_effect}{fault}")
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(uncertain=1)
    assert agent.find(path)["next_attempt_at"]
    agent.wait_counts(uploaded=1)
    first, second = double.posts()
    assert first["fields"]["meeting_id"] == second["fields"]["meeting_id"]
    assert second["fields"]["enforce_unique_meeting_id"] == "true"
    assert second["at_ms"] - first["at_ms"] >= 700
    assert second["status"] == (409 if takes_effect else 200)
    assert agent.find(path)["attempts"] == 2
    assert_kept(double, agent, [path])


def test_an_upload_that_takes_effect_after_its_lost_answer_is_not_doubled(
        double, agent, recordings):
    agent.configure(upload={"resend_after": "1500ms"})
    double.set_script("1: store-after 500 status 504")
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(uploaded=1)
    assert [post["status"] for post in double.posts()] == [504, 409]
    assert_kept(double, agent, [path])


# ---- Chorus answers with an error of its own ----

@pytest.mark.parametrize("takes_effect", ["", "store "])
@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_a_server_error_proves_nothing_and_is_resolved_by_a_resend(
        double, agent, recordings, status, takes_effect):
    double.set_script(f"1: {takes_effect}status {status}")
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(uploaded=1)
    assert f"the answer {status} proves nothing" in agent.run("explain", path, check=0).stdout
    assert [post["status"] for post in double.posts()] == [status, 409 if takes_effect else 200]
    assert_kept(double, agent, [path])


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("said", ["2", "date+3"])
def test_retry_after_holds_every_upload_for_so_long(double, agent, recordings, status, said):
    double.set_script(f"1: status {status} retry-after {said}")
    agent.start()
    paths = put(agent, recordings)
    wait_posts(double, 1)
    paths += put(agent, recordings, 10, first=1)
    agent.wait_counts(uploaded=11)
    posts = double.posts()
    # a date holds whole seconds: it may lie up to one nearer
    assert min(post["at_ms"] for post in posts[1:]) - posts[0]["at_ms"] >= 1900
    assert told(agent, "asked-to-wait")
    assert len(posts) == 12
    assert_kept(double, agent, paths)


@pytest.mark.parametrize("said", ["soon", "-5", "99999999999999999999x",
                                  "'Mon, 99 Foo 2026 00:00:00 GMT'"])
def test_a_retry_after_that_says_nothing_is_passed_over(double, agent, recordings, said):
    double.set_script(f"1: status 429 retry-after {said}")
    agent.start()
    paths = put(agent, recordings, 3)
    agent.wait_counts(uploaded=3)
    assert_kept(double, agent, paths)


# ---- Chorus is slow ----

@pytest.mark.parametrize("takes_effect", ["", "store "])
def test_a_server_that_hangs_costs_one_stall_timeout(double, agent, recordings, takes_effect):
    agent.configure(upload={"stall_timeout": "500ms", "resend_after": "600ms"})
    double.set_script(f"1: {takes_effect}hang")
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(uploaded=1)
    assert [post["status"] for post in double.posts()][1:] == [409 if takes_effect else 200]
    assert_kept(double, agent, [path])


def test_a_slow_answer_is_waited_for(double, agent, recordings):
    agent.configure(upload={"stall_timeout": "3s"})
    double.set_script("1: store delay 1000")
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(uploaded=1)
    assert agent.find(path)["attempts"] == 1
    assert_kept(double, agent, [path])


def test_a_body_that_is_taken_slowly_is_not_given_up(double, agent, recordings):
    """It takes longer than stall_timeout in all, but something moves all the time."""
    agent.configure(upload={"stall_timeout": "3s"})
    double.set_script("1: slow-read 2000000")
    path = agent.put(recordings.sized(agent.root / "long.wav", 16_000_000, 1))
    agent.start()
    agent.wait_counts(uploaded=1, timeout=60)
    assert agent.find(path)["attempts"] == 1
    assert_kept(double, agent, [path])


# ---- answers that cannot be believed ----

@pytest.mark.parametrize("answer", [
    "status 200 body '<html>Sign in</html>' type text/html",
    "status 200 body '[1, 2]' type application/json",
    "status 200 body '{\"engagement_id\": ' type application/json",
    "garbage",
    "raw 'HTTP/1.1 200 OK\\r\\nContent-Length: 500\\r\\n\\r\\n{\"id\": 1'",
    "raw 'HTTP/1.1 299'",
])
def test_an_answer_that_is_no_answer_of_chorus_proves_nothing(double, agent, recordings, answer):
    double.set_script(f"1: store {answer}\n2: {answer}")
    agent.start()
    paths = put(agent, recordings)
    agent.wait_counts(uploaded=1)
    assert double.posts()[-1]["status"] == 409
    assert_kept(double, agent, paths)


class Listener:
    """Another host: takes connections and keeps every byte that it is sent."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.heard = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            connection.settimeout(1)
            try:
                self.heard.append(connection.recv(65536))
            except OSError:
                self.heard.append(b"")
            connection.close()


@pytest.fixture
def other_host():
    listener = Listener()
    yield listener
    listener.socket.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed_and_the_token_stays_home(
        double, agent, recordings, other_host, status):
    double.set_script(f"1: status {status} "
                      f"location {other_host.url}/v3/upload body ''")
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(uploaded=1)
    assert "redirect, which is never followed" in agent.run("explain", path, check=0).stdout
    assert other_host.heard == []
    assert_kept(double, agent, [path])


# ---- Chorus refuses a recording ----

@pytest.mark.parametrize("status", [400, 404, 413, 415, 422])
def test_a_refused_recording_is_failed_with_the_words_of_chorus(
        double, agent, recordings, status):
    words = {"errors": [{"status": str(status), "title": "Not taken",
                         "detail": "this recording is not wanted", "source": {"pointer": "/data"}}]}
    double.set_script(f"* name call-00000: status {status} type application/vnd.api+json "
                      f"body '{json.dumps(words)}'")
    agent.start()
    refused, taken = put(agent, recordings, 2)
    agent.wait_counts(failed=1, uploaded=1)
    row = agent.find(refused)
    assert row["state"] == "failed" and row["attempts"] == 1
    for word in (str(status), "Not taken", "this recording is not wanted", "/data"):
        assert word in row["reason"]
    assert_kept(double, agent, [taken])
    assert len(double.posts()) == 2, "it was sent again"


def test_success_false_is_failed_with_the_words_of_chorus(double, agent, recordings):
    double.set_script("1: status 200 type application/json "
                      "body '{\"success\": false, \"message\": \"the audio is broken\"}'")
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(failed=1)
    assert "the audio is broken" in agent.find(path)["reason"]
    assert_kept(double, agent, [])


@pytest.mark.parametrize("status", [402, 418, 451])
def test_an_odd_refusal_is_not_final(double, agent, recordings, status):
    double.set_script(f"1-2: status {status}")
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(uploaded=1)
    waited = told(agent, "waiting")
    assert waited and str(status) in waited[0]
    assert agent.find(path)["attempts"] == 3
    assert_kept(double, agent, [path])


def test_an_odd_refusal_for_longer_than_retry_for_is_failed_and_not_forgotten(
        double, agent, recordings):
    agent.configure(upload={"retry_for": "500ms", "retry_max": "100ms"})
    double.set_script("*: status 418")
    agent.start()
    path, = put(agent, recordings)
    agent.wait_counts(failed=1)
    assert "retry_for is over" in agent.find(path)["reason"]
    assert "418" in agent.find(path)["reason"]
    double.set_script("")
    agent.run("retry", path, check=0)
    agent.wait_counts(uploaded=1)
    assert_kept(double, agent, [path])


# ---- manners ----

def test_connections_are_kept_and_used_again(double, agent, recordings):
    agent.configure(upload={"concurrency": 2})
    paths = put(agent, recordings, 30)
    agent.start()
    agent.wait_counts(uploaded=30)
    posts = double.posts()
    assert len(posts) == 30
    assert len({post["connection"] for post in posts}) < 10
    assert_kept(double, agent, paths)


def test_a_kept_connection_that_dies_costs_one_more_request_and_no_second_copy(
        double_factory, agent_factory, recordings):
    double = double_factory("--idle", "1")
    agent = agent_factory(double)
    agent.start()
    paths = put(agent, recordings)
    agent.wait_counts(uploaded=1)
    for number in (1, 2):
        time.sleep(1.2)
        paths += put(agent, recordings, first=number)
        agent.wait_counts(uploaded=number + 1)
    agent.stop()
    assert_stored_once(double, paths)
    assert double.offences() == []


def test_many_faults_at_once_lose_and_double_nothing(double, agent, recordings):
    agent.configure(upload={"resend_after": "300ms", "retry_max": "200ms"})
    double.set_script("random 10% seed 1: reset before-body\n"
                      "random 10% seed 2: reset in-body 500\n"
                      "random 10% seed 3: store reset\n"
                      "random 10% seed 4: store status 502\n"
                      "random 10% seed 5: status 500\n"
                      "random 5% seed 6: store garbage\n"
                      "random 5% seed 7: status 429\n")
    paths = put(agent, recordings, 60)
    agent.start()
    agent.wait_counts(uploaded=60, timeout=120)
    assert_kept(double, agent, paths)


def test_the_token_is_only_in_the_authorization_header(double, agent, recordings):
    agent.start()
    paths = put(agent, recordings)
    agent.wait_counts(uploaded=1)
    assert TOKEN not in json.dumps(double.requests())
    assert_kept(double, agent, paths)
