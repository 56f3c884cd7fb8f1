"""Sidecars say whose call it is: before the recording or after it, or never; and none of them does harm."""

import json
import os

import pytest

from support.mounts import pinned, tmpfs
from support.promise import assert_kept
from support.waiting import wait_until

SIDECAR = {"sidecar": "{stem}.json", "sidecar_wait": "3s"}


def put_sidecar(agent, name, content):
    """Written beside and renamed into place, as a careful dialer does."""
    target = agent.calls / name
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = agent.root / ".sidecar.new"
    fresh.write_bytes(content if isinstance(content, bytes) else
                      (content if isinstance(content, str) else json.dumps(content)).encode())
    fresh.rename(target)
    return target


def sent(double, path):
    found, = [line["fields"] for line in double.stored() if line["filename"] == path.name]
    return found


@pytest.fixture
def site(agent):
    agent.configure(watches={"calls": SIDECAR})
    return agent


def test_a_sidecar_wins_over_rules_and_its_fields_are_kept(double, site, recordings):
    put_sidecar(site, "deep/a.json", {"user": "ann@example.com", "name": "a call", "crm_account_id": "001",
                                      "phone_customer": 15555550123, "queue": "sales", "tags": ["x"], "none": None})
    site.start()
    path = site.put(recordings.wav(site.root / "a.wav", 1), "deep/a.wav")
    site.wait_counts(uploaded=1)
    assert sent(double, path) == {"name": "a call", "user": "ann@example.com", "crm_account_id": "001",
                                  "meeting_id": "sha256-" + recordings.sha256(path),
                                  "enforce_unique_meeting_id": "true"}
    fields = site.find(path)["fields"]
    assert fields["phone_customer"] == "15555550123" and fields["queue"] == "sales" and "tags" not in fields
    assert len(site.list()) == 1, "a sidecar is no recording"
    assert_kept(double, site, [path])


def test_a_sidecar_that_comes_later_is_waited_for_and_said(double, site, recordings):
    site.configure(watches={"calls": {"sidecar_wait": "60s"}})
    site.start()
    path = site.put(recordings.wav(site.root / "a.wav", 1))
    site.wait_counts(waiting=1)
    assert site.find(path)["reason"] == "waits for its sidecar a.json"
    assert "waits for its sidecar a.json" in site.run("explain", path, check=0).stdout
    put_sidecar(site, "a.json", {"user": "ann@example.com"})
    site.wait_counts(uploaded=1, timeout=20)
    assert sent(double, path)["user"] == "ann@example.com"
    assert_kept(double, site, [path])


def test_without_a_sidecar_it_goes_on_by_the_rules(double, site, recordings):
    site.configure(watches={"calls": {"sidecar_wait": "500ms"}})
    site.start()
    path = site.put(recordings.wav(site.root / "a.wav", 1))
    site.wait_counts(uploaded=1)
    assert sent(double, path)["user"] == "team@example.com"
    assert_kept(double, site, [path])


def test_a_required_sidecar_holds_until_it_comes(double, site, recordings):
    site.configure(watches={"calls": {"sidecar_wait": "300ms", "sidecar_required": True}})
    site.start()
    path = site.put(recordings.wav(site.root / "a.wav", 1))
    site.wait_counts(held=1)
    assert site.find(path)["reason"] == "its sidecar a.json is missing (sidecar_required)"
    site.restart()
    put_sidecar(site, "a.json", {"user": "ann@example.com"})
    site.wait_counts(uploaded=1)
    assert sent(double, path)["user"] == "ann@example.com"
    assert_kept(double, site, [path])


def test_a_watch_may_have_nothing_but_sidecars(double, site, recordings):
    site.configure(watches={"calls": {"owner": None, "sidecar_wait": "300ms"}})
    site.start()
    put_sidecar(site, "a.json", {"user": "ann@example.com"})
    path = site.put(recordings.wav(site.root / "a.wav", 1))
    nameless = site.put(recordings.wav(site.root / "b.wav", 2))
    site.wait_counts(uploaded=1, held=1)
    assert "no e-mail address" in site.find(nameless)["reason"]
    assert sent(double, path)["user"] == "ann@example.com"
    assert_kept(double, site, [path])


