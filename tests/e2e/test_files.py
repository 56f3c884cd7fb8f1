"""Files as dialers, copies, crons and people leave them: what is finished arrives once and whole,
what is not finished waits, and what is no recording is never touched."""

import mmap
import os
import random
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from support import programs
from support.chorus import TOKEN
from support.evidence import arrivals, assert_all_well, assert_arrived_once, stored_digests
from support.recordings import REFUSED, TAKEN, extension, many, make, sha256, sized, wav
from support.waiting import wait_until

HOUR = "1h"  # as a rescan: then only events can have told of a file


@pytest.fixture
def watching(double, agent_factory):
    """watching(**settings of the watch) -> an agent, not started, that lives by events."""
    def made(**watch):
        return agent_factory(double, watches={"calls": {"rescan": HOUR, **watch}})

    return made


@pytest.fixture
def queueing(double, agent_factory):
    """queueing(**settings of the watch) -> a running agent whose token is refused: what it takes
    in stays queued until release(agent)."""
    def made(**watch):
        return agent_factory(double, token="refused", watches={"calls": watch}).start()

    return made


def release(agent):
    agent.set_token(TOKEN)


def mp3_like(path, size, seed=0):
    """Bytes under the name of an MP3: a format that does not tell its length."""
    path.write_bytes(b"\xff\xfb" + random.Random(seed).randbytes(size - 2))
    return path


def append(path, data=b"more of the call" * 1000):
    with open(path, "ab") as file:
        file.write(data)


def wait_state(agent, path, state):
    """Waits until the path is known, in this state."""
    wait_until(lambda: [one["state"] for one in agent.list() if one["path"] == str(path)] ==
               [state], f"{path}: {state}", describe=agent.describe)


def watch_status(agent, name="calls"):
    return next(one for one in agent.status()["watches"] if one["name"] == name)


def wait_online(agent, online, name="calls"):
    wait_until(lambda: watch_status(agent, name)["online"] is online, f"{name} online: {online}",
               describe=agent.describe)


def wait_stored(double, agent, *contents):
    wait_until(lambda: {sha256(one) for one in contents} <= set(stored_digests(double)),
               f"arrival of {contents}", 60, describe=agent.describe)


# ---- how files come ----

def test_a_new_file_arrives(watching, double):
    agent = watching().start()
    call = wav(agent.calls / "call.wav", 1)
    agent.wait_counts(uploaded=1, only=True)
    assert_all_well(double, agent, [call])


def test_what_came_while_the_agent_was_down_arrives(watching, double):
    agent = watching()
    call = wav(agent.calls / "call.wav", 1)
    agent.start()
    agent.wait_counts(uploaded=1, only=True)
    assert_all_well(double, agent, [call])


def test_every_format_that_chorus_takes_arrives(watching, double):
    agent = watching()
    calls = [make(agent.calls / f"{kind}.{extension(kind)}", kind, seed)
             for seed, kind in enumerate(TAKEN)]
    agent.start()
    agent.wait_counts(uploaded=len(calls), only=True)
    assert_all_well(double, agent, calls)


def test_a_file_written_slowly_settles_until_it_is_closed(watching, double, tmp_path):
    """Each pause is longer than `settle`: a quiet file is not a finished one."""
    whole = make(tmp_path / "whole.mp3", "mp3", 1, seconds=4).read_bytes()
    agent = watching().start()
    part = len(whole) // 6 + 1
    with open(agent.calls / "call.mp3", "wb", buffering=0) as file:
        for at in range(0, len(whole), part):
            file.write(whole[at:at + part])
            time.sleep(0.5)
            assert double.posts() == []
        agent.wait_counts(settling=1, only=True)
    agent.wait_counts(uploaded=1, only=True)
    assert_all_well(double, agent, [agent.calls / "call.mp3"])


def test_a_writer_that_keeps_it_open_and_quiet_is_waited_for(watching, double, tmp_path):
    whole = make(tmp_path / "whole.mp3", "mp3", 1).read_bytes()
    agent = watching(quiet="300ms").start()
    with open(agent.calls / "call.mp3", "wb", buffering=0) as file:
        file.write(whole)
        agent.wait_counts(settling=1, only=True)
        time.sleep(3)
        assert agent.counts() == {"settling": 1}
        assert agent.find("call.mp3")["state"] == "settling"
        assert double.posts() == []
    agent.wait_counts(uploaded=1, only=True)
    assert_all_well(double, agent, [agent.calls / "call.mp3"])


