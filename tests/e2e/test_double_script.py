"""Fault scripts of the double: what is refused, and what each line does."""

import email.utils
import hashlib
import threading
import time

import pytest

from support.calls import (
    assert_errors, command, delete, get, new_id, raw_upload, rows, upload)
from support.waiting import wait_until
from support.wire import Client, Raw, form, request_bytes


# ---- the script: its grammar ----

@pytest.mark.parametrize("line, why", [
    ("status 503", "no colon"), (": status 503", "nothing stands before"), ("1:", "no action"),
    ("0: reset", "turn"), ("3-2: reset", "turn"), ("1x: reset", "turn"), ("every 0: reset", "every"),
    ("every: reset", "every"), ("random 120%: reset", "random"), ("random 5: reset", "random"),
    ("random 5% seed x: reset", "seed"), ("POST: reset", "path"), ("POST upload: reset", "path"),
    ("1 colour red: reset", "not: colour"), ("1 name: reset", "pattern"),
    ("1: explode", "explode"), ("1: status", "number"), ("1: status 99", "between"),
    ("1: status 503 reset", "one reply"), ("1: reset retry-after 2", "belong to a status"),
    ("1: reset in-body", "number"), ("1: reset in-body 0", "zero"), ("1: before-body", "reply"),
    ("1: store reset before-body", "form"), ("1 name x: reset before-body", "form"),
    ("1: status 500 in-body 10", "status comes"), ("1: store-after 10", "reply"),
    ("1: status 200 body 'x", "quote"), ("1: status 200 body '\\q'", "escape"),
    ("1: status 200 body @/nonexistent", "No such file"), ("1: status 503 header nonsense", "NAME"),
    ("1: pass count 0", "zero")])
def test_a_bad_line_is_refused_with_its_place(double, tmp_path, line, why):
    script = tmp_path / "bad.script"
    script.write_text(f"# first\n1: pass\n{line}\n2: reset\n")
    done = command("--script", str(script))
    assert done.returncode == 65 and done.stdout == ""
    assert done.stderr.startswith(f"{script}:3: ") and why in done.stderr
    with Client(double.url) as client:
        answer = client.call("POST", "/double/script", f"1: reset\n{line}\n")
        assert answer.status == 400 and answer.body.decode().startswith("script:2: ")
    assert upload(double).status == 200  # the old script, none, still plays


def statuses(double, count, **more):
    with Client(double.url) as client:
        return [client.upload(b"%d" % i, **more).status for i in range(count)]


def test_turns(double):
    double.set_script("""
        # a play
        POST /v3/upload 1: status 501
        2-3: status 502   count 1
        6-: status 506
        every 5: status 505
    """)
    assert statuses(double, 7) == [501, 502, 200, 200, 505, 506, 506]
    double.set_script("every 3: status 503\n*: status 504 count 2")
    assert statuses(double, 6) == [504, 504, 503, 200, 200, 503]
    double.set_script("")
    assert statuses(double, 1) == [200]


def test_the_first_rule_decides_and_pass_protects(double):
    double.set_script("2: pass\n*: status 503")
    assert statuses(double, 3) == [503, 200, 503]


def test_chance_is_drawn_by_the_seed(double):
    def draw(seed):
        double.set_script(f"random 30% seed {seed}: status 503")
        return statuses(double, 60)

    first = draw(7)
    assert first == draw(7) and first != draw(8)
    assert 5 < first.count(503) < 35
    double.set_script("random 100%: status 503")
    assert set(statuses(double, 5)) == {503}
    double.set_script("random 0%: status 503")
    assert set(statuses(double, 5)) == {200}


def test_conditions_on_the_form(double):
    digest = hashlib.sha256(b"special").hexdigest()
    double.set_script(f"""
        2 name 'agent7*': status 503
        * user bad@example.com: status 403
        meeting m?9: status 422
        sha {digest[:8]}*: status 415
    """)
    assert [upload(double, b"%d" % i, fields={"name": name}).status for i, name in
            enumerate(["agent7 a", "other", "agent7 b", "agent7 c"])] == [200, 200, 503, 200]
    assert upload(double, fields={"user": "bad@example.com"}).status == 403
    assert upload(double, fields={"meeting_id": "mx9"}).status == 422
    assert upload(double, fields={"meeting_id": "m9"}).status == 200
    assert upload(double, b"special").status == 415


def test_of_two_rules_the_first_decides_also_across_the_body(double):
    double.set_script("* name x: status 403\n*: status 503")
    assert upload(double, fields={"name": "x"}).status == 403
    assert upload(double, fields={"name": "y"}).status == 503
    double.set_script("*: status 503\n* name x: status 403")
    assert upload(double, fields={"name": "x"}).status == 503


