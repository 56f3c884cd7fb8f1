"""Deletion beside a Chorus that says yes and does not, says no, or says nothing."""

import json
import time

import pytest

from support.deletion import PATIENCE, assert_proven, delete, outcomes, remaining, row_of, uploaded
from support.waiting import wait_until

NAMES = [f"call-{n}.wav" for n in range(6)]


def audit(agent):
    return [json.loads(line) for line in agent.run("audit", "--json", check=0).stdout.splitlines()]


def test_accepted_and_never_deleted(double_factory, agent_factory, recordings):
    double = double_factory("--delete-after", "never")
    agent = agent_factory(double, delete={"confirm_for": "3s"})
    paths = uploaded(agent, recordings, NAMES[:2])
    row = row_of(delete(agent, "never", [paths[0]]), paths[0])
    assert row["outcome"] == "accepted-unconfirmed" and row["http_status"] == 202
    assert row["visible_before_at"] and row["accepted_at"] and not row.get("gone_at")
    done = agent.run("delete", paths[1], "--wait", check=75)
    assert outcomes(json.loads(done.stdout)) == {"accepted-unconfirmed": 1}


def test_a_late_deletion_is_proven_in_the_audit(double_factory, agent_factory, recordings):
    double = double_factory("--delete-after", "9000")
    agent = agent_factory(double, delete={"confirm_for": "2s"})
    path, = uploaded(agent, recordings, NAMES[:1])
    assert row_of(delete(agent, "late", [path]), path)["outcome"] == "accepted-unconfirmed"
    agent.restart()
    wait_until(lambda: any(row["event"] == "gone" for row in audit(agent)), "proven later", PATIENCE,
               describe=agent.describe)
    assert agent.counts() == {"deleted": 1}


def test_what_is_private_was_never_seen(double_factory, agent_factory, recordings):
    double = double_factory("--private", "all")
    agent = agent_factory(double, delete={"confirm_for": "3s"})
    path, = uploaded(agent, recordings, NAMES[:1])
    row = row_of(delete(agent, "private", [path]), path)
    assert row["outcome"] == "accepted-unconfirmed" and not row.get("visible_before_at") and row["accepted_at"]
    assert len({line["engagement_id"] for line in double.deletions()}) == 1


@pytest.mark.parametrize("status", [404, 400, 403, 422])
def test_one_id_that_is_refused_does_not_block_the_others(double_factory, agent_factory, recordings, status):
    double = double_factory("--delete-unknown", str(status))
    agent = agent_factory(double, delete={"confirm_for": "4s"})
    paths = uploaded(agent, recordings, NAMES)
    result = delete(agent, "batch", [*paths, "engagement:" + "9" * 32])
    assert outcomes(result)["deleted"] == len(paths)
    odd = [row for row in result["results"] if not row.get("path")]
    assert len(odd) == 1 and odd[0]["outcome"] in ("not-found", "refused"), odd
    assert remaining(double) == set()


def test_a_404_after_our_own_lost_202_is_an_acceptance(double_factory, agent_factory, recordings):
    double = double_factory(script="DELETE /v3/engagements* 1: do reset\nDELETE /v3/engagements* 2-: status 404\n")
    agent = agent_factory(double, delete={"confirm_for": "10s"})
    path, = uploaded(agent, recordings, NAMES[:1])
    row = row_of(delete(agent, "lost", [path]), path)
    assert row["outcome"] == "deleted" and row["visible_before_at"] and row["gone_at"], row


def test_a_404_without_a_delete_of_ours_is_not_found(double_factory, agent_factory, recordings):
    double = double_factory(script="DELETE /v3/engagements*: status 404\n")
    agent = agent_factory(double, delete={"confirm_for": "4s"})
    path, = uploaded(agent, recordings, NAMES[:1])
    assert row_of(delete(agent, "nothing", [path]), path)["outcome"] == "not-found"


