"""A service manager's side of sd_notify(3): a socket of the test's own."""

import socket
import threading
import time

from .waiting import wait_until


class Manager:
    """Listens from the start. `said` is every assignment in order, as (time, name, value)."""

    def __init__(self, root):
        self.path = str(root / "notify")
        self.said = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def env(self, watchdog_ms=None):
        names = {"NOTIFY_SOCKET": self.path}
        if watchdog_ms is not None:
            names["WATCHDOG_USEC"] = str(watchdog_ms * 1000)
        return names

    def values(self, name):
        return [value for _, key, value in list(self.said) if key == name]

    def times(self, name):
        return [at for at, key, _ in list(self.said) if key == name]

    def wait(self, name, wanted, timeout=30):
        """Until `wanted` (a value, or a function of one) was assigned to `name`."""
        fits = wanted if callable(wanted) else lambda value: value == wanted
        wait_until(lambda: any(fits(value) for value in self.values(name)), f"{name} {wanted}",
                   timeout, describe=lambda: repr(self.said[-20:]))

    def _listen(self):
        while True:
            try:
                text = self._socket.recv(65536).decode()
            except OSError:
                return
            for line in text.splitlines():
                name, _, value = line.partition("=")
                self.said.append((time.monotonic(), name, value))