def test_a_header_that_says_unfinished_is_believed(watching, double, tmp_path):
    """Asterisk closes a WAV whose sizes are 0 and opens it again: only the completed one goes."""
    whole = wav(tmp_path / "whole.wav", 1).read_bytes()
    agent = watching().start()
    call = agent.calls / "call.wav"
    call.write_bytes(whole[:4] + bytes(4) + whole[8:40] + bytes(4) + whole[44:])
    agent.wait_counts(settling=1, only=True)
    time.sleep(1)
    assert double.posts() == []
    call.write_bytes(whole)
    agent.wait_counts(uploaded=1, only=True)
    assert_all_well(double, agent, [call])


def test_after_open_quiet_an_unfinished_header_is_taken_as_it_is(watching, double, tmp_path):
    """A dialer that crashed never completes it, and the audio is good."""
    whole = wav(tmp_path / "whole.wav", 1).read_bytes()
    agent = watching(open_quiet="2s").start()
    call = agent.calls / "call.wav"
    call.write_bytes(whole[:4] + bytes(4) + whole[8:40] + bytes(4) + whole[44:])
    agent.wait_counts(uploaded=1, only=True)
    assert_all_well(double, agent, [call])


def test_a_file_renamed_into_place_arrives(watching, double):
    agent = watching().start()
    wav(agent.calls / "call.wav.part", 1).rename(agent.calls / "call.wav")
    wav(agent.calls / ".other.wav.Xy12", 2).rename(agent.calls / "other.wav")
    third = wav(agent.root / "elsewhere.wav", 3).rename(agent.calls / "third.wav")
    agent.wait_counts(uploaded=3, only=True)
    assert_all_well(double, agent, [agent.calls / "call.wav", agent.calls / "other.wav", third])


def test_a_placeholder_that_is_replaced_arrives_as_the_real_recording(watching, double):
    """A record cache creates an empty file, and moves the call over it later."""
    agent = watching().start()
    (agent.calls / "call.wav").touch()
    agent.wait_counts(skipped=1, only=True)
    wav(agent.root / "cache.wav", 1).rename(agent.calls / "call.wav")
    agent.wait_counts(uploaded=1, only=True)
    assert_all_well(double, agent, [agent.calls / "call.wav"])


def test_appended_before_the_upload_only_the_final_content_arrives(queueing, double):
    agent = queueing()
    call = mp3_like(agent.calls / "call.mp3", 20_000)
    agent.wait_counts(queued=1, only=True)
    append(call)
    wait_until(lambda: agent.find(call).get("sha256") == sha256(call), "the new content",
               describe=agent.describe)
    release(agent)
    agent.wait_counts(uploaded=1, only=True)
    assert_all_well(double, agent, [call])


def test_appended_after_the_upload_both_versions_are_recordings(watching, double):
    agent = watching().start()
    call = mp3_like(agent.calls / "call.mp3", 20_000)
    before = sha256(call)
    agent.wait_counts(uploaded=1, only=True)
    append(call)
    agent.wait_counts(uploaded=2, only=True)
    assert_all_well(double, agent, [before, call])


def rewrite_in_place(path):
    with open(path, "r+b") as file:
        file.write(b"\xff\xfb" + random.Random("another").randbytes(path.stat().st_size - 2))


def replace(path):
    mp3_like(path.with_name(".replacement"), path.stat().st_size, "another").rename(path)


def write_through_a_map(path):
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[-1000:] = bytes(1000)


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("change", [append, truncate, rewrite_in_place, replace,
                                    write_through_a_map])