def test_a_refusal_is_told_in_chorus_words(double_factory, agent_factory, recordings):
    double = double_factory(script="DELETE /v3/engagements*: status 403 type application/vnd.api+json body "
                                   "'{\"errors\":[{\"title\":\"Forbidden\",\"detail\":\"on legal hold\"}]}'\n")
    agent = agent_factory(double, delete={"confirm_for": "4s"})
    path, = uploaded(agent, recordings, NAMES[:1])
    row = row_of(delete(agent, "hold", [path]), path)
    assert row["outcome"] == "refused" and row["http_status"] == 403 and "legal hold" in row["reason"]
    assert remaining(double) == {recordings.sha256(path)}


@pytest.mark.parametrize("script", [
    "DELETE /v3/engagements* 1-2: status 429 retry-after 1\n3: status 503\n4: reset\n5: no-answer\n",
    "GET /v3/engagements* 1: status 503\n2: reset\n3: status 429 retry-after 1\n4: status 200 body '<html>'\n",
    "DELETE /v3/engagements* random 50% seed 3: do reset\nGET /v3/engagements* random 50% seed 4: status 502\n",
])
def test_faults_in_the_middle_only_delay_it(double_factory, agent_factory, recordings, script):
    double = double_factory()
    agent = agent_factory(double)
    paths = uploaded(agent, recordings, NAMES)
    double.set_script(script)
    result = delete(agent, "faults", paths[:5], timeout=120)
    assert outcomes(result) == {"deleted": 5}, result
    assert remaining(double) == {recordings.sha256(paths[5])}


def test_a_token_that_dies_pauses_and_goes_on(double, agent, recordings):
    path, = uploaded(agent, recordings, NAMES[:1])
    double.set_token("another")
    agent.request_deletion("token", f"{path}\n")
    wait_until(lambda: agent.find(path)["state"] == "deleting", "marked", describe=agent.describe)
    time.sleep(2)
    agent.set_token("another")
    assert_proven(row_of(agent.wait_result("token", PATIENCE), path))


def test_force_asks_for_the_moments_too(double, agent, recordings):
    paths = uploaded(agent, recordings, NAMES[:2])
    assert outcomes(delete(agent, "force", [*paths, "@force"])) == {"deleted": 2}
    asked = [line["path"] for line in double.requests() if line["method"] == "DELETE"]
    assert asked and all("/api/v1/conversations/" in path for path in asked)
    assert all(line.get("force") for line in double.deletions())


def test_an_upload_without_an_id_is_looked_up(double_factory, agent_factory, recordings):
    double = double_factory("--id-field", "none")
    agent = agent_factory(double)
    paths = uploaded(agent, recordings, NAMES[:3])
    row = row_of(delete(agent, "look", [paths[1]]), paths[1])
    assert_proven(row)
    assert {line["engagement_id"] for line in double.deletions()} == {row["engagement_id"]}
    assert remaining(double) == {recordings.sha256(paths[0]), recordings.sha256(paths[2])}


def test_two_that_fit_are_never_guessed(double_factory, agent_factory, recordings):
    """Two calls without ids share owner, name and meeting: which is meant cannot be told."""
    double = double_factory("--id-field", "none")
    agent = agent_factory(double, watches={"calls": {"name": "a call", "meeting_id": ""}},
                          delete={"confirm_for": "4s"})
    paths = uploaded(agent, recordings, NAMES[:2])
    row = row_of(delete(agent, "guess", [paths[0]]), paths[0])
    assert row["outcome"] == "refused"
    for line in double.stored():
        assert line["engagement_id"] in row["reason"]
    assert len(remaining(double)) == 2


def test_nothing_is_asked_twice_while_chorus_is_away(double, agent, recordings):
    path, = uploaded(agent, recordings, NAMES[:1])
    double.stop()
    agent.request_deletion("away", f"{path}\n")
    wait_until(lambda: agent.find(path)["state"] == "deleting", "marked", describe=agent.describe)
    agent.restart()
    time.sleep(1)
    double.start()
    assert_proven(row_of(agent.wait_result("away", PATIENCE), path))