def test_other_requests(double):
    engagement = new_id(upload(double))
    double.set_script("""
        GET /v3/engagements* 1: status 500
        DELETE /v3/engagements* 1: do reset
        ANY /api/* *: status 404
    """)
    assert get(double, "/v3/engagements").status == 500
    assert len(rows(double)) == 1
    with pytest.raises(ConnectionResetError):
        delete(double, f"/v3/engagements/{engagement}")
    assert rows(double) == []
    assert get(double, "/api/v1/users/me").status == 404
    assert upload(double).status == 200
    assert get(double, "/double/summary").status == 200


def test_the_journal_names_the_rule(double):
    double.set_script("# one\n\n1: status 503\n")
    statuses(double, 2)
    assert [post.get("rule") for post in double.posts()] == [3, None]


# ---- the script: what happens ----

def test_a_status_stores_nothing_and_says_what_it_is_told(double):
    double.set_script(r"""
        1: status 503 retry-after 2
        2: status 429 retry-after 'Wed, 21 Oct 2026 07:28:00 GMT' header 'X-Odd: a: b'
        3: status 429 retry-after date+30
        4: status 200 body '<html>it\'s\n' type text/html
        5: status 302 location https://elsewhere.example/x
        6: status 204 body ''
    """)
    with Client(double.url) as client:
        one, two, three, four, five, six = [client.upload() for _ in range(6)]
    assert_errors(one, 503)
    assert one.headers["Retry-After"] == "2"
    assert two.headers["Retry-After"] == "Wed, 21 Oct 2026 07:28:00 GMT"
    assert two.headers["X-Odd"] == "a: b"
    at = email.utils.parsedate_to_datetime(three.headers["Retry-After"]).timestamp()
    assert 20 < at - time.time() < 40
    assert four.status == 200 and four.body == b"<html>it's\n"
    assert four.headers["Content-Type"] == "text/html"
    assert five.status == 302 and five.headers["Location"] == "https://elsewhere.example/x"
    assert six.status == 204
    assert double.stored() == []
    assert [post["status"] for post in double.posts()] == [503, 429, 429, 200, 302, 204]
    assert all(post["whole"] for post in double.posts())


def test_a_body_from_a_file(double, tmp_path):
    big = tmp_path / "big"
    big.write_bytes(b"[" * 2_000_000 + b"\x00")
    double.set_script(f"1: status 200 body @{big}")
    assert upload(double).body == big.read_bytes()


def test_a_status_before_the_body(double):
    double.set_script("1: status 503 before-body")
    with Raw(double.url) as raw:
        raw.send(request_bytes(form(data=b"x" * 100_000))[:500])
        assert raw.answer().status == 503
    [post] = double.posts()
    assert post["whole"] is False and post["status"] == 503


def test_reset_before_the_body(double):
    double.set_script("1: reset before-body")
    with Raw(double.url) as raw:
        raw.send(request_bytes(form(data=b"x" * 100_000))[:300])
        assert raw.rest() == (b"", "reset")
    [post] = double.posts()
    assert (post["whole"], post["status"], post["data_bytes"]) == (False, "none", 0)


def test_reset_in_the_body(double):
    double.set_script("1: reset in-body 1000")
    whole = request_bytes(form(data=b"x" * 100_000))
    head = len(whole) - len(form(data=b"x" * 100_000))
    with Raw(double.url) as raw:
        raw.send(whole[:head + 900])
        assert raw.is_silent(0.3)
        raw.send(whole[head + 900:head + 1100])
        assert raw.rest() == (b"", "reset")
    [post] = double.posts()
    assert post["whole"] is False and 1000 <= post["body_bytes"] <= 1100
    assert post["fields"] == {} and double.stored() == []


@pytest.mark.parametrize("action, end, stored", [
    ("reset", "reset", 0), ("store reset", "reset", 1), ("no-answer", "fin", 0),
    ("close", "fin", 0), ("store no-answer", "fin", 1)])
def test_the_answer_is_lost(double, action, end, stored):
    double.set_script(f"1: {action}")
    assert raw_upload(double) == (b"", end)
    [post] = double.posts()
    assert post["whole"] is True and post["status"] == "none"
    assert len(double.stored()) == stored
    assert ("engagement_id" in post) == bool(stored)
    assert upload(double, b"next").status == 200


def test_a_reset_hits_a_reused_connection(double):
    double.set_script("2: reset before-body")
    with Raw(double.url) as raw:
        raw.send(request_bytes(form(data=b"1")))
        assert raw.answer().status == 200
        raw.send(request_bytes(form(data=b"2")))
        assert raw.rest() == (b"", "reset")
    first, second = double.posts()
    assert (second["connection"], second["request_on_connection"]) == (first["connection"], 2)


