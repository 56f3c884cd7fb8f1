"""Names are bytes. Whatever a dialer calls a file, it is uploaded once, under a name that any
program can read, and is found again by its path."""

import os
import re

import pytest

from support.evidence import assert_all_well
from support.recordings import many, sha256, wav

NAMES = {
    "spaces": b"  call with  spaces .wav",
    "quotes": b"it's \"quoted\" `here`.wav",
    "brackets": b"[call] {1} (2) <3>.wav",
    "shell": b"$(reboot); rm -rf & | ~ * ? !.wav",
    "newline": b"first\nsecond.wav",
    "header": b"call.wav\r\nContent-Type: text\r\n\r\nx.wav",
    "form": b'call"; name="user.wav',
    "controls": bytes(range(1, 32)) + b"\x7f.wav",
    "backslash": b"back\\slash\\x41.wav",
    "percent": b"100%25 %s %n.wav",
    "latin-1": b"caf\xe9 \xff\xfe.wav",
    "cut-utf-8": b"caf\xc3.wav",
    "surrogate": b"\xed\xa0\x80.wav",
    "overlong": b"\xc0\xaf.wav",
    "emoji": "call \U0001f4de ☎ été.wav".encode(),
    "no-break": "a\u0085b\u2028c\u202ed.wav".encode(),
    "longest": b"n" * 251 + b".wav",
    "longest-escaped": b"\xff" * 251 + b".wav",
    "dash": b"-rf.wav",
    "option": b"--config=x.wav",
    "plus": b"+15550100 #1, a=b&c.wav",
    "dots": b"a..b...wav",
}


def put(folder, name, seed):
    path = os.path.join(os.fsencode(folder), name)
    content = wav(folder.parent / "content.wav", seed)
    content.rename(os.fsdecode(path))
    return path


def escaped(name):
    """As the agent is to show it: UTF-8 as it is; other bytes, controls and \\ as \\xHH."""
    def one(character):
        code = ord(character)
        if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8
            return f"\\x{code - 0xDC00:02x}"
        if code < 0x20 or 0x7F <= code < 0xA0 or character == "\\":
            return "".join(f"\\x{byte:02x}" for byte in character.encode())
        return character

    return "".join(map(one, name.decode("utf-8", "surrogateescape")))


def is_shown_as(name, whole):
    """The field `name` holds 250 characters at most, and is not cut within an escape."""
    return name == whole or (len(whole) > 250 and whole.startswith(name) and len(name) > 240 and
                             not re.search(r"\\(x.?)?$", name))


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_any_name_is_uploaded_once_escaped_and_found_by_its_path(agent, double, name):
    path = put(agent.calls, name, 1)
    agent.start()
    agent.wait_counts(uploaded=1, only=True)
    assert_all_well(double, agent, [sha256(os.fsdecode(path))])
    [stored], [row] = double.stored(), agent.list()
    assert row["path"] == f"{agent.calls}/{escaped(name)}"
    assert stored["filename"] and "\n" not in stored["filename"]
    assert stored["fields"]["name"] == row["name"]
    assert is_shown_as(row["name"], escaped(name).rsplit(".", 1)[0])

    assert agent.list(os.fsdecode(path)) == [row]
    assert agent.list(row["path"]) == [row], "as it was shown, it is not found"
    said = agent.run("explain", os.fsdecode(path), check=0).stdout
    assert said.split("\n")[0] == row["path"]
    assert "uploaded, attempt 1, HTTP 200" in said
    assert agent.run("list", check=0).stdout.count("\n") == 1


def test_odd_names_of_folders(agent, double):
    agent.start()
    folders = [os.path.join(os.fsencode(agent.calls), name[:200].removesuffix(b".wav"))
               for name in NAMES.values() if not name.startswith(b".")]
    calls = []
    for number, folder in enumerate(dict.fromkeys(folders)):
        os.makedirs(folder, exist_ok=True)
        content = wav(agent.root / "content.wav", number, 0.05)
        content.rename(os.fsdecode(folder + b"/call.wav"))
        calls.append(os.fsdecode(folder + b"/call.wav"))
    agent.wait_counts(uploaded=len(calls), only=True, timeout=60)
    assert_all_well(double, agent, [sha256(path) for path in calls])


def test_every_single_byte_in_a_name(agent, double):
    agent.start()
    base = os.fsencode(agent.calls)
    values = [value for value in range(1, 256) if value != ord("/")]
    for number, path in enumerate(many(agent.root / "made", len(values), 0.02)):
        os.rename(path, os.path.join(base, b"a" + bytes([values[number]]) + b"z.wav"))
    agent.wait_counts(uploaded=len(values), only=True, timeout=60)
    assert_all_well(double, agent, [sha256(os.fsdecode(entry.path))
                                    for entry in os.scandir(base)])
    names = [one["fields"]["name"] for one in double.stored()]
    assert len(set(names)) == len(values), "two names became one"


def test_the_log_shows_no_raw_control_character(agent, double):
    put(agent.calls, b"one\ntime=forged level=info event=uploaded\x1b[2J.wav", 1)
    agent.start()
    agent.wait_counts(uploaded=1, only=True)
    agent.stop()
    assert "\x1b" not in agent.log()
    assert not any(line.startswith("time=forged") for line in agent.log().splitlines())
