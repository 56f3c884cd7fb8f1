"""explain over many names and over a tree, and tables that change under many held recordings."""

import json
import time

import pytest

from support.promise import assert_kept
from support.waiting import wait_until

RULES = [
    {"title": "tests", "pattern": "TESTCAMP", "skip": "test campaign"},
    {"title": "by-agent", "pattern": r"(?:^|/)(?<stamp>\d{8}-\d{6})_(?<agent>[^_]+?)\.\w+$", "owner": "{agent|agents}"},
]


def write_table(agent, text, name="agents.csv"):
    fresh = agent.root / f".{name}.new"
    fresh.write_text(text)
    fresh.rename(agent.root / name)


@pytest.fixture
def dialer(double, agent_factory):
    agent = agent_factory(double, tables={"agents": "PLACE"}, watches={"calls": {"owner": None, "rules": RULES}})
    agent.configure(tables={"agents": f"{agent.root}/agents.csv"})
    write_table(agent, "6666,ann@example.com\n")
    return agent


# ---- explain ----

def test_explain_names_judges_a_list_and_counts(dialer):
    names = ["20261123-140501_6666.wav", "a/b/20261123-140502_7777.wav", "20261123-140503_TESTCAMP.wav", "notes.txt",
             "odd.wav"]
    listed = dialer.root / "names.txt"
    listed.write_text("\r\n".join(names) + "\r\n\r\n")
    text = dialer.run("explain", "--names", listed, check=0).stdout
    lines = text.splitlines()
    for line, words in zip(lines, ["uploaded ann@example.com by-agent", "held no row for 7777", "skipped test campaign",
                                   "passed over not that of a recording", "held no rule matches odd.wav"]):
        for word in words.split(" ", 1):
            assert word in line.replace("  ", " ") or all(part in line for part in word.split()), line
    assert [line.split() for line in lines[-5:]] == [
        ["5", "in", "all"], ["1", "uploaded"], ["2", "held"], ["1", "skipped"], ["1", "passed", "over"]]


def test_explain_names_takes_stdin_escapes_and_whole_paths(dialer):
    given = f"{dialer.calls}/20261123-140501_6666.wav\nodd\\xff.wav\n/elsewhere/x.wav\n"
    done = dialer.run("explain", "--json", "--names", "-", input=given, check=0)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["outcome"] for row in rows] == ["uploaded", "held", "passed over"]
    assert rows[0]["owner"] == "ann@example.com" and rows[0]["fields"]["agent"] == "6666"
    assert rows[1]["path"] == f"{dialer.calls}/odd\\xff.wav"
    assert "3 in all" in done.stderr


def test_explain_dir_looks_at_the_files_too(dialer, recordings):
    dialer.put(recordings.wav(dialer.root / "a.wav", 1), "deep/20261123-140501_6666.wav")
    dialer.put(recordings.wav(dialer.root / "b.wav", 2), "20261123-140501_7777.wav")
    empty = dialer.calls / "20261123-140502_6666.wav"
    empty.touch()
    wait_until(lambda: "2 uploaded" in (text := dialer.run("explain", "--dir", dialer.calls, check=0).stdout) or
               ("1 uploaded" in text and "1 held" in text and "1 skipped" in text), "all are settled")
    elsewhere = dialer.root / "archive"
    recordings.wav(elsewhere / "20261123-140501_6666.wav", 3)
    wait_until(lambda: "1 uploaded" in dialer.run("explain", "--dir", elsewhere, check=0).stdout, "it is settled")


def test_explain_many_refuses_what_it_cannot_know(dialer):
    dialer.run("explain", "--names", dialer.root / "none.txt", check=66)
    dialer.run("explain", "--names", "-", "--watch", "other", input="", check=64)
    dialer.run("explain", "--nonsense", check=64)
    dialer.configure(watches={"more": {"path": f"{dialer.root}/more", "owner": "team@example.com"}})
    dialer.run("explain", "--names", "-", input="a.wav\n", check=64)
    text = dialer.run("explain", "--names", "-", "--watch", "more", input="a.wav\n", check=0).stdout
    assert "team@example.com" in text


# ---- tables ----

def test_a_table_of_many_rows_releases_many_held_recordings(double, dialer, recordings):
    """200,000 rows, renamed over the old table while 100 recordings are held: each goes to its own owner."""
    dialer.start()
    paths = [dialer.put(path, f"20261123-140501_{n:06d}.wav")
             for n, path in enumerate(recordings.many(dialer.root / "made", 100))]
    dialer.wait_counts(held=100)
    write_table(dialer, "".join(f"{n:06d},agent{n}@example.com\n" for n in range(200_000)))
    began = time.monotonic()
    dialer.wait_counts(uploaded=100, held=0)
    print(f"uploaded {time.monotonic() - began:.1f} s after the rename")
    owners = {line["filename"]: line["fields"]["user"] for line in double.stored()}
    assert owners == {path.name: f"agent{n}@example.com" for n, path in enumerate(paths)}
    assert_kept(double, dialer, paths)


@pytest.mark.parametrize("broken, words", [
    ('7777,bob@example.com\n8888,"eve@example.com\n', ["line 2", "a quote"]),
    ("<html>\n<body>\n", ["line 1", "1 column"]),
    ("7777,bob@example.com\n\0\0\n", ["line 2", "byte 0"]),
])
def test_a_broken_new_table_keeps_the_old_in_force_and_says_why(double, dialer, recordings, broken, words):
    dialer.start()
    first = dialer.put(recordings.wav(dialer.root / "0.wav", 9), "20261123-140500_6666.wav")
    dialer.wait_counts(uploaded=1)
    write_table(dialer, broken)
    wait_until(lambda: all(word in json.dumps(dialer.status().get("last_error")) for word in words), "status tells it",
               describe=dialer.describe)
    known = dialer.put(recordings.wav(dialer.root / "a.wav", 1), "20261123-140501_6666.wav")
    dialer.wait_counts(uploaded=2)
    dialer.reload()
    held = dialer.put(recordings.wav(dialer.root / "b.wav", 2), "20261123-140501_7777.wav")
    other = dialer.put(recordings.wav(dialer.root / "c.wav", 3), "20261123-140502_6666.wav")
    dialer.wait_counts(uploaded=3, held=1)
    write_table(dialer, "6666,ann@example.com\n7777,bob@example.com\n")
    dialer.wait_counts(uploaded=4)
    assert_kept(double, dialer, [first, known, held, other])


def test_a_name_too_long_is_cut_at_a_character_and_told(double, agent, recordings):
    agent.configure(watches={"calls": {"name": "{stem}-" + "ä" * 300}})
    agent.start()
    path = agent.put(recordings.wav(agent.root / "a.wav", 1))
    agent.wait_counts(uploaded=1)
    assert double.stored()[0]["fields"]["name"] == "a-" + "ä" * 248
    assert "name-cut" in agent.log()
    assert "cut" in agent.run("explain", path, check=0).stdout
    assert_kept(double, agent, [path])
