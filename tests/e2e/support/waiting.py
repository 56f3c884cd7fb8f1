"""Waiting for something to become true, and telling what there was when it did not."""

import time


def wait_until(condition, what, timeout=30.0, interval=0.05, describe=lambda: ""):
    """Polls `condition` and returns its first true value; fails after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout:g} s: {what}\n{describe()}")
        time.sleep(interval)


def assert_no_fault(text, who):
    """A sanitizer's report is a failure, wherever it turns up."""
    for mark in ("AddressSanitizer", "LeakSanitizer", "runtime error:", "ThreadSanitizer"):
        assert mark not in text, f"{who}:\n{text[-8000:]}"
