"""A systemd of its own, in namespaces of its own, over a root that has it installed."""

import subprocess
import time
from pathlib import Path

# What a container's manager would find: its own /proc, /sys, /run and /dev, and control groups of version 2.
_BOOT = """
set -e
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
mount --make-shared "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 none "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 none "$root/run"
mount -t tmpfs -o mode=755 none "$root/dev"
for name in null zero full random urandom tty; do
    : > "$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
done
mkdir "$root/dev/shm" "$root/dev/pts" "$root/dev/mqueue" "$root/dev/hugepages"
mount -t devpts none "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
exec chroot "$root" /usr/bin/env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system
"""


class Refused(Exception):
    """This machine does not permit it."""


class Manager:
    def __init__(self, root):
        self.root = Path(root)
        self.process = None

    def start(self):
        self.process = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "--cgroup",
                                         "sh", "-c", _BOOT, "sh", self.root], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        end = time.monotonic() + 60
        while self._state() not in ("running", "degraded"):
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise Refused(f"no systemd of its own runs here: {self.process.stdout.read().strip() or 'it does not start'}")
            time.sleep(0.2)
        return self

    def _child(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return children[0] if children else None

    def _state(self):
        try:
            return self.run("systemctl", "is-system-running", code=None).strip()
        except (OSError, Refused):
            return ""

    def run(self, *command, code=0):
        """What it says, run as root beside the manager."""
        child = self._child()
        if child is None:
            raise Refused("it is not there yet")
        done = subprocess.run(["nsenter", "-t", child, "-m", "-p", "-u", "-i", "-C", "-r", "-w", "env", "-i", "LC_ALL=C.UTF-8",
                               "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *map(str, command)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
        if code is not None and done.returncode != code:
            raise AssertionError(f"{' '.join(map(str, command))}: {done.returncode} instead of {code}\n{done.stdout[-4000:]}")
        return done.stdout

    def show(self, unit, name):
        return self.run("systemctl", "show", unit, f"--property={name}", "--value").strip()

    def journal(self, unit):
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()  # and all that runs in it
            self.process.wait()
