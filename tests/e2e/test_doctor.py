"""`check --online`, also called `doctor`: each finding says what to do."""

import os
import sqlite3
import subprocess
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from support import programs


@pytest.fixture
def well(double_factory, agent_factory):
    agent = agent_factory(double_factory("--user", "team@example.com"))
    agent.start()
    agent.stop()
    return agent


def test_all_is_well(well, recordings):
    recordings.many(well.calls, 1)
    (well.calls / "2026" / "11").mkdir(parents=True)
    said = well.run("doctor", check=0).stdout
    for line in ("ok      inotify: 3 folders to watch, ", "ok      watch calls: a lease tells whether ",
                 "ok      watch calls: ", "ok      state_dir: ", "ok      ledger: every page of it is sound",
                 "ok      DNS: host 127.0.0.1 is found", "ok      clock: as that of Chorus", ": all well: 1 watch, token and owners proven"):
        assert line in said, said
    assert "FAULT" not in said


def test_doctor_is_check_online(well):
    names = [[line.split(":")[0] for line in well.run(*command, check=0).stdout.splitlines()]
             for command in (("doctor",), ("check", "--online"))]
    assert names[0] == names[1]
    well.run("doctor", "x", check=64)


def test_a_damaged_ledger_is_a_fault(well):
    with sqlite3.connect(well.state_dir / "ledger.db") as ledger:
        ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file = well.state_dir / "ledger.db"
    data = bytearray(file.read_bytes())
    for page in range(4096, len(data) - 4096, 4096):
        data[page:page + 64] = b"\xff" * 64
    file.write_bytes(data)
    said = well.run("doctor", check=78).stdout
    assert "FAULT   ledger: " in said


def test_a_name_that_is_not_found_is_a_fault(agent):
    agent.configure(chorus={"url": "https://nonesuch.invalid"})
    done = agent.run("doctor")
    assert "FAULT   DNS: host nonesuch.invalid is not found" in done.stdout
    assert done.returncode == 69


def test_the_proxy_is_named_without_its_password(agent):
    agent.configure(chorus={"proxy": "http://me:secret@127.0.0.1:1"})
    said = agent.run("doctor").stdout
    assert "ok      proxy: 127.0.0.1 (chorus.proxy)" in said
    assert "secret" not in said


def with_unit(agent, text, *command):
    """`check` beside a service manager that shows this of the unit, and which environment it was given."""
    folder = agent.root / "bin"
    folder.mkdir(exist_ok=True)
    program = folder / "systemctl"
    program.write_text(f"#!/bin/sh\n/usr/bin/env > '{folder}/given'\ncat <<'END'\n{text}\nEND\n")
    program.chmod(0o755)
    agent.env = {**agent.env, "PATH": f"{folder}:{os.environ['PATH']}", "CHORUS_API_TOKEN": "secret"}
    return agent.run(*command, timeout=30)


def unit_of(agent, **properties):
    start = f"{{ path=/usr/bin/chorus-agent ; argv[]=/usr/bin/chorus-agent run -c {agent.config_file} ; ignore_errors=no }}"
    return "\n".join(f"{name}={value}" for name, value in {"ExecStart": start, **properties}.items())


def test_check_knows_what_the_unit_makes_read_only(agent):
    strict = {"ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "no"}
    done = with_unit(agent, unit_of(agent, **strict, ReadWritePaths="-/var/spool/chorus-agent"), "check")
    assert done.returncode == 0, "nothing is to be written there"
    assert "secret" not in (agent.root / "bin" / "given").read_text()
    agent.configure(watches={"calls": {"after_upload": "delete"}})
    done = with_unit(agent, unit_of(agent, **strict, ReadWritePaths="-/var/spool/chorus-agent"), "check")
    assert done.returncode == 78
    assert f"the service's unit makes {agent.calls} read-only: systemctl edit chorus-agent, [Service], " \
        f"ReadWritePaths={agent.calls}" in done.stdout
    allowed = f"-/var/spool/chorus-agent +{agent.calls.parent}/"
    assert with_unit(agent, unit_of(agent, **strict, ReadWritePaths=allowed), "check").returncode == 0
    beside = f"{agent.calls}-not"
    assert with_unit(agent, unit_of(agent, **strict, ReadWritePaths=beside), "check").returncode == 78


def test_check_knows_what_the_unit_hides(agent):
    hidden = {"ProtectSystem": "no", "ProtectHome": "yes", "PrivateTmp": "yes", "ReadWritePaths": ""}
    done = with_unit(agent, unit_of(agent, **hidden), "check")
    if not str(agent.calls).startswith("/tmp/"):
        pytest.skip("the tests' folder is not below /tmp here")
    assert done.returncode == 78
    assert f"the service does not see {agent.calls}" in done.stdout
    other = unit_of(agent, **hidden).replace(str(agent.config_file), "/etc/other.yaml")
    assert with_unit(agent, other, "check").returncode == 0, "the unit is not this one's"


@pytest.mark.parametrize("ahead_s, said", [
    (-9030, "advice  clock: this machine is 2h 30min ahead of Chorus: let it follow a time server"),
    (90000, "advice  clock: this machine is 1d behind Chorus"),
    (10, "ok      clock: as that of Chorus"),
])
def test_the_clock_is_compared_with_that_of_chorus(agent, ahead_s, said):
    class Answer(BaseHTTPRequestHandler):
        def date_time_string(self, timestamp=None):
            return formatdate(time.time() + ahead_s, usegmt=True)

        def do_GET(self):
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        agent.configure(chorus={"url": f"http://127.0.0.1:{server.server_port}"})
        assert said in agent.run("doctor", check=77).stdout
        server.shutdown()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("made, said", [
    ("", "advice  systemd: chorus-agent.service does not run: systemctl status chorus-agent"),
    ("oom_kill 0", "ok      systemd: memory 1000 of 4000 bytes, at most 300 tasks"),
    ("oom_kill 3", "advice  systemd: its memory limit (4000) has ended it 3 times: systemctl edit chorus-agent, MemoryMax="),
])
def test_what_systemd_allows_is_told(well, made, said):
    """In a mount namespace of its own, beside a manager's folders."""
    script = """
        mount -t tmpfs none /run && mkdir -p /run/systemd/system && mount -t tmpfs none /sys/fs/cgroup || exit 99
        if [ -n "$3" ]; then
            at=/sys/fs/cgroup/system.slice/chorus-agent.service
            mkdir -p $at && cd $at
            echo 4000 > memory.max && echo 1000 > memory.current && echo 300 > pids.max
            printf 'oom 7\n%s\n' "$3" > memory.events
        fi
        exec "$1" -c "$2" doctor"""
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", programs.find("CHORUS_AGENT"),
                           well.config_file, made], capture_output=True, text=True, timeout=60, env=well.env)
    if done.returncode in (1, 99) and not done.stdout:
        pytest.skip("mount namespaces are not permitted here")
    assert said in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_where_recordings_are_to_be_moved_a_read_only_place_names_the_drop_in(agent, tmp_path):
    """In a mount namespace of its own the folder is read-only, as the unit makes it."""
    agent.configure(watches={"calls": {"after_upload": "delete"}})
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$2" -c "$3" check'
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", agent.calls, programs.find("CHORUS_AGENT"),
                           agent.config_file], capture_output=True, text=True, timeout=60, env=agent.env)
    if "Operation not permitted" in done.stderr or "permission denied" in done.stderr:
        pytest.skip("mount namespaces are not permitted here")
    assert done.returncode == 78
    assert f"systemctl edit chorus-agent, [Service], ReadWritePaths={agent.calls}" in done.stdout
