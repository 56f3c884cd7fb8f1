"""What the agent does while it is killed or given errors: short stories, each with its own check."""

import json
import os
import sqlite3
import time
from collections import Counter
from contextlib import closing

from support import programs
from support.agent import Agent
from support.chorus import Double
from support.recordings import many, sha256

import traced

PATIENCE = 45  # s: what takes longer hangs
OPENLY = 8  # s: after that it may wait for a time that it tells
QUICK = {
    "log_level": "info",
    "upload": {"retry_first": "10ms", "retry_max": "50ms", "resend_after": "50ms", "stall_timeout": "5s"},
    "watches": {"calls": {"settle": "1ms", "quiet": "100ms", "rescan": "200ms"}},
}
LOST = """
1: store reset
2: reset in-body 500
3: store no-answer
4: store status 503
5: status 500
"""


class Wrong(Exception):
    """The promise is broken."""


class Scenario:
    """One installation and its story. Subclasses say what happens in it."""

    command = "once"
    switches = ()
    script = ""
    changes = {}
    count = 3

    def __init__(self, room):
        self.room = room
        self.double = Double(room / "chorus", "--no-sync", *self.switches, script=self.script).start()
        self.agent = Agent(room / "agent", self.double.url, **QUICK)
        self.done = self.agent.root / "done"
        self.done.mkdir()
        self.agent.configure(**self.changes)
        self.lives = 0
        self.expected = []
        self.prepare()

    def close(self):
        self.double.stop()

    # -- the story --

    def prepare(self):
        self.take(many(self.agent.calls, self.count))

    def take(self, paths):
        self.expected += [sha256(path) for path in paths]

    def begin(self, wrapper=()):
        self.lives += 1
        return traced.Life(self.agent, programs.find("CHORUS_AGENT"), self.command, wrapper,
                           self.room / f"said-{self.lives}")

    def live(self, wrapper=(), patience=PATIENCE):
        """One life, to its own end or to that of what is to be done; then SIGTERM. (exit code or None where it
        did not end, what it said, whether all was done in it)"""
        life = self.begin(wrapper)
        try:
            if self.command == "once":
                end = time.monotonic() + patience
                code = life.wait(min(OPENLY, patience))
                while code is None and time.monotonic() < end and not self.waits_openly():
                    code = life.wait(1)
                over = code is not None
            else:
                over = self.drive(life, time.monotonic() + patience)
                code = life.end() if not life.is_over() else life.process.returncode
            if code is None:
                life.end()
            return code, life.text(), over
        finally:
            life.kill()

    def drive(self, life, end):
        """Goes along with a life of `run`; true where all was done in it."""
        while not self.is_done() or "event=started" not in life.text():  # before that, SIGTERM just ends it
            if life.is_over() or time.monotonic() > end:
                return False
            time.sleep(0.01)
        while not self.is_at_rest():
            if life.is_over() or time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True

    def is_at_rest(self):
        """What the double has, the agent knows too: an answer may have been lost."""
        said = self.agent.run("status", "--json")
        if said.returncode != 0:
            return False
        counts = json.loads(said.stdout)["counts"]
        return not any(n for state, n in counts.items() if state not in ("uploaded", "duplicate", "skipped"))

    def is_done(self):
        return len(self.double.stored()) >= len(self.expected)

    def waits_openly(self):
        """What is not done yet has its time to be tried again, and a reason: it does not hang."""
        rest = [one for one in self.agent.list() if one["state"] not in ("uploaded", "duplicate", "skipped")]
        return bool(rest) and all(one.get("next_attempt_at") and one.get("reason") for one in rest)

    def hurry(self):
        """What is put off for a minute, or five, is due now: it stands for the waiting."""
        path = self.agent.state_dir / "ledger.db"
        if not path.exists():
            return
        with closing(sqlite3.connect(path)) as ledger, ledger:
            if ledger.execute("SELECT 1 FROM sqlite_master WHERE name = 'path'").fetchone() is None:
                return  # it did not come that far
            ledger.execute("UPDATE recording SET next_attempt_ms = 0 WHERE next_attempt_ms IS NOT NULL")
            ledger.execute("UPDATE path SET retire_ms = 0 WHERE retire_ms IS NOT NULL")

    # -- what must hold in the end --

    def verify(self):
        stored = Counter(line["sha256"] for line in self.double.stored())
        doubled = {digest[:8]: n for digest, n in stored.items() if n > 1}
        if doubled:
            raise Wrong(f"doubled: {doubled}")
        foreign = set(stored) - set(self.expected)
        if foreign:
            raise Wrong(f"partial or not to be sent: {len(foreign)}")
        lost = set(self.expected) - set(stored)
        if lost:
            raise Wrong(f"lost: {len(lost)} of {len(self.expected)}")
        if self.double.offences():
            raise Wrong(f"offences: {self.double.offences()}")
        with closing(sqlite3.connect(self.agent.state_dir / "ledger.db")) as ledger:
            word = ledger.execute("PRAGMA integrity_check").fetchone()[0]
        if word != "ok":
            raise Wrong(f"the ledger: {word}")
        self.verify_files()
        self.verify_states()

    def verify_files(self):
        local = Counter(sha256(path) for path in self.files_below(self.agent.calls))
        if local != Counter(self.expected):
            raise Wrong(f"local files: {sum(local.values())} instead of {len(self.expected)}")

    def verify_states(self):
        counts = self.agent.counts()
        if set(counts) - {"uploaded", "duplicate"} or sum(counts.values()) != len(self.expected):
            raise Wrong(f"states: {counts}")

    @staticmethod
    def files_below(folder):
        return [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]


