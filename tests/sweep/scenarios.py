"""What the agent does while it is killed or given errors: short stories, each with its own check."""

import json
import os
import sqlite3
import time
from collections import Counter
from contextlib import closing
from datetime import datetime

from support import programs
from support.agent import Agent
from support.chorus import Double
from support.deletion import outcomes, remaining
from support.recordings import many, sha256

import traced

PATIENCE = 45  # s: what takes longer hangs
OBEYS = 8  # s: after that it does not obey SIGTERM
OPENLY = 3  # s: after that it may wait for a time that it tells
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


#: Nothing more is to be done with a recording.
AT_REST = ("uploaded", "duplicate", "skipped", "deleted")


class Wrong(Exception):
    """The promise is broken."""


def is_later(when):
    """Whether a time as `list` tells it, if it tells any, is more than a moment away."""
    return when is not None and datetime.fromisoformat(when.replace("Z", "+00:00")).timestamp() > time.time() + 1


class Scenario:
    """One installation and its story. Subclasses say what happens in it."""

    command = "once"
    switches = ()
    script = ""
    changes = {}
    count = 3

    def __init__(self, room, home=None):
        """`home`: where the installation shall stand, if not in the room."""
        self.room = room
        self.double = Double(room / "chorus", "--no-sync", *self.switches, script=self.script).start()
        self.agent = Agent((home or room) / "agent", self.double.url, **QUICK)
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

    def begin(self, wrapper=(), switches=None):
        self.lives += 1
        program = programs.find("CHORUS_AGENT" if switches is None else "CHORUS_FAULTY_AGENT")
        return traced.Life(self.agent, program, self.command, wrapper, self.room / f"said-{self.lives}", switches or {})

    def live(self, wrapper=(), patience=PATIENCE, switches=None):
        """One life, with such variables of the faulty program where `switches` are given, to its own end or to that of what is to be done; then SIGTERM. (exit code or None where it
        did not end, what it said, whether all was done in it)"""
        life = self.begin(wrapper, switches)
        try:
            end = time.monotonic() + patience
            over = self.follow(life, end) if self.command == "once" else self.drive(life, end)
            if "Sanitizer" in life.text():
                life.wait(30)  # it takes its time over its report
            code = life.end(OBEYS) if not life.is_over() else life.process.returncode
            return code, life.text(), over
        finally:
            life.kill()

    def follow(self, life, end):
        """Waits for the end of `once`; true where it came by itself."""
        code = life.wait(min(OPENLY, end - time.monotonic()))
        while code is None and time.monotonic() < end and not self.waits_openly():
            code = life.wait(1)
        return code is not None

    def drive(self, life, end):
        """Goes along with a life of `run`; true where all was done in it."""
        self.look_again = started_by = time.monotonic() + OPENLY
        while not self.is_done() or not self.has_started(life, started_by):
            if self.is_in_vain(life, end):
                return False
            time.sleep(0.01)
        while not self.is_at_rest():
            if self.is_in_vain(life, end):
                return False
            time.sleep(0.05)
        return True

    @staticmethod
    def has_started(life, started_by):
        """Before that SIGTERM just ends it. Its line may be the very one that could not be written."""
        return "event=started" in life.text() or time.monotonic() > started_by

    def is_in_vain(self, life, end):
        now = time.monotonic()
        if life.is_over() or now > end:
            return True
        if now < self.look_again:
            return False
        self.look_again = now + 1
        return self.waits_openly()

    def is_at_rest(self):
        """What the double has, the agent knows too: an answer may have been lost."""
        said = self.agent.run("status", "--json")
        if said.returncode != 0:
            return False
        counts = json.loads(said.stdout)["counts"]
        return not any(n for state, n in counts.items() if state not in AT_REST)

    def is_done(self):
        return len(self.double.stored()) >= len(self.expected)

    def waits_openly(self):
        """What is not done yet has its time to be tried again, in a while, and a reason: it does not hang."""
        rest = [one for one in self.agent.list() if one["state"] not in AT_REST]
        if rest:
            return all(is_later(one.get("next_attempt_at")) and one.get("reason") for one in rest)
        return self.is_put_off()

    def is_put_off(self):
        """What comes after the upload has its time."""
        if not self.has_ledger():
            return False
        with closing(sqlite3.connect(self.agent.state_dir / "ledger.db")) as ledger:
            later = 1000 * time.time() + 2000
            return ledger.execute("SELECT EXISTS (SELECT 1 FROM path WHERE retire_ms > ?1)", (later,)).fetchone()[0] == 1

    def has_ledger(self):
        path = self.agent.state_dir / "ledger.db"
        if not path.exists():
            return False
        with closing(sqlite3.connect(path)) as ledger:
            return ledger.execute("SELECT 1 FROM sqlite_master WHERE name = 'path'").fetchone() is not None

    def hurry(self):
        """What is put off for a minute, or five, is due now: it stands for the waiting."""
        if not self.has_ledger():
            return
        with closing(sqlite3.connect(self.agent.state_dir / "ledger.db")) as ledger, ledger:
            ledger.execute("UPDATE recording SET next_attempt_ms = 0 WHERE next_attempt_ms IS NOT NULL")
            ledger.execute("UPDATE recording SET check_ms = 0 WHERE check_ms IS NOT NULL")
            ledger.execute("UPDATE path SET retire_ms = 0 WHERE retire_ms IS NOT NULL")
            ledger.execute("UPDATE erasure SET due_ms = 0 WHERE due_ms IS NOT NULL")

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
        keyless = [one["n"] for one in self.double.posts() if one["whole"] and not one.get("fields", {}).get("meeting_id")]
        if keyless:
            raise Wrong(f"requests without their key: {keyless}")
        if self.double.offences():
            raise Wrong(f"offences: {self.double.offences()}")
        with closing(sqlite3.connect(self.agent.state_dir / "ledger.db")) as ledger:
            word = ledger.execute("PRAGMA integrity_check").fetchone()[0]
        if word != "ok":
            raise Wrong(f"the ledger: {word}")
        aside = list(self.agent.state_dir.glob("ledger.corrupt-*"))
        if aside:
            raise Wrong(f"the ledger was taken for broken: {aside}")
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
    """Each is moved once it is uploaded, from below a folder too, and its sidecar with it, which says whose it is."""

    command = "run"
    # a short wait: what waits for its sidecar is no more put off than what is about to be sent
    changes = {"watches": {"calls": {"after_upload": "move", "move_to": "$ROOT/done", "sidecar": "{stem}.json",
                                     "sidecar_required": True, "sidecar_wait": "500ms"}}}

    def prepare(self):
        many(self.agent.calls / "sub", 2)
        many(self.agent.calls, 1, first=9)
        paths = self.files_below(self.agent.calls)
        self.take(paths)
        self.owners = {sha256(path): f"agent{i}@example.com" for i, path in enumerate(paths)}
        for path in paths:
            with open(os.path.splitext(path)[0] + ".json", "w") as sidecar:
                json.dump({"user": self.owners[sha256(path)]}, sidecar)
        self.whole = Counter(sha256(path) for path in self.files_below(self.agent.calls))

    def is_done(self):
        return len(self.files_below(self.done)) >= self.whole.total()

    def verify_files(self):
        left = self.files_below(self.agent.calls)
        moved = Counter(sha256(path) for path in self.files_below(self.done))
        if left or moved != self.whole:
            raise Wrong(f"local files: {len(left)} left, {moved.total()} moved of {self.whole.total()}")
        owners = {line["sha256"]: line["fields"]["user"] for line in self.double.stored()}
        if owners != self.owners:
            raise Wrong(f"owners: {owners} instead of {self.owners}")