def test_a_fin_before_the_body_is_no_reset(double):
    double.set_script("1: close before-body\n2: close in-body 10")
    for _ in range(2):
        with Raw(double.url) as raw:
            raw.send(request_bytes(form(data=b"x" * 50_000))[:20_000])
            assert raw.rest() == (b"", "fin")
            raw.send(b"x" * 1000)
    assert [post["whole"] for post in double.posts()] == [False, False]


def test_a_failure_after_the_storing(double):
    double.set_script("1: store status 500\n2: store status 504 body ''")
    assert_errors(upload(double, b"1", fields={"meeting_id": "m"}), 500)
    assert upload(double, b"2").status == 504
    assert len(double.stored()) == 2
    assert upload(double, b"1", fields={"meeting_id": "m"}).status == 409


@pytest.mark.parametrize("reply", ["reset", "no-answer", "status 504", "hang"])
def test_storing_after_the_reply(double, reply):
    double.set_script(f"1: store-after 600 {reply}")
    with Raw(double.url) as raw:
        raw.send(request_bytes(form(data=b"late")))
        if reply == "hang":
            assert raw.is_silent(0.2)
        elif reply == "status 504":
            answer = raw.answer()
            assert answer.status == 504 and answer.headers["Connection"] == "close"
        else:
            assert raw.rest()[0] == b""
        assert double.stored() == []
        [stored] = wait_until(double.stored, "the late storing")
    [post] = double.posts()
    assert stored["request"] == post["n"] and post["whole"]
    assert stored["at_ms"] - post["at_ms"] >= 600


def test_late_storing_is_still_unique(double):
    double.set_script("1: store-after 400 reset")
    raw_upload(double, form({"name": "n", "user": "u@e.com", "meeting_id": "m"}))
    assert upload(double, fields={"meeting_id": "m"}).status == 200
    time.sleep(0.8)
    assert len(double.stored()) == 1


def test_hanging(double):
    double.set_script("1: hang\n2: hang before-body\n3: store hang")
    for _ in range(3):
        with Raw(double.url) as raw:
            raw.send(request_bytes(form()))
            assert raw.is_silent(0.4)
    assert [(post["whole"], post["status"]) for post in double.posts()] == [
        (True, "none"), (False, "none"), (True, "none")]
    assert len(double.stored()) == 1


def test_a_slow_answer(double):
    double.set_script("1: slow 40\n2: slow 100 status 503 body '" + "x" * 50 + "'")
    start = time.monotonic()
    answer = upload(double)
    assert answer.status == 200 and len(answer.body) > 50
    assert time.monotonic() - start > len(answer.body) / 40 * 0.8
    start = time.monotonic()
    assert upload(double).body == b"x" * 50
    assert time.monotonic() - start > 0.4
    assert len(double.stored()) == 1


def test_a_body_taken_slowly(double):
    double.set_script("1: slow-read 100000")
    start = time.monotonic()
    assert upload(double, b"x" * 100_000).status == 200
    assert time.monotonic() - start > 0.8


def test_a_delay(double):
    double.set_script("1: delay 500\n2: delay 500 status 503")
    for expected in (200, 503):
        start = time.monotonic()
        assert upload(double).status == expected
        assert time.monotonic() - start >= 0.5


def test_what_is_no_http(double):
    double.set_script(r"""
        1: garbage
        2: store raw 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"engagement'
        3: raw 'HTTP/1.1 200 OK\r\nX: ' slow 50
        4: raw '\x00\xff' in-body 100
    """)
    got, end = raw_upload(double)
    assert not got.startswith(b"HTTP") and got != b"" and end == "fin"
    got, end = raw_upload(double)
    assert got.endswith(b'{"engagement') and end == "fin"
    start = time.monotonic()
    assert raw_upload(double)[0] == b"HTTP/1.1 200 OK\r\nX: "
    assert time.monotonic() - start > 0.2
    with Raw(double.url) as raw:
        raw.send(request_bytes(form(data=b"x" * 50_000))[:20_000])
        assert raw.rest() == (b"\x00\xff", "fin")
    assert len(double.stored()) == 1
    assert [post["whole"] for post in double.posts()] == [True, True, True, False]


def test_a_script_at_the_start_and_at_run_time(double_factory):
    double = double_factory(script="1: status 503\n")
    assert statuses(double, 2) == [503, 200]
    double.restart()
    assert statuses(double, 2) == [503, 200]
    double.set_script("1: status 500")
    assert statuses(double, 2) == [500, 200]


def test_the_script_changes_under_load(double):
    stop = threading.Event()
    seen = set()

    def work():
        with Client(double.url) as client:
            while not stop.is_set():
                seen.add(client.upload().status)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for i in range(60):
        double.set_script("random 50%: status 503\n* name 'a*': status 502 count 1" if i % 2 else "")
    stop.set()
    for worker in workers:
        worker.join()
    assert {200, 503} <= seen <= {200, 502, 503}
    summary = double.summary()
    assert summary["posts"] == summary["whole"] == len(double.posts())
