"""The Chorus double as a process: start it, restart it, ask it what arrived and what it stored."""

import http.client
import json
import os
import random
import signal
import socket
import ssl
import subprocess
import threading
from pathlib import Path

from . import programs
from .waiting import assert_no_fault

TOKEN = "chorus-test-token"


class Double:
    """A running chorus-double. It keeps its directory and its port over restart() and start()."""

    def __init__(self, directory, *switches, script="", token=TOKEN, port=0):
        self.dir = Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.data = self.dir / "data"
        self.switches = [str(switch) for switch in switches]
        self.token = token
        self.port = port or free_port()
        self.process = None
        self.url = None
        self._script = script
        self._errors = self.dir / "double.stderr"

    # -- life --

    def start(self, *switches):
        """Starts it; `switches` given here replace those given before."""
        assert self.process is None, "the double runs already"
        if switches:
            self.switches = [str(switch) for switch in switches]
        command = [programs.find("CHORUS_DOUBLE"), "--port", str(self.port), "--dir", str(self.data)]
        if self.token is not None:
            command += ["--token", self.token]
        if self._script:
            script = self.dir / "script"
            script.write_text(self._script)
            command += ["--script", str(script)]
        with open(self._errors, "ab") as errors:
            self.process = subprocess.Popen(
                command + self.switches, stdout=subprocess.PIPE, stderr=errors, text=True)
        line = self.process.stdout.readline().strip()
        assert line.startswith("chorus-double listening on "), \
            f"the double did not start: {line!r} {self.errors()}"
        self.url = line.rsplit(" ", 1)[1]
        return self

    def stop(self):
        """SIGTERM; it must end by itself, and without a fault."""
        if self.process is None:
            return
        self.process.terminate()
        self._reap(0)

    def kill(self):
        """SIGKILL, as a machine does that fails."""
        self.process.kill()
        self._reap(-signal.SIGKILL)

    def restart(self, *switches):
        """Stops it and starts it at the same address over the same data."""
        self.stop()
        return self.start(*switches)

    def _reap(self, expected):
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        self.process = None
        assert_no_fault(self.errors(), "chorus-double")
        assert code == expected, f"chorus-double ended with {code}: {self.errors()}"

    def errors(self):
        return self._errors.read_text(errors="replace") if self._errors.exists() else ""

    # -- control --

    def _call(self, method, path, body=None):
        connection = _connect(self.url)
        try:
            connection.request(method, path, body=body)
            response = connection.getresponse()
            answer = response.read().decode()
        finally:
            connection.close()
        assert response.status == 200, f"{method} {path}: {response.status} {answer}"
        return json.loads(answer)

    def set_script(self, text):
        """Plays this from now on (counting anew); an empty text plays nothing."""
        self._script = text
        if self.process is not None:
            self._call("POST", "/double/script", text.encode())

    def set_token(self, token):
        """Accepts this token from now on; an empty one refuses all."""
        self.token = token
        self._call("POST", "/double/token", token.encode())

    def summary(self):
        return self._call("GET", "/double/summary")

    # -- what happened --

    def requests(self):
        """Every header block that arrived, in the order of outcome."""
        return read_lines(self.data / "requests.jsonl")

    def posts(self):
        """The header blocks of uploads."""
        return [line for line in self.requests()
                if line["method"] == "POST" and line["path"] == "/v3/upload"]

    def whole_posts(self):
        """The uploads whose body arrived complete."""
        return [line for line in self.posts() if line["whole"]]

    def stored(self):
        """What was stored, in order, deleted or not."""
        return [line for line in self._events() if line["event"] == "stored"]

    def deletions(self):
        """The deletions that were accepted."""
        return [line for line in self._events() if line["event"] == "deleted"]

    def offences(self):
        """What clients should not have done: (request number, offence) pairs."""
        return [(line["n"], offence) for line in self.requests() for offence in line["offences"]]

    def _events(self):
        return read_lines(self.data / "stored.jsonl")


def _connect(url):
    scheme, address = url.split("://")
    host, port = address.split(":")
    if scheme == "http":
        return http.client.HTTPConnection(host, int(port), timeout=30)
    context = ssl._create_unverified_context()  # the certificate is the test's own
    return http.client.HTTPSConnection(host, int(port), timeout=30, context=context)


def free_port():
    """A free port below those that the kernel hands to clients: while the double is down, no
    client's own end, not even that of a connection to this very port, can take its place."""
    draw = random.SystemRandom()
    while True:
        port = draw.randrange(10240, 32000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def read_lines(path):
    """A file of JSON lines; a last line that is still being written is left out."""
    if not os.path.exists(path):
        return []
    text = Path(path).read_text()
    return [json.loads(line) for line in text.split("\n")[:-1]]


def in_background(call, *arguments):
    """Runs `call` in a thread; the returned function waits for it and gives its result."""
    box = {}

    def work():
        try:
            box["result"] = call(*arguments)
        except Exception as error:  # handed to the waiter below
            box["error"] = error

    thread = threading.Thread(target=work, daemon=True)
    thread.start()

    def wait(timeout=30):
        thread.join(timeout)
        assert not thread.is_alive(), "still running"
        if "error" in box:
            raise box["error"]
        return box.get("result")

    return wait
