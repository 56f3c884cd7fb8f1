"""What every section of the benchmark uses: files, the sink, an installation of the agent, and a measured command."""

import datetime
import hashlib
import http.client
import json
import os
import platform
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from support.agent import Agent

TOKEN = "bench-token"
OWNER = "bench@example.com"
KIB, MIB = 1 << 10, 1 << 20
FOLDER = 1000  # files in one folder, at most

PROJECT = Path(__file__).resolve().parents[2]

programs = {}  # name: path of what was built


def build(names):
    """The release, into build-bench, or what lies in the build folder $CHORUS_BENCH_PROGRAMS, as it is. An agent of
    $CHORUS_AGENT takes the place of its own."""
    built = os.environ.get("CHORUS_BENCH_PROGRAMS")
    folder = Path(built or PROJECT / "build-bench")
    for command in (["cmake", "-S", str(PROJECT), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Release", "-DCHORUS_TESTS=ON"],
                    ["cmake", "--build", str(folder), "--parallel", str(os.cpu_count()), "--target", *names]):
        if built:
            break
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            sys.exit(done.stdout + "the build failed")
    for name in names:
        programs[name] = str(folder / ("agent" if name == "chorus-agent" else "tests/bench") / name)
    programs["chorus-agent"] = os.environ.setdefault("CHORUS_AGENT", programs["chorus-agent"])


# --- the machine ----------------------------------------------------------------------------------------


def _told(command):
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip().splitlines()[0]
    except (OSError, IndexError):
        return "none"


def congestion_here():
    return Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()


def about(network):
    """What was measured where, in a line."""
    cpu = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    commit = _told(["git", "-C", str(PROJECT), "rev-parse", "--short", "HEAD"])
    return [f"{datetime.date.today()}, commit {commit}, {os.cpu_count()} cores ({cpu}), {memory} GiB, "
            f"Linux {platform.release()}, {network}; "
            f"{_told(['curl', '--version'])[:12]}, {_told(['openssl', 'version'])[:14]}; "
            f"load {os.getloadavg()[0]:.1f} at the start"]


# --- files ----------------------------------------------------------------------------------------------


class Files:
    """`count` files of `size` bytes below `root`, each with content of its own; `manifest` has their checksums, but of
    sparse ones, which have almost only zeros."""

    def __init__(self, root, count, size, first=0, sparse=False):
        self.root, self.count, self.size, self.sparse = Path(root), count, size, sparse
        self.manifest = self.root.with_suffix(".sums")
        self.list = self.root.with_suffix(".list")
        self.paths = [self._path(first + i) for i in range(count)]
        self._make()

    def _path(self, i):
        return self.root / f"{i // FOLDER:04d}" / f"call-{i:07d}.wav"

    def _make(self):
        block = random.Random("bench").randbytes(min(self.size, MIB))
        long_ago = time.time() - 3600
        with open(self.manifest, "w") as sums, open(self.list, "w") as names:
            for i, path in enumerate(self.paths):
                if i % FOLDER == 0:
                    path.parent.mkdir(parents=True, exist_ok=True)
                sums.write(f"{self._write(path, block)} {path.name}\n")
                names.write(f"{path}\n")
                os.utime(path, (long_ago, long_ago))

    def _write(self, path, block):
        if self.sparse:
            path.write_bytes(path.name.encode())
            os.truncate(path, self.size)
            return ""
        digest, left, part = hashlib.sha256(), self.size, 0
        with open(path, "wb", buffering=0) as file:
            while left > 0:
                head = b"%s %d " % (path.name.encode(), part)
                piece = (head + block[len(head):])[:left]
                digest.update(piece)
                file.write(piece)
                left -= len(piece)
                part += 1
        return digest.hexdigest()


def settle_disk():
    os.sync()


# --- the sink -------------------------------------------------------------------------------------------


class Sink:
    """A running bench-sink; `inside` is a command that runs it in a network of its own, at that address."""

    def __init__(self, room, manifest=None, check_every=0, arrivals=False, address="127.0.0.1", inside=()):
        self.address = address
        self.cert, key = Path(room) / "cert.pem", Path(room) / "key.pem"
        if not self.cert.exists():
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                            "/CN=localhost", "-addext", f"subjectAltName=IP:{address},DNS:localhost", "-out",
                            self.cert, "-keyout", key], check=True, capture_output=True)
        command = [*inside, programs["bench-sink"], "--listen", address, "--cert", self.cert, "--key", key,
                   "--check-every", str(check_every)]
        command += ["--manifest", manifest] if manifest else []
        command += ["--arrivals"] if arrivals else []
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        word, self.port, self.tls_port = self.process.stdout.readline().split()
        assert word == "ready"

    def url(self, scheme):
        return f"{scheme}://{self.address}:{self.tls_port if scheme == 'https' else self.port}"

    def _ask(self, method, path):
        connection = http.client.HTTPConnection(self.address, int(self.port), timeout=60)
        try:
            connection.request(method, path)
            return connection.getresponse().read()
        finally:
            connection.close()

    def counts(self):
        return json.loads(self._ask("GET", "/bench/counts"))

    def arrivals(self):
        """{name: when its first byte came, in ns of CLOCK_MONOTONIC}"""
        lines = self._ask("GET", "/bench/arrivals").decode().splitlines()
        return {name: int(ns) for ns, name in (line.split(" ", 1) for line in lines)}

    def reset(self):
        self._ask("POST", "/bench/reset")

    def check(self, files, uploads=None):
        """What arrived is what there was: so many, whole, and right where they were hashed."""
        seen = self.counts()
        wanted = files.count if uploads is None else uploads
        if seen["uploads"] != wanted or seen["data_bytes"] != wanted * files.size or seen["wrong"] or seen["broken"]:
            raise RuntimeError(f"the sink saw {seen}, and should have seen {wanted} of {files.size} bytes")
        return seen

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# --- commands -------------------------------------------------------------------------------------------


