"""Owners that exist: with chorus.verify_owners nobody else is tried, and a list that cannot be had blocks nothing."""

import json

import pytest

from support.promise import assert_kept
from support.waiting import wait_until


def site_of(double, agent_factory, owner="{stem}@example.com"):
    agent = agent_factory(double, chorus={"verify_owners": True},
                          watches={"calls": {"owner": None, "rules": [{"title": "by-name", "owner": owner}]}})
    return agent


@pytest.mark.parametrize("shape", ["users", "list", "jsonapi"])
def test_an_owner_whom_chorus_does_not_know_is_held(double_factory, agent_factory, recordings, shape):
    double = double_factory("--user", "ann@example.com", "--user", "Bob@example.com", "--users-shape", shape)
    agent = site_of(double, agent_factory)
    agent.start()
    ann = agent.put(recordings.wav(agent.root / "1.wav", 1), "ANN.wav")
    bob = agent.put(recordings.wav(agent.root / "2.wav", 2), "bob.wav")
    eve = agent.put(recordings.wav(agent.root / "3.wav", 3), "eve.wav")
    agent.wait_counts(uploaded=2, held=1)
    assert agent.find(eve)["reason"] == "eve@example.com is no Chorus user (chorus.verify_owners; rule by-name, owner)"
    assert "is no Chorus user" in agent.run("explain", eve, check=0).stdout
    assert len(double.posts()) == 2, "eve was not tried"
    assert_kept(double, agent, [ann, bob])


def test_a_list_that_cannot_be_had_blocks_nothing_where_an_older_one_is_there(double_factory, agent_factory, recordings):
    double = double_factory("--user", "ann@example.com")
    agent = site_of(double, agent_factory)
    agent.start()
    first = agent.put(recordings.wav(agent.root / "1.wav", 1), "ann.wav")
    agent.wait_counts(uploaded=1)
    agent.stop()
    assert (agent.state_dir / "users").read_text().splitlines()[0] == "ann@example.com"
    double.set_script("GET /v3/users *: status 503")
    agent.start()
    second = agent.put(recordings.wav(agent.root / "2.wav", 2), "x/ann.wav")
    agent.wait_counts(uploaded=2)
    assert_kept(double, agent, [first, second])


def test_without_any_list_recordings_are_held_until_it_is_read(double_factory, agent_factory, recordings):
    double = double_factory("--user", "ann@example.com")
    agent = site_of(double, agent_factory)
    double.set_script("GET /v3/users *: status 503")
    agent.start()
    path = agent.put(recordings.wav(agent.root / "1.wav", 1), "ann.wav")
    agent.wait_counts(held=1)
    assert "is not read yet" in agent.find(path)["reason"]
    double.set_script("")
    agent.restart()
    agent.wait_counts(uploaded=1)
    assert_kept(double, agent, [path])


def test_users_prints_the_list_in_three_forms(double_factory, agent_factory):
    double = double_factory("--user", "bob@example.com", "--user", "ann.smith@example.com")
    agent = site_of(double, agent_factory)
    # the third is the user whom the double's token belongs to
    assert agent.run("users", check=0).stdout.split() == ["ann.smith@example.com", "bob@example.com",
                                                          "integration@example.com"]
    rows = [json.loads(line) for line in agent.run("users", "--json", check=0).stdout.splitlines()]
    assert rows[:2] == [{"email": "ann.smith@example.com"}, {"email": "bob@example.com"}]
    table = agent.run("users", "--csv", check=0).stdout
    assert table.splitlines()[1:3] == ["ann.smith,ann.smith@example.com", "bob,bob@example.com"]
    assert table.startswith("# ")
    agent.run("users", "path", check=64)
    double.set_script("GET /v3/users *: status 503")
    agent.run("users", check=69)
    agent.state_dir.mkdir(exist_ok=True)
    (agent.state_dir / "users").write_text("kept@example.com\n")
    kept = agent.run("users", check=0)
    assert kept.stdout == "kept@example.com\n" and "kept" in kept.stderr
    double.set_script("GET /v3/users *: status 401")
    agent.run("users", check=77)


def test_the_table_that_users_prints_is_a_table(double_factory, agent_factory, recordings):
    double = double_factory("--user", "ann@example.com")
    agent = site_of(double, agent_factory)
    table = agent.root / "agents.csv"
    table.write_text(agent.run("users", "--csv", check=0).stdout)
    agent.configure(tables={"agents": str(table)}, watches={"calls": {"rules": [{"owner": "{stem|agents}"}]}})
    agent.start()
    path = agent.put(recordings.wav(agent.root / "1.wav", 1), "ann.wav")
    wait_until(lambda: agent.counts().get("uploaded") == 1, "it is uploaded", describe=agent.describe)
    assert_kept(double, agent, [path])


# ---- more than one page ----

def page(*emails, key=None):
    """A rule's action: an answer with these users, and the key of the next page."""
    body = {"users": [{"email": email} for email in emails], "continuation_key": key}
    return f"status 200 type application/json body '{json.dumps(body)}'"


def paged(double, *pages):
    double.set_script("".join(f"GET /v3/users {number}: {action}\n" for number, action in enumerate(pages, 1)))


@pytest.fixture
def constant(double, agent_factory):
    return site_of(double, agent_factory, owner="bob@example.com")


def test_check_online_finds_an_owner_on_a_later_page(double, constant):
    paged(double, page("ann@example.com", key="2&x"), page("BOB@example.com"))
    assert "proven" in constant.run("check", "--online", check=0).stdout
    paged(double, page("ann@example.com", key="2&x"), page("eve@example.com"))
    assert "bob@example.com is no user" in constant.run("check", "--online", check=78).stdout


def test_users_prints_all_pages(double, constant):
    paged(double, page("bob@example.com", key="2"), page("ann@example.com"))
    assert constant.run("users", check=0).stdout.split() == ["ann@example.com", "bob@example.com"]


def test_a_list_in_a_circle_ends(double, constant):
    double.set_script("GET /v3/users *: " + page("bob@example.com", key="again"))
    assert "proven" in constant.run("check", "--online", check=0).stdout
    assert constant.run("users", check=0).stdout.split() == ["bob@example.com"]


@pytest.mark.parametrize("fault, code, words", [
    ("status 200 body '<html>' type text/html", 69, "no list of users"), ("status 204 body ''", 69, "no list of users"),
    ("status 503", 69, "503"), ("status 401", 77, "401"), ("reset", 69, "no answer")])
@pytest.mark.parametrize("pages", [0, 1])
def test_check_online_proves_nothing_by_half_a_list(double, constant, pages, fault, code, words):
    """Also where the owner stands on the half that came."""
    paged(double, *[page("bob@example.com", key="2")] * pages, fault)
    done = constant.run("check", "--online", check=code)
    assert words in done.stdout and "proven" not in done.stdout
    paged(double, *[page("bob@example.com", key="2")] * pages, fault)
    done = constant.run("users", check=code)
    assert done.stdout == "" and "no list of users" in done.stderr