def test_changed_while_it_is_uploaded_no_mixture_arrives(watching, double, change):
    """The last part is withheld until all that was sent is known to be the file as it was."""
    double.set_script("1: slow-read 8000000")
    agent = watching().start()
    call = mp3_like(agent.calls / "call.mp3", 32_000_000)
    before = sha256(call)
    wait_until(lambda: arrivals(double), "the upload has begun", describe=agent.describe)
    change(call)
    wait_stored(double, agent, call)
    assert set(stored_digests(double)) <= {before, sha256(call)}
    assert_arrived_once(double, stored_digests(double))
    wait_until(lambda: agent.counts() == {"uploaded": len(double.stored())}, "all is uploaded",
               describe=agent.describe)
    wait_until(lambda: len(double.posts()) == 2, "the double has done with both uploads")


def test_renamed_while_it_is_uploaded_it_arrives_once(watching, double):
    double.set_script("1: slow-read 8000000")
    agent = watching().start()
    call = mp3_like(agent.calls / "call.mp3", 32_000_000)
    wait_until(lambda: arrivals(double), "the upload has begun", describe=agent.describe)
    renamed = call.rename(agent.calls / "renamed.mp3")
    agent.wait_counts(uploaded=1, duplicate=1, only=True, timeout=60)
    assert_all_well(double, agent, [renamed])


def test_renamed_all_the_time_it_arrives_once(watching, double):
    agent = watching().start()
    call = mp3_like(agent.calls / "call-0.mp3", 500_000)
    for number in range(1, 60):
        call = call.rename(agent.calls / f"call-{number}.mp3")
        time.sleep(0.05 if number % 10 else 0.4)
    agent.wait_counts(uploaded=1, settling=0, hashing=0, queued=0)
    wait_stored(double, agent, call)
    assert_arrived_once(double, [call])


def test_deleted_while_it_is_uploaded_it_still_arrives(watching, double):
    double.set_script("1: slow-read 8000000")
    agent = watching().start()
    call = mp3_like(agent.calls / "call.mp3", 32_000_000)
    before = sha256(call)
    wait_until(lambda: arrivals(double), "the upload has begun", describe=agent.describe)
    call.unlink()
    agent.wait_counts(uploaded=1, only=True, timeout=60)
    assert_all_well(double, agent, [before])


def test_moved_to_another_watched_folder_while_queued_it_arrives_once(double, agent_factory):
    agent = agent_factory(double, token="refused")
    archive = agent.root / "archive"
    archive.mkdir()
    agent.configure(watches={"archive": {
        "path": str(archive), "owner": "archive@example.com", "since": "all", "settle": "200ms",
        "rescan": HOUR}})
    agent.start()
    call = wav(agent.calls / "call.wav", 1)
    agent.wait_counts(queued=1, only=True)
    moved = call.rename(archive / "call.wav")
    wait_state(agent, moved, "queued")
    release(agent)
    agent.wait_counts(uploaded=1)
    assert agent.find(moved)["state"] == "uploaded"
    assert double.stored()[0]["fields"]["user"] == "archive@example.com"
    assert_all_well(double, agent, [moved])


def test_deleted_while_queued_it_is_gone_and_back_again_it_arrives(queueing, double):
    agent = queueing()
    call = wav(agent.calls / "call.wav", 1)
    agent.wait_counts(queued=1, only=True)
    content = call.read_bytes()
    call.unlink()
    agent.wait_counts(gone=1, only=True)
    assert f"event=gone path={agent.calls}/" in agent.log()
    release(agent)
    call.write_bytes(content)
    agent.wait_counts(uploaded=1, only=True)
    assert_all_well(double, agent, [call])


def test_deleted_while_the_agent_was_down_it_is_gone(queueing, double):
    agent = queueing()
    call = wav(agent.calls / "call.wav", 1)
    agent.wait_counts(queued=1, only=True)
    agent.stop()
    call.unlink()
    agent.start()
    agent.wait_counts(gone=1, only=True)
    assert double.stored() == []


def test_an_uploaded_file_that_comes_back_is_not_sent_again(watching, double):
    agent = watching(rescan="300ms").start()
    call = wav(agent.calls / "call.wav", 1)
    agent.wait_counts(uploaded=1, only=True)
    content = call.read_bytes()
    for name in ("call.wav", "again.wav"):
        call.unlink(missing_ok=True)
        time.sleep(1)
        (agent.calls / name).write_bytes(content)
    agent.wait_counts(uploaded=1, duplicate=1, only=True)
    assert f"event=duplicate path={agent.calls}/" in agent.log()
    assert_all_well(double, agent, [agent.calls / "again.wav"])


