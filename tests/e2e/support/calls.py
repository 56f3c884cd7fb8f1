"""Calls that a test makes to the double itself, and what it expects of the answers."""

import subprocess


from . import programs
from .chorus import TOKEN
from .wire import Client, Raw, form, request_bytes


def upload(to, data=b"RIFF recording", **more):
    with Client(to.url) as client:
        return client.upload(data, **more)


def new_id(answer):
    assert answer.status == 200, answer
    return answer.json()["engagement_id"]


def get(to, path, token=TOKEN):
    with Client(to.url, token) as client:
        return client.get(path)


def delete(to, path):
    with Client(to.url) as client:
        return client.delete(path)


def rows(to, query=""):
    answer = get(to, f"/v3/engagements{query}")
    assert answer.status == 200, answer
    return answer.json()["engagements"]


def assert_errors(answer, status):
    """The answer is an errors document for this status."""
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/vnd.api+json"
    assert answer.json()["errors"][0]["status"] == str(status)


def assert_summary(double, **expected):
    summary = double.summary()
    assert {name: summary[name] for name in expected} == expected


def raw_upload(to, body=None):
    """A whole upload through a raw socket; how the connection ends: (bytes, "fin" or "reset")."""
    with Raw(to.url) as raw:
        raw.send(request_bytes(form() if body is None else body))
        return raw.rest()


def command(*arguments):
    return subprocess.run([programs.find("CHORUS_DOUBLE"), *arguments], capture_output=True,
                          text=True, timeout=30)
