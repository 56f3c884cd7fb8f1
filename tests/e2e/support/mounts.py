"""File systems to mount: small ones that fill up, and one that stops answering on command. Each is a
context manager; where this machine does not permit mounts, the test is skipped with the reason."""

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

from . import programs


def _mount(*arguments):
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    done = subprocess.run(["mount", *map(str, arguments)], stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        pytest.skip(f"this machine does not permit mounts: {done.stderr.strip()}")


def remount(where, options):
    subprocess.run(["mount", "-o", f"remount,{options}", str(where)], check=True)


def unmount(where):
    subprocess.run(["umount", str(where)], check=True)


@contextlib.contextmanager
def tmpfs(where, options="size=64M"):
    """A tmpfs at `where`, made if it is missing."""
    Path(where).mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", options, "none", where)
    try:
        yield Path(where)
    finally:
        subprocess.run(["umount", "-l", str(where)], stderr=subprocess.DEVNULL)


class HangingMount:
    """`folder` is seen at `mountpoint` (read-only), until it hangs."""

    def __init__(self, folder, mountpoint):
        self.folder = Path(folder)
        self.mountpoint = Path(mountpoint)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.mountpoint.mkdir(parents=True, exist_ok=True)
        double = Path(programs.find("CHORUS_DOUBLE"))
        program = double.parent.parent / "hangfs" / "hangfs"
        self.process = subprocess.Popen([program, self.folder, self.mountpoint],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ok\n":
            said = self.process.stderr.read().strip()
            self.process.wait()
            pytest.skip(f"this machine does not permit FUSE: {said}")

    def _say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "ok\n"

    def hang(self, what="all"):
        """open, read, stat, folder, or all: every such request waits from now on."""
        self._say(f"hang {what}")

    def go(self):
        """What waited is answered, and all that comes."""
        self._say("go")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()
        self.process.stderr.close()
        subprocess.run(["umount", "-l", str(self.mountpoint)], stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def hanging(folder, mountpoint):
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    with HangingMount(folder, mountpoint) as mount:
        yield mount