def test_other_content_of_the_same_size_and_time_is_another_recording(watching, double):
    """A restored or re-encoded file may bear the time of the one before."""
    agent = watching().start()
    call = mp3_like(agent.calls / "call.mp3", 20_000, 1)
    before, times = sha256(call), call.stat()
    agent.wait_counts(uploaded=1, only=True)
    agent.stop()
    mp3_like(call, 20_000, 2)
    os.utime(call, ns=(times.st_atime_ns, times.st_mtime_ns))
    agent.start()
    agent.wait_counts(uploaded=2, only=True)
    assert_all_well(double, agent, [before, call])


@pytest.mark.parametrize("kind", ["fifo", "link"])
def test_what_takes_the_place_of_a_queued_file_is_not_followed(queueing, double, kind):
    agent = queueing()
    secret = wav(agent.root / "secret.wav", "secret")
    call = wav(agent.calls / "call.wav", 1)
    agent.wait_counts(queued=1, only=True)
    trap = agent.root / "trap"
    os.mkfifo(trap) if kind == "fifo" else trap.symlink_to(secret)
    trap.rename(call)
    release(agent)
    other = wav(agent.calls / "other.wav", 2)
    agent.wait_counts(uploaded=1, queued=0, uploading=0, waiting=0)
    assert_arrived_once(double, [other])


def test_an_endless_file_holds_up_neither_status_nor_the_end(watching, double):
    agent = watching()
    with open(agent.calls / "sparse.mp3", "wb") as file:
        file.truncate(1 << 40)
    agent.start()
    agent.wait_counts(hashing=1, only=True)
    assert agent.find("sparse.mp3")["state"] == "hashing"
    assert agent.stop() == 0
    assert double.posts() == []


# ---- folders ----

def test_a_tree_that_is_moved_in_arrives(watching, double):
    agent = watching().start()
    tree = agent.root / "tree"
    for number in range(20):
        wav(tree / f"{number % 4}" / f"{number % 3}" / f"{number}.wav", number, 0.1)
    tree.rename(agent.calls / "tree")
    calls = list((agent.calls / "tree").rglob("*.wav"))
    agent.wait_counts(uploaded=20, only=True)
    assert_all_well(double, agent, calls)


def test_a_tree_that_is_renamed_within_arrives_once(queueing, double):
    agent = queueing(rescan=HOUR)
    for number in range(6):
        wav(agent.calls / "old" / "below" / f"{number}.wav", number, 0.1)
    agent.wait_counts(queued=6, only=True)
    (agent.calls / "old").rename(agent.calls / "new")
    later = wav(agent.calls / "new" / "below" / "later.wav", "later", 0.1)
    wait_until(lambda: agent.counts().get("queued") == 7 and
               all("/new/" in one["path"] for one in agent.list("--state", "queued")),
               "all are queued from their new places", describe=agent.describe)
    release(agent)
    agent.wait_counts(uploaded=7)
    assert_all_well(double, agent, [*later.parent.iterdir()])


def test_deep_folders_made_at_once_with_files_in_them_arrive(watching, double):
    agent = watching().start()
    calls = []
    folder = agent.calls
    for depth in range(60):
        folder = folder / f"d{depth}"
        folder.mkdir()
        calls.append(wav(folder / f"{depth}.wav", depth, 0.05))
    agent.wait_counts(uploaded=60, only=True, timeout=60)
    assert_all_well(double, agent, calls)


def test_folders_made_and_removed_all_the_time_lose_nothing(watching, double):
    """A cron that makes a folder a call, and clears away the folders of the day before."""
    agent = watching().start()
    calls = []
    for number in range(100):
        folder = agent.calls / f"{number}"
        calls.append(wav(folder / "call.wav", number, 0.05))
        shutil.rmtree(wav(agent.calls / f"old-{number}" / "x.txt", 0, 0.05).parent)
    agent.wait_counts(uploaded=100, only=True, timeout=60)
    assert_all_well(double, agent, calls)


