"""`delete` without a service, and `audit` without deletions: what is written, and what is refused at once."""

import json
import os
import stat


def control_files(agent):
    return sorted(path for path in agent.control_dir.iterdir() if path.suffix == ".delete")


def written(agent, *arguments, check=0):
    """The lines of the one control file that this command writes."""
    before = set(control_files(agent)) if agent.control_dir.exists() else set()
    done = agent.run("delete", *arguments, check=check)
    fresh = set(control_files(agent)) - before
    assert len(fresh) == 1
    path = fresh.pop()
    assert done.stdout == f"{path}\n"
    assert stat.S_IMODE(path.stat().st_mode) & 0o022 == 0
    return path.read_text().splitlines()


def prepared(agent):
    agent.run("once", check=0)  # which makes state_dir
    return agent


def test_every_option_and_target_stands_in_the_control_file(agent):
    prepared(agent)
    lines = written(agent, "phone:+1 555 010 0199", "--reason", "GDPR 4711", "--requested-by", "j.doe@example.com",
                    "--local", "--force", "--dry-run", "--expect", "3", "https://chorus.ai/meeting/" + "a" * 32,
                    "glob:/srv/[ab]*.wav", "name:a b.wav", "field:campaign=x")
    assert lines == ["@reason GDPR 4711", "@requested-by j.doe@example.com", "@expect 3", "@local delete", "@force",
                     "@dry-run", "phone:+1 555 010 0199", "https://chorus.ai/meeting/" + "a" * 32,
                     "glob:/srv/[ab]*.wav", "name:a b.wav", "field:campaign=x"]


def test_paths_are_absolute_and_escaped(agent):
    prepared(agent)
    here = agent.root
    (here / "x.wav").touch()
    odd = os.fsencode(here) + b"/a\\b\xe9\n.wav"
    open(odd, "w").close()
    lines = written(agent, "x.wav", "calls/../x.wav", "/gone/./y.wav", os.fsdecode(odd), "/gone/\\xe9.wav",
                    "name:\\xe9", "name:a\\b")
    assert lines == [f"{here}/x.wav", f"{here}/x.wav", "/gone/y.wav", f"{here}/a\\x5cb\\xe9\\x0a.wav",
                     "/gone/\\xe9.wav", "name:\\xe9", "name:a\\x5cb"]


def test_what_the_service_would_refuse_is_not_written(agent):
    prepared(agent)
    for arguments in (["x.wav"], ["phone:123"], ["Phone:5550100"], ["sha256:12"], ["name:"], [],
                      ["/a", "--expect", "many"], ["/a", "--reason", "x\n@force"], ["/a", "--reason", " "],
                      ["/a", "--requested-by", "\x1b"], ["/a", "--unknown"], ["glob:*.wav"], ["/a" * 3000]):
        agent.run("delete", *arguments, check=64)
    assert not agent.control_dir.exists() or control_files(agent) == []


def test_wait_without_a_service_ends_69_and_requests_nothing(agent):
    agent.run("delete", "/a", "--wait", check=69)
    prepared(agent)
    agent.run("delete", "/a", "--wait", check=69)
    assert not agent.control_dir.exists() or control_files(agent) == []


def test_a_control_dir_that_cannot_be_written_ends_73(agent):
    prepared(agent)
    agent.control_dir.write_text("no folder")
    assert str(agent.control_dir) in agent.run("delete", "/a", check=73).stderr


def test_check_judges_control_dir(agent):
    prepared(agent)
    agent.run("check", check=0)
    agent.configure(control_group="no-such-group-here")
    agent.control_dir.mkdir(mode=0o700)
    assert "no-such-group-here" in agent.run("check", check=78).stdout
    agent.configure(control_group=None)
    agent.run("check", check=0)
    agent.control_dir.chmod(0o777)
    assert "chmod o-w" in agent.run("check", check=78).stdout
    agent.control_dir.chmod(0o700)
    (agent.control_dir / "rejected").touch()
    assert "rejected" in agent.run("check", check=78).stdout


def test_audit_without_a_deletion_is_whole_and_empty(agent):
    assert agent.run("audit", check=0).stdout == ""
    assert "whole: 0 rows" in agent.run("audit", "--verify", check=0).stdout
    prepared(agent)
    assert agent.run("audit", "--json", check=0).stdout == ""
    assert json.loads(agent.run("audit", "--verify", "--json", check=0).stdout)["whole"] is True
    agent.run("audit", "more", check=64)


def test_undelete_takes_paths_and_stands_alone(agent):
    for arguments in (["--undelete"], ["--undelete", "--failed"], ["--undelete", "--held", "/a"]):
        agent.run("retry", *arguments, check=64)
