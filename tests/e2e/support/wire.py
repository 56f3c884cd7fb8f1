"""A client of the double at the level of bytes: forms, raw sockets, what comes back."""

import http.client
import json
import select
import socket
import ssl
import struct

from .chorus import TOKEN

BOUNDARY = "----test-boundary-7f3a"


def form(fields=None, data=b"RIFF recording", filename="call.wav", order=("data",)):
    """The body of an upload: the parts named in `order`, then the fields. A field may be given
    as bytes; data=None leaves the file out."""
    if fields is None:
        fields = {"name": "a call", "user": "team@example.com"}
    parts = []
    for part in order:
        if part == "data" and data is not None:
            parts.append((f'form-data; name="data"; filename="{filename}"'
                          "\r\nContent-Type: audio/x-wav", data))
    for name, value in (fields.items() if isinstance(fields, dict) else fields):
        value = value if isinstance(value, bytes) else str(value).encode()
        parts.append((f'form-data; name="{name}"', value))
    body = b"".join(b"--%s\r\nContent-Disposition: %s\r\n\r\n%s\r\n"
                    % (BOUNDARY.encode(), head.encode(), value) for head, value in parts)
    return body + b"--%s--\r\n" % BOUNDARY.encode()


def headers(body, token=TOKEN, **more):
    """The header lines of an upload; None takes one away."""
    lines = {"Host": "127.0.0.1", "Authorization": token,
             "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
             "Content-Length": str(len(body))}
    lines.update({name.replace("_", "-"): value for name, value in more.items()})
    return {name: value for name, value in lines.items() if value is not None}


def request_bytes(body, method="POST", path="/v3/upload", **more):
    lines = [f"{name}: {value}" for name, value in headers(body, **more).items()]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode() + body


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Client:
    """One keep-alive connection through http.client."""

    def __init__(self, url, token=TOKEN, timeout=30):
        host, port = url.split("://")[1].split(":")
        if url.startswith("https"):
            self.http = http.client.HTTPSConnection(
                host, int(port), timeout=timeout, context=ssl._create_unverified_context())
        else:
            self.http = http.client.HTTPConnection(host, int(port), timeout=timeout)
        self.token = token

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.close()

    def call(self, method, path, body=None, **more):
        lines = {"Authorization": self.token}
        lines.update({name.replace("_", "-"): value for name, value in more.items()})
        lines = {name: value for name, value in lines.items() if value is not None}
        self.http.request(method, path, body=body, headers=lines)
        return Answer(self.http.getresponse())

    def get(self, path):
        return self.call("GET", path)

    def delete(self, path):
        return self.call("DELETE", path)

    def upload(self, data=b"RIFF recording", filename="call.wav", fields=None, **more):
        """Fields: name, user and what is given in `fields`; None takes one away."""
        merged = {"name": "a call", "user": "team@example.com", **(fields or {})}
        merged = {name: value for name, value in merged.items() if value is not None}
        body = form(merged, data, filename)
        self.http.request("POST", "/v3/upload", body=body,
                          headers=headers(body, self.token, **more))
        return Answer(self.http.getresponse())


class Raw:
    """One TCP connection, byte by byte."""

    def __init__(self, url, timeout=30):
        host, port = url.split("://")[1].split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def answer(self):
        response = http.client.HTTPResponse(self.socket)
        response.begin()
        return Answer(response)

    def rest(self):
        """What comes until the end, and how it ends: "fin" or "reset"."""
        got = b""
        while True:
            try:
                piece = self.socket.recv(65536)
            except ConnectionResetError:
                return got, "reset"
            if not piece:
                return got, "fin"
            got += piece

    def is_silent(self, seconds):
        """Neither bytes nor an end for so long."""
        return not select.select([self.socket], [], [], seconds)[0]

    def reset(self):
        """Leaves with a reset, as a client that crashed."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