class First(Scenario):
    """First start with files: no state directory, no ledger."""


class Lost(Scenario):
    """Answers get lost on their way back, and uploads on their way there."""

    script = LOST
    count = 4


class Burst(Scenario):
    """The service runs; files come in all at once, below new folders too."""

    command = "run"

    def prepare(self):
        self.made = many(self.agent.root / "made", 6)
        self.take(self.made)

    def drive(self, life, end):
        while self.made and not self.agent._status_file().exists() and not life.is_over() \
                and time.monotonic() < end:
            time.sleep(0.005)
        for i, path in enumerate(self.made):
            self.agent.put(path, path.name if i % 2 else f"new/{path.name}")
            path.unlink()
        self.made = []
        return super().drive(life, end)


class Move(Scenario):
    """Each is moved once it is uploaded, from below a folder too."""

    command = "run"
    changes = {"watches": {"calls": {"after_upload": "move", "move_to": "$ROOT/done"}}}

    def prepare(self):
        many(self.agent.calls / "sub", 2)
        self.take(many(self.agent.calls, 1, first=9))
        self.take(self.files_below(self.agent.calls / "sub"))

    def is_done(self):
        return len(self.files_below(self.done)) >= len(self.expected)

    def verify_files(self):
        left = self.files_below(self.agent.calls)
        moved = Counter(sha256(path) for path in self.files_below(self.done))
        if left or moved != Counter(self.expected):
            raise Wrong(f"local files: {len(left)} left, {sum(moved.values())} moved of {len(self.expected)}")


class Since(Scenario):
    """since: start. What stands there at first is passed over, for ever; what comes then is taken."""

    command = "run"
    changes = {"watches": {"calls": {"since": "start"}}}
    count = 3

    def prepare(self):
        before = time.time() - 1000
        for path in many(self.agent.calls, self.count):
            os.utime(path, (before, before))
        self.made = many(self.agent.root / "made", 2, first=50)
        self.take(self.made)

    def drive(self, life, end):
        while self.made and time.monotonic() < end:
            over = life.is_over()
            if self.is_judged():
                for path in self.made:
                    self.agent.put(path).touch()
                    path.unlink()
                self.made = []
            if over:
                return False
            time.sleep(0.01)
        return super().drive(life, end)

    def is_judged(self):
        return self.agent.run("status", "--json").returncode == 0 and \
            self.agent.counts().get("skipped") == self.count

    def verify_files(self):
        if len(self.files_below(self.agent.calls)) != self.count + len(self.expected):
            raise Wrong("local files: not all are there")

    def verify_states(self):
        counts = self.agent.counts()
        if counts != {"skipped": self.count, "uploaded": len(self.expected)}:
            raise Wrong(f"states: {counts}")


class Control(Lost):
    """A planted fault: a Chorus that stores late and looks no more, and an agent that is told not to wait for it.
    Kills must show doubles here, or the sweep would see none."""

    script = "*: pass"
    switches = ("--check-then-store", 700)


ALL = {each.__name__.lower(): each for each in (First, Burst, Lost, Move, Since)}
