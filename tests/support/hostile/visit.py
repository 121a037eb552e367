"""One connection of a hostile server, and the table of behaviours."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable

OK = b"HTTP/1.1 200 OK\r\n"
JSON = b"Content-Type: application/json\r\n"
EVENTS = b"Content-Type: text/event-stream\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
DRIP = 0.1
"""Seconds between two bytes: below every time-out of a single read."""


class Visit:
    """One connection: its request, and ways to answer it."""

    def __init__(self, connection: socket.socket, closing: threading.Event) -> None:
        self.connection = connection
        self.closing = closing

    def read_request(self) -> bool:
        """Read the request; False where nothing came."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.connection.recv(65536)
            if not more:
                return False
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                length = int(value)
        while len(body) < length:
            more = self.connection.recv(65536)
            if not more:
                return False
            body += more
        self.streams = b'"stream": true' in body or b'"stream":true' in body
        return True

    def send(self, *parts: bytes) -> None:
        self.connection.sendall(b"".join(parts))

    def drip(self, data: bytes) -> None:
        """A byte now and then."""
        for byte in data:
            self.send(bytes([byte]))
            if self.closing.wait(DRIP):
                return

    def for_ever(self, part: bytes, pause: float = 0.0) -> None:
        """The same bytes until the client goes."""
        while not self.closing.is_set():
            self.send(part)
            if pause and self.closing.wait(pause):
                return

    def send_response(self, body: bytes, *headers: bytes, status: bytes = OK) -> None:
        """A complete answer."""
        self.send(status, *headers, b"Content-Length: %d\r\n" % len(body), b"\r\n", body)

    def reset(self) -> None:
        """End with a RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Behaviour = Callable[[Visit], None]
BEHAVIOURS: dict[str, Behaviour] = {}


PREPARED: dict[str, Callable[[], object]] = {}
"""What a behaviour needs and takes long to make: made before the server listens."""


def behaviour(
    name: str, prepare: Callable[[], object] | None = None
) -> Callable[[Behaviour], Behaviour]:
    def add(function: Behaviour) -> Behaviour:
        BEHAVIOURS[name] = function
        if prepare is not None:
            PREPARED[name] = prepare
        return function

    return add
