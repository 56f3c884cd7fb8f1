"""The agent as a process, in a private root: state, control folder, token, configuration, log."""

import json
import os
import signal
import string
import subprocess
import time
from pathlib import Path

from . import config, programs
from .chorus import TOKEN
from .waiting import assert_no_fault, wait_until

# What the environment of a tester may hold, and must not decide a test.
_FOREIGN = ("RUNTIME_DIRECTORY", "CREDENTIALS_DIRECTORY", "STATE_DIRECTORY", "CHORUS_API_TOKEN",
            "NOTIFY_SOCKET", "WATCHDOG_USEC", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
            "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


class Agent:
    """One installation of the agent. `root` holds calls/, state/, control/, token, the
    configuration and agent.log; `calls` is the folder of the default watch."""

    def __init__(self, root, url, token=TOKEN, **changes):
        self.root = Path(root)
        self.url = url
        self.calls = self.root / "calls"
        self.state_dir = self.root / "state"
        self.control_dir = self.root / "control"
        self.token_file = self.root / "token"
        self.config_file = self.root / "chorus-agent.yaml"
        self.log_file = self.root / "agent.log"
        self.env = {k: v for k, v in os.environ.items() if k not in _FOREIGN}
        self.process = None
        self.calls.mkdir(parents=True)
        self.set_token(token)
        self._changes = []
        self.configure(**changes)

    # -- configuration --

    def configure(self, **changes):
        """Lays changes over the configuration so far (None takes a key away), and writes it:
        agent.configure(upload={"concurrency": 1}, watches={"calls": {"owner": None}})"""
        self._changes.append(changes)
        merged = config.defaults(self.root, self.url)
        for each in self._changes:
            merged = config.merge(merged, each)
        self.write_config(config.to_yaml(merged))

    def write_config(self, text):
        """Writes a configuration of one's own; $ROOT, $URL and $TOKEN_FILE are filled in."""
        names = {"ROOT": self.root, "URL": self.url, "TOKEN_FILE": self.token_file}
        self.config_file.write_text(string.Template(text).safe_substitute(names))

    def set_token(self, token):
        """Writes the token file as an administrator would: private, and whole at once."""
        fresh = self.root / ".token.new"
        fresh.touch(mode=0o600)
        fresh.write_text(token + "\n")
        fresh.rename(self.token_file)

    # -- life --

    def start(self, *arguments, wait=True, wrapper=(), env=None):
        """`chorus-agent run`; waits until status.json says that it runs. `wrapper` is a command
        to run it under."""
        assert self.process is None, "the agent runs already"
        before = self._status_identity()
        command = [*wrapper, programs.find("CHORUS_AGENT"), "run", "-c", str(self.config_file)]
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                [*command, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.root, env={**self.env, **(env or {})})
        if wait:
            wait_until(lambda: self._says_running(before), "the agent runs", 60,
                       describe=self.describe)
        return self

    def stop(self, timeout=30):
        """SIGTERM; the agent must end with 0. It promises 5 s; the limit here only ends a hang."""
        return self._end(signal.SIGTERM, 0, timeout)

    def kill(self):
        """SIGKILL: what a power cut leaves, as far as a process can tell."""
        return self._end(signal.SIGKILL, -signal.SIGKILL, 30)

    def restart(self):
        self.stop()
        return self.start()

    def reload(self):
        """SIGHUP: reads the configuration again."""
        self.process.send_signal(signal.SIGHUP)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def wait_exit(self, timeout=60):
        """Waits until the agent ends by itself; returns its exit code."""
        code = self.process.wait(timeout)
        self.process = None
        assert_no_fault(self.log(), "chorus-agent")
        return code

    def _end(self, number, expected, timeout):
        process, self.process = self.process, None
        assert process is not None, "the agent does not run"
        process.send_signal(number)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"not ended after {timeout} s\n{self.log()[-8000:]}") from None
        assert_no_fault(self.log(), "chorus-agent")
        assert code == expected, f"chorus-agent ended with {code}\n{self.log()[-8000:]}"
        return code

    def _status_file(self):
        return self.state_dir / "status.json"

    def _status_identity(self):
        """Tells a status.json of this life from one that an earlier life left."""
        try:
            known = self._status_file().stat()
        except FileNotFoundError:
            return None
        return known.st_ino, known.st_mtime_ns

    def _says_running(self, before):
        if self.process.poll() is not None:
            raise AssertionError(f"ended with {self.process.returncode}\n{self.describe()}")
        if self._status_identity() in (None, before):
            return False
        try:
            return json.loads(self._status_file().read_text()).get("running") is True
        except (FileNotFoundError, ValueError):
            return False

    # -- commands --

    def run(self, *arguments, timeout=120, check=None, input=None, env=None):
        """One command, such as run("list", "--json"). `check` is the exit code it must have.
        Names are bytes: what is not UTF-8 comes back as surrogate escapes."""
        command = [programs.find("CHORUS_AGENT"), "-c", str(self.config_file),
                   *[os.fspath(argument) for argument in arguments]]
        done = subprocess.run(command, cwd=self.root, env={**self.env, **(env or {})},
                              input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              encoding="utf-8", errors="surrogateescape", timeout=timeout)
        assert_no_fault(done.stderr, "chorus-agent " + " ".join(map(str, arguments)))
        assert check is None or done.returncode == check, \
            f"{arguments}: {done.returncode} instead of {check}\n{done.stdout}\n{done.stderr}"
        return done

    def list(self, *arguments):
        """The recordings, one dict a path."""
        done = self.run("list", "--json", *arguments, check=0)
        return [json.loads(line) for line in done.stdout.split("\n") if line]

    def find(self, path):
        """The list's object for a path (or a name in the default folder)."""
        wanted = str(path) if os.path.isabs(path) else str(self.calls / path)
        found = [one for one in self.list() if one["path"] == wanted]
        assert len(found) == 1, f"{wanted}: {found}\n{self.describe()}"
        return found[0]

    def status(self):
        return json.loads(self.run("status", "--json", check=0).stdout)

    def counts(self):
        """Only the states that have recordings."""
        return {state: n for state, n in self.status()["counts"].items() if n}

    def wait_counts(self, timeout=30, only=False, **expected):
        """Waits until these states have these numbers; with `only`, every other has none:
        wait_counts(uploaded=3, held=0)"""
        def reached():
            counts = self.counts()
            others = {k: n for k, n in counts.items() if k not in expected}
            return (not only or not others) and \
                all(counts.get(state, 0) == n for state, n in expected.items())

        wait_until(reached, f"counts {expected}", timeout, 0.1, self.describe)

    # -- files --

    def put(self, source, name=None):
        """Copies a recording into the watched folder, moved into place under its name."""
        source = Path(source)
        target = self.calls / (name or source.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.root / f".put-{time.monotonic_ns()}"
        fresh.write_bytes(source.read_bytes())
        fresh.rename(target)
        return target

    def request_deletion(self, name, text):
        """Drops NAME.delete with these lines into the control folder."""
        fresh = self.control_dir / f".{name}.new"
        fresh.write_text(text)
        fresh.chmod(0o600)
        fresh.rename(self.control_dir / f"{name}.delete")

    def wait_result(self, name, timeout=30):
        """The result of NAME.delete, once it is there, done or rejected."""
        places = [self.control_dir / folder / f"{name}.result.json"
                  for folder in ("done", "rejected")]
        wait_until(lambda: any(place.exists() for place in places), f"a result of {name}.delete",
                   timeout, describe=self.describe)
        return json.loads(next(place for place in places if place.exists()).read_text())

    # -- what it said --

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def describe(self):
        """For the message of a failed test."""
        try:
            said = self.run("status", "--json", timeout=30)
            status = said.stdout + said.stderr
        except Exception as error:  # a failing message must not hide the failure
            status = repr(error)
        return f"--- status\n{status}\n--- the log's end\n{self.log()[-8000:]}"