def test_fields_are_picked_by_path_and_looked_up(double, site, recordings):
    (site.root / "agents.csv").write_text("A-7,ann@example.com\n")
    site.configure(tables={"agents": f"{site.root}/agents.csv"}, watches={"calls": {
        "owner": None, "sidecar": "{stem}_metadata.json", "sidecar_fields": {
            "agent": "participants.0.id", "phone_customer": "participants.1.ani", "nothing": "participants.9.x"},
        "rules": [{"title": "genesys", "owner": "{agent|agents}", "name": "{agent} {phone_customer|last4}{nothing}"}]}})
    site.start()
    put_sidecar(site, "a_metadata.json", {"participants": [{"id": "a-7"}, {"ani": "+15555550123"}]})
    path = site.put(recordings.wav(site.root / "a.wav", 1))
    site.wait_counts(uploaded=1)
    assert sent(double, path)["user"] == "ann@example.com"
    assert sent(double, path)["name"] == "a-7 0123"
    assert_kept(double, site, [path])


@pytest.mark.parametrize("content, words", [
    (b'{"user": "ann@example.com"', "no JSON, or cut"),
    (b"[1, 2]", "no JSON object"),
    (b"", "no JSON"),
    (b"\0\1\2", "byte 0"),
    (b'{"user": "ann@example.com\\u0000.evil"}', "byte 0"),
    (b'{"user": "ann@example.com", "user": "eve@example.com"}', "stands in it twice"),
    (b'{"a":' * 100 + b"1" + b"}" * 100, "nested deeper"),
    (b'{"a": "' + b"x" * 300_000 + b'"}', "larger than"),
    (b'{"call": 12345678901234567890}', "too large to be exact"),
    (b'{"user": "Ann"}', '"Ann" is no e-mail address'),
], ids=["cut", "list", "empty", "binary", "zero", "twice", "deep", "huge", "number", "address"])
def test_a_sidecar_that_cannot_be_used_holds_with_the_reason(double, site, recordings, content, words):
    site.start()
    put_sidecar(site, "a.json", content)
    path = site.put(recordings.wav(site.root / "a.wav", 1))
    site.wait_counts(held=1)
    assert words in site.find(path)["reason"]
    assert words in site.run("explain", path, check=0).stdout
    put_sidecar(site, "a.json", {"user": "ann@example.com"})
    site.wait_counts(uploaded=1)
    assert sent(double, path)["user"] == "ann@example.com"
    assert_kept(double, site, [path])


def test_a_sidecar_that_is_being_written_is_waited_for_beyond_its_time(double, site, recordings):
    """It is there, so going on by the rules would be a guess."""
    site.configure(watches={"calls": {"sidecar_wait": "300ms"}})
    site.start()
    with open(site.calls / "a.json", "w") as writer:
        writer.write('{"user": ')
        writer.flush()
        path = site.put(recordings.wav(site.root / "a.wav", 1))
        wait_until(lambda: site.counts().get("waiting") == 1 and "settled" in site.find(path)["reason"], "it waits on",
                   describe=site.describe)
        writer.write('"ann@example.com"}')
    site.wait_counts(uploaded=1)
    assert sent(double, path)["user"] == "ann@example.com"
    assert_kept(double, site, [path])


def test_what_waits_for_a_sidecar_survives_a_kill(double, site, recordings):
    site.configure(watches={"calls": {"sidecar_wait": "60s"}})
    site.start()
    paths = [site.put(path) for path in recordings.many(site.root / "made", 20)]
    site.wait_counts(waiting=20)
    site.kill()
    for path in paths[:10]:
        put_sidecar(site, f"{path.stem}.json", {"user": "ann@example.com"})
    site.start()
    site.wait_counts(uploaded=10, waiting=10)
    site.kill()
    site.start()
    for path in paths[10:]:
        put_sidecar(site, f"{path.stem}.json", {"user": "bob@example.com"})
    site.wait_counts(uploaded=20)
    assert [sent(double, path)["user"] for path in paths] == ["ann@example.com"] * 10 + ["bob@example.com"] * 10
    assert_kept(double, site, paths)


def test_once_reads_sidecars_too(double, site, recordings):
    site.configure(watches={"calls": {"sidecar_wait": "500ms"}})
    path = site.put(recordings.wav(site.root / "a.wav", 1), "x/a.wav")
    put_sidecar(site, "x/a.json", {"user": "ann@example.com"})
    plain = site.put(recordings.wav(site.root / "b.wav", 2), "x/b.wav")
    site.run("once", path.parent, check=0)
    assert sent(double, path)["user"] == "ann@example.com"
    assert sent(double, plain)["user"] == "team@example.com"
    assert_kept(double, site, [path, plain])


def test_a_link_in_place_of_a_sidecar_is_not_followed(double, site, recordings):
    secret = site.root / "secret.json"
    secret.write_text('{"user": "ann@example.com"}')
    os.symlink(secret, site.calls / "a.json")
    site.configure(watches={"calls": {"sidecar_wait": "300ms"}})
    site.start()
    path = site.put(recordings.wav(site.root / "a.wav", 1))
    wait_until(lambda: site.counts().get("held") == 1, "it is held", describe=site.describe)
    assert "sidecar cannot be used" in site.find(path)["reason"]
    assert_kept(double, site, [])


