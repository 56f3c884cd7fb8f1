"""File systems to mount: small ones that fill up, and one that stops answering on command. Each is a
context manager; where this machine does not permit mounts, the test is skipped with the reason."""

import contextlib
import fcntl
import os
import shutil
import struct
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


@contextlib.contextmanager
def pinned(path):
    """The file can be read, but neither moved nor removed: something is mounted on it."""
    _mount("--bind", path, path)
    try:
        yield
    finally:
        unmount(path)


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


class Disk:
    """A small ext4 on a file: the one file system here that can be made to fail on command."""

    _SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN
    _WITHOUT_FLUSH = 2

    def __init__(self, image, where):
        self.image = Path(image)
        self.where = Path(where)
        self.where.mkdir(parents=True, exist_ok=True)
        with open(self.image, "wb") as file:
            file.truncate(64 << 20)
        made = subprocess.run(["mkfs.ext4", "-q", "-F", str(self.image)], stderr=subprocess.PIPE,
                              text=True)
        if made.returncode != 0:
            pytest.skip(f"no ext4 can be made here: {made.stderr.strip()}")
        self._mount()

    def _mount(self):
        _mount("-o", "loop", self.image, self.where)

    def become_read_only(self):
        """As after an error in the file system: every write is EROFS, also in files that are open."""
        subprocess.run(["mount", "-o", "remount,abort", str(self.where)], check=False,
                       stderr=subprocess.DEVNULL)

    def die(self):
        """Everything is EIO; what was not synced is lost."""
        folder = os.open(self.where, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, self._SHUTDOWN, struct.pack("I", self._WITHOUT_FLUSH))
        finally:
            os.close(folder)

    def mend(self):
        """What it holds, on another disk: the broken one stays mounted for those who have it open."""
        subprocess.run(["umount", "-l", str(self.where)], check=True)
        self.image = shutil.copy(self.image, f"{self.image}-mended")
        subprocess.run(["e2fsck", "-fy", str(self.image)], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        self._mount()

    def remove(self):
        subprocess.run(["umount", "-l", str(self.where)], stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def disk(image, where):
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("a disk on a file needs root and mkfs.ext4")
    made = Disk(image, where)
    try:
        yield made
    finally:
        made.remove()