def test_two_thousand_files_at_once_all_arrive_once(watching, double):
    agent = watching().start()
    calls = many(agent.calls, 2000, seconds=0.02)
    agent.wait_counts(uploaded=2000, only=True, timeout=300)
    assert_all_well(double, agent, calls)


def test_without_recursion_folders_below_are_left_alone(watching, double):
    agent = watching(recursive=False)
    wav(agent.calls / "before" / "below.wav", 1)
    agent.start()
    wav(agent.calls / "after" / "below.wav", 2)
    top = wav(agent.calls / "top.wav", 3)
    agent.wait_counts(uploaded=1, only=True)
    assert len(agent.list()) == 1
    assert_all_well(double, agent, [top])


# ---- events that are lost ----

class _Sysctl:
    def __init__(self, path, value):
        self.path, self.value = Path(path), value

    def __enter__(self):
        self.before = self.path.read_text()
        try:
            self.path.write_text(self.value)
        except OSError as error:
            pytest.skip(f"{self.path} cannot be changed here: {error.strerror}")

    def __exit__(self, *_):
        self.path.write_text(self.before)


def wait_overflow(agent):
    """What only the running program knows may be a second older than the counts of the ledger."""
    wait_until(lambda: watch_status(agent)["overflows"] >= 1, "an overflow stands in status", timeout=10)


def test_an_event_queue_that_overflows_loses_nothing(watching, double):
    agent = watching()
    with _Sysctl("/proc/sys/fs/inotify/max_queued_events", "16"):
        agent.start()
        wait_online(agent, True)
    agent.process.send_signal(signal.SIGSTOP)
    calls = many(agent.calls, 300, seconds=0.02)
    agent.process.send_signal(signal.SIGCONT)
    agent.wait_counts(uploaded=300, only=True, timeout=60)
    wait_overflow(agent)
    assert_all_well(double, agent, calls)


def test_events_that_are_dropped_are_made_up_for_by_a_full_look(watching, double):
    if b"CHORUS_DROP_EVENTS_AFTER" not in Path(programs.find("CHORUS_AGENT")).read_bytes():
        pytest.skip("this build has no switch that drops events")
    agent = watching().start(env={"CHORUS_DROP_EVENTS_AFTER": "20"})
    calls = [wav(agent.calls / f"{number}" / f"{number}.wav", number, 0.05) for number in range(7)]
    agent.wait_counts(uploaded=7, only=True)  # by now their folders are listened to
    for number in range(7, 60):
        calls.append(wav(agent.calls / f"{number % 7}" / f"{number}.wav", number, 0.05))
    agent.wait_counts(uploaded=60, only=True, timeout=60)
    wait_overflow(agent)
    assert_all_well(double, agent, calls)


# ---- one content, one call ----

def test_the_same_content_under_two_names_is_one_recording(watching, double):
    agent = watching().start()
    first = wav(agent.calls / "first.wav", 1)
    agent.wait_counts(uploaded=1, only=True)
    wav(agent.calls / "second.wav", 1)
    agent.wait_counts(uploaded=1, duplicate=1, only=True)
    assert agent.find("second.wav")["duplicate_of"] == str(first)
    assert_all_well(double, agent, [first])


def test_a_hundred_copies_are_one_recording(watching, double):
    agent = watching()
    content = wav(agent.root / "one.wav", 1).read_bytes()
    for number in range(100):
        (agent.calls / f"{number}.wav").write_bytes(content)
    agent.start()
    agent.wait_counts(uploaded=1, duplicate=99, only=True)
    assert_all_well(double, agent, [agent.calls / "0.wav"])


def test_a_copy_takes_over_when_the_first_vanishes_before_its_upload(queueing, double):
    agent = queueing()
    first = wav(agent.calls / "first.wav", 1)
    agent.wait_counts(queued=1, only=True)
    second = wav(agent.calls / "second.wav", 1)
    agent.wait_counts(queued=1, duplicate=1, only=True)
    first.unlink()
    wait_state(agent, second, "queued")
    release(agent)
    agent.wait_counts(uploaded=1)
    assert agent.find(second)["state"] == "uploaded"
    assert_all_well(double, agent, [second])


