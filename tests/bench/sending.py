"""Sections S, M and L: sets of files, sent by the agent and by its peers in turn."""

import shutil
from pathlib import Path

import rig
from rig import Files, Installation, Sink, measured, number, spread

#: name: (count, size, one file in so many is hashed by the sink)
SETS = {"S": (10_000, 64 * rig.KIB, 100), "M": (1_000, rig.MIB, 50), "L": (8, 512 * rig.MIB, 8)}
PARALLEL = 8


def curl_options(sink):
    # as the agent sends: no wait for a 100, the same form, the file last
    return ["-s", "-S", "-f", "-o", "/dev/null", "-H", "Expect:", "-H", f"Authorization: {rig.TOKEN}",
            "--cacert", str(sink.cert), "--http1.1"]


def form_of(path):
    return ["name=a call", f"user={rig.OWNER}", f"data=@{path};type=audio/x-wav"]


def curl_config(files, url, sink, room):
    """All uploads of a set, for one curl."""
    config = Path(room) / "curl.config"
    with open(config, "w") as to:
        for i, path in enumerate(files.paths):
            to.write("next\n" if i else "")
            to.write(f'url = "{url}/v3/upload"\nsilent\nshow-error\nfail\noutput = "/dev/null"\nheader = "Expect:"\n'
                     f'header = "Authorization: {rig.TOKEN}"\ncacert = "{sink.cert}"\nhttp1.1\n')
            to.write("".join(f'form = "{part}"\n' for part in form_of(path)))
    return config


class Peers:
    """name -> a command that sends the whole set."""

    def __init__(self, files, sink, scheme, room):
        self.files, self.sink, self.scheme, self.room = files, sink, scheme, room
        self.url = sink.url(scheme)
        self.config = curl_config(files, self.url, sink, room)
        self.lives = 0

    def agent(self):
        self.lives += 1
        root = self.room / f"agent-{self.lives}"
        installation = Installation(root, self.url, self.files.root, self.sink.cert)
        try:
            return installation.once(self.room)
        finally:
            shutil.rmtree(root)

    def curl(self):
        return measured(["curl", "--parallel", "--parallel-max", PARALLEL, "-K", self.config], self.room)

    def curl_openssl(self):
        both = (f"xargs openssl dgst -sha256 <{self.files.list} >{self.room}/sums & "
                f"curl --parallel --parallel-max {PARALLEL} -K {self.config} && wait")
        return measured(["sh", "-c", both], self.room)

    def xargs(self):
        arguments = [*curl_options(self.sink), *(word for part in form_of("{}") for word in ("-F", part))]
        words = " ".join(f"'{word}'" for word in arguments)
        return measured(["sh", "-c", f"find {self.files.root} -type f -print0 | "
                                     f"xargs -0 -P{PARALLEL} -I{{}} curl {words} {self.url}/v3/upload"], self.room)

    def all(self, xargs):
        peers = {"curl --parallel": self.curl, "chorus-agent once": self.agent,
                 "curl and openssl dgst": self.curl_openssl}
        return peers | ({"find, xargs -P8 curl": self.xargs} if xargs else {})


def one_round(peers, sink, first):
    took = {}
    names = list(peers)
    for name in names[first % len(names):] + names[:first % len(names)]:
        rig.settle_disk()
        sink.reset()
        took[name] = peers[name]()
        sink.check(sink.files)
    return took


def rows(title, files, scheme, rounds):
    """Lines of the table. Ratios are of the same round."""
    for name in rounds[0]:
        mine = [each[name] for each in rounds]
        curl = [each["curl --parallel"] for each in rounds]
        dgst = [each["curl and openssl dgst"] for each in rounds]
        wall = [one.wall for one in mine]
        yield [f"{title} {scheme}", name, spread([a.wall / b.wall for a, b in zip(mine, curl)]),
               spread([a.cpu / b.cpu for a, b in zip(mine, curl)]),
               number(rig.median([a.wall / b.wall for a, b in zip(mine, dgst)])),
               number(rig.median([a.cpu / b.cpu for a, b in zip(mine, dgst)])),
               number(max(one.peak for one in mine)), number(rig.median(wall)),
               number(rig.median([files.count / s for s in wall])),
               number(rig.median([files.count * files.size / rig.MIB / s for s in wall]))]


HEAD = ["set", "sender", "wall x curl", "CPU x curl", "wall x curl+dgst", "CPU x curl+dgst", "peak MiB", "wall s",
        "files/s", "MiB/s"]


def section(name, options, room, say):
    count, size, every = SETS[name]
    count, size = (max(2, count // options.scale), size) if name != "L" else (count, max(rig.MIB, size // options.scale))
    files = Files(room / name, count, size)
    table = []
    for scheme in options.schemes:
        with Sink(room, files.manifest, every) as sink:
            sink.files = files
            # a process for each file is so slow that it says the same on fewer rounds
            peers = Peers(files, sink, scheme, room)
            rounds = []
            for i in range(options.rounds + 1):
                took = one_round(peers.all(options.xargs), sink, i)
                if i > 0:  # the first one only warms the page cache
                    rounds.append(took)
                say(f"{name} {scheme} round {i}: " +
                    ", ".join(f"{peer} {number(one.wall)} s" for peer, one in took.items()))
            table += rows(name, files, scheme, rounds)
    shutil.rmtree(files.root)
    return [("Sending", HEAD, table)]