class Remove(Scenario):
    """Each is deleted once Chorus shows it as processed; that is asked a minute after the upload, which stands for
    itself in a life before."""

    command = "run"
    changes = {"watches": {"calls": {"after_upload": "delete"}}}

    def prepare(self):
        super().prepare()
        self.is_uploaded_only = True
        code, said, over = self.live()
        if code != 0 or not over:
            raise Wrong(f"the uploads before: {code}\n{said[-1500:]}")
        self.is_uploaded_only = False

    def begin(self, wrapper=(), switches=None):
        self.hurry()
        return super().begin(wrapper, switches)

    def is_done(self):
        return super().is_done() if self.is_uploaded_only else not self.files_below(self.agent.calls)

    def is_put_off(self):
        with closing(sqlite3.connect(self.agent.state_dir / "ledger.db")) as ledger:
            later = 1000 * time.time() + 2000
            return super().is_put_off() or ledger.execute(
                "SELECT EXISTS (SELECT 1 FROM recording WHERE check_ms > ?1)", (later,)).fetchone()[0] == 1

    def verify_files(self):
        left = self.files_below(self.agent.calls)
        if left:
            raise Wrong(f"local files: {len(left)} left")


class Delete(Scenario):
    """A control file names two of three recordings, which a life before has uploaded: these two go, once and for all, the
    third stays, and one result tells it."""

    command = "run"

    def prepare(self):
        super().prepare()
        self.named = []
        code, said, over = self.live()
        if code != 0 or not over:
            raise Wrong(f"the uploads before: {code}\n{said[-1500:]}")
        self.named = sorted(self.files_below(self.agent.calls))[:2]
        self.digests = {sha256(path) for path in self.named}
        self.agent.request_deletion("two", "".join(f"{path}\n" for path in [*self.named, "@reason sweep"]))

    def results(self):
        return [path for path in self.files_below(self.agent.control_dir) if path.endswith(".result.json")]

    def is_done(self):
        return bool(self.results()) if self.named else super().is_done()

    def waits_openly(self):
        return False  # an answer that was lost is asked for again within seconds

    def verify_states(self):
        counts = self.agent.counts()
        if counts != {"uploaded": 1, "deleted": 2}:
            raise Wrong(f"states: {counts}")
        if remaining(self.double) != set(self.expected) - self.digests:
            raise Wrong(f"Chorus still has {remaining(self.double)}")
        results = self.results()
        if len(results) != 1:
            raise Wrong(f"results: {results}")
        with open(results[0]) as file:
            result = json.load(file)
        if outcomes(result) != {"deleted": 2}:
            raise Wrong(f"the result says {result}")
        left = [path for path in self.files_below(self.agent.control_dir) if path not in results]
        if [os.path.relpath(path, self.agent.control_dir) for path in left] != ["done/two.delete"]:
            raise Wrong(f"beside the result: {left}")


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


ALL = {each.__name__.lower(): each for each in (First, Burst, Lost, Move, Remove, Delete, Since)}