def test_a_copy_takes_over_though_the_first_vanished_unseen(queueing, double):
    agent = queueing()
    first = wav(agent.calls / "first.wav", 1)
    agent.wait_counts(queued=1, only=True)
    second = wav(agent.calls / "second.wav", 1)
    agent.wait_counts(queued=1, duplicate=1, only=True)
    agent.stop()
    first.unlink()
    agent.start()
    wait_state(agent, second, "queued")
    release(agent)
    wait_state(agent, second, "uploaded")
    assert_all_well(double, agent, [second])


def test_hard_links_are_one_recording(watching, double):
    agent = watching().start()
    first = wav(agent.calls / "first.wav", 1)
    os.link(first, agent.calls / "second.wav")
    agent.wait_counts(uploaded=1, duplicate=1, only=True)
    os.link(first, agent.calls / "third.wav")
    agent.wait_counts(uploaded=1, duplicate=2, only=True)
    assert_all_well(double, agent, [first])


def by_call(**more):
    """Two recordings of one call bear its number in their names."""
    return {"call_key": "{call}", "rules": [
        {"title": "calls", "pattern": r"(?<call>\d+)-(?<leg>\w+)\.wav$",
         "owner": "team@example.com", **more}], "owner": None}


def test_a_second_recording_of_one_call_is_a_duplicate(watching, double):
    agent = watching(**by_call()).start()
    first = wav(agent.calls / "100-mono.wav", 1)
    agent.wait_counts(uploaded=1, only=True)
    wav(agent.calls / "100-stereo.wav", 2)
    other = wav(agent.calls / "101-mono.wav", 3)
    agent.wait_counts(uploaded=2, duplicate=1, only=True)
    assert agent.find("100-stereo.wav")["duplicate_of"] == str(first)
    assert_all_well(double, agent, [first, other])


def two_of_one_call(agent):
    first = wav(agent.calls / "100-mono.wav", 1)
    agent.wait_counts(queued=1, only=True)
    second = wav(agent.calls / "100-stereo.wav", 2)
    agent.wait_counts(queued=1, duplicate=1, only=True)
    return first, second


def test_the_second_of_one_call_is_promoted_when_the_first_is_gone(queueing, double):
    agent = queueing(**by_call())
    first, second = two_of_one_call(agent)
    first.unlink()
    agent.wait_counts(gone=1, queued=1, only=True)
    release(agent)
    agent.wait_counts(gone=1, uploaded=1, only=True)
    assert_all_well(double, agent, [second])


def test_the_second_of_one_call_is_promoted_though_it_was_moved(queueing, double):
    agent = queueing(**by_call())
    first, second = two_of_one_call(agent)
    second = second.rename(agent.calls / "100-moved.wav")
    wait_state(agent, second, "duplicate")
    first.unlink()
    wait_state(agent, second, "queued")
    release(agent)
    agent.wait_counts(gone=1, uploaded=1)
    assert_all_well(double, agent, [second])


def test_the_second_of_one_call_goes_when_it_is_back_and_the_first_is_not(queueing, double):
    agent = queueing(**by_call())
    first, second = two_of_one_call(agent)
    content = second.read_bytes()
    second.unlink()
    time.sleep(2)  # longer than a full look takes to come round
    first.unlink()
    agent.wait_counts(gone=1)
    second.write_bytes(content)
    wait_state(agent, second, "queued")
    release(agent)
    agent.wait_counts(gone=1, uploaded=1, only=True)
    assert_all_well(double, agent, [second])


def test_the_second_of_one_call_is_promoted_when_the_first_fails(queueing, double):
    agent = queueing(**by_call(name="{leg}"))
    _, second = two_of_one_call(agent)
    double.set_script("* name mono: status 422")
    release(agent)
    agent.wait_counts(failed=1, uploaded=1, only=True)
    assert_all_well(double, agent, [second])


# ---- what is no recording ----

