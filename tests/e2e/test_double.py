"""The Chorus double is faithful to the published API."""

import datetime
import hashlib
import json
import re
import subprocess
import time

import pytest

from support.calls import (
    assert_errors, assert_summary, command, delete, get, new_id, rows, upload)
from support import programs, recordings as made
from support.chorus import TOKEN, in_background, read_lines
from support.waiting import wait_until
from support.wire import BOUNDARY, Client, Raw, form, request_bytes


# ---- the command line ----

def test_help_names_every_switch_and_the_grammar():
    done = command("--help")
    assert done.returncode == 0 and done.stderr == ""
    for switch in ("port", "dir", "token", "script", "tls", "id-field", "answer", "conflict",
                   "bad-form", "refuse", "max-size", "meeting-ids", "calendar", "calendar-known",
                   "deletion-frees", "delete-after", "refuse-extension", "date-time", "private",
                   "list-lag", "check-then-store", "processed-after", "repeat-rows", "loop-key"):
        assert f"--{switch}" in done.stdout
    assert "random P%" in done.stdout and "unknown:" in done.stdout


@pytest.mark.parametrize("arguments", [
    ["--nonsense"], ["--port"], ["--port", "x"], ["--port", "65536"], ["--auth", "basic"],
    ["--bad-form", "99"], ["--delete-after", "soon"], ["--keep-media"], ["--private", "some"],
    ["--date-time", "today"], ["--users", "/nonexistent"], ["stray"]])
def test_a_bad_command_line_is_refused(arguments):
    done = command(*arguments)
    assert done.returncode == 64 and "chorus-double" in done.stderr and done.stdout == ""


def test_it_prints_one_line_and_ends_on_sigint_and_sigterm(double_factory):
    one = double_factory()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", one.url)
    one.process.send_signal(2)
    assert one.process.wait(30) == 0
    assert one.process.stdout.read() == ""
    one.process.stdout.close()
    one.process = None
    one.start()
    one.stop()


def test_it_ends_while_clients_hang_and_idle(double):
    double.set_script("*: hang")
    with Raw(double.url) as hanging, Raw(double.url) as idle, Raw(double.url) as halfway:
        hanging.send(request_bytes(form()))
        halfway.send(request_bytes(form())[:-10])
        assert idle.is_silent(0.2)
        double.stop()


# ---- uploads ----

