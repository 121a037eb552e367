r"""The keeper's socket: one JSON object a line, both ways.

Requests carry `v` (protocol version) and `op`:

    hello   -> {"v", "ok", "version", "pid"}
    status  -> {"v", "ok", "state"}                      the keeper's state, as in state.json
    probe   -> {"v", "ok", "passed", "reason"}           of the `kind` live, ready or startup
    stop    -> {"v", "ok", "deadline"}: the seconds in which the stop is over
    follow  -> {"v", "ok", "state"}, then every event of this run, past and to come, to the end;
               the last event of the kind `state` is the result: its state, error, receipt and
               exit code

An operation that is not known is answered with `ok: false` and the ones that are, so that a newer
command line can speak politely with a keeper that has run for months.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from launcher.host.processes import own_descriptor
from launcher.json_values import JsonObject, JsonValue, object_at

PROTOCOL = 1
SOCKET = "control.sock"
LONGEST_POLL = 24 * 3600.0
"""Seconds of one wait for a line; poll counts milliseconds in 32 bits, deadlines may be longer."""

CONNECT_RETRY = 0.02
"""Seconds between two tries where the keeper's queue of new clients is full."""


def folder_address(folder: Path, name: str = SOCKET) -> tuple[int, str]:
    """A descriptor of `folder` and a short path to the socket `name` in it.

    A Unix socket's path has 107 characters at most, state paths may be longer: the way through
    /proc/self/fd is always short. The caller closes the descriptor.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return descriptor, f"{own_descriptor(descriptor)}/{name}"


class Client:
    """The command line's end."""

    def __init__(self, folder: Path, timeout: float = 5.0) -> None:
        """Connect to the keeper of the instance in `folder`.

        Raises:
            OSError: no keeper listens there.
        """
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(timeout)
        try:
            descriptor, address = folder_address(folder)
            try:
                self._connect(address, time.monotonic() + timeout)
            finally:
                os.close(descriptor)
        except OSError:
            self._socket.close()
            raise
        self._buffer = b""

    def _connect(self, address: str, end: float) -> None:
        while True:
            try:
                return self._socket.connect(address)
            except BlockingIOError:  # many clients at once; a stream socket does not wait here
                if time.monotonic() > end:
                    raise TimeoutError("the keeper takes no more clients") from None
                time.sleep(CONNECT_RETRY)

    def request(self, op: str, **fields: JsonValue) -> JsonObject:
        """Ask and return the answer.

        Raises:
            OSError: the keeper went away or did not answer in time.
        """
        self.send(op, **fields)
        return self.receive()

    def send(self, op: str, **fields: JsonValue) -> None:
        """Ask, and do not wait for the answer.

        Raises:
            OSError: the keeper went away.
        """
        message = {"v": PROTOCOL, "op": op, **fields}
        self._socket.sendall((json.dumps(message) + "\n").encode())

    def receive(self, timeout: float | None = None) -> JsonObject:
        """The answer to what was sent; within `timeout` seconds instead of the connection's.

        Raises:
            OSError: the keeper went away or did not answer in time.
        """
        if timeout is not None:
            self._socket.settimeout(timeout)
        answer = self._line()
        if answer is None:
            raise ConnectionResetError("the keeper closed the connection")
        return answer

    def subscribe(self) -> int:
        """Ask for the events without waiting for the first; returns the descriptor to wait for.

        Raises:
            OSError: the keeper went away.
        """
        self._socket.sendall((json.dumps({"v": PROTOCOL, "op": "follow"}) + "\n").encode())
        return self._socket.fileno()

    def discard(self) -> bool:
        """Throw away what a subscriber was sent; False where the keeper has hung up."""
        with contextlib.suppress(BlockingIOError):
            while data := self._socket.recv(65536, socket.MSG_DONTWAIT):
                del data
            return False
        return True

    def events(
        self, timeout: float | None = None, wake: int | None = None
    ) -> Iterator[JsonObject | None]:
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

    def _line(self) -> JsonObject | None:
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

    def _parse(self) -> JsonObject:
        line, _, self._buffer = self._buffer.partition(b"\n")
        return object_at(json.loads(line))

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