def test_what_is_no_regular_file_is_never_taken(watching, double):
    agent = watching(rescan="300ms")
    outside = wav(agent.root / "outside" / "secret.wav", 1)
    os.mkfifo(agent.calls / "fifo.wav")
    os.mknod(agent.calls / "socket.wav", stat.S_IFSOCK | 0o600)
    (agent.calls / "link.wav").symlink_to(outside)
    (agent.calls / "folder").symlink_to(outside.parent)
    (agent.calls / "dangling.wav").symlink_to("nowhere")
    (agent.calls / "folder.wav").mkdir()
    agent.start()
    os.mkfifo(agent.calls / "later.wav")
    (agent.calls / "later-link.wav").symlink_to(outside)
    inside = wav(agent.calls / "folder.wav" / "call.wav", 2)
    agent.wait_counts(uploaded=1, only=True)
    time.sleep(1)  # some full looks more
    assert [one["path"] for one in agent.list()] == [str(inside)]
    said = agent.run("explain", agent.calls / "fifo.wav", agent.calls / "link.wav", check=0,
                     timeout=20).stdout
    assert said.count("no regular file") == 2
    assert_all_well(double, agent, [inside])


def test_empty_recordings_are_skipped_and_counted(watching, double):
    agent = watching()
    (agent.calls / "nothing.wav").touch()
    (agent.calls / "nothing.mp3").touch()
    sized(agent.calls / "header.wav", 44)
    agent.start()
    agent.wait_counts(skipped=3, only=True)
    assert all(one["reason"].startswith("empty: ") for one in agent.list())
    assert double.posts() == []


def test_audio_that_chorus_does_not_take_is_skipped_with_the_reason(watching, double):
    agent = watching()
    for seed, kind in enumerate(REFUSED):
        make(agent.calls / f"named.{extension(kind)}", kind, seed)
    make(agent.root / "x.flac", "flac", 8).rename(agent.calls / "really-flac.wav")
    make(agent.root / "x.wma", "wma", 9).rename(agent.calls / "really-wma.mp3")
    agent.start()
    agent.wait_counts(skipped=len(REFUSED) + 2, only=True)
    reasons = {Path(one["path"]).name: one["reason"] for one in agent.list()}
    assert reasons["really-flac.wav"] == reasons["named.flac"] == \
        "flac audio, which Chorus does not take"
    assert reasons["really-wma.mp3"] == "wma audio, which Chorus does not take"
    assert reasons["named.gsm"] == "gsm audio, which Chorus does not take"
    assert double.posts() == []


TEMPORARY = ["a.tmp", "a.wav.tmp", "a.wav.part", "a.wav.partial", "a.wav.filepart",
             "a.wav.crdownload", ".a.wav", ".a.wav.Xy12Zk", ".~a.wav", ".syncthing.a.wav.tmp",
             "~syncthing~a.wav.tmp", "lost+found/a.wav", ".hidden/a.wav", "a.txt", "a"]


def test_temporary_names_are_passed_over(watching, double):
    agent = watching()
    for number, name in enumerate(TEMPORARY):
        wav(agent.calls / name, number, 0.05)
    agent.start()
    for number, name in enumerate(TEMPORARY):
        wav(agent.calls / name, 100 + number, 0.05)
    call = wav(agent.calls / "call.wav", "call")
    agent.wait_counts(uploaded=1, only=True)
    assert [one["path"] for one in agent.list()] == [str(call)]
    said = agent.run("explain", *[agent.calls / name for name in TEMPORARY], check=0).stdout
    assert said.count("passed over") == len(TEMPORARY)
    assert_all_well(double, agent, [call])


def test_include_and_exclude_decide_by_name_and_by_path(watching, double):
    agent = watching(include=["*.WAV", "kept/*.bin"], exclude=["*-in.*", "drafts/*"])
    calls = [wav(agent.calls / "call.wav", 1), wav(agent.calls / "below" / "CALL.Wav", 2),
             wav(agent.calls / "kept" / "call.bin", 3)]
    for number, name in enumerate(["call-IN.wav", "call.mp3", "call.bin", "drafts/call.wav",
                                   "below/kept/call.bin"]):
        wav(agent.calls / name, 10 + number)
    agent.start()
    agent.wait_counts(uploaded=3, only=True)
    assert len(agent.list()) == 3
    assert_all_well(double, agent, calls)


def test_below_min_size_it_is_skipped_until_the_file_grows(watching, double):
    agent = watching(min_size=10_000)
    small = mp3_like(agent.calls / "small.mp3", 9_999)
    large = mp3_like(agent.calls / "large.mp3", 10_000)
    agent.start()
    agent.wait_counts(uploaded=1, skipped=1, only=True)
    assert "min_size" in agent.find(small)["reason"]
    append(small)
    agent.wait_counts(uploaded=2, only=True)
    assert_all_well(double, agent, [small, large])


