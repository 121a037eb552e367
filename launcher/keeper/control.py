r"""The keeper's socket: one JSON object a line, both ways.

Requests carry `v` (protocol version) and `op`:

    hello   -> {"v", "ok", "version", "pid"}
    status  -> {"v", "ok", "state"}                      the keeper's state, as in state.json
    stop    -> {"v", "ok"}, then the connection closes when the engine is gone
    follow  -> {"v", "ok", "state"}, then every event of this run, past and to come, to the end

An operation that is not known is answered with `ok: false` and the ones that are, so that a newer
command line can speak politely with a keeper that has run for months.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from launcher.keeper.loop import Loop

PROTOCOL = 1
LONGEST_REQUEST = 64 * 1024
REMEMBERED = 128 * 1024
"""Bytes of the last events, kept for those who come late: what a socket takes at once (a reader
that has just come cannot have read any of it). The whole history is in events.jsonl."""
LONGEST_POLL = 24 * 3600.0
"""Seconds of one wait for a line; poll counts milliseconds in 32 bits, deadlines may be longer."""

Handler = Callable[[dict[str, Any]], dict[str, Any]]


def _address(folder: Path) -> tuple[int, str]:
    """A descriptor of `folder` and a short path to the socket in it.

    A Unix socket's path has 107 characters at most, state paths may be longer: the way through
    /proc/self/fd is always short. The caller closes the descriptor.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return descriptor, f"/proc/self/fd/{descriptor}/control.sock"


class Server:
    """The keeper's end."""

    def __init__(self, loop: Loop, folder: Path, handler: Handler) -> None:
        """Listen in `folder`; `handler` answers each request.

        Raises:
            OSError: the socket cannot be made.
        """
        self._loop = loop
        self._handler = handler
        self._path = folder / "control.sock"
        self._buffers: dict[socket.socket, bytes] = {}
        self._followers: list[socket.socket] = []
        self._past: collections.deque[bytes] = collections.deque()
        self._past_size = 0
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        descriptor, address = _address(folder)
        try:
            self._socket.bind(address)
        finally:
            os.close(descriptor)
        os.chmod(self._path, 0o600)
        self._socket.listen(16)
        self._socket.setblocking(False)
        loop.add_reader(self._socket.fileno(), self._accept)

    def _accept(self) -> None:
        # Nothing to accept any more, or no descriptors left: the keeper itself must go on.
        with contextlib.suppress(OSError):
            connection, _ = self._socket.accept()
            connection.setblocking(False)
            self._buffers[connection] = b""
            self._loop.add_reader(connection.fileno(), lambda: self._readable(connection))

    def _readable(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or len(self._buffers[connection]) > LONGEST_REQUEST:
            self._drop(connection)
            return
        *lines, rest = (self._buffers[connection] + data).split(b"\n")
        self._buffers[connection] = rest
        for line in lines:
            self._answer(connection, line)

    def _answer(self, connection: socket.socket, line: bytes) -> None:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = {}
        if not isinstance(request, dict):
            request = {}
        answer = self._handler(request)
        self._send(connection, _encoded({"v": PROTOCOL, **answer}))
        if request.get("op") == "follow" and connection in self._buffers:
            self._followers.append(connection)
            # In one piece: the kernel counts some 800 bytes for each, however short it is.
            self._send(connection, b"".join(self._past))

    def _send(self, connection: socket.socket, data: bytes) -> None:
        try:
            connection.sendall(data)
        except OSError:
            # Gone, or so slow that its buffer is full: events.jsonl has everything.
            self._drop(connection)

    def _drop(self, connection: socket.socket) -> None:
        if connection in self._followers:
            self._followers.remove(connection)
        if self._buffers.pop(connection, None) is not None:
            self._loop.remove_reader(connection.fileno())
            connection.close()

    def publish(self, event: dict[str, Any]) -> None:
        """Send an event to everybody who follows, and keep it for who comes later."""
        data = _encoded(event)
        self._past.append(data)
        self._past_size += len(data)
        while self._past_size > REMEMBERED:
            self._past_size -= len(self._past.popleft())
        for connection in list(self._followers):
            self._send(connection, data)

    def close(self) -> None:
        """Stop listening and end all connections; the clients see the end."""
        for connection in list(self._buffers):
            self._drop(connection)
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        self._path.unlink(missing_ok=True)


def _encoded(message: dict[str, Any]) -> bytes:
    return (json.dumps(message) + "\n").encode()


class Client:
    """The command line's end."""

    def __init__(self, folder: Path, timeout: float = 5.0) -> None:
        """Connect to the keeper of the instance in `folder`.

        Raises:
            OSError: no keeper listens there.
        """
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(timeout)
        descriptor, address = _address(folder)
        try:
            self._socket.connect(address)
        except OSError:
            self._socket.close()
            raise
        finally:
            os.close(descriptor)
        self._buffer = b""

    def request(self, op: str, **fields: Any) -> dict[str, Any]:
        """Ask and return the answer.

        Raises:
            OSError: the keeper went away or did not answer in time.
        """
        message = {"v": PROTOCOL, "op": op, **fields}
        self._socket.sendall((json.dumps(message) + "\n").encode())
        answer = self._line()
        if answer is None:
            raise ConnectionResetError("the keeper closed the connection")
        return answer

    def events(
        self, timeout: float | None = None, wake: int | None = None
    ) -> Iterator[dict[str, Any] | None]:
        """What the keeper sends until it ends; `timeout` seconds between two lines.

        A None is yielded whenever the descriptor `wake` can be read: a signal that raised an
        exception in here would end the generator and lose what is half received.

        Raises:
            TimeoutError: nothing came for `timeout` seconds.
        """
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        if wake is not None:
            poller.register(wake, select.POLLIN)
        while True:
            end = None if timeout is None else time.monotonic() + timeout
            while b"\n" not in self._buffer:
                left = LONGEST_POLL if end is None else max(0.0, end - time.monotonic())
                ready = [d for d, _ in poller.poll(min(left, LONGEST_POLL) * 1000)]
                if not ready:
                    if end is not None and time.monotonic() >= end:
                        raise TimeoutError
                    continue
                if wake in ready:
                    os.read(wake, 64)
                    yield None
                elif not self._receive():
                    return
            yield self._parse()

    def _line(self) -> dict[str, Any] | None:
        while b"\n" not in self._buffer:
            if not self._receive():
                return None
        return self._parse()

    def _receive(self) -> bool:
        try:
            data = self._socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self._buffer += data
        return bool(data)

    def _parse(self) -> dict[str, Any]:
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