class Took:
    """What a command took: wall and cpu in s, peak in MiB."""

    def __init__(self, said):
        self.code, self.wall, self.cpu = said["code"], said["wall"], said["cpu"]
        self.peak = said["peak"] / 1024


def measured(command, room, env=None, may_fail=False):
    """Runs it to its end."""
    report, said = Path(room) / "took.json", Path(room) / "said"
    with open(report, "wb") as to, open(said, "wb") as out:
        fd = to.fileno()
        argv = ["sh", "-c", f'exec "$0" "$@" 3>&{fd}', programs["bench-measure"], *map(str, command)]
        subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, pass_fds=[fd], env=env)
    took = Took(json.loads(report.read_text()))
    if took.code != 0 and not may_fail:
        raise RuntimeError(f"{command[:4]} ended with {took.code}\n{said.read_text(errors='replace')[-2000:]}")
    return took


class Installation(Agent):
    """A fresh agent that watches `folder`, as quick as it may be, with all else as shipped."""

    def __init__(self, root, url, folder, cert=None, **watch):
        chorus = {"ca_file": str(cert)} if cert else {}
        calls = {"path": str(folder), "owner": OWNER, "since": "all", "settle": "0s", "quiet": "1ms", "rescan": "1h"}
        super().__init__(root, url, TOKEN, chorus=chorus, watches={"calls": calls | watch}, log_level="warning",
                         upload={"retry_first": None, "retry_max": None, "resend_after": None})

    def once(self, room):
        return measured([programs["chorus-agent"], "once", "-c", self.config_file], room, self.env)

    def _from_ledger(self, sql, *values):
        ledger = sqlite3.connect(f"file:{self.state_dir}/ledger.db?mode=ro", uri=True, timeout=60)
        try:
            return ledger.execute(sql, values).fetchone()[0]
        finally:
            ledger.close()

    def tally(self, state):
        """Recordings in a state, by the ledger's own count."""
        return self._from_ledger("SELECT n FROM tally WHERE kind = ?", state)

    def commits(self):
        """That wrote, in the life of the ledger."""
        return self._from_ledger("SELECT n FROM counter WHERE name = 'batch'")

    def peak(self):
        """Of the running service so far, in MiB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        return None


QUEUED, WAITING, UPLOADED = 3, 5, 7


# --- figures --------------------------------------------------------------------------------------------


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def number(value):
    """With three figures that mean something."""
    if value == 0:
        return "0"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 4
    return f"{value:,.{digits}f}"


def spread(values):
    """median (min to max)"""
    return f"{number(median(values))} ({number(min(values))} to {number(max(values))})"


def durable_commit_ms(room, rounds=200):
    """What the disk takes for a durable write of 4 KiB, in ms."""
    path, block, took = Path(room) / "durable", b"x" * 4096, []
    with open(path, "wb", buffering=0) as file:
        for _ in range(rounds):
            file.write(block)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(1000 * (time.perf_counter() - began))
    path.unlink()
    return median(took)
