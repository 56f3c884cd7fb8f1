"""Power cuts: the installation on a file system of its own, which forgets what was not synchronized.

An ext4 in a file, mounted as a loop device. A cut is a kill -9, and then the ioctl by which file systems are tested
(forced shutdown, without writing the journal out): what no fsync has asked for is gone, as far as the file system's own
writing has not come to it. Then it is mounted again, as a machine does that starts.
"""

import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
import time
from pathlib import Path

GOING_DOWN = 0x8004587D  # FS_IOC_SHUTDOWN
NO_LOG_FLUSH = 2
SIZE = 48 << 20
OPTIONS = "loop,commit=600"  # the file system itself writes its journal as seldom as can be


def template(room):
    """An empty file system, to be copied: made once."""
    image = Path(room) / "template"
    with open(image, "wb") as file:
        file.truncate(SIZE)
    _run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", str(image))
    return image


def missing(base):
    """Why there can be no cuts here; None where there can."""
    if os.geteuid() != 0:
        return "no power cuts: mounting needs root"
    for program in ("mkfs.ext4", "mount", "umount"):
        if shutil.which(program) is None:
            return f"no power cuts: {program} is not installed"
    room = Path(tempfile.mkdtemp(prefix="sweep-", dir=base))
    try:
        disk = Disk(room, template(room))
        try:
            (disk.path / "kept").write_text("kept")
            disk.sync()
            (disk.path / "forgotten").write_text("forgotten")
            disk.cut()
            left = {name for name in os.listdir(disk.path) if name != "lost+found"}
            return None if left == {"kept"} else f"no power cuts: after one there is {left}"
        finally:
            disk.close()
    except (OSError, RuntimeError) as error:
        return f"no power cuts: {error}"
    finally:
        shutil.rmtree(room, ignore_errors=True)


class Disk:
    """A mounted file system of one's own, at `path`."""

    def __init__(self, room, image):
        self.image, self.path = Path(room) / "image", Path(room) / "disk"
        _run("cp", "--sparse=always", str(image), str(self.image))
        self.path.mkdir()
        self._mount()

    def sync(self):
        """All that stands on it now survives a cut."""
        subprocess.run(["sync", "-f", str(self.path)], check=True)

    def cut(self):
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(folder, GOING_DOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(folder)
        self._unmount()
        self._mount()

    def close(self):
        self._unmount()

    def _mount(self):
        _run("mount", "-t", "ext4", "-o", OPTIONS, str(self.image), str(self.path))

    def _unmount(self):
        for _ in range(100):  # what was killed may not be quite gone
            if subprocess.run(["umount", str(self.path)], capture_output=True).returncode == 0:
                return
            time.sleep(0.05)
        _run("umount", str(self.path))


def _run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]}: {done.stdout.strip() or done.returncode}")
