"""The agent under strace: what it calls, and the same again with a kill or an error at one call."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections import defaultdict, namedtuple
from pathlib import Path

#: A call of a life: its thread, its name, its number among the calls of that name in that thread; its arguments without
#: numbers; whether it may fail at all.
Call = namedtuple("Call", "thread name number shape may_fail")

_CALL = re.compile(r"^(\d+) +(\w+)\(")
# The first that main() does: what comes before it belongs to the loader.
_MAIN = "prctl"


def works():
    """A kill is really delivered: true ends by it."""
    done = subprocess.run([*injecting("/dev/null", "exit_group", "signal=KILL", 1), "true"], capture_output=True)
    return done.returncode == -signal.SIGKILL


def missing():
    """Why nothing can be traced here; None where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    done = subprocess.run(["strace", "-f", "-o", "/dev/null", "-e", "inject=getppid:error=EPERM:when=1", "true"],
                          capture_output=True, text=True)
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return f"strace cannot trace here: {said}"
    return None if works() else "strace delivers no kill here"


def recording(to):
    """The command before a program that writes down every call."""
    return ["strace", "-f", "-y", "-s", "0", "-o", str(to)]


def injecting(to, name, effect, when):
    """The command before a program: `effect` (signal=KILL, error=EIO) at that call of that name. Not with
    --seccomp-bpf: strace 6.1 then delivers no signal."""
    return ["strace", "-f", "-y", "-s", "64", "-o", str(to), "-e", f"trace={name}",
            "-e", f"inject={name}:{effect}:when={when}"]


def shape_of(line, room):
    """The arguments of a call, without the numbers in them: calls of one shape are one place in the program."""
    arguments = re.sub(r"( *<unfinished|\) += ).*$", "", line.split("(", 1)[1])
    return re.sub(r"0x[0-9a-f]+|[0-9]+", "N", arguments.replace(str(room), ""))


def calls_of(trace):
    """The calls since main() began, in order."""
    counts, loaded = defaultdict(int), None
    calls = []
    for line in Path(trace).read_text(errors="replace").split("\n"):
        found = _CALL.match(line)
        if found is None:
            continue
        thread, name = found.groups()
        counts[thread, name] += 1
        if loaded is None and name == _MAIN:
            loaded = {called: count for (_, called), count in counts.items() if called != _MAIN}
        # A number that the loader reaches too would be its own.
        if loaded is not None and counts[thread, name] > loaded.get(name, 0):
            calls.append(Call(thread, name, counts[thread, name], shape_of(line, Path(trace).parent),
                              is_possible(line)))
    return calls


def injected(trace):
    """The calls that were given the error, as strace tells them."""
    if not Path(trace).exists():
        return []
    return [line for line in Path(trace).read_text(errors="replace").split("\n") if "(INJECTED)" in line]


_NOT_OF_A_DISK = re.compile(r"^\d+ +(?:read|write)\(\d+<(?:anon_inode|pipe|socket)")
# Without memory for a thread's stack, or the pipe of its signals, libuv ends the process, and a supervisor starts it again.
_OF_LIBUV = re.compile(r"^\d+ +(?:mmap\(.*MAP_STACK|pipe2\(.*, O_CLOEXEC\))")
_NEVER_FAILS = re.compile(r"^\d+ +fcntl\(.*(?:F_UNLCK|F_[GS]ETF[DL]\b)")


def is_possible(line):
    """What only a disk can say is not said by an event descriptor or a pipe, and giving a lock back does not fail: the
    numbers of calls differ a little from life to life, and an error may meet another call than it was meant for."""
    return _NEVER_FAILS.match(line) is None and _OF_LIBUV.match(line) is None and \
        (_NOT_OF_A_DISK.match(line) is None or re.search(r"EINTR|EAGAIN", line) is not None)


class Life:
    """One life of the agent, perhaps under strace. Signals go to the agent itself."""

    def __init__(self, agent, program, command, wrapper, said, switches):
        self.said = Path(said)
        self.traced = bool(wrapper)
        with open(self.said, "ab") as out:
            self.process = subprocess.Popen([*wrapper, program, "-c", str(agent.config_file), command],
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            cwd=agent.root, env={**agent.env, **switches})

    def is_over(self):
        return self.process.poll() is not None

    def wait(self, timeout):
        """The exit code, negative for a signal; None where it has not ended."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def send(self, number):
        for pid in self._agents():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def end(self, timeout):
        """SIGTERM, and SIGKILL where that does not help; the exit code, None where it had to be killed."""
        self.send(signal.SIGTERM)
        code = self.wait(timeout)
        if code is None:
            self.kill()
        return code

    def kill(self):
        if not self.is_over():
            self.send(signal.SIGKILL)
            if self.wait(5) is None:
                self.process.kill()
                self.process.wait()

    def text(self):
        return self.said.read_text(errors="replace")

    def _agents(self):
        if not self.traced:
            return [self.process.pid]
        task = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for _ in range(200):  # strace may not have started it yet
            if self.is_over():
                return []
            children = [int(pid) for pid in task.read_text().split()]
            if children:
                return children
            time.sleep(0.01)
        return []
