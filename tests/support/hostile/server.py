"""The server itself: one behaviour towards every client."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.hostile.visit import BEHAVIOURS, PREPARED, Behaviour, Visit


class HostileServer:
    """Behaves in one way towards every client."""

    def __init__(self, behave: Behaviour) -> None:
        self._behave = behave
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listening.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.visits = 0
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def close(self) -> None:
        """Close every connection, and wait until all are closed."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in [self._accepting, *self._threads]:
            thread.join(20)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._visit, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _visit(self, connection: socket.socket) -> None:
        self.visits += 1
        # A client that has stopped reading must not keep this thread.
        connection.settimeout(3)
        with connection, contextlib.suppress(OSError):
            visit = Visit(connection, self._closing)
            if visit.read_request():
                self._behave(visit)
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_WR)


@contextmanager
def hostile(how: str | Behaviour) -> Iterator[HostileServer]:
    """A running server that behaves as told: by a name of `BEHAVIOURS`, or by a function."""
    if isinstance(how, str) and how in PREPARED:
        PREPARED[how]()
    server = HostileServer(BEHAVIOURS[how] if isinstance(how, str) else how)
    try:
        yield server
    finally:
        server.close()