def expect_moved(site, moved, recording, *sidecars):
    """The recording, and beside it these, which are {name: content}."""
    for name, content in dict(sidecars).items():
        wait_until(lambda name=name: (moved / name).exists(), f"{name} is moved", describe=site.describe)
        wait_until(lambda name=name, content=content: (moved / name).read_bytes() == content, f"{name} is whole")
    assert (moved / recording).exists()
    wait_until(lambda: not any(path.is_file() for path in site.calls.rglob("*")), "nothing is left behind",
               describe=site.describe)
    assert not list(moved.rglob(".*")), "no temporary file is left"


def test_move_takes_the_sidecar_along(double, site, recordings):
    moved = site.root / "moved"
    moved.mkdir()
    site.configure(watches={"calls": {"after_upload": "move", "move_to": str(moved)}})
    site.start()
    sidecar = put_sidecar(site, "deep/a.json", {"user": "ann@example.com"})
    content = sidecar.read_bytes()
    site.put(recordings.wav(site.root / "a.wav", 1), "deep/a.wav")
    expect_moved(site, moved, "deep/a.wav", ("deep/a.json", content))


def test_move_takes_the_sidecar_along_to_another_file_system(double, site, recordings):
    """It is copied there, with its times and mode, and overwrites nothing."""
    with tmpfs(site.root / "moved") as moved:
        assert moved.stat().st_dev != site.calls.stat().st_dev
        (moved / "deep").mkdir()
        (moved / "deep" / "a.json").write_text("somebody else's")
        site.configure(watches={"calls": {"after_upload": "move", "move_to": str(moved)}})
        site.start()
        sidecar = put_sidecar(site, "deep/a.json", {"user": "ann@example.com", "notes": ["x" * 1000] * 100})
        sidecar.chmod(0o640)
        content, was = sidecar.read_bytes(), sidecar.stat()
        site.put(recordings.wav(site.root / "a.wav", 1), "deep/a.wav")
        expect_moved(site, moved, "deep/a.wav", ("deep/a-2.json", content), ("deep/a.json", b"somebody else's"))
        now = (moved / "deep" / "a-2.json").stat()
        assert now.st_mtime_ns == was.st_mtime_ns and now.st_mode == was.st_mode
        site.stop()


def test_a_recording_stays_beside_a_sidecar_that_cannot_be_moved(double, site, recordings):
    moved = site.root / "moved"
    moved.mkdir()
    site.configure(watches={"calls": {"after_upload": "move", "move_to": str(moved)}})
    sidecar = put_sidecar(site, "a.json", {"user": "ann@example.com"})
    with pinned(sidecar):
        site.start()
        path = site.put(recordings.wav(site.root / "a.wav", 1))
        wait_until(lambda: "not moved: its sidecar cannot be moved along" in site.log(), "it is said", describe=site.describe)
        assert path.exists() and not list(moved.iterdir()), "one without the other"
    assert_kept(double, site, [path])


def test_a_sidecar_that_another_recording_still_needs_stays_until_that_is_sent(double, site, recordings):
    moved = site.root / "moved"
    moved.mkdir()
    second = recordings.wav(site.root / "b.wav", 2)
    site.configure(watches={"calls": {"after_upload": "move", "move_to": str(moved)}})
    double.set_script(f"* sha {recordings.sha256(second)}: status 503")
    site.start()
    sidecar = put_sidecar(site, "a.json", {"user": "ann@example.com"})
    content = sidecar.read_bytes()
    site.put(recordings.wav(site.root / "a.wav", 1), "a.wav")
    site.put(second, "a.oga")
    wait_until(lambda: (moved / "a.wav").exists(), "the first is moved", describe=site.describe)
    assert sidecar.read_bytes() == content and not (moved / "a.json").exists()
    double.set_script("")
    expect_moved(site, moved, "a.oga", ("a.json", content))


@pytest.mark.parametrize("changes, words", [
    ({"sidecar": "../{stem}.json"}, "beside its recording"),
    ({"sidecar": "{stem}"}, "beside its recording"),
    ({"sidecar": "{path}.json"}, "beside its recording"),
    ({"sidecar": "{nothing}.json"}, "no field {nothing}"),
    ({"sidecar": "{stem}.json", "sidecar_fields": {"sha256": "a"}}, "cannot be the name"),
    ({"sidecar": "{stem}.json", "sidecar_wait": "0s"}, "sidecar_wait"),
])
def test_check_tells_what_is_wrong_with_sidecar_keys(agent, changes, words):
    agent.configure(watches={"calls": changes})
    assert words in agent.run("check", check=78).stdout
