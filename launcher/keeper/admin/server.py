"""Serves HTTP on the keeper's loop, without a thread.

Nothing that a client does may hold up the keeper or another client: requests, connections and
time are bounded, each connection gets one answer per turn of the loop, and the connection that was
silent for the longest time makes room for a newer one.
"""

from __future__ import annotations

import socket
import time
import traceback
from collections.abc import Callable

from launcher.keeper.admin.http import LONGEST_HEAD, BadRequest, Request, Response, encode, take
from launcher.keeper.loop import Loop, Timer

MOST_CONNECTIONS = 64
"""A scraper, a load balancer and probes need a few."""
HEAD_DEADLINE = 5.0
"""Seconds from a request's first byte to its last: however slowly it drips, it ends here."""
IDLE_DEADLINE = 90.0
"""Seconds that a connection may wait for its next request; scrapes are up to a minute apart."""
SEND_DEADLINE = 10.0
"""Seconds in which a client has to take its answer."""
SWEEP = 1.0
"""Seconds between two looks at the deadlines, while there are connections."""

Handler = Callable[[Request], Response]


class _Connection:
    def __init__(self, client: socket.socket) -> None:
        self.socket = client
        self.incoming = b""
        self.outgoing = bytearray()
        self.closes = False
        self.heard = time.monotonic()
        self.deadline = self.heard + HEAD_DEADLINE


class HttpServer:
    """Answers the clients handed to `take_client`."""

    def __init__(self, loop: Loop, handler: Handler) -> None:
        """`handler` answers each request, and must do so at once."""
        self._loop = loop
        self._handler = handler
        self._connections: list[_Connection] = []
        self._sweeper: Timer | None = None

    # -- connections ------------------------------------------------------------------------

    def take_client(self, client: socket.socket) -> None:
        """Serve a client that was accepted."""
        if len(self._connections) >= MOST_CONNECTIONS:
            self.drop_silent()
        connection = _Connection(client)
        self._connections.append(connection)
        self._listen_to(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP, self._sweep)

    def drop_silent(self) -> None:
        """Make room: hang up on the client that was silent for the longest time."""
        if self._connections:
            self._drop(min(self._connections, key=lambda one: one.heard))

    def _listen_to(self, connection: _Connection) -> None:
        self._loop.add_reader(connection.socket.fileno(), lambda: self._readable(connection))

    def _readable(self, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(LONGEST_HEAD)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(connection)
            return
        connection.heard = time.monotonic()
        if not connection.incoming:
            connection.deadline = connection.heard + HEAD_DEADLINE
        connection.incoming += data
        # What is sent meanwhile waits in the kernel, which halts a client that sends too much.
        self._loop.remove_reader(connection.socket.fileno())
        self._take_turn(connection)

    def _take_turn(self, connection: _Connection) -> None:
        """Answer one request, and let the others have their turn before the next."""
        if connection not in self._connections or connection.outgoing:
            return
        try:
            taken = take(connection.incoming)
        except BadRequest as error:
            self._send(connection, error.response, head=False, keep_alive=False)
            return
        if taken is None:
            self._listen_to(connection)
            return
        request, connection.incoming = taken
        response = self._answer(request)
        # A client whose method is not taken may have sent a body, which is not read.
        keep_alive = request.keep_alive and response.status in (200, 404, 503)
        self._send(connection, response, head=request.method == "HEAD", keep_alive=keep_alive)

    def _answer(self, request: Request) -> Response:
        try:
            return self._handler(request)
        except Exception as error:  # a page that fails must not end an engine
            traceback.print_exc()
            return Response(500, f"a defect of the keeper: {type(error).__name__}\n")

    # -- answers ----------------------------------------------------------------------------

    def _send(
        self, connection: _Connection, response: Response, *, head: bool, keep_alive: bool
    ) -> None:
        connection.closes = not keep_alive
        connection.outgoing += encode(response, head=head, keep_alive=keep_alive)
        connection.deadline = time.monotonic() + SEND_DEADLINE
        self._flush(connection)
        if connection in self._connections and connection.outgoing:
            descriptor = connection.socket.fileno()
            self._loop.add_writer(descriptor, lambda: self._flush(connection))

    def _flush(self, connection: _Connection) -> None:
        try:
            sent = connection.socket.send(connection.outgoing)
        except BlockingIOError:
            return
        except OSError:
            self._drop(connection)
            return
        del connection.outgoing[:sent]
        if not connection.outgoing:
            self._sent(connection)

    def _sent(self, connection: _Connection) -> None:
        self._loop.remove_writer(connection.socket.fileno())
        if connection.closes:
            self._hang_up(connection)
            return
        now = connection.heard = time.monotonic()
        connection.deadline = now + (HEAD_DEADLINE if connection.incoming else IDLE_DEADLINE)
        self._loop.call_soon(lambda: self._take_turn(connection))

    def _hang_up(self, connection: _Connection) -> None:
        """End a connection so that the client gets the whole answer.

        What it has sent and we did not read would turn the end into a reset, which may overtake
        the answer. So our side is closed first, and what comes is thrown away until it closes its.
        """
        try:
            connection.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(connection)
            return
        connection.deadline = time.monotonic() + HEAD_DEADLINE
        self._loop.add_reader(connection.socket.fileno(), lambda: self._discard(connection))

    def _discard(self, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
            connection.outgoing.clear()
            self._loop.remove_reader(connection.socket.fileno())
            self._loop.remove_writer(connection.socket.fileno())
            connection.socket.close()

    def _sweep(self) -> None:
        now = time.monotonic()
        for connection in [one for one in self._connections if one.deadline <= now]:
            self._drop(connection)
        self._sweeper = self._loop.call_later(SWEEP, self._sweep) if self._connections else None

    def close(self) -> None:
        """Hang up on all clients."""
        for connection in list(self._connections):
            self._drop(connection)
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