def test_an_upload_is_stored_with_all_it_said(double):
    data = bytes(range(256)) * 5000 + b"\r\n--" + BOUNDARY.encode()[:-2] + b"\r\n\r\n"
    fields = {"name": "Grüße 555", "meeting_id": "m-1", "enforce_unique_meeting_id": "true",
              "crm_account_id": "A1", "crm_opportunity_id": "O1"}
    answer = upload(double, data, filename="Büro call.wav", fields=fields)
    assert re.fullmatch(r"[0-9A-F]{32}", new_id(answer))
    [stored] = double.stored()
    assert stored["engagement_id"] == new_id(answer)
    assert stored["fields"] == {"user": "team@example.com", **fields}
    assert stored["filename"] == "Büro call.wav" and stored["content_type"] == "audio/x-wav"
    assert stored["size"] == len(data)
    assert stored["sha256"] == hashlib.sha256(data).hexdigest()
    [post] = double.posts()
    assert post["whole"] and post["status"] == 200 and post["offences"] == []
    assert post["sha256"] == stored["sha256"] and post["data_bytes"] == len(data)
    assert post["n"] == stored["request"] and post["content_length"] == post["body_bytes"]
    assert post["parts"] == ["data", "name", "user", *list(fields)[1:]]


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 3_000_000])
def test_every_size_has_the_right_checksum(double, size):
    data = bytes((i * 7 + i // 251) % 256 for i in range(min(size, 70000)))
    data = (data * (size // max(1, len(data)) + 1))[:size]
    new_id(upload(double, data))
    assert double.stored()[0]["sha256"] == hashlib.sha256(data).hexdigest()
    assert double.stored()[0]["size"] == size


def test_the_file_may_come_after_the_fields_and_byte_by_byte(double):
    body = form({"name": "n", "user": "u@example.com"}, b"\r\n-\r\r\n--" * 50)
    part = body.index(b"--" + BOUNDARY.encode(), 10)
    end = body.index(b"--" + BOUNDARY.encode() + b"--")
    moved = body[part:end] + body[:part] + body[end:]
    with Raw(double.url) as raw:
        whole = request_bytes(moved)
        for at in range(0, len(whole), 7):
            raw.send(whole[at:at + 7])
        assert raw.answer().status == 200
    assert double.posts()[0]["parts"] == ["name", "user", "data"]
    assert double.stored()[0]["sha256"] == hashlib.sha256(b"\r\n-\r\r\n--" * 50).hexdigest()


@pytest.mark.parametrize("missing", ["data", "name", "user"])
def test_a_missing_part_is_refused_and_noted(double_factory, missing):
    double = double_factory("--bad-form", "422")
    data = None if missing == "data" else b"x"
    fields = {missing: None} if missing != "data" else {}
    answer = upload(double, data, fields=fields)
    assert_errors(answer, 422)
    assert answer.json()["errors"][0]["source"] == {"pointer": f"/{missing}"}
    assert double.offences() == [(1, f"part {missing} missing")]
    assert double.stored() == []


def test_an_empty_name_counts_as_missing(double):
    assert_errors(upload(double, fields={"name": ""}), 400)
    assert double.offences() == [(1, "part name missing")]


def test_offences_in_the_form_are_noted(double):
    body = form([("name", "n"), ("name", "again"), ("user", b"a\xff@b"), ("colour", "red")])
    with Raw(double.url) as raw:
        raw.send(request_bytes(body))
        raw.answer()
    assert {offence for _, offence in double.offences()} == {
        "part repeated: name", "part is not UTF-8: user", "part unknown: colour"}
    assert double.posts()[0]["fields"]["user"] == "a\\xff@b"


def test_a_form_without_its_end_is_refused(double):
    body = form()[:-len(BOUNDARY) - 8]
    with Raw(double.url) as raw:
        raw.send(request_bytes(body))
        assert_errors(raw.answer(), 400)
    assert double.offences() == [(1, "form is broken")] and double.stored() == []


def test_another_content_type_is_refused(double):
    with Client(double.url) as client:
        assert_errors(client.call("POST", "/v3/upload", b"{}", Content_Type="application/json"), 400)
    assert double.offences() == [(1, "no multipart/form-data")]


def test_chunked_and_expect_are_offences(double):
    body = form()
    with Raw(double.url) as raw:
        raw.send(request_bytes(body, Content_Length=None, Transfer_Encoding="chunked")[:-len(body)])
        raw.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        assert_errors(raw.answer(), 411)
    with Raw(double.url) as raw:
        raw.send(request_bytes(body, Expect="100-continue")[:-len(body)])
        assert b"100 Continue" in raw.socket.recv(100)
        raw.send(body)
        assert raw.answer().status == 200
    with Raw(double.url) as raw:
        raw.send(request_bytes(b"", Content_Length=None))
        assert raw.answer().status == 400
    assert {offence for _, offence in double.offences()} >= {
        "chunked", "Expect header", "no Content-Length"}


def test_a_body_that_breaks_off_is_a_header_block_but_no_whole_body(double):
    whole = request_bytes(form(data=b"x" * 100_000))
    with Raw(double.url) as raw:
        raw.send(whole[:60_000])
        wait_until(lambda: read_lines(double.data / "arrivals.jsonl"), "the arrival")
        raw.reset()
    [post] = wait_until(double.posts, "the line")
    assert post["whole"] is False and post["status"] == "none"
    assert 0 < post["data_bytes"] < 60_000 and "sha256" not in post
    assert post["ended"] == "the client left"
    assert_summary(double, posts=1, whole=0)
    assert double.stored() == []


def test_keep_alive_and_many_connections(double):
    with Client(double.url) as client:
        for i in range(3):
            assert client.upload(b"one %d" % i).status == 200
    assert [(post["connection"], post["request_on_connection"]) for post in double.posts()] == [
        (1, 1), (1, 2), (1, 3)]
    clients = [Raw(double.url) for _ in range(150)]
    for i, client in enumerate(clients):
        client.send(request_bytes(form(data=b"many %d" % i))[:-5])
    for i, client in enumerate(clients):
        client.send(request_bytes(form(data=b"many %d" % i))[-5:])
    assert all(client.answer().status == 200 for client in clients)
    for client in clients:
        client.socket.close()
    assert len({post["connection"] for post in double.posts()}) == 151
    assert_summary(double, stored=153, distinct_sha256=153, doubled=0, posts=153, whole=153)


def test_doubled_counts_copies_of_content_that_is_there(double):
    first = new_id(upload(double, b"same"))
    upload(double, b"other")
    assert_summary(double, doubled=0)
    assert delete(double, f"/v3/engagements/{first}").status == 202
    upload(double, b"same")
    assert_summary(double, doubled=0)
    upload(double, b"same")
    counts = dict(doubled=1, stored=4, distinct_sha256=2, present=3, deletions=1)
    assert_summary(double, **counts)
    double.restart()
    assert_summary(double, **counts)


# ---- tokens and users ----

def test_the_token_is_raw(double):
    assert get(double, "/api/v1/users/me").status == 200
    assert_errors(get(double, "/api/v1/users/me", "wrong"), 401)
    assert_errors(get(double, "/api/v1/users/me", f"Bearer {TOKEN}"), 401)
    assert_errors(get(double, "/api/v1/users/me", None), 401)
    assert double.offences() == [(3, "token with a scheme"), (4, "token absent")]
    journal = (double.data / "requests.jsonl").read_text()
    assert TOKEN not in journal and "Authorization" in journal


def test_the_token_may_be_bearer(double_factory):
    double = double_factory("--auth", "bearer")
    assert get(double, "/api/v1/users/me", f"Bearer {TOKEN}").status == 200
    assert_errors(get(double, "/api/v1/users/me"), 401)
    assert double.offences() == [(2, "token without a scheme")]


def test_without_a_token_any_is_accepted_but_none_is_not(double_factory):
    double = double_factory(token=None)
    assert get(double, "/api/v1/users/me", "anything").status == 200
    assert get(double, "/api/v1/users/me", None).status == 401


def test_the_token_rotates(double):
    double.set_token("fresh")
    assert get(double, "/api/v1/users/me").status == 401
    assert get(double, "/api/v1/users/me", "fresh").status == 200
    double.set_token("")
    assert get(double, "/api/v1/users/me", "fresh").status == 401
    assert get(double, "/api/v1/users/me", "").status == 401
    assert double.offences() == [(4, "token absent")]


def test_every_endpoint_wants_the_token(double):
    with Client(double.url, "wrong") as client:
        for method, path in (("GET", "/v3/engagements"), ("GET", "/v3/users"),
                             ("DELETE", "/v3/engagements?engagement_id=A"),
                             ("DELETE", "/v3/engagements/A"),
                             ("GET", "/api/v1/conversations/A"),
                             ("DELETE", "/api/v1/conversations/A"), ("GET", "/nothing")):
            assert_errors(client.call(method, path), 401)
        assert client.upload().status == 401
    assert double.stored() == []


def test_unknown_paths_and_methods(double):
    assert_errors(get(double, "/v3/nothing"), 404)
    assert_errors(get(double, "/v3/upload"), 405)
    assert_errors(delete(double, "/v3/engagements/A/B"), 404)


def test_unknown_users_are_refused(double_factory, tmp_path):
    names = tmp_path / "users"
    names.write_text("# agents\nann@example.com\nbob@example.com\n")
    double = double_factory("--users", names, "--user", "eve@example.com", "--unknown-user", "422")
    assert upload(double, fields={"user": "Ann@example.com"}).status == 200
    assert upload(double, b"2", fields={"user": "eve@example.com"}).status == 200
    assert_errors(upload(double, fields={"user": "team@example.com"}), 422)


@pytest.mark.parametrize("shape", ["users", "list", "jsonapi"])
def test_the_users(double_factory, shape):
    double = double_factory("--user", "ann@example.com", "--me", "me@example.com",
                            "--users-shape", shape)
    body = get(double, "/v3/users").json()
    users = body if shape == "list" else body["data" if shape == "jsonapi" else "users"]
    found = [user["attributes"]["email"] if shape == "jsonapi" else user["email"] for user in users]
    assert found == ["ann@example.com", "me@example.com"]
    me = get(double, "/api/v1/users/me")
    assert me.headers["Content-Type"] == "application/vnd.api+json"
    assert me.json()["data"]["attributes"]["email"] == "me@example.com"


# ---- the unknowns of an upload ----

@pytest.mark.parametrize("where, find", [
    ("engagement_id", lambda body: body["engagement_id"]), ("id", lambda body: body["id"]),
    ("data.id", lambda body: body["data"]["id"]), ("callid", lambda body: body["callid"])])
def test_where_the_id_is(double_factory, where, find):
    double = double_factory("--id-field", where)
    assert find(upload(double).json()) == double.stored()[0]["engagement_id"]


def test_no_id_at_all(double_factory):
    assert upload(double_factory("--id-field", "none")).json() == {}


def test_the_answer_of_the_import(double_factory):
    double = double_factory("--id-field", "callid", "--answer", "success")
    body = upload(double).json()
    assert body == {"callid": double.stored()[0]["engagement_id"], "success": True}


def test_an_empty_answer_and_a_refusal_in_a_200(double_factory):
    empty = double_factory("--answer", "empty")
    answer = upload(empty)
    assert answer.status == 200 and answer.body == b"" and len(empty.stored()) == 1
    refusing = double_factory("--answer", "refused")
    answer = upload(refusing)
    assert answer.status == 200 and answer.json()["success"] is False and refusing.stored() == []


def test_a_known_meeting_id_is_refused_unless_told_not_to(double):
    key = {"meeting_id": "m-1"}
    assert upload(double, b"1", fields=key).status == 200
    assert_errors(upload(double, b"2", fields=key), 409)
    assert_errors(upload(double, b"2", fields={**key, "enforce_unique_meeting_id": "true"}), 409)
    assert upload(double, b"3", fields={**key, "enforce_unique_meeting_id": "false"}).status == 200
    assert_errors(upload(double, b"4", fields={**key, "enforce_unique_meeting_id": "perhaps"}), 400)
    assert upload(double, b"5", fields={"meeting_id": "M-1"}).status == 200
    assert upload(double, b"6", fields={"meeting_id": ""}).status == 200
    assert upload(double, b"7", fields={"meeting_id": ""}).status == 200
    assert len(double.stored()) == 5


@pytest.mark.parametrize("look, status, kind", [
    ("409", 409, "application/vnd.api+json"), ("409-html", 409, "text/html"),
    ("409-empty", 409, None), ("400", 400, "application/vnd.api+json"),
    ("422", 422, "application/vnd.api+json"), ("200-false", 200, "application/json")])
def test_how_a_conflict_looks(double_factory, look, status, kind):
    double = double_factory("--conflict", look)
    upload(double, b"1", fields={"meeting_id": "m"})
    answer = upload(double, b"2", fields={"meeting_id": "m"})
    assert answer.status == status and answer.headers["Content-Type"] == kind
    assert (answer.body == b"") == (look == "409-empty")
    if look == "200-false":
        assert answer.json()["success"] is False
    assert len(double.stored()) == 1


def test_the_calendar(double_factory):
    double = double_factory("--meeting-ids", "calendar", "--calendar", "c-1", "--calendar", "c-2")
    assert_errors(upload(double, fields={"meeting_id": "other"}), 400)
    assert upload(double, fields={"meeting_id": "c-2"}).status == 200
    assert upload(double, b"none").status == 200
    known = double_factory("--calendar", "c-1", "--calendar-known")
    assert_errors(upload(known, fields={"meeting_id": "c-1"}), 409)
    assert upload(known, fields={"meeting_id": "free"}).status == 200


def test_whether_deletion_frees_a_meeting_id(double_factory):
    for switches, status in (([], 409), (["--deletion-frees"], 200)):
        double = double_factory(*switches)
        first = new_id(upload(double, b"1", fields={"meeting_id": "m"}))
        delete(double, f"/v3/engagements/{first}")
        assert upload(double, b"2", fields={"meeting_id": "m"}).status == status


def test_uniqueness_is_atomic_or_not(double_factory):
    for switches, stored in (([], 1), (["--check-then-store", "400"], 4)):
        double = double_factory(*switches)
        waits = [in_background(lambda: upload(double, b"same", fields={"meeting_id": "m"}))
                 for _ in range(4)]
        statuses = sorted(wait().status for wait in waits)
        assert statuses == [200] * stored + [409] * (4 - stored)
        assert_summary(double, stored=stored, doubled=stored - 1)
        assert upload(double, b"same", fields={"meeting_id": "m"}).status == 409


def test_the_size_limit(double_factory):
    double = double_factory("--max-size", "1000")
    assert upload(double, b"x" * 900, fields={"name": "n" * 400}).status == 413
    assert upload(double, b"x" * 600).status == 200
    assert upload(double, b"x" * 2000).status == 413
    assert [post["whole"] for post in double.posts()] == [True, True, True]


def test_refused_extensions(double_factory):
    double = double_factory("--refuse-extension", "m4a", "--refuse-extension", "opus")
    assert_errors(upload(double, filename="call.M4A"), 415)
    assert_errors(upload(double, filename="call.opus"), 415)
    assert upload(double, filename="m4a.wav").status == 200


@pytest.mark.parametrize("refuse, whole", [("late", True), ("early", False), ("abrupt", False)])
def test_when_a_refusal_comes(double_factory, refuse, whole):
    double = double_factory("--refuse", refuse, "--max-size", "100000")
    head = request_bytes(form(data=b"x" * 50_000), token="wrong")[:-40_000]
    with Raw(double.url) as raw:
        raw.send(head)
        if whole:
            assert raw.is_silent(0.3)
            raw.send(b"x" * 40_000)
        answer = raw.answer()
        assert answer.status == 401
        assert (answer.headers["Connection"] == "close") == (not whole)
        if refuse == "early":
            raw.send(b"x" * 30_000)  # taken, not reset: the answer must not be lost
            time.sleep(0.1)
            raw.send(b"x" * 10_000)
    with Raw(double.url) as raw:
        raw.send(request_bytes(form(data=b"x" * 200_000))[:-150_000])
        if whole:
            raw.send(b"x" * 150_000)
        assert raw.answer().status == 413
    double.set_script("*: status 429 retry-after 1")
    with Raw(double.url) as raw:
        raw.send(request_bytes(form())[:-1])
        if whole:
            raw.send(b"\n")
        assert raw.answer().status == 429
    assert [post["whole"] for post in double.posts()] == [whole] * 3


# ---- reads ----

def test_a_conversation(double):
    engagement = new_id(upload(double, b"x" * 5000, fields={"meeting_id": "m-1", "name": "call 7"}))
    answer = get(double, f"/api/v1/conversations/{engagement}")
    assert answer.headers["Content-Type"] == "application/vnd.api+json"
    data = answer.json()["data"]
    assert data["id"] == engagement and data["type"] == "conversation"
    assert data["attributes"]["name"] == "call 7"
    assert data["attributes"]["status"] == "done"
    assert data["attributes"]["meeting"] == {"id": "m-1"}
    assert data["attributes"]["owner"]["email"] == "team@example.com"
    some = get(double, f"/api/v1/conversations/{engagement}?fields=meeting.id,status")
    assert set(some.json()["data"]["attributes"]) == {"meeting", "status"}
    plain = new_id(upload(double, b"no meeting"))
    some = get(double, f"/api/v1/conversations/{plain}?fields=meeting.id")
    assert some.json()["data"]["attributes"] == {"meeting": None}
    assert_errors(get(double, "/api/v1/conversations/" + "A" * 32), 404)


def test_the_list_is_newest_first_with_filters(double):
    ids = [new_id(upload(double, b"%d" % i, fields={"name": f"call {i}",
                                                    "user": f"u{i % 2}@example.com"}))
           for i in range(5)]
    found = rows(double)
    assert [row["engagement_id"] for row in found] == ids[::-1]
    assert found[0]["subject"] == "call 4" and found[0]["user_email"] == "u0@example.com"
    assert found[0]["processing_state"] == "done" and found[0]["engagement_type"] == "meeting"
    assert abs(found[0]["date_time"] - time.time()) < 120
    batch = rows(double, f"?engagement_id={ids[1]},{ids[3]},{'A' * 32}")
    assert [row["engagement_id"] for row in batch] == [ids[3], ids[1]]
    user = found[1]["user_id"]
    assert [row["subject"] for row in rows(double, f"?user_id=1,{user}")] == ["call 3", "call 1"]
    assert rows(double, "?engagement_type=dialer") == []
    assert len(rows(double, "?engagement_type=meeting")) == 5


def test_dates_are_iso_or_unix_seconds(double):
    upload(double)
    now = datetime.datetime.now(datetime.timezone.utc)
    hour = datetime.timedelta(hours=1)

    def shown(minimum, maximum):
        return len(rows(double, f"?min_date={minimum}&max_date={maximum}"))

    for form_of in (lambda at: at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    lambda at: at.strftime("%Y-%m-%dT%H:%M:%S.500Z"),
                    lambda at: at.strftime("%Y-%m-%dT%H:%M:%S%%2B00:00"),
                    lambda at: (at - hour).strftime("%Y-%m-%dT%H:%M:%S-0100"),
                    lambda at: str(int(at.timestamp()))):
        assert shown(form_of(now - hour), form_of(now + hour)) == 1
        assert shown(form_of(now + hour), form_of(now + 2 * hour)) == 0
        assert shown(form_of(now - 2 * hour), form_of(now - hour)) == 0
    day = datetime.timedelta(days=1)
    assert shown((now - day).date(), (now + day).date()) == 1
    assert_errors(get(double, "/v3/engagements?min_date=yesterday"), 400)


def test_what_date_an_upload_has(double_factory):
    unknown = double_factory("--date-time", "unknown")
    upload(unknown)
    assert "date_time" not in rows(unknown)[0]
    assert rows(unknown, "?min_date=2020-01-01") == []
    fixed = double_factory("--date-time", "1000000000")
    upload(fixed)
    assert rows(fixed)[0]["date_time"] == 1000000000


def fill(double, count):
    """Stores `count` engagements through one connection; newest first, their names."""
    with Client(double.url) as client:
        for i in range(count):
            assert client.upload(b"%d" % i, fields={"name": f"call {i}"}).status == 200
    return [f"call {i}" for i in reversed(range(count))]


def pages(double, most=10):
    """The subjects of each page, following the continuation key."""
    found, key = [], ""
    for _ in range(most):
        body = get(double, f"/v3/engagements?min_duration=0{key}").json()
        found.append([row["subject"] for row in body["engagements"]])
        if "continuation_key" not in body:
            break
        key = f"&continuation_key={body['continuation_key']}"
    return found


def test_pages_of_a_hundred(double):
    names = fill(double, 230)
    assert pages(double) == [names[:100], names[100:200], names[200:]]
    assert_errors(get(double, "/v3/engagements?continuation_key=forged"), 400)


def test_a_page_stays_where_it_was_when_uploads_come_in(double):
    names = fill(double, 130)
    key = get(double, "/v3/engagements").json()["continuation_key"]
    fill(double, 3)
    assert [row["subject"] for row in rows(double, f"?continuation_key={key}")] == names[100:]


def test_exactly_one_page_has_no_key(double):
    fill(double, 100)
    assert len(pages(double)) == 1


def test_rows_repeat_and_keys_loop(double_factory):
    repeating = double_factory("--repeat-rows")
    names = fill(repeating, 150)
    assert pages(repeating) == [names[:100], names[99:]]
    looping = double_factory("--loop-key")
    fill(looping, 3)
    assert pages(looping, most=4) == [["call 2", "call 1", "call 0"]] * 4


def test_private_rows_are_never_read_but_known(double_factory):
    double = double_factory("--private", "2")
    ids = [new_id(upload(double, b"%d" % i, fields={"meeting_id": f"m{i}"})) for i in range(4)]
    assert [row["engagement_id"] for row in rows(double)] == [ids[2], ids[0]]
    assert get(double, f"/api/v1/conversations/{ids[1]}").status == 404
    assert upload(double, fields={"meeting_id": "m1"}).status == 409
    assert delete(double, f"/v3/engagements/{ids[1]}").status == 202
    assert rows(double_factory("--private", "all")) == []


def test_reads_lag(double_factory):
    double = double_factory("--list-lag", "700", "--read-lag", "300")
    start = time.monotonic()
    engagement = new_id(upload(double))
    assert rows(double) == []
    assert get(double, f"/api/v1/conversations/{engagement}").status == 404
    wait_until(lambda: get(double, f"/api/v1/conversations/{engagement}").status == 200, "a read")
    wait_until(lambda: len(rows(double)) == 1, "the list")
    assert time.monotonic() - start >= 0.7


def test_processing(double_factory):
    double = double_factory("--processed-after", "500", "--processed-state", "no show")
    engagement = new_id(upload(double))
    assert rows(double)[0]["processing_state"] == "processing"
    status = lambda: get(double, f"/api/v1/conversations/{engagement}").json()["data"][
        "attributes"]["status"]
    assert status() == "processing"
    wait_until(lambda: status() == "no show", "the end of processing")
    never = double_factory("--processed-after", "never")
    upload(never)
    assert rows(never)[0]["processing_state"] == "processing"


# ---- deletions ----

def test_deletions(double):
    ids = [new_id(upload(double, b"%d" % i)) for i in range(5)]
    answer = delete(double, f"/v3/engagements/{ids[0]}")
    assert answer.status == 202 and answer.json()["data"]["type"] == "task"
    assert delete(double, f"/api/v1/conversations/{ids[1]}?force_delete=true").status == 202
    assert delete(double, f"/v3/engagements?engagement_id={ids[2]},{ids[3]}").status == 202
    assert [row["engagement_id"] for row in rows(double)] == [ids[4]]
    assert get(double, f"/api/v1/conversations/{ids[0]}").status == 404
    assert [(one["engagement_id"], one["force"]) for one in double.deletions()] == [
        (ids[0], False), (ids[1], True), (ids[2], False), (ids[3], False)]
    assert_errors(delete(double, f"/v3/engagements/{ids[0]}"), 404)
    assert_errors(delete(double, f"/api/v1/conversations/{'A' * 32}"), 404)
    assert delete(double, f"/v3/engagements?engagement_id={'A' * 32}").status == 202


def test_at_most_a_hundred_in_a_batch(double):
    many = ",".join(f"{i:032X}" for i in range(100))
    assert delete(double, f"/v3/engagements?engagement_id={many}").status == 202
    assert_errors(delete(double, f"/v3/engagements?engagement_id={many},{'B' * 32}"), 400)
    assert_errors(delete(double, "/v3/engagements"), 400)
    assert_errors(delete(double, "/v3/engagements?engagement_id="), 400)


def test_a_batch_may_refuse_what_is_unknown(double_factory):
    double = double_factory("--delete-unknown", "404")
    known = new_id(upload(double))
    assert_errors(delete(double, f"/v3/engagements?engagement_id={known},{'A' * 32}"), 404)


def test_when_a_deletion_takes_effect(double_factory):
    late = double_factory("--delete-after", "600")
    engagement = new_id(upload(late))
    assert delete(late, f"/v3/engagements/{engagement}").status == 202
    assert len(rows(late)) == 1
    assert delete(late, f"/v3/engagements/{engagement}").status == 202
    late.restart()
    wait_until(lambda: rows(late) == [], "the deletion")
    assert len(late.deletions()) == 1
    never = double_factory("--delete-after", "never")
    engagement = new_id(upload(never))
    assert delete(never, f"/v3/engagements/{engagement}").status == 202
    never.restart()
    assert len(rows(never)) == 1
    assert never.deletions()[0]["gone_at_ms"] is None


# ---- durability ----

def test_everything_survives_kill(double):
    first = new_id(upload(double, b"1", fields={"meeting_id": "m"}))
    second = new_id(upload(double, b"2"))
    delete(double, f"/v3/engagements/{second}")
    with Raw(double.url) as raw:
        raw.send(request_bytes(form(data=b"x" * 1000))[:-500])
        wait_until(lambda: len(read_lines(double.data / "arrivals.jsonl")) == 4, "the arrival")
        before = double.summary()
        double.kill()
    double.start()
    assert [row["engagement_id"] for row in rows(double)] == [first]
    assert upload(double, b"3", fields={"meeting_id": "m"}).status == 409
    posts = double.posts()
    assert [(post["n"], post["whole"], post["status"]) for post in posts] == [
        (1, True, 200), (2, True, 200), (4, False, "none"), (6, True, 409)]
    assert posts[2]["ended"] == "the double ended first"
    assert_summary(double, posts=before["posts"] + 1, whole=before["whole"] + 1)
    assert len({post["connection"] for post in posts}) == 4


def test_what_is_stored_when_killed_counts_as_whole(double_factory):
    double = double_factory(script="1: store delay 60000")
    with Raw(double.url) as raw:
        raw.send(request_bytes(form(data=b"kept")))
        wait_until(double.stored, "the storing")
        double.kill()
        assert raw.rest()[1] in ("fin", "reset")
    double.set_script("")
    double.start()
    [post] = double.posts()
    assert post["whole"] is True and post["status"] == "none"
    assert_summary(double, stored=1, posts=1, whole=1)


def test_a_torn_last_line_is_cut_off(double):
    upload(double, b"1")
    double.stop()
    with open(double.data / "stored.jsonl", "a") as file:
        file.write('{"event":"stored","engag')
    double.start()
    assert len(rows(double)) == 1
    upload(double, b"2")
    assert len(double.stored()) == 2


def test_media_is_kept(double_factory):
    double = double_factory("--keep-media")
    engagement = new_id(upload(double, b"the bytes", fields={"meeting_id": "m"}))
    upload(double, b"refused", fields={"meeting_id": "m"})
    with Raw(double.url) as raw:
        raw.send(request_bytes(form(data=b"x" * 1000))[:-500])
    wait_until(lambda: len(double.posts()) == 3, "the third line")
    wait_until(lambda: [one.name for one in (double.data / "media").iterdir()] == [engagement],
               "only what is stored")
    assert (double.data / "media" / engagement).read_bytes() == b"the bytes"


def test_without_a_directory_nothing_is_kept(tmp_path):
    process = subprocess.Popen([programs.find("CHORUS_DOUBLE")], stdout=subprocess.PIPE, text=True,
                               cwd=tmp_path)
    url = process.stdout.readline().split()[-1]
    with Client(url) as client:
        assert client.upload().status == 200
        assert len(client.get("/v3/engagements").json()["engagements"]) == 1
    process.terminate()
    assert process.wait(30) == 0
    process.stdout.close()
    assert list(tmp_path.iterdir()) == []


# ---- https ----

def test_tls(double_factory, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
                    "-subj", "/CN=localhost", "-keyout", key, "-out", cert], check=True,
                   capture_output=True)
    double = double_factory("--tls", cert, key)
    assert double.url.startswith("https://")
    data = bytes(range(256)) * 1000
    with Client(double.url) as client:
        assert client.upload(data).status == 200
        assert client.upload(b"again").status == 200
    assert double.stored()[0]["sha256"] == hashlib.sha256(data).hexdigest()
    double.set_script("1: store reset\n2: status 503\n")
    with Client(double.url) as client, pytest.raises(OSError):
        client.upload(b"lost")
    with Client(double.url) as client:
        assert client.upload(b"no").status == 503
    assert len(double.stored()) == 3


# ---- recordings ----

@pytest.mark.parametrize("kind", made.TAKEN + made.REFUSED)
def test_recordings_are_true_and_distinct(kind, tmp_path):
    one = made.make(tmp_path / f"1.{made.extension(kind)}", kind, seed=1)
    two = made.make(tmp_path / f"2.{made.extension(kind)}", kind, seed=2)
    again = made.make(tmp_path / f"3.{made.extension(kind)}", kind, seed=1)
    assert made.sha256(one) != made.sha256(two)
    if kind in ("wav", "wav-gsm", "mp3", "au"):
        assert made.sha256(one) == made.sha256(again)
    raw = ["-f", "mulaw", "-ar", "8000"] if kind == "ulaw" else []
    sound = subprocess.run(["ffmpeg", "-nostdin", "-v", "error", *raw, "-i", one, "-f", "s16le",
                            "-ar", "8000", "-ac", "1", "-"], check=True, capture_output=True).stdout
    assert 0.8 * 16000 < len(sound) < 1.6 * 16000 and any(sound)


def test_hundreds_of_recordings(tmp_path):
    paths = made.many(tmp_path, 300)
    assert len({made.sha256(path) for path in paths}) == 300
    assert made.sized(tmp_path / "sized.wav", 1000).stat().st_size == 1000
    for path in (paths[7], tmp_path / "sized.wav"):
        probe = subprocess.run(["ffprobe", "-v", "error", "-show_entries",
                                "stream=codec_name,sample_rate", "-of", "json", path],
                               check=True, capture_output=True)
        assert json.loads(probe.stdout)["streams"] == [
            {"codec_name": "pcm_s16le", "sample_rate": "8000"}]


def test_the_quickstart_recordings(tmp_path):
    tool = programs.PROJECT / "tests/media/make-recordings"
    done = subprocess.run([tool, tmp_path / "calls"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    files = sorted((tmp_path / "calls").iterdir())
    assert sorted(done.stdout.splitlines()) == [str(file) for file in files]
    assert len(files) == 6 and len({made.sha256(file) for file in files}) == 6
    assert len({file.suffix for file in files}) == 6
    assert all("555" in file.name for file in files)
