"""The total deadline of one request, whatever library reads its answer.

Time-outs of HTTP libraries bound one wait for the socket: a server that sends a byte of a header,
a chunk's size or a 1xx answer now and then keeps them waiting without an end. A guard holds a
duplicate of the connection's socket, shuts the connection down at the deadline, and remembers it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

from launcher.smoke.clients.final_response import FinalResponse

if TYPE_CHECKING:
    from urllib3.connection import HTTPConnection

GRACE = 0.2
"""Seconds after the deadline: the library's own time-out, which says more, has to come first."""


class Guard:
    """Shuts down the sockets that it watches after `end`, a moment of the monotonic clock."""

    def __init__(self, end: float) -> None:
        """Nothing runs before the `with` block begins."""
        self.expired = False
        self._end = end + GRACE
        self._lock = threading.Lock()
        self._watched: list[socket.socket] = []
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Guard:
        """Start the clock."""
        self._timer = threading.Timer(max(0.0, self._end - time.monotonic()), self._expire)
        self._timer.daemon = True
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the clock and let go of the sockets."""
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            for watched in self._watched:
                watched.close()
            self._watched.clear()

    def watch(self, connected: socket.socket) -> None:
        """Bound what is read from and written to `connected`, before TLS is put on it."""
        watched = socket.socket(fileno=os.dup(connected.fileno()))
        with self._lock:
            self._watched.append(watched)
            if self.expired:
                _shut_down(watched)

    def _expire(self) -> None:
        with self._lock:
            self.expired = True
            for watched in self._watched:
                _shut_down(watched)


def watching(connection_class: type[HTTPConnection], guard: Guard) -> type[HTTPConnection]:
    """A urllib3 connection class whose sockets `guard` watches; it skips interim responses."""

    def new_conn(self: HTTPConnection) -> socket.socket:
        connection = connection_class._new_conn(self)
        guard.watch(connection)
        return connection

    members = {"_new_conn": new_conn, "response_class": FinalResponse}
    return type(connection_class.__name__, (connection_class,), members)


def _shut_down(watched: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other side has closed it already
        watched.shutdown(socket.SHUT_RDWR)
