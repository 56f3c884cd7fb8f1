"""Sections of the service: how soon a closed file leaves, what idling costs, and large ledgers."""

import os
import shutil
import threading
import time

import rig
from rig import Files, Installation, Sink, measured, number, spread

HEAD = ["what", "figure", "beside it"]
LOOKS = 3  # rounds of a look at a large folder: each takes seconds


def drop(folder, names, pause, block):
    """Writes and closes files one after the other; {name: when its close began, in ns}"""
    closed = {}
    for name in names:
        fd = os.open(folder / name, os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(fd, name.encode() + block)
        closed[name] = time.monotonic_ns()
        os.close(fd)
        time.sleep(pause)
    return closed


def delays_ms(sink, closed, timeout=60):
    end = time.monotonic() + timeout
    while True:
        came = sink.arrivals()
        if all(name in came for name in closed):
            return [(came[name] - at) / 1e6 for name, at in closed.items()]
        if time.monotonic() > end:
            raise RuntimeError(f"{len(closed) - len(came)} files did not arrive")
        time.sleep(0.1)


def latency(options, room, say):
    """Close to first byte, settle: 0s."""
    count, calls = max(20, 500 // options.scale), room / "latency-calls"
    calls.mkdir()
    table = []
    for scheme in options.schemes:
        with Sink(room, arrivals=True) as sink:
            agent = Installation(room / f"latency-{scheme}", sink.url(scheme), calls, sink.cert)
            agent.start()
            time.sleep(1)
            names = [f"{scheme}-{i}.wav" for i in range(count + 20)]
            drop(calls, names[:20], 0.02, os.urandom(16000))  # the connection stands, the caches are warm
            time.sleep(1)
            took = delays_ms(sink, drop(calls, names[20:], 0.02, os.urandom(16000)))
            agent.stop()
            table.append([f"close to first byte, {scheme}, ms: p50, p99, most",
                          ", ".join(number(rig.percentile(took, part)) for part in (0.5, 0.99, 1)),
                          f"a durable commit of this disk: {number(rig.durable_commit_ms(room))} ms; {count} files"])
            say(table[-1])
    return [("Service", HEAD, table)]


def spent(pid):
    """CPU in ns and voluntary switches of all threads so far."""
    cpu = wakes = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as file:
            cpu += int(file.read().split()[0])
        with open(f"/proc/{pid}/task/{task}/status") as file:
            wakes += next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt"))
    return cpu, wakes


def idle(options, room, say):
    seconds = max(10, 60 // options.scale)
    files = Files(room / "idle-calls", max(10, 1000 // options.scale), 1000)
    with Sink(room) as sink:
        agent = Installation(room / "idle", sink.url("http"), files.root)
        agent.start()
        agent.wait_counts(uploaded=files.count)
        time.sleep(5)
        before = spent(agent.process.pid)
        time.sleep(seconds)
        after = spent(agent.process.pid)
        agent.stop()
    table = [["idle: CPU in percent", number((after[0] - before[0]) / 1e7 / seconds), f"{seconds} s"],
             ["idle: wake-ups a second", number((after[1] - before[1]) / seconds), f"{seconds} s"]]
    say(table)
    return [("Service", HEAD, table)]


# --- large ledgers --------------------------------------------------------------------------------------


class Progress(threading.Thread):
    """How many uploads the sink had, and when."""

    def __init__(self, sink, wanted):
        super().__init__(daemon=True)
        self.sink, self.wanted, self.points, self.over = sink, wanted, [], False

    def run(self):
        while not self.over:
            self.points.append((time.monotonic(), self.sink.counts()["uploads"]))
            time.sleep(0.05)

    def each_us(self, around):
        """Time for each recording while the ledger held about so many, in us."""
        low, high = 0.8 * around, min(1.2 * around, self.wanted)
        part = [(at, n) for at, n in self.points if low <= n <= high]
        if len(part) < 2 or part[-1][1] == part[0][1]:
            return None
        return 1e6 * (part[-1][0] - part[0][0]) / (part[-1][1] - part[0][1])


def intake(files, room, say):
    """New files while Chorus cannot be reached: they are all queued."""
    agent = Installation(room / "intake", "http://127.0.0.1:9", files.root)
    began = time.monotonic()
    agent.start()
    while agent.tally(rig.QUEUED) + agent.tally(rig.WAITING) < files.count:
        time.sleep(0.1)
        if not agent.is_running():
            raise RuntimeError(agent.log()[-2000:])
    took, peak = time.monotonic() - began, agent.peak()
    agent.stop()
    began = time.monotonic()
    agent.start()
    again = time.monotonic() - began
    agent.stop()
    shutil.rmtree(agent.root)
    rows = [[f"intake of {files.count:,} new files: files/s, peak MiB", f"{number(files.count / took)}, {number(peak)}",
             f"{number(took)} s; Chorus cannot be reached"],
            [f"start with {files.count:,} queued, s", number(again), ""]]
    say(rows)
    return rows


def growth(files, agent, sink, room, say):
    """All of them uploaded, from an empty ledger on."""
    progress = Progress(sink, files.count)
    progress.start()
    took = agent.once(room)
    progress.over = True
    progress.join()
    sink.check(files)
    rows = [[f"once, {files.count:,} files: files/s, peak MiB", f"{number(files.count / took.wall)}, {number(took.peak)}",
             f"{number(took.wall)} s, CPU {number(took.cpu)} s"]]
    base = None
    around = 10_000
    while around <= files.count:
        each = progress.each_us(around)
        base = base or each
        if each:
            rows.append([f"time for each recording with {around:,} in the ledger, us", number(each),
                         f"x {number(each / base)} of that with 10,000"])
        around *= 10
    say(rows)
    return rows


def look(files, agent, room, say):
    """once, where everything is known, and find, in turn."""
    ratios, walls, peaks, commits = [], [], [], []
    for _ in range(LOOKS):
        find = measured(["find", files.root, "-type", "f", "-printf", "%s %T@\n"], room)
        before = agent.commits()
        once = agent.once(room)
        commits.append(agent.commits() - before)
        ratios.append(once.wall / find.wall)
        walls.append(once.wall)
        peaks.append(once.peak)
    rows = [[f"a look at {files.count:,} known files, x find -printf", spread(ratios),
             f"{number(rig.median(walls))} s, peak {number(max(peaks))} MiB, {min(commits)} commits"]]
    say(rows)
    return rows


def restart(files, agent, sink, say):
    """How soon a new file leaves after a start, and while everything is looked at again."""
    sink.reset()
    block = os.urandom(16000)
    folder = files.paths[0].parent
    began = time.monotonic_ns()
    agent.start(wait=False)
    drop(folder, ["first.wav"], 0, block)
    delays_ms(sink, {"first.wav": began}, 300)
    first = (sink.arrivals()["first.wav"] - began) / 1e6
    time.sleep(2 + files.count / 100_000)
    agent.reload()
    time.sleep(0.05)
    closed = drop(folder, [f"during-{i}.wav" for i in range(100)], 0.01, block)
    took = delays_ms(sink, closed, 120)
    agent.stop()
    rows = [[f"first upload after a start with {files.count:,} known, s", number(first / 1000), ""],
            ["close to first byte while they are looked at again, ms: p50, p99, most",
             ", ".join(number(rig.percentile(took, part)) for part in (0.5, 0.99, 1)), ""]]
    say(rows)
    return rows


def known(count, options, room, say):
    files = Files(room / f"known-{count}", count // options.scale, 1000)
    rig.settle_disk()
    table = intake(files, room, say)
    with Sink(room, files.manifest, 1000, arrivals=True) as sink:
        agent = Installation(room / f"known-agent-{count}", sink.url("http"), files.root)
        table += growth(files, agent, sink, room, say)
        table += look(files, agent, room, say)
        table += restart(files, agent, sink, say)
    shutil.rmtree(files.root)
    shutil.rmtree(agent.root)
    return [("Service", HEAD, table)]