def test_it_is_not_uploaded_before_its_delay_is_over(watching, double):
    agent = watching(delay="3s").start()
    call = wav(agent.calls / "call.wav", 1)
    agent.wait_counts(waiting=1, only=True)
    agent.wait_counts(uploaded=1, only=True)
    assert double.stored()[0]["at_ms"] >= call.stat().st_mtime_ns // 1_000_000 + 3000
    assert_all_well(double, agent, [call])


# ---- watch folders that come and go ----

def test_a_watch_folder_that_comes_late(watching, double):
    agent = watching()
    agent.calls.rmdir()
    agent.start()
    wait_online(agent, False)
    assert watch_status(agent)["reason"] != ""
    agent.calls.mkdir()
    call = wav(agent.calls / "call.wav", 1)
    wait_online(agent, True)
    agent.wait_counts(uploaded=1, only=True)
    assert_all_well(double, agent, [call])


def wait_refused(agent, count):
    """So many are queued, and the first has met the refusal of the token: none is being opened any more."""
    wait_until(lambda: agent.status()["paused_because"] != "", "it is paused", describe=agent.describe)
    agent.wait_counts(queued=count, only=True)


def test_a_watch_folder_that_goes_away_makes_nothing_gone(queueing, double):
    agent = queueing()
    many(agent.calls, 20)
    wait_refused(agent, 20)
    away = agent.calls.rename(agent.root / "away")
    wait_online(agent, False)
    assert agent.counts() == {"queued": 20}
    away.rename(agent.calls)
    wait_online(agent, True)
    release(agent)
    agent.wait_counts(uploaded=20, only=True, timeout=60)
    assert_all_well(double, agent, agent.calls.iterdir())


def test_a_watch_folder_that_is_replaced_by_a_copy_sends_nothing_again(watching, double):
    """A restore, or a move to another disk: other inodes, the same recordings."""
    agent = watching().start()
    calls = many(agent.calls, 20)
    agent.wait_counts(uploaded=20, only=True)
    shutil.copytree(agent.calls, agent.root / "copy")
    agent.calls.rename(agent.root / "old")
    (agent.root / "copy").rename(agent.calls)
    calls.append(wav(agent.calls / "new.wav", "new"))
    agent.wait_counts(uploaded=21, only=True, timeout=60)
    assert_all_well(double, agent, calls)


def test_uploads_that_are_due_while_their_folder_is_away_wait_for_it(queueing, double):
    agent = queueing()
    many(agent.calls, 5)
    agent.wait_counts(queued=5, only=True)
    away = agent.calls.rename(agent.root / "away")
    wait_online(agent, False)
    release(agent)
    agent.wait_counts(waiting=5, only=True)
    away.rename(agent.calls)
    agent.wait_counts(uploaded=5, only=True, timeout=60)
    assert_all_well(double, agent, agent.calls.iterdir())


def test_an_empty_mount_point_is_not_an_empty_folder(double, agent_factory):
    agent = agent_factory(double, token="refused")
    if subprocess.run(["mount", "-t", "tmpfs", "none", agent.calls]).returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        content = {f"{number}.wav": wav(agent.root / "x.wav", number).read_bytes()
                   for number in range(5)}
        for name, data in content.items():
            (agent.calls / name).write_bytes(data)
        agent.start()
        wait_refused(agent, 5)
        subprocess.run(["umount", agent.calls], check=True)
        wait_online(agent, False)
        assert agent.counts() == {"queued": 5}
        subprocess.run(["mount", "-t", "tmpfs", "none", agent.calls], check=True)
        for name, data in content.items():
            (agent.calls / name).write_bytes(data)
        wait_online(agent, True)
        release(agent)
        agent.wait_counts(uploaded=5, only=True, timeout=60)
        assert_all_well(double, agent, agent.calls.iterdir())
        agent.stop()
    finally:
        subprocess.run(["umount", "-l", agent.calls], stderr=subprocess.DEVNULL)
