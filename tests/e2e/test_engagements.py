"""`engagements`: what Chorus shows, each with the local recording that it is."""

import json

import pytest


def shown(agent, *arguments, check=0):
    done = agent.run("engagements", "--json", *arguments, check=check)
    return [json.loads(line) for line in done.stdout.splitlines()]


def upload(agent, recordings, count, **changes):
    agent.configure(**changes)
    paths = recordings.many(agent.calls, count)
    agent.run("once", check=0)
    return paths


def test_every_engagement_is_shown_with_its_recording(double, agent, recordings):
    upload(agent, recordings, 3)
    rows = shown(agent)
    known = {line["engagement_id"]: line for line in agent.list()}
    assert {row["engagement_id"] for row in rows} == {line["engagement_id"] for line in double.stored()}
    for row in rows:
        line = known[row["engagement_id"]]
        assert row["recording"] == {"path": line["path"], "state": "uploaded", "sha256": line["sha256"]}
        assert row["owner"] == "team@example.com" and row["subject"] == line["name"]
        assert row["date_time"].endswith("Z") and row["processing_state"] == "done"
    text = agent.run("engagements", check=0).stdout
    assert all(line["path"] in text for line in known.values())


def test_what_the_ledger_does_not_know_is_shown_without_one(double, agent_factory, recordings):
    other, agent = agent_factory(double), agent_factory(double)
    upload(other, recordings, 2)
    rows = shown(agent)
    assert len(rows) == 2 and not any("recording" in row for row in rows)
    assert agent.run("engagements", check=0).stdout.count("unknown to the ledger") == 2
    assert not agent.state_dir.exists()


@pytest.mark.parametrize("switches", [[], ["--repeat-rows"], ["--loop-key"], ["--loop-key", "--repeat-rows"]])
def test_every_page_is_read_and_no_row_is_shown_twice(double_factory, agent_factory, recordings, switches):
    double = double_factory("--no-sync", *switches)
    agent = agent_factory(double)
    upload(agent, recordings, 230)
    ids = [row["engagement_id"] for row in shown(agent)]
    assert len(ids) == len(set(ids)) == 230


def test_narrowed_by_owner_name_and_date(double, agent, recordings):
    paths = upload(agent, recordings, 4)
    agent.configure(watches={"calls": {"owner": "Boss@example.com"}})
    recordings.many(agent.calls, 1, first=10)
    agent.run("once", check=0)
    assert len(shown(agent)) == 5
    assert len(shown(agent, "--owner", "boss@EXAMPLE.com")) == 1
    assert [row["subject"] for row in shown(agent, "--name", "CALL-00002")] == [paths[2].stem]
    assert shown(agent, "--name", "nobody") == []
    assert len(shown(agent, "--from", "2020-01-01", "--to", "2099-12-31")) == 5
    assert shown(agent, "--to", "2020-01-01") == []
    assert shown(agent, "--from", "2099-12-31") == []
    agent.run("engagements", "--from", "yesterday", check=64)
    agent.run("engagements", "more", check=64)


def test_a_passing_fault_is_tried_again_and_a_refusal_is_told(double, agent, recordings):
    upload(agent, recordings, 1)
    double.set_script("GET /v3/engagements 1: status 503\n2: reset\n3: status 429 retry-after 1\n")
    assert len(shown(agent)) == 1
    double.set_script("GET /v3/engagements: status 503\n")
    assert "503" in agent.run("engagements", check=69).stderr
    double.set_script("")
    agent.set_token("wrong")
    assert "401" in agent.run("engagements", check=77).stderr
    agent.token_file.unlink()
    agent.run("engagements", check=77)
